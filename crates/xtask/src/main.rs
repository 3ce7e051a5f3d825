//! The project's own chores, run as `cargo xtask COMMAND`.

mod again;
mod bench;
mod cluster;
mod deny;
mod dist;
mod engine;
mod fuzz;
mod graph;
mod host;
mod lint;
mod paths;
mod reproduce;
mod tests;
mod ui;
mod vm;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND

  up      build everything and start the default cluster (1 control plane, 1 worker); again: only what is missing
  down    remove the default cluster
  dist    build everything into dist/
  test    everything needed, then all tests, unit to end-to-end
  engine  the Docker engine that end-to-end tests start, for running them by hand
  vm      the virtual machine that `cargo test --workspace --test e2e -- vm` boots
  lint    formatting, clippy, licences, sources and known vulnerabilities of crates
  fuzz    [TARGET…] everything that reads formats from outside, under a fuzzer
  bench   measurements: [cluster|client|discovery|ha|all], or soak; prints a table and writes dist/bench.json

options
  --only NAME[,NAME]     dist: only these Go components (kubernetes, etcd, …), nothing else
  --verify               dist: make the products again, elsewhere and from nothing, and compare every byte
  --programs FOLDER      dist: take machined, keelctl, pause, flannel, cp and testapp (and keelson-discovery, if it is
                         there) from that folder instead of building
  --locked               dist: fail when a Debian package of distro/debian.lock can no longer be had
  --update-debian        dist: only write distro/debian.lock anew, with what the mirrors of this machine have
  --seconds N            fuzz: how long each target runs (60)
  --runs N               bench: how often clusters are started (3)
  --minutes N            bench soak: how long something is killed every ten seconds (30)
  --seed N               bench soak: chooses what an earlier run with this seed chose
  --subnet NETWORK       bench: the network of its clusters (10.6.0.0/24)
  further arguments of up and down go to `keelctl cluster create` and `keelctl cluster destroy`

environment
  KEELSON_CACHE          where downloads and build products are kept (~/.cache/keelson)
  SOURCE_DATE_EPOCH      the time products carry
  GOPROXY, CARGO_…       as go and cargo read them
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        bail!("which chore?\n\n{USAGE}")
    };
    if let Some(result) = bench::hidden(command, rest) {
        return result;
    }
    let ui = ui::Ui::new();
    match command.as_str() {
        "dist" => dist::run(&ui, &dist::Options::parse(rest)?).map(|_| ()),
        "up" => cluster::up(&ui, rest),
        "down" => cluster::down(&ui, rest),
        "test" => tests::run(&ui, rest),
        "engine" => engine::run(&ui),
        "vm" => vm::run(&ui),
        "lint" => lint::run(&ui),
        "fuzz" => fuzz::run(&ui, rest),
        "bench" => bench::run(&ui, rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no chore {other:?}\n\n{USAGE}"),
    }
}
