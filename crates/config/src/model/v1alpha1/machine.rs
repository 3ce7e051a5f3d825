//! The machine section of the main document.

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
    /// The main document: the machine and its cluster.
    pub struct Config: "v1alpha1.Config" {
        /// Version of the document.
        version: Option<String> = "version".one_of(&["v1alpha1"]);
        /// Log more, and to the console.
        debug: Option<bool> = "debug";
        /// Keep the configuration on the machine; always true in new clusters.
        persist: Option<bool> = "persist";
        /// The machine itself.
        machine: Option<MachineConfig> = "machine";
        /// The cluster the machine belongs to.
        cluster: Option<ClusterConfig> = "cluster";
    }

    /// A folder of the machine that the kubelet sees.
    pub struct ExtraMount: "v1alpha1.ExtraMount" {
        /// Where it appears.
        destination: Option<String> = "destination";
        /// Kind of mount: `bind`, `tmpfs`.
        kind: Option<String> = "type";
        /// Where it comes from.
        source: Option<String> = "source";
        /// Options.
        options: Vec<String> = "options";
        /// User ids inside and outside.
        uid_mappings: Vec<LinuxIDMapping> = "uidMappings";
        /// Group ids inside and outside.
        gid_mappings: Vec<LinuxIDMapping> = "gidMappings";
    }

    /// Features of the system.
    pub struct FeaturesConfig: "v1alpha1.FeaturesConfig" {
        /// Check roles of clients.
        rbac: Option<bool> = "rbac".deprecated("remove it: it is always on");
        /// Make a name from the machine's identity, so that it stays the same.
        stable_hostname: Option<bool> = "stableHostname".deprecated("use HostnameConfig");
        /// Use of the machine API from pods.
        kubernetes_talos_api_access: Option<KubernetesTalosAPIAccessConfig> = "kubernetesTalosAPIAccess";
        /// Check what client certificates may be used for.
        apid_check_ext_key_usage: Option<bool> = "apidCheckExtKeyUsage".deprecated("remove it: it is always on");
        /// Measure and limit the disk use of pods by quotas.
        disk_quota_support: Option<bool> = "diskQuotaSupport";
        /// Balancer of API servers on each machine.
        kube_prism: Option<KubePrism> = "kubePrism";
        /// The machine's DNS cache.
        host_dns: Option<HostDNSConfig> = "hostDNS";
        /// Cache of images on the machine.
        image_cache: Option<ImageCacheConfig> = "imageCache";
        /// How the node's addresses are sorted: `v1` or `v2`.
        node_address_sort_algorithm: Option<String> = "nodeAddressSortAlgorithm";
    }

    /// The machine's DNS cache.
    pub struct HostDNSConfig: "v1alpha1.HostDNSConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Cluster DNS asks the machine's DNS cache.
        forward_kube_dns_to_host: Option<bool> = "forwardKubeDNSToHost";
        /// Resolve the names of the cluster's members.
        resolve_member_names: Option<bool> = "resolveMemberNames";
    }

    /// Cache of images on the machine.
    pub struct ImageCacheConfig: "v1alpha1.ImageCacheConfig" {
        /// Keep a cache on the machine's own disk.
        local_enabled: Option<bool> = "localEnabled";
    }

    /// Kernel modules.
    pub struct KernelConfig: "v1alpha1.KernelConfig" {
        /// Kernel modules to load.
        modules: Vec<KernelModuleConfig> = "modules";
    }

    /// A kernel module to load.
    pub struct KernelModuleConfig: "v1alpha1.KernelModuleConfig" {
        /// Name.
        name: Option<String> = "name";
        /// Parameters, `name=value`.
        parameters: Vec<String> = "parameters";
    }

    /// Balancer of API servers on each machine.
    pub struct KubePrism: "v1alpha1.KubePrism" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Port.
        port: Option<i64> = "port";
    }

    /// The kubelet.
    pub struct KubeletConfig: "v1alpha1.KubeletConfig" {
        /// Container image.
        image: Option<String> = "image";
        /// Addresses of cluster DNS; the tenth address of each service network if none are given.
        cluster_dns: Vec<String> = "clusterDNS".check(Format::Address);
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Folders of the machine that the kubelet sees.
        extra_mounts: Vec<ExtraMount> = "extraMounts";
        /// Configuration laid over the one the system makes.
        extra_config: Option<Free> = "extraConfig";
        /// Configuration of the kubelet's credential providers.
        credential_provider_config: Option<Free> = "credentialProviderConfig";
        /// Run pods with the container runtime's seccomp profile unless they ask for another.
        default_runtime_seccomp_profile_enabled: Option<bool> = "defaultRuntimeSeccompProfileEnabled";
        /// The node's name is the full domain name.
        register_with_fqdn: Option<bool> = "registerWithFQDN";
        /// How the node's address is chosen.
        node_ip: Option<KubeletNodeIPConfig> = "nodeIP";
        /// Run pods of this machine only; do not become a node of the cluster.
        skip_node_registration: Option<bool> = "skipNodeRegistration";
        /// Do not run static pods from /etc/kubernetes/manifests.
        disable_manifests_directory: Option<bool> = "disableManifestsDirectory";
    }

    /// How the node's address is chosen.
    pub struct KubeletNodeIPConfig: "v1alpha1.KubeletNodeIPConfig" {
        /// Networks the node's addresses are taken from; `!` before one leaves it out.
        valid_subnets: Vec<String> = "validSubnets";
    }

    /// Use of the machine API from pods.
    pub struct KubernetesTalosAPIAccessConfig: "v1alpha1.KubernetesTalosAPIAccessConfig" {
        /// Let pods use the machine API.
        enabled: Option<bool> = "enabled";
        /// Roles those pods may have.
        allowed_roles: Vec<String> = "allowedRoles";
        /// Namespaces whose pods may use the machine API.
        allowed_kubernetes_namespaces: Vec<String> = "allowedKubernetesNamespaces";
    }

    /// Maps ids inside a container to ids outside.
    pub struct LinuxIDMapping: "v1alpha1.LinuxIDMapping" {
        /// First id inside the container.
        container_id: Option<i64> = "containerID";
        /// First id on the machine.
        host_id: Option<i64> = "hostID";
        /// Size.
        size: Option<i64> = "size";
    }

    /// Where logs are sent.
    pub struct LoggingConfig: "v1alpha1.LoggingConfig" {
        /// Where logs are sent.
        destinations: Vec<LoggingDestination> = "destinations";
    }

    /// A place logs are sent to.
    pub struct LoggingDestination: "v1alpha1.LoggingDestination" {
        /// Where messages are sent: `udp://host:port` or `tcp://host:port`.
        endpoint: Option<String> = "endpoint".check(Format::Url(&["tcp", "udp", "http", "https"]));
        /// Format of the messages.
        format: Option<String> = "format".one_of(&["json_lines"]);
        /// Fields added to every message.
        extra_tags: BTreeMap<String, String> = "extraTags";
    }

    /// The machine itself.
    pub struct MachineConfig: "v1alpha1.MachineConfig" {
        /// What the machine is: a control plane, which runs the control plane and etcd, or a worker.
        kind: Option<String> = "type".one_of(&["controlplane", "worker"]).required();
        /// Token machines join with: six and sixteen characters of a-z and 0-9 with a dot between.
        token: Option<Secret> = "token";
        /// Authority of the machine API; its key is on control planes only.
        ca: Option<CertAndKey> = "ca";
        /// Authorities that are trusted beside the issuing one.
        accepted_cas: Vec<AcceptedCA> = "acceptedCAs";
        /// More names and addresses for the server's certificate.
        cert_sans: Vec<String> = "certSANs";
        /// The control plane.
        control_plane: Option<MachineControlPlaneConfig> = "controlPlane";
        /// The kubelet.
        kubelet: Option<KubeletConfig> = "kubelet";
        /// Static pods of this machine.
        pods: Vec<Free> = "pods";
        /// Network settings.
        network: Option<NetworkConfig> = "network";
        /// Disks to partition and mount.
        disks: Vec<MachineDisk> = "disks".deprecated("use UserVolumeConfig");
        /// How the system is installed to disk.
        install: Option<InstallConfig> = "install";
        /// Files to write.
        files: Vec<MachineFile> = "files";
        /// Environment variables of the system's services.
        env: BTreeMap<String, String> = "env".deprecated("use EnvironmentConfig");
        /// The clock.
        time: Option<TimeConfig> = "time".deprecated("use TimeSyncConfig");
        /// Kernel parameters under /proc/sys.
        sysctls: BTreeMap<String, String> = "sysctls";
        /// Attributes under /sys.
        sysfs: BTreeMap<String, String> = "sysfs";
        /// Registries.
        registries: Option<RegistriesConfig> = "registries".deprecated("use RegistryMirrorConfig, RegistryAuthConfig and RegistryTLSConfig");
        /// Encryption of the system's volumes.
        system_disk_encryption: Option<SystemDiskEncryptionConfig> = "systemDiskEncryption".deprecated("use VolumeConfig");
        /// Features to switch on or off.
        features: Option<FeaturesConfig> = "features";
        /// Device manager.
        udev: Option<UdevConfig> = "udev";
        /// Where logs are sent.
        logging: Option<LoggingConfig> = "logging";
        /// Kernel modules.
        kernel: Option<KernelConfig> = "kernel";
        /// Seccomp profiles that pods can ask for.
        seccomp_profiles: Vec<MachineSeccompProfile> = "seccompProfiles";
        /// Values laid over the default OCI specification of containers.
        base_runtime_spec_overrides: Option<Free> = "baseRuntimeSpecOverrides";
        /// Labels of the Kubernetes node.
        node_labels: BTreeMap<String, String> = "nodeLabels";
        /// Annotations of the Kubernetes node.
        node_annotations: BTreeMap<String, String> = "nodeAnnotations";
        /// Taints of the Kubernetes node: `value:Effect` by key.
        node_taints: BTreeMap<String, String> = "nodeTaints";
    }

    /// What of the control plane runs on this machine.
    pub struct MachineControlPlaneConfig: "v1alpha1.MachineControlPlaneConfig" {
        /// The controller manager.
        controller_manager: Option<MachineControllerManagerConfig> = "controllerManager";
        /// The scheduler.
        scheduler: Option<MachineSchedulerConfig> = "scheduler";
    }

    /// Whether the controller manager runs on this machine.
    pub struct MachineControllerManagerConfig: "v1alpha1.MachineControllerManagerConfig" {
        /// Switch it off.
        disabled: Option<bool> = "disabled";
    }

    /// A file to write.
    pub struct MachineFile: "v1alpha1.MachineFile" {
        /// Content of the file.
        content: Option<String> = "content";
        /// Permissions in octal, such as `0o644`.
        permissions: Option<FileMode> = "permissions";
        /// Path of the file.
        path: Option<String> = "path";
        /// What is done: `create` the file, `overwrite` it or `append` to it.
        op: Option<String> = "op".one_of(&["create", "append", "overwrite"]);
    }

    /// Whether the scheduler runs on this machine.
    pub struct MachineSchedulerConfig: "v1alpha1.MachineSchedulerConfig" {
        /// Switch it off.
        disabled: Option<bool> = "disabled";
    }

    /// A seccomp profile.
    pub struct MachineSeccompProfile: "v1alpha1.MachineSeccompProfile" {
        /// Name.
        name: Option<String> = "name";
        /// The profile.
        value: Option<Free> = "value";
    }

    /// Where images come from.
    pub struct RegistriesConfig: "v1alpha1.RegistriesConfig" {
        /// Mirrors by registry.
        mirrors: BTreeMap<String, RegistryMirrorConfig> = "mirrors";
        /// Credentials and TLS settings by registry.
        config: BTreeMap<String, RegistryConfig> = "config";
    }

    /// Credentials for a registry.
    pub struct RegistryAuthConfig: "v1alpha1.RegistryAuthConfig" {
        /// User name.
        username: Option<String> = "username";
        /// Password.
        password: Option<Secret> = "password";
        /// Base64 of `user:password`.
        auth: Option<Secret> = "auth";
        /// Token of an identity provider.
        identity_token: Option<Secret> = "identityToken";
    }

    /// Credentials and TLS settings of a registry.
    pub struct RegistryConfig: "v1alpha1.RegistryConfig" {
        /// TLS settings.
        tls: Option<RegistryTLSConfig> = "tls";
        /// Base64 of `user:password`.
        auth: Option<RegistryAuthConfig> = "auth";
    }

    /// Mirrors of a registry.
    pub struct RegistryMirrorConfig: "v1alpha1.RegistryMirrorConfig" {
        /// URLs of mirrors, in the order they are asked.
        endpoints: Vec<String> = "endpoints".check(Format::Url(&["http", "https"]));
        /// The path in the URL is the whole path: `/v2` is not added.
        override_path: Option<bool> = "overridePath";
        /// Do not ask the registry itself if no mirror has the image.
        skip_fallback: Option<bool> = "skipFallback";
    }

    /// TLS settings for a registry.
    pub struct RegistryTLSConfig: "v1alpha1.RegistryTLSConfig" {
        /// Certificate and key shown to the server.
        client_identity: Option<CertAndKey> = "clientIdentity";
        /// Authorities to trust beside the system's: base64 of PEM.
        ca: Option<Bytes> = "ca";
        /// Trust any certificate of the server.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify";
    }

    /// The clock.
    pub struct TimeConfig: "v1alpha1.TimeConfig" {
        /// Do not set the clock from the network.
        disabled: Option<bool> = "disabled";
        /// Time servers.
        servers: Vec<String> = "servers";
        /// How long the boot waits for the time; 0 waits for ever.
        boot_timeout: Option<Duration> = "bootTimeout";
    }

    /// Rules of the device manager.
    pub struct UdevConfig: "v1alpha1.UdevConfig" {
        /// Rules.
        rules: Vec<String> = "rules";
    }
}
