//! A virtual machine with Debian's kernel, for what the machine of the tests may not have or must not be done to: control
//! groups of version 2, and a clock that is set.
//!
//! It is emulated (no KVM is needed), has one disk with the built distribution, no network, and a shell behind a socket.
//! While it works, its time is counted in instructions: one takes a nanosecond, however long the host takes for it. On a
//! host that is slow or busy everything takes longer, and nothing in the machine notices, so nothing there runs out of
//! time. While it waits, its time jumps to when it goes on.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::program::{Ran, dist};
use crate::site::folder;
use crate::wait::eventually;

/// What the machine is given: enough for a control plane of one node, and one processor, as several wait for each other
/// all the time when instructions are counted.
const MEMORY: &str = "5G";
/// The size of its disk, which takes no more of ours than is written to it.
const DISK: &str = "8G";
/// How long it may take to boot. Emulation is slow, and a busy host slower.
const BOOT_LIMIT: Duration = Duration::from_secs(600);
/// How long a command in it may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(3600);
/// The first program that runs in it.
const START: &str = include_str!("machine/start");
/// Comes before the exit code of a command, and before the end of what it wrote to its error output.
const MARK: &str = "=e2e=";

/// A running machine. It ends when this is dropped, or with this process.
pub struct Machine {
    folder: TempDir,
    emulator: Child,
    shell: RefCell<UnixStream>,
}

impl Machine {
    /// Boots one with the built distribution in `/dist`.
    ///
    /// # Errors
    /// What it is made of is missing, or it does not start.
    pub fn boot() -> Result<Machine> {
        let started = Instant::now();
        let (folder, parts) = (folder()?, parts()?);
        let disk = disk(folder.path(), &parts)?;
        let socket = folder.path().join("shell.sock");
        let mut emulator = emulator(&parts.join("kernel"), &disk, &socket, &console(folder.path()))
            .spawn()
            .context("start the virtual machine: run setpriv")?;
        let shell = eventually("the emulator", BOOT_LIMIT, || {
            let ended = emulator.try_wait()?;
            ensure!(ended.is_none(), "it ended: {ended:?}");
            UnixStream::connect(&socket).context("connect to the machine's shell")
        });
        let shell = match shell {
            Ok(shell) => shell,
            Err(error) => {
                let _ = emulator.kill();
                let _ = emulator.wait();
                return Err(error);
            }
        };
        let machine = Machine {
            folder,
            emulator,
            shell: RefCell::new(shell),
        };
        eventually("the virtual machine to boot", BOOT_LIMIT, || {
            let said = machine.said();
            ensure!(said.contains("ready for commands"), "its console says: {said}");
            Ok(())
        })?;
        println!("machine: booted in {:.1} s", started.elapsed().as_secs_f64());
        Ok(machine)
    }

    /// Runs lines of shell in it.
    ///
    /// # Errors
    /// The machine does not answer.
    pub fn run(&self, script: &str) -> Result<Ran> {
        let mut shell = self.shell.borrow_mut();
        let lines =
            format!("(\n{script}\n) < /dev/null 2> /tmp/error; echo \"{MARK}$?\"; cat /tmp/error; echo \"{MARK}\"\n");
        shell
            .write_all(lines.as_bytes())
            .context("tell the machine what to do")?;
        let stdout = read_to(&mut shell, MARK).with_context(|| format!("run in the machine: {script}"))?;
        let code = read_to(&mut shell, "\n")?;
        let stderr = read_to(&mut shell, &format!("{MARK}\n"))?;
        Ok(Ran {
            command: script.to_owned(),
            code: Some(code.trim().parse().context("read an exit code")?),
            stdout,
            stderr,
        })
    }

    /// Runs lines of shell in it and gives what they print.
    ///
    /// # Errors
    /// They failed.
    pub fn output(&self, script: &str) -> Result<String> {
        self.run(script)?.output()
    }

    /// The end of what it printed on its console.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(console(self.folder.path())).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

/// The folder with what a machine is made of.
fn parts() -> Result<PathBuf> {
    let folder = std::env::var_os("KEELSON_VM").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("kernel").exists());
    folder.context("KEELSON_VM names no folder with a kernel (`cargo xtask vm` prepares one)")
}

fn console(folder: &Path) -> PathBuf {
    folder.join("console.log")
}

/// A disk with the modules of the kernel, a shell and the distribution.
fn disk(folder: &Path, parts: &Path) -> Result<PathBuf> {
    let (root, disk) = (folder.join("root"), folder.join("disk"));
    for place in [
        "bin", "dev", "etc", "img", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin",
    ] {
        std::fs::create_dir_all(root.join(place)).with_context(|| format!("make the machine's /{place}"))?;
    }
    let modules = parts
        .join("modules")
        .canonicalize()
        .context("find the kernel's modules")?;
    let version = modules.file_name().context("the modules are of no version")?;
    std::fs::create_dir(root.join("lib/modules"))?;
    copy(&modules, &root.join("lib/modules").join(version))?;
    copy(&parts.join("busybox"), &root.join("bin/busybox"))?;
    copy(&dist(), &root.join("dist"))?;
    symlink("busybox", root.join("bin/sh"))?;
    // The kernel runs this to load what is used.
    symlink("../bin/busybox", root.join("sbin/modprobe"))?;
    std::fs::write(root.join("sbin/start"), START)?;
    std::fs::set_permissions(
        root.join("sbin/start"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let mut make = Command::new("/sbin/mke2fs");
    make.args(["-q", "-t", "ext4", "-E", "root_owner=0:0", "-d"])
        .arg(&root)
        .arg(&disk)
        .arg(DISK);
    succeed(&mut make)?;
    std::fs::remove_dir_all(&root).context("remove what the disk was made from")?;
    Ok(disk)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    succeed(
        Command::new("cp")
            .args(["--recursive", "--dereference", "--preserve=mode"])
            .arg(from)
            .arg(to),
    )
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The emulator, which ends with this process.
fn emulator(kernel: &Path, disk: &Path, socket: &Path, console: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
    command.args([
        "-accel",
        "tcg",
        "-icount",
        "shift=0,sleep=off",
        "-cpu",
        "max",
        "-m",
        MEMORY,
    ]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    command.arg("-kernel").arg(kernel);
    // Both are in the kernel, so it needs no other system to find its disk: NVMe and ext4.
    command.args([
        "-append",
        "root=/dev/nvme0n1 rootwait rw init=/sbin/start console=ttyS0 panic=-1 loglevel=4",
    ]);
    command.args(["-device", "nvme,drive=disk,serial=disk", "-drive"]);
    command.arg(format!(
        "id=disk,if=none,format=raw,cache=unsafe,file={}",
        disk.display()
    ));
    command.args([
        "-device",
        "virtio-serial",
        "-device",
        "virtserialport,chardev=shell",
        "-chardev",
    ]);
    command.arg(format!("socket,id=shell,server=on,wait=off,path={}", socket.display()));
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.stdin(Stdio::null());
    command
}

/// Reads up to and including `end`, which is left out.
fn read_to(shell: &mut UnixStream, end: &str) -> Result<String> {
    let (mut bytes, mut byte, started) = (Vec::new(), [0], Instant::now());
    shell.set_read_timeout(Some(Duration::from_secs(1)))?;
    while !bytes.ends_with(end.as_bytes()) {
        match shell.read(&mut byte) {
            Ok(0) => bail!("the machine is gone"),
            Ok(_) => bytes.push(byte[0]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("read what the machine says"),
        }
        let so_far = || String::from_utf8_lossy(&bytes).into_owned();
        ensure!(
            started.elapsed() < COMMAND_LIMIT,
            "no end within {COMMAND_LIMIT:?}: {}",
            so_far()
        );
    }
    bytes.truncate(bytes.len() - end.len());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
