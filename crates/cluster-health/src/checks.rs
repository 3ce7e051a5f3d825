//! The checks, in the order in which a cluster gets well.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use api::proto::machine::EtcdMember;
use tokio::time::sleep;

use super::view::View;
use super::{ensure, kube};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    EtcdHealthy,
    EtcdConsistent,
    EtcdMembers,
    ApidReady,
    KubeletHealthy,
    Booted,
    NodesReport,
    StaticPods,
    Components,
    NodesReady,
    KubeProxy,
    CoreDns,
    Schedulable,
}

impl Check {
    const ALL: [Check; 13] = [
        Check::EtcdHealthy,
        Check::EtcdConsistent,
        Check::EtcdMembers,
        Check::ApidReady,
        Check::KubeletHealthy,
        Check::Booted,
        Check::NodesReport,
        Check::StaticPods,
        Check::Components,
        Check::NodesReady,
        Check::KubeProxy,
        Check::CoreDns,
        Check::Schedulable,
    ];

    fn name(self) -> &'static str {
        match self {
            Check::EtcdHealthy => "etcd to be healthy",
            Check::EtcdConsistent => "etcd members to be consistent across nodes",
            Check::EtcdMembers => "etcd members to be control plane nodes",
            Check::ApidReady => "apid to be ready",
            Check::KubeletHealthy => "kubelet to be healthy",
            Check::Booted => "all nodes to finish boot sequence",
            Check::NodesReport => "all k8s nodes to report",
            Check::StaticPods => "all control plane static pods to be running",
            Check::Components => "all control plane components to be ready",
            Check::NodesReady => "all k8s nodes to report ready",
            Check::KubeProxy => "kube-proxy to report ready",
            Check::CoreDns => "coredns to report ready",
            Check::Schedulable => "all k8s nodes to report schedulable",
        }
    }

    /// Looks once.
    async fn look(self, view: &View) -> Result<()> {
        match self {
            Check::EtcdHealthy => healthy(view, "etcd", view.nodes.control_planes.iter()).await,
            Check::EtcdConsistent => etcd_consistent(view).await,
            Check::EtcdMembers => match view.nodes.control_planes.first() {
                Some(first) => only_control_planes(&view.etcd_members(first).await?, &view.nodes.control_planes),
                None => Ok(()),
            },
            Check::ApidReady => {
                for node in view.nodes.all() {
                    view.answers(node).await?;
                }
                Ok(())
            }
            Check::KubeletHealthy => healthy(view, "kubelet", view.nodes.all()).await,
            Check::Booted => {
                for node in view.nodes.all() {
                    let status = view.machine_status(node).await?;
                    let stage = status["stage"].as_str().unwrap_or_default();
                    ensure(stage == "running", || format!("{node}: stage is {stage}"))?;
                }
                Ok(())
            }
            Check::NodesReport => kube::nodes_report(view).await,
            Check::StaticPods => kube::static_pods(view, false).await,
            Check::Components => kube::static_pods(view, true).await,
            Check::NodesReady => kube::nodes_ready(view).await,
            Check::KubeProxy => kube::daemon_set(view, "kube-proxy").await,
            Check::CoreDns => kube::deployment(view, "coredns").await,
            Check::Schedulable => kube::schedulable(view).await,
        }
    }
}

/// Which checks to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// Those that do not need nodes to be ready for pods: a cluster whose network plugin is still to come.
    ControlPlane,
}

impl Scope {
    fn has(self, check: Check) -> bool {
        let needs_ready_nodes = matches!(
            check,
            Check::NodesReady | Check::KubeProxy | Check::CoreDns | Check::Schedulable
        );
        self == Scope::Cluster || !needs_ready_nodes
    }
}

/// Waits for each check in turn; tells of each what it waits for, every change of that, and the end.
///
/// # Errors
/// A check does not hold at the deadline.
pub async fn all(view: &View, scope: Scope, deadline: Instant, tell: &mut (dyn FnMut(String) + Send)) -> Result<()> {
    for check in Check::ALL.into_iter().filter(|check| scope.has(*check)) {
        let name = check.name();
        tell(format!("waiting for {name}: ..."));
        let mut told = String::new();
        while let Err(error) = check.look(view).await {
            let reason = format!("{error:#}");
            if Instant::now() > deadline {
                bail!("{name}: {reason}");
            }
            if reason != told {
                tell(format!("waiting for {name}: {reason}"));
                told = reason;
            }
            sleep(PAUSE).await;
        }
        tell(format!("waiting for {name}: OK"));
    }
    Ok(())
}

async fn healthy(view: &View, id: &str, nodes: impl Iterator<Item = &String> + Send) -> Result<()> {
    for node in nodes {
        let service = view.service(node, id).await?;
        let health = service.health.unwrap_or_default();
        ensure(service.state == "Running", || {
            format!("{node}: service {id} is {}", service.state)
        })?;
        ensure(!health.unknown && health.healthy, || {
            format!("{node}: service {id} is not healthy: {}", health.last_message)
        })?;
    }
    Ok(())
}

async fn etcd_consistent(view: &View) -> Result<()> {
    let mut first: Option<(&String, BTreeSet<u64>)> = None;
    for node in &view.nodes.control_planes {
        let ids: BTreeSet<u64> = view.etcd_members(node).await?.iter().map(|member| member.id).collect();
        match &first {
            Some((other, known)) => {
                ensure(*known == ids, || {
                    format!(
                        "{other} and {node} know different members ({} and {})",
                        known.len(),
                        ids.len()
                    )
                })?;
            }
            None => first = Some((node, ids)),
        }
    }
    Ok(())
}

fn only_control_planes(members: &[EtcdMember], control_planes: &[String]) -> Result<()> {
    let has = |member: &EtcdMember, node: &String| {
        let host = |url: &String| url.contains(&format!("//{node}:")) || url.contains(&format!("//[{node}]:"));
        member.hostname == *node || member.peer_urls.iter().chain(&member.client_urls).any(host)
    };
    for node in control_planes {
        ensure(members.iter().any(|member| has(member, node)), || {
            format!("{node} is not a member yet")
        })?;
    }
    for member in members {
        let known = control_planes.iter().any(|node| has(member, node));
        ensure(known, || {
            format!("member {} is not one of the control plane nodes", member.hostname)
        })?;
        ensure(!member.is_learner, || {
            format!("member {} is still a learner", member.hostname)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_must_be_exactly_the_control_planes() {
        let member = |hostname: &str, ip: &str| EtcdMember {
            hostname: hostname.into(),
            peer_urls: vec![format!("https://{ip}:2380")],
            ..EtcdMember::default()
        };
        let nodes = ["10.5.0.2".to_owned(), "10.5.0.3".to_owned()];
        let (a, b) = (member("cp-1", "10.5.0.2"), member("cp-2", "10.5.0.3"));
        let told = |members: &[EtcdMember]| only_control_planes(members, &nodes).unwrap_err().to_string();
        assert!(only_control_planes(&[a.clone(), b.clone()], &nodes).is_ok());
        assert_eq!(told(std::slice::from_ref(&a)), "10.5.0.3 is not a member yet");
        assert_eq!(
            told(&[a.clone(), b.clone(), member("old", "10.5.0.4")]),
            "member old is not one of the control plane nodes"
        );
        assert!(told(&[a, EtcdMember { is_learner: true, ..b }]).contains("learner"));
    }
}
