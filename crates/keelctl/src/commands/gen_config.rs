//! `gen config`, `machineconfig gen|patch`, `validate`: machine configurations in files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use config::Config;
use config::generate::{self, Contract, DEFAULT_CLIENT_TTL, Endpoint, Input};
use config::patch;
use config::secrets::SecretsBundle;
use pki::Secret;

use crate::cli::generate::{GenConfig, MachineConfigAction};
use crate::commands::files::{self, check_overwrite};
use crate::commands::reading::{self, kind};
use crate::output::{note, print_bytes};

/// Runs `gen config`.
pub fn generate(args: &GenConfig, force: bool) -> Result<()> {
    let kinds = kinds(&args.output_types)?;
    let input = input(args)?;
    let destinations = destinations(args.output.as_deref(), &kinds)?;
    for path in destinations.iter().flatten() {
        check_overwrite(path, force)?;
    }
    let now = SystemTime::now();
    let secrets = match &args.with_secrets {
        Some(path) => {
            SecretsBundle::load(&reading::bytes(path, kind::SECRETS)?).with_context(|| format!("load {path}"))?
        }
        None => {
            note("generating PKI and tokens");
            SecretsBundle::generate(now, input.contract)?
        }
    };
    for (kind, destination) in kinds.iter().zip(&destinations) {
        let generated = one(kind, args, &input, &secrets, now)?;
        match destination {
            Some(path) => {
                files::write(path, generated.expose(), true)?;
                note(&format!("Created {}", path.display()));
            }
            None => print_bytes(generated.expose())?,
        }
    }
    Ok(())
}

/// What to generate from, as the flags say.
fn input(args: &GenConfig) -> Result<Input> {
    let mut input = Input::new(&args.cluster_name, &args.cluster_endpoint)?;
    if let Some(warning) = Endpoint::parse(&args.cluster_endpoint)?.warning() {
        note(&format!("warning: {warning}"));
    }
    if let Some(version) = &args.talos_version {
        input.contract = version.parse::<Contract>()?;
    }
    for mirror in &args.registry_mirror {
        input.add_mirror(mirror)?;
    }
    input.kubernetes_version.clone_from(&args.kubernetes_version);
    input.additional_sans.clone_from(&args.additional_sans);
    input.dns_domain.clone_from(&args.dns_domain);
    input.install_disk.clone_from(&args.install_disk);
    input.install_image.clone_from(&args.install_image);
    input.with_discovery = args.with_cluster_discovery;
    input.with_kubespan = args.with_kubespan;
    input.persist = args.persist;
    Ok(input)
}

fn one(
    kind: &'static str,
    args: &GenConfig,
    input: &Input,
    secrets: &SecretsBundle,
    now: SystemTime,
) -> Result<Secret> {
    let machine = |config: Config, own: &[String]| -> Result<Secret> {
        let patches = reading::patches(&args.config_patch)?;
        let own = reading::patches(own)?;
        let config = if patches.is_empty() && own.is_empty() {
            config
        } else {
            let config = patch::apply(&config, &patches)?;
            patch::apply(&config, &own).with_context(|| format!("patch the configuration of {kind}"))?
        };
        Ok(match (args.with_docs, args.with_examples) {
            (false, false) => Secret::new(config.encode()),
            (docs, examples) => Secret::from(config.encode_commented(docs, examples)),
        })
    };
    match kind {
        "controlplane" => machine(
            generate::controlplane(input, secrets)?,
            &args.config_patch_control_plane,
        ),
        "worker" => machine(generate::worker(input, secrets)?, &args.config_patch_worker),
        _ => Ok(generate::client_config(input, secrets, Vec::new(), now, DEFAULT_CLIENT_TTL)?.encode()?),
    }
}

const KINDS: [&str; 3] = ["controlplane", "worker", "talosconfig"];

fn kinds(names: &[String]) -> Result<Vec<&'static str>> {
    let known = |name: &String| KINDS.iter().find(|kind| *kind == name).copied();
    names
        .iter()
        .map(|name| known(name).with_context(|| format!("output type \"{name}\" is not known ({})", KINDS.join(", "))))
        .collect()
}

/// Where each kind goes; `None` is standard output.
fn destinations(output: Option<&str>, kinds: &[&'static str]) -> Result<Vec<Option<PathBuf>>> {
    let in_folder = |folder: &str| {
        let name = |kind: &&'static str| {
            if *kind == "talosconfig" {
                (*kind).to_owned()
            } else {
                format!("{kind}.yaml")
            }
        };
        Ok(kinds
            .iter()
            .map(|kind| Some(Path::new(folder).join(name(kind))))
            .collect())
    };
    match (output, kinds) {
        (None, _) => in_folder(""),
        (Some("-"), [_]) => Ok(vec![None]),
        (Some("-"), _) => bail!("standard output takes one kind of file: choose it with --output-types"),
        (Some(path), [_]) if !Path::new(path).is_dir() => Ok(vec![Some(path.into())]),
        (Some(path), _) if Path::new(path).exists() && !Path::new(path).is_dir() => {
            bail!("{path} is a file, and several files are to be written: name a folder")
        }
        (Some(path), _) => in_folder(path),
    }
}

/// Runs `machineconfig ACTION`.
pub fn machine_config(action: &MachineConfigAction) -> Result<()> {
    match action {
        MachineConfigAction::Gen { force, config } => generate(config, *force),
        MachineConfigAction::Patch { file, patch, output } => {
            let config = reading::machine_config(file)?;
            let patched = patch::apply(&config, &reading::patches(patch)?)?;
            match output.as_deref() {
                None | Some("-") => Ok(print_bytes(&patched.encode())?),
                Some(path) => files::write(Path::new(path), &patched.encode(), true),
            }
        }
    }
}

/// A configuration file with patches applied, ready to be sent. Without patches it is sent as it is: the node knows
/// best what it understands.
pub fn patched(file: &str, patches: &[String]) -> Result<Vec<u8>> {
    if patches.is_empty() {
        return Ok(reading::text(file, kind::MACHINE_CONFIG)?.into_bytes());
    }
    let config = reading::machine_config(file)?;
    Ok(patch::apply(&config, &reading::patches(patches)?)?.encode())
}
