//! The steps of a rotation, and what each leaves behind: pure.

use config::authority::Which;

/// One step. Each can be done again, wherever it stopped, and is done at once where nothing is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every node accepts the new authority beside the old one.
    Accept(Which),
    /// Pods can read the new authority of Kubernetes, and those of the system have.
    Publish,
    /// The new authority issues, the old one is accepted.
    Issue(Which),
    /// The client configuration of the new authority is written and tried.
    Client,
    /// A kubeconfig of the new authority is tried.
    Kubeconfig,
    /// No node accepts the old authority any more.
    Forget(Which),
}

/// The steps that replace these authorities, in order.
pub fn steps(authorities: &[Which]) -> Vec<Step> {
    let of = |which: &Which| match which {
        Which::Machine => vec![
            Step::Accept(Which::Machine),
            Step::Issue(Which::Machine),
            Step::Client,
            Step::Forget(Which::Machine),
        ],
        Which::Kubernetes => vec![
            Step::Accept(Which::Kubernetes),
            Step::Publish,
            Step::Issue(Which::Kubernetes),
            Step::Kubeconfig,
            Step::Forget(Which::Kubernetes),
        ],
    };
    authorities.iter().flat_map(of).collect()
}

impl Step {
    /// What is done, as a title.
    pub fn title(self, output: &str) -> String {
        match self {
            Step::Accept(which) => format!("{which}: every node accepts the new authority beside the old one"),
            Step::Publish => {
                "Kubernetes: pods are given the new authority, and the workloads of kube-system restart to read it"
                    .into()
            }
            Step::Issue(which) => {
                format!("{which}: the new authority issues, control planes first; the old one is still accepted")
            }
            Step::Client => {
                format!("machine API: a client configuration of the new authority is written to {output} and tried")
            }
            Step::Kubeconfig => "Kubernetes: a kubeconfig of the new authority is tried".into(),
            Step::Forget(which) => format!("{which}: the old authority is accepted no more"),
        }
    }

    /// What works for whom when this step did not end.
    pub fn unfinished(self) -> &'static str {
        match self {
            Step::Accept(_) => "the old authority issues on every node, and everything that worked works",
            Step::Publish => "the old authority of Kubernetes issues, the new one is accepted, and everything works",
            Step::Issue(_) => {
                "the new authority issues on some nodes and the old one on others; all nodes accept both, and clients of the old one work"
            }
            Step::Client | Step::Kubeconfig => {
                "the new authority issues, the old one is accepted: clients of both work"
            }
            Step::Forget(_) => {
                "the new authority issues; some nodes may refuse clients of the old one already, so use new credentials"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_issues_before_it_is_accepted_and_nothing_is_forgotten_before_the_new_one_was_tried() {
        let steps = steps(&[Which::Machine, Which::Kubernetes]);
        let at = |step: Step| steps.iter().position(|s| *s == step).unwrap();
        for which in [Which::Machine, Which::Kubernetes] {
            assert!(at(Step::Accept(which)) < at(Step::Issue(which)));
            assert!(at(Step::Issue(which)) < at(Step::Forget(which)));
        }
        assert!(at(Step::Issue(Which::Machine)) < at(Step::Client));
        assert!(at(Step::Client) < at(Step::Forget(Which::Machine)));
        assert!(at(Step::Accept(Which::Kubernetes)) < at(Step::Publish));
        assert!(at(Step::Publish) < at(Step::Issue(Which::Kubernetes)));
        assert!(at(Step::Kubeconfig) < at(Step::Forget(Which::Kubernetes)));
        assert!(super::steps(&[]).is_empty());
    }
}
