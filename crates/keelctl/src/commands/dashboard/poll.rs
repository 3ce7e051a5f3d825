//! Looking at nodes, again and again.

use std::time::{Duration, Instant};

use api::client::Client;
use api::proto::machine::{LogsRequest, NetDev};
use futures::StreamExt as _;
use futures::join;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::model::{Counters, Memory, Sample};
use crate::commands::containers::place;
use crate::commands::{get, service};
use crate::session::{Target, rpc_error};

/// How long a node may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a log that ended or cannot be had.
const PAUSE: Duration = Duration::from_secs(2);
/// How many lines of a log are shown at first.
const TAIL: i32 = 200;

/// What came from a node.
#[derive(Debug)]
pub enum News {
    /// A look at the node of this number, or why there was none.
    Sample(usize, Box<Result<Sample, String>>),
    /// The log that was asked for begins.
    Log,
    /// A line of it.
    Line(String),
}

/// Which log is wanted: of which node, by its number, and which service.
pub type Wanted = (usize, String);

/// Looks at a node every `interval`, until nobody wants to know.
pub async fn watch_node(number: usize, target: Target, interval: Duration, news: mpsc::Sender<News>) {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = match tokio::time::timeout(PATIENCE, look(&target.client, start)).await {
            Ok(looked) => looked.map_err(|status| rpc_error(&status)),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        if news.send(News::Sample(number, Box::new(looked))).await.is_err() {
            return;
        }
    }
}

/// One look. What a node does not tell is left empty; one that does not tell its services is not there.
async fn look(client: &Client, start: Instant) -> Result<Sample, Status> {
    let services = async { client.machine().service_list(()).await };
    let version = async { client.machine().version(()).await };
    let hostname = async { client.machine().hostname(()).await };
    let stat = async { client.machine().system_stat(()).await };
    let load = async { client.machine().load_avg(()).await };
    let memory = async { client.machine().memory(()).await };
    let network = async { client.machine().network_device_stats(()).await };
    let processes = async { client.machine().processes(()).await };
    let status = spec(client, "runtime", "MachineStatuses.runtime.talos.dev");
    let kind = spec(client, "config", "MachineTypes.config.talos.dev");
    let kubelet = spec(client, "k8s", "KubeletConfigs.kubernetes.talos.dev");
    let (services, version, hostname, stat, load, memory, network, processes, status, kind, kubelet) = join!(
        services, version, hostname, stat, load, memory, network, processes, status, kind, kubelet
    );
    let mut sample = Sample {
        at: start.elapsed(),
        services: service::services(services?.into_inner()),
        stage: text(&status["stage"]),
        ready: status["status"]["ready"].as_bool(),
        unmet: unmet(&status),
        kind: text(&kind),
        kubernetes: tag(&text(&kubelet["image"])),
        ..Sample::default()
    };
    let version = version.ok().and_then(|answer| answer.into_inner().messages.pop());
    sample.version = version.and_then(|message| message.version).unwrap_or_default().tag;
    let hostname = hostname.ok().and_then(|answer| answer.into_inner().messages.pop());
    sample.hostname = hostname.unwrap_or_default().hostname;
    if let Some(stat) = stat.ok().and_then(|answer| answer.into_inner().messages.pop()) {
        sample.processors = stat.cpu.len();
        sample.cpu = stat.cpu_total.unwrap_or_default();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        sample.uptime = now
            .map(|now| now.as_secs())
            .unwrap_or_default()
            .saturating_sub(stat.boot_time);
    }
    if let Some(load) = load.ok().and_then(|answer| answer.into_inner().messages.pop()) {
        sample.load = [load.load1, load.load5, load.load15];
    }
    let memory = memory.ok().and_then(|answer| answer.into_inner().messages.pop());
    let memory = memory.and_then(|message| message.meminfo).unwrap_or_default();
    sample.memory = Memory {
        total: memory.memtotal * 1024,
        available: memory.memavailable * 1024,
    };
    let network = network.ok().and_then(|answer| answer.into_inner().messages.pop());
    sample.network = total(&network.unwrap_or_default().devices);
    let processes = processes
        .ok()
        .map(|answer| answer.into_inner().messages)
        .unwrap_or_default();
    sample.processes = processes.into_iter().flat_map(|message| message.processes).collect();
    Ok(sample)
}

/// The spec of the only resource of a type; null without one.
async fn spec(client: &Client, namespace: &str, resource_type: &str) -> Value {
    let listed = client.resources(namespace, resource_type).await.unwrap_or_default();
    let spec = listed
        .into_iter()
        .next()
        .and_then(|resource| get::document("", resource).spec().ok());
    spec.unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn unmet(status: &Value) -> Vec<String> {
    let conditions = status["status"]["unmetConditions"].as_array().into_iter().flatten();
    conditions
        .map(|condition| format!("{}: {}", text(&condition["name"]), text(&condition["reason"])))
        .collect()
}

/// The version in the name of an image.
fn tag(image: &str) -> String {
    let name = image.split('@').next().unwrap_or_default();
    let tag = name
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'));
    tag.unwrap_or_default().to_owned()
}

fn total(devices: &[NetDev]) -> Counters {
    let others = || devices.iter().filter(|device| device.name != "lo");
    Counters {
        received: others().map(|device| device.rx_bytes).sum(),
        sent: others().map(|device| device.tx_bytes).sum(),
    }
}

/// Follows the log that is wanted, until nobody wants one.
pub async fn follow(targets: Vec<Target>, mut wanted: watch::Receiver<Wanted>, news: mpsc::Sender<News>) {
    loop {
        let (number, service) = wanted.borrow_and_update().clone();
        let Some(target) = targets.get(number) else { return };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = read(target, service, &news) => {}
        }
        if news.is_closed() {
            return;
        }
    }
}

/// Reads a log as it grows. It ends with the connection, and is then read anew after a pause.
async fn read(target: &Target, id: String, news: &mpsc::Sender<News>) {
    let (namespace, driver) = place(false);
    let request = LogsRequest {
        namespace,
        id,
        driver: driver.into(),
        follow: true,
        tail_lines: TAIL,
    };
    if news.send(News::Log).await.is_err() {
        return;
    }
    let mut problem = "the log ended".to_owned();
    match target.client.machine().logs(request).await {
        Ok(stream) => {
            let (mut stream, mut pending) = (stream.into_inner(), Vec::new());
            while let Some(piece) = stream.next().await {
                match piece {
                    Ok(data) => {
                        pending.extend(data.bytes);
                        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                            let line: Vec<u8> = pending.drain(..=end).collect();
                            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                            if news.send(News::Line(line)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(status) => {
                        problem = rpc_error(&status);
                        break;
                    }
                }
            }
        }
        Err(status) => problem = rpc_error(&status),
    }
    let _ = news.send(News::Line(format!("({problem})"))).await;
    tokio::time::sleep(PAUSE).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_loopback_does_not_count_and_tags_are_of_names() {
        let device = |name: &str, rx_bytes| NetDev {
            name: name.into(),
            rx_bytes,
            ..NetDev::default()
        };
        assert_eq!(
            total(&[device("lo", 9), device("eth0", 2), device("cni0", 3)]).received,
            5
        );
        assert_eq!(tag("registry:5000/kubelet:v1.37.1"), "v1.37.1");
        assert_eq!(tag("registry:5000/kubelet@sha256:00"), "");
        let status = json!({"status": {"unmetConditions": [{"name": "nodeReady", "reason": "not ready"}]}});
        assert_eq!(unmet(&status), ["nodeReady: not ready"]);
    }
}
