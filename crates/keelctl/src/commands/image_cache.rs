//! `image cache-create` and `image cache-serve`: images in a folder, for machines that reach no registry.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use image::ImageRef;
use image::flat;
use image::oci::{Layout, Platform};
use image::pull::{Copying, Endpoint, Puller, Source};
use image::registry::{Options, Registry, serve_with};
use pki::{CertAndKey, Secret, tls};
use tokio::net::TcpListener;

use crate::cli::image::{CacheCreate, CacheLayout, CacheServe};
use crate::commands::reading::{self, kind};
use crate::interruption::unless_interrupted;
use crate::output::{note, print};
use crate::session::block;

/// Where the certificates of public authorities are, on the usual systems.
const ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Runs `image cache-create`.
pub fn create(args: &CacheCreate) -> Result<()> {
    if args.images.is_empty() {
        bail!("name the images with --images; `image k8s-bundle` lists those of a Kubernetes cluster");
    }
    let folder = &args.image_cache_path;
    let used = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if used && !args.force {
        bail!("{} is not empty: say --force to add to it", folder.display());
    }
    check_layout(folder, args.layout)?;
    // The flat layout is made of an ordinary one, beside it: in the same file system blobs need not be copied.
    let beside = match args.layout {
        CacheLayout::Oci => None,
        CacheLayout::Flat => Some(work_folder(folder)?),
    };
    let layout = Layout::create(beside.as_ref().map_or(folder.as_path(), |work| work.path()))?;
    let kept = args.image_layer_cache_path.as_ref().map(Layout::create).transpose()?;
    let copying = Copying {
        platforms: args.platform.iter().map(|text| platform(text)).collect::<Result<_>>()?,
        signatures: args.cosign_signatures,
        kept,
    };
    let puller = puller(&args.images, args.insecure)?;
    block(unless_interrupted(async {
        for image in &args.images {
            let copied = puller.copy(image, &layout, &copying, &|_| {}).await?;
            note(&format!("{image}: {copied}"));
        }
        if beside.is_some() {
            flat::add(&layout, folder)?;
        }
        let count = layout.index()?.manifests.len();
        let has = if beside.is_some() { "was given" } else { "has" };
        note(&format!("{} {has} {count} images", folder.display()));
        Ok(())
    }))
}

/// One folder has one layout.
fn check_layout(folder: &Path, wanted: CacheLayout) -> Result<()> {
    let (is_oci, is_flat) = (Layout::at(folder).index_path().exists(), flat::is_flat(folder));
    match wanted {
        CacheLayout::Oci if is_flat => bail!("{} is laid out flat: add to it with --layout flat", folder.display()),
        CacheLayout::Flat if is_oci => bail!("{} is an OCI layout: add to it with --layout oci", folder.display()),
        _ => Ok(()),
    }
}

/// A folder beside another one that goes when it is dropped.
fn work_folder(folder: &Path) -> Result<tempfile::TempDir> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let what = || format!("create a folder in {}", parent.display());
    std::fs::create_dir_all(parent).with_context(what)?;
    let mut name = tempfile::Builder::new();
    name.prefix(".image-cache-").tempdir_in(parent).with_context(what)
}

fn platform(text: &str) -> Result<Platform> {
    match text.split('/').collect::<Vec<_>>()[..] {
        [os, architecture] if !os.is_empty() && !architecture.is_empty() => Ok(Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
        }),
        _ => bail!("\"{text}\" is no platform: linux/amd64 is one"),
    }
}

/// A puller that trusts who this machine trusts; if told so, it asks registries without TLS first.
fn puller(images: &[String], insecure: bool) -> Result<Puller> {
    let mut puller = Puller::new(Arc::new(tls::client_config_with(roots()?, None)?));
    if insecure {
        for image in images {
            let image: ImageRef = image.parse()?;
            let plain = Endpoint::new(format!("http://{}", image.registry));
            let source = Source {
                endpoints: vec![plain],
                ..Source::default()
            };
            puller.add_registry(image.registry, source);
        }
    }
    Ok(puller)
}

/// Authorities as `SSL_CERT_FILE` names them, or as the system has them; none where there are none.
fn roots() -> Result<rustls::RootCertStore> {
    let named = std::env::var_os("SSL_CERT_FILE")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let usual = || ROOTS.map(PathBuf::from).into_iter().find(|path| path.exists());
    let Some(path) = named.or_else(usual) else {
        return Ok(rustls::RootCertStore::empty());
    };
    let bytes = std::fs::read(&path).with_context(|| format!("read the authorities in {}", path.display()))?;
    tls::roots(&bytes).with_context(|| format!("read the authorities in {}", path.display()))
}

/// Runs `image cache-serve`.
pub fn serve(args: &CacheServe) -> Result<()> {
    let folder = &args.image_cache_path;
    let is_flat = flat::is_flat(folder);
    if !is_flat && !Layout::at(folder).index_path().exists() {
        bail!(
            "there is no cache of images in {}: make one with `image cache-create`",
            folder.display()
        );
    }
    let tls = match (&args.tls_cert_file, &args.tls_key_file) {
        (Some(crt), Some(key)) => Some(identity(crt, key)?),
        (None, None) => None,
        _ => bail!("--tls-cert-file and --tls-key-file belong together"),
    };
    // What registries serve is made of a flat one with links, as it is now.
    let links = is_flat.then(tempfile::tempdir).transpose().context("create a folder")?;
    let layout = match &links {
        Some(links) => flat::open(folder, links.path())?.root().to_owned(),
        None => folder.clone(),
    };
    let options = Options {
        layout: Some(layout),
        ..Options::default()
    };
    let registry = Registry::new(options).with_context(|| format!("open {}", folder.display()))?;
    block(async {
        let listener = TcpListener::bind(&args.address).await;
        let listener = listener.with_context(|| format!("listen on {}", args.address))?;
        let address = listener.local_addr().context("find the address")?;
        print(&patch(address, tls.is_some(), &args.mirror))?;
        note(&format!("serving {} on {address}", folder.display()));
        let cancel = tokio_util::sync::CancellationToken::new();
        unless_interrupted(async { Ok(serve_with(listener, registry, tls, cancel).await?) }).await
    })
}

fn identity(crt: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>> {
    let identity = CertAndKey {
        crt: reading::file(crt, kind::CERTIFICATE)?,
        key: Secret::new(reading::file(key, kind::KEY)?),
    };
    let config = tls::server_config(&identity, None).context("use the certificate and key")?;
    let mut config = rustls::ServerConfig::clone(&config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The patch of a machine configuration that has nodes pull from here.
fn patch(address: SocketAddr, is_tls: bool, registries: &[String]) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let document = |registry: &String| {
        format!(
            "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: {registry}\nendpoints:\n  - url: {scheme}://{address}\n"
        )
    };
    registries.iter().map(document).collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_the_server_for_every_registry() {
        let text = patch(
            "10.5.0.1:3172".parse().unwrap(),
            true,
            &["docker.io".into(), "ghcr.io".into()],
        );
        let config = config::patch::Patch::load(text.as_bytes());
        assert!(config.is_ok(), "{text}");
        assert_eq!(text.matches("https://10.5.0.1:3172").count(), 2);
    }

    #[test]
    fn platforms_have_two_parts() {
        assert_eq!(platform("linux/arm64").unwrap().architecture, "arm64");
        for wrong in ["linux", "linux/", "linux/arm/v7"] {
            assert!(platform(wrong).is_err(), "{wrong}");
        }
    }
}
