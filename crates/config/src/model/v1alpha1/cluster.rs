//! v1alpha1::cluster

use std::collections::BTreeMap;
use std::time::Duration;

use pki::{CertAndKey, Secret};

use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::{Args, Bytes, Free, SecretBytes};

model! {
    /// Apiserver config.
    pub struct APIServerConfig: "v1alpha1.APIServerConfig" {
        /// Image.
        image: Option<String> = "image";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Extra volumes.
        extra_volumes: Vec<VolumeMountConfig> = "extraVolumes";
        /// Env.
        env: BTreeMap<String, String> = "env";
        /// Cert sans.
        cert_sans: Vec<String> = "certSANs";
        /// Disable pod security policy.
        disable_pod_security_policy: Option<bool> = "disablePodSecurityPolicy".deprecated("remove it: Kubernetes no longer has it");
        /// Admission control.
        admission_control: Vec<AdmissionPluginConfig> = "admissionControl".by_key(&["name"]);
        /// Audit policy.
        audit_policy: Option<Free> = "auditPolicy".replaced();
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
        /// Authorization config.
        authorization_config: Vec<AuthorizationConfigAuthorizerConfig> = "authorizationConfig";
    }

    /// Accepted ca.
    pub struct AcceptedCA: "v1alpha1.AcceptedCA" {
        /// Crt.
        crt: Option<Bytes> = "crt";
    }

    /// Admin kubeconfig config.
    pub struct AdminKubeconfigConfig: "v1alpha1.AdminKubeconfigConfig" {
        /// Cert lifetime.
        cert_lifetime: Option<Duration> = "certLifetime";
    }

    /// Admission plugin config.
    pub struct AdmissionPluginConfig: "v1alpha1.AdmissionPluginConfig" {
        /// Name.
        name: Option<String> = "name";
        /// Configuration.
        configuration: Option<Free> = "configuration";
    }

    /// Authorization config authorizer config.
    pub struct AuthorizationConfigAuthorizerConfig: "v1alpha1.AuthorizationConfigAuthorizerConfig" {
        /// Type.
        kind: Option<String> = "type";
        /// Name.
        name: Option<String> = "name";
        /// Webhook.
        webhook: Option<Free> = "webhook";
    }

    /// Cniconfig.
    pub struct CNIConfig: "v1alpha1.CNIConfig" {
        /// Name.
        name: Option<String> = "name".one_of(&["flannel", "custom", "none"]);
        /// Urls.
        urls: Vec<String> = "urls";
        /// Flannel.
        flannel: Option<FlannelCNIConfig> = "flannel";
    }

    /// Cluster config.
    pub struct ClusterConfig: "v1alpha1.ClusterConfig" {
        /// Id.
        id: Option<String> = "id";
        /// Secret.
        secret: Option<Secret> = "secret";
        /// Control plane.
        control_plane: Option<ControlPlaneConfig> = "controlPlane".required();
        /// Cluster name.
        cluster_name: Option<String> = "clusterName";
        /// Network.
        network: Option<ClusterNetworkConfig> = "network";
        /// Token.
        token: Option<Secret> = "token";
        /// Aescbc encryption secret.
        aescbc_encryption_secret: Option<Secret> = "aescbcEncryptionSecret";
        /// Secretbox encryption secret.
        secretbox_encryption_secret: Option<Secret> = "secretboxEncryptionSecret";
        /// Ca.
        ca: Option<CertAndKey> = "ca";
        /// Accepted cas.
        accepted_cas: Vec<AcceptedCA> = "acceptedCAs";
        /// Aggregator ca.
        aggregator_ca: Option<CertAndKey> = "aggregatorCA";
        /// Service account.
        service_account: Option<ServiceAccount> = "serviceAccount";
        /// Api server.
        api_server: Option<APIServerConfig> = "apiServer";
        /// Controller manager.
        controller_manager: Option<ControllerManagerConfig> = "controllerManager";
        /// Proxy.
        proxy: Option<ProxyConfig> = "proxy";
        /// Scheduler.
        scheduler: Option<SchedulerConfig> = "scheduler";
        /// Discovery.
        discovery: Option<ClusterDiscoveryConfig> = "discovery";
        /// Etcd.
        etcd: Option<EtcdConfig> = "etcd";
        /// Core dns.
        core_dns: Option<CoreDNS> = "coreDNS";
        /// External cloud provider.
        external_cloud_provider: Option<ExternalCloudProviderConfig> = "externalCloudProvider";
        /// Extra manifests.
        extra_manifests: Vec<String> = "extraManifests";
        /// Extra manifest headers.
        extra_manifest_headers: BTreeMap<String, String> = "extraManifestHeaders";
        /// Inline manifests.
        inline_manifests: Vec<ClusterInlineManifest> = "inlineManifests";
        /// Admin kubeconfig.
        admin_kubeconfig: Option<AdminKubeconfigConfig> = "adminKubeconfig";
        /// Allow scheduling on control planes.
        allow_scheduling_on_control_planes: Option<bool> = "allowSchedulingOnControlPlanes";
    }

    /// Cluster discovery config.
    pub struct ClusterDiscoveryConfig: "v1alpha1.ClusterDiscoveryConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Registries.
        registries: Option<DiscoveryRegistriesConfig> = "registries";
    }

    /// Cluster inline manifest.
    pub struct ClusterInlineManifest: "v1alpha1.ClusterInlineManifest" {
        /// Name.
        name: Option<String> = "name".required();
        /// Contents.
        contents: Option<String> = "contents";
    }

    /// Cluster network config.
    pub struct ClusterNetworkConfig: "v1alpha1.ClusterNetworkConfig" {
        /// Cni.
        cni: Option<CNIConfig> = "cni";
        /// Dns domain.
        dns_domain: Option<String> = "dnsDomain";
        /// Pod subnets.
        pod_subnets: Vec<String> = "podSubnets".replaced().check(Format::Prefix);
        /// Service subnets.
        service_subnets: Vec<String> = "serviceSubnets".replaced().check(Format::Prefix);
    }

    /// Control plane config.
    pub struct ControlPlaneConfig: "v1alpha1.ControlPlaneConfig" {
        /// Endpoint.
        endpoint: Option<String> = "endpoint".format(Format::Url(&["https"])).required();
        /// Local apiserver port.
        local_api_server_port: Option<i64> = "localAPIServerPort";
    }

    /// Controller manager config.
    pub struct ControllerManagerConfig: "v1alpha1.ControllerManagerConfig" {
        /// Image.
        image: Option<String> = "image";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Extra volumes.
        extra_volumes: Vec<VolumeMountConfig> = "extraVolumes";
        /// Env.
        env: BTreeMap<String, String> = "env";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Core dns.
    pub struct CoreDNS: "v1alpha1.CoreDNS" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
        /// Image.
        image: Option<String> = "image";
    }

    /// Discovery registries config.
    pub struct DiscoveryRegistriesConfig: "v1alpha1.DiscoveryRegistriesConfig" {
        /// Kubernetes.
        kubernetes: Option<RegistryKubernetesConfig> = "kubernetes";
        /// Service.
        service: Option<RegistryServiceConfig> = "service";
    }

    /// Etcd config.
    pub struct EtcdConfig: "v1alpha1.EtcdConfig" {
        /// Image.
        image: Option<String> = "image";
        /// Ca.
        ca: Option<CertAndKey> = "ca";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Advertised subnets.
        advertised_subnets: Vec<String> = "advertisedSubnets";
        /// Listen subnets.
        listen_subnets: Vec<String> = "listenSubnets";
    }

    /// External cloud provider config.
    pub struct ExternalCloudProviderConfig: "v1alpha1.ExternalCloudProviderConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Manifests.
        manifests: Vec<String> = "manifests";
    }

    /// Flannel cniconfig.
    pub struct FlannelCNIConfig: "v1alpha1.FlannelCNIConfig" {
        /// Extra args.
        extra_args: Vec<String> = "extraArgs";
        /// Kube network policies enabled.
        kube_network_policies_enabled: Option<bool> = "kubeNetworkPoliciesEnabled";
    }

    /// Proxy config.
    pub struct ProxyConfig: "v1alpha1.ProxyConfig" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
        /// Image.
        image: Option<String> = "image";
        /// Mode.
        mode: Option<String> = "mode";
        /// Extra args.
        extra_args: Args = "extraArgs";
    }

    /// Registry kubernetes config.
    pub struct RegistryKubernetesConfig: "v1alpha1.RegistryKubernetesConfig" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
    }

    /// Registry service config.
    pub struct RegistryServiceConfig: "v1alpha1.RegistryServiceConfig" {
        /// Disabled.
        disabled: Option<bool> = "disabled";
        /// Endpoint.
        endpoint: Option<String> = "endpoint".check(Format::Url(&["https", "http", "grpc"]));
    }

    /// Resources config.
    pub struct ResourcesConfig: "v1alpha1.ResourcesConfig" {
        /// Requests.
        requests: Option<Free> = "requests";
        /// Limits.
        limits: Option<Free> = "limits";
    }

    /// Scheduler config.
    pub struct SchedulerConfig: "v1alpha1.SchedulerConfig" {
        /// Image.
        image: Option<String> = "image";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Extra volumes.
        extra_volumes: Vec<VolumeMountConfig> = "extraVolumes";
        /// Env.
        env: BTreeMap<String, String> = "env";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
        /// Config.
        config: Option<Free> = "config";
    }

    /// Service account.
    pub struct ServiceAccount: "v1alpha1.ServiceAccount" {
        /// Key.
        key: Option<SecretBytes> = "key";
    }

    /// Volume mount config.
    pub struct VolumeMountConfig: "v1alpha1.VolumeMountConfig" {
        /// Host path.
        host_path: Option<String> = "hostPath";
        /// Mount path.
        mount_path: Option<String> = "mountPath";
        /// Readonly.
        readonly: Option<bool> = "readonly";
    }
}
