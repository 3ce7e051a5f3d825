//! Doing what a plan says: step after step, each only when all nodes are well, and no further than the first that is not.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep};

use super::component::Component;
use super::plan::{Change, Node, Plan, Step};

/// How long pulling the images of a node may take.
const PULL_LIMIT: Duration = Duration::from_secs(900);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a node may be unwell before the next step: what is only busy settles by itself.
    pub well: Duration,
    /// How long a component may take to run and be ready with its new image.
    pub settle: Duration,
    /// Pause between two looks.
    pub pause: Duration,
}

impl Limits {
    /// The usual ones; a node may be unwell for this long.
    pub const fn new(well: Duration) -> Self {
        Self {
            well,
            settle: Duration::from_secs(300),
            pause: Duration::from_millis(500),
        }
    }
}

/// What an upgrade does to a cluster, and sees of it. All looks are single: who calls waits.
pub trait World {
    /// Tells the person something.
    fn tell(&self, line: &str);
    /// Pulls an image.
    async fn pull(&self, node: &Node, component: Component, image: &str) -> Result<()>;
    /// Whether a node is well; an error says how it is not.
    async fn is_well(&self, node: &Node) -> Result<()>;
    /// Names another image in a node's machine configuration.
    async fn set_image(&self, node: &Node, component: Component, image: &str) -> Result<()>;
    /// Whether a node's component runs from this image and is ready; an error says what is missing.
    async fn runs(&self, node: &Node, component: Component, image: &str) -> Result<()>;
    /// Gives the service proxy of all nodes this image, and waits until it runs.
    async fn roll_out_proxy(&self, image: &str, limits: Limits) -> Result<()>;
    /// Applies the manifests that differ, and waits until what they change runs. True if any did.
    async fn apply_manifests(&self) -> Result<bool>;
}

/// How far an upgrade is: the step it is at. It outlives an upgrade that is interrupted.
#[derive(Debug, Default)]
pub struct Progress(Cell<usize>);

impl Progress {
    /// What was done, what is not, and what to do now.
    pub fn report(&self, plan: &Plan, again: &str) -> String {
        let (done, left) = plan.steps.split_at(self.0.get().min(plan.steps.len()));
        let list = |steps: &[Step]| -> String {
            let line = |step: &Step| format!("\n  {}", plan.describe(step));
            if steps.is_empty() {
                "\n  nothing".to_owned()
            } else {
                steps.iter().map(line).collect()
            }
        };
        format!(
            "done:{}\nnot done, or not to its end:{}\nThe cluster goes on with both versions meanwhile. When the reason is \
             mended, the same command goes on where this one stopped: {again}",
            list(done),
            list(left)
        )
    }
}

/// Does all steps of a plan. True if something was changed.
///
/// # Errors
/// A node is not well, or something did not work: nothing that comes after it has been done. `progress` says how far it
/// came.
pub async fn run(world: &impl World, plan: &Plan, limits: Limits, progress: &Progress) -> Result<bool> {
    let mut changed = false;
    for (index, step) in plan.steps.iter().enumerate() {
        progress.0.set(index);
        changed |= one(world, plan, step, limits)
            .await
            .with_context(|| plan.describe(step))?;
    }
    progress.0.set(plan.steps.len());
    Ok(changed)
}

async fn one(world: &impl World, plan: &Plan, step: &Step, limits: Limits) -> Result<bool> {
    match step {
        Step::Pull { node, images } => {
            world.tell(&format!("{} ...", plan.describe(step)));
            let node = plan.nodes.get(*node).context("the plan has no such node")?;
            let pulls = async {
                for (component, image) in images {
                    world.pull(node, *component, image).await?;
                }
                anyhow::Ok(())
            };
            tokio::time::timeout(PULL_LIMIT, pulls)
                .await
                .with_context(|| format!("not done within {} minutes", PULL_LIMIT.as_secs() / 60))??;
            Ok(false)
        }
        Step::Component(change) => {
            if change.is_one() {
                await_all_well(world, plan, limits).await?;
            }
            world.tell(&format!("{} ...", plan.describe(step)));
            component(world, plan, change, limits).await?;
            Ok(change.is_one())
        }
        Step::Proxy(changes) => {
            if step.changes() {
                await_all_well(world, plan, limits).await?;
            }
            world.tell(&format!("{} ...", plan.describe(step)));
            for change in changes.iter().filter(|change| change.is_one()) {
                let node = plan.nodes.get(change.node).context("the plan has no such node")?;
                world.set_image(node, change.component, &change.to).await?;
            }
            let image = changes.first().map(|change| change.to.as_str()).unwrap_or_default();
            world.roll_out_proxy(image, limits).await?;
            Ok(step.changes())
        }
        Step::Manifests => {
            world.tell(&format!("{} ...", plan.describe(step)));
            world.apply_manifests().await
        }
    }
}

async fn component(world: &impl World, plan: &Plan, change: &Change, limits: Limits) -> Result<()> {
    let node = plan.nodes.get(change.node).context("the plan has no such node")?;
    if change.is_one() {
        world.set_image(node, change.component, &change.to).await?;
    }
    let what = format!("{} of {}", change.component, node.label());
    until(world, &what, limits.settle, limits.pause, || {
        world.runs(node, change.component, &change.to)
    })
    .await
}

async fn await_all_well(world: &impl World, plan: &Plan, limits: Limits) -> Result<()> {
    for node in &plan.nodes {
        until(world, &node.label(), limits.well, limits.pause, || world.is_well(node)).await?;
    }
    Ok(())
}

/// Looks until a look is good; tells every new reason why it is not.
pub async fn until<F>(
    world: &impl World,
    what: &str,
    limit: Duration,
    pause: Duration,
    look: impl Fn() -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let deadline = Instant::now() + limit;
    let mut told = String::new();
    while let Err(error) = look().await {
        let reason = format!("{error:#}");
        if Instant::now() >= deadline {
            let limit = limit.as_secs();
            return Err(error.context(format!("{what} is not well, and was not for {limit} s")));
        }
        if reason != told {
            world.tell(&format!("  waiting for {what}: {reason}"));
            told = reason;
        }
        sleep(pause).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use anyhow::bail;

    use super::super::plan::tests::{trio, wish};
    use super::*;

    const LIMITS: Limits = Limits {
        well: Duration::from_millis(20),
        settle: Duration::from_millis(20),
        pause: Duration::from_millis(1),
    };

    /// A cluster that does what it is told after two looks, on nodes that are well.
    #[derive(Default)]
    struct Fake {
        images: RefCell<BTreeMap<(String, Component), String>>,
        done: RefCell<Vec<String>>,
        told: RefCell<Vec<String>>,
        looks: Cell<u32>,
        /// This node is not well once so many things are done.
        ill: Option<(&'static str, usize)>,
        /// This image cannot be pulled.
        missing: Option<&'static str>,
        /// This component never gets ready.
        broken: Option<Component>,
    }

    impl Fake {
        fn did(&self, what: String) {
            self.done.borrow_mut().push(what);
        }
    }

    impl World for Fake {
        fn tell(&self, line: &str) {
            self.told.borrow_mut().push(line.to_owned());
        }

        async fn pull(&self, _: &Node, _: Component, image: &str) -> Result<()> {
            match self.missing {
                Some(missing) if image.contains(missing) => bail!("no registry has {image}"),
                _ => Ok(()),
            }
        }

        async fn is_well(&self, node: &Node) -> Result<()> {
            match self.ill {
                Some((name, after)) if node.name == name && self.done.borrow().len() >= after => {
                    bail!("it is not Ready")
                }
                _ => Ok(()),
            }
        }

        async fn set_image(&self, node: &Node, component: Component, image: &str) -> Result<()> {
            self.did(format!("{} {component}", node.name));
            self.images
                .borrow_mut()
                .insert((node.name.clone(), component), image.to_owned());
            Ok(())
        }

        async fn runs(&self, node: &Node, component: Component, image: &str) -> Result<()> {
            if self.broken == Some(component) {
                bail!("it ends with 1");
            }
            self.looks.set(self.looks.get() + 1);
            if self.looks.get().is_multiple_of(2) {
                bail!("the pod is Pending");
            }
            let images = self.images.borrow();
            let now = images.get(&(node.name.clone(), component)).cloned();
            let now = now.or_else(|| component.image(&node.config)).unwrap_or_default();
            if now == image { Ok(()) } else { bail!("it runs {now}") }
        }

        async fn roll_out_proxy(&self, _: &str, _: Limits) -> Result<()> {
            self.did("proxy".to_owned());
            Ok(())
        }

        async fn apply_manifests(&self) -> Result<bool> {
            self.did("manifests".to_owned());
            Ok(false)
        }
    }

    fn plan() -> Plan {
        Plan::new(trio("1.36.4"), &wish("1.37.1")).unwrap()
    }

    #[tokio::test]
    async fn all_steps_are_done_in_their_order() {
        let (world, progress) = (Fake::default(), Progress::default());
        assert!(run(&world, &plan(), LIMITS, &progress).await.unwrap());
        assert_eq!(
            world.done.borrow().join(","),
            "cp-1 kube-apiserver,cp-2 kube-apiserver,cp-1 kube-controller-manager,cp-2 kube-controller-manager,\
             cp-1 kube-scheduler,cp-2 kube-scheduler,cp-1 kube-proxy,cp-2 kube-proxy,proxy,cp-1 kubelet,cp-2 kubelet,\
             a-worker kubelet,manifests"
        );
        assert!(progress.report(&plan(), "x").contains("not to its end:\n  nothing"));
    }

    #[tokio::test]
    async fn nothing_is_changed_where_a_node_is_not_well_and_what_is_left_is_told() {
        for (node, after) in [("cp-2", 0), ("a-worker", 3), ("cp-1", 9)] {
            let world = Fake {
                ill: Some((node, after)),
                ..Fake::default()
            };
            let progress = Progress::default();
            let error = run(&world, &plan(), LIMITS, &progress).await.unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(node) && error.contains("not Ready"), "{error}");
            assert_eq!(world.done.borrow().len(), after);
            let report = progress.report(&plan(), "keelctl upgrade-k8s");
            let (done, left) = report.split_once("not done").unwrap();
            assert_eq!(
                done.contains("cp-1: kube-apiserver v1.36.4 -> v1.37.1"),
                after > 0,
                "{report}"
            );
            assert!(
                left.contains("apply the manifests") && left.contains("keelctl upgrade-k8s"),
                "{report}"
            );
        }
    }

    #[tokio::test]
    async fn an_image_that_nobody_has_stops_before_anything_is_changed() {
        let world = Fake {
            missing: Some("kube-proxy"),
            ..Fake::default()
        };
        let error = run(&world, &plan(), LIMITS, &Progress::default()).await.unwrap_err();
        assert!(format!("{error:#}").contains("no registry has"), "{error:#}");
        assert!(world.done.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_component_that_does_not_get_ready_in_time_stops_it_and_the_next_run_goes_on() {
        let world = Fake {
            broken: Some(Component::Scheduler),
            ..Fake::default()
        };
        let progress = Progress::default();
        let error = format!("{:#}", run(&world, &plan(), LIMITS, &progress).await.unwrap_err());
        assert!(error.contains("cp-1") && error.contains("it ends with 1"), "{error}");
        assert_eq!(world.done.borrow().last().unwrap(), "cp-1 kube-scheduler");
        let told = world.told.borrow().clone();
        assert_eq!(
            told.iter().filter(|line| line.contains("it ends with 1")).count(),
            1,
            "{told:?}"
        );

        let mut nodes = trio("1.36.4");
        for node in &mut nodes {
            for ((name, component), image) in world.images.borrow().iter() {
                if *name == node.name {
                    node.config = component.with_image(&node.config, image).unwrap();
                }
            }
        }
        let again = Fake {
            images: world.images.clone(),
            ..Fake::default()
        };
        let rest = Plan::new(nodes, &wish("1.37.1")).unwrap();
        run(&again, &rest, LIMITS, &Progress::default()).await.unwrap();
        assert_eq!(again.done.borrow().first().unwrap(), "cp-2 kube-scheduler");
    }
}
