//! `image build`: the distribution from its manifests, on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use image::components::Distro;
use image::debian::WhenGone;
use image::make::{self, MakeError, Outcome, Programs, Progress, Settings};

use crate::output::{note, print};

/// What the command line says.
pub struct Options {
    /// Folder of manifests.
    pub distro: PathBuf,
    /// Folder of our programs, if not the one beside this program.
    pub programs: Option<PathBuf>,
    /// Folder of what is kept, if not the usual one.
    pub cache: Option<PathBuf>,
    /// Where products go.
    pub output: PathBuf,
    /// Whether the lock must be kept to.
    pub locked: bool,
}

/// Builds.
pub fn run(options: &Options) -> Result<()> {
    if !options.distro.is_dir() {
        bail!(
            "there is no folder {}: run this in a checkout of Keelson, or name its folder of manifests with --distro",
            options.distro.display()
        );
    }
    let distro = Distro::load(&options.distro, &make::version())?;
    let programs = match &options.programs {
        Some(folder) => folder.clone(),
        None => beside_us()?,
    };
    // What is missing is said before anything is compiled for minutes.
    let programs = Programs::open(&programs)?;
    let missing = make::missing_packages(&distro).join(" ");
    if !missing.is_empty() {
        bail!(
            "these Debian packages are missing: {missing}\ninstall them: sudo apt-get install --no-install-recommends {missing}"
        );
    }
    let cache = match &options.cache {
        Some(folder) => std::path::absolute(folder).context("find the cache")?,
        None => usual_cache()?,
    };
    let settings = Settings {
        distro: options.distro.clone(),
        cache: cache.clone(),
        epoch: make::epoch(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?,
        when_gone: if options.locked {
            WhenGone::Fail
        } else {
            WhenGone::Replace
        },
    };
    let parts = make::parts(&settings, &Lines, || Ok::<_, MakeError>(programs))?;
    let list = parts.products(&cache, &options.output, &Lines)?;
    print(&format!(
        "{}: {} files, {} images\n",
        options.output.display(),
        list.files.len(),
        list.images.len()
    ))?;
    Ok(())
}

/// `cargo xtask dist` leaves our programs in a folder beside this one.
fn beside_us() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    Ok(own.parent().unwrap_or(Path::new("/")).join("programs"))
}

fn usual_cache() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.context("HOME is not set: say with --cache where downloads may be kept")?;
    Ok(PathBuf::from(home).join(".cache/keelson"))
}

/// One line for each step, when it ends.
struct Lines;

impl Progress for Lines {
    fn begin(&self, _: &str) {}

    fn end(&self, step: &str, outcome: Option<Outcome>, took: Duration) {
        let seconds = took.as_secs_f64();
        note(&match outcome {
            Some(Outcome::Unchanged) => format!("{step}: unchanged"),
            Some(Outcome::Done(words)) if words.is_empty() => format!("{step}: {seconds:.1} s"),
            Some(Outcome::Done(words)) => format!("{step}: {words}, {seconds:.1} s"),
            None => format!("{step}: failed after {seconds:.1} s"),
        });
    }

    fn note(&self, text: &str) {
        note(text);
    }
}
