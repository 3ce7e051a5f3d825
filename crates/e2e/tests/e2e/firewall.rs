//! What the firewall documents let in, and keep out, seen from the machine beside the nodes.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::run::Test;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, worker};
use crate::effects::with_patch;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        what_no_rule_lets_in_is_dropped,
        a_rule_without_a_default_keeps_others_out_of_its_ports_only,
    ]
}

/// The machine API's port, and the kubelet's.
const MACHINE_API: u16 = 50000;
const KUBELET: u16 = 10250;
/// A packet that is dropped is not answered, and no answer takes time to notice.
const NOTICED: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this machine, which has the gateway's address, reaches a port of the worker.
fn reached(port: u16) -> Result<bool> {
    let address: SocketAddr = format!("{}:{port}", worker()).parse()?;
    Ok(TcpStream::connect_timeout(&address, NOTICED).is_ok())
}

fn await_reached(wanted: &[(u16, bool)]) -> Result<()> {
    eventually(&format!("reached ports to be {wanted:?}"), PATIENCE, || {
        for (port, reachable) in wanted {
            ensure!(reached(*port)? == *reachable, "{port}: {}", !reachable);
        }
        Ok(())
    })
}

fn rule(name: &str, port: u16, subnet: &str) -> String {
    format!(
        "---\napiVersion: v1alpha1\nkind: NetworkRuleConfig\nname: {name}\nportSelector: {{ports: [{port}], protocol: \
         tcp}}\ningress: [{{subnet: {subnet}}}]\n"
    )
}

fn what_no_rule_lets_in_is_dropped(c: &Cluster) -> Result<()> {
    let gateway = format!("{}/32", network().host(1));
    let control_plane = format!("{}/32", network().host(2));
    let patch = [
        "apiVersion: v1alpha1\nkind: NetworkDefaultActionConfig\ningress: block\n".to_owned(),
        rule("machine-api", MACHINE_API, &gateway),
        rule("kubelet", KUBELET, &control_plane),
    ]
    .concat();
    with_patch(c, worker(), &patch, || {
        await_reached(&[(KUBELET, false), (MACHINE_API, true)])?;
        let chains = c.ask(worker(), &["get", "chains"])?;
        ensure!(chains.contains("ingress") && chains.contains("drop"), "{chains}");
        // The control plane's way to the kubelet is open, and the node stays a part of the cluster.
        eventually("the API server to reach the kubelet", PATIENCE, || {
            let healthy = c
                .kubectl
                .output(&["get", "--raw", "/api/v1/nodes/e2e-worker-1/proxy/healthz"])?;
            ensure!(healthy.contains("ok"), "{healthy}");
            Ok(())
        })
    })?;
    await_reached(&[(KUBELET, true), (MACHINE_API, true)])
}

fn a_rule_without_a_default_keeps_others_out_of_its_ports_only(c: &Cluster) -> Result<()> {
    let elsewhere = rule("kubelet", KUBELET, "192.0.2.0/24");
    with_patch(c, worker(), &elsewhere, || {
        await_reached(&[(KUBELET, false), (MACHINE_API, true)])
    })?;
    await_reached(&[(KUBELET, true)])
}
