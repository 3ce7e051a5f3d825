//! What the commands do, one file each.

pub mod actions;
pub mod apply;
pub mod bootstrap;
pub mod bundles;
pub mod cgroups;
pub mod client_config;
pub mod cluster;
pub mod comeback;
pub mod conformance;
pub mod containers;
pub mod copy;
pub mod dashboard;
pub mod debug;
mod drain;
pub mod edit;
pub mod etcd;
pub mod events;
pub mod files;
pub mod forget_node;
pub mod gen_config;
pub mod gen_keys;
pub mod get;
pub mod health;
pub mod image_build;
pub mod image_cache;
pub mod images;
pub mod inject;
pub mod inspect;
pub mod kubeconfig;
pub mod list;
pub mod logs;
pub mod machine;
pub mod netstat;
pub mod pcap;
pub mod reading;
pub mod rotate_ca;
pub mod secrets;
pub mod secureboot;
pub mod service;
pub mod stats;
pub mod support;
pub mod system;
pub mod time;
pub mod upgrade_k8s;
pub mod usage;
pub mod validate;
pub mod version;

use anyhow::{Context as _, Result};

use crate::Program;
use crate::cli::image::{Image, ImageAction};
use crate::cli::{Cli, Command};
use crate::output;

/// Runs a parsed command.
pub fn run(cli: Cli, program: Program) -> Result<()> {
    match cli.command {
        Command::ApplyConfig(command) => apply::run(&command, program),
        Command::Bootstrap(command) => bootstrap::run(&command, program),
        Command::Cgroups(command) => cgroups::run(&command, program),
        Command::Cluster(command) => cluster::run(command, program),
        Command::Completion(args) => completion(args.shell, program),
        Command::Config(command) => client_config::run(command, program),
        Command::Conformance(command) => conformance::run(&command, program),
        Command::Containers(command) => containers::run(&command, program),
        Command::Copy(command) => copy::copy(&command, program),
        Command::Dashboard(command) => dashboard::run(&command, program),
        Command::Debug(command) => debug::run(&command, program),
        Command::Dmesg(command) => logs::dmesg(&command, program),
        Command::Docs(args) => match args.output {
            Some(path) => std::fs::write(&path, crate::reference::render()).with_context(|| format!("write {path}")),
            None => Ok(output::print(&crate::reference::render())?),
        },
        Command::Edit(command) => edit::edit(&command, program),
        Command::Etcd(command) => etcd::run(&command, program),
        Command::Events(command) => events::run(&command, program),
        Command::ForgetNode(command) => forget_node::run(&command, program),
        Command::Gen(args) => gen_keys::run(args),
        Command::Get(command) => get::run(&command, program),
        Command::Health(command) => health::run(&command, program),
        Command::Image(command) => image(&command, program),
        Command::Inject(command) => inject::run(&command),
        Command::Inspect(command) => inspect::run(&command, program),
        Command::Kubeconfig(command) => kubeconfig::run(&command, program),
        Command::List(command) => list::run(&command, program),
        Command::Logs(command) => logs::logs(&command, program),
        Command::MachineConfig(args) => gen_config::machine_config(&args.command),
        Command::Memory(command) => system::memory(&command, program),
        Command::Meta(command) => machine::meta(&command, program),
        Command::Mounts(command) => system::mounts(&command, program),
        Command::Netstat(command) => netstat::run(&command, program),
        Command::Patch(command) => edit::patch(&command, program),
        Command::Pcap(command) => pcap::run(&command, program),
        Command::Plan(command) => apply::plan(&command, program),
        Command::Processes(command) => system::processes(&command, program),
        Command::Read(command) => copy::read(&command, program),
        Command::Reboot(command) => actions::reboot(&command, program),
        Command::Reset(command) => actions::reset(&command, program),
        Command::Restart(command) => stats::restart(&command, program),
        Command::Rollback(command) => machine::rollback(&command, program),
        Command::RotateCa(command) => rotate_ca::run(&command, program),
        Command::Service(command) => service::run(&command, program),
        Command::Shutdown(command) => actions::shutdown(&command, program),
        Command::Stats(command) => stats::run(&command, program),
        Command::Support(command) => support::run(&command, program),
        Command::Time(command) => time::run(&command, program),
        Command::Upgrade(command) => machine::upgrade(&command, program),
        Command::UpgradeK8s(command) => upgrade_k8s::run(&command, program),
        Command::Usage(command) => usage::run(&command, program),
        Command::Validate(args) => validate::run(&args),
        Command::Version(command) => version::run(&command, program),
        Command::Wipe(command) => machine::wipe(&command, program),
    }
}

fn image(command: &Image, program: Program) -> Result<()> {
    let namespace = &command.namespace;
    match &command.command {
        ImageAction::Build {
            distro,
            programs,
            cache,
            output,
            locked,
        } => image_build::run(&image_build::Options {
            distro: distro.clone(),
            programs: programs.clone(),
            cache: cache.clone(),
            output: output.clone(),
            locked: *locked,
        }),
        ImageAction::CacheCreate(args) => image_cache::create(args),
        ImageAction::CacheServe(args) => image_cache::serve(args),
        ImageAction::Import { archive } => images::import(&command.client, program, archive, namespace),
        ImageAction::List => images::list(&command.client, program, namespace),
        ImageAction::Pull { image } => images::pull(&command.client, program, image, namespace),
        ImageAction::Remove { image } => images::remove(&command.client, program, image, namespace),
        ImageAction::K8sBundle(versions) => Ok(output::print(&bundles::kubernetes(versions))?),
        ImageAction::TalosBundle {
            talos_version,
            extensions,
            overlays,
        } => Ok(output::print(&bundles::system(talos_version, *extensions, *overlays))?),
    }
}

fn completion(shell: clap_complete::Shell, program: Program) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), program.name(), &mut script);
    Ok(output::print_bytes(&script)?)
}
