use resource::{All, Controllers, EdgeKind, Graph, GraphError, Outputs};

use crate::runtime::{Affiliate, Discovery, affiliate, count, members};
use crate::{Counter, Member, store};

#[test]
fn an_output_has_one_owner_unless_it_is_declared_shared() {
    fn other(_: All<Counter>) -> Outputs<Member> {
        Outputs::none()
    }
    let two = || Graph::new().derive("members", members).derive("other", other);
    let error = two().build().unwrap_err();
    assert!(
        matches!(
            error,
            GraphError::TwoOwners {
                first: "members",
                second: "other",
                ..
            }
        ),
        "{error}"
    );
    let edges = two().shared::<Member>("cluster").build().unwrap().edges();
    assert!(
        edges
            .iter()
            .any(|edge| edge.controller == "other" && edge.kind == EdgeKind::OutputShared)
    );
    assert!(edges.iter().any(|edge| {
        edge.controller == "members"
            && edge.ty == "Affiliates.cluster.talos.dev"
            && edge.namespace == "cluster-raw"
            && edge.kind == EdgeKind::InputWeak
    }));
    assert_eq!(
        Graph::new()
            .derive("x", members)
            .derive("x", count)
            .build()
            .unwrap_err(),
        GraphError::SameName("x")
    );
}

#[test]
fn derivations_in_a_circle_are_refused() {
    fn back(_: All<Counter>) -> Outputs<Affiliate> {
        Outputs::none()
    }
    let error = Graph::new()
        .derive("members", members)
        .derive("count", count)
        .derive("back", back)
        .build();
    assert_eq!(
        error.unwrap_err(),
        GraphError::Cycle(vec!["count", "back", "members", "count"])
    );
}

fn plannable() -> Controllers {
    Graph::new()
        .derive("count", count)
        .derive("members", members)
        .build()
        .unwrap()
}

#[test]
fn a_plan_tells_what_would_change_and_changes_nothing() {
    let store = store();
    store.put("", "cluster", Discovery { enabled: true }, "").unwrap();
    store.put("", "id", affiliate("h", "n"), "").unwrap();
    let (changes, problems) = plannable()
        .plan(&store, |fork| {
            fork.force_dyn(
                "Affiliates.cluster.talos.dev",
                "cluster-raw",
                "id",
                "{hostname: h, nodename: m}",
            )
            .map(drop)
        })
        .unwrap();
    assert!(problems.is_empty());
    let told: Vec<_> = changes
        .iter()
        .map(|c| format!("{:?} {} by {:?}", c.kind, c.at.id, c.owner))
        .collect();
    assert_eq!(
        told,
        [
            "Updated id by \"\"",
            "Created m by \"members\"",
            "Destroyed n by \"members\""
        ]
    );
    assert_eq!(changes[0].new_yaml.as_deref(), Some("hostname: h\nnodename: m\n"));
    assert!(store.list::<Member>().is_empty());
}
