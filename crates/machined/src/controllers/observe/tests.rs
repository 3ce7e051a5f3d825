//! The observers together, in a graph.

use std::time::Duration;

use node_resources::keelson::{FileSpec, HostCapability};
use node_resources::network::{AddressStatus, HostnameStatus, LinkStatus, NetworkStatus, ResolverStatus, RouteStatus};
use node_resources::perf::MemoryStats;
use node_resources::runtime::{KernelParamStatus, MountStatus, PlatformMetadata};
use node_resources::v1alpha1::TimeStatus;
use resource::{Spec, Store};
use sys::net::{Namespace, Netlink};
use tokio_util::sync::CancellationToken;

use super::*;

/// A machine in a folder, called `box`.
fn world(root: &Path) -> World {
    for folder in ["state", "etc", "proc/sys/net/ipv4", "sys"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (file, text) in [
        ("stat", "cpu 1\n"),
        ("meminfo", "MemTotal: 1 kB\n"),
        ("sys/net/ipv4/ip_forward", "0\n"),
    ] {
        std::fs::write(root.join("proc").join(file), text).unwrap();
    }
    World {
        state: root.join("state"),
        etc: root.join("etc"),
        proc: root.join("proc"),
        sys: root.join("sys"),
        platform_resolv_conf: "nameserver 10.5.0.1\n".to_owned(),
        names: hostname::Names {
            host: || "box".to_owned(),
            set_host: |_| Ok(()),
            set_domain: |_| Ok(()),
        },
        mounts: || Ok(sys::mount::parse("1 0 7:0 / / ro - squashfs /dev/loop0 ro\n")),
    }
}

fn graph(world: &World) -> Graph {
    let graph = Graph::new().shared::<FileSpec>(FileSpec::NAMESPACE);
    // Whatever of the rest the observers read.
    let graph = graph
        .derive(
            "network.NodeAddressSortAlgorithmController",
            crate::controllers::addresses::sort_algorithm,
        )
        .derive(
            "network.NodeAddressController",
            crate::controllers::addresses::node_addresses,
        );
    add(graph, world)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.unwrap()
}

#[test]
fn a_network_is_seen_as_it_changes() {
    let Ok(namespace) = Namespace::create() else {
        eprintln!("skipped: a network namespace needs root");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path());
    let test = async move {
        let store = Store::default();
        let host = HostCapability {
            mode: "container".into(),
            ..HostCapability::default()
        };
        store.put("test", "host", host, "test").unwrap();
        let metadata = PlatformMetadata {
            hostname: "box".into(),
            ..PlatformMetadata::default()
        };
        store.put("test", "platformmetadata", metadata, "test").unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(graph(&world).build().unwrap().run(store.clone(), stop.clone()));

        within(store.table::<LinkStatus>().wait_for("lo", |_| true)).await;
        let net = Netlink::open().unwrap();
        net.add_veth("eth0", "eth1").await.unwrap();
        net.set_up("lo").await.unwrap();
        net.set_up("eth0").await.unwrap();
        net.set_up("eth1").await.unwrap();
        net.add_address("eth0", "10.5.0.2".parse().unwrap(), 24).await.unwrap();
        net.add_default_route("10.5.0.1".parse().unwrap()).await.unwrap();

        let link = within(store.table::<LinkStatus>().wait_for("eth0", |link| link.link_state)).await;
        assert_eq!(link.kind, "veth");
        assert_eq!(link.metadata().owner, "network.LinkStatusController");
        within(store.table::<AddressStatus>().wait_for("eth0/10.5.0.2/24", |_| true)).await;
        let route = within(store.table::<RouteStatus>().wait_for("inet4/10.5.0.1//0", |_| true)).await;
        assert_eq!(route.out_link_name, "eth0");
        let ready = |status: &NetworkStatus| {
            status.address_ready && status.connectivity_ready && status.hostname_ready && status.etc_files_ready
        };
        within(store.table::<NetworkStatus>().wait_for("status", ready)).await;
        assert_eq!(store.get::<HostnameStatus>("hostname").unwrap().hostname, "box");
        assert_eq!(store.get::<ResolverStatus>("resolvers").unwrap().dns_servers.len(), 1);
        assert!(store.get::<TimeStatus>("node").unwrap().synced);
        assert_eq!(store.get::<MountStatus>("/").unwrap().filesystem_type, "squashfs");
        assert_eq!(store.get::<MemoryStats>("latest").unwrap().total, 1);
        within(
            store
                .table::<KernelParamStatus>()
                .wait_for("proc.sys.net.ipv4.ip_forward", |p| p.current == "1"),
        )
        .await;
        assert!(
            store
                .get::<KernelParamStatus>("proc.sys.kernel.panic")
                .unwrap()
                .unsupported
        );
        let hosts = std::fs::read_to_string(world.etc.join("hosts")).unwrap();
        assert!(hosts.contains("10.5.0.2        box\n"), "{hosts}");
        assert_eq!(
            std::fs::read_to_string(world.etc.join("resolv.conf")).unwrap(),
            world.platform_resolv_conf
        );

        net.delete_link("eth0").await.unwrap();
        let mut links = store.watch::<LinkStatus>();
        while store.get::<LinkStatus>("eth0").is_some() {
            within(links.recv()).await;
        }
        stop.cancel();
        running.await.unwrap().unwrap();
    };
    let run = move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test);
    };
    namespace.run(run).unwrap();
}
