//! A configuration with comments: what each field is for, and examples of fields that are not set.

use crate::encode::arrange;
use crate::schema::{Shape, Struct};
use crate::yaml::emit::{pad, write_text, write_value};
use crate::yaml::node::{Map, Node, Value};
use crate::{Config, Document};

const INDENT: usize = 4;

/// Fields worth showing to someone who reads a generated configuration: type, field, and how it is written.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("v1alpha1.MachineConfig", "sysctls", "net.core.somaxconn: \"65535\""),
    (
        "v1alpha1.MachineConfig",
        "files",
        "- content: hello\n  permissions: 0o644\n  path: /var/hello\n  op: create",
    ),
    ("v1alpha1.MachineConfig", "kernel", "modules:\n    - name: br_netfilter"),
    ("v1alpha1.MachineConfig", "nodeLabels", "example.org/rack: a1"),
    (
        "v1alpha1.MachineConfig",
        "nodeTaints",
        "example.org/gpu: \"yes:NoSchedule\"",
    ),
    (
        "v1alpha1.MachineConfig",
        "logging",
        "destinations:\n    - endpoint: udp://10.0.0.10:5140\n      format: json_lines",
    ),
    (
        "v1alpha1.KubeletConfig",
        "extraArgs",
        "feature-gates: ServerSideApply=true",
    ),
    (
        "v1alpha1.KubeletConfig",
        "extraMounts",
        "- destination: /var/lib/example\n  type: bind\n  source: /var/lib/example\n  options:\n    - bind\n    - rshared\n    - rw",
    ),
    (
        "v1alpha1.KubeletConfig",
        "nodeIP",
        "validSubnets:\n    - 10.0.0.0/8\n    - '!10.0.0.3/32'",
    ),
    ("v1alpha1.KubeletConfig", "extraConfig", "serverTLSBootstrap: true"),
    ("v1alpha1.InstallConfig", "diskSelector", "size: '>= 100GB'\ntype: nvme"),
    ("v1alpha1.ClusterConfig", "allowSchedulingOnControlPlanes", "true"),
    (
        "v1alpha1.ClusterConfig",
        "inlineManifests",
        "- name: namespace-example\n  contents: |\n    apiVersion: v1\n    kind: Namespace\n    metadata:\n        name: example",
    ),
    (
        "v1alpha1.ClusterConfig",
        "extraManifests",
        "- https://example.org/manifest.yaml",
    ),
    ("v1alpha1.ClusterNetworkConfig", "cni", "name: none"),
    ("v1alpha1.APIServerConfig", "extraArgs", "audit-log-maxage: \"10\""),
    ("v1alpha1.EtcdConfig", "advertisedSubnets", "- 10.0.0.0/8"),
];

impl Config {
    /// The canonical text with comments: `docs` says what each field is for, `examples` shows fields that are not set.
    /// It decodes to the same configuration.
    pub fn encode_commented(&self, docs: bool, examples: bool) -> String {
        let mut documents: Vec<&Document> = self.documents().collect();
        documents.sort_by_key(|document| !document.is_main());
        let mut out = String::new();
        for document in documents {
            if !out.is_empty() {
                out.push_str("---\n");
            }
            if docs && !document.is_main() {
                comment(&mut out, 0, &one_line(document.schema.doc));
            }
            let mut root = document.root.clone();
            arrange(&mut root, document.schema);
            if let Some(map) = root.as_map() {
                Annotator {
                    out: &mut out,
                    docs,
                    examples,
                }
                .structure(map, document.schema, 0);
            }
        }
        out
    }
}

struct Annotator<'a> {
    out: &'a mut String,
    docs: bool,
    examples: bool,
}

impl Annotator<'_> {
    fn structure(&mut self, map: &Map, schema: &Struct, column: usize) {
        for entry in map {
            pad(self.out, column);
            write_text(self.out, &entry.key, None);
            self.out.push(':');
            let field = schema.field(&entry.key);
            let doc = field.filter(|_| self.docs).map(|field| field.doc.trim());
            match (field.map(|field| &field.shape), &entry.node.value) {
                (Some(Shape::Struct(inner)), Value::Map(map)) if !map.is_empty() => {
                    self.line_comment(doc);
                    self.out.push('\n');
                    self.structure(map, inner, column + INDENT);
                }
                _ => self.value(&entry.node, doc, column + INDENT),
            }
        }
        if self.examples {
            self.examples_of(map, schema, column);
        }
    }

    fn value(&mut self, node: &Node, doc: Option<&str>, inner: usize) {
        let mut text = String::new();
        write_value(&mut text, node, inner);
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        self.out.push_str(first);
        // What follows the sign of a block belongs to the block.
        if !first.starts_with(" |") {
            self.line_comment(doc);
        }
        self.out.push('\n');
        self.out.push_str(rest);
    }

    fn line_comment(&mut self, doc: Option<&str>) {
        if let Some(doc) = doc.filter(|doc| !doc.is_empty()) {
            self.out.push_str(" # ");
            self.out.push_str(&one_line(doc));
        }
    }

    fn examples_of(&mut self, map: &Map, schema: &Struct, column: usize) {
        for (_, key, example) in EXAMPLES.iter().filter(|(name, _, _)| *name == schema.name) {
            let Some(field) = schema.field(key).filter(|_| map.get(key).is_none()) else {
                continue;
            };
            comment(self.out, column, &format!("# {}", one_line(field.doc)));
            comment(self.out, column, &written(key, example, &field.shape));
        }
    }
}

/// How an example is written under its key.
fn written(key: &str, example: &str, shape: &Shape) -> String {
    match shape {
        Shape::Struct(_) | Shape::List(_) | Shape::Map(_) | Shape::Free => {
            let lines: String = example.lines().map(|line| format!("\n    {line}")).collect();
            format!("{key}:{lines}")
        }
        _ => format!("{key}: {example}"),
    }
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn comment(out: &mut String, column: usize, text: &str) {
    for line in text.trim_end().lines() {
        pad(out, column);
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::v1alpha1;
    use crate::schema::types::Described as _;

    fn find(schema: &'static Struct, name: &str) -> Option<&'static Struct> {
        if schema.name == name {
            return Some(schema);
        }
        schema
            .fields
            .iter()
            .filter_map(|field| field.shape.inner_struct())
            .find_map(|inner| find(inner, name))
    }

    #[test]
    fn every_example_is_right() {
        for (name, key, example) in EXAMPLES {
            let schema = find(v1alpha1::Config::STRUCT, name).unwrap();
            let shape = &schema.field(key).unwrap().shape;
            let text = written(key, example, shape);
            let raw = crate::yaml::syntax::read(text.as_bytes()).unwrap().remove(0);
            let document = crate::problem::DocumentId::default();
            let mut problems = Vec::new();
            crate::schema::check::Checker {
                document: &document,
                is_patch: false,
                problems: &mut problems,
            }
            .document(&raw, schema);
            assert!(problems.is_empty(), "{text}: {problems:?}");
        }
    }
}
