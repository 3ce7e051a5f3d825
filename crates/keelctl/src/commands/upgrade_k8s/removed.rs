//! Settings of components that a version of Kubernetes does not know any more: with one of them it would not start.
//!
//! What is known here was read from the programs of two versions side by side; of versions that are not in the tables
//! nothing is known.

use config::{Config, view};
use serde_json::Value;

use super::component::Component;
use super::version::Version;

/// Feature gates, by the minor version that does not have them any more.
const GATES: &[(u32, &[&str])] = &[(
    37,
    &[
        "APIServerTracing",
        "AnonymousAuthConfigurableEndpoints",
        "AnyVolumeDataSource",
        "AuthorizeNodeWithSelectors",
        "AuthorizeWithSelectors",
        "BtreeWatchCache",
        "ConsistentListFromCache",
        "GangScheduling",
        "JobBackoffLimitPerIndex",
        "JobPodReplacementPolicy",
        "JobSuccessPolicy",
        "LogarithmicScaleDown",
        "OrderedNamespaceDeletion",
        "PodLifecycleSleepAction",
        "PodLifecycleSleepActionAllowZero",
        "PreventStaticPodAPIReferences",
        "RelaxedDNSSearchValidation",
        "ResilientWatchCacheInitialization",
        "RetryGenerateName",
        "SchedulerQueueingHints",
        "SidecarContainers",
        "StreamingCollectionEncodingToJSON",
        "StreamingCollectionEncodingToProtobuf",
        "StructuredAuthenticationConfiguration",
        "WorkloadAwarePreemption",
    ],
)];

/// Admission plugins, by the minor version that does not have them any more.
const ADMISSION: &[(u32, &[&str])] = &[(37, &["JobValidation", "PodGroupWorkloadExists"])];

/// Flags, by component and the minor version that does not have them any more.
const FLAGS: &[(u32, Component, &[&str])] = &[
    (37, Component::ControllerManager, &["concurrent-service-syncs"]),
    (37, Component::Proxy, &["boot-id-file", "machine-id-file"]),
    (
        37,
        Component::Kubelet,
        &[
            "application-metrics-count-limit",
            "boot-id-file",
            "container-hints",
            "containerd",
            "containerd-namespace",
            "enable-load-reader",
            "event-storage-age-limit",
            "event-storage-event-limit",
            "global-housekeeping-interval",
            "log-cadvisor-usage",
            "machine-id-file",
            "storage-driver-buffer-duration",
            "storage-driver-db",
            "storage-driver-host",
            "storage-driver-password",
            "storage-driver-secure",
            "storage-driver-table",
            "storage-driver-user",
        ],
    ),
];

const FEATURE_GATES: &str = "feature-gates";
const PLUGIN_FLAGS: [&str; 2] = ["enable-admission-plugins", "disable-admission-plugins"];

/// What a component is configured with that the versions after `from`, up to `to`, do not know, in words.
pub fn used(component: Component, config: &Config, from: &Version, to: &Version) -> Vec<String> {
    let gone = |minor: u32| (from.minor + 1..=to.minor).contains(&minor);
    let names = |table: &'static [(u32, &[&str])]| -> Vec<&'static str> {
        let tables = table.iter().filter(|(minor, _)| gone(*minor));
        tables.flat_map(|(_, names)| names.iter().copied()).collect()
    };
    let gates = names(GATES);
    let mut found: Vec<String> = configured_gates(component, config)
        .into_iter()
        .filter(|gate| gates.contains(&gate.as_str()))
        .map(|gate| format!("the feature gate {gate}"))
        .collect();
    let arguments = component.arguments(config);
    let plugins = names(ADMISSION);
    for flag in PLUGIN_FLAGS {
        let values = arguments
            .get(flag)
            .map(|value| value.values().to_vec())
            .unwrap_or_default();
        let used = values.iter().flat_map(|value| value.split(',')).map(str::trim);
        let used = used.filter(|name| plugins.contains(name));
        found.extend(used.map(|name| format!("the admission plugin {name} (--{flag})")));
    }
    let flags = FLAGS.iter().filter(|(minor, of, _)| *of == component && gone(*minor));
    let flags = flags.flat_map(|(_, _, names)| names.iter().copied());
    found.extend(
        flags
            .filter(|flag| arguments.contains_key(*flag))
            .map(|flag| format!("the flag --{flag}")),
    );
    found
}

/// Names of feature gates, on the command line or in the kubelet's file.
fn configured_gates(component: Component, config: &Config) -> Vec<String> {
    let arguments = component.arguments(config);
    let values = arguments.get(FEATURE_GATES).map(|value| value.values().to_vec());
    let name = |setting: &str| {
        let setting = setting.trim();
        // A gate of one component: `kube:Name=true`.
        let gate = setting.split('=').next().unwrap_or_default();
        gate.rsplit(':').next().unwrap_or_default().to_owned()
    };
    let values = values.unwrap_or_default();
    let mut gates: Vec<String> = values.iter().flat_map(|value| value.split(',')).map(name).collect();
    let file = match component {
        Component::Kubelet => view::kubelet(config).extra_config,
        Component::Proxy => view::proxy(config).config,
        _ => None,
    };
    let in_file = file
        .as_ref()
        .map(|file| &file["featureGates"])
        .and_then(Value::as_object);
    gates.extend(in_file.into_iter().flatten().map(|(name, _)| name.clone()));
    gates
}

#[cfg(test)]
mod tests {
    use config::patch::{self, Patch};

    use super::super::plan::tests::node;
    use super::*;

    #[test]
    fn gates_and_plugins_that_the_new_version_does_not_know_are_found_wherever_they_stand() {
        let text = "cluster:\n  apiServer:\n    extraArgs:\n      feature-gates: SidecarContainers=true,ContextualLogging=true\n      \
                    enable-admission-plugins: [PodGroupWorkloadExists, AlwaysPullImages]\nmachine:\n  kubelet:\n    extraConfig:\n      \
                    featureGates: {BtreeWatchCache: true}\n    extraArgs: {containerd: x}\n";
        let plain = node("cp-1", true, "1.36.4").config;
        let config = patch::apply(&plain, &[Patch::load(text.as_bytes()).unwrap()]).unwrap();
        let used = |component, from: &str, to: &str| {
            super::used(component, &config, &from.parse().unwrap(), &to.parse().unwrap())
        };
        assert_eq!(
            used(Component::ApiServer, "1.36.4", "1.37.1"),
            [
                "the feature gate SidecarContainers",
                "the admission plugin PodGroupWorkloadExists (--enable-admission-plugins)"
            ]
        );
        assert_eq!(
            used(Component::Kubelet, "1.36.4", "1.37.1"),
            ["the feature gate BtreeWatchCache", "the flag --containerd"]
        );
        assert!(used(Component::Scheduler, "1.36.4", "1.37.1").is_empty());
        assert!(used(Component::ApiServer, "1.37.0", "1.37.1").is_empty());
        assert!(
            super::used(
                Component::Kubelet,
                &plain,
                &"1.36.4".parse().unwrap(),
                &"1.37.1".parse().unwrap()
            )
            .is_empty()
        );
    }
}
