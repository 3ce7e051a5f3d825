//! `bench`: how fast and how small, held against a floor and against targets.

mod certificates;
mod client;
mod discovery;
mod floor;
mod floor_files;
mod floor_node;
mod guard;
mod ha;
mod harm;
mod options;
mod ours;
mod overhead;
mod processes;
mod ready;
mod report;
mod soak;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::ui::Ui;
use crate::{dist, paths};
use options::{Options, Suite};
use report::{Against, Report, Row, Unit};

/// Runs a hidden command: what `bench` starts itself as.
pub fn hidden(command: &str, args: &[String]) -> Option<Result<()>> {
    match (command, args) {
        (guard::COMMAND, []) => Some(guard::run()),
        (floor_node::COMMAND, [setup]) => Some(floor_node::run(Path::new(setup))),
        _ => None,
    }
}

/// What is measured, and where.
struct Tools {
    keelctl: PathBuf,
    kubectl: PathBuf,
    dist: PathBuf,
    /// The floor's programs by name.
    programs: BTreeMap<String, PathBuf>,
    /// Everything that is made is below this.
    work: PathBuf,
    subnet: String,
}

/// When the phases of a start were reached, in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Times {
    phases: Vec<(String, f64)>,
    /// What was printed meanwhile.
    #[serde(skip)]
    printed: Vec<(f64, String)>,
}

impl Times {
    fn add(&mut self, phase: &str, began: Instant, at: Instant) {
        let seconds = at.saturating_duration_since(began).as_secs_f64();
        self.phases.push((phase.to_owned(), seconds));
    }

    /// When the last phase was reached.
    fn last(&self) -> f64 {
        self.phases.last().map_or(f64::NAN, |(_, at)| *at)
    }
}

/// Measures, prints a table and writes `dist/bench.json`.
pub fn run(ui: &Ui, args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let out = std::env::var_os("KEELSON_DIST").map_or_else(paths::dist, PathBuf::from);
    let needs_dist = options.needs_dist();
    for name in ["keelctl", "kubectl", "rootfs.sqsh", "images"] {
        if needs_dist && !out.join(name).exists() {
            bail!(
                "{} is not there: build it first (cargo xtask dist)",
                out.join(name).display()
            );
        }
    }
    if options.needs_root() && !rustix::process::geteuid().is_root() {
        bail!("bench: the namespaces of clusters need root");
    }
    let cache = paths::cache()?;
    let mut tools = Tools {
        keelctl: out.join("keelctl"),
        kubectl: out.join("kubectl"),
        dist: out.clone(),
        programs: BTreeMap::new(),
        work: cache.join(format!("bench-{}", std::process::id())),
        subnet: options.subnet.clone(),
    };
    let mut report = Report {
        machine: machine(),
        ..Report::default()
    };
    if needs_dist && !same(&tools.keelctl, &dist::release(&paths::target(&cache)).join("keelctl")) {
        let keelctl = tools.keelctl.display();
        let note = format!("{keelctl} is not what `cargo xtask dist` built last: it may be a debug build");
        report.notes.push(note);
    }
    let mut guard = guard::Guard::start()?;
    guard.watch(&guard::Thing::Folder(tools.work.clone()))?;
    if options.has(Suite::Client) {
        let rows = ui.step("command line", || Ok((client::measure(&tools)?, Some(String::new()))))?;
        report.rows.extend(rows);
    }
    if options.has(Suite::Discovery) {
        report.rows.extend(discovery::measure(ui, &tools.work)?);
    }
    if options.has(Suite::Cluster) {
        cluster(ui, &mut tools, options.runs, &mut report)?;
    }
    if options.has(Suite::Ha) {
        report.rows.extend(ha::measure(ui, &tools)?);
    }
    if options.has(Suite::Soak) {
        soak::measure(ui, &tools, &options, &mut report)?;
    }
    guard.finish()?;
    let file = paths::dist().join("bench.json");
    std::fs::create_dir_all(paths::dist()).with_context(|| format!("create {}", paths::dist().display()))?;
    report.save(&file)?;
    println!("{}", report.table());
    ui.total(&format!("measured ({})", file.display()));
    Ok(())
}

fn cluster(ui: &Ui, tools: &mut Tools, runs: usize, report: &mut Report) -> Result<()> {
    floor::packages(ui)?;
    tools.programs = floor::programs(ui)?;
    let tools = &*tools;
    let latency = load(ui, overhead::EXAMPLE)?;
    let (mut floors, mut alone, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..=runs {
        let which = if number == 0 {
            "warm-up".to_owned()
        } else {
            format!("run {number} of {runs}")
        };
        let floor = ui.step(&format!("floor, {which}"), || seen(floor::run(tools, number)?))?;
        let ours = ui.step(&format!("control plane alone, {which}"), || {
            let cluster = ours::control_plane(tools)?;
            let times = cluster.times.clone();
            cluster.destroy()?;
            seen(times)
        })?;
        if number == 0 {
            continue;
        }
        floors.push(floor);
        alone.push(ours);
        let both = ui.step(&format!("control plane and worker, {which}"), || {
            let cluster = ours::default(tools)?;
            let times = cluster.times.clone();
            if number == runs {
                report.rows.extend(overhead::measure(ui, &cluster, &latency)?);
            }
            cluster.destroy()?;
            seen(times)
        })?;
        whole.push(both);
    }
    let times = |all: &[Times]| all.iter().map(Times::last).collect::<Vec<_>>();
    let floor = report::median(&times(&floors));
    let against = |times: f64| Against::Floor { value: floor, times };
    let first = [
        Row::of("control plane node Ready", Unit::Seconds, times(&alone), against(1.5)),
        // 15 s on a machine whose floor is 3.6 s.
        Row::of("1 + 1 cluster healthy", Unit::Seconds, times(&whole), against(4.17)),
    ];
    report.rows.splice(0..0, first);
    let phases = |all: &[Times]| report::phases(&all.iter().map(|times| times.phases.clone()).collect::<Vec<_>>());
    for (name, all) in [("floor", &floors), ("control plane", &alone)] {
        report.phases.insert(name.to_owned(), phases(all));
    }
    if let Some(last) = whole.last() {
        report
            .phases
            .insert("1 + 1 cluster (last run)".to_owned(), steps(&last.printed));
    }
    Ok(())
}

/// Compiles an example that measures or puts load on something, of a crate.
fn load(ui: &Ui, (krate, example): (&str, &str)) -> Result<PathBuf> {
    ui.step(&format!("the program {example}"), || {
        let path = dist::compile_example(krate, example, &paths::target(&paths::cache()?))?;
        Ok((path, Some(String::new())))
    })
}

/// Of the lines that `cluster create` printed, those that say that something began or was there.
fn steps(printed: &[(f64, String)]) -> Vec<(String, f64)> {
    let lines = printed.iter().take_while(|(_, line)| !line.starts_with("cluster "));
    let lines = lines.filter(|(_, line)| !line.starts_with("warning"));
    let step = |(at, line): &(f64, String)| match line.strip_prefix("waiting for ") {
        Some(rest) => Some((rest.strip_suffix(": OK")?.to_owned(), *at)),
        None => Some((line.clone(), *at)),
    };
    lines.filter_map(step).collect()
}

/// The result of a step and a note with its last time.
fn seen(times: Times) -> Result<(Times, Option<String>)> {
    let note = times.phases.last().map(|(name, at)| format!("{name} after {at:.2} s"));
    Ok((times, note))
}

fn same(a: &Path, b: &Path) -> bool {
    let bytes = |path: &Path| std::fs::read(path).ok();
    bytes(a).is_some_and(|a| Some(a) == bytes(b))
}

fn machine() -> BTreeMap<&'static str, String> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let system = rustix::system::uname();
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    BTreeMap::from([
        ("cores", cores.to_string()),
        (
            "memory",
            format!("{} GiB", (kib.unwrap_or(0) + 512 * 1024) / (1024 * 1024)),
        ),
        ("kernel", system.release().to_string_lossy().into_owned()),
        ("processor", model.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_printed_is_cut_to_its_steps() {
        let printed = [
            "making it",
            "waiting for etcd: ...",
            "waiting for etcd: OK",
            "cluster \"a\" is up",
            "NAME",
        ];
        let printed: Vec<_> = printed.into_iter().map(|line| (1.0, line.to_owned())).collect();
        let names: Vec<String> = steps(&printed).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["making it", "etcd"]);
    }

    #[test]
    fn the_machine_is_described() {
        let machine = machine();
        assert_ne!(machine["cores"], "0");
        assert_ne!(machine["memory"], "0 GiB");
    }
}
