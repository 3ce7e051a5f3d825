//! Extra arguments of Kubernetes' components: what only the system sets is refused here, not when a pod is made of it.

use super::report::Report;
use crate::Document;
use crate::arguments::{API_SERVER, CONTROLLER_MANAGER, ETCD, FlagError, KUBELET, PROXY, Rules, SCHEDULER};
use crate::yaml::node::Node;

/// Where extra arguments stand in the main document.
const MAIN: [(&[&str], &Rules); 6] = [
    (&["cluster", "apiServer"], &API_SERVER),
    (&["cluster", "controllerManager"], &CONTROLLER_MANAGER),
    (&["cluster", "etcd"], &ETCD),
    (&["cluster", "proxy"], &PROXY),
    (&["cluster", "scheduler"], &SCHEDULER),
    (&["machine", "kubelet"], &KUBELET),
];

/// The documents that replace those sections.
const KINDS: [(&str, &Rules); 5] = [
    ("KubeAPIServerConfig", &API_SERVER),
    ("KubeControllerManagerConfig", &CONTROLLER_MANAGER),
    ("KubeProxyConfig", &PROXY),
    ("KubeSchedulerConfig", &SCHEDULER),
    ("KubeletConfig", &KUBELET),
];

pub fn check(report: &mut Report<'_>) {
    for document in report.documents() {
        if document.is_main() {
            for (section, rules) in MAIN {
                one(report, document, section, rules);
            }
        } else if let Some((_, rules)) = KINDS.iter().find(|(kind, _)| *kind == document.id.kind) {
            one(report, document, &[], rules);
        }
    }
}

fn one(report: &mut Report<'_>, document: &Document, section: &[&str], rules: &Rules) {
    let steps: Vec<&str> = section.iter().copied().chain(["extraArgs"]).collect();
    let Some(arguments) = document.root.find(&steps.join(".")).and_then(Node::as_map) else {
        return;
    };
    let names: Vec<String> = arguments.iter().map(|entry| entry.key.clone()).collect();
    for name in &names {
        let place: Vec<&str> = steps.iter().copied().chain([name.as_str()]).collect();
        match rules.check([name]) {
            Ok(()) => {}
            Err(FlagError::Denied { instead, .. }) => report.error(
                document,
                &place,
                "is set by the system and cannot be changed",
                Some(instead.to_owned()),
            ),
            Err(FlagError::Name { .. }) => report.error(
                document,
                &place,
                "is not the name of an argument",
                Some("write it without dashes in front and without its value".to_owned()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;
    use crate::validate::Mode;

    #[test]
    fn an_argument_of_the_system_is_refused_where_it_stands() {
        let text = "version: v1alpha1\nmachine:\n  type: worker\n  kubelet:\n    extraArgs:\n      v: \"4\"\n      kubeconfig: /tmp/mine\n      --v: \"4\"\n";
        let problems = Config::decode(text.as_bytes())
            .unwrap()
            .validate(Mode::Container)
            .unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let about = |word: &str| said.iter().find(|line| line.contains(word)).unwrap();
        assert!(about("kubeconfig").contains("line 7"), "{said:#?}");
        assert!(about("kubeconfig").contains("set by the system"), "{said:#?}");
        assert!(about("--v").contains("without dashes"), "{said:#?}");
        assert!(!said.iter().any(|line| line.contains("extraArgs.v ")), "{said:#?}");
    }
}
