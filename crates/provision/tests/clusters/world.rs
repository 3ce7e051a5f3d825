//! The test's side: a folder of clusters, and questions to nodes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use provision::{CreateOptions, Names, Plan, Resources};

use crate::API;

/// A folder of clusters and an image; removing it removes every cluster that a test left.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) image: PathBuf,
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::Builder::new()
            .prefix("keelson-clusters-")
            .tempdir()
            .unwrap()
            .keep();
        let image = folder.join("image");
        let world = World {
            folder: folder.join("state"),
            image,
        };
        std::fs::create_dir(&world.folder).unwrap();
        for path in [
            "sbin",
            "dev",
            "proc",
            "sys",
            "run",
            "system",
            "tmp",
            "var",
            "opt/cni/bin",
            "etc/cni",
            "etc/kubernetes",
        ] {
            std::fs::create_dir_all(world.image.join(path)).unwrap();
        }
        std::fs::create_dir_all(world.image.join("usr/libexec/kubernetes")).unwrap();
        for name in ["hosts", "resolv.conf", "hostname"] {
            std::fs::write(world.image.join("etc").join(name), "").unwrap();
        }
        std::fs::write(world.image.join("opt/cni/bin/bridge"), "of the image").unwrap();
        std::fs::copy("/proc/self/exe", world.image.join("sbin/init")).unwrap();
        world
    }

    pub(crate) fn plan(&self, name: &str, network: u8, controlplanes: usize, workers: usize) -> Plan {
        let mut options = CreateOptions::new(name, &self.folder, &self.image);
        (options.controlplanes, options.workers) = (controlplanes, workers);
        options.subnet = format!("10.250.{network}.0/24").parse().unwrap();
        options.wait_timeout = Duration::from_secs(30);
        let small = Resources {
            cpu_millis: 500,
            memory: 256 << 20,
        };
        (options.controlplane, options.worker) = (small, small);
        Plan::new(options).unwrap()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    pub(crate) fn create(&self, plan: Plan) -> provision::Cluster {
        self.block_on(provision::create(plan, &|_| ())).unwrap()
    }

    pub(crate) fn destroy(&self, name: &str) {
        self.block_on(provision::destroy(&self.folder, name, &|_| ())).unwrap();
        self.nothing_is_left(name);
    }

    pub(crate) fn show(&self, name: &str) -> provision::Cluster {
        provision::show(&self.folder, name).unwrap()
    }

    /// No process, mount, link, control group, loop device or file of the cluster.
    pub(crate) fn nothing_is_left(&self, name: &str) {
        let names = Names::of(&self.folder, name);
        assert!(!names.folder().exists(), "files");
        let links = self.block_on(async { sys::net::Netlink::open().unwrap().links().await.unwrap() });
        let ours = links
            .iter()
            .filter(|link| link.name.starts_with(&names.bridge()))
            .map(|link| link.name.clone());
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<String>::new(), "links");
        assert!(
            !sys::cgroup::Layout::detect().unwrap().group(names.cgroup()).exists(),
            "control groups"
        );
        let folder = names.folder().display().to_string();
        let mounts = sys::mount::list().unwrap();
        assert!(
            !mounts.iter().any(|mount| mount.target.starts_with(names.folder())),
            "mounts"
        );
        let mine = |process: &sys::process::Process| {
            let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            process.state != sys::process::ProcessState::Zombie
                && String::from_utf8_lossy(&environment).contains(&format!("KEELSON_CLUSTER={folder}"))
        };
        let left: Vec<_> = sys::process::list().unwrap().into_iter().filter(mine).collect();
        assert!(left.is_empty(), "processes: {left:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Err(error) = self.block_on(provision::destroy(&self.folder, &name, &|_| ())) {
                eprintln!("{error}");
            }
        }
        if let Some(parent) = self.image.parent() {
            let _ = std::fs::remove_dir_all(parent);
        }
    }
}

pub(crate) fn ask(address: Ipv4Addr, question: &str) -> String {
    ask_at(SocketAddr::from((address, API)), question).unwrap()
}

/// Has the node's init end with this code. The connection may be gone before an answer comes.
pub(crate) fn end(address: Ipv4Addr, code: i32) {
    let _ = ask_at(SocketAddr::from((address, API)), &format!("exit {code}"));
}

/// Whether the node's API takes connections now. A node that is gone does not even refuse them.
pub(crate) fn accepts(address: Ipv4Addr) -> bool {
    TcpStream::connect_timeout(&(address, API).into(), Duration::from_millis(200)).is_ok()
}

pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn ask_at(address: SocketAddr, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
