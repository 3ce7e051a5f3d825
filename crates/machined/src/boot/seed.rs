//! The first resources: what is known before any controller has run.

use anyhow::Context;
use config::{Config, Mode};
use node_resources::config::MachineConfig;
use node_resources::keelson::HostCapability;
use node_resources::runtime::{PlatformMetadata, Version};
use node_resources::v1alpha1::AcquireConfigStatus;
use sys::cgroup::{Layout, Version as CgroupVersion};

use crate::node::Node;
use crate::server::configuration::CURRENT;
use crate::version;

/// Finds out by trying what the machine lets us do.
pub fn capability(layout: Option<&Layout>) -> HostCapability {
    let cgroups = match layout.map(|l| l.version) {
        Some(CgroupVersion::V1) => "v1",
        Some(CgroupVersion::V2) => "v2",
        Some(CgroupVersion::Hybrid) => "hybrid",
        None => "none",
    };
    HostCapability {
        cgroups: cgroups.to_owned(),
        lower_oom_score: sys::process::can_lower_oom_score(),
        oom_score: sys::process::oom_score().unwrap_or_default(),
        kernel_log: matches!(sys::kmsg::Reader::open(true), Ok(Some(_))),
        mode: "container".to_owned(),
    }
}

/// Puts the first resources into the store.
///
/// # Errors
/// The store refuses them, which only a defect can cause.
pub fn put(node: &Node, capability: HostCapability) -> anyhow::Result<()> {
    let store = &node.store;
    let cause = "the node started";
    store.put("runtime.HostController", "host", capability, cause)?;
    let running = Version {
        name: version::NAME.to_owned(),
        version: version::TAG.to_owned(),
    };
    store.put("runtime.VersionController", "version", running, cause)?;
    let metadata = PlatformMetadata {
        platform: "container".to_owned(),
        hostname: sys::host::hostname(),
        instance_type: node.environment.sku.clone(),
        ..PlatformMetadata::default()
    };
    store.put(
        "network.PlatformConfigApplyController",
        "platformmetadata",
        metadata,
        cause,
    )?;
    Ok(())
}

/// Makes a configuration the node's.
///
/// # Errors
/// It is not valid, or cannot be kept.
pub fn accept(node: &Node, bytes: &[u8], keep: bool) -> anyhow::Result<()> {
    let config = Config::decode(bytes).map_err(|e| anyhow::anyhow!("{e}"))?;
    if let Err(errors) = config.validate(Mode::Container) {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::bail!("{}", lines.join("\n"));
    }
    let text = String::from_utf8(config.encode()).context("the configuration is not text")?;
    if keep {
        node.configs.save(text.as_bytes())?;
    }
    node.store
        .put("config.Apply", CURRENT, MachineConfig(text), "loaded at start")?;
    Ok(())
}

/// Says that the configuration was looked for: from now on a node without one is in maintenance.
///
/// # Errors
/// As [`put`].
pub fn acquired(node: &Node) -> anyhow::Result<()> {
    let status = AcquireConfigStatus::default();
    node.store
        .put("config.AcquireController", "machine-config", status, "the node started")?;
    Ok(())
}
