//! Containers with a node's privileges: what they see, and that nothing of them stays.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::dist;
use e2e::run::Test;
use e2e::running::send;
use e2e::tests;
use e2e::wait::eventually;
use serde_json::{Value, json};

use crate::cluster::{Cluster, control_plane, worker};
use crate::dashboard::Terminal;
use crate::kubernetes::IMAGE;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_debug_container_sees_the_node_and_its_exit_code_is_the_commands,
        a_debug_container_has_the_terminal_of_the_person,
        a_debug_container_ends_with_its_client,
        an_image_of_a_file_runs_as_a_debug_container_and_as_a_pod,
    ]
}

const LIMIT: Duration = Duration::from_secs(120);

fn debug<'a>(node: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["-n", node, "debug", IMAGE], args].concat()
}

fn a_debug_container_sees_the_node_and_its_exit_code_is_the_commands(c: &Cluster) -> Result<()> {
    let name = c.keelctl.output(&debug(worker(), &["cat", "/host/etc/os-release"]))?;
    ensure!(name.contains("ID=keelson"), "{name}");
    let addresses = c.keelctl.output(&debug(worker(), &["cat", "/proc/net/fib_trie"]))?;
    ensure!(
        addresses.contains(worker()),
        "it is not in the node's network:\n{addresses}"
    );
    // Larger than what is on the way at any time, so both directions have to flow at once.
    let lines: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
    let file = c.folder().join("lines");
    std::fs::write(&file, &lines)?;
    let mut command = c.keelctl.command(&debug(worker(), &["cat"]));
    let echoed = command.stdin(std::fs::File::open(&file)?).output()?;
    ensure!(
        echoed.stdout == lines.as_bytes(),
        "{} bytes came back",
        echoed.stdout.len()
    );
    let ended = c.keelctl.run(&debug(worker(), &["exit", "7"]))?;
    ensure!(ended.code == Some(7) && ended.stderr.is_empty(), "{ended:?}");
    let unknown = ["-n", worker(), "debug", "ghcr.io/keelson/none:v1"];
    let unknown = c.keelctl.run(&unknown)?.refusal()?;
    ensure!(unknown.contains("ghcr.io/keelson/none:v1"), "{unknown}");
    let several = format!("{},{}", control_plane(), worker());
    let refused = c.keelctl.run(&debug(&several, &["exit", "0"]))?.refusal()?;
    ensure!(refused.contains("multiple nodes"), "{refused}");
    Ok(())
}

fn a_debug_container_has_the_terminal_of_the_person(c: &Cluster) -> Result<()> {
    let command = debug(control_plane(), &["terminal"]).join(" ");
    let line = format!(
        "{} {command}; echo ended with $?; stty -a; echo all done",
        dist().join("keelctl").display()
    );
    let mut terminal = Terminal::start(&line, &c.folder().join("talosconfig"))?;
    let seen = terminal.shows(0, &["a terminal of 100 columns and 30 rows"])?;
    terminal.press("anything\r")?;
    // What is typed is shown once: by the container's terminal, not by the person's.
    let seen = terminal.shows(seen, &["anything", "a terminal of 100 columns and 30 rows"])?;
    ensure!(
        terminal.text(0).0.matches("anything").count() == 1,
        "{}",
        terminal.text(0).0
    );
    terminal.press("exit\r")?;
    terminal.shows(seen, &["ended with 0", "all done"])?;
    let (text, _) = terminal.text(seen);
    let settings: Vec<&str> = text.split_whitespace().collect();
    for setting in ["icanon", "echo", "isig"] {
        ensure!(
            settings.contains(&setting),
            "the terminal is without {setting}:\n{text}"
        );
    }
    Ok(())
}

fn a_debug_container_ends_with_its_client(c: &Cluster) -> Result<()> {
    // A number that nothing else on the machine sleeps for.
    const MARK: &str = "86399";
    let runs = || Ok::<_, anyhow::Error>(c.ask(worker(), &["processes"])?.contains(&format!("sleep {MARK}")));
    let mut command = c.keelctl.command(&debug(worker(), &["sleep", MARK]));
    let mut client = command.stdout(Stdio::null()).spawn().context("start keelctl debug")?;
    let begun = eventually("the container", LIMIT, || {
        ensure!(runs()?, "it does not run");
        Ok(())
    });
    let killed = send("KILL", client.id());
    client.wait()?;
    begun?;
    killed?;
    eventually("the end of the container", LIMIT, || {
        ensure!(!runs()?, "it still runs");
        let left = c.ask(worker(), &["list", "/system/run/debug"])?;
        ensure!(left.lines().count() <= 2, "something is left:\n{left}");
        Ok(())
    })
}

/// The test image under another name, in an archive of its own. Its configuration differs, so that it is another image to
/// the kubelet, which does not run under a new name what it has pulled under an old one.
fn archive(folder: &Path, name: &str) -> Result<PathBuf> {
    let layout = dist().join("images");
    let read = |path: &Path| -> Result<Value> {
        let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    };
    let blob = |digest: &Value| {
        let hex = digest.as_str().unwrap_or_default().trim_start_matches("sha256:");
        Path::new("blobs/sha256").join(hex)
    };
    let index = read(&layout.join("index.json"))?;
    let images = index["manifests"].as_array().context("no manifests")?;
    let named = |image: &&Value| image["annotations"]["org.opencontainers.image.ref.name"] == IMAGE;
    let mut image = images
        .iter()
        .find(named)
        .context("the test image is not there")?
        .clone();
    image["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let mut manifest = read(&layout.join(blob(&image["digest"])))?;
    let mut config = read(&layout.join(blob(&manifest["config"]["digest"])))?;
    config["config"]["Labels"] = json!({"from": "a file"});
    let config = rewritten(&mut manifest["config"], &config)?;
    let document = rewritten(&mut image, &manifest)?;
    let index = json!({"schemaVersion": 2, "manifests": [image]});

    let path = folder.join("image.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path)?);
    for layer in manifest["layers"].as_array().context("no layers")? {
        let blob = blob(&layer["digest"]);
        tar.append_path_with_name(layout.join(&blob), &blob)?;
    }
    let documents = [
        (blob(&manifest["config"]["digest"]), config),
        (blob(&index["manifests"][0]["digest"]), document),
        ("index.json".into(), serde_json::to_vec(&index)?),
    ];
    for (name, bytes) in documents {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice())?;
    }
    tar.into_inner()?;
    Ok(path)
}

/// A document's bytes, with its descriptor changed to fit.
fn rewritten(descriptor: &mut Value, document: &Value) -> Result<Vec<u8>> {
    use sha2::Digest as _;
    let bytes = serde_json::to_vec(document)?;
    let hex: String = sha2::Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    descriptor["digest"] = json!(format!("sha256:{hex}"));
    descriptor["size"] = json!(bytes.len());
    Ok(bytes)
}

fn an_image_of_a_file_runs_as_a_debug_container_and_as_a_pod(c: &Cluster) -> Result<()> {
    const NAME: &str = "ghcr.io/keelson/imported:v1";
    let archive = archive(c.folder(), NAME)?.display().to_string();
    let said = c.ask(worker(), &["debug", &archive, "echo", "out of a file"])?;
    ensure!(said == "out of a file\n", "{said}");
    let listed = c.ask(worker(), &["image", "--namespace", "system", "list"])?;
    ensure!(listed.contains(NAME), "{listed}");
    c.ask(worker(), &["image", "--namespace", "system", "remove", NAME])?;

    c.ask(worker(), &["image", "import", &archive])?;
    let node = c.ask(worker(), &["get", "nodename", "-o", "jsonpath={.spec.nodename}"])?;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "imported"},
        "spec": {
            "nodeName": node.trim(),
            "restartPolicy": "Never",
            "containers": [{"name": "one", "image": NAME, "imagePullPolicy": "Never", "args": ["echo", "imported"]}],
        },
    });
    c.kubectl
        .run_with_input(&["apply", "-f", "-"], &pod.to_string())?
        .output()?;
    eventually("the pod of an imported image", LIMIT, || {
        let phase = c
            .kubectl
            .output(&["get", "pod", "imported", "-o", "jsonpath={.status}"])?;
        ensure!(phase.contains("Succeeded"), "{phase}");
        Ok(())
    })?;
    c.kubectl.output(&["delete", "pod", "imported", "--wait=false"])?;

    let nonsense = c.folder().join("talosconfig").display().to_string();
    let refused = c
        .keelctl
        .run(&["-n", worker(), "image", "import", &nonsense])?
        .refusal()?;
    ensure!(refused.contains("archive"), "{refused}");
    Ok(())
}
