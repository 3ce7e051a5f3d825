//! containerd's configuration: its own file and one `hosts.toml` per registry.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::view::{Registries, RegistryAuth, RegistryMirror, RegistryTls};
use serde_json::Value;

/// Where containerd's generated configuration lives.
pub const DIRECTORY: &str = "/system/etc/cri";
/// containerd's main configuration file.
pub const CONFIG: &str = "/system/etc/cri/containerd.toml";
/// The folder of `hosts.toml` files.
pub const HOSTS: &str = "/system/etc/cri/hosts";
/// Where Kubernetes' containerd listens.
pub const SOCKET: &str = "/run/containerd/containerd.sock";

/// Where `machine.files` puts parts of containerd's configuration.
const CUSTOMIZATIONS: &str = "/etc/cri/conf.d/";

/// Whether a file of the configuration is a part of containerd's configuration, and no file of its own.
pub fn is_customization(path: &str) -> bool {
    path.starts_with(CUSTOMIZATIONS)
}

/// The node's configuration with parts of the user's laid over it, by their names: tables merge, anything else
/// replaces. containerd's own way of importing files replaces whole sections.
///
/// # Errors
/// A part is not TOML.
pub fn customized(config: &str, parts: &[(String, String)]) -> anyhow::Result<String> {
    if parts.is_empty() {
        return Ok(config.to_owned());
    }
    let mut joined: toml::Table = config.parse().context("read the node's own containerd configuration")?;
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort();
    for (name, part) in parts {
        let part: toml::Table = part.parse().with_context(|| format!("{name} is not TOML"))?;
        merge(&mut joined, part);
    }
    Ok(toml::to_string(&joined)?)
}

/// Where containerd finds who judges images before it pulls them: the init program, under the name that has it ask the
/// node ([`crate::verifier`]).
const VERIFIERS: &str = "/usr/lib/image-verifiers";
/// How long containerd waits for a judgement, seconds. The node answers sooner ([`crate::server::verifier`]).
const JUDGEMENT: u32 = 60;
/// The part of containerd that asks, and the part that does.
const ASKING: [&str; 2] = [
    "io.containerd.image-verifier.v1.bindir",
    "io.containerd.transfer.v1.local",
];
const IMAGES: &str = "io.containerd.cri.v1.images";

/// A configuration changed so that containerd asks about every image it pulls.
///
/// It asks when its transfer service pulls. With some settings, among them our usual ones and credentials in the main
/// configuration, it pulls in an older way in which it asks nobody, and says so in its log only. So this is laid over
/// everything, the user's parts too: whatever they say, images are verified.
///
/// # Errors
/// The configuration is not TOML, or not one of containerd.
pub fn verifying(config: &str) -> anyhow::Result<String> {
    let mut config: toml::Table = config.parse().context("read containerd's configuration")?;
    // Both could bring back what is taken out below.
    config.insert("version".to_owned(), 3.into());
    config.remove("imports");
    if let Some(disabled) = config.get_mut("disabled_plugins").and_then(toml::Value::as_array_mut) {
        disabled.retain(|plugin| !plugin.as_str().is_some_and(|plugin| ASKING.contains(&plugin)));
    }
    // Without them containerd does not start.
    config.insert(
        "required_plugins".to_owned(),
        ASKING.map(toml::Value::from).to_vec().into(),
    );
    let plugins = table(&mut config, "plugins")?;
    let asking = format!(
        "bin_dir = {}\nmax_verifiers = -1\nper_verifier_timeout = \"{JUDGEMENT}s\"\n",
        quoted(VERIFIERS)
    );
    plugins.insert(ASKING[0].to_owned(), asking.parse::<toml::Table>()?.into());
    let images = table(plugins, IMAGES)?;
    for (setting, value) in [
        ("use_local_image_pull", false),
        ("discard_unpacked_layers", false),
        ("disable_snapshot_annotations", true),
        ("image_pull_with_sync_fs", false),
    ] {
        images.insert(setting.to_owned(), value.into());
    }
    // With another number than its usual one it would pull in the older way.
    images.remove("max_concurrent_downloads");
    let registry = table(images, "registry")?;
    for inline in ["mirrors", "configs", "auths"] {
        registry.remove(inline);
    }
    Ok(toml::to_string(&config)?)
}

/// A table in a table, made if it is not there.
fn table<'a>(parent: &'a mut toml::Table, key: &str) -> anyhow::Result<&'a mut toml::Table> {
    let entry = parent.entry(key).or_insert_with(|| toml::Table::new().into());
    let table = entry.as_table_mut();
    table.with_context(|| format!("{key} in containerd's configuration is no table"))
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// What containerd has to know of the machine it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// The kernel does not let us lower `oom_score_adj` (no CAP_SYS_RESOURCE): containers then keep ours.
    pub restrict_oom_score_adj: bool,
}

/// A TOML basic string: JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The main configuration (format version 3, containerd 2.x).
pub fn config(machine: Machine, pause_image: &str, registries: &Registries) -> String {
    let mut out = format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
address = {socket}

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
discard_unpacked_layers = true
image_pull_progress_timeout = "5m"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = {pause}

[plugins.'io.containerd.cri.v1.images'.registry]
config_path = {hosts}

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = {restrict}
enable_unprivileged_ports = true
enable_unprivileged_icmp = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "/usr/bin/runc"
SystemdCgroup = false
"#,
        socket = quoted(SOCKET),
        pause = quoted(pause_image),
        hosts = quoted(HOSTS),
        restrict = machine.restrict_oom_score_adj,
    );
    for (host, auth) in &registries.auths {
        out.push_str(&auth_section(host, auth));
    }
    out
}

/// Credentials still live in the main configuration: `hosts.toml` has no place for them.
fn auth_section(host: &str, auth: &RegistryAuth) -> String {
    let mut out = format!(
        "\n[plugins.'io.containerd.cri.v1.images'.registry.configs.{}.auth]\n",
        quoted(host)
    );
    let fields = [
        ("username", auth.username.as_str()),
        ("password", auth.password.as_str()),
        ("auth", auth.auth.as_str()),
        ("identitytoken", auth.identity_token.as_str()),
    ];
    for (name, value) in fields.into_iter().filter(|(_, v)| !v.is_empty()) {
        let _ = writeln!(out, "{name} = {}", quoted(value));
    }
    out
}

/// What hosts are asked with, be they mirrors or registries themselves.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// TLS settings by host.
    pub tls: &'a BTreeMap<String, RegistryTls>,
    /// Credentials by host, where containerd does not have them in its main configuration.
    pub auths: Option<&'a BTreeMap<String, RegistryAuth>>,
}

impl Settings<'_> {
    fn lines(&self, out: &mut String, host: &str) {
        if let Some(tls) = self.tls.get(host) {
            tls_lines(out, host, tls);
        }
        let auth = self.auths.and_then(|auths| auths.get(host));
        if let Some(basic) = auth.and_then(basic) {
            // Registries that give tokens are asked for one with the same header.
            let _ = writeln!(out, "header = {{Authorization = {}}}", quoted(&basic));
        }
    }
}

/// User and password of credentials, in the clear or as base64 of both.
pub fn user_and_password(auth: &RegistryAuth) -> Option<(String, String)> {
    let (username, password) = if auth.username.is_empty() && !auth.auth.is_empty() {
        let both = STANDARD.decode(auth.auth.trim()).ok()?;
        let both = String::from_utf8(both).ok()?;
        let (username, password) = both.split_once(':')?;
        (username.to_owned(), password.to_owned())
    } else {
        (auth.username.clone(), auth.password.clone())
    };
    (!username.is_empty()).then_some((username, password))
}

fn basic(auth: &RegistryAuth) -> Option<String> {
    let (username, password) = user_and_password(auth)?;
    Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
}

/// A registry's `hosts.toml`: its mirrors in order, then itself unless that is switched off.
pub fn hosts_toml(host: &str, mirror: &RegistryMirror, settings: Settings<'_>) -> String {
    let mut out = String::new();
    if mirror.skip_fallback {
        // Without a server line containerd would go on to the registry itself.
        if let Some(last) = mirror.endpoints.last() {
            let _ = writeln!(out, "server = {}", quoted(&last.url));
        }
    } else if host != "*" {
        let _ = writeln!(out, "server = {}", quoted(&upstream(host)));
        settings.lines(&mut out, host);
    }
    for endpoint in &mirror.endpoints {
        let url = endpoint.url.trim_end_matches('/');
        let asked = host_of(url);
        let url = if endpoint.override_path {
            url.to_owned()
        } else {
            format!("{url}/v2")
        };
        let _ = writeln!(out, "\n[host.{}]", quoted(&url));
        let _ = writeln!(out, "capabilities = [\"pull\", \"resolve\"]");
        // The path is always given in full, so that it means the same with and without `overridePath`.
        let _ = writeln!(out, "override_path = true");
        settings.lines(&mut out, asked);
    }
    out
}

/// Host and port of a URL.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Where a registry itself answers.
fn upstream(host: &str) -> String {
    match host {
        "docker.io" => "https://registry-1.docker.io".to_owned(),
        host => format!("https://{host}"),
    }
}

fn tls_lines(out: &mut String, host: &str, tls: &RegistryTls) {
    if tls.insecure_skip_verify {
        let _ = writeln!(out, "skip_verify = true");
    }
    if !tls.ca.is_empty() {
        let _ = writeln!(out, "ca = {}", quoted(&tls_path(host, "ca.crt")));
    }
    if tls.client_identity.is_some() {
        let (crt, key) = (tls_path(host, "client.crt"), tls_path(host, "client.key"));
        let _ = writeln!(out, "client = [[{}, {}]]", quoted(&crt), quoted(&key));
    }
}

/// Where a registry's TLS files are kept.
pub fn tls_path(host: &str, file: &str) -> String {
    format!("{HOSTS}/{}/{file}", folder(host))
}

/// A registry's folder under [`HOSTS`]: containerd writes a port as `host_port_`.
pub fn folder(host: &str) -> String {
    match host {
        "*" => "_default".to_owned(),
        host => match host.rsplit_once(':') {
            Some((name, port)) => format!("{name}_{port}_"),
            None => host.to_owned(),
        },
    }
}
