//! The written order of a document: fields as the schema lists them, keys of maps sorted.

use std::cmp::Ordering;

use crate::document::Document;
use crate::schema::{Shape, Struct};
use crate::yaml::emit;
use crate::yaml::node::{Node, Value};

/// Writes documents in the order given, in the canonical layout.
pub fn stream<'a>(documents: impl IntoIterator<Item = &'a Document>) -> String {
    let mut out = String::new();
    for document in documents {
        if !out.is_empty() {
            out.push_str("---\n");
        }
        let mut root = document.root.clone();
        arrange(&mut root, document.schema);
        out.push_str(&emit::document(&root));
    }
    out
}

/// Puts the keys of a struct, and of everything in it, in their written order.
pub fn arrange(node: &mut Node, schema: &Struct) {
    let Some(map) = node.as_map_mut() else { return };
    map.sort_by_key(|key| schema.order(key));
    for entry in map.iter_mut() {
        match schema.field(&entry.key) {
            Some(field) => arrange_value(&mut entry.node, &field.shape),
            None => arrange_value(&mut entry.node, &Shape::Free),
        }
    }
}

fn arrange_value(node: &mut Node, shape: &Shape) {
    match (shape, &mut node.value) {
        (Shape::Struct(schema), _) => arrange(node, schema),
        (Shape::List(item), Value::List(items)) => items.iter_mut().for_each(|node| arrange_value(node, item)),
        (Shape::Free, Value::List(items)) => items.iter_mut().for_each(|node| arrange_value(node, shape)),
        (Shape::Map(inner), Value::Map(map)) => {
            map.sort_by_key(NaturalKey::new);
            map.iter_mut().for_each(|entry| arrange_value(&mut entry.node, inner));
        }
        (Shape::Free, Value::Map(map)) => {
            map.sort_by_key(NaturalKey::new);
            map.iter_mut().for_each(|entry| arrange_value(&mut entry.node, shape));
        }
        _ => {}
    }
}

/// A key ordered as go-yaml orders keys: numbers in it by their value, and signs before letters.
#[derive(PartialEq, Eq)]
struct NaturalKey(Vec<char>);

impl NaturalKey {
    fn new(key: &str) -> Self {
        Self(key.chars().collect())
    }
}

impl PartialOrd for NaturalKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NaturalKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.0, &other.0);
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            if a[i].is_ascii_digit() && b[j].is_ascii_digit() {
                let number = |chars: &[char]| chars.iter().take_while(|c| c.is_ascii_digit()).count();
                let (m, n) = (number(&a[i..]), number(&b[j..]));
                let value = |chars: &[char]| chars.iter().collect::<String>().trim_start_matches('0').to_owned();
                let (x, y) = (value(&a[i..i + m]), value(&b[j..j + n]));
                match x.len().cmp(&y.len()).then(x.cmp(&y)).then(m.cmp(&n)) {
                    Ordering::Equal => {}
                    other => return other,
                }
                (i, j) = (i + m, j + n);
                continue;
            }
            if a[i] != b[j] {
                return a[i].is_alphabetic().cmp(&b[j].is_alphabetic()).then(a[i].cmp(&b[j]));
            }
            (i, j) = (i + 1, j + 1);
        }
        (a.len() - i).cmp(&(b.len() - j))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_people_count() {
        let mut keys = vec![
            "eth10",
            "eth2",
            "audit-version",
            "audit",
            "a.b",
            "ab",
            "rule01",
            "rule1",
        ];
        keys.sort_by_key(|key| NaturalKey::new(key));
        assert_eq!(
            keys,
            [
                "a.b",
                "ab",
                "audit",
                "audit-version",
                "eth2",
                "eth10",
                "rule1",
                "rule01"
            ]
        );
    }
}
