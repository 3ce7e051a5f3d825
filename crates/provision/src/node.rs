//! What a node is made of: its namespaces, mounts and environment.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use sys::mount::Propagation;
use sys::sandbox::{Mount, Namespaces, Output, Root, SandboxSpec};
use sys::{Context, Error as SysError};

use crate::error::Result;
use crate::names::Names;
use crate::options::{Resources, invalid};
use crate::state::NodeState;

/// The kernel takes no longer string in an environment (MAX_ARG_STRLEN, 32 pages), the name and `=` included.
const VARIABLE_MAX: usize = 32 * 4096 - 16;

/// Folders of the image that stay visible below what the node writes to them: (path, name of the folder on the host).
const OVERLAYS: [(&str, &str); 4] = [
    ("/opt", "opt"),
    ("/etc/cni", "cni"),
    ("/etc/kubernetes", "kubernetes"),
    ("/usr/libexec/kubernetes", "libexec"),
];
/// Folders that begin empty and are kept over restarts.
const VOLUMES: [(&str, &str, u32); 2] = [("/var", "var", 0o755), ("/system/state", "state", 0o700)];
/// Files that the node writes through.
const FILES: [&str; 3] = ["hosts", "resolv.conf", "hostname"];

/// Character devices: path, major and minor number (Documentation/admin-guide/devices.txt), mode.
const DEVICES: [(&str, u32, u32, u32); 10] = [
    ("/dev/null", 1, 3, 0o666),
    ("/dev/zero", 1, 5, 0o666),
    ("/dev/full", 1, 7, 0o666),
    ("/dev/random", 1, 8, 0o666),
    ("/dev/urandom", 1, 9, 0o666),
    // kubelet does not start without it.
    ("/dev/kmsg", 1, 11, 0o600),
    ("/dev/tty", 5, 0, 0o666),
    ("/dev/fuse", 10, 229, 0o666),
    ("/dev/net/tun", 10, 200, 0o666),
    // Nobody looks at it: what PID 1 prints goes to the console log.
    ("/dev/console", 1, 3, 0o600),
];
const LINKS: [(&str, &str); 5] = [
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// What the image must have for all of this to be mounted on.
pub(crate) fn check_image(image: &Path) -> Result<()> {
    let places = ["dev", "proc", "sys", "run", "system", "tmp"]
        .into_iter()
        .map(PathBuf::from);
    let folders = OVERLAYS.iter().map(|(path, _)| *path).chain(["/var"]);
    let files = FILES.iter().map(|name| PathBuf::from("etc").join(name));
    let all = places
        .chain(folders.map(|path| PathBuf::from(path.trim_start_matches('/'))))
        .chain(files);
    match all.into_iter().find(|place| !image.join(place).exists()) {
        Some(place) => {
            let reason = format!("has no /{}, which a node needs to mount on", place.display());
            Err(invalid(format!("node image {}", image.display()), reason))
        }
        None => Ok(()),
    }
}

/// The file with a node's machine configuration; absent for maintenance mode.
pub(crate) fn config_file(names: &Names, node: &str) -> PathBuf {
    names.node_folder(node).join("config.yaml")
}

/// Makes the folders and files of a node on the host.
pub(crate) fn prepare(names: &Names, node: &NodeState, config: Option<&[u8]>) -> Result<()> {
    let folder = names.node_folder(&node.name);
    let make = |path: PathBuf, mode: u32| -> std::result::Result<(), SysError> {
        std::fs::create_dir_all(&path).doing(|| format!("make the folder {}", path.display()))?;
        std::fs::set_permissions(&path, Permissions::from_mode(mode))
            .doing(|| format!("set the mode of {}", path.display()))
    };
    make(folder.clone(), 0o700)?;
    make(folder.join("root"), 0o755)?;
    make(folder.join("etc"), 0o755)?;
    for (_, name, mode) in VOLUMES {
        make(folder.join(name), mode)?;
    }
    for (_, name) in OVERLAYS {
        make(folder.join("overlays").join(name).join("upper"), 0o755)?;
        make(folder.join("overlays").join(name).join("work"), 0o700)?;
    }
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{} {}\n",
        node.address, node.name
    );
    let write = |name: &str, text: &str| sys::files::write_atomic(folder.join("etc").join(name), text, 0o644);
    write("hosts", &hosts)?;
    write("hostname", &format!("{}\n", node.name))?;
    write("resolv.conf", &resolvers())?;
    if let Some(config) = config {
        user_data(&node.name, config)?;
        sys::files::write_atomic(config_file(names, &node.name), config, 0o600)?;
    }
    Ok(())
}

/// Machine configuration as a node in a container takes it from its environment.
pub(crate) fn user_data(node: &str, config: &[u8]) -> Result<String> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(config);
    if encoded.len() > VARIABLE_MAX {
        let (length, most) = (config.len(), VARIABLE_MAX / 4 * 3);
        let reason = format!("is {length} bytes long; a node in a container takes {most}");
        return Err(invalid(format!("machine configuration of {node}"), reason));
    }
    Ok(encoded)
}

/// The host's name servers, as far as a node can reach them.
fn resolvers() -> String {
    let candidates = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
    let texts = candidates.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    texts
        .map(|text| reachable(&text))
        .find(|text| text.contains("nameserver"))
        .unwrap_or_else(|| {
            // As container engines do where the host has none to give.
            "nameserver 1.1.1.1\nnameserver 8.8.8.8\n".to_owned()
        })
}

fn reachable(resolv_conf: &str) -> String {
    let loopback = |line: &&str| {
        let server = line.strip_prefix("nameserver").map(str::trim);
        !server.is_some_and(|server| server.starts_with("127.") || server == "::1")
    };
    resolv_conf
        .lines()
        .filter(loopback)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The sandbox of a node.
pub(crate) fn spec(
    names: &Names,
    image: &Path,
    init: &[String],
    node: &NodeState,
    namespace: PathBuf,
    cgroups: Vec<PathBuf>,
) -> Result<SandboxSpec> {
    let folder = names.node_folder(&node.name);
    let (root, base) = if image.is_dir() {
        (
            Root::Directory {
                path: image.to_owned(),
                read_only: true,
            },
            image.to_owned(),
        )
    } else {
        let mountpoint = folder.join("root");
        (
            Root::Squashfs {
                image: image.to_owned(),
                mountpoint: mountpoint.clone(),
            },
            mountpoint,
        )
    };
    Ok(SandboxSpec {
        argv: init.to_vec(),
        env: environment(names, node)?,
        namespaces: Namespaces {
            mount: true,
            pid: true,
            net: false,
            uts: true,
            ipc: true,
            cgroup: true,
        },
        join_netns: Some(namespace),
        root,
        root_propagation: Some(Propagation::Shared),
        mounts: mounts(&folder, &base),
        hostname: Some(node.name.clone()),
        cgroups,
        new_session: true,
        parent_death_signal: Some(libc::SIGKILL),
        stdout: Output::Pipe,
        stderr: Output::Pipe,
        ..SandboxSpec::default()
    })
}

fn environment(names: &Names, node: &NodeState) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::from([
        ("PLATFORM".to_owned(), "container".to_owned()),
        ("container".to_owned(), "keelson".to_owned()),
        (
            "PATH".to_owned(),
            "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/opt/cni/bin".to_owned(),
        ),
        ("TALOSSKU".to_owned(), sku(node.resources)),
    ]);
    let file = config_file(names, &node.name);
    match std::fs::read(&file) {
        Ok(config) => {
            variables.insert("USERDATA".to_owned(), user_data(&node.name, &config)?);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(SysError {
                action: format!("read {}", file.display()),
                source: error,
            }
            .into());
        }
    }
    Ok(variables)
}

/// The size of a node as its environment tells it: `2CPU-2048RAM`.
pub(crate) fn sku(resources: Resources) -> String {
    format!(
        "{}CPU-{}RAM",
        resources.cpu_millis.div_ceil(1000),
        resources.memory >> 20
    )
}

fn mounts(folder: &Path, base: &Path) -> Vec<Mount> {
    let mut mounts = vec![Mount::DeviceTmpfs { target: "/dev".into() }];
    // A device the host's kernel does not have would only mislead.
    let there = |path: &str| path == "/dev/console" || Path::new(path).exists();
    mounts.extend(
        DEVICES
            .iter()
            .filter(|(path, ..)| there(path))
            .map(|(path, major, minor, mode)| Mount::Device {
                path: path.into(),
                major: *major,
                minor: *minor,
                mode: *mode,
            }),
    );
    mounts.extend(LINKS.iter().map(|(path, to)| Mount::Symlink {
        path: path.into(),
        to: to.into(),
    }));
    mounts.extend([
        Mount::Devpts {
            target: "/dev/pts".into(),
        },
        Mount::tmpfs("/dev/shm", 0o1777),
        Mount::Mqueue {
            target: "/dev/mqueue".into(),
        },
        Mount::Proc { target: "/proc".into() },
        Mount::Sysfs {
            target: "/sys".into(),
            read_only: false,
        },
        Mount::Cgroups {
            target: "/sys/fs/cgroup".into(),
            read_only: false,
        },
        Mount::tmpfs("/run", 0o755),
        Mount::tmpfs("/system", 0o755),
        Mount::tmpfs("/tmp", 0o1777),
    ]);
    mounts.extend(OVERLAYS.iter().map(|(path, name)| {
        let place = folder.join("overlays").join(name);
        Mount::Overlay {
            target: path.into(),
            lower: vec![base.join(path.trim_start_matches('/'))],
            upper: place.join("upper"),
            work: place.join("work"),
        }
    }));
    mounts.extend(
        VOLUMES
            .iter()
            .map(|(path, name, _)| Mount::bind(folder.join(name), path, false)),
    );
    let files = FILES
        .iter()
        .map(|name| Mount::bind(folder.join("etc").join(name), format!("/etc/{name}"), false));
    mounts.extend(files);
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Role;

    #[test]
    fn name_servers_on_the_host_s_loopback_are_left_out() {
        let text = "search lan\nnameserver 127.0.0.53\nnameserver 192.0.2.53\noptions edns0\n";
        assert_eq!(reachable(text), "search lan\nnameserver 192.0.2.53\noptions edns0\n");
    }

    #[test]
    fn the_configuration_and_size_of_a_node_are_in_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of(folder.path(), "demo");
        std::fs::create_dir(names.folder()).unwrap();
        let resources = Resources {
            cpu_millis: 1500,
            memory: 2 << 30,
        };
        let node = NodeState {
            name: "n".into(),
            role: Role::Worker,
            address: [10, 5, 0, 2].into(),
            resources,
        };
        prepare(&names, &node, None).unwrap();
        let variables = environment(&names, &node).unwrap();
        assert_eq!(
            (variables["PLATFORM"].as_str(), variables["TALOSSKU"].as_str()),
            ("container", "2CPU-2048RAM")
        );
        assert!(!variables.contains_key("USERDATA"));
        prepare(&names, &node, Some(b"abc")).unwrap();
        assert_eq!(environment(&names, &node).unwrap()["USERDATA"], "YWJj");
        let error = prepare(&names, &node, Some(&vec![b'x'; 100_000]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("100000 bytes"), "{error}");
    }
}
