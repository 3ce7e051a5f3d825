//! The way of the conformance tests into a cluster and out again. Their own image is not here; another takes its place.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::running::Running;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane};
use crate::kubernetes::IMAGE;

const LIMIT: Duration = Duration::from_secs(300);
/// Where a run lives, and the name of its pod.
const NAMESPACE: &str = "keelson-conformance";

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        conformance_tests_are_run_told_fetched_and_removed,
        an_interrupted_conformance_run_leaves_nothing,
        conformance_without_its_image_says_what_to_mirror,
    ]
}

fn nothing_is_left(c: &Cluster) -> Result<()> {
    for kind in ["namespace", "clusterrolebinding"] {
        let left = c.kubectl.run(&["get", kind, NAMESPACE])?;
        ensure!(!left.ok(), "the {kind} is still there:\n{}", left.stdout);
    }
    Ok(())
}

/// Arguments of a run with another image, which serves until it is ended.
fn arguments(output: &str) -> [&str; 8] {
    let image = ["--image", IMAGE, "-o", output];
    [
        "-n",
        control_plane(),
        "conformance",
        "kubernetes",
        image[0],
        image[1],
        image[2],
        image[3],
    ]
}

/// The node that the tests run on, once they do.
fn node_of_the_tests(c: &Cluster) -> Result<String> {
    eventually("the tests to run", LIMIT, || {
        let pod = c.kube_json(&["get", "pod", "-n", NAMESPACE, NAMESPACE])?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        Ok(pod["status"]["hostIP"].as_str().context("no address")?.to_owned())
    })
}

fn conformance_tests_are_run_told_fetched_and_removed(c: &Cluster) -> Result<()> {
    let results = c.folder().join("conformance.tar.gz");
    let output = results.to_string_lossy();
    let run = Running::start(c.keelctl.command(&arguments(&output)))?;
    let node = node_of_the_tests(c)?;
    // One run at a time.
    let refusal = c.keelctl.run(&arguments("other.tar.gz"))?.refusal()?;
    ensure!(refusal.contains("another run"), "{refusal}");
    // This image serves until it is told to end, and is content then: so are we.
    eventually("the container to be ended", LIMIT, || {
        c.ask(
            &node,
            &["restart", "-k", &format!("{NAMESPACE}/{NAMESPACE}:conformance")],
        )
    })?;
    let (status, text) = run.end(LIMIT)?;
    ensure!(status.success(), "{status}: {text}");
    ensure!(text.contains("serving on port"), "its output is missing: {text}");
    ensure!(
        std::fs::read(&results)?.starts_with(&[0x1f, 0x8b]),
        "the results are no archive"
    );
    nothing_is_left(c)?;
    // Results are not replaced, and that is said before anything runs.
    let refusal = c.keelctl.run(&arguments(&output))?.refusal()?;
    ensure!(refusal.contains("already exists"), "{refusal}");
    nothing_is_left(c)
}

fn an_interrupted_conformance_run_leaves_nothing(c: &Cluster) -> Result<()> {
    let output = c.folder().join("interrupted.tar.gz").to_string_lossy().into_owned();
    let run = Running::start(c.keelctl.command(&arguments(&output)))?;
    node_of_the_tests(c)?;
    run.signal("INT")?;
    let (status, text) = run.end(LIMIT)?;
    ensure!(
        status.signal() == Some(2) || status.code() == Some(130),
        "{status}: {text}"
    );
    nothing_is_left(c)
}

fn conformance_without_its_image_says_what_to_mirror(c: &Cluster) -> Result<()> {
    let output = c.folder().join("none.tar.gz").to_string_lossy().into_owned();
    let args = [
        "-n",
        control_plane(),
        "conformance",
        "k8s",
        "--mode",
        "certified",
        "-o",
        &output,
    ];
    let refusal = c.keelctl.run(&args)?.refusal()?;
    for text in [
        "registry.k8s.io/conformance:v1.",
        "cannot be pulled",
        "--image",
        "mirrors",
    ] {
        ensure!(refusal.contains(text), "{text} is missing: {refusal}");
    }
    nothing_is_left(c)
}
