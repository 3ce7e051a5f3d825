//! What the schema says of each field: is it given, does it look right, is it on its way out?

use super::report::Report;
use crate::Document;
use crate::problem::Problem;
use crate::schema::check::join;
use crate::schema::{FieldSchema, Format, Shape, Struct};
use crate::yaml::node::{Map, Node, Value};

pub fn check(report: &mut Report<'_>, document: &Document) {
    if let Some(map) = document.root.as_map() {
        structure(report, document, map, document.schema, "", &document.root);
    }
}

fn structure(report: &mut Report<'_>, document: &Document, map: &Map, schema: &Struct, path: &str, node: &Node) {
    for field in schema.fields {
        let path = join(path, field.name);
        let Some(entry) = map.iter().find(|entry| entry.key == field.name) else {
            if field.required && !is_replaced(report, &path) {
                let doc = field.doc.trim().lines().next().unwrap_or_default();
                report.push_error(
                    Problem::new("is missing")
                        .document(&document.id)
                        .path(&path)
                        .at(node.at)
                        .fix(doc),
                );
            }
            continue;
        };
        if let Some(instead) = field.deprecated {
            report.push_warning(
                Problem::new("is deprecated")
                    .document(&document.id)
                    .path(&path)
                    .at(entry.at)
                    .fix(instead),
            );
        }
        value(report, document, &entry.node, &field.shape, field, &path);
    }
}

/// The required fields of the cluster section may stand in documents instead.
fn is_replaced(report: &Report<'_>, path: &str) -> bool {
    matches!(path, "cluster.controlPlane" | "cluster.controlPlane.endpoint")
        && report.config.find("KubeClusterConfig", None).is_some()
}

fn value(report: &mut Report<'_>, document: &Document, node: &Node, shape: &Shape, field: &FieldSchema, path: &str) {
    match (shape, &node.value) {
        (Shape::Struct(schema), Value::Map(map)) => structure(report, document, map, schema, path, node),
        (Shape::List(item), Value::List(items)) => {
            for (i, node) in items.iter().enumerate() {
                value(report, document, node, item, field, &format!("{path}[{i}]"));
            }
        }
        (Shape::Map(inner), Value::Map(map)) => {
            for entry in map {
                value(report, document, &entry.node, inner, field, &join(path, &entry.key));
            }
        }
        (_, Value::Text(text)) if field.check != Format::Any && !text.is_empty() => {
            if let Err(mismatch) = field.check.judge(text) {
                report.push_error(Problem {
                    document: Some(Box::new(document.id.clone())),
                    path: path.to_owned(),
                    at: node.at,
                    message: mismatch.message,
                    fix: mismatch.fix,
                });
            }
        }
        _ => {}
    }
}
