//! Parts and values to text.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Comparison, Filter, Operand, Part, Path, Step};

/// Appends the rendering of `parts`; `current` is what relative paths start at.
pub(super) fn render(parts: &[Part], root: &Value, current: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                for (index, value) in select(path, root, current).into_iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    text(value, out);
                }
            }
            Part::Range(path, body) => {
                for value in select(path, root, current) {
                    render(body, root, value, out);
                }
            }
        }
    }
}

fn text(value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::String(text) => out.push_str(text),
        composite @ (Value::Array(_) | Value::Object(_)) => out.push_str(&canonical(composite).to_string()),
        other => out.push_str(&other.to_string()),
    }
}

/// Maps with their keys in order, as Go prints them.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

fn select<'a>(path: &Path, root: &'a Value, current: &'a Value) -> Vec<&'a Value> {
    let mut selected = vec![if path.absolute { root } else { current }];
    for step in &path.steps {
        selected = selected
            .into_iter()
            .flat_map(|value| one_step(step, root, value))
            .collect();
    }
    selected
}

fn one_step<'a>(step: &Step, root: &'a Value, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Key(key) => value.get(key).into_iter().collect(),
        Step::Wildcard => children(value),
        Step::Descend => {
            let mut all = vec![value];
            let mut next = 0;
            while next < all.len() {
                all.extend(children(all[next]));
                next += 1;
            }
            all
        }
        Step::Index(index) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            position(*index, list.len())
                .and_then(|at| list.get(at))
                .into_iter()
                .collect()
        }
        Step::Slice(start, end, stride) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = |bound: i64| position(bound, list.len()).unwrap_or(0).min(list.len());
            let (start, end) = (start.map_or(0, at), end.map_or(list.len(), at));
            let stride = usize::try_from(*stride).unwrap_or(1).max(1);
            list.get(start..end)
                .unwrap_or_default()
                .iter()
                .step_by(stride)
                .collect()
        }
        Step::Union(steps) => steps.iter().flat_map(|step| one_step(step, root, value)).collect(),
        Step::Filter(filter) => children(value)
            .into_iter()
            .filter(|item| holds(filter, root, item))
            .collect(),
    }
}

fn position(index: i64, len: usize) -> Option<usize> {
    if index < 0 {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn holds(filter: &Filter, root: &Value, item: &Value) -> bool {
    match filter {
        Filter::Exists(operand) => !values(operand, root, item).is_empty(),
        Filter::Compare(left, comparison, right) => {
            let (left, right) = (values(left, root, item), values(right, root, item));
            match (left.first(), right.first()) {
                (Some(left), Some(right)) => compare(left, *comparison, right),
                _ => false,
            }
        }
    }
}

fn values<'a>(operand: &'a Operand, root: &'a Value, item: &'a Value) -> Vec<&'a Value> {
    match operand {
        Operand::Path(path) => select(path, root, item),
        Operand::Value(value) => vec![value],
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(l), Value::Number(r)) => l.as_f64().partial_cmp(&r.as_f64()),
        (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
        (l, r) if l == r => Some(Ordering::Equal),
        _ => None,
    };
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}
