//! The control plane: its components, as the configuration wants them, and their pods.

use std::collections::BTreeMap;

use anyhow::Context as _;
use config::view::{self, Component as ComponentView};
use node_resources::config::MachineConfig;
use node_resources::k8s as spec;
use node_resources::keelson::KubernetesReached;
use resource::{One, Outputs};
use serde_json::Value;

use super::{cloud_provider, extra_args, from_resource, of_control_plane, same, to_resource};
use crate::kubernetes::pods::{Component, ExtraVolume, Resources, Versions};
use crate::kubernetes::static_pods::{self, ApiServer, ControllerManager, Scheduler};
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
pub fn static_pods(
    config: One<MachineConfig>,
    reached: Option<One<KubernetesReached>>,
    secrets: One<spec::SecretStatus>,
    configs: One<spec::ConfigStatus>,
    server: One<spec::APIServerConfig>,
    manager: One<spec::ControllerManagerConfig>,
    scheduler: One<spec::SchedulerConfig>,
) -> anyhow::Result<Outputs<spec::StaticPod>> {
    let versions = |config: String| Versions {
        config,
        config_files: configs.version.clone(),
        secrets: secrets.version.clone(),
    };
    let mut pods = Outputs::none();
    let mut rendered: ApiServer = same(&*server)?;
    rendered.component.extra_args = from_resource(&server.extra_args);
    rendered.component.versions = versions(server.resource().version());
    pods.insert("kube-apiserver", spec::StaticPod(static_pods::api_server(&rendered)?));
    if reached.is_none() && view::kube_prism(&*parsed(&config)?).enabled {
        return Ok(pods);
    }
    if manager.enabled {
        let mut rendered: ControllerManager = same(&*manager)?;
        rendered.component.extra_args = from_resource(&manager.extra_args);
        rendered.component.versions = versions(manager.resource().version());
        pods.insert(
            "kube-controller-manager",
            spec::StaticPod(static_pods::controller_manager(&rendered)?),
        );
    }
    if scheduler.enabled {
        let mut rendered: Scheduler = same(&*scheduler)?;
        rendered.component.extra_args = from_resource(&scheduler.extra_args);
        rendered.component.versions = versions(scheduler.resource().version());
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
    use super::super::tests::config;
    use super::*;

    #[test]
    fn arguments_of_the_configuration_reach_the_api_servers_command_line() {
        let server = api_server_config(config()).unwrap();
        let server = One::from(server.get("kube-apiserver").unwrap().clone());
        let manager = controller_manager_config(config()).unwrap();
        let manager = One::from(manager.get("kube-controller-manager").unwrap().clone());
        let scheduler = scheduler_config(config()).unwrap();
        let scheduler = One::from(scheduler.get("kube-scheduler").unwrap().clone());
        let (secrets, configs) = (spec::SecretStatus::default(), spec::ConfigStatus::default());
        let pods = |reached: Option<KubernetesReached>| {
            let (secrets, configs) = (secrets.clone().into(), configs.clone().into());
            let (server, manager, scheduler) = (server.clone(), manager.clone(), scheduler.clone());
            let reached = reached.map(One::from);
            static_pods(config(), reached, secrets, configs, server, manager, scheduler).unwrap()
        };
        let early: Vec<String> = pods(None).iter().map(|(id, _)| id.to_owned()).collect();
        assert_eq!(early, ["kube-apiserver"]);
        let pods = pods(Some(KubernetesReached {}));
        assert_eq!(pods.len(), 3);
        let text = pods.get("kube-apiserver").unwrap().0.to_string();
        assert!(text.contains("--v=3") && text.contains("A=true,B=true"), "{text}");
    }
}
