//! What a debug container is: an image's files, and the node around them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::proto::machine::debug_container_run_request_spec::Profile;
use image::pull::Pulled;
use sys::sandbox::{Input, Mount, Namespaces, Output, Root, SandboxSpec, WindowSize};

/// Most bytes that a container may write to its root, which are kept in memory.
const SCRATCH: u64 = 512 << 20;
/// Where programs are looked for when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The first to go when the node runs out of memory.
const OOM_SCORE: i32 = 1000;
/// Files of the node that tell names and addresses.
const NAMES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// A container that somebody asked for.
pub struct Wanted<'a> {
    /// What it is made of.
    pub image: &'a Pulled,
    /// Words for its command.
    pub args: &'a [String],
    /// Its environment beside the image's.
    pub env: &'a BTreeMap<String, String>,
    /// How much of the node it shares.
    pub profile: Profile,
    /// How large its terminal is, where it has one.
    pub terminal: Option<WindowSize>,
}

impl Wanted<'_> {
    /// The container as a sandbox: all privileges, the node's network and devices, the node's files in `/host`. It joins
    /// `groups`; without any it has processes of its own in any case, so that its end is the end of all of them.
    ///
    /// # Errors
    /// The image names no command and none was asked for.
    pub fn sandbox(&self, place: &Path, groups: Vec<PathBuf>) -> Result<SandboxSpec, String> {
        let env = self.environment();
        let own = self.profile != Profile::HostNs;
        Ok(SandboxSpec {
            argv: self.command(&env)?,
            cwd: self.image.config.working_dir.clone().into(),
            namespaces: Namespaces {
                mount: true,
                pid: own || groups.is_empty(),
                ipc: own,
                ..Namespaces::default()
            },
            root: Root::Scratch {
                lower: self.image.rootfs(),
                mountpoint: place.to_owned(),
                size: SCRATCH,
            },
            mounts: mounts(),
            oom_score_adj: Some(OOM_SCORE),
            cgroups: groups,
            new_session: true,
            terminal: self.terminal,
            stdin: Input::Pipe,
            stdout: Output::Pipe,
            stderr: Output::Pipe,
            env,
            ..SandboxSpec::default()
        })
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut env: BTreeMap<_, _> = [("PATH", PATH), ("HOME", "/root")].map(pair).into();
        if self.terminal.is_some() {
            env.insert("TERM".into(), "xterm".into());
        }
        env.extend(self.image.config.env.iter().filter_map(|v| v.split_once('=').map(pair)));
        env.extend(self.env.clone());
        env
    }

    /// The image's command, whose arguments the ones asked for replace; its program as a path in the image.
    fn command(&self, env: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
        let config = &self.image.config;
        let words = if self.args.is_empty() { &config.cmd } else { self.args };
        let mut command: Vec<String> = config.entrypoint.iter().chain(words).cloned().collect();
        let Some(program) = command.first_mut() else {
            let text = "names no command: give one behind the image";
            return Err(format!("the image {} {text}", self.image.reference));
        };
        let root = self.image.rootfs();
        let is_there = |path: &Path| {
            let relative = path.strip_prefix("/").unwrap_or(path);
            // A link may lead anywhere in the image; whether to a program is found out when it is started.
            root.join(relative).symlink_metadata().is_ok()
        };
        if program.contains('/') {
            *program = Path::new("/")
                .join(&config.working_dir)
                .join(&program)
                .display()
                .to_string();
        } else {
            let folders = env.get("PATH").map_or(PATH, String::as_str).split(':');
            let mut paths = folders.map(|folder| Path::new("/").join(folder).join(&program));
            let found = paths.find(|path| is_there(path));
            let path = found.ok_or_else(|| format!("the image {} has no program {program}", self.image.reference))?;
            *program = path.display().to_string();
        }
        Ok(command)
    }
}

fn mounts() -> Vec<Mount> {
    let names = NAMES.iter().filter(|name| Path::new(name).exists());
    let names = names.map(|name| Mount::bind(*name, *name, true));
    let node = [
        Mount::rbind("/", "/host", false),
        Mount::Proc { target: "/proc".into() },
        Mount::rbind("/sys", "/sys", false),
        Mount::rbind("/dev", "/dev", false),
    ];
    node.into_iter().chain(names).collect()
}

#[cfg(test)]
mod tests {
    use image::oci::ImageConfig;

    use super::*;

    fn image(folder: &Path, entrypoint: &[&str], cmd: &[&str]) -> Pulled {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let config = ImageConfig {
            entrypoint: words(entrypoint),
            cmd: words(cmd),
            env: vec!["PATH=/tools".into(), "COLOUR=red".into()],
            working_dir: "/work".into(),
            ..ImageConfig::default()
        };
        Pulled {
            reference: "example.org/tools:1".into(),
            digest: image::digest::Digest::of(b""),
            config,
            dir: folder.to_owned(),
        }
    }

    fn wanted<'a>(image: &'a Pulled, args: &'a [String], env: &'a BTreeMap<String, String>) -> Wanted<'a> {
        Wanted {
            image,
            args,
            env,
            profile: Profile::Privileged,
            terminal: Some(WindowSize::default()),
        }
    }

    #[test]
    fn arguments_replace_those_of_the_image_and_programs_are_found_in_its_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("rootfs/tools")).unwrap();
        std::os::unix::fs::symlink("/busy", folder.path().join("rootfs/tools/sh")).unwrap();
        let (none, env) = (Vec::new(), BTreeMap::new());
        let command = |entrypoint: &[&str], cmd: &[&str], args: &[String]| {
            let image = image(folder.path(), entrypoint, cmd);
            let sandbox = wanted(&image, args, &env).sandbox(Path::new("/place"), Vec::new());
            sandbox.map(|sandbox| sandbox.argv)
        };
        assert_eq!(command(&["sh", "-x"], &["a"], &none).unwrap(), ["/tools/sh", "-x", "a"]);
        let args = ["b".to_owned()];
        assert_eq!(command(&["./run"], &["a"], &args).unwrap(), ["/work/./run", "b"]);
        assert_eq!(command(&["/run"], &[], &none).unwrap(), ["/run"]);
        let unknown = command(&[], &[], &args).unwrap_err();
        assert_eq!(unknown, "the image example.org/tools:1 has no program b");
        assert!(command(&[], &[], &none).unwrap_err().contains("names no command"));
    }

    #[test]
    fn the_environment_is_the_images_and_what_was_asked_for() {
        let image = image(Path::new("/none"), &["/run"], &[]);
        let env = BTreeMap::from([("COLOUR".to_owned(), "blue".to_owned())]);
        let sandbox = wanted(&image, &[], &env)
            .sandbox(Path::new("/place"), Vec::new())
            .unwrap();
        let value = |name: &str| sandbox.env[name].as_str();
        assert_eq!(
            (value("COLOUR"), value("PATH"), value("TERM")),
            ("blue", "/tools", "xterm")
        );
    }

    #[test]
    fn a_container_without_control_groups_has_processes_of_its_own() {
        let image = image(Path::new("/none"), &["/run"], &[]);
        let env = BTreeMap::new();
        let host = Wanted {
            profile: Profile::HostNs,
            ..wanted(&image, &[], &env)
        };
        let shares = |groups: Vec<PathBuf>| !host.sandbox(Path::new("/place"), groups).unwrap().namespaces.pid;
        assert!(shares(vec!["/group".into()]));
        assert!(!shares(Vec::new()));
    }
}
