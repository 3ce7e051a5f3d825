//! containerd's own interface, for what the kubelet's has no calls for: taking an image that comes from no registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use image::archive::Archived;
use image::oci::Descriptor;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};

/// The generated messages and clients.
#[allow(missing_docs, clippy::all)]
mod proto {
    pub mod content {
        tonic::include_proto!("containerd.services.content.v1");
    }
    pub mod images {
        tonic::include_proto!("containerd.services.images.v1");
    }
    pub mod leases {
        tonic::include_proto!("containerd.services.leases.v1");
    }
}

use proto::content::content_client::ContentClient;
use proto::content::{WriteAction, WriteContentRequest};
use proto::images::images_client::ImagesClient;
use proto::leases::leases_client::LeasesClient;

/// Kubernetes' images are here.
const NAMESPACE: &str = "k8s.io";
/// Bytes of content in one message.
const CHUNK: usize = 1 << 20;
/// By these labels the collector of garbage knows what belongs together.
const GC_CONFIG: &str = "containerd.io/gc.ref.content.config";
const GC_LAYER: &str = "containerd.io/gc.ref.content.l";
const GC_MANIFEST: &str = "containerd.io/gc.ref.content.m";
/// When a lease ends that nobody ends.
const GC_EXPIRE: &str = "containerd.io/gc.expire";
/// How long an import may take.
const LEASE: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// A client of the node's containerd.
#[derive(Clone)]
pub struct Containerd {
    channel: Channel,
}

impl Containerd {
    /// A client of the containerd behind a socket; nothing is connected yet.
    pub fn new(socket: &Path) -> Self {
        Self {
            channel: super::unix_channel(socket, None),
        }
    }

    /// Takes an image: its content, then its name. Other platforms of it are left out where the archive has none of them.
    ///
    /// # Errors
    /// containerd does not answer, or content is not what its digest says.
    pub async fn import(&self, image: &Archived) -> anyhow::Result<()> {
        let lease = self.lease().await?;
        let taken = self.take(image, &lease).await;
        // Without it the lease ends by itself, later.
        let end = proto::leases::DeleteRequest { id: lease.clone() };
        if let Err(error) = LeasesClient::new(self.channel.clone()).delete(request(end, "")).await {
            tracing::debug!(%error, "the lease of an import stays for a while");
        }
        taken
    }

    async fn lease(&self) -> anyhow::Result<String> {
        let id = format!("keelson-import-{}", pki::tokens::random_lowercase(16)?);
        let until = jiff::Timestamp::now() + LEASE;
        let create = proto::leases::CreateRequest {
            id: id.clone(),
            labels: BTreeMap::from([(GC_EXPIRE.to_owned(), until.to_string())]),
        };
        let created = LeasesClient::new(self.channel.clone())
            .create(request(create, ""))
            .await;
        created.context("ask containerd for a lease")?;
        Ok(id)
    }

    async fn take(&self, image: &Archived, lease: &str) -> anyhow::Result<()> {
        let blob = |descriptor: &Descriptor| image.layout.blob_path(&descriptor.digest);
        let manifest = &image.manifest;
        for part in manifest.layers.iter().chain([&manifest.config]) {
            self.write(part, blob(part), BTreeMap::new(), lease).await?;
        }
        let layers = manifest.layers.iter().enumerate();
        let layers = layers.map(|(number, layer)| (format!("{GC_LAYER}.{number}"), layer.digest.to_string()));
        let config = (GC_CONFIG.to_owned(), manifest.config.digest.to_string());
        let labels = layers.chain([config]).collect();
        self.write(&image.descriptor, blob(&image.descriptor), labels, lease)
            .await?;
        if image.target.digest != image.descriptor.digest {
            let labels = BTreeMap::from([(format!("{GC_MANIFEST}.0"), image.descriptor.digest.to_string())]);
            self.write(&image.target, blob(&image.target), labels, lease).await?;
        }
        self.name(image, lease).await
    }

    /// Writes one piece of content; what is there already is kept.
    async fn write(
        &self,
        descriptor: &Descriptor,
        file: PathBuf,
        labels: BTreeMap<String, String>,
        lease: &str,
    ) -> anyhow::Result<()> {
        let what = || format!("give containerd {}", descriptor.digest);
        let expected = descriptor.digest.to_string();
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: format!("{lease}-{expected}"),
            total: i64::try_from(descriptor.size)?,
            expected: expected.clone(),
            labels,
            ..Default::default()
        };
        let (sender, receiver) = mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || send(&file, first, &sender));
        let mut client = ContentClient::new(self.channel.clone());
        let answers = client.write(request(ReceiverStream::new(receiver), lease)).await;
        let outcome = match answers {
            Ok(answers) => committed(answers.into_inner(), &expected).await,
            Err(status) => Err(status),
        };
        match outcome {
            Ok(true) => reading.await.context("read a file")?.with_context(what),
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            Err(status) => Err(status).with_context(what),
            Ok(false) => {
                reading.await.context("read a file")?.with_context(what)?;
                bail!("{}: it was not taken", what())
            }
        }
    }

    async fn name(&self, image: &Archived, lease: &str) -> anyhow::Result<()> {
        let named = proto::images::ImageRequest {
            image: Some(proto::images::Image {
                name: image.name.clone(),
                labels: BTreeMap::new(),
                target: Some(proto::images::Descriptor {
                    media_type: image.target.media_type.clone(),
                    digest: image.target.digest.to_string(),
                    size: i64::try_from(image.target.size)?,
                }),
            }),
        };
        let mut client = ImagesClient::new(self.channel.clone());
        let outcome = match client.create(request(named.clone(), lease)).await {
            Err(status) if status.code() == Code::AlreadyExists => client.update(request(named, lease)).await,
            outcome => outcome,
        };
        outcome
            .map(drop)
            .with_context(|| format!("name the image {}", image.name))
    }
}

/// Whether containerd has taken the content.
async fn committed(
    mut answers: tonic::Streaming<proto::content::WriteContentResponse>,
    expected: &str,
) -> Result<bool, tonic::Status> {
    while let Some(answer) = answers.message().await? {
        if answer.action() == WriteAction::Commit {
            return Ok(answer.digest == expected);
        }
    }
    Ok(false)
}

/// Sends a file, piece by piece, and commits. The last message says how much there was, and by which digest to judge it.
fn send(file: &Path, first: WriteContentRequest, to: &mpsc::Sender<WriteContentRequest>) -> anyhow::Result<()> {
    let what = || format!("read {}", file.display());
    let mut open = File::open(file).with_context(what)?;
    let (total, expected, labels) = (first.total, first.expected.clone(), first.labels.clone());
    // A receiver that is gone has said why to whoever waits for the answer.
    let mut taken = to.blocking_send(first).is_ok();
    let mut offset = 0;
    while taken {
        let mut data = vec![0; CHUNK];
        let read = open.read(&mut data).with_context(what)?;
        if read == 0 {
            break;
        }
        data.truncate(read);
        let piece = WriteContentRequest {
            action: WriteAction::Write.into(),
            offset,
            data,
            ..Default::default()
        };
        offset += i64::try_from(read)?;
        taken = to.blocking_send(piece).is_ok();
    }
    let commit = WriteContentRequest {
        action: WriteAction::Commit.into(),
        total,
        expected,
        offset,
        labels,
        ..Default::default()
    };
    let _ = to.blocking_send(commit);
    Ok(())
}

/// A call in the namespace of Kubernetes' images, what it makes held by a lease.
fn request<T>(message: T, lease: &str) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("containerd-namespace", MetadataValue::from_static(NAMESPACE));
    if let (false, Ok(lease)) = (lease.is_empty(), lease.parse()) {
        metadata.insert("containerd-lease", lease);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_sent_in_order_and_committed_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blob");
        std::fs::write(&file, vec![7; CHUNK + 5]).unwrap();
        let (sender, mut receiver) = mpsc::channel(8);
        let first = WriteContentRequest {
            expected: "sha256:00".into(),
            total: 12,
            ..Default::default()
        };
        tokio::task::spawn_blocking(move || send(&file, first, &sender))
            .await
            .unwrap()
            .unwrap();
        let mut sent = Vec::new();
        while let Some(message) = receiver.recv().await {
            sent.push((message.action(), message.offset, message.data.len(), message.expected));
        }
        let end = i64::try_from(CHUNK + 5).unwrap();
        let none = String::new();
        assert_eq!(
            sent[1..3],
            [
                (WriteAction::Write, 0, CHUNK, none.clone()),
                (WriteAction::Write, end - 5, 5, none)
            ]
        );
        assert_eq!(sent[3], (WriteAction::Commit, end, 0, "sha256:00".to_owned()));
    }

    #[test]
    fn calls_are_about_kubernetes_images() {
        let request = request((), "l");
        let said = |key: &str| request.metadata().get(key).and_then(|value| value.to_str().ok());
        assert_eq!(said("containerd-namespace"), Some("k8s.io"));
        assert_eq!(said("containerd-lease"), Some("l"));
    }
}
