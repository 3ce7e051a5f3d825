//! `cluster create`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use api::client::{Client, ClientOptions};
use api::proto::machine::BootstrapRequest;
use pki::clientconfig::ClientConfig;
use pki::tls;
use provision::{
    ConfigOptions, CreateOptions, DockerImage, DockerOptions, Generated, Plan, PortMapping, Provider, Resources, Role,
};
use tonic::Code;

use super::unfinished::{Creation, Stage};
use super::{DOCKER, dist, tell};
use crate::Program;
use crate::cli::cluster::Create;
use crate::cli::common::ClientFlags;
use crate::commands::files::write_client_config;
use crate::commands::health::{self, Nodes, Scope};
use crate::commands::{client_config, kubeconfig, reading};
use crate::interruption::unless_interrupted;
use crate::output::note;
use crate::quorum;
use crate::session::{Target, block, failed};

/// Pause between two attempts at a node that is not ready yet.
const PAUSE: Duration = Duration::from_millis(100);

/// The discovery service's program beside the node image.
const DISCOVERY: &str = "keelson-discovery";

/// Runs `cluster create`.
pub fn run(name: &str, state: PathBuf, args: &Create, program: Program) -> Result<()> {
    let mut plan = Plan::new(options(name, state.clone(), args)?)?;
    let generated = if args.skip_injecting_config {
        None
    } else {
        Some(provision::configure(&mut plan, &config_options(args)?)?)
    };
    let addresses = |role| {
        plan.nodes
            .iter()
            .filter(|node| node.role == role)
            .map(|node| node.address.to_string())
            .collect::<Vec<_>>()
    };
    let (controlplanes, workers) = (addresses(Role::ControlPlane), addresses(Role::Worker));
    quorum::warn(controlplanes.len());
    let creation = Creation::begin(name, &state, program);
    let nodes = Nodes {
        control_planes: controlplanes,
        workers,
    };
    let done = block(unless_interrupted(make(plan, generated, nodes, args, &creation)));
    done.map_err(|error| creation.failed(error))
}

/// Makes the nodes and waits for the cluster on them.
async fn make(
    plan: Plan,
    generated: Option<Generated>,
    nodes: Nodes,
    args: &Create,
    creation: &Creation<'_>,
) -> Result<()> {
    let deadline = Instant::now() + args.wait_timeout;
    let created = provision::create(plan, &tell).await;
    // A cluster that exists keeps its context, and one that failed half way gets one, so that it can be looked into.
    let made = created.is_ok() || creation.made_something();
    let client_file = match &generated {
        Some(generated) if made => Some(merge_client(
            &generated.client,
            &nodes.control_planes,
            args,
            creation.program,
        )?),
        _ => None,
    };
    let cluster = created?;
    let (Some(generated), Some(client_file), Some(first)) = (generated, client_file, nodes.control_planes.first())
    else {
        note("the nodes wait for their configuration (apply-config --insecure)");
        return Ok(());
    };
    if args.talosconfig_destination.is_some() {
        creation.client_file(&client_file);
    }
    creation.reached(Stage::Bootstrap);
    let target = connect(&generated.client, first)?;
    note(&format!("bootstrapping etcd on {first}"));
    bootstrap(&target.client, deadline).await?;
    if args.wait {
        creation.reached(Stage::Health);
        let left = deadline.saturating_duration_since(Instant::now());
        let scope = if args.skip_k8s_node_readiness_check {
            Scope::ControlPlane
        } else {
            Scope::Cluster
        };
        let healthy = health::check(&target, nodes, None, left, true, scope).await;
        healthy.with_context(|| format!("wait for the cluster (--wait-timeout {:?})", args.wait_timeout))?;
    }
    if !args.skip_kubeconfig {
        creation.reached(Stage::Kubeconfig);
        let text = fetch_kubeconfig(&target, deadline).await?;
        let path = kubeconfig::replace_in_default(&text)?;
        note(&format!("merged the kubeconfig into {}", path.display()));
    }
    note(&format!(
        "cluster \"{}\" is up; client configuration: {}",
        cluster.name,
        client_file.display()
    ));
    super::print(&super::describe(&cluster))?;
    Ok(())
}

fn options(name: &str, state: PathBuf, args: &Create) -> Result<CreateOptions> {
    let docker = args.provisioner == DOCKER;
    if !docker && (args.image.is_some() || !args.mount.is_empty()) {
        bail!("--image and --mount are for nodes in Docker (cluster create docker)");
    }
    let dist = dist::folder(args.dist.as_deref());
    // An image from a registry needs nothing that was built here.
    let dist = if args.image.is_some() { dist.ok() } else { Some(dist?) };
    let product = |name: &str| dist.as_ref().map(|dist| dist.join(name));
    let mut options = CreateOptions::new(name, state, product("rootfs.sqsh").unwrap_or_default());
    if docker {
        let archive = product("node.tar").unwrap_or_default();
        let image = args.image.clone().map(DockerImage::Reference);
        options.provider = Provider::Docker {
            docker: DockerOptions {
                image: image.unwrap_or(DockerImage::Archive(archive)),
                mounts: args.mount.clone(),
            },
        };
    }
    options.controlplanes = args.controlplanes;
    options.workers = args.workers;
    options.subnet = args.cidr.parse()?;
    options.mtu = args.mtu;
    options.controlplane = Resources {
        cpu_millis: Resources::parse_cpus(&args.cpus_controlplanes)?,
        memory: args.memory_controlplanes,
    };
    options.worker = Resources {
        cpu_millis: Resources::parse_cpus(&args.cpus_workers)?,
        memory: args.memory_workers,
    };
    options.registry = product("images").filter(|layout| layout.join("index.json").exists());
    // Somebody who names registries has the images there.
    if let Some(layout) = options
        .registry
        .as_ref()
        .filter(|_| args.registry_mirror.is_empty() && !args.skip_injecting_config)
    {
        dist::check_kubernetes(layout, &args.kubernetes_version)?;
    }
    options.discovery = product(DISCOVERY).filter(|program| program.is_file());
    if options.discovery.is_none() {
        note(&format!(
            "warning: there is no {DISCOVERY} beside the node image: nodes find each other through Kubernetes only \
             (cargo xtask dist builds it)"
        ));
    }
    for port in &args.exposed_ports {
        options.ports.push(PortMapping::parse(port, args.host_ip)?);
    }
    options.wait_timeout = args.wait_timeout;
    Ok(options)
}

fn config_options(args: &Create) -> Result<ConfigOptions> {
    Ok(ConfigOptions {
        kubernetes_version: args.kubernetes_version.clone(),
        registry_mirrors: args.registry_mirror.clone(),
        patches: reading::patches(&args.config_patch)?,
        controlplane_patches: reading::patches(&args.config_patch_controlplanes)?,
        worker_patches: reading::patches(&args.config_patch_workers)?,
        ..ConfigOptions::default()
    })
}

/// Puts the cluster's context into the client configuration.
fn merge_client(client: &ClientConfig, controlplanes: &[String], args: &Create, program: Program) -> Result<PathBuf> {
    let path = match &args.talosconfig_destination {
        Some(path) => path.into(),
        None => client_config::path(&ClientFlags::default(), program)?,
    };
    let mut client = client.clone();
    for context in client.contexts.values_mut() {
        context.nodes = controlplanes.first().cloned().into_iter().collect();
    }
    let mut config = client_config::load_or_default(&path)?;
    // A context of an earlier cluster of this name at the same addresses cannot be of use any more.
    let stale = |name: &String| {
        let (old, new) = (config.contexts.get(name), client.contexts.get(name));
        old.zip(new).is_some_and(|(old, new)| old.endpoints == new.endpoints)
    };
    let stale: Vec<String> = client.contexts.keys().filter(|name| stale(name)).cloned().collect();
    for name in stale {
        config.contexts.remove(&name);
    }
    for rename in config.merge(client) {
        note(&format!(
            "renamed talosconfig context \"{}\" -> \"{}\"",
            rename.from, rename.to
        ));
    }
    write_client_config(&path, &config)?;
    Ok(path)
}

fn connect(client: &ClientConfig, node: &str) -> Result<Target> {
    let context = client.context(None)?;
    let tls = tls::client_config(&context.ca, context.identity().as_ref())?;
    let options = ClientOptions {
        endpoints: vec![node.to_owned()],
        ..ClientOptions::new(tls)
    };
    Ok(Target {
        node: node.to_owned(),
        client: Client::connect(options)?.with_nodes(&[node]),
    })
}

/// Bootstraps as soon as the node takes it; one that is bootstrapped already is fine.
async fn bootstrap(client: &Client, deadline: Instant) -> Result<()> {
    loop {
        match client.machine().bootstrap(BootstrapRequest::default()).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => return Ok(()),
            Err(status) if Instant::now() < deadline && is_early(status.code()) => tokio::time::sleep(PAUSE).await,
            Err(status) => return Err(failed(&status).context("bootstrap etcd")),
        }
    }
}

/// What a node answers that is still starting.
fn is_early(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::FailedPrecondition | Code::DeadlineExceeded | Code::Unknown
    )
}

async fn fetch_kubeconfig(target: &Target, deadline: Instant) -> Result<Vec<u8>> {
    loop {
        match kubeconfig::fetch(target).await {
            Ok(text) => return Ok(text),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error).context("fetch the kubeconfig"),
        }
    }
}
