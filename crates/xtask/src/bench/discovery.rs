//! The discovery service: what it takes to hold many clusters, and how quickly news travel.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::guard::{Guard, Thing};
use super::report::{Against, Row, Unit, median};
use crate::ui::Ui;
use crate::{dist, host, paths};

const CLUSTERS: &str = "10000";
const AFFILIATES: &str = "10";
const WATCHERS: &str = "1000";
/// Connections of all watchers together, as proxies and clients that share them have. Nodes have one each.
const SHARED: &str = "8";
const ROUNDS: &str = "100";
const SECONDS: &str = "10";
/// How often the service is started with everything.
const RESTARTS: usize = 5;
/// How long it is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures it.
pub fn measure(ui: &Ui, work: &Path) -> Result<Vec<Row>> {
    let programs = ui.step("the discovery service and its load", || {
        let programs = dist::compile_discovery(&paths::target(&paths::cache()?))?;
        Ok((programs, Some(String::new())))
    })?;
    let bench = Bench {
        program: programs.join("keelson-discovery"),
        load: programs.join("examples/discovery_load"),
        state: work.join("discovery"),
        grpc: free_port()?,
        http: free_port()?,
    };
    std::fs::create_dir_all(&bench.state).with_context(|| format!("create {}", bench.state.display()))?;
    let mut rows = Vec::new();
    let service = bench.start()?.0;
    let mut row = |name: &str, unit, samples, against| rows.push(Row::of(name, unit, samples, against));

    let filled = ui.step("100,000 affiliates in 10,000 clusters", || {
        bench.run::<Sent>(&["fill", CLUSTERS, AFFILIATES]).map(Sent::note)
    })?;
    std::thread::sleep(SETTLE);
    let memory = vec![service.resident()?];
    row(
        "discovery: memory with 100,000 affiliates",
        Unit::Mebibytes,
        memory,
        Against::Target(70.0),
    );
    row(
        "discovery: new affiliates",
        Unit::PerSecond,
        vec![filled.rate()],
        Against::Nothing,
    );

    let updated = ui.step("updates", || {
        bench
            .run::<Sent>(&["update", CLUSTERS, AFFILIATES, SECONDS])
            .map(Sent::note)
    })?;
    row(
        "discovery: updates",
        Unit::PerSecond,
        vec![updated.rate()],
        Against::Least(30_000.0),
    );
    std::thread::sleep(SETTLE);
    let memory = vec![service.resident()?];
    row(
        "discovery: memory after these",
        Unit::Mebibytes,
        memory,
        Against::Target(70.0),
    );

    for (connections, whose) in [(WATCHERS, "a connection each"), (SHARED, "on 8 connections")] {
        let times = ui.step(&format!("1,000 watchers, {whose}"), || {
            let times: Times = bench.run(&["watch", WATCHERS, connections, ROUNDS])?;
            let note = format!("{:.1} ms, last {:.1} ms", median(&times.medians), median(&times.lasts));
            Ok((times, Some(note)))
        })?;
        row(
            &format!("discovery: a change reaches half of 1,000 watchers, {whose}"),
            Unit::Milliseconds,
            times.medians,
            Against::Target(4.0),
        );
        row(
            &format!("discovery: … and the last one, {whose}"),
            Unit::Milliseconds,
            times.lasts,
            Against::Target(9.0),
        );
    }

    service.end(Signal::TERM)?;
    let starts = ui.step("restarts", || {
        let mut starts = Vec::new();
        for _ in 0..RESTARTS {
            let (service, took) = bench.start()?;
            starts.push(took.as_secs_f64());
            std::thread::sleep(SETTLE);
            service.end(Signal::TERM)?;
        }
        Ok((starts, Some(String::new())))
    })?;
    row(
        "discovery: start with all of it",
        Unit::Seconds,
        starts,
        Against::Target(0.15),
    );

    let lost = ui.step("killed under load", || {
        let lost = bench.kill()?;
        let note = format!(
            "{} of {} acknowledged updates are missing",
            lost.lost, lost.acknowledged
        );
        Ok((lost, Some(note)))
    })?;
    row(
        "discovery: what a kill takes",
        Unit::Seconds,
        vec![lost.seconds],
        Against::Target(1.0),
    );
    Ok(rows)
}

struct Bench {
    program: PathBuf,
    load: PathBuf,
    state: PathBuf,
    grpc: SocketAddr,
    http: SocketAddr,
}

/// The service while it runs; it goes when this does.
struct Service {
    child: Child,
    _guard: Guard,
}

#[derive(Deserialize)]
struct Sent {
    updates: u32,
    seconds: f64,
}

#[derive(Deserialize)]
struct Times {
    medians: Vec<f64>,
    lasts: Vec<f64>,
}

#[derive(Deserialize)]
struct Lost {
    acknowledged: u64,
    lost: u64,
    seconds: f64,
}

impl Sent {
    fn rate(&self) -> f64 {
        f64::from(self.updates) / self.seconds
    }

    fn note(self) -> (Sent, Option<String>) {
        let note = format!("{:.0} a second", self.rate());
        (self, Some(note))
    }
}

impl Bench {
    /// Starts the service; how long until it answered.
    fn start(&self) -> Result<(Service, Duration)> {
        let mut guard = Guard::start()?;
        let began = Instant::now();
        let child = Command::new(&self.program)
            .args(["--listen", &self.grpc.to_string()])
            .args(["--http-listen", &self.http.to_string()])
            // All of the load comes from one address.
            .args(["--rate", "0", "--log", "warn"])
            .arg("--state")
            .arg(&self.state)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("run {}", self.program.display()))?;
        guard.watch(&Thing::Process(child.id()))?;
        let mut service = Service { child, _guard: guard };
        while !self.is_ready() {
            if let Some(status) = service.child.try_wait()? {
                bail!("{}: {status}", self.program.display());
            }
            if began.elapsed() > PATIENCE {
                bail!("the discovery service does not answer within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let took = began.elapsed();
        Ok((service, took))
    }

    fn is_ready(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.http)?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let (what, rest) = args.split_at(1);
        let mut command = Command::new(&self.load);
        command.args(what).arg(self.grpc.to_string()).args(rest);
        command
    }

    fn run<T: serde::de::DeserializeOwned>(&self, args: &[&str]) -> Result<T> {
        let printed = host::quiet(&mut self.command(args))?;
        serde_json::from_slice(&printed).with_context(|| format!("read what discovery_load {args:?} says"))
    }

    /// Kills the service under load and starts it again.
    fn kill(&self) -> Result<Lost> {
        let service = self.start()?.0;
        let load = self
            .command(&["survive", "60"])
            .stdout(Stdio::piped())
            .spawn()
            .context("run the load")?;
        std::thread::sleep(SETTLE);
        service.end(Signal::KILL)?;
        let service = self.start()?.0;
        let output = load.wait_with_output().context("wait for the load")?;
        service.end(Signal::TERM)?;
        if !output.status.success() {
            bail!("discovery_load survive: {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("read what discovery_load survive says")
    }
}

impl Service {
    /// Its resident memory in MiB.
    fn resident(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.with_context(|| format!("no VmRSS in {path}"))?.parse()?;
        Ok(kib / 1024.0)
    }

    fn end(mut self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("end the discovery service")?;
        self.child.wait().context("wait for the discovery service")?;
        Ok(())
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}
