//! The machine's role, and what it is while it has none.

use node_resources::config::{MachineConfig, MachineKind, MachineType};
use node_resources::network::NodeAddress;
use node_resources::runtime::{APIServiceConfig, Environment, MaintenanceServiceConfig};
use node_resources::v1alpha1::AcquireConfigStatus;
use resource::types::Prefix;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};

use crate::boot::verbosity::Verbosity;
use crate::machine_config::parsed;

/// Control plane or worker.
pub fn machine_type(config: One<MachineConfig>) -> anyhow::Result<Outputs<MachineType>> {
    let kind = match parsed(&config)?.machine_type() {
        Some(config::MachineType::ControlPlane) => MachineKind::ControlPlane,
        Some(config::MachineType::Worker) => MachineKind::Worker,
        None => return Ok(Outputs::none()),
    };
    Ok(Outputs::one("machine-type", MachineType(kind)))
}

/// A node that looked for its configuration and found none waits for one.
pub fn maintenance(
    _acquired: One<AcquireConfigStatus>,
    config: Option<One<MachineConfig>>,
    addresses: All<NodeAddress>,
) -> Outputs<MaintenanceServiceConfig> {
    if config.is_some() {
        return Outputs::none();
    }
    let reachable = addresses
        .get("current")
        .map(|a| a.addresses.iter().map(Prefix::addr).collect());
    let service = MaintenanceServiceConfig {
        listen_address: ":50000".to_owned(),
        reachable_addresses: reachable.unwrap_or_default(),
    };
    Outputs::one("maintenance", service)
}

/// How the machine API is served once there is a configuration.
pub fn api_service(_config: One<MachineConfig>) -> Outputs<APIServiceConfig> {
    Outputs::one(
        "apid",
        APIServiceConfig {
            listen_address: ":50000".to_owned(),
            ..APIServiceConfig::default()
        },
    )
}

/// Environment variables of the services, those of the configuration after the system's own, so that they win.
pub fn environment(config: Option<One<MachineConfig>>) -> anyhow::Result<Outputs<Environment>> {
    let mut variables = vec![PATH.to_owned()];
    if let Some(config) = config {
        let configured = config::view::environment(&*parsed(&config)?);
        variables.extend(configured.iter().map(|(name, value)| format!("{name}={value}")));
    }
    Ok(Outputs::one("machined", Environment { variables }))
}

/// Where programs of the node's root are found.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the node's log as verbose as the configuration wants it (`debug`).
pub struct Debug {
    verbosity: Verbosity,
    verbose: bool,
}

impl Debug {
    /// The effect on a log, which is as usual now.
    pub fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            verbose: false,
        }
    }
}

impl Reconcile for Debug {
    type Inputs = (One<MachineConfig>,);
    type Outputs = ();

    async fn reconcile(&mut self, (config,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<()>> {
        let wanted = config::view::debug(&*parsed(&config)?);
        if wanted != self.verbose {
            (self.verbosity)(wanted);
            self.verbose = wanted;
        }
        Ok(Outcome::done(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_variables_come_after_the_systems_own() {
        let config = "version: v1alpha1\nmachine:\n    type: worker\n    env: {https_proxy: \"http://p:3128\"}\n\
            ---\napiVersion: v1alpha1\nkind: EnvironmentConfig\nvariables: {no_proxy: local}\n";
        let environment = environment(Some(One::from(MachineConfig(config.to_owned())))).unwrap();
        let variables = &environment.get("machined").unwrap().variables;
        assert_eq!(variables[1..], ["https_proxy=http://p:3128", "no_proxy=local"]);
    }
}
