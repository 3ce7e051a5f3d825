//! The parts of Kubernetes that an upgrade replaces, and where the machine configuration names their images.

use std::fmt;

use anyhow::{Context as _, Result};
use config::patch::{self, Patch};
use config::schema::types::Args;
use config::{Config, images, view};

/// A part of Kubernetes with an image of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The API server.
    ApiServer,
    /// The controller manager.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The service proxy.
    Proxy,
    /// The kubelet.
    Kubelet,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Component {
    /// All of them.
    pub const ALL: [Component; 5] = [
        Component::ApiServer,
        Component::ControllerManager,
        Component::Scheduler,
        Component::Proxy,
        Component::Kubelet,
    ];
    /// The static pods, in the order in which they are upgraded: the others must never be newer than an API server they
    /// talk to, and that may be any.
    pub const STATIC_PODS: [Component; 3] = [Component::ApiServer, Component::ControllerManager, Component::Scheduler];

    /// Name of the program, and of the static pod or daemon set.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Proxy => "kube-proxy",
            Self::Kubelet => "kubelet",
        }
    }

    /// The image that a configuration asks for; none where the component does not run.
    pub fn image(self, config: &Config) -> Option<String> {
        let (enabled, image) = match self {
            Self::ApiServer => enabled(view::api_server(config).component),
            Self::ControllerManager => enabled(view::controller_manager(config)),
            Self::Scheduler => enabled(view::scheduler(config).component),
            Self::Proxy => enabled(view::proxy(config).component),
            Self::Kubelet => (true, view::kubelet(config).image),
        };
        enabled.then_some(image)
    }

    /// The arguments that a configuration lays over the system's own.
    pub fn arguments(self, config: &Config) -> Args {
        match self {
            Self::ApiServer => view::api_server(config).component.extra_args,
            Self::ControllerManager => view::controller_manager(config).extra_args,
            Self::Scheduler => view::scheduler(config).component.extra_args,
            Self::Proxy => view::proxy(config).component.extra_args,
            Self::Kubelet => view::kubelet(config).extra_args,
        }
    }

    /// The configuration with another image, and else as it is.
    pub fn with_image(self, config: &Config, image: &str) -> Result<Config> {
        let text = self.patch(config, image);
        let patch = Patch::load(text.as_bytes()).with_context(|| format!("name the image {image} of {self}"))?;
        patch::apply(config, &[patch]).with_context(|| format!("name the image {image} of {self}"))
    }

    /// The image stands in a document of the component's own where there is one.
    fn patch(self, config: &Config, image: &str) -> String {
        let image = serde_json::Value::from(image);
        let (kind, section, field) = match self {
            Self::ApiServer => ("KubeAPIServerConfig", "cluster", "apiServer"),
            Self::ControllerManager => ("KubeControllerManagerConfig", "cluster", "controllerManager"),
            Self::Scheduler => ("KubeSchedulerConfig", "cluster", "scheduler"),
            Self::Proxy => ("KubeProxyConfig", "cluster", "proxy"),
            Self::Kubelet => ("KubeletConfig", "machine", "kubelet"),
        };
        match config.find(kind, None) {
            Some(_) => format!("apiVersion: v1alpha1\nkind: {kind}\nimage: {image}\n"),
            None => format!("{section}: {{{field}: {{image: {image}}}}}\n"),
        }
    }
}

fn enabled(component: view::Component) -> (bool, String) {
    (component.enabled, component.image)
}

/// The repository of an image: without tag and digest.
pub fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// An image of a repository at a version.
pub fn at_version(repository: &str, version: &super::version::Version) -> String {
    images::at_version(repository, &version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated() -> Config {
        let input = config::generate::Input::new("test", "https://10.5.0.2:6443").unwrap();
        let secrets = config::secrets::SecretsBundle::generate(std::time::SystemTime::now(), input.contract).unwrap();
        config::generate::controlplane(&input, &secrets).unwrap()
    }

    #[test]
    fn images_are_changed_where_they_stand() {
        let documents = "apiVersion: v1alpha1\nkind: KubeSchedulerConfig\nimage: a/kube-scheduler:v1.36.4\n---\n\
                         apiVersion: v1alpha1\nkind: KubeletConfig\nimage: a/kubelet:v1.36.4\n";
        let split = patch::apply(&generated(), &[Patch::load(documents.as_bytes()).unwrap()]);
        for config in [generated()].into_iter().chain(split) {
            let others = |config: &Config, but: Component| -> Vec<_> {
                let rest = Component::ALL.into_iter().filter(|other| *other != but);
                rest.map(|other| other.image(config)).collect()
            };
            for component in Component::ALL {
                let changed = component.with_image(&config, "example.org/x:v1.37.2").unwrap();
                assert_eq!(component.image(&changed).as_deref(), Some("example.org/x:v1.37.2"));
                assert_eq!(others(&changed, component), others(&config, component));
                assert_eq!(config::change::changes(&config, &changed).len(), 1, "{component}");
            }
        }
    }

    #[test]
    fn a_repository_has_no_tag_and_no_digest() {
        assert_eq!(repository("localhost:5000/a:v1@sha256:ab"), "localhost:5000/a");
        assert_eq!(repository("localhost:5000/a"), "localhost:5000/a");
    }
}
