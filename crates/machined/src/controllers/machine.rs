//! The machine's role, and what it is while it has none.

use resource::types::Prefix;
use resource::{All, One, Outputs};

use crate::machine_config::parsed;
use crate::resources::config::{MachineConfig, MachineKind, MachineType};
use crate::resources::network::NodeAddress;
use crate::resources::runtime::{APIServiceConfig, MaintenanceServiceConfig};
use crate::resources::v1alpha1::AcquireConfigStatus;

/// The CA bundle of the node's root, as Debian keeps it.
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

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

/// The authorities that registries are trusted by: the distribution's bundle.
pub fn trusted_roots() -> rustls::RootCertStore {
    match std::fs::read(CA_BUNDLE)
        .map_err(anyhow::Error::from)
        .and_then(|pem| Ok(pki::tls::roots(&pem)?))
    {
        Ok(roots) => roots,
        Err(error) => {
            tracing::warn!("no authorities in {CA_BUNDLE}: registries need their own configured: {error:#}");
            rustls::RootCertStore::empty()
        }
    }
}
