//! `kubeconfig`: fetches the admin kubeconfig and merges it into the user's.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s::kubeconfig::Clash;
use pki::Secret;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Kubeconfig;
use crate::commands::files;
use crate::commands::reading::{self, kind};
use crate::output::{note, print_bytes};
use crate::session::{Session, Target, block, failed};

/// Name of the file in the archive that nodes send.
const NAME: &str = "kubeconfig";

/// Runs `kubeconfig`.
pub fn run(command: &Node<Kubeconfig>, program: Program) -> Result<()> {
    let args = &command.args;
    block(async {
        let session = Session::open(&command.client, program)?;
        let fetched = fetch(session.single("kubeconfig")?).await?;
        if args.path.as_deref() == Some("-") {
            return Ok(print_bytes(&fetched)?);
        }
        store(&fetched, &destination(args.path.as_deref())?, args)
    })
}

/// The admin kubeconfig as a node makes it.
pub async fn fetch(target: &Target) -> Result<Vec<u8>> {
    let wrong = |status| failed(&status).context("error copying kubeconfig");
    let mut stream = target
        .client
        .machine()
        .kubeconfig(())
        .await
        .map_err(wrong)?
        .into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(wrong)?;
        if let Some(error) = piece.metadata.filter(|metadata| !metadata.error.is_empty()) {
            bail!("error copying kubeconfig: {}", error.error);
        }
        bytes.extend(piece.bytes);
    }
    unpack(bytes)
}

/// The Kubernetes API with the admin's rights, as a node's kubeconfig says; at another server if one is named.
pub async fn client(target: &Target, server: Option<&str>, timeout: Duration) -> Result<k8s::Client> {
    let mut clients = clients(target, &[server], timeout).await?;
    clients.pop().context("there is no server to connect to")
}

/// The same at several servers; `None` is the one that the kubeconfig names.
pub async fn clients(target: &Target, servers: &[Option<&str>], timeout: Duration) -> Result<Vec<k8s::Client>> {
    let text = tokio::time::timeout(timeout, fetch(target))
        .await
        .context("no answer")??;
    let mut options = k8s::Kubeconfig::parse(&text)?.options(None)?;
    options.timeout = timeout;
    options.resolver = Some(Arc::new(|host| {
        Box::pin(async move {
            let lookup = move || dns::Resolver::from_system().resolve(&host);
            let found = tokio::task::spawn_blocking(lookup)
                .await
                .map_err(std::io::Error::other)?;
            found.map_err(std::io::Error::other)
        })
    }));
    let at = |server: &Option<&str>| {
        let mut options = options.clone();
        if let Some(server) = server {
            (*server).clone_into(&mut options.server);
        }
        Ok(k8s::Client::with(options)?)
    };
    servers.iter().map(at).collect()
}

/// The file out of a compressed archive; plain text is taken as it is.
fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
    for entry in archive.entries().context("read the archive with the kubeconfig")? {
        let mut entry = entry.context("read the archive with the kubeconfig")?;
        if entry.path()?.file_name().is_some_and(|name| name == NAME) {
            let mut file = Vec::new();
            entry.read_to_end(&mut file)?;
            return Ok(file);
        }
    }
    bail!("the node sent an archive without a file named \"{NAME}\"")
}

fn destination(path: Option<&str>) -> Result<PathBuf> {
    if let Some(path) = path {
        let path = PathBuf::from(path);
        return Ok(if path.is_dir() { path.join(NAME) } else { path });
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    if let Some(first) = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty()) {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").context("find the home folder: HOME is not set; name a file")?;
    Ok(Path::new(&home).join(".kube/config"))
}

/// Merges into the user's kubeconfig; what is there of the same names is replaced.
pub fn replace_in_default(fetched: &[u8]) -> Result<PathBuf> {
    let path = destination(None)?;
    store(
        fetched,
        &path,
        &Kubeconfig {
            path: None,
            force: true,
            force_context_name: None,
            merge: true,
        },
    )?;
    Ok(path)
}

/// Merges into the file, or writes it.
fn store(fetched: &[u8], path: &Path, args: &Kubeconfig) -> Result<()> {
    let mut new = k8s::Kubeconfig::parse(fetched).context("read the kubeconfig of the node")?;
    if let Some(name) = &args.force_context_name {
        new.rename_context(name);
    }
    if !args.merge || !path.exists() {
        if path.exists() && !args.force {
            bail!(
                "kubeconfig file already exists, use --force to overwrite: \"{}\"",
                path.display()
            );
        }
        let text = if args.force_context_name.is_some() {
            new.encode()?
        } else {
            Secret::new(fetched)
        };
        return files::write(path, text.expose(), true);
    }
    let old = reading::file(path, kind::KUBECONFIG)?;
    let mut merged = k8s::Kubeconfig::parse(&old).with_context(|| {
        let shown = path.display();
        format!("read the kubeconfig {shown}, to add the cluster to it (or name another file)")
    })?;
    for rename in merged.merge(&new, if args.force { Clash::Overwrite } else { Clash::Rename }) {
        note(&format!("renamed \"{}\" -> \"{}\"", rename.from, rename.to));
    }
    files::write(path, merged.encode()?.expose(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_taken_out_of_the_archive() {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        builder.append_data(&mut header, "kubeconfig", &b"yaml"[..]).unwrap();
        let archive = builder.into_inner().unwrap().finish().unwrap();
        assert_eq!(unpack(archive).unwrap(), b"yaml");
        assert_eq!(unpack(b"plain".to_vec()).unwrap(), b"plain");
    }
}
