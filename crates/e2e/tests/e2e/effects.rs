//! What the configuration says, seen from outside: manifests by URL, files, environment, names, trust.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};
use crate::faults::host_pid;
use crate::kubernetes::IMAGE;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_manifest_is_fetched_with_its_headers_and_a_failure_is_told,
        a_wrong_manifest_is_told_and_does_not_hold_up_others,
        pods_are_answered_by_the_nodes_dns,
        names_and_kernel_parameters_change_without_a_restart,
        services_get_the_environment_and_trust_of_the_configuration,
        files_of_the_configuration_are_there_after_a_reboot,
    ]
}

/// The node's configuration now.
fn config(c: &Cluster, node: &str) -> Result<String> {
    c.ask(node, &["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"])
}

/// Applies a configuration with a patch laid over it.
fn apply(c: &Cluster, node: &str, config: &str, patch: &str, mode: &str) -> Result<String> {
    let file = c.folder().join("effects.yaml");
    std::fs::write(&file, config)?;
    let path = file.to_string_lossy().into_owned();
    let mut args = vec!["apply-config", "-f", &path, "--mode", mode];
    if !patch.is_empty() {
        args.extend(["--config-patch", patch]);
    }
    c.ask(node, &args)
}

/// Runs a test with a patch applied, and gives the node its old configuration back.
pub fn with_patch(c: &Cluster, node: &str, patch: &str, test: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = config(c, node)?;
    apply(c, node, &before, patch, "no-reboot")?;
    let outcome = test();
    apply(c, node, &before, "", "no-reboot").context("give the old configuration back")?;
    outcome
}

/// The root of a node's file system, as a service of it sees it that has no root of its own.
fn root(c: &Cluster, node: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(format!(
        "/proc/{}/root",
        host_pid(c, node, "containerd")?
    )))
}

fn environment(c: &Cluster, node: &str, service: &str) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read(format!("/proc/{}/environ", host_pid(c, node, service)?))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

/// A web server on the network of the nodes that has one file, for those who send the right header.
struct Web {
    url: String,
    open: Arc<AtomicBool>,
}

impl Web {
    fn serve(body: &'static str) -> Result<Self> {
        let listener = TcpListener::bind((network().host(1), 0)).context("listen on the gateway's address")?;
        let url = format!("http://{}/file.yaml", listener.local_addr()?);
        let open = Arc::new(AtomicBool::new(false));
        let is_open = open.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0u8; 1];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) && head.len() < 8192
                {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let answer = if !is_open.load(Ordering::Relaxed) {
                    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
                } else if head.contains("x-token: e2e") {
                    format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    )
                } else {
                    "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
                };
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Ok(Self { url, open })
    }
}

const FETCHED: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: fetched\n  namespace: default\ndata:\n  from: url\n";

fn a_manifest_is_fetched_with_its_headers_and_a_failure_is_told(c: &Cluster) -> Result<()> {
    let web = Web::serve(FETCHED)?;
    let patch = format!(
        "cluster:\n  extraManifests: [{}]\n  extraManifestHeaders: {{X-Token: e2e}}\n",
        web.url
    );
    with_patch(c, control_plane(), &patch, || {
        eventually("the failure to be told", Duration::from_secs(30), || {
            let text = c.ask(control_plane(), &["get", "manifestproblems"])?;
            ensure!(
                text.contains("fetch") && text.contains("the server answered 503"),
                "{text}"
            );
            ensure!(!text.contains("e2e"), "a header is shown:\n{text}");
            Ok(())
        })?;
        let extra = c.ask(control_plane(), &["get", "extramanifestsconfigs", "-o", "yaml"])?;
        ensure!(extra.contains("X-Token") && !extra.contains("X-Token: e2e"), "{extra}");
        web.open.store(true, Ordering::Relaxed);
        eventually("the object", Duration::from_secs(90), || {
            let object = c.kube_json(&["get", "configmap", "fetched"])?;
            ensure!(object["data"]["from"] == "url", "{object}");
            let status = c.ask(control_plane(), &["get", "manifeststatus", "-o", "yaml"])?;
            ensure!(status.contains(&web.url), "{status}");
            let problems = c.ask(control_plane(), &["get", "manifestproblems"])?;
            ensure!(problems.lines().count() <= 1, "{problems}");
            Ok(())
        })
    })
}

fn a_wrong_manifest_is_told_and_does_not_hold_up_others(c: &Cluster) -> Result<()> {
    let patch = "cluster:\n  inlineManifests:\n    - name: a-wrong-one\n      contents: |\n        apiVersion: v1\n        \
                 kind: ConfigMap\n        metadata:\n          name: wrong\n          namespace: not-there\n    - name: b-right-one\n      \
                 contents: |\n        apiVersion: v1\n        kind: ConfigMap\n        metadata:\n          name: right\n          \
                 namespace: default\n";
    with_patch(c, control_plane(), patch, || {
        eventually(
            "the right one, and a word on the wrong one",
            Duration::from_secs(60),
            || {
                c.kubectl.output(&["get", "configmap", "right"])?;
                let text = c.ask(control_plane(), &["get", "manifestproblems"])?;
                ensure!(text.contains("99-a-wrong-one") && text.contains("not-there"), "{text}");
                Ok(())
            },
        )
    })
}

/// A name server on the network of the nodes that knows every name by one address, and counts its questions.
fn name_server(address: Ipv4Addr, answer: Ipv4Addr) -> Result<Arc<AtomicUsize>> {
    let socket = UdpSocket::bind((address, 53)).context("listen for DNS on the gateway's address")?;
    let count = Arc::new(AtomicUsize::new(0));
    let questions = count.clone();
    std::thread::spawn(move || {
        let mut buffer = [0u8; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let message = &buffer[..length];
            // The question ends four bytes behind the name's zero.
            let Some(end) = message.iter().skip(12).position(|b| *b == 0).map(|at| at + 12 + 5) else {
                continue;
            };
            if end > length {
                continue;
            }
            let wants_v4 = message[end - 4..end - 2] == [0, 1];
            if message[..end].windows(7).any(|w| w == b"outside") && wants_v4 {
                questions.fetch_add(1, Ordering::Relaxed);
            }
            let mut reply = message[..end].to_vec();
            reply[2..4].copy_from_slice(&[0x81, 0x80]);
            reply[4..12].copy_from_slice(&[0, 1, 0, u8::from(wants_v4), 0, 0, 0, 0]);
            if wants_v4 {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
                reply.extend(answer.octets());
            }
            let _ = socket.send_to(&reply, from);
        }
    });
    Ok(count)
}

/// What a pod on a node prints.
pub fn pod_prints(c: &Cluster, name: &str, node: &str, args: &[&str]) -> Result<String> {
    let _ = c
        .kubectl
        .run(&["delete", "pod", name, "--ignore-not-found", "--grace-period=1"])?;
    let overrides = serde_json::json!({"spec": {"nodeName": node}}).to_string();
    let image = format!("--image={IMAGE}");
    let overrides = format!("--overrides={overrides}");
    let mut command = vec!["run", name, &image, "--restart=Never", &overrides, "--"];
    command.extend(args);
    c.kubectl.output(&command)?;
    let text = eventually(&format!("the pod {name} to end"), Duration::from_secs(60), || {
        let pod = c.kube_json(&["get", "pod", name])?;
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        ensure!(["Succeeded", "Failed"].contains(&phase), "it is {phase}");
        c.kubectl.output(&["logs", name])
    })?;
    c.kubectl.output(&["delete", "pod", name, "--grace-period=1"])?;
    Ok(text)
}

pub fn node_name(c: &Cluster, address: &str) -> Result<String> {
    let nodes = c.kube_json(&["get", "nodes"])?;
    let named = |node: &serde_json::Value| {
        let addresses = node["status"]["addresses"].as_array()?;
        let this = addresses.iter().any(|a| a["address"] == address);
        this.then(|| node["metadata"]["name"].as_str().map(ToOwned::to_owned))?
    };
    let mut items = nodes["items"].as_array().into_iter().flatten();
    items
        .find_map(named)
        .with_context(|| format!("no node has the address {address}"))
}

fn pods_are_answered_by_the_nodes_dns(c: &Cluster) -> Result<()> {
    let answer = Ipv4Addr::new(10, 99, 98, 97);
    let count = name_server(network().host(1), answer)?;
    let patch = format!(
        "machine:\n  network:\n    nameservers: [{}]\n  features:\n    hostDNS: {{enabled: true, forwardKubeDNSToHost: true, \
         resolveMemberNames: true}}\n",
        network().host(1)
    );
    let (first, second) = (node_name(c, control_plane())?, node_name(c, worker())?);
    with_patch(c, control_plane(), &patch, || {
        with_patch(c, worker(), &patch, || {
            for node in [control_plane(), worker()] {
                let caches = c.ask(node, &["get", "dnsresolvecaches"])?;
                ensure!(caches.matches("running").count() == 4, "{caches}");
                let upstreams = c.ask(node, &["get", "dnsupstreams"])?;
                ensure!(upstreams.contains(&network().host(1).to_string()), "{upstreams}");
            }
            let conf = std::fs::read_to_string(root(c, worker())?.join("etc/resolv.conf"))?;
            ensure!(conf.contains("\nnameserver 127.0.0.53"), "{conf}");
            for round in 0..3 {
                let name = format!("ask-outside-{round}");
                let text = pod_prints(c, &name, &second, &["resolve", "some.outside.example."])?;
                ensure!(text.trim() == answer.to_string(), "{text}");
            }
            // One for each node's cache, whichever the cluster's DNS servers run on; CoreDNS keeps answers for 30 s.
            let asked = count.load(Ordering::Relaxed);
            ensure!((1..=2).contains(&asked), "the name server was asked {asked} times");
            let text = pod_prints(c, "ask-member", &second, &["resolve", &format!("{first}.")])?;
            ensure!(text.trim() == control_plane(), "{text}");
            Ok(())
        })
    })
}

fn names_and_kernel_parameters_change_without_a_restart(c: &Cluster) -> Result<()> {
    let patch = "machine:\n  sysctls: {net.ipv4.tcp_keepalive_intvl: \"61\"}\n---\napiVersion: v1alpha1\nkind: \
                 StaticHostConfig\nname: 10.99.0.1\nhostnames: [static.e2e]\n";
    let pid = host_pid(c, worker(), "containerd")?;
    let parameter = || -> Result<String> {
        let pid = pid.to_string();
        let args = ["-t", &pid, "-n", "cat", "/proc/sys/net/ipv4/tcp_keepalive_intvl"];
        let output = Command::new("nsenter").args(args).output().context("run nsenter")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hosts = || -> Result<String> { Ok(std::fs::read_to_string(format!("/proc/{pid}/root/etc/hosts"))?) };
    with_patch(c, worker(), patch, || {
        eventually("the parameter and the name", Duration::from_secs(20), || {
            ensure!(parameter()? == "61", "{}", parameter()?);
            ensure!(hosts()?.contains("static.e2e"), "{}", hosts()?);
            Ok(())
        })
    })?;
    eventually("the old parameter", Duration::from_secs(20), || {
        ensure!(parameter()? == "60" && !hosts()?.contains("static.e2e"), "{}", hosts()?);
        Ok(())
    })
}

fn services_get_the_environment_and_trust_of_the_configuration(c: &Cluster) -> Result<()> {
    let folder = c.folder().join("authority");
    std::fs::create_dir_all(&folder)?;
    let made = c
        .keelctl
        .command(&["gen", "ca", "--organization", "effects"])
        .current_dir(&folder)
        .output()?;
    ensure!(made.status.success(), "{made:?}");
    let certificate = std::fs::read_to_string(folder.join("effects.crt"))?;
    let patch = format!(
        "apiVersion: v1alpha1\nkind: EnvironmentConfig\nvariables: {{E2E_EFFECT: \"yes\"}}\n---\napiVersion: v1alpha1\nkind: \
         TrustedRootsConfig\nname: e2e\ncertificates: |\n  {}\n",
        certificate.trim().replace('\n', "\n  ")
    );
    let lines: Vec<&str> = certificate.lines().collect();
    let line = *lines.get(1).context("the certificate has no lines")?;
    with_patch(c, worker(), &patch, || {
        eventually("environment and trust", Duration::from_secs(60), || {
            for service in ["containerd", "kubelet", "apid"] {
                let variables = environment(c, worker(), service)?;
                ensure!(
                    variables.get("E2E_EFFECT").is_some_and(|v| v == "yes"),
                    "{service}: {variables:?}"
                );
            }
            let bundle = root(c, worker())?.join("etc/ssl/certs/ca-certificates.crt");
            ensure!(
                std::fs::read_to_string(bundle)?.contains(line),
                "the bundle in /etc is as before"
            );
            let variables = environment(c, worker(), "containerd")?;
            let own = variables
                .get("SSL_CERT_FILE")
                .context("containerd has no bundle of its own")?;
            let own = root(c, worker())?.join(own.trim_start_matches('/'));
            ensure!(
                std::fs::read_to_string(own)?.contains(line),
                "containerd's bundle is as before"
            );
            Ok(())
        })
    })?;
    eventually("the node to be as before", Duration::from_secs(60), || {
        for service in ["containerd", "kubelet", "apid"] {
            let variables = environment(c, worker(), service)?;
            ensure!(!variables.contains_key("E2E_EFFECT"), "{service}: {variables:?}");
        }
        let nodes = c.kubectl.output(&["get", "nodes"])?;
        ensure!(nodes.matches(" Ready ").count() == 2, "{nodes}");
        Ok(())
    })
}

fn files_of_the_configuration_are_there_after_a_reboot(c: &Cluster) -> Result<()> {
    let patch = "machine:\n  files:\n    - path: /var/lib/e2e/file\n      op: create\n      permissions: 0o640\n      content: \
                 made\n    - path: /var/lib/e2e/file\n      op: append\n      content: added\n";
    let before = config(c, worker())?;
    let refused = apply(c, worker(), &before, patch, "no-reboot");
    ensure!(
        refused
            .as_ref()
            .is_err_and(|e| format!("{e:#}").contains("machine.files")),
        "{refused:?}"
    );
    apply(c, worker(), &before, patch, "auto")?;
    eventually("the file", Duration::from_secs(120), || {
        let file = root(c, worker())?.join("var/lib/e2e/file");
        let text = std::fs::read_to_string(file)?;
        ensure!(text == "made\nadded", "{text:?}");
        let status = c.ask(worker(), &["get", "machinefilestatuses"])?;
        ensure!(
            status.contains("/var/lib/e2e/file") && status.contains("true"),
            "{status}"
        );
        let nodes = c.kubectl.output(&["get", "nodes"])?;
        ensure!(nodes.matches(" Ready ").count() == 2, "{nodes}");
        Ok(())
    })
}
