//! Containers with a node's privileges: what they see, and that nothing of them stays.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::dist;
use e2e::run::Test;
use e2e::running::send;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};
use crate::dashboard::Terminal;
use crate::kubernetes::IMAGE;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_debug_container_sees_the_node_and_its_exit_code_is_the_commands,
        a_debug_container_has_the_terminal_of_the_person,
        a_debug_container_ends_with_its_client,
    ]
}

const LIMIT: Duration = Duration::from_secs(120);

fn debug<'a>(node: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["-n", node, "debug", IMAGE], args].concat()
}

fn a_debug_container_sees_the_node_and_its_exit_code_is_the_commands(c: &Cluster) -> Result<()> {
    let name = c.keelctl.output(&debug(worker(), &["cat", "/host/etc/os-release"]))?;
    ensure!(name.contains("ID=keelson"), "{name}");
    let addresses = c.keelctl.output(&debug(worker(), &["cat", "/proc/net/fib_trie"]))?;
    ensure!(
        addresses.contains(worker()),
        "it is not in the node's network:\n{addresses}"
    );
    // Larger than what is on the way at any time, so both directions have to flow at once.
    let lines: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
    let echoed = c.keelctl.run_with_input(&debug(worker(), &["cat"]), &lines)?.output()?;
    ensure!(echoed == lines, "{} of {} bytes came back", echoed.len(), lines.len());
    let ended = c.keelctl.run(&debug(worker(), &["exit", "7"]))?;
    ensure!(ended.code == Some(7) && ended.stderr.is_empty(), "{ended:?}");
    let unknown = ["-n", worker(), "debug", "ghcr.io/keelson/none:v1"];
    let unknown = c.keelctl.run(&unknown)?.refusal()?;
    ensure!(unknown.contains("ghcr.io/keelson/none:v1"), "{unknown}");
    let several = format!("{},{}", control_plane(), worker());
    let refused = c.keelctl.run(&debug(&several, &["exit", "0"]))?.refusal()?;
    ensure!(refused.contains("multiple nodes"), "{refused}");
    Ok(())
}

fn a_debug_container_has_the_terminal_of_the_person(c: &Cluster) -> Result<()> {
    let command = debug(control_plane(), &["terminal"]).join(" ");
    let line = format!(
        "{} {command}; echo ended with $?; stty -a; echo all done",
        dist().join("keelctl").display()
    );
    let mut terminal = Terminal::start(&line, &c.folder().join("talosconfig"))?;
    let seen = terminal.shows(0, &["a terminal of 100 columns and 30 rows"])?;
    terminal.press("anything\r")?;
    // What is typed is shown once: by the container's terminal, not by the person's.
    let seen = terminal.shows(seen, &["anything", "a terminal of 100 columns and 30 rows"])?;
    ensure!(
        terminal.text(0).0.matches("anything").count() == 1,
        "{}",
        terminal.text(0).0
    );
    terminal.press("exit\r")?;
    terminal.shows(seen, &["ended with 0", "all done"])?;
    let (text, _) = terminal.text(seen);
    let settings: Vec<&str> = text.split_whitespace().collect();
    for setting in ["icanon", "echo", "isig"] {
        ensure!(settings.contains(&setting), "the terminal is without {setting}:\n{text}");
    }
    Ok(())
}

fn a_debug_container_ends_with_its_client(c: &Cluster) -> Result<()> {
    // A number that nothing else on the machine sleeps for.
    const MARK: &str = "86399";
    let runs = || Ok::<_, anyhow::Error>(c.ask(worker(), &["processes"])?.contains(&format!("sleep {MARK}")));
    let mut command = c.keelctl.command(&debug(worker(), &["sleep", MARK]));
    let mut client = command.stdout(Stdio::null()).spawn().context("start keelctl debug")?;
    let begun = eventually("the container", LIMIT, || {
        ensure!(runs()?, "it does not run");
        Ok(())
    });
    let killed = send("KILL", client.id());
    client.wait()?;
    begun?;
    killed?;
    eventually("the end of the container", LIMIT, || {
        ensure!(!runs()?, "it still runs");
        let left = c.ask(worker(), &["list", "/system/run/debug"])?;
        ensure!(left.lines().count() <= 2, "something is left:\n{left}");
        Ok(())
    })
}
