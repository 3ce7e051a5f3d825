//! What the dashboard knows: samples of nodes become graphs of bounded length. Nothing here draws or asks.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use api::proto::machine::{CpuStat, ProcessInfo, ServiceInfo};

/// How many points a graph keeps: the width of a large screen.
const POINTS: usize = 512;
/// How many lines of a log are kept.
const LINES: usize = 2000;

/// One look at a node. What could not be had is empty.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When the look was, by a clock that only goes forward.
    pub at: Duration,
    /// Its name.
    pub hostname: String,
    /// Version of the operating system.
    pub version: String,
    /// Type of the machine: `controlplane` or `worker`.
    pub kind: String,
    /// What the machine is doing: `running`, `booting`…
    pub stage: String,
    /// Whether everything is as it should be; `None` where the node does not say.
    pub ready: Option<bool>,
    /// Conditions that are not met.
    pub unmet: Vec<String>,
    /// Version of Kubernetes, from the kubelet's image.
    pub kubernetes: String,
    /// Seconds since the machine started.
    pub uptime: u64,
    /// Load of the last 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Processor time by kind, in seconds since the start.
    pub cpu: CpuStat,
    /// Number of processors.
    pub processors: usize,
    /// Memory in bytes.
    pub memory: Memory,
    /// Bytes received and sent by all interfaces but the loopback.
    pub network: Counters,
    /// Services.
    pub services: Vec<ServiceInfo>,
    /// Processes.
    pub processes: Vec<ProcessInfo>,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub total: u64,
    /// What programs can still get.
    pub available: u64,
}

/// Counters that only grow, until the machine starts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received bytes.
    pub received: u64,
    /// Sent bytes.
    pub sent: u64,
}

/// The newest points of a graph.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<f64>);

impl History {
    fn push(&mut self, value: f64) {
        self.0.push_back(value);
        if self.0.len() > POINTS {
            self.0.pop_front();
        }
    }

    /// The newest point.
    pub fn last(&self) -> Option<f64> {
        self.0.back().copied()
    }

    /// The newest points, newest first, as whole numbers of `1/scale`.
    pub fn newest(&self, count: usize, scale: f64) -> Vec<u64> {
        self.0
            .iter()
            .rev()
            .take(count)
            .map(|value| (value * scale).round() as u64)
            .collect()
    }
}

/// A process as it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its state, a letter.
    pub state: String,
    /// Its threads.
    pub threads: i32,
    /// Share of one processor, in percent, since the look before.
    pub cpu: f64,
    /// Memory in bytes.
    pub memory: u64,
    /// Its command line.
    pub command: String,
}

/// A node over time.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// As the person named it.
    pub name: String,
    /// The newest look; none yet if empty.
    pub sample: Option<Sample>,
    /// Why the newest attempt failed.
    pub error: Option<String>,
    /// Use of the processors, percent of all of them.
    pub cpu: History,
    /// Use of memory, percent.
    pub memory: History,
    /// Received bytes a second.
    pub received: History,
    /// Sent bytes a second.
    pub sent: History,
    /// Processes, the busiest first.
    pub processes: Vec<Process>,
}

impl Node {
    /// A node that was not looked at yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Takes a look in.
    pub fn take(&mut self, sample: Sample) {
        self.error = None;
        let before = self.sample.take();
        let total = sample.memory.total;
        if total > 0 {
            let used = total.saturating_sub(sample.memory.available);
            self.memory.push(used as f64 / total as f64 * 100.0);
        }
        // Rates need two looks, and a time between them.
        let passed = before
            .as_ref()
            .map(|before| sample.at.saturating_sub(before.at).as_secs_f64());
        if let (Some(before), Some(passed)) = (&before, passed.filter(|passed| *passed > 0.0)) {
            if let Some(busy) = busy(&before.cpu, &sample.cpu) {
                self.cpu.push(busy);
            }
            // A machine that started again counts from zero.
            let rate = |old: u64, new: u64| new.saturating_sub(old) as f64 / passed;
            self.received
                .push(rate(before.network.received, sample.network.received));
            self.sent.push(rate(before.network.sent, sample.network.sent));
        }
        self.processes = processes(before.as_ref(), &sample, passed.unwrap_or_default());
        self.sample = Some(sample);
    }
}

/// Percent of the processors' time between two looks that was not idle.
fn busy(before: &CpuStat, now: &CpuStat) -> Option<f64> {
    let idle = |c: &CpuStat| c.idle + c.iowait;
    let all = |c: &CpuStat| idle(c) + c.user + c.nice + c.system + c.irq + c.soft_irq + c.steal;
    let total = all(now) - all(before);
    (total > 0.0).then(|| ((1.0 - (idle(now) - idle(before)) / total) * 100.0).clamp(0.0, 100.0))
}

fn processes(before: Option<&Sample>, now: &Sample, passed: f64) -> Vec<Process> {
    let old = before.map(|sample| &sample.processes).into_iter().flatten();
    let times: HashMap<i32, f64> = old.map(|process| (process.pid, process.cpu_time)).collect();
    let shown = |p: &ProcessInfo| {
        let used = times.get(&p.pid).map_or(0.0, |before| (p.cpu_time - before).max(0.0));
        let command = [&p.args, &p.executable, &p.command]
            .into_iter()
            .find(|text| !text.is_empty());
        Process {
            pid: p.pid,
            state: p.state.clone(),
            threads: p.threads,
            cpu: if passed > 0.0 { used / passed * 100.0 } else { 0.0 },
            memory: p.resident_memory,
            command: command.cloned().unwrap_or_default(),
        }
    };
    let mut all: Vec<Process> = now.processes.iter().map(shown).collect();
    all.sort_by(|left, right| right.cpu.total_cmp(&left.cpu).then(right.memory.cmp(&left.memory)));
    all
}

/// What is on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// What the node is and how it is; services, and the log of one.
    #[default]
    Summary,
    /// Graphs and processes.
    Monitor,
    /// The log alone.
    Logs,
}

impl Tab {
    /// All of them, in order.
    pub const ALL: [Tab; 3] = [Tab::Summary, Tab::Monitor, Tab::Logs];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Tab::Summary => "Summary",
            Tab::Monitor => "Monitor",
            Tab::Logs => "Logs",
        }
    }
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The node to the left or right.
    Node(isize),
    /// Another screen.
    Show(Tab),
    /// The next screen.
    NextTab,
    /// Up or down, by lines.
    Move(isize),
    /// To the newest line.
    End,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct Dashboard {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Which of them is shown.
    pub selected: usize,
    /// What of it.
    pub tab: Tab,
    /// The service whose log is shown, by its place in the list.
    pub service: usize,
    /// Lines of that log.
    pub log: VecDeque<String>,
    /// How many lines the view is above the newest (logs) or below the first (processes).
    pub scroll: usize,
}

impl Dashboard {
    /// Of nodes.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            nodes: names.into_iter().map(Node::new).collect(),
            ..Self::default()
        }
    }

    /// The node that is shown.
    pub fn node(&self) -> Option<&Node> {
        self.nodes.get(self.selected)
    }

    /// Whose log is shown; of a node that was not looked at yet, that of its init process.
    pub fn service(&self) -> &str {
        let services = self.node().and_then(|node| Some(&node.sample.as_ref()?.services));
        let chosen = services.and_then(|services| services.get(self.service.min(services.len().saturating_sub(1))));
        chosen.map_or("machined", |service| &service.id)
    }

    /// Does what was asked for.
    pub fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Node(by) => {
                let count = self.nodes.len().max(1) as isize;
                self.selected = (self.selected as isize + by).rem_euclid(count) as usize;
                self.scroll = 0;
            }
            Wish::Show(tab) => self.show(tab),
            Wish::NextTab => {
                let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or_default();
                self.show(Tab::ALL[(at + 1) % Tab::ALL.len()]);
            }
            Wish::Move(by) => match self.tab {
                Tab::Summary => {
                    let services = self.node().and_then(|node| Some(node.sample.as_ref()?.services.len()));
                    let last = services.unwrap_or_default().saturating_sub(1);
                    self.service = self.service.saturating_add_signed(by).min(last);
                }
                Tab::Monitor => {
                    let last = self.node().map_or(0, |node| node.processes.len()).saturating_sub(1);
                    self.scroll = self.scroll.saturating_add_signed(by).min(last);
                }
                Tab::Logs => {
                    let last = self.log.len().saturating_sub(1);
                    self.scroll = self.scroll.saturating_add_signed(-by).min(last);
                }
            },
            Wish::End => self.scroll = 0,
        }
    }

    fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.scroll = 0;
    }

    /// A log begins anew.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Another line of the log.
    pub fn line(&mut self, line: &str) {
        // What a program writes to move a cursor would move ours.
        let plain: String = line
            .chars()
            .map(|c| if c == '\t' { ' ' } else { c })
            .filter(|c| !c.is_control())
            .collect();
        self.log.push_back(plain);
        if self.log.len() > LINES {
            self.log.pop_front();
        }
        // Who reads older lines goes on reading them.
        if self.tab == Tab::Logs && self.scroll > 0 {
            self.scroll = (self.scroll + 1).min(self.log.len().saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, idle: f64, user: f64, received: u64) -> Sample {
        Sample {
            at: Duration::from_secs(at),
            cpu: CpuStat {
                idle,
                user,
                ..CpuStat::default()
            },
            memory: Memory {
                total: 1000,
                available: 250,
            },
            network: Counters { received, sent: 0 },
            processes: vec![ProcessInfo {
                pid: 7,
                cpu_time: user,
                ..ProcessInfo::default()
            }],
            ..Sample::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let mut node = Node::new("n");
        node.take(sample(10, 100.0, 10.0, 1000));
        assert_eq!((node.cpu.last(), node.received.last()), (None, None));
        assert_eq!(node.memory.last(), Some(75.0));
        node.take(sample(14, 103.0, 11.0, 5000));
        assert_eq!((node.cpu.last(), node.received.last()), (Some(25.0), Some(1000.0)));
        assert_eq!(node.processes[0].cpu, 25.0);
    }

    #[test]
    fn a_machine_that_started_again_has_no_negative_rates() {
        let mut node = Node::new("n");
        node.take(sample(10, 100.0, 10.0, 1000));
        node.take(sample(20, 1.0, 1.0, 10));
        assert_eq!((node.cpu.last(), node.received.last()), (None, Some(0.0)));
        node.take(sample(20, 1.0, 1.0, 10));
        assert_eq!(node.processes[0].cpu, 0.0, "two looks at one moment");
    }

    #[test]
    fn graphs_and_logs_are_bounded() {
        let mut dashboard = Dashboard::new(["a"]);
        for at in 0..2 * POINTS as u64 {
            dashboard.nodes[0].take(sample(at, at as f64, 0.0, 0));
        }
        assert_eq!(dashboard.nodes[0].memory.newest(usize::MAX, 1.0).len(), POINTS);
        (0..LINES + 9).for_each(|n| dashboard.line(&format!("line {n}")));
        assert_eq!((dashboard.log.len(), dashboard.log[0].as_str()), (LINES, "line 9"));
    }

    #[test]
    fn nodes_go_round_and_lists_end_where_they_end() {
        let mut dashboard = Dashboard::new(["a", "b"]);
        dashboard.wish(Wish::Node(-1));
        assert_eq!(dashboard.node().unwrap().name, "b");
        dashboard.wish(Wish::Node(1));
        assert_eq!(dashboard.node().unwrap().name, "a");
        dashboard.wish(Wish::Move(5));
        assert_eq!((dashboard.service, dashboard.service()), (0, "machined"));
        let service = |id: &str| ServiceInfo {
            id: id.into(),
            ..ServiceInfo::default()
        };
        dashboard.nodes[0].take(Sample {
            services: vec![service("apid"), service("etcd")],
            ..Sample::default()
        });
        dashboard.wish(Wish::Move(5));
        assert_eq!(dashboard.service(), "etcd");
        Dashboard::default().wish(Wish::Node(1));
    }

    #[test]
    fn who_reads_older_lines_goes_on_reading_them() {
        let mut dashboard = Dashboard::new(["a"]);
        (0..9).for_each(|n| dashboard.line(&n.to_string()));
        dashboard.wish(Wish::Show(Tab::Logs));
        dashboard.wish(Wish::Move(-3));
        dashboard.line("new\u{1b}[2J");
        assert_eq!((dashboard.scroll, dashboard.log[9].as_str()), (4, "new[2J"));
        dashboard.wish(Wish::End);
        assert_eq!(dashboard.scroll, 0);
    }
}
