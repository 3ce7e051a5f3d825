//! The way of pods to the outside: through their node, and through the machine that the cluster runs on.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;
use sys::net::{Namespace, Netlink};

use crate::cluster::{Cluster, worker};
use crate::effects::{node_name, pod_prints};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![a_pod_reaches_the_outside_through_its_node_and_the_machine]
}

/// Tells everybody who connects the address they come from.
fn answer(listener: TcpListener) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(peer) = stream.peer_addr() else { continue };
            let mut head = [0u8; 1024];
            let _ = stream.read(&mut head);
            let body = format!("{}\n", peer.ip());
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
}

/// A machine outside: a network namespace with one cable to this machine, and no way to the cluster's addresses. It
/// goes away with this process at the latest.
struct Outside {
    /// This machine's end of the cable.
    near: Ipv4Addr,
    far: Ipv4Addr,
    link: String,
    namespace: Namespace,
}

/// A runtime for the few calls to the kernel.
fn block<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

impl Outside {
    fn create() -> Result<Self> {
        // Addresses for examples (RFC 5737), four for each network that tests may run in.
        let block_of = network().host(1).octets()[2] % 64 * 4;
        let [near, far] = [1, 2].map(|host| Ipv4Addr::new(198, 51, 100, block_of + host));
        let (link, end) = (format!("eo{}", std::process::id()), format!("ep{}", std::process::id()));
        let namespace = Namespace::create()?;
        let outside = Self {
            near,
            far,
            link: link.clone(),
            namespace,
        };
        block(async {
            let net = Netlink::open()?;
            net.add_veth(&link, &end).await?;
            net.move_link(&end, &outside.namespace).await?;
            net.add_address(&link, IpAddr::V4(near), 30).await?;
            net.set_up(&link).await?;
            let inside = Netlink::open_in(&outside.namespace)?;
            inside.add_address(&end, IpAddr::V4(far), 30).await?;
            Ok(inside.set_up(&end).await?)
        })
        .context("make a machine outside")?;
        let listener = outside.namespace.run(move || TcpListener::bind((far, 80)))?;
        answer(listener.context("listen outside")?);
        Ok(outside)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let link = self.link.clone();
        let _ = block(async move { Ok(Netlink::open()?.delete_link(&link).await?) });
    }
}

fn a_pod_reaches_the_outside_through_its_node_and_the_machine(c: &Cluster) -> Result<()> {
    let here = TcpListener::bind((network().host(1), 0)).context("listen on the gateway's address")?;
    let here_url = format!("http://{}/", here.local_addr()?);
    answer(here);
    let outside = Outside::create()?;
    let node = node_name(c, worker())?;
    let seen = |name: &str, url: &str| -> Result<String> {
        eventually("an answer", Duration::from_secs(60), || {
            let text = pod_prints(c, name, &node, &["dial", url])?;
            let address: IpAddr = text.trim().parse().with_context(|| text.clone())?;
            Ok(address.to_string())
        })
    };
    // This machine sees the node, not the pod; who is behind it sees this machine, and could answer nobody else.
    let by_node = seen("to-the-gateway", &here_url)?;
    ensure!(by_node == worker(), "the gateway was asked by {by_node}");
    let by_machine = seen("to-the-outside", &format!("http://{}/", outside.far))?;
    ensure!(
        by_machine == outside.near.to_string(),
        "the outside was asked by {by_machine}"
    );
    Ok(())
}
