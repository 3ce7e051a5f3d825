//! What a run of the conformance tests is in Kubernetes.

use serde_json::{Value, json};

/// Namespace of a run, and name of everything of it.
pub const NAME: &str = "keelson-conformance";
/// The container of the tests.
pub const CONTAINER: &str = "conformance";
/// Name of the volume with the results.
pub const RESULTS: &str = "results";
/// Where the image writes them.
const FOLDER: &str = "/tmp/results";

/// Which tests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Those that may run beside each other, several at once
    Fast,
    /// All of them, one after the other, as the certification asks for
    Certified,
}

impl Mode {
    /// The environment that the conformance image understands.
    fn environment(self) -> Vec<Value> {
        let common = [
            ("E2E_FOCUS", r"\[Conformance\]"),
            ("E2E_PROVIDER", "skeleton"),
            ("E2E_USE_GO_RUNNER", "true"),
            ("RESULTS_DIR", FOLDER),
        ];
        let (skip, parallel) = match self {
            Mode::Fast => (r"\[Serial\]|\[Disruptive\]|\[Slow\]", "true"),
            Mode::Certified => ("", "false"),
        };
        let own = [("E2E_SKIP", skip), ("E2E_PARALLEL", parallel)];
        let entry = |(name, value): (&str, &str)| json!({"name": name, "value": value});
        common.into_iter().chain(own).map(entry).collect()
    }
}

/// What the tests run as and in, in the order in which it is made. The pod is apart.
pub fn surroundings() -> [Value; 3] {
    [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": NAME,
            "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
        }}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAME}}),
        // The tests make, change and remove everything there is.
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAME}],
        }),
    ]
}

/// The pod of the tests.
pub fn pod(image: &str, mode: Mode) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": NAME, "namespace": NAME},
        "spec": {
            "serviceAccountName": NAME,
            "restartPolicy": "Never",
            // It must not be moved while it runs for hours, whatever the tests do to nodes.
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent",
                "env": mode.environment(),
                "volumeMounts": [{"name": RESULTS, "mountPath": FOLDER}],
            }],
            "volumes": [{"name": RESULTS, "emptyDir": {}}],
        },
    })
}

/// Where the node of the pod has the results.
pub fn results(pod: &Value) -> Option<(String, String)> {
    let uid = pod["metadata"]["uid"].as_str()?;
    let host = pod["status"]["hostIP"].as_str()?;
    let path = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/{RESULTS}");
    Some((host.to_owned(), path))
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not started yet.
    Waiting,
    /// The image cannot be had, and why.
    NoImage(String),
    /// The tests run.
    Running,
    /// They ended, with this exit code.
    Ended(i64),
}

/// How far the run of a pod is.
pub fn progress(pod: &Value) -> Progress {
    let status = &pod["status"];
    let state = &status["containerStatuses"][0]["state"];
    if let Some(code) = state["terminated"]["exitCode"].as_i64() {
        return Progress::Ended(code);
    }
    if status["phase"] == "Failed" {
        // Evicted, for example: there is no container that could tell.
        return Progress::Ended(-1);
    }
    if state["running"].is_object() {
        return Progress::Running;
    }
    let waiting = &state["waiting"];
    match waiting["reason"].as_str() {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            Progress::NoImage(waiting["message"].as_str().unwrap_or_default().to_owned())
        }
        _ => Progress::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_choose_tests_by_the_variables_of_the_image() {
        let value = |mode: Mode, name: &str| {
            let pod = pod("image", mode);
            let env = pod["spec"]["containers"][0]["env"].as_array().unwrap().clone();
            let found = env.into_iter().find(|entry| entry["name"] == name).unwrap();
            found["value"].as_str().unwrap().to_owned()
        };
        for mode in [Mode::Fast, Mode::Certified] {
            assert_eq!(value(mode, "E2E_FOCUS"), r"\[Conformance\]");
        }
        assert_eq!(
            (value(Mode::Fast, "E2E_PARALLEL"), value(Mode::Certified, "E2E_SKIP")),
            ("true".into(), String::new())
        );
        assert!(value(Mode::Fast, "E2E_SKIP").contains("Serial"));
    }

    #[test]
    fn progress_is_read_from_the_pod() {
        let of = |state: Value| progress(&json!({"status": {"containerStatuses": [{"state": state}]}}));
        assert_eq!(of(json!({"terminated": {"exitCode": 3}})), Progress::Ended(3));
        assert_eq!(of(json!({"running": {}})), Progress::Running);
        let pull = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        assert_eq!(of(pull), Progress::NoImage("not found".into()));
        assert_eq!(progress(&json!({"status": {"phase": "Pending"}})), Progress::Waiting);
        assert_eq!(progress(&json!({"status": {"phase": "Failed"}})), Progress::Ended(-1));
    }

    #[test]
    fn results_are_in_the_folder_of_the_pod_on_its_node() {
        let pod = json!({"metadata": {"uid": "u"}, "status": {"hostIP": "10.5.0.3"}});
        let (host, path) = results(&pod).unwrap();
        assert_eq!(host, "10.5.0.3");
        assert!(
            path.ends_with("/pods/u/volumes/kubernetes.io~empty-dir/results"),
            "{path}"
        );
        assert_eq!(results(&json!({})), None);
    }
}
