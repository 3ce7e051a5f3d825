//! From options to nodes with names and addresses; nothing is made yet.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::names::Names;
use crate::options::{CreateOptions, DockerImage, Provider, Resources, invalid};

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs etcd and the control plane.
    ControlPlane,
    /// Runs pods.
    Worker,
}

impl Role {
    /// As machine configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Role::ControlPlane => "controlplane",
            Role::Worker => "worker",
        }
    }
}

/// A node to be.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// `CLUSTER-controlplane-1`; also its host name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it may use.
    pub resources: Resources,
    /// Its machine configuration; without one it starts in maintenance mode.
    pub config: Option<Vec<u8>>,
}

/// A cluster to be: give its nodes their configuration, then [`crate::create`] it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The options it was made from.
    pub options: CreateOptions,
    /// The nodes, control planes first.
    pub nodes: Vec<NodePlan>,
}

/// Host names end here (RFC 1035), and the longest ending we add is `-controlplane-999`.
const NAME_MAX: usize = 63 - 17;

impl Plan {
    /// Checks the options and lays the nodes out.
    pub fn new(mut options: CreateOptions) -> Result<Plan> {
        check_name(&options.name)?;
        options.state_dir = absolute(&options.state_dir)?;
        let image = match &mut options.provider {
            Provider::Native { image } => Some(image),
            Provider::Docker { docker } => match &mut docker.image {
                DockerImage::Archive(archive) => Some(archive),
                DockerImage::Reference(_) => None,
            },
        };
        if let Some(image) = image {
            *image = absolute(image)?;
            if !image.exists() {
                let reason =
                    "there is no such file or folder (`cargo xtask dist` makes dist/rootfs.sqsh and dist/node.tar)";
                return Err(invalid(format!("node image {}", image.display()), reason));
            }
        }
        options.registry = options.registry.as_deref().map(absolute).transpose()?;
        options.discovery = options.discovery.as_deref().map(absolute).transpose()?;
        let count = options.controlplanes + options.workers;
        if count == 0 {
            return Err(invalid("controlplanes 0, workers 0", "a cluster needs a node"));
        }
        let room = options.subnet.room().min(999);
        if count > room {
            return Err(invalid(
                format!("{count} nodes"),
                format!("the network {} has room for {room}", options.subnet),
            ));
        }
        if let Some(layout) = options
            .registry
            .as_ref()
            .filter(|layout| !layout.join("index.json").exists())
        {
            return Err(invalid(
                format!("registry {}", layout.display()),
                "is not an OCI layout: it has no index.json",
            ));
        }
        if let Some(program) = options.discovery.as_ref().filter(|program| !program.is_file()) {
            return Err(invalid(
                format!("discovery service {}", program.display()),
                "there is no such program (`cargo xtask dist` makes dist/keelson-discovery)",
            ));
        }
        let roles = std::iter::repeat_n(Role::ControlPlane, options.controlplanes)
            .enumerate()
            .chain(std::iter::repeat_n(Role::Worker, options.workers).enumerate());
        let nodes = roles.enumerate().map(|(index, (number, role))| NodePlan {
            name: format!("{}-{}-{}", options.name, role.name(), number + 1),
            role,
            address: options.subnet.node(index),
            resources: if role == Role::ControlPlane {
                options.controlplane
            } else {
                options.worker
            },
            config: None,
        });
        Ok(Plan {
            nodes: nodes.collect(),
            options,
        })
    }

    /// The names of the cluster's things.
    pub fn names(&self) -> Names {
        Names::of(&self.options.state_dir, &self.options.name)
    }

    /// The addresses of the control planes.
    pub fn controlplanes(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.nodes
            .iter()
            .filter(|node| node.role == Role::ControlPlane)
            .map(|node| node.address)
    }
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let good = !name.is_empty()
        && name.len() <= NAME_MAX
        && name.chars().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if good {
        return Ok(());
    }
    let reason = format!("use at most {NAME_MAX} letters, digits, '-', '_' and '.', beginning with a letter or digit");
    Err(invalid(format!("cluster name {name:?}"), reason))
}

pub(crate) fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf> {
    let what = || format!("path {}", path.display());
    let absolute = std::path::absolute(path).map_err(|error| invalid(what(), error.to_string()))?;
    // As far as it is there, without links, so that the same folder always gives the same names.
    let absolute = absolute.canonicalize().unwrap_or(absolute);
    if absolute
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|byte| b",:\\".contains(byte))
    {
        return Err(invalid(
            what(),
            "a path with a comma, colon or backslash cannot be part of an overlay mount",
        ));
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_planes_come_first_from_the_second_address_on() {
        let mut options = CreateOptions::new("demo", "/tmp", "/");
        (options.controlplanes, options.workers) = (2, 1);
        let plan = Plan::new(options).unwrap();
        let names: Vec<String> = plan
            .nodes
            .iter()
            .map(|node| format!("{} {}", node.name, node.address))
            .collect();
        assert_eq!(
            names,
            [
                "demo-controlplane-1 10.5.0.2",
                "demo-controlplane-2 10.5.0.3",
                "demo-worker-1 10.5.0.4"
            ]
        );
    }

    #[test]
    fn impossible_plans_are_refused_with_what_is_wrong() {
        let refuse = |change: &dyn Fn(&mut CreateOptions), part: &str| {
            let mut options = CreateOptions::new("demo", "/tmp", "/");
            change(&mut options);
            let error = Plan::new(options).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refuse(&|options| options.name = "../x".into(), "cluster name");
        refuse(&|options| options.name = "x".repeat(60), "at most 46");
        refuse(
            &|options| (options.controlplanes, options.workers) = (0, 0),
            "needs a node",
        );
        refuse(&|options| options.workers = 300, "has room for 253");
        refuse(
            &|options| {
                options.provider = Provider::Native {
                    image: "/no/such".into(),
                };
            },
            "/no/such",
        );
        refuse(&|options| options.registry = Some("/tmp".into()), "OCI layout");
        refuse(&|options| options.state_dir = "/a:b".into(), "colon");
    }
}
