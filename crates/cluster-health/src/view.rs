//! What the checks look at: nodes by address, and the Kubernetes API.

use anyhow::{Context as _, Result};
use api::client::{CALL_LIMIT, Client, explain, within};
use api::proto::cosi::resource::Resource;
use api::proto::machine::{EtcdMember, EtcdMemberListRequest, ServiceInfo};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::OnceCell;
use tonic::Status;

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

/// The ways to what is asked.
pub trait Ask: Send + Sync {
    /// A client whose calls reach the node with this address.
    ///
    /// # Errors
    /// There is no way to it.
    fn node(&self, address: &str) -> Result<Client>;

    /// A client of the Kubernetes API that may read everything in `kube-system` and all nodes. Asked for until it succeeds.
    fn kubernetes(&self) -> BoxFuture<'_, Result<k8s::Client>>;
}

/// Everything the checks ask.
pub struct View {
    /// The nodes.
    pub nodes: Nodes,
    ask: Box<dyn Ask>,
    kubernetes: OnceCell<k8s::Client>,
}

impl View {
    /// A view of these nodes.
    pub fn new(nodes: Nodes, ask: impl Ask + 'static) -> Self {
        Self {
            nodes,
            ask: Box::new(ask),
            kubernetes: OnceCell::new(),
        }
    }

    /// A service of a node.
    ///
    /// # Errors
    /// The node does not answer, or has no such service.
    pub async fn service(&self, node: &str, id: &str) -> Result<ServiceInfo> {
        let client = self.ask.node(node)?;
        service(&client, id).await.with_context(|| node.to_owned())
    }

    /// The etcd members a node knows.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn etcd_members(&self, node: &str) -> Result<Vec<EtcdMember>> {
        let client = self.ask.node(node)?;
        let request = EtcdMemberListRequest { query_local: true };
        let call = async { client.machine().etcd_member_list(request).await };
        let response = in_time(call).await.with_context(|| node.to_owned())?.into_inner();
        Ok(response.messages.into_iter().flat_map(|list| list.members).collect())
    }

    /// Whether a node's API answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn answers(&self, node: &str) -> Result<()> {
        let client = self.ask.node(node)?;
        in_time(async { client.machine().version(()).await })
            .await
            .with_context(|| node.to_owned())?;
        Ok(())
    }

    /// The machine's status.
    ///
    /// # Errors
    /// The node does not answer, or has none.
    pub async fn machine_status(&self, node: &str) -> Result<Value> {
        let client = self.ask.node(node)?;
        let call = client.resource("runtime", "MachineStatuses.runtime.talos.dev", "machine");
        spec(&in_time(call).await.with_context(|| node.to_owned())?)
    }

    /// The Kubernetes API, with the admin's rights.
    ///
    /// # Errors
    /// There is no way to it.
    pub async fn kubernetes(&self) -> Result<&k8s::Client> {
        self.kubernetes.get_or_try_init(|| self.ask.kubernetes()).await
    }
}

/// The answer to a call, or why there is none.
async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T> {
    let answer = within(CALL_LIMIT, call).await;
    answer.map_err(|status| anyhow::Error::msg(explain(&status)))
}

/// A service of the node that a client speaks to.
///
/// # Errors
/// The node does not answer, or has no such service.
pub async fn service(client: &Client, id: &str) -> Result<ServiceInfo> {
    let list = in_time(async { client.machine().service_list(()).await }).await?;
    let mut all = list.into_inner().messages.into_iter().flat_map(|list| list.services);
    all.find(|service| service.id == id)
        .with_context(|| format!("there is no service {id}"))
}

/// The spec of a resource as a value.
///
/// # Errors
/// It is no YAML.
pub fn spec(resource: &Resource) -> Result<Value> {
    let yaml = resource
        .spec
        .as_ref()
        .map(|spec| spec.yaml_spec.as_str())
        .unwrap_or_default();
    serde_saphyr::from_str(yaml).context("read a resource")
}
