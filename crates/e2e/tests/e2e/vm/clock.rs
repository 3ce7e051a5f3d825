//! The clock is set, as it is where the battery of a machine was empty or a suspended machine goes on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;

use super::{NODE, PATIENCE, Vm};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
/// How often a controller may run in a second: those that wait for something look ten times.
const RUNS: f64 = 20.0;
/// Seconds in which runs are counted.
const WHILE: u64 = 20;

pub fn tests() -> Vec<Test<Vm>> {
    tests![
        in_a_vm_everything_goes_on_when_the_clock_is_set,
        in_a_vm_certificates_that_ended_long_ago_are_renewed,
    ]
}

fn in_a_vm_everything_goes_on_when_the_clock_is_set(vm: &Vm) -> Result<()> {
    let (services, pods) = (services(vm)?, pods(vm)?);
    for (name, seconds) in [
        ("an-hour-later", HOUR),
        ("a-day-later", DAY),
        ("an-hour-earlier", -HOUR),
    ] {
        let at = set(vm, seconds)?;
        goes_on(vm, name, &at).with_context(|| name)?;
        ensure!(self::services(vm)? == services, "{name}: a service was restarted");
        let now = self::pods(vm)?;
        ensure!(
            pods.iter().all(|pod| now.contains(pod)),
            "{name}: pods were {pods:?} and are {now:?}"
        );
    }
    Ok(())
}

/// Longer than any certificate but those of authorities lives.
fn in_a_vm_certificates_that_ended_long_ago_are_renewed(vm: &Vm) -> Result<()> {
    let at = set(vm, 400 * DAY)?;
    let refusal = vm.machine.run(&format!("keelctl -n {NODE} version"))?.refusal()?;
    ensure!(refusal.contains("expired"), "{refusal}");
    new_client_configuration(vm)?;
    eventually("a new kubeconfig", PATIENCE, || vm.keelctl("kubeconfig --force"))?;
    goes_on(vm, "years-later", &at)
}

/// Sets the clock that many seconds forward or back; gives what it shows then.
fn set(vm: &Vm, seconds: i64) -> Result<String> {
    vm.sh(&format!("date -s @$(( $(date +%s) + {seconds} ))"))?;
    now(vm)
}

/// What the clock shows, in the form that Kubernetes writes times in; they compare as text.
fn now(vm: &Vm) -> Result<String> {
    Ok(vm.sh("date -u +%Y-%m-%dT%H:%M:%S")?.trim().to_owned())
}

/// Waits until everything works as it did, by a clock that was set to a time.
fn goes_on(vm: &Vm, name: &str, at: &str) -> Result<()> {
    eventually("the machine API", PATIENCE, || vm.keelctl("version"))?;
    let time = vm.keelctl("get timestatus -o yaml")?;
    ensure!(time.contains("synced: true"), "{time}");
    eventually("etcd", PATIENCE, || vm.keelctl("etcd status"))?;
    eventually("the API server", PATIENCE, || vm.kubectl("get --raw /readyz"))?;
    eventually("the node to say that it lives", PATIENCE, || {
        let (leases, now) = (vm.list("leases -n kube-node-lease")?, now(vm)?);
        let renewed = leases.first().and_then(|lease| lease["spec"]["renewTime"].as_str());
        // To the second, as ours.
        let renewed = renewed.and_then(|time| time.get(..now.len()));
        let renewed = renewed.context("the node has no lease")?;
        ensure!(
            renewed > at && renewed <= now.as_str(),
            "it said so at {renewed}, and it is {now}"
        );
        Ok(())
    })?;
    eventually("all pods to be ready", PATIENCE, || {
        for pod in vm.list("pods --all-namespaces")? {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            let ready = conditions
                .filter(|c| c["type"] == "Ready")
                .any(|c| c["status"] == "True");
            ensure!(ready, "{} is not", pod["metadata"]["name"]);
        }
        Ok(())
    })?;
    vm.pod(name, "")?;
    vm.keelctl("health --wait-timeout 20m")?;
    nobody_is_busy(vm)
}

/// The first process of each service.
fn services(vm: &Vm) -> Result<BTreeMap<&'static str, String>> {
    let groups = ["system/apid", "system/trustd", "podruntime/etcd", "podruntime/kubelet"];
    let first = |group: &'static str| {
        let first = vm.sh(&format!(
            "sort -n $(find /sys/fs/cgroup -path '*/{group}/cgroup.procs') | head -n 1"
        ))?;
        Ok((group, first))
    };
    groups.into_iter().map(first).collect()
}

/// The pods there are, by their unique names.
fn pods(vm: &Vm) -> Result<Vec<String>> {
    let pods = vm.list("pods --all-namespaces")?;
    let uids = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str());
    Ok(uids.map(str::to_owned).collect())
}

/// Fails if a controller runs all the time.
fn nobody_is_busy(vm: &Vm) -> Result<()> {
    let (before, began) = (runs(vm)?, vm.uptime()?);
    vm.sh(&format!("sleep {WHILE}"))?;
    let (after, ended) = (runs(vm)?, vm.uptime()?);
    for (controller, runs) in after {
        let more = runs - before.get(&controller).unwrap_or(&runs);
        let most = (ended - began) * RUNS;
        ensure!(more <= most, "{controller} ran {more} times in {:.0} s", ended - began);
    }
    Ok(())
}

/// How often each controller of the node has run.
fn runs(vm: &Vm) -> Result<BTreeMap<String, f64>> {
    let table = vm.keelctl("get controllerstatuses")?;
    let row = |line: &str| -> Result<(String, f64)> {
        // NODE, NAMESPACE, TYPE, ID, VERSION, RUNS
        let words: Vec<&str> = line.split_whitespace().collect();
        let (id, runs) = words.get(3).zip(words.get(5)).with_context(|| line.to_owned())?;
        Ok(((*id).to_owned(), runs.parse().with_context(|| line.to_owned())?))
    };
    table.lines().skip(1).map(row).collect()
}

/// As the how-to for certificates says: that of the person outside is nobody's but theirs to renew.
fn new_client_configuration(vm: &Vm) -> Result<()> {
    vm.sh(&format!(
        "cd /tmp; rm -f secrets.yaml talosconfig
        keelctl gen secrets --from-controlplane-config ~/.keelson/clusters/vm/vm-controlplane-1/config.yaml &&
        keelctl gen config vm https://{NODE}:6443 --with-secrets secrets.yaml --output-types talosconfig -o talosconfig &&
        cp talosconfig ~/.keelson/config && keelctl config endpoint {NODE}"
    ))
    .map(drop)
}
