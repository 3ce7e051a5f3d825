//! What an upgrade does, as a function of what there is: nodes and the version to go to in, steps in their order out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use config::Config;

use super::component::{Component, at_version, repository};
use super::removed;
use super::version::{PathError, Version, check_path, check_system};

/// A node as it is before the upgrade.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its address.
    pub address: String,
    /// Its name in Kubernetes.
    pub name: String,
    /// Whether the control plane runs on it.
    pub control_plane: bool,
    /// Version of its operating system.
    pub system: String,
    /// Its machine configuration.
    pub config: Config,
}

impl Node {
    /// Name and address, for people.
    pub fn label(&self) -> String {
        format!("{} ({})", self.name, self.address)
    }

    /// Components that the machine configuration of this node decides about.
    fn components(&self) -> impl Iterator<Item = (Component, String)> + '_ {
        let here = |component: &Component| self.control_plane || *component == Component::Kubelet;
        let all = Component::ALL.into_iter().filter(here);
        all.filter_map(|component| Some((component, component.image(&self.config)?)))
    }
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The version to go to.
    pub to: Version,
    /// The version that runs, where images do not tell it.
    pub from: Option<Version>,
    /// Upgrade kubelets too.
    pub kubelet: bool,
    /// Pull images before anything is changed.
    pub pull: bool,
    /// Other repositories than those that the configurations name.
    pub repositories: BTreeMap<Component, String>,
}

/// An image that is named by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Position of the node in [`Plan::nodes`].
    pub node: usize,
    /// Of what.
    pub component: Component,
    /// The image it has.
    pub from: String,
    /// The image it gets; the same if it has it already, and then it is only looked at.
    pub to: String,
}

impl Change {
    /// Whether something changes.
    pub fn is_one(&self) -> bool {
        self.from != self.to
    }
}

/// One step. Everything before it has been done, and all nodes are well, when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Pull the new images of a node.
    Pull {
        /// Position of the node.
        node: usize,
        /// What to pull.
        images: Vec<(Component, String)>,
    },
    /// Give a component on a node its new image.
    Component(Change),
    /// Give the service proxy its new image: in the configurations of all control planes, then on all nodes.
    Proxy(Vec<Change>),
    /// Apply the manifests of the cluster.
    Manifests,
}

impl Step {
    /// Whether it changes something. What the manifests change is known only when they are compared.
    pub fn changes(&self) -> bool {
        match self {
            Step::Pull { .. } | Step::Manifests => false,
            Step::Component(change) => change.is_one(),
            Step::Proxy(changes) => changes.iter().any(Change::is_one),
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The oldest version that runs.
    pub from: Version,
    /// The version to go to.
    pub to: Version,
    /// The nodes, control planes first.
    pub nodes: Vec<Node>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no way.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An image does not tell its version.
    #[error(
        "the image {image} of {component} on {node} does not tell a version: name the version that runs with --from"
    )]
    Unknown {
        /// Of what.
        component: Component,
        /// Where.
        node: String,
        /// Which.
        image: String,
    },
    /// A kubelet would be too old.
    #[error(
        "the kubelet of {node} is of {kubelet}, and an API server of {to} takes kubelets of the three minor versions before \
         it: upgrade kubelets too (without --upgrade-kubelet=false)"
    )]
    OldKubelet {
        /// Where.
        node: String,
        /// Its version.
        kubelet: Version,
        /// What was asked for.
        to: Version,
    },
    /// The new version does not know settings that are used.
    #[error("{to} would not start with what the machine configurations say; remove this first (`patch`):\n{}", lines(.settings))]
    Removed {
        /// What was asked for.
        to: Version,
        /// Which settings, and where.
        settings: Vec<String>,
    },
    /// There is no control plane.
    #[error("the cluster has no control plane among its nodes")]
    NoControlPlane,
}

fn lines(settings: &[String]) -> String {
    let lines: Vec<String> = settings.iter().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

impl Plan {
    /// Plans the upgrade of these nodes.
    ///
    /// # Errors
    /// There is no way, or the new version would not run with what is configured.
    pub fn new(mut nodes: Vec<Node>, wish: &Wish) -> Result<Plan, PlanError> {
        nodes.sort_by(|a, b| (!a.control_plane, &a.name).cmp(&(!b.control_plane, &b.name)));
        if !nodes.iter().any(|node| node.control_plane) {
            return Err(PlanError::NoControlPlane);
        }
        let from = check_versions(&nodes, wish)?;
        for node in &nodes {
            check_system(&node.name, &node.system, &wish.to)?;
        }
        check_settings(&nodes, &from, wish)?;
        let steps = steps(&nodes, wish);
        Ok(Plan {
            from,
            to: wish.to.clone(),
            nodes,
            steps,
        })
    }

    /// A step in words.
    pub fn describe(&self, step: &Step) -> String {
        let node = |index: usize| self.nodes.get(index).map(|node| node.name.as_str()).unwrap_or_default();
        match step {
            Step::Pull { node: index, images } => {
                let images: Vec<&str> = images.iter().map(|(_, image)| image.as_str()).collect();
                format!("{}: pull {}", node(*index), images.join(", "))
            }
            Step::Component(change) => format!("{}: {}", node(change.node), Words(change)),
            Step::Proxy(changes) => match changes.iter().find(|change| change.is_one()).or(changes.first()) {
                Some(change) => format!("all nodes: {}", Words(change)),
                None => String::new(),
            },
            Step::Manifests => "cluster: apply the manifests that differ".to_owned(),
        }
    }
}

/// A change in words: only the tags if the repository stays.
struct Words<'a>(&'a Change);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change {
            component, from, to, ..
        } = self.0;
        let tag = |image: &str| Version::of_image(image).map(|version| version.to_string());
        match (tag(from), tag(to)) {
            (_, Some(new)) if from == to => write!(f, "{component} has {new} already"),
            (Some(old), Some(new)) if repository(from) == repository(to) => write!(f, "{component} {old} -> {new}"),
            _ => write!(f, "{component} {from} -> {to}"),
        }
    }
}

/// The oldest version that runs; from it and from everything newer there must be a way.
fn check_versions(nodes: &[Node], wish: &Wish) -> Result<Version, PlanError> {
    let mut found = BTreeSet::new();
    for node in nodes {
        for (component, image) in node.components() {
            let version = match (Version::of_image(&image), &wish.from) {
                (Some(version), _) => version,
                (None, Some(from)) => from.clone(),
                (None, None) => {
                    let node = node.name.clone();
                    return Err(PlanError::Unknown { component, node, image });
                }
            };
            if component == Component::Kubelet && !wish.kubelet {
                check_skew(node, &version, &wish.to)?;
            } else {
                found.insert(version);
            }
        }
    }
    found.extend(wish.from.clone());
    for version in &found {
        check_path(version, &wish.to)?;
    }
    found.into_iter().next().ok_or(PlanError::NoControlPlane)
}

/// How many minor versions a kubelet may be behind.
const KUBELET_SKEW: u32 = 3;

fn check_skew(node: &Node, kubelet: &Version, to: &Version) -> Result<(), PlanError> {
    if kubelet.minor + KUBELET_SKEW >= to.minor {
        return Ok(());
    }
    Err(PlanError::OldKubelet {
        node: node.name.clone(),
        kubelet: kubelet.clone(),
        to: to.clone(),
    })
}

/// Settings that the versions on the way took away.
fn check_settings(nodes: &[Node], from: &Version, wish: &Wish) -> Result<(), PlanError> {
    let mut settings = Vec::new();
    for node in nodes {
        for (component, _) in node.components() {
            if component == Component::Kubelet && !wish.kubelet {
                continue;
            }
            let used = removed::used(component, &node.config, from, &wish.to);
            settings.extend(
                used.iter()
                    .map(|setting| format!("{}: {component}: {setting}", node.name)),
            );
        }
    }
    if settings.is_empty() {
        return Ok(());
    }
    Err(PlanError::Removed {
        to: wish.to.clone(),
        settings,
    })
}

fn steps(nodes: &[Node], wish: &Wish) -> Vec<Step> {
    let change = |node: usize, component: Component| -> Option<Change> {
        let from = component.image(&nodes.get(node)?.config)?;
        let kept = repository(&from).to_owned();
        let repository = wish.repositories.get(&component).cloned().unwrap_or(kept);
        Some(Change {
            node,
            component,
            to: at_version(&repository, &wish.to),
            from,
        })
    };
    let control_planes: Vec<usize> = (0..nodes.len())
        .filter(|index| nodes.get(*index).is_some_and(|node| node.control_plane))
        .collect();
    let mut work = Vec::new();
    for component in Component::STATIC_PODS {
        let changes = control_planes.iter().filter_map(|node| change(*node, component));
        work.extend(changes.map(Step::Component));
    }
    let proxy: Vec<Change> = control_planes
        .iter()
        .filter_map(|node| change(*node, Component::Proxy))
        .collect();
    if !proxy.is_empty() {
        work.push(Step::Proxy(proxy.clone()));
    }
    if wish.kubelet {
        let changes = (0..nodes.len()).filter_map(|node| change(node, Component::Kubelet));
        work.extend(changes.map(Step::Component));
    }
    work.push(Step::Manifests);
    if !wish.pull {
        return work;
    }
    let pulls = (0..nodes.len()).map(|node| Step::Pull {
        node,
        images: images(node, &work, &proxy),
    });
    let pulls = pulls.filter(|step| !matches!(step, Step::Pull { images, .. } if images.is_empty()));
    pulls.chain(work.iter().cloned()).collect()
}

/// The images that a node will need and does not have: its own, and the service proxy's.
fn images(node: usize, work: &[Step], proxy: &[Change]) -> Vec<(Component, String)> {
    let own = work.iter().filter_map(|step| match step {
        Step::Component(change) if change.node == node && change.is_one() => Some(change),
        _ => None,
    });
    let proxy = proxy.iter().find(|change| change.is_one());
    own.chain(proxy)
        .map(|change| (change.component, change.to.clone()))
        .collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A node whose components are all of one version.
    pub fn node(name: &str, control_plane: bool, version: &str) -> Node {
        let input = config::generate::Input {
            kubernetes_version: version.to_owned(),
            ..config::generate::Input::new("test", "https://10.5.0.2:6443").unwrap()
        };
        let secrets = config::secrets::SecretsBundle::generate(std::time::SystemTime::now(), input.contract).unwrap();
        let make = if control_plane {
            config::generate::controlplane
        } else {
            config::generate::worker
        };
        Node {
            address: format!("address-of-{name}"),
            name: name.to_owned(),
            control_plane,
            system: crate::defaults::VERSION.to_owned(),
            config: make(&input, &secrets).unwrap(),
        }
    }

    pub fn wish(to: &str) -> Wish {
        Wish {
            to: to.parse().unwrap(),
            from: None,
            kubelet: true,
            pull: true,
            repositories: BTreeMap::new(),
        }
    }

    pub fn trio(version: &str) -> Vec<Node> {
        let control_planes = ["cp-2", "cp-1"].map(|name| node(name, true, version));
        std::iter::once(node("a-worker", false, version))
            .chain(control_planes)
            .collect()
    }

    fn told(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| plan.describe(step)).collect()
    }

    #[test]
    fn the_control_plane_comes_first_component_by_component_then_proxy_kubelets_and_manifests() {
        let plan = Plan::new(trio("1.36.4"), &wish("1.37.1")).unwrap();
        assert_eq!(plan.from.to_string(), "v1.36.4");
        let told = told(&plan);
        let pulls: Vec<&String> = told.iter().filter(|line| line.contains(": pull ")).collect();
        assert_eq!(pulls.len(), 3);
        assert!(pulls[0].starts_with("cp-1") && pulls[0].contains("kube-scheduler:v1.37.1"));
        assert_eq!(
            pulls[2],
            "a-worker: pull ghcr.io/siderolabs/kubelet:v1.37.1, registry.k8s.io/kube-proxy:v1.37.1"
        );
        assert_eq!(
            told[3..],
            [
                "cp-1: kube-apiserver v1.36.4 -> v1.37.1",
                "cp-2: kube-apiserver v1.36.4 -> v1.37.1",
                "cp-1: kube-controller-manager v1.36.4 -> v1.37.1",
                "cp-2: kube-controller-manager v1.36.4 -> v1.37.1",
                "cp-1: kube-scheduler v1.36.4 -> v1.37.1",
                "cp-2: kube-scheduler v1.36.4 -> v1.37.1",
                "all nodes: kube-proxy v1.36.4 -> v1.37.1",
                "cp-1: kubelet v1.36.4 -> v1.37.1",
                "cp-2: kubelet v1.36.4 -> v1.37.1",
                "a-worker: kubelet v1.36.4 -> v1.37.1",
                "cluster: apply the manifests that differ",
            ]
        );
    }

    #[test]
    fn an_upgrade_that_was_interrupted_goes_on_and_one_that_is_done_changes_nothing() {
        let mut nodes = trio("1.36.4");
        let done = Component::ApiServer
            .with_image(&nodes[2].config, "registry.k8s.io/kube-apiserver:v1.37.1")
            .unwrap();
        nodes[2].config = done;
        let plan = Plan::new(nodes, &wish("1.37.1")).unwrap();
        let told = told(&plan);
        assert!(
            told.contains(&"cp-1: kube-apiserver has v1.37.1 already".to_owned()),
            "{told:?}"
        );
        assert!(!told[0].contains("kube-apiserver"), "{told:?}");
        assert!(plan.steps.iter().any(Step::changes));

        let plan = Plan::new(trio("1.37.1"), &wish("1.37.1")).unwrap();
        assert!(!plan.steps.iter().any(Step::changes));
        assert!(!plan.steps.iter().any(|step| matches!(step, Step::Pull { .. })));
    }

    #[test]
    fn flags_leave_out_kubelets_and_pulls_and_name_repositories() {
        let mut wish = wish("1.37.1");
        (wish.kubelet, wish.pull) = (false, false);
        wish.repositories
            .insert(Component::Scheduler, "example.org/s".to_owned());
        let told = told(&Plan::new(trio("1.36.4"), &wish).unwrap());
        assert!(
            !told
                .iter()
                .any(|line| line.contains("kubelet") || line.contains("pull")),
            "{told:?}"
        );
        let scheduler = "cp-1: kube-scheduler registry.k8s.io/kube-scheduler:v1.36.4 -> example.org/s:v1.37.1";
        assert!(told.contains(&scheduler.to_owned()), "{told:?}");
    }

    #[test]
    fn what_there_is_no_way_for_is_refused_whatever_node_it_is_on() {
        let refusal = |nodes: Vec<Node>, wish: &Wish| Plan::new(nodes, wish).unwrap_err().to_string();
        let mut mixed = trio("1.36.4");
        mixed.push(node("cp-3", true, "1.37.1"));
        assert!(refusal(mixed.clone(), &wish("1.36.4")).contains("goes back"));
        mixed.push(node("old-worker", false, "1.35.0"));
        assert!(refusal(mixed.clone(), &wish("1.37.1")).contains("1.36.x first"));
        let mut control_planes = wish("1.37.1");
        control_planes.kubelet = false;
        Plan::new(mixed.clone(), &control_planes).unwrap();
        mixed.push(node("older-worker", false, "1.33.0"));
        assert!(refusal(mixed, &control_planes).contains("older-worker"));

        let mut nameless = trio("1.36.4");
        nameless[1].config = Component::Scheduler
            .with_image(&nameless[1].config, "a:latest")
            .unwrap();
        assert!(refusal(nameless.clone(), &wish("1.37.1")).contains("--from"));
        let mut told = wish("1.37.1");
        told.from = Some("1.36.4".parse().unwrap());
        Plan::new(nameless, &told).unwrap();

        let mut old_system = trio("1.36.4");
        old_system[0].system = "v1.12.0".to_owned();
        assert!(refusal(old_system, &wish("1.37.1")).contains("a-worker"));
        assert!(refusal(vec![node("w", false, "1.36.4")], &wish("1.37.1")).contains("no control plane"));
    }
}
