//! The static pods of a control plane node: API server, controller manager, scheduler.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::flags::{FlagError, Flags};
use super::pods::{Component, Probes, Shape, https_probe, pod, tcp_probe};
use super::version::Version;

/// What the secrets of all of them are below.
pub const SECRETS: &str = "/system/secrets/kubernetes/";
/// Secrets of the API server, on the node and in its pod.
pub const API_SERVER_SECRETS: &str = "/system/secrets/kubernetes/kube-apiserver";
/// Its configuration files.
pub const API_SERVER_CONFIG: &str = "/system/config/kubernetes/kube-apiserver";
/// Its audit log.
pub const AUDIT_LOG: &str = "/var/log/audit/kube";
/// Secrets of the controller manager.
pub const CONTROLLER_MANAGER_SECRETS: &str = "/system/secrets/kubernetes/kube-controller-manager";
/// Secrets of the scheduler.
pub const SCHEDULER_SECRETS: &str = "/system/secrets/kubernetes/kube-scheduler";
/// Its configuration file.
pub const SCHEDULER_CONFIG: &str = "/system/config/kubernetes/kube-scheduler";

/// User and group of the API server.
pub const API_SERVER_ID: u32 = 65534;
/// User and group of the controller manager.
pub const CONTROLLER_MANAGER_ID: u32 = 65535;
/// User and group of the scheduler.
pub const SCHEDULER_ID: u32 = 65536;

const CONTROLLER_MANAGER_PORT: u16 = 10257;
const SCHEDULER_PORT: u16 = 10259;

/// TLS 1.3, and of TLS 1.2 what has forward secrecy and authenticated encryption.
pub const TLS_CIPHER_SUITES: &str = "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256,\
TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,\
TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,\
TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";

/// What the API server is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiServer {
    /// What a user can say of it.
    #[serde(flatten)]
    pub component: Component,
    /// `https://host:port` of the control plane: issuer and audience of tokens.
    pub control_plane_endpoint: String,
    /// `https://127.0.0.1:2379`
    pub etcd_servers: Vec<String>,
    /// Where it listens.
    pub local_port: u16,
    /// Service subnets.
    #[serde(rename = "serviceCIDR")]
    pub service_cidrs: Vec<String>,
    /// Address that other API servers and pods reach it at; `$(POD_IP)` for the node's.
    pub advertised_address: String,
}

/// What the controller manager is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControllerManager {
    /// What a user can say of it.
    #[serde(flatten)]
    pub component: Component,
    /// `external`, or empty.
    pub cloud_provider: String,
    /// Pod subnets.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<String>,
    /// Service subnets.
    #[serde(rename = "serviceCIDRs")]
    pub service_cidrs: Vec<String>,
}

/// What the scheduler is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scheduler {
    /// What a user can say of it.
    #[serde(flatten)]
    pub component: Component,
}

/// Whether the API server reads an authentication configuration that lets anyone ask for its health, and only for
/// that. Otherwise anonymous requests are off altogether: older versions cannot tell paths apart, and a user who sets
/// one of these flags decides alone.
pub fn anonymous_health(server: &ApiServer) -> bool {
    let extra = &server.component.extra_args;
    Version::of_image(&server.component.image) >= Version::new(1, 32)
        && !["anonymous-auth", "authentication-config"]
            .iter()
            .any(|flag| extra.contains_key(*flag))
}

/// Whether the chain of authorizers comes from a file; the API server does not take it together with these flags.
pub fn authorization_file(server: &ApiServer) -> bool {
    let by_flag = |name: &String| name == "authorization-mode" || name.starts_with("authorization-webhook-");
    Version::of_image(&server.component.image) >= Version::new(1, 30)
        && !server.component.extra_args.keys().any(by_flag)
}

/// The command line of the API server.
///
/// # Errors
/// An extra argument is refused.
pub fn api_server_flags(server: &ApiServer) -> Result<Flags, FlagError> {
    let secret = |name: &str| format!("{API_SERVER_SECRETS}/{name}");
    let config = |name: &str| format!("{API_SERVER_CONFIG}/{name}");
    let any = if only_ipv6(&server.service_cidrs) {
        "::"
    } else {
        "0.0.0.0"
    };
    let mut flags = Flags::new();
    flags.set_all([
        ("admission-control-config-file", config("admission-control-config.yaml")),
        ("audit-policy-file", config("auditpolicy.yaml")),
        ("audit-log-path", format!("{AUDIT_LOG}/kube-apiserver.log")),
        ("client-ca-file", secret("ca.crt")),
        ("encryption-provider-config", secret("encryptionconfig.yaml")),
        ("etcd-cafile", secret("etcd-client-ca.crt")),
        ("etcd-certfile", secret("etcd-client.crt")),
        ("etcd-keyfile", secret("etcd-client.key")),
        ("etcd-servers", server.etcd_servers.join(",")),
        ("kubelet-client-certificate", secret("apiserver-kubelet-client.crt")),
        ("kubelet-client-key", secret("apiserver-kubelet-client.key")),
        ("proxy-client-cert-file", secret("front-proxy-client.crt")),
        ("proxy-client-key-file", secret("front-proxy-client.key")),
        ("requestheader-client-ca-file", secret("aggregator-ca.crt")),
        ("service-account-key-file", secret("service-account.pub")),
        ("service-account-signing-key-file", secret("service-account.key")),
        ("tls-cert-file", secret("apiserver.crt")),
        ("tls-private-key-file", secret("apiserver.key")),
        ("advertise-address", server.advertised_address.clone()),
        ("api-audiences", server.control_plane_endpoint.clone()),
        ("service-account-issuer", server.control_plane_endpoint.clone()),
        ("service-cluster-ip-range", server.service_cidrs.join(",")),
        ("secure-port", server.local_port.to_string()),
        // Without it, a server that ends waits a minute for watches of its clients, which do not end by themselves.
        ("shutdown-watch-termination-grace-period", "5s".to_owned()),
        ("tls-cipher-suites", TLS_CIPHER_SUITES.to_owned()),
    ]);
    flags.set_all([
        ("allow-privileged", "true"),
        ("audit-log-maxage", "30"),
        ("audit-log-maxbackup", "10"),
        ("audit-log-maxsize", "100"),
        ("bind-address", any),
        ("enable-admission-plugins", "NodeRestriction"),
        ("enable-bootstrap-token-auth", "true"),
        ("kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname"),
        ("profiling", "false"),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("tls-min-version", "VersionTLS12"),
    ]);
    if anonymous_health(server) {
        flags.set("authentication-config", config("authentication-config.yaml"));
    } else if !server.component.extra_args.contains_key("authentication-config") {
        flags.set("anonymous-auth", "false");
    }
    if authorization_file(server) {
        flags.set("authorization-config", config("authorization-config.yaml"));
    } else {
        flags.set("authorization-mode", "Node,RBAC");
    }
    flags.merge(&server.component.extra_args, &config::arguments::API_SERVER)?;
    Ok(flags)
}

/// The API server's pod.
///
/// # Errors
/// An extra argument is refused.
pub fn api_server(server: &ApiServer) -> Result<Value, FlagError> {
    let flags = api_server_flags(server)?;
    let port = server.local_port;
    // With anonymous requests refused, a probe without credentials would only see 401.
    let open = anonymous_health(server) || flags.get("anonymous-auth").is_some_and(|v| v == ["true"]);
    let probe = |path| if open { https_probe(port, path) } else { tcp_probe(port) };
    let shape = Shape {
        name: "kube-apiserver",
        id: API_SERVER_ID,
        command: command("kube-apiserver", &flags),
        cpu: "200m",
        memory: "512Mi",
        env: vec![json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})],
        folders: vec![
            ("secrets", API_SERVER_SECRETS, true),
            ("config", API_SERVER_CONFIG, true),
            ("audit", AUDIT_LOG, false),
        ],
        capabilities: &["NET_BIND_SERVICE"],
        probes: Probes {
            startup: probe("/readyz"),
            liveness: probe("/livez"),
            readiness: probe("/readyz"),
        },
    };
    Ok(pod(&server.component, shape))
}

/// The command line of the controller manager.
///
/// # Errors
/// An extra argument is refused.
pub fn controller_manager_flags(manager: &ControllerManager) -> Result<Flags, FlagError> {
    let secret = |name: &str| format!("{CONTROLLER_MANAGER_SECRETS}/{name}");
    let mut flags = Flags::new();
    flags.set_all([
        ("authentication-kubeconfig", secret("kubeconfig")),
        ("authorization-kubeconfig", secret("kubeconfig")),
        ("kubeconfig", secret("kubeconfig")),
        ("cluster-cidr", manager.pod_cidrs.join(",")),
        ("service-cluster-ip-range", manager.service_cidrs.join(",")),
        ("cluster-signing-cert-file", secret("signing-ca.crt")),
        ("cluster-signing-key-file", secret("signing-ca.key")),
        ("root-ca-file", secret("ca.crt")),
        // Without it the program looks for this authority in the API once at its start, and ends if the API is away.
        ("requestheader-client-ca-file", secret("aggregator-ca.crt")),
        ("service-account-private-key-file", secret("service-account.key")),
    ]);
    flags.set_all([
        ("allocate-node-cidrs", "true"),
        ("bind-address", "127.0.0.1"),
        ("configure-cloud-routes", "false"),
        // Each controller gets credentials of its own before the first one starts: at the default of 20 calls a second
        // that takes five seconds, in which no service account and so no pod can be made.
        ("kube-api-burst", "200"),
        ("kube-api-qps", "100"),
        ("controllers", "*,tokencleaner"),
        ("leader-elect", "true"),
        ("profiling", "false"),
        ("tls-min-version", "VersionTLS13"),
        ("use-service-account-credentials", "true"),
    ]);
    if !manager.cloud_provider.is_empty() {
        flags.set("cloud-provider", manager.cloud_provider.clone());
    }
    flags.merge(&manager.component.extra_args, &config::arguments::CONTROLLER_MANAGER)?;
    Ok(flags)
}

/// The controller manager's pod.
///
/// # Errors
/// An extra argument is refused.
pub fn controller_manager(manager: &ControllerManager) -> Result<Value, FlagError> {
    let flags = controller_manager_flags(manager)?;
    let probe = || https_probe(CONTROLLER_MANAGER_PORT, "/healthz");
    let shape = Shape {
        name: "kube-controller-manager",
        id: CONTROLLER_MANAGER_ID,
        command: command("kube-controller-manager", &flags),
        cpu: "50m",
        memory: "256Mi",
        env: Vec::new(),
        folders: vec![("secrets", CONTROLLER_MANAGER_SECRETS, true)],
        capabilities: &[],
        probes: Probes {
            startup: probe(),
            liveness: probe(),
            readiness: probe(),
        },
    };
    Ok(pod(&manager.component, shape))
}

/// The command line of the scheduler.
///
/// # Errors
/// An extra argument is refused.
pub fn scheduler_flags(scheduler: &Scheduler) -> Result<Flags, FlagError> {
    let kubeconfig = format!("{SCHEDULER_SECRETS}/kubeconfig");
    let mut flags = Flags::new();
    flags.set_all([
        ("authentication-kubeconfig", kubeconfig.clone()),
        ("authorization-kubeconfig", kubeconfig),
        ("config", format!("{SCHEDULER_CONFIG}/scheduler-config.yaml")),
        (
            "requestheader-client-ca-file",
            format!("{SCHEDULER_SECRETS}/aggregator-ca.crt"),
        ),
    ]);
    flags.set_all([
        ("authentication-tolerate-lookup-failure", "false"),
        ("bind-address", "127.0.0.1"),
        ("leader-elect", "true"),
        ("profiling", "false"),
        ("tls-min-version", "VersionTLS13"),
    ]);
    flags.merge(&scheduler.component.extra_args, &config::arguments::SCHEDULER)?;
    Ok(flags)
}

/// The scheduler's pod.
///
/// # Errors
/// An extra argument is refused.
pub fn scheduler(scheduler: &Scheduler) -> Result<Value, FlagError> {
    let flags = scheduler_flags(scheduler)?;
    let probe = || https_probe(SCHEDULER_PORT, "/healthz");
    let shape = Shape {
        name: "kube-scheduler",
        id: SCHEDULER_ID,
        command: command("kube-scheduler", &flags),
        cpu: "10m",
        memory: "64Mi",
        env: Vec::new(),
        folders: vec![("secrets", SCHEDULER_SECRETS, true), ("config", SCHEDULER_CONFIG, true)],
        capabilities: &[],
        probes: Probes {
            startup: probe(),
            liveness: probe(),
            readiness: probe(),
        },
    };
    Ok(pod(&scheduler.component, shape))
}

/// Upstream images have their program here.
fn command(program: &str, flags: &Flags) -> Vec<String> {
    std::iter::once(format!("/usr/local/bin/{program}"))
        .chain(flags.render())
        .collect()
}

fn only_ipv6(cidrs: &[String]) -> bool {
    let is_ipv6 = |cidr: &String| {
        cidr.split('/')
            .next()
            .and_then(|a| a.parse::<IpAddr>().ok())
            .is_some_and(|a| a.is_ipv6())
    };
    !cidrs.is_empty() && cidrs.iter().all(is_ipv6)
}

#[cfg(test)]
mod tests;
