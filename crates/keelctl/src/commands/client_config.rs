//! `config`: the client configuration file.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use api::proto::machine::GenerateClientConfigurationRequest;
use pki::clientconfig::{ClientConfig, Context, default_path};
use pki::{CertAndKey, cert_info};

use crate::Program;
use crate::cli::common::ClientFlags;
use crate::cli::{ClientConfigAction, ClientConfigCommand};
use crate::commands::files;
use crate::commands::reading::{self, kind};
use crate::output::{age, note, print, table::Table};
use crate::session::{Session, block, failed};

/// The file that the flags and the environment name.
pub fn path(flags: &ClientFlags, program: Program) -> Result<PathBuf> {
    if let Some(path) = &flags.talosconfig {
        return Ok(path.into());
    }
    default_path(|name| std::env::var_os(name), program.config_files())
        .context("find the client configuration: neither TALOSCONFIG nor HOME is set; use --talosconfig")
}

/// Reads the client configuration.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn load(path: &Path, program: Program) -> Result<ClientConfig> {
    match ClientConfig::load(path) {
        Err(pki::Error::File { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {
            bail!(none(path, program))
        }
        other => other.map_err(|error| unread(path, error)),
    }
}

/// Reads a client configuration; one that does not exist is an empty one.
///
/// # Errors
/// It cannot be read.
pub fn load_or_default(path: &Path) -> Result<ClientConfig> {
    ClientConfig::load_or_default(path).map_err(|error| unread(path, error))
}

/// A client configuration that cannot be read.
fn unread(path: &Path, error: pki::Error) -> anyhow::Error {
    match error {
        pki::Error::File { cause, .. } => reading::failed(path, kind::CLIENT_CONFIG, cause),
        error => anyhow!("{error}: mend it, or name another one (--talosconfig FILE or TALOSCONFIG)"),
    }
}

/// What to do without a client configuration.
fn none(path: &Path, program: Program) -> String {
    let (path, program) = (path.display(), program.name());
    format!(
        "there is no client configuration {path}: `{program} cluster create` writes one for a local cluster, and \
         `{program} gen config` the file talosconfig for machines of your own; --talosconfig FILE uses a file where it is, \
         `{program} config merge FILE` takes it over for good"
    )
}

/// Runs `config ACTION`.
pub fn run(command: ClientConfigCommand, program: Program) -> Result<()> {
    let path = path(&command.client, program)?;
    let context = command.client.context.as_deref();
    match command.command {
        ClientConfigAction::Add { name, ca, crt, key } => change(&path, |config| add(config, &name, ca, crt, key)),
        ClientConfigAction::Context { name } => change(&path, |config| {
            config.context(Some(&name))?;
            config.context = name;
            Ok(())
        }),
        ClientConfigAction::Contexts => Ok(print(&contexts(&load(&path, program)?))?),
        ClientConfigAction::Endpoint { addresses } => change(&path, |config| {
            config.context_mut(context)?.endpoints = addresses;
            Ok(())
        }),
        ClientConfigAction::Node { addresses } => change(&path, |config| {
            config.context_mut(context)?.nodes = addresses;
            Ok(())
        }),
        ClientConfigAction::Info { output } => {
            let config = load(&path, program)?;
            let name = context.unwrap_or(&config.context);
            Ok(print(&info(
                name,
                config.context(context)?,
                &output,
                SystemTime::now(),
            )?)?)
        }
        ClientConfigAction::Merge { from } => {
            let from = Path::new(&from);
            let other = ClientConfig::load(from).map_err(|error| unread(from, error))?;
            change(&path, |config| {
                for rename in config.merge(other) {
                    note(&format!(
                        "renamed talosconfig context \"{}\" -> \"{}\"",
                        rename.from, rename.to
                    ));
                }
                Ok(())
            })
        }
        ClientConfigAction::Remove {
            pattern,
            dry_run,
            noconfirm,
        } => remove(load(&path, program)?, &path, &pattern, dry_run, noconfirm),
        ClientConfigAction::New { path, roles, crt_ttl } => new(&command.client, program, &path, roles, crt_ttl),
    }
}

/// Has a node sign a client certificate and writes a client configuration with it.
fn new(flags: &ClientFlags, program: Program, path: &str, roles: Vec<String>, ttl: Duration) -> Result<()> {
    files::check_overwrite(Path::new(path), false)?;
    let current = load(&self::path(flags, program)?, program)?;
    let current = current.context(flags.context.as_deref())?;
    block(async {
        let session = Session::open(flags, program)?;
        let target = session.single("config new")?;
        let crt_ttl = Some(prost_types::Duration::try_from(ttl).context("read --crt-ttl: too long")?);
        let request = GenerateClientConfigurationRequest { roles, crt_ttl };
        let response = target
            .client
            .machine()
            .generate_client_configuration(request)
            .await
            .map_err(|s| failed(&s))?;
        let message = response
            .into_inner()
            .messages
            .into_iter()
            .next()
            .context("the node answered with nothing")?;
        let text = String::from_utf8(message.talosconfig).context("read the client configuration of the node")?;
        let mut config = ClientConfig::decode(&text)?;
        for context in config.contexts.values_mut() {
            if context.endpoints.is_empty() {
                context.endpoints.clone_from(&current.endpoints);
            }
            if context.nodes.is_empty() {
                context.nodes.clone_from(&current.nodes);
            }
        }
        files::write_client_config(Path::new(path), &config)
    })
}

fn change(path: &Path, edit: impl FnOnce(&mut ClientConfig) -> Result<()>) -> Result<()> {
    let mut config = load_or_default(path)?;
    edit(&mut config)?;
    files::write_client_config(path, &config)
}

fn add(
    config: &mut ClientConfig,
    name: &str,
    ca: Option<String>,
    crt: Option<String>,
    key: Option<String>,
) -> Result<()> {
    let read = |path: Option<String>, kind| {
        path.map(|path| reading::bytes(&path, kind))
            .transpose()
            .map(Option::unwrap_or_default)
    };
    let context = Context {
        ca: read(ca, kind::CERTIFICATE)?,
        crt: read(crt, kind::CERTIFICATE)?,
        key: read(key, kind::KEY)?.into(),
        ..Context::default()
    };
    match (context.crt.is_empty(), context.key.is_empty()) {
        (true, true) => {}
        (false, false) => {
            CertAndKey {
                crt: context.crt.clone(),
                key: context.key.clone(),
            }
            .check()
            .context("check --crt and --key")?;
        }
        _ => bail!("--crt and --key belong together: give both or none"),
    }
    if !context.ca.is_empty() {
        cert_info(&context.ca).context("check --ca")?;
    }
    if config.contexts.contains_key(name) {
        bail!("context \"{name}\" exists already; remove it first (config remove {name})");
    }
    config.contexts.insert(name.to_owned(), context);
    if config.context.is_empty() {
        name.clone_into(&mut config.context);
    }
    Ok(())
}

/// The table of `config contexts`.
fn contexts(config: &ClientConfig) -> String {
    let mut table = Table::new(["CURRENT", "NAME", "ENDPOINTS", "NODES"]);
    for (name, context) in &config.contexts {
        let current = if *name == config.context { "*" } else { "" };
        table.row([current, name, &context.endpoints.join(","), &context.nodes.join(",")]);
    }
    table.render()
}

/// The text of `config info`.
fn info(name: &str, context: &Context, output: &str, now: SystemTime) -> Result<String> {
    let certificate = if context.crt.is_empty() {
        None
    } else {
        Some(cert_info(&context.crt)?)
    };
    let list = |items: &[String], missing: &str| {
        if items.is_empty() {
            missing.to_owned()
        } else {
            items.join(", ")
        }
    };
    let mut fields: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    match output {
        "text" => {
            let mut lines = vec![
                ("Current context:", name.to_owned()),
                ("Nodes:", list(&context.nodes, "not defined")),
                ("Endpoints:", list(&context.endpoints, "not defined")),
            ];
            if let Some(certificate) = &certificate {
                lines.push(("Roles:", list(&certificate.organizations, "none")));
                let date = age::rfc3339(certificate.not_after);
                let expires = format!("{} ({})", age::relative(certificate.not_after, now), &date[..10]);
                lines.push(("Certificate expires:", expires));
            }
            Ok(lines
                .iter()
                .map(|(label, value)| format!("{label:<20} {value}\n"))
                .collect())
        }
        "json" | "yaml" => {
            fields.insert("context", name.into());
            fields.insert("nodes", context.nodes.clone().into());
            fields.insert("endpoints", context.endpoints.clone().into());
            if let Some(certificate) = &certificate {
                fields.insert("roles", certificate.organizations.clone().into());
                fields.insert("certTTL", age::relative(certificate.not_after, now).into());
                fields.insert("certNotAfter", age::rfc3339(certificate.not_after).into());
            }
            if output == "json" {
                return Ok(crate::output::document::pretty_json(&serde_json::to_value(fields)?));
            }
            Ok(serde_saphyr::to_string(&fields)?)
        }
        other => bail!("output \"{other}\" is not known (text, yaml or json)"),
    }
}

fn remove(mut config: ClientConfig, path: &Path, pattern: &str, dry_run: bool, noconfirm: bool) -> Result<()> {
    let names: Vec<String> = config
        .contexts
        .keys()
        .filter(|name| matches(pattern, name))
        .cloned()
        .collect();
    if names.is_empty() {
        // The error lists the contexts that exist.
        config.context(Some(pattern))?;
    }
    for name in names {
        if name == config.context {
            note(&format!(
                "skipping removal of current context \"{name}\", please change it to another before removing"
            ));
            continue;
        }
        if dry_run {
            print(&format!("removing context {name} (dry run)\n"))?;
            continue;
        }
        if !noconfirm && !confirm(&format!("remove context \"{name}\"?"))? {
            continue;
        }
        config.contexts.remove(&name);
        print(&format!("removing context {name}\n"))?;
    }
    if !dry_run {
        files::write_client_config(path, &config)?;
    }
    Ok(())
}

/// Asks on the terminal; without one it refuses.
pub fn confirm(question: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("{question} There is no terminal to ask on; use --noconfirm");
    }
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Shell patterns with `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str) -> String {
        let path = format!("{}/tests/vectors/cli/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path)
            .unwrap()
            .strip_suffix("exit 0\n")
            .unwrap()
            .to_owned()
    }

    fn demo() -> ClientConfig {
        let mut config = ClientConfig::decode(include_str!("../../../pki/tests/vectors/talosconfig")).unwrap();
        let context = config.context_mut(None).unwrap();
        context.nodes = vec!["127.0.0.1".into()];
        context.endpoints = vec!["127.0.0.1".into()];
        config
    }

    #[test]
    fn contexts_and_info_print_as_the_captured_client() {
        let config = demo();
        assert_eq!(contexts(&config), vector("config_contexts"));
        let context = config.context(None).unwrap();
        let issued = cert_info(&context.crt).unwrap().not_before;
        let text = info("demo", context, "text", issued + Duration::from_secs(60)).unwrap();
        assert_eq!(text, vector("config_info"));
        assert!(
            info("demo", context, "json", issued)
                .unwrap()
                .contains("\"roles\": [\n        \"os:admin\"\n    ]")
        );
        assert!(info("demo", context, "xml", issued).is_err());
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("demo", "demo", true),
            ("demo", "demo-1", false),
            ("demo-*", "demo-1", true),
            ("*", "", true),
            ("d?mo*o", "demo-xo", true),
            ("a*b", "ac", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
