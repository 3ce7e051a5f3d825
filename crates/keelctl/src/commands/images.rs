//! `image list`, `image pull` and `image remove`.

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use api::client::Client;
use api::proto::common::{ContainerDriver, ContainerdInstance, ContainerdNamespace, Data};
use api::proto::machine::image_service_import_request::Request;
use api::proto::machine::image_service_pull_response::Response;
use api::proto::machine::{
    ImageListRequest, ImagePullRequest, ImageServiceImportRequest, ImageServiceListRequest, ImageServicePullRequest,
    ImageServiceRemoveRequest,
};
use futures::StreamExt as _;
use tonic::{Code, Status};

use crate::Program;
use crate::cli::common::ClientFlags;
use crate::commands::reading::{self, kind};
use crate::output::age::{rfc3339, timestamp};
use crate::output::{note, print, size, table::Table};
use crate::session::{Session, block};

/// Bytes of an archive in one message.
const CHUNK: usize = 256 * 1024;

/// The namespace of images that a flag names.
pub fn known(namespace: &str) -> Result<ContainerdNamespace> {
    match namespace {
        "cri" => Ok(ContainerdNamespace::NsCri),
        "system" => Ok(ContainerdNamespace::NsSystem),
        "inmem" => Ok(ContainerdNamespace::NsUnknown),
        other => bail!("namespace \"{other}\" is not known (system, cri or inmem)"),
    }
}

/// The same as the newer calls take it.
pub fn instance(namespace: ContainerdNamespace) -> ContainerdInstance {
    ContainerdInstance {
        driver: ContainerDriver::Cri.into(),
        namespace: namespace.into(),
    }
}

/// Runs `image pull`.
pub fn pull(flags: &ClientFlags, program: Program, image: &str, namespace: &str) -> Result<()> {
    let namespace = known(namespace)?;
    block(async {
        let session = Session::open(flags, program)?;
        let (pulled, failures) = session
            .each(|client| pull_on(client, namespace, image.to_owned()))
            .await;
        for (node, name) in pulled {
            note(&format!("{node}: pulled {name}"));
        }
        failures.into_result()
    })
}

/// Pulls an image on one node; gives the name under which it is there.
pub async fn pull_on(client: Client, namespace: ContainerdNamespace, image: String) -> Result<String, Status> {
    let request = ImageServicePullRequest {
        containerd: Some(instance(namespace)),
        image_ref: image.clone(),
    };
    let mut stream = match client.image().pull(request).await {
        Ok(stream) => stream.into_inner(),
        // Nodes before v1.13 have the call in another service.
        Err(status) if status.code() == Code::Unimplemented => {
            let request = ImagePullRequest {
                namespace: namespace.into(),
                reference: image.clone(),
            };
            return client.machine().image_pull(request).await.map(|_| image);
        }
        Err(status) => return Err(status),
    };
    let mut name = image;
    while let Some(event) = stream.next().await {
        if let Some(Response::Name(pulled)) = event?.response {
            name = pulled;
        }
    }
    Ok(name)
}

/// Runs `image import`.
pub fn import(flags: &ClientFlags, program: Program, archive: &Path, namespace: &str) -> Result<()> {
    let namespace = known(namespace)?;
    reading::open(archive, kind::IMAGE)?;
    block(async {
        let session = Session::open(flags, program)?;
        let (imported, failures) = session
            .each(async |client| import_on(&client, namespace, archive).await)
            .await;
        for (node, name) in imported {
            note(&format!("{node}: imported {name}"));
        }
        failures.into_result()
    })
}

/// Uploads an archive of an image to one node; gives the name under which it is there.
pub async fn import_on(client: &Client, namespace: ContainerdNamespace, archive: &Path) -> Result<String, Status> {
    let told = |error: anyhow::Error| Status::invalid_argument(format!("{error:#}"));
    let mut file = reading::open(archive, kind::IMAGE).map_err(told)?;
    let broken = Arc::new(Mutex::new(None));
    let keep = broken.clone();
    let first = Request::Containerd(instance(namespace));
    let chunks = std::iter::from_fn(move || {
        let mut bytes = vec![0; CHUNK];
        let read = file.read(&mut bytes).unwrap_or_else(|error| {
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            0
        });
        bytes.truncate(read);
        let data = Data { metadata: None, bytes };
        (read > 0).then_some(Request::ImageChunk(data))
    });
    let requests = std::iter::once(first).chain(chunks);
    let requests = requests.map(|request| ImageServiceImportRequest { request: Some(request) });
    let answer = client.image().import(futures::stream::iter(requests)).await;
    // The node only sees an archive that is not whole.
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    match broken {
        Some(error) => Err(told(reading::failed(archive, kind::IMAGE, error))),
        None => Ok(answer?.into_inner().name),
    }
}

/// Runs `image remove`.
pub fn remove(flags: &ClientFlags, program: Program, image: &str, namespace: &str) -> Result<()> {
    let namespace = known(namespace)?;
    block(async {
        let session = Session::open(flags, program)?;
        let request = ImageServiceRemoveRequest {
            containerd: Some(instance(namespace)),
            image_ref: image.to_owned(),
        };
        let (removed, failures) = session
            .each(async |client| client.image().remove(request.clone()).await)
            .await;
        for (node, _) in removed {
            note(&format!("{node}: removed {image}"));
        }
        failures.into_result()
    })
}

struct Image {
    name: String,
    digest: String,
    size: i64,
    created: Option<prost_types::Timestamp>,
}

/// Runs `image list`.
pub fn list(flags: &ClientFlags, program: Program, namespace: &str) -> Result<()> {
    let namespace = known(namespace)?;
    block(async {
        let session = Session::open(flags, program)?;
        let (answers, failures) = session.each(|client| list_images(client, namespace)).await;
        if answers.iter().any(|(_, images)| !images.is_empty()) {
            let mut table = Table::new(["NODE", "IMAGE", "DIGEST", "SIZE", "CREATED"]);
            for (node, images) in answers {
                for image in images {
                    let size = size::decimal(u64::try_from(image.size).unwrap_or_default());
                    let created = image
                        .created
                        .map(|t| rfc3339(timestamp(t.seconds, t.nanos)))
                        .unwrap_or_default();
                    table.row([node.clone(), image.name, image.digest, size, created]);
                }
            }
            print(&table.render())?;
        }
        failures.into_result()
    })
}

async fn list_images(client: Client, namespace: ContainerdNamespace) -> Result<Vec<Image>, Status> {
    let containerd = instance(namespace);
    let mut images = Vec::new();
    match client
        .image()
        .list(ImageServiceListRequest {
            containerd: Some(containerd),
        })
        .await
    {
        Ok(response) => {
            let mut stream = response.into_inner();
            while let Some(image) = stream.next().await {
                let i = image?;
                images.push(Image {
                    name: i.name,
                    digest: i.digest,
                    size: i.size,
                    created: i.created_at,
                });
            }
        }
        // Nodes before v1.13 have the call in another service.
        Err(status) if status.code() == Code::Unimplemented => {
            let request = ImageListRequest {
                namespace: namespace.into(),
            };
            let mut stream = client.machine().image_list(request).await?.into_inner();
            while let Some(image) = stream.next().await {
                let i = image?;
                images.push(Image {
                    name: i.name,
                    digest: i.digest,
                    size: i.size,
                    created: i.created_at,
                });
            }
        }
        Err(status) => return Err(status),
    }
    images.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(images)
}
