//! Certificates and kubeconfigs of the control plane: which there are, and for whom.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use ::pki::{Authority, CertAndKey, Error, KeyKind, Request, Secret, Usage};
use k8s::kubeconfig::Entry;
use k8s::{Auth, Kubeconfig};

/// How long the control plane's certificates are valid; they are renewed at half of it.
pub const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Names and addresses that the API server's certificate is valid for, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
}

/// What the API server's names come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServerNames<'a> {
    /// `cluster.local`
    pub dns_domain: &'a str,
    /// First addresses of the service subnets.
    pub service_ips: &'a [IpAddr],
    /// Host of the control plane's endpoint.
    pub endpoint_host: &'a str,
    /// `cluster.apiServer.certSANs` and `machine.certSANs`: names or addresses.
    pub sans: &'a [String],
    /// The node's host name.
    pub hostname: &'a str,
    /// The node's full name, if it has a domain.
    pub fqdn: &'a str,
    /// The node's addresses.
    pub node_ips: &'a [IpAddr],
}

/// Names of the API server's certificate.
pub fn api_server_names(from: &ApiServerNames<'_>) -> Names {
    let own = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        from.hostname,
        from.fqdn,
    ];
    let full = format!("kubernetes.default.svc.{}", from.dns_domain);
    let ips = from
        .service_ips
        .iter()
        .chain(from.node_ips)
        .copied()
        .chain([IpAddr::from([127, 0, 0, 1])]);
    let said = from.sans.iter().map(String::as_str).chain([from.endpoint_host]);
    names(own.into_iter().chain([full.as_str()]).chain(said), ips)
}

/// Sorts out which of the texts are addresses; empty ones are dropped.
pub fn names<'a>(texts: impl IntoIterator<Item = &'a str>, ips: impl IntoIterator<Item = IpAddr>) -> Names {
    let mut dns = BTreeSet::new();
    let mut addresses: BTreeSet<IpAddr> = ips.into_iter().collect();
    for text in texts
        .into_iter()
        .map(|t| t.trim().trim_start_matches('[').trim_end_matches(']'))
    {
        match text.parse::<IpAddr>() {
            Ok(ip) => {
                addresses.insert(ip);
            }
            Err(_) if text.is_empty() => {}
            Err(_) => {
                dns.insert(text.trim_end_matches('.').to_owned());
            }
        }
    }
    Names {
        dns: dns.into_iter().collect(),
        ips: addresses.into_iter().collect(),
    }
}

/// The API server's own certificate, from the Kubernetes authority.
pub fn api_server(names: &Names, now: SystemTime) -> Request {
    let mut request = Request::server(
        KeyKind::EcdsaP256,
        "kube-apiserver",
        names.dns.clone(),
        names.ips.clone(),
        now,
    )
    .with_ttl(LIFETIME);
    request.organizations = vec!["kube-master".into()];
    request
}

/// What the API server shows to kubelets, from the Kubernetes authority.
pub fn api_server_kubelet_client(now: SystemTime) -> Request {
    Request::client(KeyKind::EcdsaP256, "apiserver-kubelet-client", &["system:masters"], now).with_ttl(LIFETIME)
}

/// What the API server shows to aggregated API servers, from the aggregator authority.
pub fn front_proxy_client(now: SystemTime) -> Request {
    Request::client(KeyKind::EcdsaP256, "front-proxy-client", &[], now).with_ttl(LIFETIME)
}

/// Who a kubeconfig of the control plane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// kube-controller-manager
    ControllerManager,
    /// kube-scheduler
    Scheduler,
    /// The node itself, on control planes.
    LocalhostAdmin,
    /// A person.
    Admin,
}

impl Client {
    /// The certificate's CN, which is the user name in Kubernetes.
    pub fn common_name(self) -> &'static str {
        match self {
            Self::ControllerManager => "system:kube-controller-manager",
            Self::Scheduler => "system:kube-scheduler",
            Self::LocalhostAdmin => "talos:admin",
            Self::Admin => "admin",
        }
    }

    /// The certificate's O, which is the group in Kubernetes.
    pub fn organization(self) -> &'static str {
        match self {
            Self::ControllerManager | Self::Scheduler => self.common_name(),
            Self::LocalhostAdmin | Self::Admin => "system:masters",
        }
    }

    /// Its certificate, from the Kubernetes authority.
    pub fn request(self, ttl: Duration, now: SystemTime) -> Request {
        Request::client(KeyKind::EcdsaP256, self.common_name(), &[self.organization()], now).with_ttl(ttl)
    }
}

/// A kubeconfig cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The certificate cannot be issued.
    #[error("issue the certificate of {user}: {cause}")]
    Certificate {
        /// Its user.
        user: &'static str,
        /// Why.
        cause: Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Kubeconfig(#[from] k8s::Error),
}

/// A kubeconfig for a client of the control plane, with a new certificate.
///
/// A person's context is named as people know it: `admin@CLUSTER`; the others are `default@CLUSTER`.
///
/// # Errors
/// The authority cannot sign.
pub fn kubeconfig(
    client: Client,
    cluster: &str,
    server: &str,
    authority: &Authority,
    accepted_cas: &[u8],
    ttl: Duration,
    now: SystemTime,
) -> Result<Secret, KubeconfigError> {
    let user = client.common_name();
    let pair = authority
        .sign(&client.request(ttl, now))
        .map_err(|cause| KubeconfigError::Certificate { user, cause })?;
    let user = format!("{user}@{cluster}");
    let context = if client == Client::Admin {
        user.clone()
    } else {
        format!("default@{cluster}")
    };
    let ca = if accepted_cas.is_empty() {
        authority.certificate()
    } else {
        accepted_cas
    };
    let auth = Auth::Certificate(pair);
    let entry = Entry {
        cluster,
        user: &user,
        context: &context,
        server,
        ca,
        namespace: Some("default"),
        auth: &auth,
    };
    Ok(Kubeconfig::new(&entry)?.encode()?)
}

/// What a kubelet joins with.
///
/// # Errors
/// The token is not text.
pub fn kubelet_bootstrap_kubeconfig(server: &str, ca: &[u8], token: &BootstrapToken) -> Result<Secret, k8s::Error> {
    let auth = Auth::Token(token.text()?);
    let entry = Entry {
        cluster: "local",
        user: "kubelet",
        context: "local",
        server,
        ca,
        namespace: None,
        auth: &auth,
    };
    Kubeconfig::new(&entry)?.encode()
}

/// The token a kubelet joins with, in its two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapToken {
    /// Six characters that name it.
    pub id: String,
    /// Sixteen that nobody knows.
    pub secret: Secret,
}

impl BootstrapToken {
    /// A token from its two parts.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: Secret::from(secret.to_owned()),
        }
    }

    /// Parts of `id.secret`; `None` if there is no dot.
    pub fn parse(token: &str) -> Option<Self> {
        let (id, secret) = token.split_once('.')?;
        Some(Self::new(id, secret))
    }

    /// As a client sends it.
    ///
    /// # Errors
    /// The secret is not text.
    pub fn text(&self) -> Result<Secret, k8s::Error> {
        let secret = self
            .secret
            .expose_str()
            .map_err(|e| k8s::Error::Setup(format!("bootstrap token: {e}")))?;
        Ok(Secret::from(format!("{}.{secret}", self.id)))
    }
}

/// Certificates of an etcd member, from the etcd authority.
pub struct EtcdRequests {
    /// For clients.
    pub server: Request,
    /// For members, both ways.
    pub peer: Request,
    /// The node's own client.
    pub admin: Request,
    /// The API server's client.
    pub api_server: Request,
}

/// Certificates of an etcd member.
pub fn etcd(node_name: &str, node_ips: &[IpAddr], now: SystemTime) -> EtcdRequests {
    let loopback = [
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
    ];
    let with_loopback = names(["localhost", node_name], node_ips.iter().copied().chain(loopback));
    let peer = names([node_name], node_ips.iter().copied());
    // etcd uses its server certificate also as a client of itself.
    let both = |names: &Names| Request {
        usage: Usage::Peer,
        ..Request::server(KeyKind::EcdsaP256, node_name, names.dns.clone(), names.ips.clone(), now).with_ttl(LIFETIME)
    };
    let client = |name: &str| Request::client(KeyKind::EcdsaP256, name, &[], now).with_ttl(LIFETIME);
    EtcdRequests {
        server: both(&with_loopback),
        peer: both(&peer),
        admin: client("root"),
        api_server: client("kube-apiserver"),
    }
}

/// The public half of the service accounts' key, for checking tokens.
///
/// # Errors
/// The key cannot be read.
pub fn service_account_public_key(key: &Secret) -> Result<String, Error> {
    ::pki::PrivateKey::from_pem(key.expose())?.public_key_pem()
}

/// Certificates of a control plane that change with the node's names and with the authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicCerts {
    /// The API server's own.
    pub api_server: CertAndKey,
    /// Its client at kubelets.
    pub kubelet_client: CertAndKey,
    /// Its client at aggregated servers.
    pub front_proxy: CertAndKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interface's own node: `CertSANs` with id `k8s`.
    #[test]
    fn the_api_server_has_the_interfaces_names() {
        let service_ips = ["10.96.0.1".parse().unwrap()];
        let node_ips = ["fec0::5054:ff:fe12:3456".parse().unwrap(), "10.0.2.15".parse().unwrap()];
        let names = api_server_names(&ApiServerNames {
            dns_domain: "cluster.local",
            service_ips: &service_ips,
            endpoint_host: "10.0.2.15",
            sans: &["127.0.0.1".to_owned()],
            hostname: "talos1",
            fqdn: "talos1",
            node_ips: &node_ips,
        });
        assert_eq!(
            names.dns,
            [
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                "localhost",
                "talos1"
            ]
        );
        let ips: Vec<String> = names.ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["10.0.2.15", "10.96.0.1", "127.0.0.1", "fec0::5054:ff:fe12:3456"]);
    }

    #[test]
    fn every_certificate_is_for_its_holder() {
        let now = SystemTime::now();
        let authority = Authority::new_kubernetes(now).unwrap();
        let names = names(["api.example.org", "[fd00::1]"], []);
        let server = authority.sign(&api_server(&names, now)).unwrap();
        let info = ::pki::cert_info(&server.crt).unwrap();
        assert_eq!(info.organizations, ["kube-master"]);
        assert_eq!(info.sans(), ["api.example.org", "fd00::1"]);
        let kubelet_client = authority.sign(&api_server_kubelet_client(now)).unwrap();
        assert_eq!(
            ::pki::cert_info(&kubelet_client.crt).unwrap().organizations,
            ["system:masters"]
        );
        let etcd = etcd("n", &["10.0.0.1".parse().unwrap()], now);
        assert_eq!((etcd.peer.usage, etcd.admin.usage), (Usage::Peer, Usage::Client));
        assert!(etcd.server.dns_names.contains(&"localhost".to_owned()));
        assert!(!etcd.peer.dns_names.contains(&"localhost".to_owned()));
    }

    #[test]
    fn kubeconfigs_connect_as_their_client() {
        let now = SystemTime::now();
        let authority = Authority::new_kubernetes(now).unwrap();
        let made = |client| {
            let text = kubeconfig(client, "demo", "https://127.0.0.1:7445", &authority, b"", LIFETIME, now).unwrap();
            Kubeconfig::parse(text.expose()).unwrap()
        };
        let admin = made(Client::Admin);
        assert_eq!(admin.current_context(), Some("admin@demo"));
        let Auth::Certificate(pair) = admin.options(None).unwrap().auth else {
            panic!("no certificate")
        };
        assert_eq!(::pki::cert_info(&pair.crt).unwrap().organizations, ["system:masters"]);
        assert_eq!(made(Client::Scheduler).current_context(), Some("default@demo"));

        let token = BootstrapToken::parse("abcdef.0123456789abcdef").unwrap();
        let text = kubelet_bootstrap_kubeconfig("https://127.0.0.1:7445", b"ca", &token).unwrap();
        let auth = Kubeconfig::parse(text.expose()).unwrap().options(None).unwrap().auth;
        assert!(matches!(auth, Auth::Token(t) if t.expose() == b"abcdef.0123456789abcdef"));
        assert_eq!(BootstrapToken::parse("x"), None);
    }
}
