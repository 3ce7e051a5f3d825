//! Make a cluster of containers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use sys::net::Netlink;

use super::{ROLE, containers, engine, labels};
use crate::create::{WAITING, claim_network, lock, reserve, starting};
use crate::error::{Error, Result};
use crate::names::Names;
use crate::node::{sku, user_data};
use crate::options::{DockerImage, DockerOptions, PortMapping, Protocol};
use crate::plan::Plan;
use crate::progress::{Event, Progress};
use crate::start::Starts;
use crate::state::{ClusterState, NodeState, Phase};
use crate::{connect, host};

/// Time between two looks at a node that does not answer yet.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// What nodes write to: in memory, and kept over restarts.
const TMPFS: [&str; 3] = ["/run", "/system", "/tmp"];
const VOLUMES: [&str; 6] = [
    "/var",
    "/system/state",
    "/etc/cni",
    "/etc/kubernetes",
    "/usr/libexec/kubernetes",
    "/opt",
];

/// Makes the network and the containers. What was made stays when it fails.
pub(crate) async fn create(plan: &Plan, names: &Names, docker: &DockerOptions, progress: Progress<'_>) -> Result<()> {
    // An engine that is not there is said before anything is written down.
    engine::run(&["version", "--format", "{{.Server.Version}}"])?;
    let options = &plan.options;
    let (_lock, mut state) = reserve(plan, names)?;
    let image = image(&docker.image, progress)?;

    progress(Event::Step(format!("making the network {}", options.subnet)));
    host::raise_inotify(progress);
    host::filter_bridges(progress).await;
    let net = Netlink::open()?;
    {
        // Two commands must not find the same network free.
        let _lock = lock(&options.state_dir, "the networks of clusters").await?;
        claim_network(&net, names, plan).await?;
        make_network(&state)?;
    }
    check_engine_is_here(&net, &state).await?;

    let deadline = Instant::now() + options.wait_timeout;
    let mut starts = Starts {
        names,
        state: &mut state,
        deadline,
        limit: options.wait_timeout,
    };
    starts.gateway(progress).await?;
    progress(Event::Step(starting(state.nodes.len())));
    for (index, (plan, node)) in plan.nodes.iter().zip(&state.nodes).enumerate() {
        let ports = if index == 0 { state.ports.as_slice() } else { &[] };
        run(&state, node, plan.config.as_deref(), ports, &docker.mounts, &image)?;
    }
    if options.wait_for_api {
        progress(Event::Step(WAITING.to_owned()));
        for node in &state.nodes {
            answers(&state.name, &node.name, node.address, deadline, options.wait_timeout).await?;
        }
    }
    state.complete = true;
    state.save(names)
}

/// The name of the node image, loaded where it comes as a file.
fn image(image: &DockerImage, progress: Progress<'_>) -> Result<String> {
    let archive = match image {
        DockerImage::Reference(reference) => return Ok(reference.clone()),
        DockerImage::Archive(archive) => archive,
    };
    progress(Event::Step(format!("loading the node image {}", archive.display())));
    let printed = engine::run(&["load", "--input", &archive.to_string_lossy()])?;
    let loaded = printed
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("Loaded image: "));
    loaded.map(str::to_owned).ok_or_else(|| {
        let what = format!("load {} into Docker", archive.display());
        Error::System(sys::Error::new(
            what,
            format!("it did not say the image's name, but: {printed}"),
        ))
    })
}

fn make_network(state: &ClusterState) -> Result<()> {
    let labels = labels(&state.name).map(|label| format!("--label={label}"));
    let mut arguments = vec!["network".to_owned(), "create".to_owned(), "--driver=bridge".to_owned()];
    arguments.push(format!("--subnet={}", state.subnet));
    arguments.push(format!("--gateway={}", state.subnet.gateway()));
    arguments.push(format!("--opt=com.docker.network.driver.mtu={}", state.mtu));
    arguments.extend(labels);
    arguments.push(state.name.clone());
    engine::run(&refer(&arguments)).map(drop)
}

/// Nodes are reached by their addresses, and pull from a registry on the gateway's: both need the bridge to be here.
async fn check_engine_is_here(net: &Netlink, state: &ClusterState) -> Result<()> {
    let gateway = state.subnet.gateway();
    if net.addresses().await?.iter().any(|address| address.address == gateway) {
        return Ok(());
    }
    let reason = format!(
        "the network's gateway {gateway} is not an address of this machine, so the Docker engine is on another one or in \
         a virtual machine; use an engine on this machine (see: docker context ls)"
    );
    Err(Error::System(sys::Error::new("reach the containers", reason)))
}

fn run(
    state: &ClusterState,
    node: &NodeState,
    config: Option<&[u8]>,
    ports: &[PortMapping],
    mounts: &[String],
    image: &str,
) -> Result<()> {
    let user_data = config.map(|config| user_data(&node.name, config)).transpose()?;
    let mut arguments = arguments(state, node, ports, mounts);
    // Without a value here Docker takes it from its own environment, which other users cannot list.
    arguments.extend(user_data.as_ref().map(|_| "--env=USERDATA".to_owned()));
    arguments.push(image.to_owned());
    let variables = user_data.as_deref().map(|data| ("USERDATA", data));
    let started = engine::run_with(&refer(&arguments), variables.as_slice());
    started.map(drop).map_err(|error| Error::NotStarted {
        who: node.name.clone(),
        reason: error.to_string(),
        log: String::new(),
    })
}

/// `docker run` as far as the image, without the machine configuration.
fn arguments(state: &ClusterState, node: &NodeState, ports: &[PortMapping], mounts: &[String]) -> Vec<String> {
    let millis = node.resources.cpu_millis;
    let mut arguments = vec!["run".to_owned(), "--detach".to_owned()];
    arguments.extend([
        format!("--name={}", node.name),
        format!("--hostname={}", node.name),
        "--privileged".to_owned(),
        "--security-opt=seccomp=unconfined".to_owned(),
        "--read-only".to_owned(),
        // A node that wants to be rebooted ends with a code of its own, one that was shut down with 0.
        "--restart=on-failure".to_owned(),
        format!("--cpus={}.{:03}", millis / 1000, millis % 1000),
        format!("--memory={}", node.resources.memory),
        format!("--network={}", state.name),
        format!("--ip={}", node.address),
        "--env=PLATFORM=container".to_owned(),
        format!("--env=TALOSSKU={}", sku(node.resources)),
        format!("--label={ROLE}={}", node.role.name()),
    ]);
    arguments.extend(labels(&state.name).map(|label| format!("--label={label}")));
    arguments.extend(TMPFS.map(|path| format!("--mount=type=tmpfs,destination={path}")));
    arguments.extend(VOLUMES.map(|path| format!("--mount=type=volume,destination={path}")));
    arguments.extend(mounts.iter().map(|mount| format!("--mount={mount}")));
    arguments.extend(ports.iter().map(|port| format!("--publish={}", publish(port))));
    arguments
}

/// A port as `docker run --publish` takes it.
fn publish(port: &PortMapping) -> String {
    let protocol = if port.protocol == Protocol::Tcp { "tcp" } else { "udp" };
    let here = SocketAddr::new(port.host, port.host_port);
    format!("{here}:{}/{protocol}", port.node_port)
}

/// Waits until a node accepts connections to its API.
pub(super) async fn answers(
    cluster: &str,
    node: &str,
    address: Ipv4Addr,
    deadline: Instant,
    limit: Duration,
) -> Result<()> {
    let address = connect::api(address);
    while !connect::accepts(address).await {
        let containers = containers::of(cluster)?;
        let status = containers.into_iter().find(|container| container.name == *node);
        let status = status.map(|container| container.status).unwrap_or_default();
        // A crash right after the start is for the person to see, not for endless waiting.
        if status.phase != Phase::Running {
            return Err(Error::NotStarted {
                who: node.to_owned(),
                reason: status.message,
                log: engine::end_of_log(node),
            });
        }
        if Instant::now() > deadline {
            let what = format!("an answer of {node} on {address}");
            return Err(Error::Timeout { what, limit });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn refer(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{CreateOptions, Provider};

    #[test]
    fn a_container_is_run_with_what_a_node_needs() {
        let mut options = CreateOptions::new("demo", "/tmp", "/");
        options.provider = Provider::Docker {
            docker: DockerOptions {
                image: DockerImage::Reference("node:1".into()),
                mounts: Vec::new(),
            },
        };
        options.controlplane.cpu_millis = 1500;
        options.ports = vec![PortMapping::parse("8080:80/udp", "::1".parse().unwrap()).unwrap()];
        let state = ClusterState::of(&Plan::new(options).unwrap()).unwrap();
        let arguments = arguments(
            &state,
            &state.nodes[0],
            &state.ports,
            &["type=bind,source=/a,target=/b".into()],
        );
        for wanted in [
            "--name=demo-controlplane-1",
            "--privileged",
            "--read-only",
            "--cpus=1.500",
            "--memory=2147483648",
            "--network=demo",
            "--ip=10.5.0.2",
            "--env=TALOSSKU=2CPU-2048RAM",
            "--label=talos.type=controlplane",
            "--label=talos.cluster.name=demo",
            "--mount=type=tmpfs,destination=/run",
            "--mount=type=volume,destination=/var",
            "--mount=type=bind,source=/a,target=/b",
            "--publish=[::1]:8080:80/udp",
        ] {
            assert!(
                arguments.iter().any(|argument| argument == wanted),
                "no {wanted}: {arguments:?}"
            );
        }
    }
}
