//! The typed specs, by area. Names, numbers, columns and aliases are those of the machine API (see the captured
//! samples beside the tests); what a field means stands there.
#![allow(missing_docs)]

pub mod block;
pub mod cluster;
pub mod config;
pub mod cri;
pub mod etcd;
pub mod files;
pub mod hardware;
pub mod k8s;
pub mod keelson;
pub mod kubespan;
pub mod network;
pub mod perf;
pub mod runtime;
pub mod secrets;
pub mod security;
pub mod service_spec;
pub mod siderolink;
#[cfg(test)]
mod tests;
pub mod types;
pub mod v1alpha1;

use resource::Store;

/// Namespaces and what their resources are.
pub const NAMESPACES: &[(&str, &str)] = &[
    ("cluster", "Cluster configuration and discovery resources."),
    ("cluster-raw", "Cluster unmerged raw resources."),
    ("config", "Node configuration."),
    ("controlplane", "Kubernetes control plane resources."),
    ("cri", "CRI Seccomp resources."),
    ("etcd", "etcd resources."),
    ("files", "Files and file-like resources."),
    ("hardware", "Hardware resources."),
    ("k8s", "Kubernetes all node types resources."),
    ("kubespan", "KubeSpan resources."),
    ("network", "Networking resources."),
    ("network-config", "Networking configuration resources."),
    ("perf", "Stats resources."),
    ("runtime", "v1alpha1 subsystems glue resources."),
    ("secrets", "Resources with secret material."),
    ("security", "Security resources."),
];

macro_rules! types {
    ($store:ident, $($area:ident { $($name:ident)+ })+) => {
        $($($store.register::<$area::$name>();)+)+
    };
}

/// Makes every type and namespace known to a store.
pub fn register(store: &Store) {
    for (name, description) in NAMESPACES {
        store.add_namespace(name, description);
    }
    types!(
        store,
        block {
            BlockDevice BlockSymlink DiscoveredVolume DiscoveryRefreshRequest DiscoveryRefreshStatus Disk
            MountRequest MountStatus SwapStatus SystemDisk UserDiskConfigStatus VolumeConfig VolumeLifecycle
            VolumeMountRequest VolumeMountStatus VolumeStatus ZswapStatus
        }
        cluster {
            Affiliate DiscoveryConfig Identity Info KubernetesAccessConfig Member
        }
        config {
            MachineConfig MachineType
        }
        cri {
            ImageCacheConfig RegistryConfig SeccompProfile
        }
        etcd {
            EtcdConfig EtcdMember EtcdSpec PKIStatus
        }
        files {
            EtcFileSpec EtcFileStatus
        }
        hardware {
            MemoryModule PCIDevice PCIDriverRebindConfig PCIDriverRebindStatus PCRStatus Processor SystemInformation
        }
        k8s {
            APIServerConfig AdmissionControlConfig AuditPolicyConfig AuthorizationConfig BootstrapManifestsConfig
            ConfigStatus ControllerManagerConfig Endpoint ExtraManifestsConfig KubePrismConfig KubePrismEndpoints
            KubePrismStatus KubeletConfig KubeletKubeconfig KubeletLifecycle KubeletSpec Manifest ManifestStatus
            NodeAnnotationSpec NodeCordonedSpec NodeIP NodeIPConfig NodeLabelSpec NodeStatus NodeTaintSpec Nodename
            SchedulerConfig SecretStatus StaticPod StaticPodServerStatus StaticPodStatus
        }
        keelson {
            DiscoveryServiceStatus MachineFileStatus ManifestProblem
        }
        kubespan {
            KubeSpanConfig KubeSpanEndpoint KubeSpanIdentity KubeSpanPeerSpec KubeSpanPeerStatus
        }
        network {
            AddressSpec AddressStatus DNSResolveCache DNSUpstream DeviceConfigSpec EthernetSpec EthernetStatus
            HardwareAddress HostDNSConfig HostnameSpec HostnameStatus LinkAliasSpec LinkRefresh LinkSpec LinkStatus
            NetworkStatus NfTablesChain NodeAddress NodeAddressFilter NodeAddressSortAlgorithm OperatorSpec
            PlatformConfig ProbeSpec ProbeStatus ResolverSpec ResolverStatus RouteSpec RouteStatus RoutingRuleSpec
            RoutingRuleStatus TimeServerSpec TimeServerStatus
        }
        perf {
            CPUStats MemoryStats
        }
        runtime {
            APIServiceConfig BootedEntry DevicesStatus Diagnostic Environment EventSinkConfig ExtensionServiceConfig
            ExtensionServiceConfigStatus ExtensionStatus KernelCmdline KernelModuleSpec KernelParamDefaultSpec
            KernelParamSpec KernelParamStatus KmsgLogConfig LoadedKernelModule MachineResetSignal MachineStatus
            MaintenanceServiceConfig MaintenanceServiceRequest MetaKey MetaLoad MountStatus OOMAction
            PlatformMetadata SBOMItem SecurityState ServicePID UniqueMachineToken Version WatchdogTimerConfig
            WatchdogTimerStatus
        }
        secrets {
            ApiCertificates CertSAN EncryptionSalt EtcdRootSecrets EtcdSecrets KubeletSecrets KubernetesDynamicCerts
            KubernetesRootSecrets KubernetesSecrets MaintenanceRootSecrets OSRootSecrets TrustdCertificates
        }
        security {
            ImageVerificationRule TUFTrustedRoot
        }
        siderolink {
            SiderolinkConfig SiderolinkStatus SiderolinkTunnel
        }
        v1alpha1 {
            AcquireConfigSpec AcquireConfigStatus AdjtimeStatus Service TimeStatus
        }
    );
}
