//! Control groups of version 2.

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::tests;

use super::Vm;

const MIB: u64 = 1 << 20;
/// The memory of a node that `cluster create` makes.
const NODE_MEMORY: u64 = 2048 * MIB;

pub fn tests() -> Vec<Test<Vm>> {
    tests![
        in_a_vm_services_and_pods_are_bounded_by_control_groups_of_version_2,
        in_a_vm_control_groups_of_version_2_are_shown,
    ]
}

/// The bounds of a service: its group, and what its memory may be, what of it is guaranteed, and its weight.
struct Bounds {
    group: &'static str,
    most: u64,
    guaranteed: u64,
    weight: u64,
}

/// What the node's services are bounded by (`machined::controllers::services`).
const SERVICES: [Bounds; 5] = [
    Bounds {
        group: "system/apid",
        most: 128 * MIB,
        guaranteed: 16 * MIB,
        weight: 50,
    },
    Bounds {
        group: "system/trustd",
        most: 128 * MIB,
        guaranteed: 8 * MIB,
        weight: 25,
    },
    Bounds {
        group: "podruntime/runtime",
        most: NODE_MEMORY / 4 * 3,
        guaranteed: 196 * MIB,
        weight: 100,
    },
    Bounds {
        group: "podruntime/etcd",
        most: NODE_MEMORY / 4 * 3,
        guaranteed: 256 * MIB,
        weight: 200,
    },
    Bounds {
        group: "podruntime/kubelet",
        most: NODE_MEMORY / 2,
        guaranteed: 96 * MIB,
        weight: 100,
    },
];

fn in_a_vm_services_and_pods_are_bounded_by_control_groups_of_version_2(vm: &Vm) -> Result<()> {
    let host = vm.keelctl("get hostcapabilities -o yaml")?;
    ensure!(host.contains("cgroups: v2"), "{host}");
    let number = |file: String| -> Result<u64> { Ok(vm.group_file(&file)?.parse()?) };
    let about = |value: u64, wanted: u64| value.abs_diff(wanted) <= MIB;
    for Bounds {
        group,
        most,
        guaranteed,
        weight,
    } in SERVICES
    {
        let found = number(format!("{group}/memory.max"))?;
        ensure!(about(found, most), "{group} may use {found} bytes");
        ensure!(
            number(format!("{group}/memory.min"))? == guaranteed,
            "{group} is guaranteed something else"
        );
        ensure!(
            number(format!("{group}/cpu.weight"))? == weight,
            "{group} has another weight"
        );
        let processes = vm.sh(&format!("cat $(find /sys/fs/cgroup -path '*/{group}/cgroup.procs')"))?;
        ensure!(!processes.trim().is_empty(), "nothing runs in {group}");
    }
    // What is guaranteed below counts only as far as it is guaranteed above.
    for above in ["system", "podruntime"] {
        let below = SERVICES.iter().filter(|bounds| bounds.group.starts_with(above));
        let sum: u64 = below.map(|bounds| bounds.guaranteed).sum();
        ensure!(
            number(format!("vm-controlplane-1/{above}/memory.min"))? == sum,
            "{above} is guaranteed something else"
        );
    }
    ensure!(
        number("vm-controlplane-1/memory.max".to_owned())? == NODE_MEMORY,
        "the node has another bound"
    );
    let processors = vm.group_file("vm-controlplane-1/cpu.max")?;
    ensure!(processors == "200000 100000", "the node's processors: {processors}");

    // No more than fits beside a control plane on one processor.
    vm.pod("bounded", "limits: {memory: 64Mi, cpu: 50m}")?;
    let pods = vm.list("pods --field-selector metadata.name=bounded")?;
    let uid = pods
        .first()
        .and_then(|pod| pod["metadata"]["uid"].as_str())
        .context("the pod has no uid")?;
    // The names are those that the driver without systemd gives.
    ensure!(
        number(format!("kubepods/pod{uid}/memory.max"))? == 64 * MIB,
        "the pod has another bound"
    );
    let processors = vm.group_file(&format!("kubepods/pod{uid}/cpu.max"))?;
    ensure!(processors == "5000 100000", "the pod's processors: {processors}");
    Ok(())
}

fn in_a_vm_control_groups_of_version_2_are_shown(vm: &Vm) -> Result<()> {
    let text = vm.keelctl("cgroups")?;
    for name in [
        "kubepods",
        "podruntime",
        "kube-system/kube-apiserver",
        "──kube-apiserver",
    ] {
        ensure!(text.contains(name), "{name} is missing:\n{text}");
    }
    let apid = text.lines().find(|line| line.contains("──apid")).context("no apid")?;
    let columns: Vec<&str> = apid.split_whitespace().collect();
    // What is used now and was at most, after the name; the bounds are at the end.
    ensure!(columns.iter().filter(|word| **word == "MB").count() >= 4, "{apid}");
    for preset in ["cpu", "cpuset", "io", "process", "swap"] {
        let text = vm.keelctl(&format!("cgroups --preset {preset}"))?;
        ensure!(text.lines().any(|line| line.contains("──kubelet")), "{preset}:\n{text}");
    }
    for (command, name) in [("stats", "apid"), ("stats -k", "kube-apiserver")] {
        let text = vm.keelctl(command)?;
        let row = text
            .lines()
            .find(|line| line.contains(name))
            .with_context(|| text.clone())?;
        let counts = row.split_whitespace().rev().take(2);
        let counts: Vec<f64> = counts
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| text.clone())?;
        ensure!(counts.iter().all(|count| *count > 0.0), "{row}");
    }
    Ok(())
}

pub fn a_cluster_that_is_destroyed_leaves_nothing_in_a_vm(vm: &Vm) -> Result<()> {
    vm.sh("keelctl cluster destroy --name vm")?;
    let left = vm.sh(
        "find /sys/fs/cgroup -name 'keelson-*'; ls /sys/class/net | grep -v -e ^lo$ -e ^bonding_masters$; \
         grep clusters/vm /proc/mounts; ls ~/.keelson/clusters; true",
    )?;
    ensure!(left.trim().is_empty(), "it left:\n{left}");
    Ok(())
}
