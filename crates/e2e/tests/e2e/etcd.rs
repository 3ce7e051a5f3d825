//! Keeping etcd well, and getting it back: alarms, defragmentation, snapshots, recovery.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::program::Ran;
use e2e::run::Test;
use e2e::site::Place;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        etcd_has_no_alarms,
        etcd_is_defragmented_and_a_worker_is_told_apart,
        a_snapshot_is_saved_whole,
        a_backup_role_saves_snapshots_and_changes_nothing,
        the_only_member_of_etcd_stays,
        etcd_tells_which_downgrades_are_possible,
        a_snapshot_is_not_restored_over_a_running_etcd,
    ]
}

/// Tests with a cluster of their own.
pub fn own_cluster_tests() -> Vec<Test<()>> {
    tests![a_cluster_comes_back_from_a_snapshot]
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn etcd_has_no_alarms(c: &Cluster) -> Result<()> {
    let alarms = c.ask(control_plane(), &["etcd", "alarm", "list"])?;
    ensure!(alarms.trim_end() == "NODE   MEMBER   ALARM", "{alarms}");
    let disarmed = c.ask(control_plane(), &["etcd", "alarm", "disarm"])?;
    ensure!(disarmed.lines().count() == 1, "{disarmed}");
    Ok(())
}

fn etcd_is_defragmented_and_a_worker_is_told_apart(c: &Cluster) -> Result<()> {
    let both = format!("{},{}", worker(), control_plane());
    let ran = c.keelctl.run(&["-n", &both, "etcd", "defrag"])?;
    ensure!(ran.code == Some(1), "{ran:?}");
    // The worker fails, and that hides nothing.
    ensure!(
        ran.stderr
            .contains(&format!("{}: rpc error: code = FailedPrecondition", worker())),
        "{ran:?}"
    );
    ensure!(
        ran.stderr.contains(&format!("{}: defragmented", control_plane())),
        "{ran:?}"
    );
    let status = c.ask(control_plane(), &["etcd", "status"])?;
    ensure!(status.lines().count() == 2, "{status}");
    eventually("the API server to answer", Duration::from_secs(30), || {
        c.kubectl.output(&["get", "--raw", "/readyz"])
    })?;
    Ok(())
}

fn a_snapshot_is_saved_whole(c: &Cluster) -> Result<()> {
    let path = c.folder().join("etcd.snapshot");
    std::fs::write(&path, "an older one, to be replaced")?;
    let told = c.ask(control_plane(), &["etcd", "snapshot", &text(&path)])?;
    let bytes = std::fs::metadata(&path)?.len();
    ensure!(
        told.starts_with(&format!(
            "etcd snapshot saved to \"{}\" ({bytes} bytes)\nsnapshot info: hash ",
            path.display()
        )),
        "{told}"
    );
    ensure!(bytes % 512 == 32, "{bytes} bytes have no checksum at their end");
    let left: Vec<_> = std::fs::read_dir(c.folder())?
        .flatten()
        .filter(|e| text(&e.path()).ends_with(".part"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    let refusal = c
        .keelctl
        .run(&["-n", worker(), "etcd", "snapshot", &text(&c.folder().join("none"))])?;
    ensure!(refusal.refusal()?.contains("control plane"), "a worker has no etcd");
    ensure!(!c.folder().join("none").exists(), "a file without a snapshot");
    Ok(())
}

fn a_backup_role_saves_snapshots_and_changes_nothing(c: &Cluster) -> Result<()> {
    let config = text(&c.folder().join("backup-role"));
    c.ask(
        control_plane(),
        &["config", "new", &config, "--roles", "os:etcd:backup"],
    )?;
    let backup = |args: &[&str]| {
        let who = ["--talosconfig", &config, "-e", control_plane(), "-n", control_plane()];
        c.keelctl.run(&[&who, args].concat())
    };
    backup(&["etcd", "snapshot", &text(&c.folder().join("by-role"))])?.output()?;
    for refused in [&["etcd", "defrag"][..], &["etcd", "leave"], &["bootstrap"]] {
        let refusal = backup(refused)?.refusal()?;
        ensure!(refusal.contains("PermissionDenied"), "{refused:?}: {refusal}");
    }
    Ok(())
}

fn the_only_member_of_etcd_stays(c: &Cluster) -> Result<()> {
    let refused = |args: &[&str]| -> Result<String> {
        c.keelctl
            .run(&[&["-n", control_plane()], args].concat())
            .and_then(Ran::refusal)
    };
    let leave = refused(&["etcd", "leave"])?;
    ensure!(leave.contains("only member"), "{leave}");
    let forfeit = refused(&["etcd", "forfeit-leadership"])?;
    ensure!(forfeit.contains("only member"), "{forfeit}");
    let members = c.ask(control_plane(), &["etcd", "members"])?;
    let id = members.split_whitespace().nth(9).context("no member")?.to_owned();
    let itself = refused(&["etcd", "remove-member", &id])?;
    ensure!(itself.contains("etcd leave"), "{id}: {itself}");
    let unknown = refused(&["etcd", "remove-member", "1f"])?;
    ensure!(unknown.contains("NotFound"), "{unknown}");
    Ok(())
}

fn etcd_tells_which_downgrades_are_possible(c: &Cluster) -> Result<()> {
    let told = c.ask(control_plane(), &["etcd", "downgrade", "validate", "v3.6"])?;
    ensure!(
        told.contains("downgrade validate success, cluster version 3.7"),
        "{told}"
    );
    let ran = c
        .keelctl
        .run(&["-n", control_plane(), "etcd", "downgrade", "validate", "3.4"])?;
    ensure!(ran.code == Some(1), "{ran:?}");
    let enabled = c.ask(control_plane(), &["etcd", "downgrade", "enable", "3.6"])?;
    ensure!(enabled.contains("downgrade enable success"), "{enabled}");
    let cancelled = c.ask(control_plane(), &["etcd", "downgrade", "cancel"])?;
    ensure!(cancelled.contains("downgrade cancel success"), "{cancelled}");
    eventually(
        "etcd's storage to be of its own version",
        Duration::from_secs(60),
        || {
            let status = c.ask(control_plane(), &["etcd", "status"])?;
            ensure!(status.contains("3.7.0") && !status.contains("3.6"), "{status}");
            Ok(())
        },
    )
}

fn a_snapshot_is_not_restored_over_a_running_etcd(c: &Cluster) -> Result<()> {
    let path = text(&c.folder().join("over"));
    c.ask(control_plane(), &["etcd", "snapshot", &path])?;
    let refusal = c
        .keelctl
        .run(&["-n", control_plane(), "bootstrap", "--recover-from", &path])?
        .refusal()?;
    ensure!(refusal.contains("AlreadyExists"), "{refusal}");
    Ok(())
}

/// A cluster of its own, of one node.
struct Own(Place);

impl Own {
    fn create() -> Result<Self> {
        let place = Place::new("recovered")?;
        place.create(&["--workers", "0", "--wait-timeout", "8m"])?;
        Ok(Self(place))
    }

    fn run(&self, args: &[&str]) -> Result<Ran> {
        self.0.keelctl.run(&[&["-n", control_plane()], args].concat())
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        self.run(args)?.output()
    }

    /// A file that was made of another.
    fn file(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let path = self.0.folder().join(name);
        std::fs::write(&path, bytes)?;
        Ok(text(&path))
    }
}

/// A snapshot of a cluster with another authority, whole and with the right checksum.
const FOREIGN: &[u8] = include_bytes!("../../../etcd-snapshot/tests/data/small.snapshot");

fn a_cluster_comes_back_from_a_snapshot((): &()) -> Result<()> {
    let own = Own::create()?;
    own.0
        .kubectl
        .output(&["create", "configmap", "precious", "--from-literal", "kept=yes"])?;
    let snapshot = text(&own.0.folder().join("db.snapshot"));
    own.ask(&["etcd", "snapshot", &snapshot])?;
    own.0.kubectl.output(&["delete", "configmap", "precious"])?;
    let revision = || -> Result<u64> {
        let list = own.0.kubectl.output(&["get", "--raw", "/api/v1/namespaces"])?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        Ok(list["metadata"]["resourceVersion"]
            .as_str()
            .context("no revision")?
            .parse()?)
    };
    let before = revision()?;

    let started = || own.ask(&["get", "version", "-o", "jsonpath={.metadata.created}"]);
    let first = started()?;
    // Nothing brings it further than this without a person, so it ends here.
    let reset = own.run(&["reset", "--graceful=false", "--reboot", "--timeout", "3m"])?;
    ensure!(
        reset.ok() && reset.stderr.contains("back (booting; etcd waits for bootstrap)"),
        "{reset:?}"
    );
    ensure!(started()? != first, "not reset");
    waits_for_bootstrap(&own)?;

    let good = std::fs::read(&snapshot)?;
    let mut broken = good.clone();
    let middle = broken.len() / 2;
    broken.iter_mut().skip(middle).take(4096).for_each(|b| *b ^= 0xff);
    let broken = own.file("broken", &broken)?;
    let cut = own.file("cut", good.get(..good.len() / 8192 * 4096).unwrap_or_default())?;
    let something = own.file("something", b"not a snapshot")?;
    let foreign = own.file("foreign", FOREIGN)?;
    let refused: [(&[&str], &str); 6] = [
        (&[&broken], "SHA-256 is wrong"),
        (&[&cut], "it has no checksum"),
        (&[&cut, "--recover-skip-hash-check"], "the end is missing"),
        (&[&something], "it is not a snapshot of etcd"),
        (&[&foreign], "another Kubernetes authority"),
        (&["/does/not/exist"], "there is no snapshot of etcd"),
    ];
    for (args, why) in refused {
        let refusal = own.run(&[&["bootstrap", "--recover-from"], args].concat())?.refusal()?;
        ensure!(refusal.contains(why), "{args:?}: {refusal}");
        waits_for_bootstrap(&own)?;
    }

    // Its checksum is not looked at, as with one that was copied from a data folder.
    let copied = own.file("copied", good.get(..good.len() - 32).unwrap_or_default())?;
    own.ask(&["bootstrap", "--recover-from", &copied, "--recover-skip-hash-check"])?;
    eventually("what was saved to be back", Duration::from_secs(180), || {
        let kept = own
            .0
            .kubectl
            .output(&["get", "configmap", "precious", "-o", "jsonpath={.data.kept}"])?;
        ensure!(kept == "yes", "{kept:?}");
        Ok(())
    })?;
    own.ask(&["health", "--wait-timeout", "4m"])?;
    let members = own.ask(&["etcd", "members"])?;
    ensure!(members.lines().count() == 2, "{members}");
    let after = revision()?;
    ensure!(after > before + 1_000_000, "revisions go back: {before}, {after}");
    own.0.kubectl.output(&["create", "configmap", "new"])?;
    Ok(())
}

/// Nothing was restored, nothing was started.
fn waits_for_bootstrap(own: &Own) -> Result<()> {
    let etcd = own.ask(&["service", "etcd"])?;
    ensure!(etcd.contains("Waiting") && etcd.contains("bootstrap"), "{etcd}");
    let launches = own.ask(&["get", "etcdlaunches.etcd.keelson.dev"])?;
    ensure!(launches.lines().count() <= 1, "{launches}");
    Ok(())
}
