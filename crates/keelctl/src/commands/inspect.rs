//! `inspect dependencies`: the graph of controllers and resources, for Graphviz.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use api::proto::inspect::{ControllerDependencyEdge, DependencyEdgeType};

use crate::Program;
use crate::cli::observe::{Inspect, InspectAction};
use crate::output::print;
use crate::session::{Session, block, failed};

/// Runs `inspect ACTION`.
pub fn run(command: &Inspect, program: Program) -> Result<()> {
    let InspectAction::Dependencies { with_resources } = command.command;
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("inspect dependencies")?;
        let response = target
            .client
            .inspect()
            .controller_runtime_dependencies(())
            .await
            .map_err(|s| failed(&s))?;
        let edges: Vec<_> = response
            .into_inner()
            .messages
            .into_iter()
            .flat_map(|message| message.edges)
            .collect();
        let mut resources = Vec::new();
        if with_resources {
            for kind in edges
                .iter()
                .map(|edge| (&edge.resource_namespace, &edge.resource_type))
                .collect::<BTreeSet<_>>()
            {
                let found = target.client.resources(kind.0, kind.1).await.unwrap_or_default();
                let ids = found
                    .into_iter()
                    .filter_map(|resource| resource.metadata)
                    .map(|metadata| metadata.id);
                resources.extend(ids.map(|id| (kind.1.clone(), id)));
            }
        }
        Ok(print(&graph(&edges, &resources))?)
    })
}

/// The graph in the DOT language.
pub fn graph(edges: &[ControllerDependencyEdge], resources: &[(String, String)]) -> String {
    let mut out = String::from("digraph  {\n");
    let controllers: BTreeSet<&str> = edges.iter().map(|edge| edge.controller_name.as_str()).collect();
    let types: BTreeSet<&str> = edges.iter().map(|edge| edge.resource_type.as_str()).collect();
    for name in controllers {
        let _ = writeln!(out, "\t\"{name}\" [shape=\"box\"];");
    }
    for name in types {
        let _ = writeln!(
            out,
            "\t\"{name}\" [shape=\"note\",fillcolor=\"azure2\",style=\"filled\"];"
        );
    }
    for edge in edges {
        let (controller, resource) = (&edge.controller_name, &edge.resource_type);
        let label = if edge.resource_id.is_empty() {
            String::new()
        } else {
            format!(",label=\"{}\"", edge.resource_id)
        };
        let line = match DependencyEdgeType::try_from(edge.edge_type) {
            Ok(DependencyEdgeType::OutputExclusive) => {
                format!("\"{controller}\" -> \"{resource}\" [style=\"bold\"{label}]")
            }
            Ok(DependencyEdgeType::OutputShared) => {
                format!("\"{controller}\" -> \"{resource}\" [style=\"solid\"{label}]")
            }
            Ok(DependencyEdgeType::InputWeak) => {
                format!("\"{resource}\" -> \"{controller}\" [style=\"dotted\"{label}]")
            }
            _ => format!("\"{resource}\" -> \"{controller}\" [style=\"solid\"{label}]"),
        };
        let _ = writeln!(out, "\t{line};");
    }
    for (kind, id) in resources {
        let _ = writeln!(
            out,
            "\t\"{kind}/{id}\" [shape=\"note\",label=\"{id}\"];\n\t\"{kind}\" -> \"{kind}/{id}\";"
        );
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_point_to_controllers_and_outputs_away_from_them() {
        let edge = |kind: DependencyEdgeType, resource: &str| ControllerDependencyEdge {
            controller_name: "c".into(),
            edge_type: kind.into(),
            resource_type: resource.into(),
            ..Default::default()
        };
        let edges = [
            edge(DependencyEdgeType::InputWeak, "In"),
            edge(DependencyEdgeType::OutputExclusive, "Out"),
        ];
        let text = graph(&edges, &[]);
        assert!(
            text.contains("\"In\" -> \"c\" [style=\"dotted\"];") && text.contains("\"c\" -> \"Out\" [style=\"bold\"];")
        );
    }
}
