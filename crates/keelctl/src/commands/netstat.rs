//! `netstat`: connections and sockets.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use api::client::Client;
use api::proto::machine::connect_record::{State, TimerActive};
use api::proto::machine::netstat_request::{Feature, Filter, L4proto, NetNs};
use api::proto::machine::{ConnectRecord, ContainersRequest, NetstatRequest};
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Netstat;
use crate::commands::containers::place;
use crate::output::{print, table::Table};
use crate::session::{Session, block};

/// Clock ticks in a second, in which timers are told (USER_HZ).
const TICKS: f64 = 100.0;

/// Names of pods by the network namespace they are in.
pub type Pods = BTreeMap<String, String>;

/// Runs `netstat`.
pub fn run(command: &Node<Netstat>, program: Program) -> Result<()> {
    let args = &command.args;
    block(async {
        let session = Session::open(&command.client, program)?;
        let (answers, failures) = session.each(|client| ask(client, args)).await;
        // A pod runs on one of the nodes; that the others do not have it is no failure.
        for pod in &args.pod {
            let known = answers
                .iter()
                .any(|(_, (pods, _))| pods.values().any(|name| name == pod));
            if !known && failures.0.is_empty() {
                bail!("no pod {pod:?} with a network of its own runs on these nodes (`containers -k` lists pods)");
            }
        }
        print(&render(args, answers))?;
        failures.into_result()
    })
}

/// Sockets of a node, and the pods that have networks of their own.
pub async fn ask(client: Client, args: &Netstat) -> Result<(Pods, Vec<ConnectRecord>), Status> {
    let mut pods = Pods::new();
    if args.pods {
        let (namespace, driver) = place(true);
        let request = ContainersRequest {
            namespace,
            driver: driver.into(),
        };
        let messages = client.machine().containers(request).await?.into_inner().messages;
        let containers = messages.into_iter().flat_map(|m| m.containers);
        let own = containers.filter(|c| !c.network_namespace.is_empty());
        pods = own.map(|c| (c.network_namespace, c.pod_id)).collect();
        pods.retain(|_, name| args.pod.is_empty() || args.pod.contains(name));
        if pods.is_empty() && !args.pod.is_empty() {
            return Ok((pods, Vec::new()));
        }
    }
    let netns = NetNs {
        hostnetwork: !args.pods,
        netns: if args.pod.is_empty() {
            Vec::new()
        } else {
            pods.keys().cloned().collect()
        },
        allnetns: args.pods && args.pod.is_empty(),
    };
    let request = request(args, netns);
    let messages = client.machine().netstat(request).await?.into_inner().messages;
    Ok((pods, messages.into_iter().flat_map(|m| m.connectrecord).collect()))
}

fn request(args: &Netstat, netns: NetNs) -> NetstatRequest {
    let filter = match (args.all, args.listening) {
        (true, _) => Filter::All,
        (_, true) => Filter::Listening,
        _ => Filter::Connected,
    };
    // Naming one family, or one protocol, leaves out the others.
    let (v4, v6) = (args.ipv4 || !args.ipv6, args.ipv6 || !args.ipv4);
    let chosen = args.tcp || args.udp || args.udplite || args.raw;
    let (usual, rare) = (!chosen, args.verbose && !chosen);
    let (tcp, udp) = (args.tcp || usual, args.udp || usual);
    let (udplite, raw) = (args.udplite || rare, args.raw || rare);
    NetstatRequest {
        filter: filter.into(),
        feature: Some(Feature { pid: args.programs }),
        l4proto: Some(L4proto {
            tcp: tcp && v4,
            tcp6: tcp && v6,
            udp: udp && v4,
            udp6: udp && v6,
            udplite: udplite && v4,
            udplite6: udplite && v6,
            raw: raw && v4,
            raw6: raw && v6,
        }),
        netns: Some(netns),
    }
}

/// Sockets of nodes, a line each.
pub fn render(args: &Netstat, answers: Vec<(String, (Pods, Vec<ConnectRecord>))>) -> String {
    let mut header = vec![
        "NODE",
        "Proto",
        "Recv-Q",
        "Send-Q",
        "Local Address",
        "Foreign Address",
        "State",
    ];
    if args.extend {
        header.extend(["Uid", "Inode"]);
    }
    if args.programs {
        header.push("PID/Program name");
    }
    if args.pods {
        header.push("Pod");
    }
    if args.timers {
        header.push("Timer");
    }
    let mut table = Table::new(header);
    for (node, (pods, records)) in answers {
        for r in records {
            let mut row = vec![
                node.clone(),
                r.l4proto.clone(),
                r.rxqueue.to_string(),
                r.txqueue.to_string(),
                address(&r.localip, r.localport),
                address(&r.remoteip, r.remoteport),
                state(&r),
            ];
            if args.extend {
                row.extend([r.uid.to_string(), r.inode.to_string()]);
            }
            if args.programs {
                let process = r.process.as_ref();
                row.push(process.map_or("-".to_owned(), |p| format!("{}/{}", p.pid, p.name)));
            }
            if args.pods {
                row.push(pods.get(&r.netns).cloned().unwrap_or_else(|| "-".to_owned()));
            }
            if args.timers {
                row.push(timer(&r));
            }
            table.row(row);
        }
    }
    table.render()
}

fn address(ip: &str, port: u32) -> String {
    match port {
        0 => format!("{ip}:*"),
        port => format!("{ip}:{port}"),
    }
}

/// Sockets without connections have no state to speak of.
fn state(record: &ConnectRecord) -> String {
    let tcp = record.l4proto.starts_with("tcp");
    match record.state() {
        State::Reserved => String::new(),
        State::Close if !tcp => String::new(),
        State::Closewait => "CLOSE_WAIT".to_owned(),
        State::Lastack => "LAST_ACK".to_owned(),
        other => other.as_str_name().to_owned(),
    }
}

/// As netstat shows timers: what for, seconds left, retransmissions.
fn timer(record: &ConnectRecord) -> String {
    let name = match record.tr() {
        TimerActive::Off => "off",
        TimerActive::On => "on",
        TimerActive::Keepalive => "keepalive",
        TimerActive::Timewait => "timewait",
        TimerActive::Probe => "probe",
    };
    let left = record.timerwhen as f64 / TICKS;
    format!("{name} ({left:.2}/{}/{})", record.retrnsmt, record.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Netstat {
        Netstat {
            pod: vec![],
            all: false,
            extend: false,
            ipv4: false,
            ipv6: false,
            listening: false,
            pods: false,
            programs: false,
            raw: false,
            tcp: false,
            timers: false,
            udp: false,
            udplite: false,
            verbose: false,
        }
    }

    fn record(line: &str) -> ConnectRecord {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = cells[4].rsplit_once(':').unwrap();
        let state = if cells.get(6) == Some(&"LISTEN") {
            State::Listen
        } else {
            State::Close
        };
        ConnectRecord {
            l4proto: cells[1].into(),
            localip: ip.into(),
            localport: port.parse().unwrap(),
            remoteip: cells[5].rsplit_once(':').unwrap().0.into(),
            state: state.into(),
            ..ConnectRecord::default()
        }
    }

    #[test]
    fn sockets_print_as_captured() {
        let captured = include_str!("../../tests/vectors/cli/netstat_-l.txt");
        let captured = captured.strip_suffix("exit 0\n").unwrap();
        let records = captured.lines().skip(1).map(record).collect();
        assert_eq!(
            render(&args(), vec![("127.0.0.1".into(), (Pods::new(), records))]),
            captured
        );
    }

    #[test]
    fn more_columns_tell_more() {
        let record = ConnectRecord {
            uid: 50,
            inode: 7,
            process: Some(api::proto::machine::connect_record::Process {
                pid: 12,
                name: "apid".into(),
            }),
            netns: "cni-1".into(),
            tr: TimerActive::Keepalive.into(),
            timerwhen: 1234,
            ..record("n tcp 0 0 10.5.0.2:50000 10.5.0.1:* ESTABLISHED")
        };
        let all = Netstat {
            extend: true,
            programs: true,
            pods: true,
            timers: true,
            ..args()
        };
        let pods = Pods::from([("cni-1".into(), "default/web".into())]);
        let text = render(&all, vec![("n".into(), (pods, vec![record]))]);
        assert!(
            text.lines()
                .next()
                .unwrap()
                .ends_with("State   Uid   Inode   PID/Program name   Pod           Timer")
        );
        assert!(
            text.ends_with("CLOSE   50    7       12/apid            default/web   keepalive (12.34/0/0)\n"),
            "{text}"
        );
    }

    #[test]
    fn flags_choose_protocols_and_families() {
        let of = |args: Netstat| request(&args, NetNs::default()).l4proto.unwrap();
        let usual = of(args());
        assert!(usual.tcp && usual.tcp6 && usual.udp && usual.udp6 && !usual.raw && !usual.udplite);
        let all = of(Netstat {
            verbose: true,
            ..args()
        });
        assert!(all.tcp && all.raw6 && all.udplite);
        let one = of(Netstat {
            udp: true,
            ipv6: true,
            ..args()
        });
        assert_eq!(
            one,
            L4proto {
                udp6: true,
                ..L4proto::default()
            }
        );
        assert_eq!(request(&args(), NetNs::default()).filter(), Filter::Connected);
    }
}
