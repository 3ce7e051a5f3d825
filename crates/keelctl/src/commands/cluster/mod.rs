//! `cluster create|show|start|destroy`: local clusters of namespaces or containers on this machine.

mod create;
mod dist;
pub mod unfinished;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use provision::{Cluster as Found, Event};

use crate::Program;
use crate::cli::cluster::{Cluster, ClusterAction};
use crate::cli::common::ClientFlags;
use crate::cli::load::Support;
use crate::commands::files::write_client_config;
use crate::commands::{client_config, support};
use crate::output::{note, paint::Paint, print, size, table::Table, told};
use crate::session::{Session, block};

/// Runs `cluster ACTION`.
pub fn run(command: Cluster, program: Program) -> Result<()> {
    let state = state_folder(command.state.as_deref(), program)?;
    match command.command {
        ClusterAction::Create(args) => {
            check_provisioner(&args.provisioner, "create")?;
            create::run(&command.name, state, &args, program)
        }
        ClusterAction::Show { provisioner } => {
            let provisioner = provisioner.as_deref();
            check_provisioner(provisioner.unwrap_or(NATIVE), "show")?;
            let cluster = provision::show(&state, &command.name)?;
            check_is_of(&cluster, provisioner)?;
            Ok(print(&describe(&cluster))?)
        }
        ClusterAction::Start {
            nodes,
            provisioner,
            wait_timeout,
        } => {
            let provisioner = provisioner.as_deref();
            check_provisioner(provisioner.unwrap_or(NATIVE), "start")?;
            if let Ok(cluster) = provision::show(&state, &command.name) {
                check_is_of(&cluster, provisioner)?;
            }
            let start = provision::start(&state, &command.name, &nodes, wait_timeout, &tell);
            let cluster = block(async { Ok(start.await?) })?;
            Ok(print(&describe(&cluster))?)
        }
        ClusterAction::Destroy {
            force,
            provisioner,
            save_cluster_logs_archive_path,
            save_support_archive_path,
        } => {
            let provisioner = provisioner.as_deref();
            check_provisioner(provisioner.unwrap_or(NATIVE), "destroy")?;
            let known = provision::show(&state, &command.name);
            if let Ok(cluster) = &known {
                check_is_of(cluster, provisioner)?;
            }
            if let (Some(path), Ok(cluster)) = (save_cluster_logs_archive_path, &known) {
                save_logs(cluster, Path::new(&path)).with_context(|| format!("save logs in {path}"))?;
            }
            if let (Some(path), Ok(cluster)) = (save_support_archive_path, &known) {
                save_support(cluster, &path, force, program)?;
            }
            match block(async { Ok(provision::destroy(&state, &command.name, &tell).await?) }) {
                Ok(()) => {}
                Err(error) if force => note(&told(&error)),
                Err(error) => return Err(error),
            }
            match known {
                Ok(cluster) => forget(&cluster, program),
                Err(_) => Ok(()),
            }
        }
    }
}

/// Progress of the provisioner, for people.
fn tell(event: Event) {
    note(&event.to_string());
}

const NATIVE: &str = "native";
const DOCKER: &str = "docker";

fn check_provisioner(name: &str, action: &str) -> Result<()> {
    match name {
        NATIVE | DOCKER => Ok(()),
        "qemu" => bail!(
            "cluster {action} with provisioner qemu is refused: this command runs no virtual machines; take native or \
             docker"
        ),
        other => bail!("provisioner \"{other}\" is not known (native or docker)"),
    }
}

/// What made a cluster is known; a flag that says otherwise means another cluster.
fn check_is_of(cluster: &Found, provisioner: Option<&str>) -> Result<()> {
    match provisioner {
        Some(wanted) if wanted != cluster.provider => bail!(
            "cluster \"{}\" is of provisioner {}, not {wanted} (leave --provisioner away)",
            cluster.name,
            cluster.provider
        ),
        _ => Ok(()),
    }
}

fn state_folder(flag: Option<&str>, program: Program) -> Result<PathBuf> {
    if let Some(path) = flag {
        return Ok(path.into());
    }
    let home = std::env::var_os("HOME").context("find the home folder: HOME is not set; use --state")?;
    Ok(Path::new(&home).join(program.clusters_folder()))
}

fn describe(cluster: &Found) -> String {
    let mut head = Table::default();
    head.row(["PROVISIONER", cluster.provider]);
    head.row(["NAME", &cluster.name]);
    head.row(["NETWORK NAME", &cluster.network]);
    head.row(["NETWORK CIDR", &cluster.subnet.to_string()]);
    head.row(["NETWORK GATEWAY", &cluster.gateway.to_string()]);
    head.row(["NETWORK MTU", &cluster.mtu.to_string()]);
    head.row(["KUBERNETES ENDPOINT", &cluster.endpoint]);
    if let Some(discovery) = &cluster.discovery {
        head.row(["DISCOVERY SERVICE", discovery]);
    }
    let mut nodes = Table::new(["NAME", "TYPE", "IP", "CPU", "RAM", "DISK", "STATE"]);
    for node in &cluster.nodes {
        let address = match node.address {
            Ipv4Addr::UNSPECIFIED => "-".to_owned(),
            address => address.to_string(),
        };
        let cpus = format!("{:.2}", node.resources.cpu_millis as f64 / 1000.0);
        let memory = size::decimal(node.resources.memory);
        nodes.row([
            &node.name,
            node.role.name(),
            &address,
            &cpus,
            &memory,
            "-",
            node.status.phase.name(),
        ]);
    }
    let mut text = format!("{}\nNODES:\n\n{}", head.render(), nodes.render_with(Paint::stdout()));
    if !cluster.complete {
        text.push_str("\nThe cluster is not complete: its creation failed or still goes on.\n");
    }
    for node in cluster.nodes.iter().filter(|node| !node.status.message.is_empty()) {
        text.push_str(&format!(
            "\n{}: {} (see {})\n",
            node.name, node.status.message, node.log
        ));
    }
    text
}

/// Removes the context of a cluster that is gone, if it is its own.
fn forget(cluster: &Found, program: Program) -> Result<()> {
    let path = client_config::path(&ClientFlags::default(), program)?;
    let mut config = client_config::load_or_default(&path)?;
    let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.address.to_string()).collect();
    let own = |endpoints: &[String]| !endpoints.is_empty() && endpoints.iter().all(|e| addresses.contains(e));
    if config
        .contexts
        .get(&cluster.name)
        .is_none_or(|context| !own(&context.endpoints))
    {
        return Ok(());
    }
    config.contexts.remove(&cluster.name);
    if config.context == cluster.name {
        config.context = config.contexts.keys().next().cloned().unwrap_or_default();
    }
    write_client_config(&path, &config)
}

/// Collects a bundle for support from what still answers, before it is gone.
fn save_support(cluster: &Found, path: &str, force: bool, program: Program) -> Result<()> {
    let flags = ClientFlags {
        nodes: cluster.nodes.iter().map(|node| node.address.to_string()).collect(),
        context: Some(cluster.name.clone()),
        ..ClientFlags::default()
    };
    let args = Support {
        output: path.into(),
        num_workers: cluster.nodes.len(),
        verbose: false,
        force: false,
    };
    let saved = block(async { support::save(&Session::open(&flags, program)?, &args).await });
    match saved {
        // What is there of nodes that do not answer any more was saved; they are to be destroyed anyway.
        Err(error) if force || error.is::<support::Incomplete>() => {
            note(&told(&error));
            Ok(())
        }
        saved => saved.context("save a bundle for support (the cluster is as it was)"),
    }
}

fn save_logs(cluster: &Found, path: &Path) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let file = std::fs::File::create(path)?;
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::default()));
    for node in &cluster.nodes {
        let log = node.log.read()?;
        let mut header = tar::Header::new_gnu();
        header.set_size(log.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{}.log", node.name), log.as_slice())?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}
