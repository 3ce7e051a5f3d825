//! Certificates from files, loaded again when the files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use pki::{CertAndKey, Secret};
use rustls::ServerConfig;
use tokio::sync::watch;

use crate::metrics::Metrics;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Where certificate and key are (PEM).
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, with those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// Reads both.
    pub fn load(&self) -> Result<(CertAndKey, Arc<ServerConfig>)> {
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("read {}", path.display()));
        let identity = CertAndKey {
            crt: read(&self.certificate)?,
            key: Secret::from(read(&self.key)?),
        };
        let names = format!("{} and {}", self.certificate.display(), self.key.display());
        let config = pki::tls::server_config(&identity, None);
        let config = config.with_context(|| format!("use the certificate and key in {names}"))?;
        Ok((identity, config))
    }

    /// Loads again what changed, every few seconds and when `now` says so. What cannot be used is reported, and what
    /// was there before goes on being used: files are often replaced one after the other.
    pub async fn follow(
        self,
        mut last: CertAndKey,
        out: watch::Sender<Arc<ServerConfig>>,
        metrics: Arc<Metrics>,
        mut now: impl AsyncFnMut(),
    ) {
        let mut complained = false;
        loop {
            let _ = tokio::time::timeout(INTERVAL, now()).await;
            let files = self.clone();
            let loaded = tokio::task::spawn_blocking(move || files.load()).await;
            match loaded.map_err(anyhow::Error::from).and_then(|loaded| loaded) {
                Ok((identity, config)) => {
                    if identity != last {
                        tracing::info!("the certificate was loaded again");
                        last = identity;
                        out.send_replace(config);
                    }
                    complained = false;
                }
                Err(error) if !complained => {
                    metrics.tls_failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("{error:#}; the certificate that was loaded before stays in use");
                    complained = true;
                }
                Err(_) => {}
            }
        }
    }
}
