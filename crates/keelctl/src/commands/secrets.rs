//! `gen secrets`: the secrets of a cluster in a file.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, bail};
use config::generate::Contract;
use config::secrets::{KubernetesPki, SecretsBundle};

use crate::cli::generate::GenAction;
use crate::commands::files::{check_overwrite, write};
use crate::commands::reading::{self, kind};
use crate::output::{note, print_bytes};

/// Runs `gen secrets`.
pub fn run(action: &GenAction, force: bool) -> Result<()> {
    let GenAction::Secrets {
        from_controlplane_config,
        from_kubernetes_pki,
        kubernetes_bootstrap_token,
        output_file,
        talos_version,
    } = action
    else {
        bail!("not the arguments of gen secrets");
    };
    let path = Path::new(output_file);
    if output_file != "-" {
        check_overwrite(path, force)?;
    }
    let contract = talos_version.as_deref().map_or(Ok(Contract::CURRENT), str::parse)?;
    let now = SystemTime::now();
    let bundle = match (from_controlplane_config, from_kubernetes_pki) {
        (Some(_), Some(_)) => bail!("--from-controlplane-config and --from-kubernetes-pki exclude each other"),
        (Some(file), None) => {
            let config = reading::machine_config(file)?;
            SecretsBundle::from_controlplane_config(&config)?
        }
        (None, Some(folder)) => {
            let pki = KubernetesPki::read(Path::new(folder)).map_err(unread)?;
            SecretsBundle::from_kubernetes_pki(pki, kubernetes_bootstrap_token.as_deref(), now, contract)?
        }
        (None, None) => SecretsBundle::generate(now, contract)?,
    };
    let text = bundle.encode();
    if output_file == "-" {
        return Ok(print_bytes(text.expose())?);
    }
    write(path, text.expose(), true)?;
    note(&format!("Created {output_file}"));
    Ok(())
}

/// A file of another distribution's keys that cannot be read.
fn unread(error: config::secrets::Error) -> anyhow::Error {
    match error {
        config::secrets::Error::Read { path, cause } => reading::failed(&path, kind::KUBERNETES_PKI, cause),
        other => other.into(),
    }
}
