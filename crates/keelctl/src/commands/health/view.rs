//! What the checks look at: nodes by address, and the Kubernetes API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use api::client::Client;
use api::proto::cosi::resource::Resource;
use api::proto::machine::{EtcdMember, EtcdMemberListRequest, ServiceInfo};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::commands::{get, kubeconfig};
use crate::session::{Target, failed};

/// How long one question to one node may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Addresses of the nodes there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Control planes.
    pub control_planes: Vec<String>,
    /// Workers.
    pub workers: Vec<String>,
}

impl Nodes {
    /// All of them, control planes first.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.control_planes.iter().chain(&self.workers)
    }
}

/// Everything the checks ask.
pub struct View {
    /// The nodes.
    pub nodes: Nodes,
    target: Target,
    endpoint: Option<String>,
    kubernetes: OnceCell<k8s::Client>,
}

impl View {
    /// Looks for the nodes if they are not named.
    pub async fn open(target: &Target, nodes: Nodes, endpoint: Option<String>, deadline: Instant) -> Result<Self> {
        let nodes = if nodes.all().next().is_some() {
            nodes
        } else {
            discover(target, deadline).await?
        };
        Ok(Self {
            nodes,
            target: target.clone(),
            endpoint,
            kubernetes: OnceCell::new(),
        })
    }

    fn client(&self, node: &str) -> Client {
        self.target.client.with_nodes(&[node])
    }

    /// A service of a node.
    pub async fn service(&self, node: &str, id: &str) -> Result<ServiceInfo> {
        service(&self.client(node), id).await.with_context(|| node.to_owned())
    }

    /// The etcd members a node knows.
    pub async fn etcd_members(&self, node: &str) -> Result<Vec<EtcdMember>> {
        let request = EtcdMemberListRequest { query_local: true };
        let call = async { self.client(node).machine().etcd_member_list(request).await };
        let response = within(call).await.with_context(|| node.to_owned())?.into_inner();
        Ok(response.messages.into_iter().flat_map(|list| list.members).collect())
    }

    /// Whether a node's API answers.
    pub async fn answers(&self, node: &str) -> Result<()> {
        within(async { self.client(node).machine().version(()).await })
            .await
            .with_context(|| node.to_owned())?;
        Ok(())
    }

    /// The machine's status.
    pub async fn machine_status(&self, node: &str) -> Result<Value> {
        let client = self.client(node);
        let status = within(get::one(
            &client,
            "runtime",
            "MachineStatuses.runtime.talos.dev",
            "machine",
        ))
        .await;
        spec(&status.with_context(|| node.to_owned())?)
    }

    /// The Kubernetes API, with the admin's rights.
    pub async fn kubernetes(&self) -> Result<&k8s::Client> {
        self.kubernetes
            .get_or_try_init(|| kubeconfig::client(&self.target, self.endpoint.as_deref(), CALL_LIMIT))
            .await
    }
}

/// The answer to a call, or why there is none.
pub async fn within<T>(call: impl Future<Output = Result<T, tonic::Status>>) -> Result<T> {
    timeout(CALL_LIMIT, call)
        .await
        .context("no answer")?
        .map_err(|status| failed(&status))
}

/// A service of the node that a client speaks to.
pub async fn service(client: &Client, id: &str) -> Result<ServiceInfo> {
    let list = within(async { client.machine().service_list(()).await }).await?;
    let mut all = list.into_inner().messages.into_iter().flat_map(|list| list.services);
    all.find(|service| service.id == id)
        .with_context(|| format!("there is no service {id}"))
}

/// The spec of a resource as a value.
pub fn spec(resource: &Resource) -> Result<Value> {
    let yaml = resource
        .spec
        .as_ref()
        .map(|spec| spec.yaml_spec.as_str())
        .unwrap_or_default();
    serde_saphyr::from_str(yaml).context("read a resource")
}

/// The members of the cluster as a node sees them.
pub async fn discover(target: &Target, deadline: Instant) -> Result<Nodes> {
    crate::output::note("discovered nodes:");
    loop {
        let members = get::list(&target.client, "cluster", "Members.cluster.talos.dev").await;
        let mut nodes = Nodes::default();
        for member in members.map_err(|status| failed(&status)).context("list members")? {
            let member = spec(&member)?;
            let address = member["addresses"][0].as_str().unwrap_or_default().to_owned();
            match member["machineType"].as_str() {
                _ if address.is_empty() => {}
                Some("controlplane" | "init") => nodes.control_planes.push(address),
                _ => nodes.workers.push(address),
            }
        }
        if !nodes.control_planes.is_empty() {
            crate::output::note(&format!("  control planes: {}", nodes.control_planes.join(", ")));
            crate::output::note(&format!("  workers: {}", nodes.workers.join(", ")));
            return Ok(nodes);
        }
        if Instant::now() > deadline {
            bail!("the node knows no control plane among the members; name the nodes with --control-plane-nodes");
        }
        sleep(Duration::from_secs(1)).await;
    }
}
