//! `patch` and `edit`: change the machine configuration a node has.

use std::io::Write as _;
use std::process::Command as Process;

use anyhow::{Context as _, Result, bail};
use api::client::Client;
use api::proto::machine::ApplyConfigurationRequest;
use config::Config;
use config::patch::{self, Patch};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::config::{Edit, PatchConfig, Submit};
use crate::commands::apply::{insisting, report, wire_mode};
use crate::commands::reading::{self, kind};
use crate::output::note;
use crate::session::{Session, block, failed};

/// Runs `patch machineconfig`.
pub fn patch(command: &Node<PatchConfig>, program: Program) -> Result<()> {
    let args = &command.args;
    check_type(&args.resource_type)?;
    let mut patches = reading::patches(&args.patch)?;
    if let Some(file) = &args.patch_file {
        patches.push(Patch::load_named(
            reading::text(file, kind::PATCH_FILE)?.as_bytes(),
            file,
        )?);
    }
    if patches.is_empty() {
        bail!("name a patch with --patch or --patch-file");
    }
    block(async {
        let session = Session::open(&command.client, program)?;
        change(&session, &args.submit, async |_, text| {
            let config = Config::decode(text.as_bytes()).context("read the configuration of the node")?;
            Ok(Some(patch::apply(&config, &patches)?.encode()))
        })
        .await
    })
}

/// Runs `edit machineconfig`.
pub fn edit(command: &Node<Edit>, program: Program) -> Result<()> {
    check_type(&command.args.resource_type)?;
    block(async {
        let session = Session::open(&command.client, program)?;
        change(&session, &command.args.submit, async |node, text| in_editor(node, text)).await
    })
}

fn check_type(name: &str) -> Result<()> {
    match name.to_ascii_lowercase().as_str() {
        "machineconfig" | "machineconfigs" | "mc" | "machineconfigs.config.talos.dev" => Ok(()),
        other => bail!("resource \"{other}\" cannot be changed, only machineconfig can"),
    }
}

/// Fetches the configuration of each node in turn, lets it be changed, and applies what came out.
async fn change(
    session: &Session,
    submit: &Submit,
    edit: impl AsyncFn(&str, String) -> Result<Option<Vec<u8>>>,
) -> Result<()> {
    let several = session.targets().len() > 1;
    let mut all_good = true;
    for target in session.targets() {
        let node = &target.node;
        let result = async {
            let text = current(&target.client).await?;
            let Some(data) = edit(node, text).await? else {
                return Ok(());
            };
            let timeout = prost_types::Duration::try_from(submit.timeout).context("read --timeout: too long")?;
            let request = ApplyConfigurationRequest {
                data,
                mode: wire_mode(submit.mode).into(),
                dry_run: submit.dry_run,
                try_mode_timeout: Some(timeout).filter(|_| submit.mode == crate::cli::common::Mode::Try),
            };
            let response = target
                .client
                .machine()
                .apply_configuration(insisting(request, submit.force))
                .await
                .map_err(|s| failed(&s))?;
            let doing = if submit.dry_run { "would patch" } else { "patched" };
            note(&format!(
                "{doing} MachineConfigs.config.talos.dev/v1alpha1 at the node {node}"
            ));
            report(node, &response.into_inner().messages, several);
            anyhow::Ok(())
        };
        if let Err(error) = result.await {
            note(&format!("{node}: {error:#}"));
            all_good = false;
        }
    }
    if all_good {
        Ok(())
    } else {
        Err(crate::session::Silent.into())
    }
}

/// The configuration a node has now.
pub async fn current(client: &Client) -> Result<String> {
    let found = client
        .resource("config", "MachineConfigs.config.talos.dev", "v1alpha1")
        .await;
    let resource = found.map_err(|status| failed(&status))?;
    let yaml = resource.spec.unwrap_or_default().yaml_spec;
    // The spec is the text of the configuration, as a YAML string.
    match serde_saphyr::from_str::<serde_json::Value>(&yaml) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Ok(yaml),
    }
}

/// Lets the person edit the text, again and again until it is right or given up; nothing if it did not change.
fn in_editor(node: &str, text: String) -> Result<Option<Vec<u8>>> {
    let editor = ["TALOS_EDITOR", "EDITOR"]
        .iter()
        .find_map(std::env::var_os)
        .unwrap_or_else(|| "vi".into());
    let folder = std::env::temp_dir().join(format!(
        "keelctl-edit-{}-{}",
        std::process::id(),
        node.replace(['/', ':'], "-")
    ));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&folder)
        .with_context(|| format!("make {}", folder.display()))?;
    let file = folder.join("machineconfig.yaml");
    let edit = || -> Result<Option<Vec<u8>>> {
        let mut shown = text.clone();
        loop {
            let written = std::fs::File::create(&file).and_then(|mut file| file.write_all(shown.as_bytes()));
            written.with_context(|| format!("write {} for the editor", file.display()))?;
            // Through the shell, because the variable may hold arguments.
            let status = Process::new("sh")
                .arg("-c")
                .arg("exec $0 \"$1\"")
                .arg(&editor)
                .arg(&file)
                .status();
            let status = status.with_context(|| format!("run the editor {}", editor.display()))?;
            if !status.success() {
                bail!("the editor {} failed ({status}); nothing was changed", editor.display());
            }
            let edited = std::fs::read(&file);
            let edited =
                edited.with_context(|| format!("read {}, which the editor should have left", file.display()))?;
            let Ok(edited) = String::from_utf8(edited) else {
                bail!(
                    "what the editor {} left is not text (UTF-8); nothing was changed: edit it again",
                    editor.display()
                );
            };
            let edited: String = edited
                .lines()
                .filter(|line| !line.starts_with(MARK))
                .map(|line| format!("{line}\n"))
                .collect();
            if edited.trim().is_empty() || edited.trim() == text.trim() {
                note(&format!("{node}: nothing was changed"));
                return Ok(None);
            }
            let Err(problems) = Config::decode(edited.as_bytes()) else {
                return Ok(Some(edited.into_bytes()));
            };
            let told: String = problems
                .to_string()
                .lines()
                .map(|line| format!("{MARK}{line}\n"))
                .collect();
            let again = format!("{told}{edited}");
            if again == shown {
                bail!("the configuration is still wrong; nothing was changed: {problems}");
            }
            shown = again;
        }
    };
    let result = edit();
    let _ = std::fs::remove_dir_all(&folder); // it holds secrets, but the result matters more
    result
}

/// Begins the lines that tell what is wrong.
const MARK: &str = "#! ";
