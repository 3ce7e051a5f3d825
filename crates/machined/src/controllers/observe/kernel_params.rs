//! Kernel parameters: the system's own, the configured ones, and the effect that sets them.
//!
//! A node in a container shares its kernel with others. There only `net.*` is set, and only in a network namespace of
//! the node's own, where the kernel shows no parameter that is not the namespace's (the kernel's
//! `Documentation/admin-guide/sysctl/net.rst`). Every other parameter is the host's: it is reported as it is, with
//! `unsupported: true`, and left alone.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use config::view;
use node_resources::config::MachineConfig;
use node_resources::keelson::HostCapability;
use node_resources::runtime::{KernelParamDefaultSpec, KernelParamSpec, KernelParamStatus};
use resource::{All, Context, One, Outcome, Outputs, Reconcile};

use crate::machine_config::parsed;

/// On every machine.
const EVERYWHERE: &[(&str, &str)] = &[
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.icmp_ignore_bogus_error_responses", "1"),
    ("net.ipv4.icmp_echo_ignore_broadcasts", "1"),
    // apid and trustd shall find their ports free.
    ("net.ipv4.ip_local_reserved_ports", "50000,50001"),
    ("net.ipv4.tcp_keepalive_time", "600"),
    ("net.ipv4.tcp_keepalive_intvl", "60"),
    ("kernel.panic", "10"),
    ("kernel.pid_max", "262144"),
    ("vm.overcommit_memory", "1"),
    ("fs.inotify.max_user_instances", "8192"),
    ("fs.aio-max-nr", "1048576"),
];
/// Where the kernel has IPv6. A router takes no routes from others unless it is told to (`accept_ra` 2).
const IPV6: &[(&str, &str)] = &[
    ("net.ipv6.conf.default.forwarding", "1"),
    ("net.ipv6.conf.default.accept_ra", "2"),
];
/// Where the kernel is the node's own; the last lines are hardening (Kernel Self Protection Project).
const OWN_KERNEL: &[(&str, &str)] = &[
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("kernel.ctrl-alt-del", "0"),
    ("dev.tty.ldisc_autoload", "0"),
    ("dev.tty.legacy_tiocsti", "0"),
    ("fs.protected_symlinks", "1"),
    ("fs.protected_hardlinks", "1"),
    ("fs.protected_fifos", "2"),
    ("fs.protected_regular", "2"),
    ("fs.suid_dumpable", "0"),
    ("kernel.kptr_restrict", "2"),
    ("kernel.dmesg_restrict", "1"),
    ("kernel.perf_event_paranoid", "3"),
    ("kernel.randomize_va_space", "2"),
    ("kernel.yama.ptrace_scope", "2"),
    ("user.max_user_namespaces", "0"),
    ("kernel.unprivileged_bpf_disabled", "1"),
    ("net.core.bpf_jit_harden", "2"),
    ("vm.unprivileged_userfaultfd", "0"),
];
/// Its presence tells the host's network namespace from all others, which do not have it.
const HOST_NETWORK: &str = "net/core/dev_weight";

/// What the system sets by itself. What the configuration sets instead is left out by the effect, not here.
pub fn defaults(ipv6: bool, host: One<HostCapability>) -> Outputs<KernelParamDefaultSpec> {
    let spec = |value: &str, ignore_errors| KernelParamDefaultSpec {
        value: value.to_owned(),
        ignore_errors,
    };
    let sure = EVERYWHERE.iter().chain(if ipv6 { IPV6 } else { &[] });
    let sure = sure.map(|(key, value)| (id(key), spec(value, false)));
    // A kernel built without one of them is still a kernel.
    let own = if host.mode == "container" { &[] } else { OWN_KERNEL };
    sure.chain(own.iter().map(|(key, value)| (id(key), spec(value, true))))
        .collect()
}

/// What the configuration sets: `machine.sysctls` and `machine.sysfs`, or their documents.
pub fn configured(config: One<MachineConfig>) -> anyhow::Result<Outputs<KernelParamSpec>> {
    let config = parsed(&config)?;
    let spec = |value: String| KernelParamSpec {
        value,
        ignore_errors: false,
    };
    let sysctls = view::sysctls(&config)
        .into_iter()
        .map(|(key, value)| (id(&key), spec(value)));
    let sysfs = view::sysfs(&config)
        .into_iter()
        .map(|(key, value)| (format!("sys.{key}"), spec(value)));
    Ok(sysctls.chain(sysfs).collect())
}

/// The id of a parameter, however its key is written: with dots, and a slash for a dot inside a name.
fn id(key: &str) -> String {
    let path = sys::sysctl::path(key);
    let parts = path
        .components()
        .skip(1)
        .map(|part| part.as_os_str().to_string_lossy().replace('.', "/"));
    parts.collect::<Vec<_>>().join(".")
}

/// Sets kernel parameters.
pub struct KernelParams {
    proc: PathBuf,
    sys: PathBuf,
    /// What each parameter was before, to go back to when nobody wants another value any more.
    before: BTreeMap<String, String>,
}

impl KernelParams {
    /// The parameters below a `/proc` and a `/sys`.
    pub fn new(proc: &Path, sys: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            sys: sys.to_owned(),
            before: BTreeMap::new(),
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        let (root, key) = match id.split_once('.') {
            Some(("proc", key)) => (&self.proc, key),
            Some(("sys", key)) => (&self.sys, key),
            _ => (&self.proc, id),
        };
        let parts = key.split('.').map(|part| part.replace('/', "."));
        parts
            .filter(|part| part != "..")
            .fold(root.clone(), |path, part| path.join(part))
    }

    /// Whether a parameter is this node's alone.
    fn is_ours(&self, id: &str, container: bool) -> bool {
        !container || (id.starts_with("proc.sys.net.") && !self.proc.join("sys").join(HOST_NETWORK).exists())
    }

    fn set(&mut self, id: &str, value: &str, container: bool, ignore: bool) -> anyhow::Result<KernelParamStatus> {
        let path = self.path(id);
        let current = read(&path);
        let default = self.before.get(id).or(current.as_ref()).cloned().unwrap_or_default();
        let unsupported = |current: Option<String>, default| KernelParamStatus {
            current: current.unwrap_or_default(),
            default,
            unsupported: true,
        };
        if !self.is_ours(id, container) {
            return Ok(unsupported(current, default));
        }
        if !current
            .as_deref()
            .is_some_and(|current| current.split_whitespace().eq(value.split_whitespace()))
        {
            match write(&path, value) {
                Ok(()) => drop(self.before.entry(id.to_owned()).or_insert_with(|| default.clone())),
                Err(error) if container || ignore => {
                    tracing::debug!("the kernel parameter {id} stays as it is: {error}");
                    return Ok(unsupported(current, default));
                }
                Err(error) => return Err(error).with_context(|| format!("set the kernel parameter {id} to {value}")),
            }
        }
        Ok(KernelParamStatus {
            current: value.to_owned(),
            default,
            unsupported: false,
        })
    }

    /// Gives back what nobody wants to be different any more.
    fn restore(&mut self, wanted: &BTreeMap<&str, (&str, bool)>) {
        let unwanted: Vec<String> = self
            .before
            .keys()
            .filter(|id| !wanted.contains_key(id.as_str()))
            .cloned()
            .collect();
        for id in unwanted {
            if let Some(value) = self.before.remove(&id)
                && let Err(error) = write(&self.path(&id), &value)
            {
                tracing::warn!("the kernel parameter {id} does not go back to {value:?}: {error}");
            }
        }
    }
}

impl Reconcile for KernelParams {
    type Inputs = (All<KernelParamDefaultSpec>, All<KernelParamSpec>, One<HostCapability>);
    type Outputs = Outputs<KernelParamStatus>;

    async fn reconcile(
        &mut self,
        (defaults, configured, host): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let container = host.mode == "container";
        let mut wanted: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
        wanted.extend(
            defaults
                .iter()
                .map(|(id, spec)| (id, (spec.value.as_str(), spec.ignore_errors))),
        );
        wanted.extend(
            configured
                .iter()
                .map(|(id, spec)| (id, (spec.value.as_str(), spec.ignore_errors))),
        );
        self.restore(&wanted);
        let mut statuses = Outputs::none();
        for (id, (value, ignore)) in wanted {
            let status = self.set(id, value, container, ignore)?;
            if status.unsupported && configured.get(id).is_some() {
                tracing::info!("the configured kernel parameter {id} cannot be set here");
            }
            statuses.insert(id, status);
        }
        Ok(Outcome::done(statuses))
    }
}

fn read(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// Writes to a parameter that exists; in one piece, as the kernel wants it.
fn write(path: &Path, value: &str) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(format!("{value}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(mode: &str) -> One<HostCapability> {
        One::from(HostCapability {
            mode: mode.into(),
            ..HostCapability::default()
        })
    }

    /// A `/proc` with a few parameters in it.
    fn params(files: &[(&str, &str)]) -> (tempfile::TempDir, KernelParams) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let params = KernelParams::new(&root.path().join("proc"), &root.path().join("sys"));
        (root, params)
    }

    const FORWARD: &str = "proc.sys.net.ipv4.ip_forward";
    const FORWARD_FILE: &str = "proc/sys/net/ipv4/ip_forward";

    fn status(current: &str, default: &str, unsupported: bool) -> KernelParamStatus {
        KernelParamStatus {
            current: current.into(),
            default: default.into(),
            unsupported,
        }
    }

    #[test]
    fn the_defaults_of_a_container_are_those_of_the_wire_samples() {
        let sample =
            include_str!("../../../../node-resources/src/samples/KernelParamDefaultSpecs.runtime.talos.dev.yaml");
        let sample: Vec<&str> = sample
            .lines()
            .filter_map(|line| line.strip_prefix("    id: "))
            .collect();
        let defaults = defaults(true, host("container"));
        assert_eq!(defaults.iter().map(|(id, _)| id).collect::<Vec<_>>(), sample);
        assert!(
            super::defaults(false, host("container"))
                .get("proc.sys.net.ipv6.conf.default.accept_ra")
                .is_none()
        );
        assert!(
            super::defaults(true, host("metal"))
                .get("proc.sys.kernel.kptr_restrict")
                .is_some()
        );
    }

    #[test]
    fn a_key_has_one_id_however_it_is_written() {
        assert_eq!(id("net.ipv4.ip_forward"), FORWARD);
        assert_eq!(id("net/ipv4/ip_forward"), FORWARD);
        assert_eq!(
            id("net.ipv4.conf.eth0/1.forwarding"),
            "proc.sys.net.ipv4.conf.eth0/1.forwarding"
        );
        let config =
            "version: v1alpha1\nmachine:\n    type: worker\n    sysctls:\n        net.core.somaxconn: \"1024\"\n";
        let specs = configured(One::from(MachineConfig(config.into()))).unwrap();
        assert_eq!(
            specs.get("proc.sys.net.core.somaxconn").map(|spec| spec.value.as_str()),
            Some("1024")
        );
    }

    #[test]
    fn a_container_sets_what_is_its_networks_and_gives_it_back() {
        let (root, mut params) = params(&[(FORWARD_FILE, "0\n")]);
        assert_eq!(params.set(FORWARD, "1", true, false).unwrap(), status("1", "0", false));
        assert_eq!(params.set(FORWARD, "1", true, false).unwrap(), status("1", "0", false));
        let file = root.path().join(FORWARD_FILE);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n");
        params.restore(&BTreeMap::from([(FORWARD, ("1", false))]));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n");
        params.restore(&BTreeMap::new());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "0\n");
    }

    #[test]
    fn a_container_leaves_the_hosts_parameters_alone() {
        let (root, mut params) = params(&[("proc/sys/kernel/panic", "-1\n"), ("sys/kernel/mm/x", "0\n")]);
        assert_eq!(
            params.set("proc.sys.kernel.panic", "10", true, false).unwrap(),
            status("-1", "-1", true)
        );
        assert_eq!(
            std::fs::read_to_string(root.path().join("proc/sys/kernel/panic")).unwrap(),
            "-1\n"
        );
        assert_eq!(
            params.set("sys.kernel.mm.x", "1", true, false).unwrap(),
            status("0", "0", true)
        );
        assert_eq!(
            params.set("proc.sys.kernel.panic", "10", false, false).unwrap(),
            status("10", "-1", false)
        );
    }

    #[test]
    fn in_the_hosts_network_namespace_nothing_is_a_containers_own() {
        let (root, mut params) = params(&[(FORWARD_FILE, "0\n"), ("proc/sys/net/core/dev_weight", "64\n")]);
        assert_eq!(params.set(FORWARD, "1", true, false).unwrap(), status("0", "0", true));
        assert_eq!(std::fs::read_to_string(root.path().join(FORWARD_FILE)).unwrap(), "0\n");
    }

    #[test]
    fn a_parameter_the_kernel_does_not_have_is_unsupported_in_a_container_and_an_error_elsewhere() {
        let (root, mut params) = params(&[]);
        assert_eq!(params.set(FORWARD, "1", true, false).unwrap(), status("", "", true));
        assert_eq!(params.set(FORWARD, "1", false, true).unwrap(), status("", "", true));
        assert!(
            params
                .set(FORWARD, "1", false, false)
                .unwrap_err()
                .to_string()
                .contains(FORWARD)
        );
        assert!(!root.path().join(FORWARD_FILE).exists());
    }
}
