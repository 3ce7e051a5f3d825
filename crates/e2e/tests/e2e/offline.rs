//! What needs no cluster: generating, patching and checking configuration.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::run::Test;
use e2e::site::{folder, keelctl_in};
use e2e::tests;

pub fn tests() -> Vec<Test<()>> {
    tests![
        generated_configuration_is_valid,
        a_generated_file_is_not_overwritten,
        bad_configuration_is_refused_with_its_place,
        a_mistyped_command_suggests_the_right_one,
        output_to_a_closed_pipe_is_no_error,
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

fn a_mistyped_command_suggests_the_right_one((): &()) -> Result<()> {
    let home = folder()?;
    let refusal = keelctl_in(home.path()).run(&["bootstrp"])?.refusal()?;
    ensure!(refusal.contains("bootstrap"), "{refusal}");
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
