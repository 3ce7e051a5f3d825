//! The control plane: its components, as the configuration wants them, and their pods.

use std::collections::BTreeMap;

use anyhow::Context as _;
use config::view::{self, Component as ComponentView};
use node_resources::config::MachineConfig;
use node_resources::k8s as spec;
use node_resources::keelson::{FileSetStatus, KubernetesReached};
use resource::{All, One, Outputs};
use serde_json::Value;

use super::control_plane_files::secrets_version;
use super::{cloud_provider, extra_args, from_resource, of_control_plane, same, to_resource};
use crate::kubernetes::pods::{Component, ExtraVolume, Resources, Versions};
use crate::kubernetes::static_pods::{
    self, API_SERVER_SECRETS, ApiServer, CONTROLLER_MANAGER_SECRETS, ControllerManager, SCHEDULER_SECRETS, Scheduler,
};
use crate::machine_config::parsed;

fn component(view: &ComponentView, versions: Versions) -> anyhow::Result<Component> {
    let quantities = |value: Option<&Value>| -> BTreeMap<String, String> {
        let entries = value.and_then(Value::as_object).into_iter().flatten();
        entries
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned)))
            .collect()
    };
    let resources = view.resources.clone().unwrap_or_default();
    Ok(Component {
        image: view.image.clone(),
        extra_args: extra_args(&view.extra_args),
        extra_volumes: view
            .extra_volumes
            .iter()
            .map(|v| ExtraVolume {
                name: String::new(),
                host_path: v.host_path.clone().unwrap_or_default(),
                mount_path: v.mount_path.clone().unwrap_or_default(),
                read_only: v.readonly.unwrap_or_default(),
            })
            .collect(),
        environment_variables: view.env.clone(),
        resources: Resources {
            requests: quantities(resources.requests.as_ref()),
            limits: quantities(resources.limits.as_ref()),
        },
        versions,
    })
}

/// The API server as the configuration wants it.
pub fn api_server_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::APIServerConfig>> {
    let Some(config) = of_control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let view = view::api_server(&config);
    let server = ApiServer {
        component: component(&view.component, Versions::default())?,
        control_plane_endpoint: view::endpoint(&config).unwrap_or_default(),
        etcd_servers: vec!["https://127.0.0.1:2379".to_owned()],
        local_port: view.port,
        service_cidrs: view::kubernetes_network(&config).service_subnets,
        advertised_address: "$(POD_IP)".to_owned(),
    };
    let mut spec: spec::APIServerConfig = same(&server)?;
    spec.extra_args = to_resource(&server.component.extra_args);
    Ok(Outputs::one("kube-apiserver", spec))
}

/// The controller manager as the configuration wants it.
pub fn controller_manager_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::ControllerManagerConfig>> {
    let Some(config) = of_control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let view = view::controller_manager(&config);
    let network = view::kubernetes_network(&config);
    let mut own = component(&view, Versions::default())?;
    for (flag, length) in [
        ("node-cidr-mask-size-ipv4", network.node_mask_v4),
        ("node-cidr-mask-size-ipv6", network.node_mask_v6),
    ] {
        if let Some(length) = length {
            own.extra_args
                .entry(flag.to_owned())
                .or_insert_with(|| vec![length.to_string()]);
        }
    }
    let manager = ControllerManager {
        component: own,
        cloud_provider: cloud_provider(&config),
        pod_cidrs: network.pod_subnets,
        service_cidrs: network.service_subnets,
    };
    let mut spec: spec::ControllerManagerConfig = same(&manager)?;
    spec.extra_args = to_resource(&manager.component.extra_args);
    spec.enabled = view.enabled;
    Ok(Outputs::one("kube-controller-manager", spec))
}

/// The scheduler as the configuration wants it.
pub fn scheduler_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::SchedulerConfig>> {
    let Some(config) = of_control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let view = view::scheduler(&config);
    let scheduler = Scheduler {
        component: component(&view.component, Versions::default())?,
    };
    let mut spec: spec::SchedulerConfig = same(&scheduler)?;
    spec.extra_args = to_resource(&scheduler.component.extra_args);
    spec.enabled = view.component.enabled;
    Ok(Outputs::one("kube-scheduler", spec))
}

/// The control plane's pods, once what they read is there. The API server starts alone: the others can do nothing before
/// it is ready and has made their roles, and starting them takes processor time from it. They need no order where the
/// balancer, which knows that an API server is ready, is turned off.
#[expect(clippy::too_many_arguments, reason = "each is an input; a signature is the wiring")]
pub fn static_pods(
    config: One<MachineConfig>,
    reached: Option<One<KubernetesReached>>,
    files: All<FileSetStatus>,
    _secrets: One<spec::SecretStatus>,
    configs: One<spec::ConfigStatus>,
    server: One<spec::APIServerConfig>,
    manager: One<spec::ControllerManagerConfig>,
    scheduler: One<spec::SchedulerConfig>,
) -> anyhow::Result<Outputs<spec::StaticPod>> {
    let versions = |component: &Component, secrets: &str, config: String| Versions {
        config,
        config_files: configs.version.clone(),
        secrets: secrets_version(component, secrets, &files).unwrap_or_default(),
    };
    let mut pods = Outputs::none();
    let mut rendered: ApiServer = same(&*server)?;
    let own = &mut rendered.component;
    own.extra_args = from_resource(&server.extra_args);
    own.versions = versions(own, API_SERVER_SECRETS, server.resource().version());
    pods.insert("kube-apiserver", spec::StaticPod(static_pods::api_server(&rendered)?));
    if reached.is_none() && view::kube_prism(&*parsed(&config)?).enabled {
        return Ok(pods);
    }
    if manager.enabled {
        let mut rendered: ControllerManager = same(&*manager)?;
        let own = &mut rendered.component;
        own.extra_args = from_resource(&manager.extra_args);
        own.versions = versions(own, CONTROLLER_MANAGER_SECRETS, manager.resource().version());
        pods.insert(
            "kube-controller-manager",
            spec::StaticPod(static_pods::controller_manager(&rendered)?),
        );
    }
    if scheduler.enabled {
        let mut rendered: Scheduler = same(&*scheduler)?;
        let own = &mut rendered.component;
        own.extra_args = from_resource(&scheduler.extra_args);
        own.versions = versions(own, SCHEDULER_SECRETS, scheduler.resource().version());
        pods.insert("kube-scheduler", spec::StaticPod(static_pods::scheduler(&rendered)?));
    }
    Ok(pods)
}

/// Pods that the configuration adds to this machine.
pub fn extra_static_pods(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::StaticPod>> {
    let config = parsed(&config)?;
    let mut pods = Outputs::none();
    for pod in view::static_pods(&config) {
        let name = pod["metadata"]["name"]
            .as_str()
            .context("machine.pods: a pod has no metadata.name")?
            .to_owned();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        pods.insert(format!("{namespace}-{name}"), spec::StaticPod(pod));
    }
    Ok(pods)
}

#[cfg(test)]
mod tests {
    use super::super::control_plane_files::ANEW_SET;
    use super::super::tests::config;
    use super::*;

    struct Rendered {
        server: One<spec::APIServerConfig>,
        manager: One<spec::ControllerManagerConfig>,
        scheduler: One<spec::SchedulerConfig>,
    }

    impl Rendered {
        fn new() -> Self {
            let server = api_server_config(config()).unwrap();
            let manager = controller_manager_config(config()).unwrap();
            let scheduler = scheduler_config(config()).unwrap();
            Self {
                server: server.get("kube-apiserver").unwrap().clone().into(),
                manager: manager.get("kube-controller-manager").unwrap().clone().into(),
                scheduler: scheduler.get("kube-scheduler").unwrap().clone().into(),
            }
        }

        fn pods(&self, reached: Option<KubernetesReached>, changed: &[&str]) -> Outputs<spec::StaticPod> {
            let sets = [
                "kube-apiserver-secrets",
                "kube-controller-manager-secrets",
                "kube-scheduler-secrets",
                ANEW_SET,
            ];
            let version = |set| FileSetStatus {
                version: if changed.contains(&set) { "2" } else { "1" }.to_owned(),
            };
            static_pods(
                config(),
                reached.map(One::from),
                sets.map(|set| (set, version(set))).into(),
                spec::SecretStatus::default().into(),
                spec::ConfigStatus::default().into(),
                self.server.clone(),
                self.manager.clone(),
                self.scheduler.clone(),
            )
            .unwrap()
        }

        /// The pods that are others when these sets of files change.
        fn restarted_by(&self, changed: &[&str]) -> Vec<String> {
            let all = |changed| self.pods(Some(KubernetesReached {}), changed);
            let (before, after) = (all(&[]), all(changed));
            let other = before.iter().filter(|(id, pod)| after.get(id) != Some(*pod));
            other.map(|(id, _)| id.to_owned()).collect()
        }
    }

    #[test]
    fn arguments_of_the_configuration_reach_the_api_servers_command_line() {
        let rendered = Rendered::new();
        let early: Vec<String> = rendered.pods(None, &[]).iter().map(|(id, _)| id.to_owned()).collect();
        assert_eq!(early, ["kube-apiserver"]);
        let pods = rendered.pods(Some(KubernetesReached {}), &[]);
        assert_eq!(pods.len(), 3);
        let text = pods.get("kube-apiserver").unwrap().0.to_string();
        assert!(text.contains("--v=3") && text.contains("A=true,B=true"), "{text}");
    }

    #[test]
    fn a_pod_restarts_for_what_it_reads_at_its_start_only() {
        let mut rendered = Rendered::new();
        assert!(rendered.restarted_by(&[ANEW_SET]).is_empty());
        assert_eq!(rendered.restarted_by(&["kube-apiserver-secrets"]), ["kube-apiserver"]);
        assert_eq!(rendered.restarted_by(&["kube-scheduler-secrets"]), ["kube-scheduler"]);

        // Who knows when it reads what the configuration gives it.
        let mut server = (*rendered.server).clone();
        let file = format!("{API_SERVER_SECRETS}/ca.crt");
        let own = ("kubelet-certificate-authority".to_owned(), vec![file].into());
        server.extra_args.extend([own]);
        rendered.server = server.into();
        assert_eq!(rendered.restarted_by(&[ANEW_SET]), ["kube-apiserver"]);
    }
}
