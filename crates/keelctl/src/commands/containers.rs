//! `containers` and `image list`.

use anyhow::{Result, bail};
use api::client::Client;
use api::proto::common::{ContainerDriver, ContainerdInstance, ContainerdNamespace};
use api::proto::machine::{ContainerInfo, ContainersRequest, ImageListRequest, ImageServiceListRequest};
use futures::StreamExt as _;
use tonic::{Code, Status};

use crate::Program;
use crate::cli::common::{ClientFlags, Node};
use crate::cli::node::Containers;
use crate::output::age::{rfc3339, timestamp};
use crate::output::{print, size, table::Table};
use crate::session::{Session, block};

/// Namespace of the system's containers.
pub const SYSTEM: &str = "system";
/// Namespace of Kubernetes' containers.
pub const KUBERNETES: &str = "k8s.io";

/// Namespace and driver of either kind of containers.
pub fn place(kubernetes: bool) -> (String, ContainerDriver) {
    if kubernetes {
        (KUBERNETES.into(), ContainerDriver::Cri)
    } else {
        (SYSTEM.into(), ContainerDriver::Containerd)
    }
}

/// Runs `containers`.
pub fn run(command: &Node<Containers>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (namespace, driver) = place(command.args.kubernetes);
        let (answers, failures) = session
            .each(async |client| {
                let request = ContainersRequest {
                    namespace: namespace.clone(),
                    driver: driver.into(),
                };
                let response = client.machine().containers(request).await?.into_inner();
                Ok(response
                    .messages
                    .into_iter()
                    .flat_map(|message| message.containers)
                    .collect::<Vec<_>>())
            })
            .await;
        print(&render(answers))?;
        failures.into_result()
    })
}

fn render(answers: Vec<(String, Vec<ContainerInfo>)>) -> String {
    let mut table = Table::new(["NODE", "NAMESPACE", "ID", "IMAGE", "PID", "STATUS"]);
    for (node, mut containers) in answers {
        containers.sort_by(|left, right| left.id.cmp(&right.id));
        for c in containers {
            let id = if c.pod_id.is_empty() || c.id == c.pod_id {
                c.id
            } else {
                format!("└─ {}", c.id)
            };
            table.row([node.clone(), c.namespace, id, c.image, c.pid.to_string(), c.status]);
        }
    }
    table.render()
}

struct Image {
    name: String,
    digest: String,
    size: i64,
    created: Option<prost_types::Timestamp>,
}

/// Runs `image list`.
pub fn images(flags: &ClientFlags, program: Program, namespace: &str) -> Result<()> {
    let namespace = match namespace {
        "cri" => ContainerdNamespace::NsCri,
        "system" => ContainerdNamespace::NsSystem,
        "inmem" => ContainerdNamespace::NsUnknown,
        other => bail!("namespace \"{other}\" is not known (system, cri or inmem)"),
    };
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
    let containerd = ContainerdInstance {
        driver: ContainerDriver::Cri.into(),
        namespace: namespace.into(),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_print_as_captured_and_those_of_pods_are_indented() {
        let container = |id: &str, pod: &str, pid| ContainerInfo {
            namespace: "system".into(),
            id: id.into(),
            pid,
            status: "RUNNING".into(),
            pod_id: pod.into(),
            ..ContainerInfo::default()
        };
        let captured = include_str!("../../tests/vectors/cli/containers.txt")
            .strip_suffix("exit 0\n")
            .unwrap();
        let system = vec![container("trustd", "trustd", 264), container("apid", "apid", 198)];
        assert_eq!(render(vec![("127.0.0.1".into(), system)]), captured);
        let captured = include_str!("../../tests/vectors/cli/containers_-k.txt")
            .strip_suffix("exit 0\n")
            .unwrap();
        assert_eq!(render(vec![]), captured);
        let pod = vec![
            container("kube-system/x", "kube-system/x", 1),
            container("kube-system/x:c", "kube-system/x", 2),
        ];
        assert!(render(vec![("n".into(), pod)]).contains("└─ kube-system/x:c"));
    }
}
