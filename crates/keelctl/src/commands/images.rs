//! `image list`, `image pull` and `image remove`.

use anyhow::{Result, bail};
use api::client::Client;
use api::proto::common::{ContainerDriver, ContainerdInstance, ContainerdNamespace};
use api::proto::machine::image_service_pull_response::Response;
use api::proto::machine::{
    ImageListRequest, ImagePullRequest, ImageServiceListRequest, ImageServicePullRequest, ImageServiceRemoveRequest,
};
use futures::StreamExt as _;
use tonic::{Code, Status};

use crate::Program;
use crate::cli::common::ClientFlags;
use crate::output::age::{rfc3339, timestamp};
use crate::output::{note, print, size, table::Table};
use crate::session::{Session, block};

/// The namespace of images that a flag names.
pub fn known(namespace: &str) -> Result<ContainerdNamespace> {
    match namespace {
        "cri" => Ok(ContainerdNamespace::NsCri),
        "system" => Ok(ContainerdNamespace::NsSystem),
        "inmem" => Ok(ContainerdNamespace::NsUnknown),
        other => bail!("namespace \"{other}\" is not known (system, cri or inmem)"),
    }
}

fn instance(namespace: ContainerdNamespace) -> ContainerdInstance {
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
