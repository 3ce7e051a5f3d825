//! Numbers and names of the public interface that several crates need.

/// Ports.
pub mod ports {
    /// The machine API.
    pub const APID: u16 = 50000;
    /// Certificates for joining machines.
    pub const TRUSTD: u16 = 50001;
    /// API servers, unless the configuration says otherwise.
    pub const KUBERNETES_API: u16 = 6443;
    /// The balancer of API servers on each machine.
    pub const KUBE_PRISM: u16 = 7445;
    /// The kubelet.
    pub const KUBELET: u16 = 10250;
    /// Clients of etcd.
    pub const ETCD_CLIENT: u16 = 2379;
    /// Members of etcd among themselves.
    pub const ETCD_PEER: u16 = 2380;
    /// The mesh.
    pub const KUBESPAN: u16 = 51820;
}

/// Paths on a node.
pub mod paths {
    /// Where the configuration is kept: on the STATE volume.
    pub const STATE: &str = "/system/state";
    /// Name of the configuration's file.
    pub const CONFIG_FILE: &str = "config.yaml";
    /// Secrets and certificates of etcd.
    pub const ETCD_PKI: &str = "/system/secrets/etcd";
    /// etcd's data.
    pub const ETCD_DATA: &str = "/var/lib/etcd";
    /// Secrets of the control plane's pods, a folder for each.
    pub const KUBERNETES_SECRETS: &str = "/system/secrets/kubernetes";
    /// Configuration files of the control plane's pods, a folder for each.
    pub const KUBERNETES_CONFIG: &str = "/system/config/kubernetes";
    /// The kubelet's files.
    pub const KUBERNETES: &str = "/etc/kubernetes";
    /// The kubelet's certificates.
    pub const KUBELET_PKI: &str = "/var/lib/kubelet/pki";
    /// Static pods of the user.
    pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
    /// Audit logs of the API server.
    pub const AUDIT_LOG: &str = "/var/log/audit/kube";
    /// Sockets of the system's own services.
    pub const SYSTEM_RUN: &str = "/system/run";
    /// The machine API behind its gateway.
    pub const MACHINE_SOCKET: &str = "/system/run/machined/machine.sock";
    /// Kubernetes' containerd.
    pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
    /// The system's own containerd.
    pub const SYSTEM_CONTAINERD_SOCKET: &str = "/system/run/containerd/containerd.sock";
    /// User volumes.
    pub const USER_VOLUMES: &str = "/var/mnt";
}

/// Defaults of the network.
pub mod network {
    /// Resolvers if none are configured or learnt.
    pub const RESOLVERS: [&str; 2] = ["1.1.1.1", "8.8.8.8"];
    /// Time server if none is configured or learnt.
    pub const TIME_SERVER: &str = crate::view::DEFAULT_TIME_SERVER;
    /// Where the machine's DNS cache listens for pods.
    pub const HOST_DNS: &str = "169.254.116.108";
    /// The public discovery service.
    pub const DISCOVERY_SERVICE: &str = crate::view::DEFAULT_DISCOVERY_SERVICE;
}

/// How long a configuration applied in `try` mode lasts unless it is applied again.
pub const TRY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
