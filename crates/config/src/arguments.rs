//! What extra arguments of Kubernetes' components may do: which add to a list, and which only the system sets.

/// What a component's extra arguments may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Where the arguments stand in the machine configuration, for errors.
    pub field: &'static str,
    /// Comma-separated lists to which an extra argument adds.
    pub additive: &'static [&'static str],
    /// Flags that only the system sets, each with what to do instead.
    pub denied: &'static [(&'static str, &'static str)],
}

impl Rules {
    /// Whether extra arguments of these names are allowed.
    ///
    /// # Errors
    /// The first argument that is refused.
    pub fn check<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<(), FlagError> {
        for name in names {
            if name.is_empty() || name.starts_with('-') || name.contains(['=', ' ', '\t', '\n']) {
                return Err(FlagError::Name {
                    field: self.field,
                    name: name.clone(),
                });
            }
            if let Some((_, instead)) = self.denied.iter().find(|(denied, _)| denied == name) {
                return Err(FlagError::Denied {
                    field: self.field,
                    name: name.clone(),
                    instead,
                });
            }
        }
        Ok(())
    }
}

/// An extra argument that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// The system's own flag.
    #[error("{field}: {name:?} is set by the system and cannot be changed: {instead}")]
    Denied {
        /// Where it stands.
        field: &'static str,
        /// The flag.
        name: String,
        /// What to do.
        instead: &'static str,
    },
    /// Not a flag's name.
    #[error("{field}: {name:?} is not the name of a flag (write it without dashes in front and without its value)")]
    Name {
        /// Where it stands.
        field: &'static str,
        /// The name.
        name: String,
    },
}

const FILES: &str = "the file is made by the system from the cluster's secrets";
const OWN_ETCD: &str = "the API server uses the etcd member of its node";

/// Rules of `cluster.apiServer.extraArgs`.
pub const API_SERVER: Rules = Rules {
    field: "cluster.apiServer.extraArgs",
    additive: &[
        "enable-admission-plugins",
        "feature-gates",
        "authorization-mode",
        "tls-cipher-suites",
    ],
    denied: &[
        (
            "admission-control-config-file",
            "use cluster.apiServer.admissionControl",
        ),
        ("audit-policy-file", "use cluster.apiServer.auditPolicy"),
        ("authorization-config", "use cluster.apiServer.authorizationConfig"),
        ("client-ca-file", FILES),
        ("encryption-provider-config", "use cluster.secretboxEncryptionSecret"),
        ("etcd-cafile", OWN_ETCD),
        ("etcd-certfile", OWN_ETCD),
        ("etcd-keyfile", OWN_ETCD),
        ("etcd-servers", OWN_ETCD),
        ("kubelet-client-certificate", FILES),
        ("kubelet-client-key", FILES),
        ("proxy-client-cert-file", FILES),
        ("proxy-client-key-file", FILES),
        ("requestheader-client-ca-file", FILES),
        ("secure-port", "use cluster.controlPlane.localAPIServerPort"),
        ("service-account-key-file", FILES),
        ("service-account-signing-key-file", FILES),
        ("tls-cert-file", FILES),
        ("tls-private-key-file", FILES),
    ],
};

/// Rules of `cluster.controllerManager.extraArgs`.
pub const CONTROLLER_MANAGER: Rules = Rules {
    field: "cluster.controllerManager.extraArgs",
    additive: &["feature-gates", "controllers"],
    denied: &[
        ("authentication-kubeconfig", FILES),
        ("authorization-kubeconfig", FILES),
        ("cluster-signing-cert-file", FILES),
        ("cluster-signing-key-file", FILES),
        ("kubeconfig", FILES),
        ("root-ca-file", FILES),
        ("service-account-private-key-file", FILES),
    ],
};

/// Rules of `cluster.scheduler.extraArgs`.
pub const SCHEDULER: Rules = Rules {
    field: "cluster.scheduler.extraArgs",
    additive: &["feature-gates"],
    denied: &[
        ("authentication-kubeconfig", FILES),
        ("authorization-kubeconfig", FILES),
        ("config", "use cluster.scheduler.config"),
        ("kubeconfig", FILES),
    ],
};

const ETCD_FILES: &str = "certificates are made by the system from the cluster's secrets";
const ETCD_NETWORK: &str = "use cluster.etcd.advertisedSubnets and listenSubnets";
const ETCD_MEMBERS: &str = "the system knows the members";

/// Rules of `cluster.etcd.extraArgs`.
pub const ETCD: Rules = Rules {
    field: "cluster.etcd.extraArgs",
    additive: &["feature-gates"],
    denied: &[
        ("advertise-client-urls", ETCD_NETWORK),
        ("auto-tls", ETCD_FILES),
        ("cert-file", ETCD_FILES),
        ("client-cert-auth", "every client needs a certificate"),
        ("data-dir", "data are always in /var/lib/etcd"),
        ("initial-advertise-peer-urls", ETCD_NETWORK),
        ("initial-cluster", ETCD_MEMBERS),
        ("initial-cluster-state", ETCD_MEMBERS),
        ("key-file", ETCD_FILES),
        ("listen-client-urls", ETCD_NETWORK),
        ("listen-peer-urls", ETCD_NETWORK),
        ("name", "a member has the name of its node"),
        ("peer-auto-tls", ETCD_FILES),
        ("peer-cert-file", ETCD_FILES),
        ("peer-client-cert-auth", "every member needs a certificate"),
        ("peer-key-file", ETCD_FILES),
        ("peer-trusted-ca-file", ETCD_FILES),
        ("trusted-ca-file", ETCD_FILES),
    ],
};

/// Rules of `machine.kubelet.extraArgs`.
pub const KUBELET: Rules = Rules {
    field: "machine.kubelet.extraArgs",
    additive: &["feature-gates"],
    denied: &[
        ("bootstrap-kubeconfig", "it is made by the system"),
        ("cert-dir", "the system keeps the kubelet's certificates"),
        ("config", "use machine.kubelet.extraConfig"),
        ("container-runtime-endpoint", "the node's own containerd is used"),
        (
            "image-credential-provider-bin-dir",
            "use machine.kubelet.credentialProviderConfig",
        ),
        (
            "image-credential-provider-config",
            "use machine.kubelet.credentialProviderConfig",
        ),
        ("kubeconfig", "it is made by the system"),
    ],
};

/// Rules of `cluster.proxy.extraArgs`.
pub const PROXY: Rules = Rules {
    field: "cluster.proxy.extraArgs",
    additive: &["feature-gates"],
    denied: &[
        ("config", "kube-proxy is configured by flags here"),
        (
            "hostname-override",
            "kube-proxy knows its node by the pod's own node name",
        ),
        ("kubeconfig", "it is made by the system"),
    ],
};
