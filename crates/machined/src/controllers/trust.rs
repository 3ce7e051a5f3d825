//! Whom the node trusts: the distribution's bundle of authorities, and those that the configuration adds.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use config::Config;
use node_resources::config::MachineConfig;
use node_resources::files::EtcFileSpec;
use node_resources::keelson::FileSpec;
use resource::{One, Outputs};
use rustls::RootCertStore;

use crate::machine_config::parsed;

use super::files::file;

/// The CA bundle of the node's root, as Debian keeps it; its name below `/etc`.
const BUNDLE: &str = "ssl/certs/ca-certificates.crt";
/// A writable copy, which is mounted over the bundle on the read-only root.
const COPY: &str = "/system/etc/ssl/ca-certificates.crt";
/// The bundle that containerd reads once the configuration adds to the distribution's.
pub const CONTAINERD_BUNDLE: &str = "/system/etc/cri/ca-certificates.crt";

/// The authorities that came with the distribution.
#[derive(Clone, Debug)]
pub struct Distribution {
    bundle: Arc<str>,
    /// Whether what stands in `/etc` may be replaced.
    replaceable: bool,
}

impl Distribution {
    /// Reads the bundle of the running root. Without one only configured authorities are trusted.
    pub fn read() -> Self {
        let path = Path::new("/etc").join(BUNDLE);
        let bundle = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            tracing::warn!("no authorities in {}: {error}", path.display());
            String::new()
        });
        let replaceable = match prepare(&path, &bundle) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("pods that mount /etc/ssl/certs see the distribution's authorities only: {error:#}");
                false
            }
        };
        Self {
            bundle: bundle.into(),
            replaceable,
        }
    }

    /// Authorities given as PEM; nothing of the machine is touched.
    pub fn of(bundle: &str) -> Self {
        Self {
            bundle: bundle.into(),
            replaceable: true,
        }
    }

    /// The distribution's and the configured authorities.
    ///
    /// # Errors
    /// A configured one is not a certificate.
    pub fn roots(&self, config: &Config) -> anyhow::Result<RootCertStore> {
        let mut roots = pki::tls::roots(self.bundle.as_bytes()).unwrap_or_else(|error| {
            tracing::warn!("the distribution's authorities cannot be used: {error}");
            RootCertStore::empty()
        });
        for (name, pem) in config::view::trusted_roots(config) {
            let own = pki::tls::roots(pem.as_bytes()).with_context(|| format!("TrustedRootsConfig {name:?}"))?;
            roots.extend(own.roots);
        }
        Ok(roots)
    }

    fn joined(&self, config: &Config) -> String {
        let mut bundle = self.bundle.to_string();
        for (name, pem) in config::view::trusted_roots(config) {
            bundle.push_str(&format!("\n# {}\n{}\n", name.replace('\n', " "), pem.trim()));
        }
        bundle
    }
}

/// Puts a writable copy over the bundle: the root is read-only, and a file can be mounted over a file.
fn prepare(path: &Path, bundle: &str) -> anyhow::Result<()> {
    if sys::mount::at(path).context("look for mounts")?.is_some() {
        return Ok(());
    }
    if let Some(parent) = Path::new(COPY).parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    sys::files::write_atomic(Path::new(COPY), bundle.as_bytes(), 0o644)?;
    sys::mount::bind(Path::new(COPY), path, false, false)?;
    Ok(())
}

/// The bundle in `/etc`, for whoever runs on the node and for pods that mount it.
pub fn etc_file(distribution: &Distribution, config: One<MachineConfig>) -> anyhow::Result<Outputs<EtcFileSpec>> {
    if !distribution.replaceable {
        return Ok(Outputs::none());
    }
    let bundle = EtcFileSpec {
        contents: distribution.joined(&*parsed(&config)?),
        mode: 0o644,
        ..EtcFileSpec::default()
    };
    Ok(Outputs::one(BUNDLE, bundle))
}

/// containerd reads its authorities once; a file of its own set restarts it when they change.
pub fn containerd_file(distribution: &Distribution, config: One<MachineConfig>) -> anyhow::Result<Outputs<FileSpec>> {
    let config = parsed(&config)?;
    if config::view::trusted_roots(&config).is_empty() {
        return Ok(Outputs::none());
    }
    let bundle = file("containerd", distribution.joined(&config), 0o644, 0);
    Ok(Outputs::one(CONTAINERD_BUNDLE, bundle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(certificate: &str) -> One<MachineConfig> {
        let indented = certificate.replace('\n', "\n    ");
        One::from(MachineConfig(format!(
            "apiVersion: v1alpha1\nkind: TrustedRootsConfig\nname: ours\ncertificates: |\n    {indented}\n"
        )))
    }

    fn certificate() -> String {
        let authority = pki::Authority::new_kubernetes(std::time::SystemTime::now()).unwrap();
        String::from_utf8(authority.pair().crt.clone()).unwrap()
    }

    #[test]
    fn configured_authorities_stand_beside_the_distributions() {
        pki::tls::install_provider();
        let (given, ours) = (certificate(), certificate());
        let distribution = Distribution::of(&given);
        let roots = distribution.roots(&parsed(&config(&ours)).unwrap()).unwrap();
        assert_eq!(roots.len(), 2);
        let etc = etc_file(&distribution, config(&ours)).unwrap();
        let text = &etc.get(BUNDLE).unwrap().contents;
        assert!(text.starts_with(given.trim()) && text.contains(ours.trim()) && text.contains("# ours\n"));
        let containerd = containerd_file(&distribution, config(&ours)).unwrap();
        assert_eq!(containerd.get(CONTAINERD_BUNDLE).unwrap().contents, *text);
    }

    #[test]
    fn without_configured_ones_the_distributions_stand_alone() {
        pki::tls::install_provider();
        let distribution = Distribution::of(&certificate());
        let none = || One::from(MachineConfig("version: v1alpha1\n".to_owned()));
        assert_eq!(distribution.roots(&parsed(&none()).unwrap()).unwrap().len(), 1);
        assert!(
            containerd_file(&distribution, none())
                .unwrap()
                .get(CONTAINERD_BUNDLE)
                .is_none()
        );
        assert_eq!(
            etc_file(&distribution, none()).unwrap().get(BUNDLE).unwrap().contents,
            &*distribution.bundle
        );
    }
}
