//! The controllers: pure derivations and effects, by area, and the graph that wires them by their signatures.

pub mod addresses;
mod api_server_files;
pub mod bootstrap_manifests;
pub mod certificates;
pub mod containerd;
pub mod discovery;
pub mod discovery_service;
pub mod etcd;
pub mod extra_manifests;
pub mod files;
pub mod firewall;
pub mod host_dns;
pub mod image_rules;
mod join;
mod kube_prism;
pub mod kubelet_credentials;
pub mod kubernetes;
pub mod kubernetes_certificates;
pub mod machine;
pub mod machine_files;
pub mod machine_status;
pub mod manifests;
pub mod nodes;
pub mod observe;
pub mod prefetch;
pub mod registries;
pub mod run;
pub mod secrets;
pub mod services;
pub mod static_pods;
pub mod trust;
pub mod virtual_address;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::pull::Puller;
use node_resources::cluster::Affiliate;
use node_resources::files::EtcFileSpec;
use node_resources::k8s::{Endpoint, Manifest, StaticPod};
use node_resources::keelson::{DesiredService, FileSpec, ManifestProblem};
use resource::{Graph, Spec};
use tokio::sync::watch;

use self::kubernetes::{control_plane, control_plane_files, kubelet, node};
use crate::boot::verbosity::Verbosity;
use crate::clients::cri::Cri;
use crate::events::Events;
use crate::sequence::Sequencer;
use crate::services::supervisor::Supervisor;

/// What the effects act on.
pub struct World {
    /// Runs services.
    pub supervisor: Supervisor,
    /// Tells what happened.
    pub events: Events,
    /// What ends the node's run.
    pub sequencer: Sequencer,
    /// How the node pulls images.
    pub puller: watch::Sender<Option<Arc<Puller>>>,
    /// containerd.
    pub cri: Cri,
    /// Where identity and configuration are kept.
    pub state: PathBuf,
    /// The authorities that came with the distribution.
    pub distribution: trust::Distribution,
    /// How this node and others are told to the discovery service.
    pub discovery: discovery_service::Way,
    /// How much the node tells of itself.
    pub verbosity: Verbosity,
}

/// All controllers of a node in container mode.
pub fn graph(world: &World) -> Graph {
    let graph = Graph::new()
        .shared::<DesiredService>(DesiredService::NAMESPACE)
        .shared::<FileSpec>(FileSpec::NAMESPACE)
        .shared::<EtcFileSpec>(EtcFileSpec::NAMESPACE)
        .shared::<StaticPod>(StaticPod::NAMESPACE)
        .shared::<Manifest>(Manifest::NAMESPACE)
        .shared::<ManifestProblem>(ManifestProblem::NAMESPACE)
        .shared::<Affiliate>(Affiliate::NAMESPACE)
        .shared::<Affiliate>(discovery::RAW)
        .shared::<Endpoint>(Endpoint::NAMESPACE);
    let graph = observe::add(graph, &observe::World::of_node(&world.state));
    let graph = machine(graph, world);
    let graph = secrets(graph);
    let graph = cluster(graph, world);
    let graph = etcd(graph);
    kubernetes(graph, world)
}

/// The machine itself: type, addresses, files, services.
fn machine(graph: Graph, world: &World) -> Graph {
    let puller = registries::NodePuller {
        puller: world.puller.clone(),
        distribution: world.distribution.clone(),
    };
    let (etc, containerd) = (world.distribution.clone(), world.distribution.clone());
    graph
        .derive("config.MachineTypeController", machine::machine_type)
        .reconcile(
            "runtime.VerbosityController",
            machine::Debug::new(world.verbosity.clone()),
        )
        .derive("runtime.EnvironmentController", machine::environment)
        .derive("files.CARootsController", move |config| trust::etc_file(&etc, config))
        .derive("cri.CARootsController", move |config| {
            trust::containerd_file(&containerd, config)
        })
        .reconcile(
            "files.MachineFilesController",
            machine_files::MachineFiles::new(Path::new("/")),
        )
        .derive("runtime.MaintenanceConfigController", machine::maintenance)
        .derive("runtime.APIServiceConfigController", machine::api_service)
        .derive("network.HostDNSConfigController", host_dns::config)
        .reconcile("network.DNSResolveCacheController", host_dns::HostDns::default())
        .derive("k8s.AddressFilterController", addresses::address_filters)
        .derive("network.NodeAddressSortAlgorithmController", addresses::sort_algorithm)
        .derive("network.NodeAddressController", addresses::node_addresses)
        .derive("network.NfTablesChainConfigController", firewall::chains)
        .reconcile("network.NfTablesChainController", firewall::Chains::default())
        .derive("network.OperatorVIPConfigController", virtual_address::operators)
        .reconcile("network.OperatorSpecController", virtual_address::Elections::default())
        .derive("security.ImagePolicyController", image_rules::policy)
        .derive("security.ImageVerificationConfigController", image_rules::rules)
        .derive("security.TrustedRootController", image_rules::trust_root)
        .derive("cri.RegistriesConfigController", registries::resource)
        .derive("cri.RegistryFilesController", registries::files)
        .reconcile("cri.NodePullController", puller)
        .reconcile("files.FileController", files::Files::new(Path::new("/")))
        .derive("runtime.GateServicesController", services::gates)
        .derive("runtime.ContainerRuntimeServiceController", services::container_runtime)
        .derive("runtime.EtcdServiceController", services::etcd)
        .derive("runtime.KubeletServiceController", services::kubelet)
        .reconcile(
            "v1alpha1.ServiceController",
            run::Services::new(world.supervisor.clone()),
        )
        .reconcile(
            "runtime.MachineStatusController",
            machine_status::Status::new(world.sequencer.clone(), world.events.clone()),
        )
}

/// Authorities and certificates.
fn secrets(graph: Graph) -> Graph {
    graph
        .derive("secrets.RootOSController", secrets::os_root)
        .derive("secrets.RootEtcdController", secrets::etcd_root)
        .derive("secrets.RootKubernetesController", secrets::kubernetes_root)
        .derive("secrets.KubeletController", secrets::kubelet_secrets)
        .derive("secrets.CertSANsController", secrets::cert_sans)
        .reconcile("secrets.APIController", certificates::Api::default())
        .reconcile("secrets.TrustdController", certificates::Trustd::default())
        .reconcile("secrets.EtcdController", kubernetes_certificates::Etcd::default())
        .reconcile(
            "secrets.KubernetesDynamicCertsController",
            kubernetes_certificates::Dynamic::default(),
        )
        .reconcile(
            "secrets.KubernetesController",
            kubernetes_certificates::Kubeconfigs::default(),
        )
}

/// Other nodes.
fn cluster(graph: Graph, world: &World) -> Graph {
    graph
        .derive("cluster.InfoController", discovery::info)
        .derive("cluster.ConfigController", discovery::discovery_config)
        .derive("cluster.LocalAffiliateController", discovery::local_affiliate)
        .reconcile(
            "cluster.DiscoveryServiceController",
            discovery_service::Service::new(world.discovery.clone()),
        )
        .derive("cluster.AffiliateMergeController", discovery::merged)
        .derive("cluster.MemberController", discovery::members)
        .derive("cluster.EndpointController", discovery::endpoints)
        .derive("k8s.KubePrismEndpointsController", discovery::kube_prism_endpoints)
        .derive("k8s.KubePrismConfigController", discovery::kube_prism_config)
        .reconcile("k8s.KubePrismController", kube_prism::KubePrism::default())
        .reconcile("cluster.KubernetesRegistryController", nodes::Watch::default())
}

/// etcd's member.
fn etcd(graph: Graph) -> Graph {
    graph
        .derive("etcd.ConfigController", etcd::config)
        .derive("etcd.SpecController", etcd::spec)
        .derive("etcd.PKIFilesController", etcd::files)
        .derive("etcd.PKIController", etcd::pki_status)
        .reconcile("etcd.LaunchController", etcd::Launch)
        .reconcile("etcd.MemberController", etcd::Membership)
}

/// Kubernetes on this node.
fn kubernetes(graph: Graph, world: &World) -> Graph {
    graph
        .derive("k8s.NodeIPConfigController", addresses::node_ip_config)
        .derive("k8s.NodeIPController", addresses::node_ip)
        .derive("k8s.NodenameController", node::nodename)
        .derive("k8s.NodeLabelSpecController", node::node_labels)
        .derive("k8s.NodeAnnotationSpecController", node::node_annotations)
        .derive("k8s.NodeTaintSpecController", node::node_taints)
        .reconcile(
            "k8s.NodeApplyController",
            nodes::Apply {
                sequencer: world.sequencer.clone(),
            },
        )
        .derive("k8s.StaticEndpointController", node::static_endpoint)
        .derive("k8s.ControlPlaneAPIServerController", control_plane::api_server_config)
        .derive(
            "k8s.ControlPlaneControllerManagerController",
            control_plane::controller_manager_config,
        )
        .derive("k8s.ControlPlaneSchedulerController", control_plane::scheduler_config)
        .derive(
            "k8s.ControlPlaneConfigFilesController",
            control_plane_files::config_files,
        )
        .derive(
            "k8s.ControlPlaneSecretFilesController",
            control_plane_files::secret_files,
        )
        .derive(
            "k8s.RenderSecretsStaticPodController",
            control_plane_files::secret_status,
        )
        .derive(
            "k8s.RenderConfigsStaticPodController",
            control_plane_files::config_status,
        )
        .derive("k8s.ControlPlaneStaticPodController", control_plane::static_pods)
        .reconcile("k8s.APIServerFilesController", api_server_files::Look)
        .reconcile(
            "k8s.ControlPlaneImageController",
            prefetch::ControlPlaneImages::new(world.cri.clone()),
        )
        .derive("k8s.ExtraStaticPodController", control_plane::extra_static_pods)
        .reconcile(
            "k8s.StaticPodServerController",
            static_pods::StaticPodServer::new(world.cri.clone()),
        )
        .reconcile(
            "k8s.StaticPodStatusController",
            static_pods::StaticPodStatuses::default(),
        )
        .reconcile(
            "k8s.KubeletIdentityController",
            kubernetes_certificates::KubeletIdentity::default(),
        )
        .reconcile("k8s.KubeletJoinController", join::Join::new(Path::new("/")))
        .derive("k8s.KubeletConfigController", kubelet::kubelet_config)
        .derive("k8s.KubeletSpecController", kubelet::kubelet_spec)
        .derive("k8s.KubeletFilesController", kubelet::kubelet_files)
        .derive("k8s.PodNetworkFileController", kubelet::pod_network_file)
        .derive(
            "k8s.ControlPlaneBootstrapManifestsController",
            bootstrap_manifests::settings,
        )
        .derive("k8s.ControlPlaneExtraManifestsController", bootstrap_manifests::extra)
        .derive("k8s.ManifestController", bootstrap_manifests::manifests)
        .reconcile(
            "k8s.ExtraManifestController",
            extra_manifests::ExtraManifests::new(world.distribution.clone()),
        )
        .reconcile("k8s.ManifestApplyController", manifests::Apply::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controllers_fit_together() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let events = Events::default();
        let (sequencer, _requests) = Sequencer::new(events.clone());
        let runner = Arc::new(crate::services::sandbox::SandboxRunner::new(
            None,
            watch::channel(None).1,
        ));
        let world = World {
            supervisor: Supervisor::new(runner, events.clone(), crate::logs::Logs::default()),
            events,
            sequencer,
            puller: watch::channel(None).0,
            cri: Cri::new(Path::new("/nowhere")),
            state: PathBuf::from("/nowhere"),
            distribution: trust::Distribution::of(""),
            discovery: discovery_service::Way::new(trust::Distribution::of("")),
            verbosity: Arc::new(|_| {}),
        };
        let controllers = graph(&world).build().unwrap();
        assert!(controllers.names().count() > 40);
    }
}
