//! Certificates of the floor: one authority for everything, made by openssl before the clock starts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::host;

/// File and subject.
const CLIENTS: [(&str, &str); 4] = [
    ("admin", "/O=system:masters/CN=admin"),
    ("controller-manager", "/CN=system:kube-controller-manager"),
    ("scheduler", "/CN=system:kube-scheduler"),
    ("server", "/CN=kube-apiserver"),
];

/// Makes the authority, and certificates that it signs, in a new folder.
pub fn make(folder: &Path, address: &str, node: &str) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let openssl =
        |line: &str| host::quiet(Command::new("openssl").current_dir(folder).args(line.split(' '))).map(|_| ());
    for name in ["ca", "service-account"] {
        openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"))?;
    }
    openssl("req -x509 -new -key ca.key -subj /CN=floor -days 2 -out ca.crt")?;
    let names = format!(
        "subjectAltName=IP:127.0.0.1,IP:{address},IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:{node}\n\
         extendedKeyUsage=serverAuth,clientAuth\n"
    );
    std::fs::write(folder.join("extensions"), names).context("write openssl's settings")?;
    let kubelet = format!("/O=system:nodes/CN=system:node:{node}");
    for (name, subject) in CLIENTS.into_iter().chain([("kubelet", kubelet.as_str())]) {
        openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -subj {subject} -out {name}.csr"
        ))?;
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_is_signed_by_the_authority() {
        if image::run::find("openssl").is_none() {
            eprintln!("SKIPPED: openssl is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "10.200.0.1", "floor").unwrap();
        for name in ["admin", "controller-manager", "scheduler", "server", "kubelet"] {
            let mut verify = Command::new("openssl");
            verify.current_dir(folder.path()).args(["verify", "-CAfile", "ca.crt"]);
            host::quiet(verify.arg(format!("{name}.crt"))).unwrap();
        }
    }
}
