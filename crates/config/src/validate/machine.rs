//! The machine section.

use std::collections::BTreeSet;

use image_trust::TrustRoot;

use super::Mode;
use super::names;
use super::report::Report;
use crate::model::v1alpha1::{MachineConfig, MachineFile};
use crate::view::TRUST_ROOT;
use crate::yaml::node::Node;
use crate::{Document, MachineType};

pub fn check(report: &mut Report<'_>, mode: Mode) {
    let Some(main) = report.main() else { return };
    let Some(machine) = report.config.machine() else {
        report.main_error(
            &["machine"],
            "is missing",
            Some("the section of the machine: type, token, ca, …".into()),
        );
        return;
    };
    identity(report, machine);
    if mode == Mode::Metal {
        install(report, machine);
    }
    for (i, mount) in machine
        .kubelet
        .iter()
        .flat_map(|kubelet| &kubelet.extra_mounts)
        .enumerate()
    {
        let i = i.to_string();
        let steps = |field: &'static str| {
            [
                "machine".to_owned(),
                "kubelet".into(),
                "extraMounts".into(),
                i.clone(),
                field.into(),
            ]
        };
        for (field, value) in [("source", &mount.source), ("destination", &mount.destination)] {
            let steps = steps(field);
            let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
            match value.as_deref().unwrap_or_default() {
                "" => report.error(main, &steps, "is missing", None),
                path if !path.starts_with('/') && mount.kind.as_deref() != Some("tmpfs") => {
                    report.error(
                        main,
                        &steps,
                        format!("{path:?} is not an absolute path"),
                        Some(format!("write /{path}")),
                    );
                }
                _ => {}
            }
        }
    }
    if let Some(name) = machine.network.as_ref().and_then(|network| network.hostname.as_deref())
        && !name.is_empty()
        && let Err(why) = names::hostname(name)
    {
        report.error(
            main,
            &["machine", "network", "hostname"],
            format!("{name:?} is not a host name: {why}"),
            None,
        );
    }
    keys(report, machine);
    files(report, machine);
    encryption(report);
}

fn identity(report: &mut Report<'_>, machine: &MachineConfig) {
    let is_control_plane = report.config.machine_type() == Some(MachineType::ControlPlane);
    if machine.token.as_ref().is_none_or(pki::Secret::is_empty) {
        report.main_error(
            &["machine", "token"],
            "is missing",
            Some("machines join the cluster with it".into()),
        );
    }
    let ca = machine.ca.clone().unwrap_or_default();
    if ca.crt.is_empty() {
        report.main_error(
            &["machine", "ca", "crt"],
            "is missing",
            Some("certificate of the machine API's authority".into()),
        );
    } else if let Err(error) = pki::cert_info(&ca.crt) {
        report.main_error(&["machine", "ca", "crt"], error.to_string(), None);
    }
    match (is_control_plane, ca.key.is_empty()) {
        (true, true) => {
            report.main_error(
                &["machine", "ca", "key"],
                "is missing",
                Some("control planes sign with it".into()),
            );
        }
        (true, false) if !ca.crt.is_empty() => {
            if let Err(error) = ca.check() {
                report.main_error(&["machine", "ca", "key"], error.to_string(), None);
            }
        }
        (false, false) => report.main_error(
            &["machine", "ca", "key"],
            "a worker must not have the authority's key",
            Some("remove it".into()),
        ),
        _ => {}
    }
}

fn install(report: &mut Report<'_>, machine: &MachineConfig) {
    if report.config.find("UnattendedInstall", None).is_some() {
        return;
    }
    let install = machine.install.clone().unwrap_or_default();
    let has_disk = install.disk.as_deref().is_some_and(|disk| !disk.is_empty());
    let has_selector = install.disk_selector.is_some();
    if !has_disk && !has_selector {
        let fix = "name the disk to install to, or describe it with machine.install.diskSelector";
        report.main_error(&["machine", "install", "disk"], "is missing", Some(fix.into()));
    }
    if has_disk
        && has_selector
        && let Some(main) = report.main()
    {
        let fix = Some("remove one of them".into());
        report.warning(
            main,
            &["machine", "install", "disk"],
            "is not used, because there is a diskSelector",
            fix,
        );
    }
}

fn keys(report: &mut Report<'_>, machine: &MachineConfig) {
    let Some(main) = report.main() else { return };
    for (key, value) in &machine.node_labels {
        for result in [names::label_key(key), names::label_value(value)] {
            if let Err(why) = result {
                report.error(main, &["machine", "nodeLabels", key], why, None);
            }
        }
    }
    for key in machine.node_annotations.keys() {
        if let Err(why) = names::label_key(key) {
            report.error(main, &["machine", "nodeAnnotations", key], why, None);
        }
    }
    for (key, value) in &machine.node_taints {
        for result in [names::label_key(key), names::taint_value(value)] {
            if let Err(why) = result {
                report.error(main, &["machine", "nodeTaints", key], why, None);
            }
        }
    }
    for key in machine.sysctls.keys() {
        if let Err(why) = names::sysctl(key) {
            report.error(
                main,
                &["machine", "sysctls", key],
                format!("{key:?} is not a kernel parameter"),
                Some(why),
            );
        }
    }
}

fn files(report: &mut Report<'_>, machine: &MachineConfig) {
    let Some(main) = report.main() else { return };
    for (i, file) in machine.files.iter().enumerate() {
        let i = i.to_string();
        let path = file.path.as_deref().unwrap_or_default();
        let steps = ["machine", "files", i.as_str(), "path"];
        if !path.starts_with('/') {
            report.error(main, &steps, format!("{path:?} is not an absolute path"), None);
        }
        // Only what lives in /var outlasts a reboot; the rest of the file system cannot be written.
        let writable = path.starts_with("/var/") || path.starts_with("/etc/cri/conf.d/") || path == TRUST_ROOT;
        if path.starts_with('/') && !writable && file.op.as_deref() == Some("create") {
            let fix = Some("create files under /var, or settings of the container runtime in /etc/cri/conf.d".into());
            report.error(main, &steps, format!("{path:?} is on the read-only system image"), fix);
        }
        if path == TRUST_ROOT {
            trust_root(report, main, &i, file);
        }
    }
}

/// The document that keyless signatures of images are traced back to.
fn trust_root(report: &mut Report<'_>, main: &Document, number: &str, file: &MachineFile) {
    let steps = |key| ["machine", "files", number, key];
    if file.op.as_deref() == Some("append") {
        let fix = Some("give the whole document with op: create".to_owned());
        report.error(main, &steps("op"), "nothing is appended to this document", fix);
    }
    if let Err(error) = TrustRoot::parse(file.content.as_deref().unwrap_or_default()) {
        let fix =
            Some("make one with `cosign trusted-root create`, or leave the file out to trust sigstore's own".into());
        report.error(main, &steps("content"), error.to_string(), fix);
    }
}

/// Slots of disk encryption keys are unique, and each key says where it comes from.
fn encryption(report: &mut Report<'_>) {
    for document in report.documents() {
        let places: &[&[&str]] = if document.is_main() {
            &[
                &["machine", "systemDiskEncryption", "state"],
                &["machine", "systemDiskEncryption", "ephemeral"],
            ]
        } else {
            &[&["encryption"]]
        };
        for place in places {
            let Some(keys) = document
                .root
                .find(&format!("{}.keys", place.join(".")))
                .and_then(Node::as_list)
            else {
                continue;
            };
            let mut slots = BTreeSet::new();
            for (i, key) in keys.iter().enumerate() {
                let index = i.to_string();
                let mut steps = place.to_vec();
                steps.extend(["keys", &index]);
                let slot = key.find("slot").and_then(Node::as_integer).unwrap_or(0);
                if !slots.insert(slot) {
                    let message = format!("another key has slot {slot} too");
                    report.error(
                        document,
                        &steps,
                        message,
                        Some("give each key a slot of its own".into()),
                    );
                }
                let sources = ["static", "nodeID", "kms", "tpm"]
                    .iter()
                    .filter(|source| key.find(source).is_some())
                    .count();
                if sources != 1 {
                    let message = format!("a key has one source, this has {sources}");
                    report.error(
                        document,
                        &steps,
                        message,
                        Some("give one of static, nodeID, kms, tpm".into()),
                    );
                }
            }
        }
    }
}
