//! Certificates of etcd and of the control plane, issued by this node from the cluster's authorities.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use node_resources::config::MachineConfig;
use node_resources::k8s::Nodename;
use node_resources::keelson::FileSpec;
use node_resources::network::NodeAddress;
use node_resources::secrets::{
    CertSAN, EtcdRootSecrets, EtcdSecrets, KubernetesDynamicCerts, KubernetesRootSecrets, KubernetesSecrets,
};
use node_resources::types::AcceptedCA;
use pki::{Authority, CertAndKey, KeyKind, Request};
use resource::types::Prefix;
use resource::{Context, Named, One, Outcome, Outputs, Reconcile};

use super::certificates::Issued;
use super::files::file;
use super::nodes::KUBECONFIG;
use crate::kubernetes::pki::{self as kubernetes, Client, LIFETIME, Names};
use crate::machine_config::parsed;

resource::id!(
    /// The names of the API server.
    pub KubernetesNames = "k8s"
);
resource::id!(
    /// All addresses the node has had.
    pub Routed = "routed-no-k8s"
);

/// etcd's certificates.
#[derive(Default)]
pub struct Etcd {
    issued: Issued<(EtcdRootSecrets, String, Vec<IpAddr>), EtcdSecrets>,
}

impl Reconcile for Etcd {
    type Inputs = (One<EtcdRootSecrets>, One<Nodename>, Named<NodeAddress, Routed>);
    type Outputs = Outputs<EtcdSecrets>;

    async fn reconcile(
        &mut self,
        (root, nodename, addresses): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let now = self.issued.now();
        let addresses: Vec<IpAddr> = addresses.addresses.iter().map(Prefix::addr).collect();
        let key = ((*root).clone(), nodename.nodename.clone(), addresses.clone());
        if let Some((secrets, left)) = self.issued.fresh(&key, now) {
            return Ok(Outcome::done(Outputs::one("etcd", secrets)).requeue(left));
        }
        let authority = Authority::from_pair(&root.etcd_ca).context("use cluster.etcd.ca to issue certificates")?;
        let requests = kubernetes::etcd(&nodename.nodename, &addresses, now);
        let secrets = EtcdSecrets {
            etcd: authority.sign(&requests.server)?,
            etcd_peer: authority.sign(&requests.peer)?,
            etcd_admin: authority.sign(&requests.admin)?,
            etcd_api_server: authority.sign(&requests.api_server)?,
        };
        let left = self.issued.keep(key, secrets.clone(), LIFETIME, now);
        Ok(Outcome::done(Outputs::one("etcd", secrets)).requeue(left))
    }
}

/// The API server's certificates. A change of its names is none of those that it shows as a client: what it is connected
/// to need not be connected to anew.
#[derive(Default)]
pub struct Dynamic {
    server: Issued<(CertAndKey, CertSAN), CertAndKey>,
    clients: Issued<(CertAndKey, CertAndKey), Clients>,
}

/// What the API server shows as a client.
#[derive(Clone)]
struct Clients {
    kubelet: CertAndKey,
    front_proxy: CertAndKey,
}

impl Reconcile for Dynamic {
    type Inputs = (One<KubernetesRootSecrets>, Named<CertSAN, KubernetesNames>);
    type Outputs = Outputs<KubernetesDynamicCerts>;

    async fn reconcile(&mut self, (root, names): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let authority = || Authority::from_pair(&root.issuing_ca).context("use cluster.ca to issue certificates");
        let key = (root.issuing_ca.clone(), (*names).clone());
        let (api_server, server_left) = self.server.get(key, LIFETIME, |now| {
            let names = Names {
                dns: names.dns_names.clone(),
                ips: names.ips.clone(),
            };
            Ok(authority()?.sign(&kubernetes::api_server(&names, now))?)
        })?;
        let key = (root.issuing_ca.clone(), root.aggregator_ca.clone());
        let (clients, clients_left) = self.clients.get(key, LIFETIME, |now| {
            let aggregator = Authority::from_pair(&root.aggregator_ca).context("use cluster.aggregatorCA")?;
            Ok(Clients {
                kubelet: authority()?.sign(&kubernetes::api_server_kubelet_client(now))?,
                front_proxy: aggregator.sign(&kubernetes::front_proxy_client(now))?,
            })
        })?;
        let certs = KubernetesDynamicCerts {
            api_server,
            api_server_kubelet_client: clients.kubelet,
            front_proxy: clients.front_proxy,
        };
        let left = server_left.min(clients_left);
        Ok(Outcome::done(Outputs::one("k8s-dynamic-certs", certs)).requeue(left))
    }
}

/// Kubeconfigs of the control plane and of administrators.
#[derive(Default)]
pub struct Kubeconfigs {
    local: Issued<KubernetesRootSecrets, Local>,
    /// Apart from the others: the configuration may want it short, and a changed kubeconfig of theirs restarts the
    /// controller manager and the scheduler.
    admin: Issued<(KubernetesRootSecrets, Duration), String>,
}

/// Kubeconfigs of what runs on this node.
#[derive(Clone)]
struct Local {
    scheduler: String,
    controller_manager: String,
    admin: String,
}

impl Kubeconfigs {
    fn local(&mut self, root: &KubernetesRootSecrets) -> anyhow::Result<(Local, Duration)> {
        let now = self.local.now();
        if let Some(fresh) = self.local.fresh(root, now) {
            return Ok(fresh);
        }
        let server = root.local_endpoint.to_string();
        let make = |client| kubeconfig(root, client, &server, LIFETIME, now);
        let local = Local {
            scheduler: make(Client::Scheduler)?,
            controller_manager: make(Client::ControllerManager)?,
            admin: make(Client::LocalhostAdmin)?,
        };
        let left = self.local.keep(root.clone(), local.clone(), LIFETIME, now);
        Ok((local, left))
    }

    fn admin(&mut self, root: &KubernetesRootSecrets, lifetime: Duration) -> anyhow::Result<(String, Duration)> {
        let now = self.admin.now();
        let key = (root.clone(), lifetime);
        if let Some(fresh) = self.admin.fresh(&key, now) {
            return Ok(fresh);
        }
        let admin = kubeconfig(root, Client::Admin, &root.endpoint.to_string(), lifetime, now)?;
        let left = self.admin.keep(key, admin.clone(), lifetime, now);
        Ok((admin, left))
    }
}

fn kubeconfig(
    root: &KubernetesRootSecrets,
    client: Client,
    server: &str,
    lifetime: Duration,
    now: SystemTime,
) -> anyhow::Result<String> {
    let authority = Authority::from_pair(&root.issuing_ca).context("use cluster.ca to issue certificates")?;
    let accepted = AcceptedCA::bundle(&root.accepted_cas);
    let secret = kubernetes::kubeconfig(client, &root.name, server, &authority, &accepted, lifetime, now)?;
    Ok(secret.expose_str()?.to_owned())
}

impl Reconcile for Kubeconfigs {
    type Inputs = (One<KubernetesRootSecrets>, One<MachineConfig>);
    type Outputs = Outputs<KubernetesSecrets>;

    async fn reconcile(&mut self, (root, config): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let config = parsed(&config)?;
        let wanted = config
            .cluster()
            .and_then(|c| c.admin_kubeconfig.as_ref())
            .and_then(|a| a.cert_lifetime);
        let (local, local_left) = self.local(&root)?;
        let (admin_kubeconfig, admin_left) = self.admin(&root, wanted.unwrap_or(LIFETIME))?;
        let secrets = KubernetesSecrets {
            scheduler_kubeconfig: local.scheduler,
            controller_manager_kubeconfig: local.controller_manager,
            localhost_admin_kubeconfig: local.admin,
            admin_kubeconfig,
        };
        Ok(Outcome::done(Outputs::one("k8s-certs", secrets)).requeue(local_left.min(admin_left)))
    }
}

/// The set of the kubelet's own credentials.
pub const KUBELET_IDENTITY: &str = "kubelet-identity";

/// The kubelet's credentials on a control plane, which holds the authority: it need not wait for an API server that it
/// has to start first. A worker asks for its own with the bootstrap token.
#[derive(Default)]
pub struct KubeletIdentity {
    issued: Issued<(KubernetesRootSecrets, String), FileSpec>,
}

impl Reconcile for KubeletIdentity {
    type Inputs = (One<KubernetesRootSecrets>, One<Nodename>);
    type Outputs = Outputs<FileSpec>;

    async fn reconcile(
        &mut self,
        (root, nodename): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let now = self.issued.now();
        let key = ((*root).clone(), nodename.nodename.clone());
        if let Some((file, left)) = self.issued.fresh(&key, now) {
            return Ok(Outcome::done(Outputs::one(KUBECONFIG, file)).requeue(left));
        }
        let authority = Authority::from_pair(&root.issuing_ca).context("use cluster.ca to issue certificates")?;
        let user = format!("system:node:{}", nodename.nodename);
        let request = Request::client(KeyKind::EcdsaP256, &user, &["system:nodes"], now).with_ttl(LIFETIME);
        let ca = AcceptedCA::bundle(&root.accepted_cas);
        let kubeconfig = k8s::Kubeconfig::new(&k8s::kubeconfig::Entry {
            cluster: "local",
            user: &user,
            context: "local",
            server: &root.local_endpoint.to_string(),
            ca: &ca,
            namespace: None,
            auth: &k8s::Auth::Certificate(authority.sign(&request)?),
        })?;
        let spec = file(KUBELET_IDENTITY, kubeconfig.encode()?.expose_str()?, 0o600, 0);
        let left = self.issued.keep(key, spec.clone(), LIFETIME, now);
        Ok(Outcome::done(Outputs::one(KUBECONFIG, spec)).requeue(left))
    }
}
