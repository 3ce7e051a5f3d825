//! What needs no cluster: generating, patching and checking configuration.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::{Program, dist};
use e2e::run::Test;
use e2e::running::Running;
use e2e::site::{folder, keelctl_in};
use e2e::tests;

pub fn tests() -> Vec<Test<()>> {
    tests![
        generated_configuration_is_valid,
        a_generated_file_is_not_overwritten,
        bad_configuration_is_refused_with_its_place,
        a_mistyped_command_or_flag_suggests_the_right_one,
        completion_is_loaded_by_the_shells_that_are_here,
        manifests_get_access_to_the_machine_api,
        images_of_a_release_are_listed,
        output_to_a_closed_pipe_is_no_error,
        a_cache_of_images_is_made_and_served,
    ]
}

fn generated_configuration_is_valid((): &()) -> Result<()> {
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    let out = home.path().to_string_lossy().into_owned();
    keelctl.output(&["gen", "config", "demo", "https://10.5.0.2:6443", "-o", &out])?;
    for file in ["controlplane.yaml", "worker.yaml"] {
        let path = home.path().join(file).to_string_lossy().into_owned();
        keelctl.output(&["validate", "-c", &path, "-m", "container"])?;
    }
    let talosconfig = std::fs::read_to_string(home.path().join("talosconfig"))?;
    ensure!(talosconfig.contains("context: demo"), "{talosconfig}");
    Ok(())
}

fn a_generated_file_is_not_overwritten((): &()) -> Result<()> {
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    let file = home.path().join("secrets.yaml");
    let path = file.to_string_lossy().into_owned();
    keelctl.output(&["gen", "secrets", "-o", &path])?;
    let before = std::fs::read(&file)?;
    let refusal = keelctl.run(&["gen", "secrets", "-o", &path])?.refusal()?;
    ensure!(refusal.contains("--force"), "{refusal}");
    ensure!(std::fs::read(&file)? == before, "the file changed");
    Ok(())
}

fn bad_configuration_is_refused_with_its_place((): &()) -> Result<()> {
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "empty"),
        ("binary", vec![0xff, 0x00, 0xfe, 0x01], ""),
        (
            "unknown key",
            b"version: v1alpha1\nmachine:\n  typ: worker\n".to_vec(),
            "typ",
        ),
        (
            "wrong type",
            b"version: v1alpha1\nmachine:\n  certSANs: 7\n".to_vec(),
            "certSANs",
        ),
        (
            "unknown kind",
            b"apiVersion: v1alpha1\nkind: HostnameConfg\nhostname: a\n".to_vec(),
            "HostnameConfig",
        ),
        (
            "duplicate key",
            b"version: v1alpha1\nversion: v1alpha1\n".to_vec(),
            "version",
        ),
        ("deep", [vec![b'['; 100_000], vec![b']'; 100_000]].concat(), ""),
    ];
    for (name, bytes, want) in cases {
        let file = home.path().join("bad.yaml");
        std::fs::write(&file, bytes)?;
        let ran = keelctl.run(&["validate", "-c", &file.to_string_lossy(), "-m", "container"])?;
        ensure!(ran.code == Some(1), "{name}: {ran:?}");
        ensure!(
            ran.stderr.contains(want) && !ran.stderr.trim().is_empty(),
            "{name}: {ran:?}"
        );
    }
    Ok(())
}

fn a_mistyped_command_or_flag_suggests_the_right_one((): &()) -> Result<()> {
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    for (line, right) in [
        ("bootstrp", "'bootstrap'"),
        ("containrs", "'containers'"),
        ("config contxt", "'context'"),
        ("etcd membrs", "'members'"),
        ("cluster creat", "'create'"),
        ("get members --outptu yaml", "'--output'"),
        ("-n 10.5.0.2 logs kubelet --folow", "'--follow'"),
        ("apply-config --mode no-rebot -f x", "'no-reboot'"),
        ("reset --wipe-mode user-disk", "'user-disks'"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = keelctl.run(&words)?;
        ensure!(ran.code == Some(1), "{ran:?}");
        ensure!(ran.stderr.contains(right), "{line}: {ran:?}");
    }
    Ok(())
}

fn completion_is_loaded_by_the_shells_that_are_here((): &()) -> Result<()> {
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    let complete = "complete -p keelctl >/dev/null; COMP_WORDS=(keelctl config con); COMP_CWORD=2; \
                    _keelctl keelctl con config; echo \"${COMPREPLY[@]}\"";
    // (shell, how it is told to load a script, whether it can be asked what it completes)
    for (shell, then) in [("bash", complete), ("zsh", ""), ("fish", "")] {
        let script = keelctl.output(&["completion", shell])?;
        ensure!(
            script.contains("apply-config") && script.contains("talosconfig"),
            "{shell}: {script}"
        );
        let file = home.path().join(format!("completion.{shell}"));
        std::fs::write(&file, script)?;
        let load = match shell {
            "zsh" => format!("autoload -U compinit; compinit -D; source {}", file.display()),
            _ => format!("source {}; {then}", file.display()),
        };
        match Command::new(shell)
            .args(["-c", &load])
            .env("HOME", home.path())
            .output()
        {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && shell != "bash" => {}
            Err(error) => return Err(error).with_context(|| format!("run {shell}")),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                ensure!(
                    output.status.success() && output.stderr.is_empty(),
                    "{shell}: {output:?}"
                );
                ensure!(shell != "bash" || text.contains("contexts"), "{text}");
            }
        }
    }
    Ok(())
}

fn manifests_get_access_to_the_machine_api((): &()) -> Result<()> {
    let home = folder()?;
    let manifest = "kind: Pod\nmetadata: {name: tool}\nspec: {containers: [{name: main, image: x}]}\n";
    let args = [
        "inject",
        "serviceaccount",
        "-f",
        "-",
        "--roles",
        "os:reader,os:operator",
    ];
    let injected = keelctl_in(home.path()).run_with_input(&args, manifest)?.output()?;
    for words in [
        "talos.dev/v1alpha1",
        "os:operator",
        "secretName: tool-talos-secrets",
        "/var/run/secrets/talos.dev",
    ] {
        ensure!(injected.contains(words), "{words} is not in:\n{injected}");
    }
    let refusal = keelctl_in(home.path())
        .run_with_input(&args, "kind: Namespace\n")?
        .refusal()?;
    ensure!(refusal.contains("no workload"), "{refusal}");
    Ok(())
}

fn images_of_a_release_are_listed((): &()) -> Result<()> {
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    let kubernetes = keelctl.output(&["image", "k8s-bundle", "--etcd-version", "v3.6.1"])?;
    ensure!(kubernetes.contains("registry.k8s.io/etcd:v3.6.1\n"), "{kubernetes}");
    ensure!(kubernetes.contains("kubelet:v1.37.1\n"), "{kubernetes}");
    let system = keelctl.output(&["image", "talos-bundle", "v1.13.0", "--overlays=false"])?;
    ensure!(
        system.contains("installer:v1.13.0\n") && !system.contains("overlays"),
        "{system}"
    );
    Ok(())
}

fn output_to_a_closed_pipe_is_no_error((): &()) -> Result<()> {
    use std::process::Stdio;
    let home = folder()?;
    let mut child = keelctl_in(home.path())
        .command(&["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    std::thread::sleep(Duration::from_millis(200));
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

/// Serves a folder of images, and gives the address.
fn serve(keelctl: &Program, cache: &str) -> Result<(Running, String)> {
    let mut server = Running::start(keelctl.command(&[
        "image",
        "cache-serve",
        "--image-cache-path",
        cache,
        "--address",
        "127.0.0.1:0",
        "--mirror",
        "ghcr.io",
    ]))?;
    // It listens before it says so.
    let line = server.line_with("url: http://", Duration::from_secs(60))?;
    let address = line.rsplit('/').next().context("no address")?.to_owned();
    Ok((server, address))
}

/// What a server answers to a request without TLS.
fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the head")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

/// Arguments that make a cache of an image.
fn arguments<'a>(folder: &'a str, image: &'a str) -> [&'a str; 7] {
    let into = ["--image-cache-path", folder];
    [
        "image",
        "cache-create",
        "--insecure",
        into[0],
        into[1],
        "--images",
        image,
    ]
}

fn a_cache_of_images_is_made_and_served((): &()) -> Result<()> {
    let images = dist().join("images");
    if !images.join("index.json").exists() {
        println!("skipped: {} is not there", images.display());
        return Ok(());
    }
    let home = folder()?;
    let keelctl = keelctl_in(home.path());
    let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let first = path("first");
    let (server, address) = serve(&keelctl, &images.to_string_lossy())?;
    let image = format!("{address}/ghcr.io/keelson/test:v1");
    let create = |folder: &str, image: &str| keelctl.run(&arguments(folder, image));
    create(&first, &image)?.output()?;
    // What is there is not added to unless told.
    let refusal = create(&first, &image)?.refusal()?;
    ensure!(refusal.contains("--force"), "{refusal}");
    let missing = create(&path("none"), &format!("{address}/ghcr.io/keelson/test:v0"))?.refusal()?;
    ensure!(missing.contains("404"), "{missing}");
    let flat = path("flat");
    let more = ["--layout", "flat"];
    keelctl
        .run(&[&arguments(&flat, &image)[..], &more].concat())?
        .output()?;
    let refusal = keelctl.run(&[&arguments(&first, &image)[..], &more, &["--force"]].concat())?;
    ensure!(refusal.refusal()?.contains("--layout oci"), "layouts were mixed");
    drop(server);
    for cache in [first, flat] {
        serves_the_test_image(&keelctl, &cache, &address)?;
    }
    Ok(())
}

/// Nodes ask the copy as they would ask its origin: by name, and then by digest.
fn serves_the_test_image(keelctl: &Program, cache: &str, origin: &str) -> Result<()> {
    let (_server, served) = serve(keelctl, cache)?;
    let get = |what: &str| get(&served, &format!("/v2/ghcr.io/keelson/test/{what}?ns={origin}"));
    let manifest: serde_json::Value = serde_json::from_str(&get("manifests/v1")?)?;
    let layer = manifest["layers"][0]["digest"].as_str().context("no layer")?;
    get(&format!("blobs/{layer}")).map(drop)
}
