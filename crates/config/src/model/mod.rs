//! Every document kind as a typed struct with its schema.

pub mod container;
pub mod cri;
pub mod discovery;
pub mod firewall;
pub mod host;
pub mod k8s;
pub mod link;
pub mod mesh;
pub mod net;
pub mod runtime;
pub mod security;
pub mod storage;
pub mod v1alpha1;
pub mod volume;

use crate::schema::Struct;
use crate::schema::types::Described as _;

/// The schemas of all document kinds but the main one, in the order of their names.
pub const KINDS: &[&Struct] = &[
    mesh::BGPInstanceConfig::STRUCT,
    net::BlackholeRouteConfig::STRUCT,
    link::BondConfig::STRUCT,
    link::BridgeConfig::STRUCT,
    cri::CRIBaseRuntimeSpecConfig::STRUCT,
    cri::CRICustomizationConfig::STRUCT,
    container::ContainerConfig::STRUCT,
    net::DHCPv4Config::STRUCT,
    net::DHCPv6Config::STRUCT,
    discovery::DiscoveryIdentityConfig::STRUCT,
    discovery::DiscoveryServiceConfig::STRUCT,
    link::DummyLinkConfig::STRUCT,
    runtime::EnvironmentConfig::STRUCT,
    runtime::EtcFileConfig::STRUCT,
    net::EthernetConfig::STRUCT,
    runtime::EventSinkConfig::STRUCT,
    volume::ExistingVolumeConfig::STRUCT,
    runtime::ExtensionServiceConfig::STRUCT,
    volume::ExternalVolumeConfig::STRUCT,
    volume::FilesystemScrubConfig::STRUCT,
    volume::FilesystemTrimConfig::STRUCT,
    net::HCloudVIPConfig::STRUCT,
    host::HTTPProbeConfig::STRUCT,
    host::HostnameConfig::STRUCT,
    cri::ImageCacheConfig::STRUCT,
    security::ImageVerificationConfig::STRUCT,
    runtime::KernelModuleConfig::STRUCT,
    runtime::KmsgLogConfig::STRUCT,
    k8s::KubeAPIServerCAConfig::STRUCT,
    k8s::KubeAPIServerConfig::STRUCT,
    k8s::KubeAdmissionControlConfig::STRUCT,
    k8s::KubeAggregatorCAConfig::STRUCT,
    k8s::KubeAuditPolicyConfig::STRUCT,
    k8s::KubeAuthenticationConfig::STRUCT,
    k8s::KubeAuthorizerConfig::STRUCT,
    k8s::KubeClusterConfig::STRUCT,
    k8s::KubeControllerManagerConfig::STRUCT,
    k8s::KubeCoreDNSConfig::STRUCT,
    k8s::KubeCredentialProviderConfig::STRUCT,
    k8s::KubeEtcdEncryptionConfig::STRUCT,
    k8s::KubeExternalManifestConfig::STRUCT,
    k8s::KubeFlannelCNIConfig::STRUCT,
    k8s::KubeInlineManifestConfig::STRUCT,
    k8s::KubeNetworkConfig::STRUCT,
    k8s::KubeNodeConfig::STRUCT,
    k8s::KubePrismConfig::STRUCT,
    k8s::KubeProxyConfig::STRUCT,
    k8s::KubeSchedulerConfig::STRUCT,
    k8s::KubeServiceAccountConfig::STRUCT,
    mesh::KubeSpanConfig::STRUCT,
    mesh::KubeSpanEndpoints::STRUCT,
    k8s::KubeStaticPodConfig::STRUCT,
    k8s::KubeTalosAPIAccessConfig::STRUCT,
    k8s::KubeletConfig::STRUCT,
    storage::LVMLogicalVolumeConfig::STRUCT,
    storage::LVMVolumeGroupConfig::STRUCT,
    net::Layer2VIPConfig::STRUCT,
    net::LinkAliasConfig::STRUCT,
    link::LinkConfig::STRUCT,
    firewall::NetworkDefaultActionConfig::STRUCT,
    firewall::NetworkRuleConfig::STRUCT,
    runtime::OOMConfig::STRUCT,
    runtime::PCIDriverRebindConfig::STRUCT,
    storage::RAIDArrayConfig::STRUCT,
    volume::RawVolumeConfig::STRUCT,
    cri::RegistryAuthConfig::STRUCT,
    cri::RegistryMirrorConfig::STRUCT,
    cri::RegistryTLSConfig::STRUCT,
    host::ResolverConfig::STRUCT,
    net::RoutingRuleConfig::STRUCT,
    runtime::SecurityProfileConfig::STRUCT,
    runtime::SideroLinkConfig::STRUCT,
    host::StaticHostConfig::STRUCT,
    volume::SwapVolumeConfig::STRUCT,
    runtime::SysctlConfig::STRUCT,
    runtime::SysfsConfig::STRUCT,
    host::TCPProbeConfig::STRUCT,
    host::TimeSyncConfig::STRUCT,
    runtime::TrustedRootsConfig::STRUCT,
    runtime::UdevRulesConfig::STRUCT,
    runtime::UnattendedInstall::STRUCT,
    volume::UserVolumeConfig::STRUCT,
    link::VLANConfig::STRUCT,
    link::VRFConfig::STRUCT,
    link::VethConfig::STRUCT,
    volume::VolumeConfig::STRUCT,
    runtime::WatchdogTimerConfig::STRUCT,
    link::WireguardConfig::STRUCT,
    volume::ZswapConfig::STRUCT,
];
