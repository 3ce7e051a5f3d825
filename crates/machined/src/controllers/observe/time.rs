//! The clock. In a container it is the host's: nothing is set, and time counts as right.

use config::view;
use node_resources::config::MachineConfig;
use node_resources::keelson::HostCapability;
use node_resources::network::{ConfigLayer, TimeServerSpec, TimeServerStatus};
use node_resources::v1alpha1::TimeStatus;
use resource::{One, Outputs};

use crate::machine_config::parsed;

/// Asked when nobody names another; the configuration's view has the same default.
const DEFAULT: &str = "time.cloudflare.com";

/// Which time servers the node shall use.
pub fn time_server_spec(config: Option<One<MachineConfig>>) -> anyhow::Result<Outputs<TimeServerSpec>> {
    let time_servers = match &config {
        Some(config) => view::time_sync(&*parsed(config)?).servers,
        None => vec![DEFAULT.to_owned()],
    };
    let default = time_servers == [DEFAULT];
    let layer = if default {
        ConfigLayer::Default
    } else {
        ConfigLayer::Configuration
    };
    Ok(Outputs::one("timeservers", TimeServerSpec { time_servers, layer }))
}

/// Which time servers the node uses.
pub fn time_server_status(spec: One<TimeServerSpec>) -> Outputs<TimeServerStatus> {
    Outputs::one(
        "timeservers",
        TimeServerStatus {
            time_servers: spec.time_servers.clone(),
        },
    )
}

/// Whether the clock is right.
pub fn time_status(host: One<HostCapability>) -> anyhow::Result<Outputs<TimeStatus>> {
    anyhow::ensure!(
        host.mode == "container",
        "not implemented yet: setting the clock in mode {:?}",
        host.mode
    );
    Ok(Outputs::one(
        "node",
        TimeStatus {
            synced: true,
            epoch: 0,
            sync_disabled: true,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_servers_come_from_the_configuration_or_by_default() {
        let spec = |config: Option<&str>| {
            let config = config.map(|text| One::from(MachineConfig(text.to_owned())));
            time_server_spec(config).unwrap().get("timeservers").cloned().unwrap()
        };
        let default = TimeServerSpec {
            time_servers: vec!["time.cloudflare.com".into()],
            layer: ConfigLayer::Default,
        };
        assert_eq!(spec(None), default);
        let config = "apiVersion: v1alpha1\nkind: TimeSyncConfig\nntp:\n    servers:\n        - ntp.example\n";
        let configured = TimeServerSpec {
            time_servers: vec!["ntp.example".into()],
            layer: ConfigLayer::Configuration,
        };
        assert_eq!(spec(Some(config)), configured);
    }

    #[test]
    fn in_a_container_the_clock_is_the_hosts() {
        let host = |mode: &str| {
            One::from(HostCapability {
                mode: mode.into(),
                ..HostCapability::default()
            })
        };
        let status = time_status(host("container")).unwrap();
        assert_eq!(
            status.get("node"),
            Some(&TimeStatus {
                synced: true,
                epoch: 0,
                sync_disabled: true
            })
        );
        assert!(time_status(host("metal")).is_err());
    }
}
