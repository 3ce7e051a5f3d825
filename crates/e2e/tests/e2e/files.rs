//! What the command line says of a node's files, processes, sockets, packets and containers.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;
use serde_json::Value;

use crate::cluster::{Cluster, control_plane, worker};
use crate::files;

const IMAGE: &str = "ghcr.io/keelson/test:v1";
/// What the pod of these tests writes into its volume.
const TOLD: &str = "what-the-pod-wrote";

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        files::a_file_that_a_pod_wrote_is_listed_and_read,
        files::a_folder_is_copied_whole,
        files::sizes_add_up,
        files::what_is_wrong_with_a_path_is_said,
        files::a_reader_lists_but_does_not_read,
        files::sockets_are_shown_with_their_processes_and_pods,
        files::containers_are_shown_with_what_they_use,
        files::control_groups_are_shown_as_a_tree,
        files::processes_memory_and_mounts_are_shown,
        files::a_container_is_restarted,
        files::images_are_pulled_and_removed,
        files::packets_are_captured_and_filtered,
        files::a_clock_is_compared_with_a_server,
    ]
}

/// A pod that wrote a file into a volume of its own and now sleeps, made by the first test that needs it: the address
/// of its node and the folder there.
fn pod(c: &Cluster) -> Result<(String, String)> {
    let manifest = format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: writer}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
    - {{name: write, image: {IMAGE}, args: [write, /data/told, {TOLD}], volumeMounts: [{{name: data, mountPath: /data}}]}}
    - {{name: fill, image: {IMAGE}, args: [fill, /data/filled, "3"], volumeMounts: [{{name: data, mountPath: /data}}]}}
  containers:
    - {{name: main, image: {IMAGE}, args: [serve]}}
  volumes: [{{name: data, emptyDir: {{}}}}]
"#
    );
    c.kubectl.run_with_input(&["apply", "-f", "-"], &manifest)?.output()?;
    c.kubectl
        .output(&["wait", "--for=condition=Ready", "pod/writer", "--timeout=120s"])?;
    let pod = c.kube_json(&["get", "pod", "writer"])?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a field is missing");
    let (node, uid) = (text(&pod["status"]["hostIP"])?, text(&pod["metadata"]["uid"])?);
    Ok((
        node,
        format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/data"),
    ))
}

/// Rows of a table without its header, as words.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect()
}

fn a_file_that_a_pod_wrote_is_listed_and_read(c: &Cluster) -> Result<()> {
    let (node, folder) = pod(c)?;
    let told = c.ask(&node, &["read", &format!("{folder}/told")])?;
    ensure!(told == TOLD, "{told:?}");
    let listed = c.ask(&node, &["list", &folder])?;
    let names: Vec<&str> = rows(&listed).iter().map(|r| r[1]).collect();
    ensure!(names == [".", "filled", "told"], "{listed}");
    let long = c.ask(&node, &["ls", "-l", &folder, "-t", "f"])?;
    ensure!(
        long.starts_with("NODE") && long.contains("SIZE(B)") && long.contains("LASTMOD"),
        "{long}"
    );
    let sizes: Vec<&str> = rows(&long).iter().map(|r| r[4]).collect();
    ensure!(sizes == ["3145728", &TOLD.len().to_string()], "{long}");
    let deep = c.ask(&node, &["list", "-r", "-H", "-l", "/etc/kubernetes"])?;
    ensure!(deep.lines().count() > 3, "{deep}");
    let os = c.ask(control_plane(), &["cat", "/etc/os-release"])?;
    ensure!(os.contains("Keelson"), "{os}");
    // A folder of the kernel, with files that have no size.
    let own = c.ask(control_plane(), &["read", "/proc/1/status"])?;
    ensure!(own.starts_with("Name:"), "{own}");
    Ok(())
}

fn a_folder_is_copied_whole(c: &Cluster) -> Result<()> {
    let (node, folder) = pod(c)?;
    let target = c.folder().join("copied");
    c.ask(&node, &["copy", &folder, &target.to_string_lossy()])?;
    ensure!(
        std::fs::read_to_string(target.join("told"))? == TOLD,
        "the file is not what the pod wrote"
    );
    ensure!(
        std::fs::metadata(target.join("filled"))?.len() == 3 << 20,
        "the large file is not whole"
    );
    // As an archive that other programs read.
    let archive = c.folder().join("copied.tar.gz");
    let status = c
        .keelctl
        .command(&["-n", &node, "cp", &folder, "-"])
        .stdout(std::fs::File::create(&archive)?)
        .status()?;
    ensure!(status.success(), "{status}");
    let listed = Command::new("tar")
        .arg("tzf")
        .arg(&archive)
        .output()
        .context("run `tar`")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    ensure!(listed.contains("told") && listed.contains("filled"), "{listed}");
    // A large tree with links in it.
    let etc = c.folder().join("etc");
    c.ask(control_plane(), &["copy", "/etc", &etc.to_string_lossy()])?;
    let remote = c.ask(control_plane(), &["read", "/etc/hosts"])?;
    ensure!(std::fs::read_to_string(etc.join("hosts"))? == remote, "{remote}");
    Ok(())
}

fn sizes_add_up(c: &Cluster) -> Result<()> {
    let (node, folder) = pod(c)?;
    let text = c.ask(&node, &["usage", "-a", "-d", "1", &folder])?;
    let found: BTreeMap<&str, u64> = rows(&text)
        .iter()
        .map(|r| Ok((r[2], r[1].parse()?)))
        .collect::<Result<_>>()?;
    let long = c.ask(&node, &["list", "-l", &folder])?;
    let own: u64 = rows(&long)[0][4].parse()?;
    ensure!(
        found["filled"] == 3 << 20 && found["told"] == TOLD.len() as u64,
        "{text}"
    );
    ensure!(found["."] == found["filled"] + found["told"] + own, "{text}\n{long}");
    let several = c.ask(&node, &["du", "-H", "/etc", &folder])?;
    ensure!(several.contains("MB") && several.contains(&folder), "{several}");
    // The whole root, without what shows the kernel: no end, and no 128 terabytes of /proc/kcore.
    let all = c.ask(control_plane(), &["usage", "/"])?;
    let total: u64 = rows(&all)[0][1].parse()?;
    ensure!(total > 3 << 20 && total < 1 << 40, "{all}");
    Ok(())
}

fn what_is_wrong_with_a_path_is_said(c: &Cluster) -> Result<()> {
    let refused = |args: &[&str]| -> Result<String> {
        let ran = c.keelctl.run(&[&["-n", control_plane()], args].concat())?;
        ensure!(ran.code == Some(1), "{ran:?}");
        ran.refusal()
    };
    ensure!(
        refused(&["list", "/no/such/folder"])?.contains("/no/such/folder"),
        "the path is missing"
    );
    ensure!(
        refused(&["read", "/etc"])?.contains("folder"),
        "it is not said what it is"
    );
    ensure!(
        refused(&["read", "etc/hosts"])?.contains("absolute"),
        "it is not said what to do"
    );
    ensure!(
        refused(&["read", "/dev/zero"])?.contains("not a file"),
        "a device was read"
    );
    ensure!(
        refused(&["usage", "/no/such/file"])?.contains("/no/such/file"),
        "the path is missing"
    );
    // One node that fails does not hide the other.
    let nobody = network().host(99).to_string();
    let ran = c
        .keelctl
        .run(&["-n", &format!("{},{nobody}", control_plane()), "list", "/"])?;
    ensure!(
        ran.code == Some(1) && ran.stdout.contains("etc") && ran.stderr.contains(&nobody),
        "{ran:?}"
    );
    Ok(())
}

fn a_reader_lists_but_does_not_read(c: &Cluster) -> Result<()> {
    let file = c.folder().join("files-reader");
    let path = file.to_string_lossy().into_owned();
    c.ask(control_plane(), &["config", "new", "--roles", "os:reader", &path])?;
    let reader = c.keelctl.clone().with_env("TALOSCONFIG", &file);
    let on = ["-n", control_plane(), "-e", control_plane()];
    reader.output(&[&on[..], &["list", "/etc"]].concat())?;
    reader.output(&[&on[..], &["netstat", "-l"]].concat())?;
    for command in [["read", "/etc/hosts"], ["copy", "/etc"]] {
        let mut args = [&on[..], &command].concat();
        if command[0] == "copy" {
            args.push("-");
        }
        let error = reader.run(&args)?.refusal()?;
        ensure!(error.contains("PermissionDenied"), "{error}");
    }
    Ok(())
}

fn sockets_are_shown_with_their_processes_and_pods(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["netstat", "-l", "-p", "-t"])?;
    let server = text.lines().find(|l| l.contains(":6443") && l.contains("LISTEN"));
    let server = server.with_context(|| format!("nobody listens on 6443:\n{text}"))?;
    ensure!(server.contains("/kube-apiserver"), "{server}");
    ensure!(!text.contains("udp") && !text.contains("ESTABLISHED"), "{text}");
    let connected = c.ask(control_plane(), &["ss", "-x", "-o"])?;
    ensure!(
        connected.contains("ESTABLISHED") && connected.contains("Inode"),
        "{connected}"
    );
    ensure!(!connected.contains("LISTEN"), "{connected}");
    let (node, _) = pod(c)?;
    let text = c.ask(&node, &["netstat", "-k", "-l", "-p", "default/writer"])?;
    let ours = text
        .lines()
        .find(|l| l.contains(":8080"))
        .with_context(|| text.clone())?;
    ensure!(ours.contains("default/writer") && ours.contains("/test"), "{text}");
    let all = c.ask(&node, &["netstat", "-a", "-k"])?;
    ensure!(all.contains("default/writer") && all.contains(":10250"), "{all}");
    let error = c
        .keelctl
        .run(&["-n", &node, "netstat", "-k", "default/nobody"])?
        .refusal()?;
    ensure!(error.contains("default/nobody"), "{error}");
    Ok(())
}

fn containers_are_shown_with_what_they_use(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["stats"])?;
    for service in ["apid", "etcd", "kubelet"] {
        let rows = rows(&text);
        let row = rows.iter().find(|r| r[2] == service).with_context(|| text.clone())?;
        ensure!(row[3].parse::<f64>()? > 1.0 && row[4].parse::<u64>()? > 0, "{text}");
    }
    let text = c.ask(control_plane(), &["stats", "-k"])?;
    let server = text
        .lines()
        .find(|l| l.contains(":kube-apiserver:"))
        .with_context(|| text.clone())?;
    let words: Vec<&str> = server.split_whitespace().collect();
    let memory: f64 = words[words.len() - 2].parse()?;
    ensure!(memory > 20.0 && words[1] == "k8s.io", "{server}");
    Ok(())
}

fn control_groups_are_shown_as_a_tree(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["cgroups"])?;
    ensure!(text.starts_with("NAME") && text.contains("MemCurrent"), "{text}");
    for name in [
        "kubepods",
        "podruntime",
        "kube-system/kube-apiserver",
        "──kube-apiserver",
    ] {
        ensure!(text.contains(name), "{name} is missing:\n{text}");
    }
    let kubelet = text
        .lines()
        .find(|l| l.contains("──kubelet"))
        .with_context(|| text.clone())?;
    ensure!(kubelet.contains("MB"), "{kubelet}");
    for preset in ["cpu", "cpuset", "io", "process", "swap"] {
        c.ask(worker(), &["cgroups", "--preset", preset])?;
    }
    let ids = c.ask(control_plane(), &["cg", "--skip-cri-resolve"])?;
    ensure!(!ids.contains("kube-system/"), "{ids}");
    let schema = "columns:\n  - {name: Own, template: '{{ .PidsCurrent | printf \"<%s>\" }}'}\n";
    let args = ["-n", control_plane(), "cgroups", "--schema-file", "-"];
    let own = c.keelctl.run_with_input(&args, schema)?.output()?;
    ensure!(
        own.lines().next().is_some_and(|l| l.ends_with("Own")) && own.contains('<'),
        "{own}"
    );
    Ok(())
}

fn processes_memory_and_mounts_are_shown(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["processes", "--sort", "cpu"])?;
    ensure!(text.contains("kubelet") && text.contains("kube-apiserver"), "{text}");
    let times: Vec<f64> = rows(&text).iter().map(|r| Ok(r[4].parse()?)).collect::<Result<_>>()?;
    ensure!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let mut child = c
        .keelctl
        .command(&["-n", worker(), "ps", "--watch"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = child.stdout.take().context("no output")?;
    let started = Instant::now();
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while seen.matches("NODE ").count() < 2 && started.elapsed() < Duration::from_secs(20) {
        let count = output.read(&mut buffer)?;
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    child.kill()?;
    child.wait()?;
    ensure!(seen.matches("NODE ").count() >= 2, "the watch showed {seen}");
    let memory = c.ask(control_plane(), &["memory"])?;
    let rows = rows(&memory);
    ensure!(rows.len() == 1 && rows[0][1].parse::<u64>()? > 500, "{memory}");
    ensure!(
        c.ask(control_plane(), &["free", "-v"])?.contains("MemTotal: "),
        "no details"
    );
    let mounts = c.ask(control_plane(), &["mounts"])?;
    ensure!(mounts.contains("/var") && mounts.contains("PERCENT USED"), "{mounts}");
    Ok(())
}

fn a_container_is_restarted(c: &Cluster) -> Result<()> {
    let (node, _) = pod(c)?;
    let restarts = || -> Result<i64> {
        let pod = c.kube_json(&["get", "pod", "writer"])?;
        let count = &pod["status"]["containerStatuses"][0]["restartCount"];
        count.as_i64().context("no count")
    };
    let before = restarts()?;
    c.ask(&node, &["restart", "-k", "default/writer:main"])?;
    eventually("a restarted container", Duration::from_secs(60), || {
        let now = restarts()?;
        ensure!(now > before, "{now} restarts");
        Ok(())
    })?;
    let error = c
        .keelctl
        .run(&["-n", &node, "restart", "-k", "default/nobody"])?
        .refusal()?;
    ensure!(error.contains("containers -k"), "{error}");
    // The last test that needs it.
    c.kubectl.output(&["delete", "pod", "writer", "--wait=false"])?;
    // A service of the system is started again by its supervisor.
    let trustd = || {
        c.ask(
            control_plane(),
            &["get", "servicepids", "trustd", "-o", "jsonpath={.spec.pid}"],
        )
    };
    let old = trustd()?;
    c.ask(control_plane(), &["restart", "trustd"])?;
    eventually("a new trustd", Duration::from_secs(30), || {
        let now = trustd()?;
        ensure!(now != old && !now.trim().is_empty(), "{now}");
        Ok(())
    })
}

fn images_are_pulled_and_removed(c: &Cluster) -> Result<()> {
    let bundle = c.keelctl.output(&["image", "k8s-bundle"])?;
    let image = bundle
        .lines()
        .find(|l| l.contains("kube-scheduler"))
        .context("no scheduler")?;
    let has = || -> Result<bool> { Ok(c.ask(worker(), &["image", "list"])?.contains(image)) };
    ensure!(!has()?, "a worker has the scheduler's image already");
    c.ask(worker(), &["image", "pull", image])?;
    ensure!(has()?, "the image was pulled and is not there");
    c.ask(worker(), &["image", "remove", image])?;
    ensure!(!has()?, "the image was removed and is there");
    let error = c.keelctl.run(&["-n", worker(), "image", "rm", image])?.refusal()?;
    ensure!(error.contains("NotFound"), "{error}");
    let error = c
        .keelctl
        .run(&["-n", worker(), "image", "pull", "ghcr.io/keelson/none:v1"])?;
    ensure!(error.code == Some(1), "{error:?}");
    let system = c.ask(worker(), &["image", "list", "--namespace", "system"])?;
    ensure!(system.contains("kubelet"), "{system}");
    let kubelet = system
        .split_whitespace()
        .find(|w| w.contains("/kubelet:"))
        .context("no kubelet")?;
    let args = ["-n", worker(), "image", "rm", "--namespace", "system", kubelet];
    let error = c.keelctl.run(&args)?.refusal()?;
    ensure!(error.contains("the service kubelet runs from"), "{error}");
    Ok(())
}

/// Packets of a capture file that are TCP over IPv4 to a port.
fn packets_to(file: &[u8], port: u16) -> usize {
    let word = |at: usize| {
        file.get(at..at + 4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    let (mut at, mut found) = (24, 0);
    while let Some(kept) = word(at + 8) {
        let packet = file.get(at + 16..at + 16 + kept as usize).unwrap_or_default();
        let tcp = packet.get(12..14) == Some(&[8, 0]) && packet.get(23) == Some(&6);
        found += usize::from(tcp && packet.get(36..38) == Some(&port.to_be_bytes()));
        at += 16 + kept as usize;
    }
    found
}

fn packets_are_captured_and_filtered(c: &Cluster) -> Result<()> {
    let capture = |file: &Path, extra: &[&str]| -> Result<Vec<u8>> {
        let name = file.to_string_lossy().into_owned();
        let args = [
            &[
                "-n",
                control_plane(),
                "pcap",
                "-i",
                "eth0",
                "--duration",
                "6s",
                "-o",
                &name,
            ],
            extra,
        ]
        .concat();
        let mut child = c.keelctl.command(&args).spawn()?;
        // The header of the file is the first the node sends once it captures.
        let started = eventually("a capture", Duration::from_secs(20), || {
            ensure!(
                std::fs::metadata(file).is_ok_and(|m| m.len() >= 24),
                "nothing was captured yet"
            );
            Ok(())
        });
        for _ in 0..5 {
            let _ = TcpStream::connect((control_plane(), 6443));
        }
        let status = child.wait()?;
        started?;
        ensure!(status.success(), "pcap ended with {status}");
        Ok(std::fs::read(file)?)
    };
    let all = capture(&c.folder().join("all.pcap"), &[])?;
    ensure!(all[..4] == 0xa1b2_c3d4_u32.to_le_bytes(), "not a capture file");
    ensure!(
        packets_to(&all, 6443) >= 10,
        "{} packets to the API server",
        packets_to(&all, 6443)
    );
    ensure!(packets_to(&all, 50000) == 0, "the capture captured itself");
    // `tcpdump -dd 'tcp dst port 6443'`, for IPv4 without options.
    let program = "{ 0x28, 0, 0, 12 }, { 0x15, 0, 5, 0x800 }, { 0x30, 0, 0, 23 }, { 0x15, 0, 3, 6 }, \
                   { 0x28, 0, 0, 36 }, { 0x15, 0, 1, 6443 }, { 0x6, 0, 0, 262144 }, { 0x6, 0, 0, 0 }";
    let some = capture(&c.folder().join("some.pcap"), &["--bpf-filter", program])?;
    let (mut at, mut packets) = (24, 0);
    while let Some(kept) = some.get(at + 8..at + 12) {
        at += 16 + u32::from_le_bytes([kept[0], kept[1], kept[2], kept[3]]) as usize;
        packets += 1;
    }
    ensure!(
        packets >= 5 && packets == packets_to(&some, 6443),
        "{packets} packets passed the filter"
    );
    let told = c.ask(control_plane(), &["pcap", "-i", "lo", "--duration", "3s"])?;
    ensure!(told.contains("IP 127.0.0.1."), "{told}");
    let error = c
        .keelctl
        .run(&["-n", control_plane(), "pcap", "-i", "nothing0"])?
        .refusal()?;
    ensure!(error.contains("nothing0"), "{error}");
    Ok(())
}

/// A time server that is an hour ahead.
fn a_clock_is_compared_with_a_server(c: &Cluster) -> Result<()> {
    let server = UdpSocket::bind((network().host(1), 0))?;
    server.set_read_timeout(Some(Duration::from_secs(30)))?;
    let address = server.local_addr()?.to_string();
    let serving = std::thread::spawn(move || -> Result<()> {
        let mut question = [0; 512];
        let (_, client) = server.recv_from(&mut question)?;
        let sent: [u8; 8] = question[40..48].try_into()?;
        let ahead = (u64::from_be_bytes(sent) + (3600 << 32)).to_be_bytes();
        let mut answer = [0; 48];
        (answer[0], answer[1]) = (4 << 3 | 4, 2);
        answer[24..32].copy_from_slice(&sent);
        answer[32..40].copy_from_slice(&ahead);
        answer[40..].copy_from_slice(&ahead);
        server.send_to(&answer, client)?;
        Ok(())
    });
    let text = c.ask(control_plane(), &["time", "--check", &address])?;
    serving
        .join()
        .map_err(|_| anyhow::anyhow!("the time server panicked"))??;
    let rows = rows(&text);
    // NODE, server, date, time, zone, zone, date, time…
    let hour = |row: &[&str], at: usize| row.get(at).and_then(|t| t.get(..2)?.parse::<u32>().ok());
    let (here, there) = (hour(&rows[0], 3), hour(&rows[0], 7));
    ensure!(rows[0][1] == address, "{text}");
    ensure!(here.zip(there).is_some_and(|(h, t)| (h + 1) % 24 == t), "{text}");
    let error = c
        .keelctl
        .run(&["-n", control_plane(), "time", "--check", "127.0.0.1:9"])?
        .refusal()?;
    ensure!(error.contains("127.0.0.1:9"), "{error}");
    Ok(())
}
