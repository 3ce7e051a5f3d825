//! Resources of our own: what the node's parts tell each other that the shared interface has no type for.

use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::security::ImageVerificationRule;

/// A file the node keeps: desired contents, written by one effect whoever derives it. Its id is its path.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "FileSpecs.files.keelson.dev", namespace = "files", sensitive, column("Set" = "{.set}"))]
pub struct FileSpec {
    /// Files that belong together and have one version ("kubelet", "etcd", "kube-apiserver").
    #[field(1)]
    pub set: String,
    /// What the file says.
    #[field(2)]
    pub contents: String,
    /// Permission bits.
    #[field(3)]
    pub mode: u32,
    /// Owner and group.
    #[field(4)]
    pub owner: u32,
}

/// A set of files as it is on disk.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "FileSetStatuses.files.keelson.dev", namespace = "files", column("Version" = "{.version}"))]
pub struct FileSetStatus {
    /// Changes with any file of the set.
    #[field(1)]
    pub version: String,
}

/// What this machine lets us do, found out by trying at start.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "HostCapabilities.runtime.keelson.dev",
    namespace = "runtime",
    column("Cgroups" = "{.cgroups}"),
    column("OOM Score" = "{.lowerOomScore}")
)]
pub struct HostCapability {
    /// "v1", "v2" or "hybrid".
    #[field(1)]
    pub cgroups: String,
    /// `oom_score_adj` can be lowered (CAP_SYS_RESOURCE).
    #[field(2)]
    pub lower_oom_score: bool,
    /// Kernel messages can be read.
    #[field(3)]
    pub kernel_log: bool,
    /// The platform's mode ("container").
    #[field(4)]
    pub mode: String,
    /// The init process' own `oom_score_adj`, which is the lowest there is where it cannot be lowered.
    #[field(5)]
    pub oom_score: i32,
}

/// The rules about images, as one value: resources of their own are written one after another, and who judges images must
/// never see some of them only.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ImagePolicies.security.keelson.dev", namespace = "security")]
pub struct ImagePolicy {
    /// In the order in which they are tried. None: every image may come.
    #[field(1)]
    pub rules: Vec<ImageVerificationRule>,
    /// Whom keyless signatures are traced back to, a `trusted_root.json` of sigstore; empty while no rule is keyless.
    #[field(2)]
    pub trust_root: String,
}

/// Where the node is in the life of its etcd member.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "EtcdLaunches.etcd.keelson.dev",
    namespace = "etcd",
    column("State" = "{.state}"),
    column("Initial Cluster" = "{.initialCluster}")
)]
pub struct EtcdLaunch {
    /// "new" (bootstrapped here), "recovered" (from a snapshot), "joining" (added to others), "existing" (its data is
    /// on disk), "left".
    #[field(1)]
    pub state: String,
    /// etcd's `--initial-cluster`.
    #[field(2)]
    pub initial_cluster: String,
}

/// The Kubernetes API was ready once since this node started.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubernetesReached.k8s.keelson.dev", namespace = "k8s")]
pub struct KubernetesReached {}

/// A service that should run, derived from everything it needs; the supervisor makes it true.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(transparent)]
#[resource(type = "ServiceSpecs.runtime.keelson.dev", namespace = "runtime", sensitive, column("Image" = "{.image}"))]
pub struct DesiredService {
    /// The service.
    #[field(skip)]
    pub spec: crate::service_spec::ServiceSpec,
}

/// Which of the secrets that it reads anew by itself this node's API server was last seen to work with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "APIServerFiles.k8s.keelson.dev", namespace = "k8s", column("Version" = "{.version}"))]
pub struct ApiServerFiles {
    /// The version of their set ("kubernetes-secrets-read-anew").
    #[field(1)]
    pub version: String,
}

/// Whether this node's kubelet has credentials of the cluster or can get some, and from whom those are that it has.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubeletJoins.k8s.keelson.dev",
    namespace = "k8s",
    column("Ready" = "{.ready}"),
    column("Authority" = "{.authority}")
)]
pub struct KubeletJoin {
    /// It has credentials, or the cluster takes its bootstrap token.
    #[field(1)]
    pub ready: bool,
    /// Changes with what the kubelet reads at its start: whom it trusts, and credentials it is to give up.
    #[field(2)]
    pub version: String,
    /// SHA-256 of the certificate of the authority that issued its credentials; empty while it has none.
    #[field(3)]
    pub authority: String,
    /// SHA-256 of the certificate that it shows; empty while it has none.
    #[field(4)]
    pub certificate: String,
}

/// What keeps a manifest from being applied; there is none where all is well.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ManifestProblems.kubernetes.keelson.dev",
    namespace = "controlplane",
    column("Stage" = "{.stage}"),
    column("Error" = "{.error}")
)]
pub struct ManifestProblem {
    /// "fetch", "read" or "apply".
    #[field(1)]
    pub stage: String,
    /// Why, at the last try.
    #[field(2)]
    pub error: String,
}

/// A file of `machine.files`, by its path.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MachineFileStatuses.files.keelson.dev",
    namespace = "files",
    column("Ready" = "{.ready}"),
    column("Error" = "{.error}")
)]
pub struct MachineFileStatus {
    /// It is as the configuration wants it.
    #[field(1)]
    pub ready: bool,
    /// Why not.
    #[field(2)]
    pub error: String,
}

/// How it goes with the discovery service, while the configuration uses one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "DiscoveryServiceStatuses.cluster.keelson.dev",
    namespace = "cluster",
    column("Endpoint" = "{.endpoint}"),
    column("Connected" = "{.connected}"),
    column("Affiliates" = "{.affiliates}"),
    column("Error" = "{.error}")
)]
pub struct DiscoveryServiceStatus {
    /// The service.
    #[field(1)]
    pub endpoint: String,
    /// This node is connected, and has seen all that the service knows.
    #[field(2)]
    pub connected: bool,
    /// Why not.
    #[field(3)]
    pub error: String,
    /// Others that the service told of. They are kept while it is away.
    #[field(4)]
    pub affiliates: u32,
    /// The address from which this node connects, as the service sees it.
    #[field(5)]
    pub public_address: String,
    /// What the service shows and is not believed.
    #[field(6)]
    pub ignored: Vec<IgnoredAffiliate>,
}

/// An affiliate that is not believed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct IgnoredAffiliate {
    /// The name under which it is shown.
    #[field(1)]
    pub id: String,
    /// Why.
    #[field(2)]
    pub reason: String,
}
