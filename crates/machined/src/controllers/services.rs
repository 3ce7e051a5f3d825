//! The services a node runs, derived from what each needs. What is missing is named, so a waiting service says why.

use node_resources::config::{MachineKind, MachineType as MachineTypeResource};
use node_resources::etcd::EtcdSpec;
use node_resources::k8s::{KubeletSpec, Nodename};
use node_resources::keelson::{DesiredService, EtcdLaunch, FileSetStatus, FileSpec, KubeletJoin};
use node_resources::network::NetworkStatus;
use node_resources::runtime::{Environment, MaintenanceServiceConfig};
use node_resources::secrets::{ApiCertificates, TrustdCertificates};
use node_resources::service_spec::{Cgroup, Health, Mount, ServiceSpec};
use node_resources::v1alpha1::TimeStatus;
use resource::{All, One, Outputs};

use super::containerd;
use super::etcd::{LAUNCH, LEFT};
use super::kubernetes_certificates::KUBELET_IDENTITY;
use super::trust::CONTAINERD_BUNDLE;

const MIB: u64 = 1024 * 1024;
/// The user apid runs as (the interface's number).
pub const APID_USER: u32 = 50;
/// The user trustd runs as.
pub const TRUSTD_USER: u32 = 51;
/// The user etcd runs as.
pub const ETCD_USER: u32 = 60;

/// Certificates, network and clock: what services on the network wait for.
pub struct Conditions<'a> {
    network: Option<&'a NetworkStatus>,
    time: Option<&'a TimeStatus>,
}

impl Conditions<'_> {
    fn missing(&self) -> Vec<String> {
        let network = self.network.is_some_and(|n| n.address_ready && n.hostname_ready);
        let time = self.time.is_some_and(|t| t.synced);
        let named = [(time, "time sync"), (network, "network")];
        named
            .iter()
            .filter(|(there, _)| !there)
            .map(|(_, name)| (*name).to_owned())
            .collect()
    }
}

fn missing(mut already: Vec<String>, wanted: &[(bool, &str)]) -> Vec<String> {
    already.extend(
        wanted
            .iter()
            .filter(|(there, _)| !there)
            .map(|(_, name)| (*name).to_owned()),
    );
    already
}

/// apid and trustd: they stand between the network and the node, and are confined.
pub fn gates(
    kind: Option<One<MachineTypeResource>>,
    maintenance: Option<One<MaintenanceServiceConfig>>,
    api: Option<One<ApiCertificates>>,
    trustd: Option<One<TrustdCertificates>>,
    network: Option<One<NetworkStatus>>,
    time: Option<One<TimeStatus>>,
    environment: One<Environment>,
) -> Outputs<DesiredService> {
    let conditions = Conditions {
        network: network.as_deref(),
        time: time.as_deref(),
    };
    let environment = |spec: ServiceSpec| ServiceSpec {
        env: environment.variables.clone(),
        ..spec
    };
    let mut services = Outputs::none();
    if kind.is_none() && maintenance.is_none() {
        return services;
    }
    let waiting = match kind {
        // In maintenance the certificate is made on the spot.
        None => vec![],
        Some(_) => missing(vec![], &[(api.is_some(), "api certificates")]),
    };
    let control_plane = kind.as_ref().is_some_and(|k| k.0 == MachineKind::ControlPlane);
    let flag = match (&kind, control_plane) {
        (None, _) => Some(crate::gates::apid::MAINTENANCE),
        (Some(_), true) => Some(crate::gates::apid::FORWARD),
        (Some(_), false) => None,
    };
    services.insert("apid", service(environment(apid(waiting, flag))));
    if control_plane {
        let waiting = missing(conditions.missing(), &[(trustd.is_some(), "trustd certificates")]);
        services.insert("trustd", service(environment(trustd_service(waiting))));
    }
    services
}

fn service(spec: ServiceSpec) -> DesiredService {
    DesiredService { spec }
}

/// What a gate sees of the node: its own way to init, and the network's names.
fn gate_mounts(name: &str) -> Vec<Mount> {
    vec![
        Mount::ro(&format!("/system/run/{name}")),
        Mount::ro("/etc/hosts"),
        Mount::ro("/etc/resolv.conf"),
    ]
}

fn apid(waiting_for: Vec<String>, flag: Option<&str>) -> ServiceSpec {
    ServiceSpec {
        waiting_for,
        args: std::iter::once("/apid").chain(flag).map(ToOwned::to_owned).collect(),
        user: APID_USER,
        confined: true,
        mounts: [gate_mounts("apid"), vec![Mount::ro("/system/run/machined")]].concat(),
        cgroup: Cgroup {
            path: "/system/apid".to_owned(),
            memory_min: 16 * MIB,
            memory_max: 128 * MIB,
            millicores: 500,
            ..Cgroup::default()
        },
        oom_score: -998,
        health: Health::Tcp { port: 50000 },
        ..ServiceSpec::default()
    }
}

fn trustd_service(waiting_for: Vec<String>) -> ServiceSpec {
    ServiceSpec {
        waiting_for,
        args: vec!["/trustd".to_owned()],
        user: TRUSTD_USER,
        confined: true,
        mounts: gate_mounts("trustd"),
        cgroup: Cgroup {
            path: "/system/trustd".to_owned(),
            memory_min: 8 * MIB,
            memory_max: 128 * MIB,
            millicores: 250,
            ..Cgroup::default()
        },
        oom_score: -998,
        health: Health::Tcp { port: 50001 },
        ..ServiceSpec::default()
    }
}

/// containerd, for Kubernetes' pods.
pub fn container_runtime(
    _kind: One<MachineTypeResource>,
    files: All<FileSetStatus>,
    network: Option<One<NetworkStatus>>,
    environment: One<Environment>,
    trusted: All<FileSpec>,
) -> Outputs<DesiredService> {
    let conditions = Conditions {
        network: network.as_deref(),
        time: None,
    };
    let network: Vec<String> = conditions.missing().into_iter().filter(|m| m == "network").collect();
    let set = files.get("containerd");
    let mut env = environment.variables.clone();
    if trusted.get(CONTAINERD_BUNDLE).is_some() {
        env.push(format!("SSL_CERT_FILE={CONTAINERD_BUNDLE}"));
    }
    let spec = ServiceSpec {
        waiting_for: missing(network, &[(set.is_some(), "containerd configuration")]),
        args: vec![
            "/usr/bin/containerd".to_owned(),
            "--config".to_owned(),
            containerd::CONFIG.to_owned(),
        ],
        env,
        cgroup: Cgroup {
            path: "/podruntime/runtime".to_owned(),
            memory_min: 196 * MIB,
            // A process per pod is in it.
            memory_max_percent: 75,
            millicores: 1000,
            ..Cgroup::default()
        },
        oom_score: -500,
        health: Health::Socket {
            path: containerd::SOCKET.to_owned(),
        },
        files_version: set.map(|s| s.version.clone()).unwrap_or_default(),
        operable: true,
        ..ServiceSpec::default()
    };
    Outputs::one("containerd", service(spec))
}

/// etcd, on control planes: from its image, as its own user.
pub fn etcd(
    kind: One<MachineTypeResource>,
    spec: Option<One<EtcdSpec>>,
    launches: All<EtcdLaunch>,
    files: All<FileSetStatus>,
    network: Option<One<NetworkStatus>>,
    time: Option<One<TimeStatus>>,
    environment: One<Environment>,
) -> anyhow::Result<Outputs<DesiredService>> {
    if kind.0 != MachineKind::ControlPlane {
        return Ok(Outputs::none());
    }
    let conditions = Conditions {
        network: network.as_deref(),
        time: time.as_deref(),
    };
    let launch = launches.get(LAUNCH);
    let set = files.get("etcd");
    let launching = if launches.get(LEFT).is_some() {
        "a reboot or a reset (this node has left etcd)"
    } else {
        "bootstrap (call it once, on one control plane)"
    };
    let mut etcd = ServiceSpec {
        waiting_for: missing(
            conditions.missing(),
            &[
                (spec.is_some(), "etcd spec"),
                (set.is_some(), "etcd certificates"),
                (launch.is_some(), launching),
            ],
        ),
        env: [vec!["GOMEMLIMIT=1GiB".to_owned()], environment.variables.clone()].concat(),
        user: ETCD_USER,
        mounts: vec![
            Mount::rw("/var/lib/etcd"),
            Mount::ro("/system/secrets/etcd"),
            Mount::ro("/etc/hosts"),
        ],
        cgroup: Cgroup {
            path: "/podruntime/etcd".to_owned(),
            memory_min: 256 * MIB,
            memory_max_percent: 75,
            millicores: 2000,
            ..Cgroup::default()
        },
        oom_score: -998,
        health: Health::Http {
            port: 2381,
            path: "/readyz".to_owned(),
        },
        // Which certificates are served is read anew by etcd itself; an authority is not.
        files_version: String::new(),
        ..ServiceSpec::default()
    };
    if let (Some(spec), Some(launch)) = (spec, launch) {
        etcd.image = spec.image.clone();
        etcd.args = super::etcd::command_line(&spec, launch)?;
    }
    Ok(Outputs::one("etcd", service(etcd)))
}

/// The kubelet: from its image, with the node's devices and everything that pods need mounted both ways.
#[expect(clippy::too_many_arguments, reason = "each is an input; a signature is the wiring")]
pub fn kubelet(
    kind: One<MachineTypeResource>,
    spec: Option<One<KubeletSpec>>,
    nodename: Option<One<Nodename>>,
    files: All<FileSetStatus>,
    network: Option<One<NetworkStatus>>,
    time: Option<One<TimeStatus>>,
    join: Option<One<KubeletJoin>>,
    environment: One<Environment>,
) -> Outputs<DesiredService> {
    let conditions = Conditions {
        network: network.as_deref(),
        time: time.as_deref(),
    };
    let identity = kind.0 != MachineKind::ControlPlane || files.get(KUBELET_IDENTITY).is_some();
    let set = files.get("kubelet");
    let credentials = join.as_ref().map(|j| j.version.clone()).unwrap_or_default();
    let mut kubelet = ServiceSpec {
        waiting_for: missing(
            conditions.missing(),
            &[
                (spec.is_some(), "kubelet spec"),
                (nodename.is_some(), "nodename"),
                (set.is_some(), "kubelet configuration"),
                (identity, "kubelet credentials"),
                (join.is_some_and(|j| j.ready), "the cluster to take its bootstrap token"),
            ],
        ),
        depends_on: vec!["containerd".to_owned()],
        env: environment.variables.clone(),
        mounts: kubelet_mounts(),
        cgroup: Cgroup {
            path: "/podruntime/kubelet".to_owned(),
            memory_min: 96 * MIB,
            memory_max_percent: 50,
            millicores: 1000,
            ..Cgroup::default()
        },
        oom_score: -450,
        health: Health::Http {
            port: 10248,
            path: "/healthz".to_owned(),
        },
        // It reads whom it trusts, and who it is, at its start only.
        files_version: set.map(|s| format!("{}-{credentials}", s.version)).unwrap_or_default(),
        operable: true,
        ..ServiceSpec::default()
    };
    if let Some(spec) = spec {
        kubelet.image = spec.image.clone();
        kubelet.args = std::iter::once("/usr/local/bin/kubelet".to_owned())
            .chain(spec.args.iter().cloned())
            .collect();
        kubelet.mounts.extend(spec.extra_mounts.iter().map(|m| Mount {
            source: m.source.clone(),
            target: m.destination.clone(),
            read_only: m.options.iter().any(|o| o == "ro"),
            recursive: m.options.iter().any(|o| o == "rbind"),
            shared: m.options.iter().any(|o| o == "rshared" || o == "shared"),
        }));
    }
    Outputs::one("kubelet", service(kubelet))
}

/// The interface's list of what the kubelet sees of the node.
fn kubelet_mounts() -> Vec<Mount> {
    let tree = |path: &str| Mount {
        recursive: true,
        ..Mount::rw(path)
    };
    vec![
        tree("/dev"),
        tree("/sys"),
        tree("/run"),
        Mount {
            target: "/var/run".to_owned(),
            ..tree("/run")
        },
        Mount::rw("/etc/kubernetes"),
        tree("/etc/cni"),
        Mount::ro("/etc/os-release"),
        Mount::ro("/etc/machine-id"),
        Mount::ro("/etc/hosts"),
        Mount::ro("/etc/resolv.conf"),
        Mount::rw("/system/resolved"),
        Mount::rw("/usr/libexec/kubernetes"),
        Mount::rw("/system/secrets/kubelet"),
        Mount {
            recursive: true,
            ..Mount::rw("/var/lib/containerd")
        },
        Mount::shared("/var/lib/kubelet"),
        tree("/var/log/containers"),
        tree("/var/log/pods"),
    ]
}
