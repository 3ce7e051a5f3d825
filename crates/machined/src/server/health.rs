//! Whether the cluster is well, as a control plane sees it: it asks the other nodes as a reader, and Kubernetes with its own
//! credentials, so who asks needs neither.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use api::client::{Client, ClientOptions};
use api::proto::cluster::cluster_service_server::{ClusterService, ClusterServiceServer};
use api::proto::cluster::{ClusterInfo, HealthCheckProgress, HealthCheckRequest};
use api::proto::common::Metadata;
use cluster_health::{Ask, Nodes, Scope, View};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s::Kubeconfig;
use node_resources::cluster::Member;
use node_resources::config::{MachineKind, MachineType};
use node_resources::secrets::{ApiCertificates, KubernetesSecrets};
use node_resources::types::AcceptedCA;
use pki::roles::Role;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, async_trait};

use crate::clients::kubernetes;
use crate::node::Node;

/// How long the cluster may take, if the caller does not say.
const WAIT: Duration = Duration::from_secs(20 * 60);
/// However long it says.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Checks at the same time.
const AT_ONCE: usize = 8;

/// The service.
pub struct Health {
    node: Node,
    free: Arc<Semaphore>,
}

impl Health {
    /// The service, ready to be served.
    pub fn server(node: Node) -> ClusterServiceServer<Self> {
        ClusterServiceServer::new(Self {
            node,
            free: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }
}

#[async_trait]
impl ClusterService for Health {
    async fn health_check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<BoxStream<HealthCheckProgress>>, Status> {
        let request = request.into_inner();
        let permit = self.free.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Status::resource_exhausted("enough callers wait for this cluster already"))?;
        let info = request.cluster_info.unwrap_or_default();
        let nodes = nodes(
            &info,
            self.node.store.list::<Member>().iter().map(resource::Resource::spec),
        )?;
        let view = View::new(nodes, FromHere::new(&self.node, &info.force_endpoint)?);
        let deadline = Instant::now() + wait(request.wait_timeout);
        // As many lines as there are news in the time, so that a caller who does not read holds up nothing.
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let told = sender.clone();
            let mut tell = move |message: String| {
                let metadata = None;
                // A caller who is gone ends the checks below.
                let _ = told.send(Ok(HealthCheckProgress { metadata, message }));
            };
            let outcome = tokio::select! {
                outcome = cluster_health::all(&view, Scope::Cluster, deadline, &mut tell) => outcome,
                () = sender.closed() => return,
            };
            drop(permit);
            if let Err(error) = outcome {
                let _ = sender.send(Ok(failure(&error)));
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(receiver).boxed()))
    }
}

/// That the cluster is not well is no failure of the call.
fn failure(error: &anyhow::Error) -> HealthCheckProgress {
    let metadata = Metadata {
        error: format!("{error:#}"),
        ..Metadata::default()
    };
    HealthCheckProgress {
        metadata: Some(metadata),
        message: String::new(),
    }
}

fn wait(asked: Option<prost_types::Duration>) -> Duration {
    let asked = asked.and_then(|asked| Duration::try_from(asked).ok());
    asked.filter(|asked| !asked.is_zero()).unwrap_or(WAIT).min(LONGEST)
}

/// The nodes that are asked for, or those that are known.
fn nodes<'a>(info: &ClusterInfo, members: impl Iterator<Item = &'a Member>) -> Result<Nodes, Status> {
    let mut nodes = Nodes {
        control_planes: info.control_plane_nodes.clone(),
        workers: info.worker_nodes.clone(),
    };
    if let Some(wrong) = nodes.all().find(|node| node.parse::<IpAddr>().is_err()) {
        let text = format!("cluster_info: {wrong:?} is no address of a node");
        return Err(Status::invalid_argument(text));
    }
    if nodes.all().next().is_none() {
        for member in members {
            let Some(address) = member.addresses.first() else {
                continue;
            };
            match member.machine_type {
                MachineKind::ControlPlane => nodes.control_planes.push(address.to_string()),
                _ => nodes.workers.push(address.to_string()),
            }
        }
    }
    if nodes.control_planes.is_empty() {
        let text =
            "this node knows no control plane among the members yet: name the nodes (cluster_info), or ask later";
        return Err(Status::unavailable(text));
    }
    Ok(nodes)
}

/// The ways from this node to the others, and to Kubernetes.
struct FromHere {
    node: Node,
    endpoint: String,
    clients: Mutex<BTreeMap<String, Client>>,
}

impl FromHere {
    fn new(node: &Node, endpoint: &str) -> Result<Self, Status> {
        let here = Self {
            node: node.clone(),
            endpoint: endpoint.to_owned(),
            clients: Mutex::default(),
        };
        let is_worker = |kind: &MachineType| kind.0 == MachineKind::Worker;
        if node
            .store
            .list::<MachineType>()
            .iter()
            .any(|kind| is_worker(kind.spec()))
        {
            let text = "this is a worker, which has no way to all nodes: ask a control plane";
            return Err(Status::failed_precondition(text));
        }
        here.identity()
            .ok_or_else(|| Status::unavailable("this node has no certificate for other nodes yet: ask later"))?;
        Ok(here)
    }

    /// The certificate by which nodes know each other. Workers have none.
    fn identity(&self) -> Option<ApiCertificates> {
        let certificates = self.node.store.list::<ApiCertificates>().into_iter().next()?;
        let certificates = certificates.spec().clone();
        (!certificates.client.crt.is_empty()).then_some(certificates)
    }
}

impl Ask for FromHere {
    fn node(&self, address: &str) -> anyhow::Result<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(address) {
            return Ok(client.clone());
        }
        let identity = self
            .identity()
            .context("this node has no certificate for other nodes")?;
        let accepted = AcceptedCA::bundle(&identity.accepted_cas);
        let tls = pki::tls::client_config(&accepted, Some(&identity.client)).context("use the node's certificate")?;
        let options = ClientOptions {
            endpoints: vec![address.to_owned()],
            ..ClientOptions::new(tls)
        };
        let client = Client::connect(options)?.with_role(Role::READER);
        clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }

    fn kubernetes(&self) -> BoxFuture<'_, anyhow::Result<k8s::Client>> {
        async move {
            let secrets = self.node.store.list::<KubernetesSecrets>().into_iter().next();
            let secrets = secrets.context("this node has no credentials for Kubernetes yet")?;
            let mut config = Kubeconfig::parse(secrets.spec().localhost_admin_kubeconfig.as_bytes())?;
            if !self.endpoint.is_empty() {
                config.set_server(&self.endpoint);
            }
            Ok(kubernetes::with(config.options(None)?)?)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(kind: MachineKind, address: &str) -> Member {
        Member {
            machine_type: kind,
            addresses: vec![address.parse().unwrap()],
            ..Member::default()
        }
    }

    #[test]
    fn the_nodes_are_those_that_are_named_or_else_the_members() {
        let members = [
            member(MachineKind::Worker, "10.5.0.3"),
            member(MachineKind::ControlPlane, "10.5.0.2"),
        ];
        let known = nodes(&ClusterInfo::default(), members.iter()).unwrap();
        assert_eq!(
            (known.control_planes, known.workers),
            (vec!["10.5.0.2".into()], vec!["10.5.0.3".into()])
        );
        let named = |text: &str| ClusterInfo {
            control_plane_nodes: vec![text.to_owned()],
            ..ClusterInfo::default()
        };
        let one = nodes(&named("10.5.0.9"), members.iter()).unwrap();
        assert_eq!((one.control_planes, one.workers), (vec!["10.5.0.9".into()], vec![]));
        let wrong = nodes(&named("http://elsewhere"), members.iter()).unwrap_err();
        assert_eq!(wrong.code(), tonic::Code::InvalidArgument);
        let none = nodes(&ClusterInfo::default(), members[..1].iter()).unwrap_err();
        assert_eq!(none.code(), tonic::Code::Unavailable);
    }

    #[test]
    fn the_time_to_wait_is_bounded() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        assert_eq!(wait(None), WAIT);
        assert_eq!(wait(seconds(0)), WAIT);
        assert_eq!(wait(seconds(5)), Duration::from_secs(5));
        assert_eq!(wait(seconds(1_000_000)), LONGEST);
        assert_eq!(wait(seconds(-1)), WAIT);
    }
}
