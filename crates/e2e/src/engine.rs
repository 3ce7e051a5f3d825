//! A Docker engine of the tests' own: everything it has is in one folder, and it leaves the machine's packet filter
//! alone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::program::Program;
use crate::running::send;
use crate::wait::eventually;

/// What a privileged container asks for and many machines give nobody (capabilities(7), number 24).
const SYS_RESOURCE: (&str, u32) = ("CAP_SYS_RESOURCE", 24);
/// How long the engine may take to start, and to end with what it runs.
const LIMIT: Duration = Duration::from_secs(60);

/// A running engine. It ends when this is dropped, or with this process, and its containers with it.
#[derive(Debug)]
pub struct Engine {
    folder: PathBuf,
    daemon: Child,
    /// Docker's command line, talking to it.
    pub docker: Program,
}

impl Engine {
    /// Starts an engine that keeps its data in `folder`; one that was there before finds its containers again.
    ///
    /// # Errors
    /// Its programs are missing, or it does not start.
    pub fn start(folder: &Path) -> Result<Engine> {
        let folder = folder.join("docker");
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let programs = programs()?;
        let runtime = runtime(&folder, &programs)?;
        // What this machine's own engine is told is not for this one, nor is its key.
        let config = folder.join("daemon.json");
        let key = folder.join("key.json");
        std::fs::write(&config, serde_json::json!({ "deprecated-key-path": key }).to_string())?;
        let log = std::fs::File::create(folder.join("engine.log")).context("make the engine's log")?;
        let path = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--"])
            .arg(programs.join("dockerd"));
        command.args(["--config-file", &config.display().to_string()]);
        command.args(["--host", &socket(&folder), "--pidfile", &path("engine.pid")]);
        command.args(["--data-root", &path("data"), "--exec-root", &path("run")]);
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--oom-score-adjust=0",
        ]);
        command.args([
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--cgroup-parent",
            &group(&folder),
        ]);
        command.arg(format!("--add-runtime=tests={}", runtime.display()));
        command.arg("--default-runtime=tests");
        command.env("PATH", search(&programs));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let daemon = command.spawn().context("start the engine: run setpriv")?;
        let docker = Program::at(programs.join("docker")).with_env("DOCKER_HOST", Path::new(&socket(&folder)));
        let engine = Engine { folder, daemon, docker };
        let ready = eventually("the Docker engine", LIMIT, || engine.docker.output(&["version"]));
        ready.with_context(|| engine.log()).map(|_| engine)
    }

    /// A program that talks to this engine when it runs `docker`.
    ///
    /// # Errors
    /// The engine's programs are gone.
    pub fn used_by(&self, program: Program) -> Result<Program> {
        let program = program.with_env("DOCKER_HOST", Path::new(&socket(&self.folder)));
        Ok(program.with_env("PATH", Path::new(&search(&programs()?))))
    }

    /// Fails if the engine has a container, network or volume.
    ///
    /// # Errors
    /// What it has.
    pub fn expect_empty(&self) -> Result<()> {
        for list in [
            &["ps", "--all"][..],
            &["volume", "ls"],
            &["network", "ls", "--filter=type=custom"],
        ] {
            let left = self.docker.output(&[list, &["--quiet"]].concat())?;
            ensure!(left.trim().is_empty(), "docker {} shows: {left}", list.join(" "));
        }
        Ok(())
    }

    /// The end of what the engine printed.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("engine.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "the engine says:\n{}",
            lines[lines.len().saturating_sub(20)..].join("\n")
        )
    }

    fn stop(&mut self) -> Result<()> {
        // One that ended by itself needs no signal.
        let _ = send("TERM", self.daemon.id());
        let ended = eventually("the end of the Docker engine", LIMIT, || {
            self.daemon.try_wait()?.context("it still runs").map(drop)
        });
        if ended.is_err() {
            self.daemon.kill()?;
            self.daemon.wait()?;
        }
        ended
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            println!("{error:?}\n{}", self.log());
        }
        remove_groups(&group(&self.folder));
    }
}

/// Whether an engine has worked in this folder.
pub fn was_in(folder: &Path) -> bool {
    folder.join("docker/data").exists()
}

/// The folder with `dockerd` and what it runs.
fn programs() -> Result<PathBuf> {
    let folder = std::env::var_os("KEELSON_DOCKER").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("dockerd").exists());
    folder.context("KEELSON_DOCKER names no folder with dockerd (`cargo xtask engine` prepares one)")
}

fn search(programs: &Path) -> String {
    let rest = std::env::var("PATH").unwrap_or_default();
    format!("{}:{rest}:/usr/sbin:/sbin", programs.display())
}

fn socket(folder: &Path) -> String {
    format!("unix://{}/engine.sock", folder.display())
}

/// The control group above those of the containers: that of the test's folder, which an engine that comes after a killed
/// one finds too.
fn group(folder: &Path) -> String {
    let place = folder.parent().and_then(Path::file_name).unwrap_or_default();
    format!("/{}", place.display())
}

/// The program that makes containers. Where the machine withholds a capability, an engine of this age asks for it all
/// the same and no privileged container starts; newer ones ask for what there is, as this does.
fn runtime(folder: &Path, programs: &Path) -> Result<PathBuf> {
    let runc = programs.join("runc");
    let status = std::fs::read_to_string("/proc/self/status").context("read the capabilities")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.unwrap_or_default().trim(), 16).context("read the capabilities")?;
    if effective & (1 << SYS_RESOURCE.1) != 0 {
        return Ok(runc);
    }
    let script = format!(
        "#!/bin/sh\nfor word in \"$@\"; do\n  [ \"$last\" = --bundle ] && sed -i 's/\"{}\",//g' \"$word/config.json\"\n  \
         last=$word\ndone\nexec {} \"$@\"\n",
        SYS_RESOURCE.0,
        runc.display()
    );
    let path = folder.join("runtime");
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

/// The engine leaves its control group, empty, in every hierarchy.
fn remove_groups(group: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        let _ = std::fs::remove_dir(hierarchy.join(group.trim_start_matches('/')));
    }
}
