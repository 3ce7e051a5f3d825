//! The command line as people and scripts use it: following, its own configuration, names, terminals, and what it says
//! when something is wrong.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::{Program, dist};
use e2e::run::Test;
use e2e::running::Running;
use e2e::site::{folder, network};
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};

const LIMIT: Duration = Duration::from_secs(60);
/// The number of the signal that an interrupt key sends.
const SIGINT: i32 = 2;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        what_is_followed_goes_on_until_it_is_interrupted,
        kernel_messages_are_followed,
        the_client_configuration_is_managed_by_commands,
        the_program_is_talosctl_by_a_link_of_that_name,
        endpoints_that_do_not_answer_are_passed_over,
        a_node_that_does_not_answer_hides_no_others,
        who_cannot_be_reached_is_said_with_what_to_do,
        client_and_server_are_of_one_build,
        colours_are_for_terminals,
        a_mistyped_resource_or_service_is_answered_with_the_right_one,
        what_needs_a_machine_is_refused_with_what_to_do,
    ]
}

/// A command that goes on, asked of a node.
fn follow(c: &Cluster, node: &str, args: &[&str]) -> Result<Running> {
    Running::start(c.keelctl.command(&[&["-n", node], args].concat()))
}

/// Interrupts it as a terminal would; scripts tell by the signal that nothing went wrong.
fn interrupt(mut running: Running) -> Result<()> {
    ensure!(running.runs()?, "it ended by itself:\n{}", running.text());
    running.signal("INT")?;
    let (status, text) = running.end(LIMIT)?;
    ensure!(status.signal() == Some(SIGINT), "{status}\n{text}");
    Ok(())
}

fn what_is_followed_goes_on_until_it_is_interrupted(c: &Cluster) -> Result<()> {
    let mut logs = follow(c, worker(), &["logs", "-f", "kubelet", "--tail", "1"])?;
    let mut events = follow(c, worker(), &["events", "--tail", "1"])?;
    let mut watch = follow(c, worker(), &["get", "services", "kubelet", "--watch"])?;
    // Each shows something old first: it is connected.
    for running in [&mut logs, &mut events] {
        running.line_with(worker(), LIMIT)?;
    }
    watch.line_with("+", LIMIT)?;
    c.ask(worker(), &["service", "kubelet", "restart"])?;
    logs.line_with(worker(), LIMIT)?;
    events.line_with("kubelet", LIMIT)?;
    watch.line_with(" - ", LIMIT)?;
    watch.line_with(" + ", LIMIT)?;
    for running in [logs, events, watch] {
        interrupt(running)?;
    }
    Ok(())
}

fn kernel_messages_are_followed(c: &Cluster) -> Result<()> {
    let mut messages = follow(c, control_plane(), &["dmesg", "-f", "--tail"])?;
    let word = format!("keelson-e2e-{}", std::process::id());
    // Only what comes after it is connected is shown: somebody has to write until then.
    eventually("a new kernel message", LIMIT, || {
        std::fs::write("/dev/kmsg", format!("{word}\n")).context("write /dev/kmsg")?;
        messages.line_with(&word, Duration::from_secs(1))
    })?;
    interrupt(messages)
}

/// A home folder, and the command line with nothing but it in the environment.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Result<Self> {
        Ok(Self(folder()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    fn program(&self, program: Program) -> Program {
        program
            .with_env("HOME", self.0.path())
            .without_env("TALOSCONFIG")
            .without_env("KUBECONFIG")
            .without_env("KEELSON_STATE")
    }

    fn keelctl(&self) -> Program {
        self.program(Program::built("keelctl"))
    }
}

fn client_configuration(c: &Cluster) -> PathBuf {
    c.folder().join("talosconfig")
}

/// A certificate or key of the client configuration, as PEM in a file of its own.
fn extract(config: &Path, field: &str, to: &Path) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{field}: ")))
        .with_context(|| format!("no {field}"))?;
    std::fs::write(to, value)?;
    let decoded = Command::new("base64").arg("-d").arg(to).output()?;
    ensure!(decoded.status.success(), "{field} is not base64: {decoded:?}");
    std::fs::write(to, decoded.stdout)?;
    Ok(())
}

fn the_client_configuration_is_managed_by_commands(c: &Cluster) -> Result<()> {
    let home = Home::new()?;
    let keelctl = home.keelctl();
    let admin = client_configuration(c).to_string_lossy().into_owned();

    keelctl.output(&["config", "merge", &admin])?;
    let contexts = keelctl.output(&["config", "contexts"])?;
    ensure!(contexts.contains("*         e2e"), "{contexts}");
    keelctl.output(&["config", "merge", &admin])?;
    ensure!(
        keelctl.output(&["config", "contexts"])? == contexts,
        "the same context is there twice"
    );
    ensure!(keelctl.output(&["version"])?.contains(control_plane()), "version");

    let reader = home.text("reader");
    let new = ["config", "new", &reader, "--roles", "os:reader", "--crt-ttl", "1h"];
    keelctl.output(&new)?;
    let refusal = keelctl.run(&new)?.refusal()?;
    ensure!(refusal.contains("already exists"), "{refusal}");
    let info = keelctl.output(&["--talosconfig", &reader, "config", "info"])?;
    ensure!(
        info.contains("os:reader") && info.contains("minutes from now"),
        "{info}"
    );
    let merged = keelctl.run(&["config", "merge", &reader])?;
    ensure!(
        merged.ok()
            && merged
                .stderr
                .contains("renamed talosconfig context \"e2e\" -> \"e2e-1\""),
        "{merged:?}"
    );

    for field in ["ca", "crt", "key"] {
        extract(&client_configuration(c), field, &home.path(field))?;
    }
    let (ca, crt, key) = (home.text("ca"), home.text("crt"), home.text("key"));
    keelctl.output(&["config", "add", "mine", "--ca", &ca, "--crt", &crt, "--key", &key])?;
    let refusal = keelctl.run(&["config", "add", "half", "--crt", &crt])?.refusal()?;
    ensure!(refusal.contains("--key"), "{refusal}");
    keelctl.output(&["config", "context", "mine"])?;
    let refusal = keelctl.run(&["version"])?.refusal()?;
    ensure!(refusal.contains("--nodes"), "{refusal}");
    keelctl.output(&["config", "endpoint", control_plane()])?;
    keelctl.output(&["config", "node", control_plane(), worker()])?;
    let version = keelctl.output(&["version", "--short"])?;
    ensure!(
        version.contains(control_plane()) && version.contains(worker()),
        "{version}"
    );
    let info = keelctl.output(&["config", "info", "-o", "json"])?;
    let info: serde_json::Value = serde_json::from_str(&info)?;
    ensure!(info["context"] == "mine" && info["nodes"][1] == worker(), "{info}");

    let refusal = keelctl.run(&["config", "context", "mien"])?.refusal()?;
    ensure!(refusal.contains("mien") && refusal.contains("mine"), "{refusal}");
    keelctl.output(&["config", "remove", "e2e*", "--dry-run"])?;
    ensure!(keelctl.output(&["config", "contexts"])?.contains("e2e-1"), "a dry run");
    let refusal = keelctl.run(&["config", "remove", "e2e-1"])?.refusal()?;
    ensure!(refusal.contains("--noconfirm"), "{refusal}");
    keelctl.output(&["config", "remove", "e2e*", "-y"])?;
    let left = keelctl.output(&["config", "contexts"])?;
    ensure!(!left.contains("e2e") && left.contains("mine"), "{left}");
    Ok(())
}

fn the_program_is_talosctl_by_a_link_of_that_name(c: &Cluster) -> Result<()> {
    let home = Home::new()?;
    let link = home.path("talosctl");
    std::os::unix::fs::symlink(std::path::absolute(dist().join("keelctl"))?, &link)?;
    let (keelctl, talosctl) = (home.keelctl(), home.program(Program::at(link.clone())));
    let admin = client_configuration(c);

    // Its files are those of its name, also beside ours.
    talosctl.output(&["config", "merge", &admin.to_string_lossy()])?;
    ensure!(home.path(".talos/config").exists(), "~/.talos/config is not written");
    ensure!(talosctl.output(&["version"])?.contains(control_plane()), "version");
    keelctl.output(&["config", "add", "ours"])?;
    ensure!(
        keelctl.output(&["config", "contexts"])?.contains("ours"),
        "what exists is used by both"
    );
    std::fs::create_dir_all(home.path(".keelson"))?;
    std::fs::rename(home.path(".talos/config"), home.path(".keelson/config"))?;
    let missing = talosctl.run(&["config", "info"])?.refusal()?;
    ensure!(missing.contains(".talos/config"), "{missing}");
    keelctl.output(&["version"])?;

    let named = talosctl.clone().with_env("TALOSCONFIG", &admin);
    ensure!(named.output(&["version"])?.contains(control_plane()), "TALOSCONFIG");
    let flag = home.text("nothing");
    let refusal = named.run(&["--talosconfig", &flag, "version"])?.refusal()?;
    ensure!(refusal.contains(&flag), "a flag comes first: {refusal}");
    let script = talosctl.output(&["completion", "bash"])?;
    ensure!(script.contains("-F _talosctl"), "completion is of the other name");
    let shown = talosctl.run(&["cluster", "show", "--name", "nothing"])?.refusal()?;
    ensure!(shown.contains(".talos/clusters"), "{shown}");
    Ok(())
}

/// An address of the cluster's network that nobody has.
fn nobody() -> String {
    network().host(99).to_string()
}

fn endpoints_that_do_not_answer_are_passed_over(c: &Cluster) -> Result<()> {
    let endpoints = format!("127.0.0.1:1,{},{}", nobody(), control_plane());
    let version = c.ask(worker(), &["-e", &endpoints, "version"])?;
    ensure!(version.contains(worker()), "{version}");
    Ok(())
}

fn a_node_that_does_not_answer_hides_no_others(c: &Cluster) -> Result<()> {
    let nodes = format!("{},{},{}", control_plane(), nobody(), worker());
    for args in [
        &["get", "hostname"][..],
        &["service"],
        &["logs", "kubelet", "--tail", "1"],
        &["list", "/etc/hostname"],
    ] {
        let ran = c.keelctl.run(&[&["-n", &nodes], args].concat())?;
        ensure!(ran.code == Some(1), "{ran:?}");
        ensure!(ran.stderr.contains(&nobody()), "{ran:?}");
        for node in [control_plane(), worker()] {
            ensure!(ran.stdout.contains(node), "{ran:?}");
        }
    }
    Ok(())
}

fn who_cannot_be_reached_is_said_with_what_to_do(c: &Cluster) -> Result<()> {
    let refused = |args: &[&str]| c.keelctl.run(&[args, &["version"]].concat())?.refusal();
    let nobody = nobody();
    for (args, words) in [
        (
            &["-e", "127.0.0.1:1"][..],
            ["127.0.0.1:1: Connection refused", "cluster show"],
        ),
        (&["-e", &nobody], [nobody.as_str(), "is the node up"]),
        (&["-n", &nobody], [nobody.as_str(), "is the node up"]),
        (
            &["-e", "nowhere.invalid"],
            ["nowhere.invalid", "nobody knows this name"],
        ),
        (
            &["-n", "nowhere.invalid"],
            ["nowhere.invalid", "nobody knows this name"],
        ),
        // A server of this cluster whose certificate is of another authority.
        (
            &["-e", &format!("{}:10250", control_plane())],
            ["UnknownIssuer", "another cluster"],
        ),
    ] {
        let refusal = refused(&[args, &["-n", control_plane()][..usize::from(args[0] == "-e") * 2]].concat())?;
        for word in words {
            ensure!(refusal.contains(word), "{args:?}: {word:?} is not in: {refusal}");
        }
    }
    Ok(())
}

fn client_and_server_are_of_one_build(c: &Cluster) -> Result<()> {
    let version = c.ask(control_plane(), &["version"])?;
    for label in ["Tag:", "SHA:", "Built:"] {
        let values: Vec<&str> = version
            .lines()
            .filter_map(|line| line.trim().strip_prefix(label))
            .collect();
        ensure!(
            values.len() == 2 && values[0] == values[1],
            "{label} {values:?}\n{version}"
        );
    }
    // A build that knows its commit knows when that was made.
    let undefined = version.contains("undefined");
    let built = version.lines().filter(|line| line.trim() == "Built:").count();
    ensure!(undefined == (built == 2), "{version}");
    Ok(())
}

fn colours_are_for_terminals(c: &Cluster) -> Result<()> {
    let line = |args: &str| format!("{} -n {} {args}", dist().join("keelctl").display(), control_plane());
    let on_terminal = |args: &str, no_colour: bool| -> Result<String> {
        // `script` runs a command on a terminal of its own.
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &line(args), "/dev/null"]);
        command
            .env("TALOSCONFIG", client_configuration(c))
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        if no_colour {
            command.env("NO_COLOR", "1");
        }
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .context("run `script`")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for args in ["service", "get services", "health --wait-timeout 1m", "get nothing"] {
        let words: Vec<&str> = args.split(' ').collect();
        let coloured = on_terminal(args, false)?;
        ensure!(
            coloured.contains("\x1b["),
            "{args} has no colours on a terminal:\n{coloured}"
        );
        let plain = on_terminal(args, true)?;
        ensure!(!plain.contains('\x1b'), "{args} has colours with NO_COLOR:\n{plain}");
        let piped = c.keelctl.run(&[&["-n", control_plane()], &words[..]].concat())?;
        let piped = format!("{}{}", piped.stdout, piped.stderr);
        ensure!(!piped.contains('\x1b'), "{args} has colours in a pipe:\n{piped}");
    }
    Ok(())
}

fn a_mistyped_resource_or_service_is_answered_with_the_right_one(c: &Cluster) -> Result<()> {
    for (args, right) in [
        (&["get", "membr"][..], "member"),
        (&["get", "machineconfg"], "machineconfig"),
        (&["service", "kublet"], "kubelet"),
        (&["logs", "kublet"], "`service`"),
    ] {
        let refusal = c.keelctl.run(&[&["-n", control_plane()], args].concat())?.refusal()?;
        ensure!(refusal.contains(right), "{args:?}: {refusal}");
    }
    Ok(())
}

fn what_needs_a_machine_is_refused_with_what_to_do(c: &Cluster) -> Result<()> {
    for (args, word) in [
        (&["rollback"][..], "start the node from another image"),
        (
            &["upgrade", "-i", "ghcr.io/siderolabs/installer:v1.13.0"],
            "start the node from another image",
        ),
        (&["upgrade", "--legacy"], "start the node from another image"),
        (&["meta", "write", "0x0a", "value"], "machine configuration"),
        (&["meta", "delete", "10"], "machine configuration"),
        (&["wipe", "disk", "vda"], "belong to the host"),
        (
            &[
                "reset",
                "--wipe-mode",
                "user-disks",
                "--user-disks-to-wipe",
                "/dev/vda",
                "--wait=false",
            ],
            "container",
        ),
    ] {
        let ran = c.keelctl.run(&[&["-n", worker()], args].concat())?;
        ensure!(ran.code == Some(1), "{ran:?}");
        ensure!(
            ran.stderr.contains("container mode") || args[0] == "reset",
            "{args:?}: {ran:?}"
        );
        ensure!(ran.stderr.contains(word), "{args:?}: {ran:?}");
    }
    c.ask(worker(), &["version"]).map(drop)
}
