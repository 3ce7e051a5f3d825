//! `containers`.

use anyhow::Result;
use api::proto::common::ContainerDriver;
use api::proto::machine::{ContainerInfo, ContainersRequest};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Containers;
use crate::output::{print, table::Table};
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

/// A container's id in a table: below its pod, if it is in one.
pub fn shown(id: String, pod: &str) -> String {
    if pod.is_empty() || id == pod {
        id
    } else {
        format!("└─ {id}")
    }
}

/// Containers of nodes, a line each.
pub fn render(answers: Vec<(String, Vec<ContainerInfo>)>) -> String {
    let mut table = Table::new(["NODE", "NAMESPACE", "ID", "IMAGE", "PID", "STATUS"]);
    for (node, mut containers) in answers {
        containers.sort_by(|left, right| left.id.cmp(&right.id));
        for c in containers {
            let id = shown(c.id, &c.pod_id);
            table.row([node.clone(), c.namespace, id, c.image, c.pid.to_string(), c.status]);
        }
    }
    table.render()
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
