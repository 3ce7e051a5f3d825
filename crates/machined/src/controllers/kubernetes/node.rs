//! What Kubernetes knows of this node: its name, labels, annotations and taints, and where its control plane is.

use std::net::IpAddr;

use config::view;
use node_resources::config::{MachineConfig, MachineKind, MachineType};
use node_resources::k8s as spec;
use resource::{One, Outputs};

use crate::controllers::discovery;
use crate::kubernetes::kubelet;
use crate::machine_config::parsed;

/// The node's name in Kubernetes: its host name, with the domain if asked for.
pub fn nodename(
    config: One<MachineConfig>,
    hostname: One<node_resources::network::HostnameStatus>,
) -> anyhow::Result<Outputs<spec::Nodename>> {
    let settings = view::node_settings(&*parsed(&config)?);
    let name = if settings.register_with_fqdn {
        discovery::fqdn(&hostname)
    } else {
        hostname.hostname.clone()
    };
    Ok(Outputs::one(
        "nodename",
        spec::Nodename {
            nodename: name.to_lowercase(),
            hostname_version: hostname.resource().version(),
            skip_node_registration: settings.skip_registration,
        },
    ))
}

/// Labels the configuration gives this node, and those of its role.
pub fn node_labels(config: One<MachineConfig>, kind: One<MachineType>) -> anyhow::Result<Outputs<spec::NodeLabelSpec>> {
    let mut labels = view::node_settings(&*parsed(&config)?).labels;
    labels.extend(kubelet::own_labels(kind.0 == MachineKind::ControlPlane));
    Ok(labels
        .into_iter()
        .map(|(key, value)| (key.clone(), spec::NodeLabelSpec { key, value }))
        .collect())
}

/// Annotations the configuration gives this node.
pub fn node_annotations(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::NodeAnnotationSpec>> {
    let annotations = view::node_settings(&*parsed(&config)?).annotations;
    Ok(annotations
        .into_iter()
        .map(|(key, value)| (key.clone(), spec::NodeAnnotationSpec { key, value }))
        .collect())
}

/// Taints the configuration gives this node (`key: value:Effect`), and that of control planes.
pub fn node_taints(config: One<MachineConfig>, kind: One<MachineType>) -> anyhow::Result<Outputs<spec::NodeTaintSpec>> {
    let settings = view::node_settings(&*parsed(&config)?);
    let mut taints = Outputs::none();
    for (key, text) in &settings.taints {
        let (value, effect) = text.rsplit_once(':').unwrap_or(("", text));
        let spec = spec::NodeTaintSpec {
            key: key.clone(),
            effect: effect.to_owned(),
            value: value.to_owned(),
        };
        taints.insert(key.clone(), spec);
    }
    if kind.0 == MachineKind::ControlPlane && !settings.allow_scheduling_on_control_planes {
        let key = kubelet::CONTROL_PLANE_TAINT.to_owned();
        taints.insert(
            key.clone(),
            spec::NodeTaintSpec {
                key,
                effect: "NoSchedule".to_owned(),
                value: String::new(),
            },
        );
    }
    Ok(taints)
}

/// The static endpoint of the control plane.
pub fn static_endpoint(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::Endpoint>> {
    let config = parsed(&config)?;
    let Some((host, _)) = discovery::control_plane_endpoint(&config) else {
        return Ok(Outputs::none());
    };
    let endpoint = match host.parse::<IpAddr>() {
        Ok(address) => spec::Endpoint {
            addresses: vec![address],
            hosts: vec![],
        },
        Err(_) => spec::Endpoint {
            addresses: vec![],
            hosts: vec![host],
        },
    };
    Ok(Outputs::one("controlplane", endpoint))
}
