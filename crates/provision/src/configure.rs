//! Machine configuration of a local cluster.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use config::generate::{self, Contract, DEFAULT_CLIENT_TTL, Input};
use config::patch::{self, Patch};
use config::secrets::SecretsBundle;
use config::{Config, MachineType, images};
use pki::clientconfig::ClientConfig;

use crate::error::{Error, Result};
use crate::options::{REGISTRY_PORT, invalid};
use crate::plan::{Plan, Role};
use crate::show::discovery_url;

/// Port of the Kubernetes API.
const KUBERNETES_PORT: u16 = 6443;
/// Registries people pull from that no default image comes from.
const USUAL_REGISTRIES: [&str; 3] = ["docker.io", "gcr.io", "quay.io"];

/// What differs from the usual configuration.
#[derive(Clone, Debug)]
pub struct ConfigOptions {
    /// Version of Kubernetes, with or without `v`.
    pub kubernetes_version: String,
    /// DNS domain of the cluster.
    pub dns_domain: String,
    /// More names and addresses for certificates.
    pub additional_sans: Vec<String>,
    /// Mirrors as `HOST=URL`, asked before the cluster's own registry.
    pub registry_mirrors: Vec<String>,
    /// Let machines find each other.
    pub with_discovery: bool,
    /// Patches for all machines, applied in order; then those of the role.
    pub patches: Vec<Patch>,
    /// Patches for control planes.
    pub controlplane_patches: Vec<Patch>,
    /// Patches for workers.
    pub worker_patches: Vec<Patch>,
    /// Secrets to use; new ones where absent.
    pub secrets: Option<SecretsBundle>,
    /// Which defaults to use.
    pub contract: Contract,
    /// How long the client's certificate lives.
    pub client_ttl: Duration,
    /// The time certificates begin.
    pub now: SystemTime,
}

impl Default for ConfigOptions {
    fn default() -> Self {
        ConfigOptions {
            kubernetes_version: images::KUBERNETES_VERSION.to_owned(),
            dns_domain: "cluster.local".to_owned(),
            additional_sans: Vec::new(),
            registry_mirrors: Vec::new(),
            with_discovery: true,
            patches: Vec::new(),
            controlplane_patches: Vec::new(),
            worker_patches: Vec::new(),
            secrets: None,
            contract: Contract::CURRENT,
            client_ttl: DEFAULT_CLIENT_TTL,
            now: SystemTime::now(),
        }
    }
}

/// What belongs to the configurations that were put into the plan.
#[derive(Debug)]
pub struct Generated {
    /// A client that may do everything; its endpoints are the control planes.
    pub client: ClientConfig,
    /// The cluster's secrets.
    pub secrets: SecretsBundle,
    /// The configuration of control planes.
    pub controlplane: Config,
    /// The configuration of workers.
    pub worker: Config,
}

/// What differs on a machine that is somebody's workplace. Its disk is shared with everything else, so pods are
/// evicted when it is nearly full, not when a tenth of it is left.
const LOCAL: &[u8] = b"
machine:
  kubelet:
    extraConfig:
      evictionHard:
        memory.available: 100Mi
        nodefs.available: 1Gi
        nodefs.inodesFree: 1%
        imagefs.available: 1Gi
        imagefs.inodesFree: 1%
";

/// Nodes find each other at the cluster's own discovery service, where it has one, and through Kubernetes. An outside
/// service may not be reached, and need not know of a cluster that nobody outside can reach.
fn discovery(plan: &Plan) -> String {
    let service = match &plan.options.discovery {
        Some(_) => format!(
            "{{disabled: false, endpoint: \"{}\"}}",
            discovery_url(plan.options.subnet)
        ),
        None => "{disabled: true}".to_owned(),
    };
    format!(
        "cluster:\n  discovery:\n    enabled: true\n    registries:\n      kubernetes: {{disabled: false}}\n      \
         service: {service}\n"
    )
}

/// Generates the machine configuration of every node in the plan: the first control plane is the endpoint, and images
/// come from the cluster's own registry first where it has one.
pub fn configure(plan: &mut Plan, options: &ConfigOptions) -> Result<Generated> {
    let failed = |error: &dyn std::fmt::Display| Error::Configuration(error.to_string());
    let controlplanes: Vec<String> = plan.controlplanes().map(|address| address.to_string()).collect();
    let Some(first) = controlplanes.first() else {
        return Err(invalid(
            "controlplanes 0",
            "configuration needs a control plane for its endpoint",
        ));
    };
    let mut input = Input::new(plan.options.name.clone(), format!("https://{first}:{KUBERNETES_PORT}"))
        .map_err(|error| failed(&error))?;
    input.kubernetes_version.clone_from(&options.kubernetes_version);
    input.dns_domain.clone_from(&options.dns_domain);
    input.with_discovery = options.with_discovery;
    input.contract = options.contract;
    input.additional_sans = sans(plan, &controlplanes, options);
    for mirror in &options.registry_mirrors {
        input.add_mirror(mirror).map_err(|error| failed(&error))?;
    }
    if plan.options.registry.is_some() {
        let url = format!("http://{}:{REGISTRY_PORT}", plan.options.subnet.gateway());
        for registry in registries() {
            input
                .add_mirror(&format!("{registry}={url}"))
                .map_err(|error| failed(&error))?;
        }
    }
    let secrets = match &options.secrets {
        Some(secrets) => secrets.clone(),
        None => SecretsBundle::generate(options.now, options.contract).map_err(|error| failed(&error))?,
    };
    let discovery = options.with_discovery.then(|| discovery(plan));
    let local: Vec<Patch> = [Some(LOCAL), discovery.as_deref().map(str::as_bytes)]
        .into_iter()
        .flatten()
        .map(|text| Patch::load(text).map_err(|error| failed(&error)))
        .collect::<Result<_>>()?;
    let make = |kind, own: &[Patch]| {
        let config = generate::machine(&input, &secrets, kind).map_err(|error| failed(&error))?;
        let patches: Vec<Patch> = local.iter().chain(&options.patches).chain(own).cloned().collect();
        patch::apply(&config, &patches).map_err(|error| failed(&error))
    };
    let controlplane = make(MachineType::ControlPlane, &options.controlplane_patches)?;
    let worker = make(MachineType::Worker, &options.worker_patches)?;
    let client = generate::client_config(&input, &secrets, controlplanes, options.now, options.client_ttl)
        .map_err(|error| failed(&error))?;
    for node in &mut plan.nodes {
        let config = if node.role == Role::ControlPlane {
            &controlplane
        } else {
            &worker
        };
        node.config = Some(config.encode());
    }
    Ok(Generated {
        client,
        secrets,
        controlplane,
        worker,
    })
}

/// Every control plane answers for every other one, and for this machine where a port leads to it.
fn sans(plan: &Plan, controlplanes: &[String], options: &ConfigOptions) -> Vec<String> {
    let mut sans = options.additional_sans.clone();
    sans.extend_from_slice(controlplanes);
    if !plan.options.ports.is_empty() {
        sans.extend(["127.0.0.1".to_owned(), "localhost".to_owned()]);
    }
    let mut seen = BTreeSet::new();
    sans.retain(|name| seen.insert(name.clone()));
    sans
}

/// Where default images and those people use most come from.
fn registries() -> BTreeSet<&'static str> {
    let defaults = images::ALL.iter().filter_map(|image| image.split('/').next());
    defaults.chain(USUAL_REGISTRIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::CreateOptions;

    #[test]
    fn nodes_get_the_configuration_of_their_role_with_the_cluster_s_registry() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.json"), "{}").unwrap();
        let mut options = CreateOptions::new("demo", folder.path(), "/");
        options.registry = Some(folder.path().to_path_buf());
        options.controlplanes = 2;
        let mut plan = Plan::new(options).unwrap();
        let patch = Patch::load(b"machine:\n  network:\n    hostname: patched\n").unwrap();
        let config = ConfigOptions {
            worker_patches: vec![patch],
            ..ConfigOptions::default()
        };
        let generated = configure(&mut plan, &config).unwrap();
        assert_eq!(generated.client.contexts["demo"].endpoints, ["10.5.0.2", "10.5.0.3"]);
        let text = |index: usize| String::from_utf8(plan.nodes[index].config.clone().unwrap()).unwrap();
        assert_eq!(text(0), text(1));
        assert!(
            text(0).contains("http://10.5.0.1:5000") && text(0).contains("registry.k8s.io"),
            "{}",
            text(0)
        );
        assert!(text(0).contains("https://10.5.0.2:6443") && text(0).contains("10.5.0.3"));
        assert!(text(2).contains("hostname: patched") && !text(0).contains("hostname: patched"));
    }

    #[test]
    fn nodes_find_each_other_at_the_cluster_s_own_service_and_through_kubernetes() {
        let mut options = CreateOptions::new("demo", "/nowhere", "/");
        options.discovery = Some("/proc/self/exe".into());
        let mut plan = Plan::new(options).unwrap();
        let mut configured = |program: Option<&str>, with_discovery| {
            plan.options.discovery = program.map(Into::into);
            let options = ConfigOptions {
                with_discovery,
                ..ConfigOptions::default()
            };
            config::view::discovery(&configure(&mut plan, &options).unwrap().worker)
        };
        let both = configured(Some("/keelson-discovery"), true);
        assert_eq!(both.service.as_deref(), Some("http://10.5.0.1:3000"));
        assert!(both.kubernetes);
        let kubernetes = configured(None, true);
        assert!(kubernetes.kubernetes && kubernetes.service.is_none());
        assert!(!configured(Some("/keelson-discovery"), false).enabled);
    }
}
