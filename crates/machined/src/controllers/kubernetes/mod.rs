//! Kubernetes on this node: from the configuration to static pods, the kubelet's specification and files.
//!
//! How things are rendered is in [`crate::kubernetes`]; this is the wiring, and which version of what a pod was made
//! from, so that a change restarts it.

pub mod control_plane;
pub mod control_plane_files;
pub mod kubelet;
pub mod node;

use config::{Config, MachineType};
use node_resources::config::MachineConfig;
use node_resources::types::ExtraArgs as ResourceArgs;
use serde_json::{Map, Value};

use crate::machine_config::parsed;

/// The configuration, if this is a control plane.
fn of_control_plane(config: &MachineConfig) -> anyhow::Result<Option<std::sync::Arc<Config>>> {
    let config = parsed(config)?;
    Ok((config.machine_type() == Some(MachineType::ControlPlane)).then_some(config))
}

/// Converts between two forms of the same thing that have one JSON form but for their arguments: a resource has them as
/// messages, a rendered component as lists. They are left out here and set by the caller.
fn same<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> anyhow::Result<T> {
    let mut value = serde_json::to_value(value)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("extraArgs");
    }
    Ok(serde_json::from_value(value)?)
}

/// Arguments as a resource has them.
fn to_resource(args: &crate::kubernetes::ExtraArgs) -> ResourceArgs {
    args.iter()
        .map(|(name, values)| (name.clone(), values.clone().into()))
        .collect()
}

/// Arguments as a rendered component has them.
fn from_resource(args: &ResourceArgs) -> crate::kubernetes::ExtraArgs {
    args.iter()
        .map(|(name, values)| (name.clone(), values.values.clone()))
        .collect()
}

fn extra_args(args: &config::schema::types::Args) -> crate::kubernetes::ExtraArgs {
    args.iter()
        .map(|(name, value)| (name.clone(), value.values().to_vec()))
        .collect()
}

fn cloud_provider(config: &Config) -> String {
    let external = config
        .cluster()
        .and_then(|c| c.external_cloud_provider.as_ref())
        .and_then(|e| e.enabled);
    if external.unwrap_or_default() {
        "external".to_owned()
    } else {
        String::new()
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use resource::One;

    use node_resources::config::MachineConfig;

    /// A control plane whose components have arguments of the user's.
    pub(super) fn config() -> One<MachineConfig> {
        let now = std::time::SystemTime::now();
        let contract = config::generate::Contract::CURRENT;
        let secrets = config::secrets::SecretsBundle::generate(now, contract).unwrap();
        let input = config::generate::Input::new("demo", "https://10.5.0.2:6443").unwrap();
        let generated = config::generate::controlplane(&input, &secrets).unwrap();
        let patch = b"
machine:
  kubelet:
    extraArgs: {v: \"4\"}
cluster:
  apiServer:
    extraArgs: {v: \"3\", feature-gates: [A=true, B=true]}
";
        let patch = config::patch::Patch::load(patch).unwrap();
        let patched = config::patch::apply(&generated, &[patch]).unwrap();
        One::from(MachineConfig(String::from_utf8(patched.encode()).unwrap()))
    }
}
