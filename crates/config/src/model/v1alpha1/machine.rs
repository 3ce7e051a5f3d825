//! v1alpha1::machine

use std::collections::BTreeMap;
use std::time::Duration;

use pki::{CertAndKey, Secret};

use crate::model::v1alpha1::cluster::{AcceptedCA, ClusterConfig};
use crate::model::v1alpha1::network::NetworkConfig;
use crate::model::v1alpha1::storage::{InstallConfig, MachineDisk, SystemDiskEncryptionConfig};
use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::{Args, Bytes, FileMode, Free};

model! {
    /// Config.
    pub struct Config: "v1alpha1.Config" {
        /// Version.
        version: Option<String> = "version".one_of(&["v1alpha1"]);
        /// Debug.
        debug: Option<bool> = "debug";
        /// Persist.
        persist: Option<bool> = "persist";
        /// Machine.
        machine: Option<MachineConfig> = "machine";
        /// Cluster.
        cluster: Option<ClusterConfig> = "cluster";
    }

    /// Extra mount.
    pub struct ExtraMount: "v1alpha1.ExtraMount" {
        /// Destination.
        destination: Option<String> = "destination";
        /// Type.
        kind: Option<String> = "type";
        /// Source.
        source: Option<String> = "source";
        /// Options.
        options: Vec<String> = "options";
        /// Uid mappings.
        uid_mappings: Vec<LinuxIDMapping> = "uidMappings";
        /// Gid mappings.
        gid_mappings: Vec<LinuxIDMapping> = "gidMappings";
    }

    /// Features config.
    pub struct FeaturesConfig: "v1alpha1.FeaturesConfig" {
        /// Rbac.
        rbac: Option<bool> = "rbac".deprecated("remove it: it is always on");
        /// Stable hostname.
        stable_hostname: Option<bool> = "stableHostname".deprecated("use HostnameConfig");
        /// Kubernetes talos apiaccess.
        kubernetes_talos_api_access: Option<KubernetesTalosAPIAccessConfig> = "kubernetesTalosAPIAccess";
        /// Apid check ext key usage.
        apid_check_ext_key_usage: Option<bool> = "apidCheckExtKeyUsage".deprecated("remove it: it is always on");
        /// Disk quota support.
        disk_quota_support: Option<bool> = "diskQuotaSupport";
        /// Kube prism.
        kube_prism: Option<KubePrism> = "kubePrism";
        /// Host dns.
        host_dns: Option<HostDNSConfig> = "hostDNS";
        /// Image cache.
        image_cache: Option<ImageCacheConfig> = "imageCache";
        /// Node address sort algorithm.
        node_address_sort_algorithm: Option<String> = "nodeAddressSortAlgorithm";
    }

    /// Host dnsconfig.
    pub struct HostDNSConfig: "v1alpha1.HostDNSConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Forward kube dnsto host.
        forward_kube_dns_to_host: Option<bool> = "forwardKubeDNSToHost";
        /// Resolve member names.
        resolve_member_names: Option<bool> = "resolveMemberNames";
    }

    /// Image cache config.
    pub struct ImageCacheConfig: "v1alpha1.ImageCacheConfig" {
        /// Local enabled.
        local_enabled: Option<bool> = "localEnabled";
    }

    /// Kernel config.
    pub struct KernelConfig: "v1alpha1.KernelConfig" {
        /// Modules.
        modules: Vec<KernelModuleConfig> = "modules";
    }

    /// Kernel module config.
    pub struct KernelModuleConfig: "v1alpha1.KernelModuleConfig" {
        /// Name.
        name: Option<String> = "name";
        /// Parameters.
        parameters: Vec<String> = "parameters";
    }

    /// Kube prism.
    pub struct KubePrism: "v1alpha1.KubePrism" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Port.
        port: Option<i64> = "port";
    }

    /// Kubelet config.
    pub struct KubeletConfig: "v1alpha1.KubeletConfig" {
        /// Image.
        image: Option<String> = "image";
        /// Cluster dns.
        cluster_dns: Vec<String> = "clusterDNS".check(Format::Address);
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Extra mounts.
        extra_mounts: Vec<ExtraMount> = "extraMounts";
        /// Extra config.
        extra_config: Option<Free> = "extraConfig";
        /// Credential provider config.
        credential_provider_config: Option<Free> = "credentialProviderConfig";
        /// Default runtime seccomp profile enabled.
        default_runtime_seccomp_profile_enabled: Option<bool> = "defaultRuntimeSeccompProfileEnabled";
        /// Register with fqdn.
        register_with_fqdn: Option<bool> = "registerWithFQDN";
        /// Node ip.
        node_ip: Option<KubeletNodeIPConfig> = "nodeIP";
        /// Skip node registration.
        skip_node_registration: Option<bool> = "skipNodeRegistration";
        /// Disable manifests directory.
        disable_manifests_directory: Option<bool> = "disableManifestsDirectory";
    }

    /// Kubelet node ipconfig.
    pub struct KubeletNodeIPConfig: "v1alpha1.KubeletNodeIPConfig" {
        /// Valid subnets.
        valid_subnets: Vec<String> = "validSubnets";
    }

    /// Kubernetes talos apiaccess config.
    pub struct KubernetesTalosAPIAccessConfig: "v1alpha1.KubernetesTalosAPIAccessConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Allowed roles.
        allowed_roles: Vec<String> = "allowedRoles";
        /// Allowed kubernetes namespaces.
        allowed_kubernetes_namespaces: Vec<String> = "allowedKubernetesNamespaces";
    }

    /// Linux idmapping.
    pub struct LinuxIDMapping: "v1alpha1.LinuxIDMapping" {
        /// Container id.
        container_id: Option<i64> = "containerID";
        /// Host id.
        host_id: Option<i64> = "hostID";
        /// Size.
        size: Option<i64> = "size";
    }

    /// Logging config.
    pub struct LoggingConfig: "v1alpha1.LoggingConfig" {
        /// Destinations.
        destinations: Vec<LoggingDestination> = "destinations";
    }

    /// Logging destination.
    pub struct LoggingDestination: "v1alpha1.LoggingDestination" {
        /// Endpoint.
        endpoint: Option<String> = "endpoint".check(Format::Url(&["tcp", "udp", "http", "https"]));
        /// Format.
        format: Option<String> = "format".one_of(&["json_lines"]);
        /// Extra tags.
        extra_tags: BTreeMap<String, String> = "extraTags";
    }

    /// Machine config.
    pub struct MachineConfig: "v1alpha1.MachineConfig" {
        /// Type.
        kind: Option<String> = "type".one_of(&["controlplane", "worker"]).required();
        /// Token.
        token: Option<Secret> = "token";
        /// Ca.
        ca: Option<CertAndKey> = "ca";
        /// Accepted cas.
        accepted_cas: Vec<AcceptedCA> = "acceptedCAs";
        /// Cert sans.
        cert_sans: Vec<String> = "certSANs";
        /// Control plane.
        control_plane: Option<MachineControlPlaneConfig> = "controlPlane";
        /// Kubelet.
        kubelet: Option<KubeletConfig> = "kubelet";
        /// Pods.
        pods: Vec<Free> = "pods";
        /// Network.
        network: Option<NetworkConfig> = "network";
        /// Disks.
        disks: Vec<MachineDisk> = "disks".deprecated("use UserVolumeConfig");
        /// Install.
        install: Option<InstallConfig> = "install";
        /// Files.
        files: Vec<MachineFile> = "files";
        /// Env.
        env: BTreeMap<String, String> = "env".deprecated("use EnvironmentConfig");
        /// Time.
        time: Option<TimeConfig> = "time".deprecated("use TimeSyncConfig");
        /// Sysctls.
        sysctls: BTreeMap<String, String> = "sysctls";
        /// Sysfs.
        sysfs: BTreeMap<String, String> = "sysfs";
        /// Registries.
        registries: Option<RegistriesConfig> = "registries".deprecated("use RegistryMirrorConfig, RegistryAuthConfig and RegistryTLSConfig");
        /// System disk encryption.
        system_disk_encryption: Option<SystemDiskEncryptionConfig> = "systemDiskEncryption".deprecated("use VolumeConfig");
        /// Features.
        features: Option<FeaturesConfig> = "features";
        /// Udev.
        udev: Option<UdevConfig> = "udev";
        /// Logging.
        logging: Option<LoggingConfig> = "logging";
        /// Kernel.
        kernel: Option<KernelConfig> = "kernel";
        /// Seccomp profiles.
        seccomp_profiles: Vec<MachineSeccompProfile> = "seccompProfiles";
        /// Base runtime spec overrides.
        base_runtime_spec_overrides: Option<Free> = "baseRuntimeSpecOverrides";
        /// Node labels.
        node_labels: BTreeMap<String, String> = "nodeLabels";
        /// Node annotations.
        node_annotations: BTreeMap<String, String> = "nodeAnnotations";
        /// Node taints.
        node_taints: BTreeMap<String, String> = "nodeTaints";
    }

    /// Machine control plane config.
    pub struct MachineControlPlaneConfig: "v1alpha1.MachineControlPlaneConfig" {
        /// Controller manager.
        controller_manager: Option<MachineControllerManagerConfig> = "controllerManager";
        /// Scheduler.
        scheduler: Option<MachineSchedulerConfig> = "scheduler";
    }

    /// Machine controller manager config.
    pub struct MachineControllerManagerConfig: "v1alpha1.MachineControllerManagerConfig" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
    }

    /// Machine file.
    pub struct MachineFile: "v1alpha1.MachineFile" {
        /// Content.
        content: Option<String> = "content";
        /// Permissions.
        permissions: Option<FileMode> = "permissions";
        /// Path.
        path: Option<String> = "path";
        /// Op.
        op: Option<String> = "op".one_of(&["create", "append", "overwrite"]);
    }

    /// Machine scheduler config.
    pub struct MachineSchedulerConfig: "v1alpha1.MachineSchedulerConfig" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
    }

    /// Machine seccomp profile.
    pub struct MachineSeccompProfile: "v1alpha1.MachineSeccompProfile" {
        /// Name.
        name: Option<String> = "name";
        /// Value.
        value: Option<Free> = "value";
    }

    /// Registries config.
    pub struct RegistriesConfig: "v1alpha1.RegistriesConfig" {
        /// Mirrors.
        mirrors: BTreeMap<String, RegistryMirrorConfig> = "mirrors";
        /// Config.
        config: BTreeMap<String, RegistryConfig> = "config";
    }

    /// Registry auth config.
    pub struct RegistryAuthConfig: "v1alpha1.RegistryAuthConfig" {
        /// Username.
        username: Option<String> = "username";
        /// Password.
        password: Option<Secret> = "password";
        /// Auth.
        auth: Option<Secret> = "auth";
        /// Identity token.
        identity_token: Option<Secret> = "identityToken";
    }

    /// Registry config.
    pub struct RegistryConfig: "v1alpha1.RegistryConfig" {
        /// Tls.
        tls: Option<RegistryTLSConfig> = "tls";
        /// Auth.
        auth: Option<RegistryAuthConfig> = "auth";
    }

    /// Registry mirror config.
    pub struct RegistryMirrorConfig: "v1alpha1.RegistryMirrorConfig" {
        /// Endpoints.
        endpoints: Vec<String> = "endpoints".check(Format::Url(&["http", "https"]));
        /// Override path.
        override_path: Option<bool> = "overridePath";
        /// Skip fallback.
        skip_fallback: Option<bool> = "skipFallback";
    }

    /// Registry tlsconfig.
    pub struct RegistryTLSConfig: "v1alpha1.RegistryTLSConfig" {
        /// Client identity.
        client_identity: Option<CertAndKey> = "clientIdentity";
        /// Ca.
        ca: Option<Bytes> = "ca";
        /// Insecure skip verify.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify";
    }

    /// Time config.
    pub struct TimeConfig: "v1alpha1.TimeConfig" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
        /// Servers.
        servers: Vec<String> = "servers";
        /// Boot timeout.
        boot_timeout: Option<Duration> = "bootTimeout";
    }

    /// Udev config.
    pub struct UdevConfig: "v1alpha1.UdevConfig" {
        /// Rules.
        rules: Vec<String> = "rules";
    }
}
