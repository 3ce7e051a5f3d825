//! Strategic merge: the patch's values are laid over the ones that are there, by the rules of the schema.
//!
//! Scalars replace, maps merge, lists append, except where the schema says that a list is replaced or that its items
//! have keys. `$patch: delete` deletes the key, list item or document it stands in, which must exist.

use crate::Document;
use crate::problem::{Position, Problem};
use crate::schema::check::{PATCH_KEY, join};
use crate::schema::{Merge, Shape, Struct};
use crate::yaml::node::{Entry, Map, Node, Value};

/// Lays the documents of a patch over those of a configuration.
pub fn apply(documents: &mut Vec<Document>, patch: &[Document]) -> Result<(), Problem> {
    for change in patch {
        let place = documents
            .iter()
            .position(|old| old.kind() == change.kind() && old.name() == change.name());
        let in_document = |problem: Problem| problem.document(&change.id);
        if change.is_deletion() {
            let Some(place) = place else {
                let message = "there is no such document to delete";
                return Err(in_document(Problem::new(message).at(change.at)));
            };
            documents.remove(place);
            continue;
        }
        match place {
            Some(place) => {
                let old = &mut documents[place];
                structure(&mut old.root, &change.root, old.schema, "").map_err(in_document)?;
            }
            None => {
                refuse_directives(&change.root, "").map_err(in_document)?;
                documents.push(change.clone());
            }
        }
    }
    Ok(())
}

fn structure(old: &mut Node, new: &Node, schema: &Struct, path: &str) -> Result<(), Problem> {
    let Some(changes) = new.as_map() else {
        return Ok(());
    };
    for change in changes {
        let (shape, rule) = match schema.field(&change.key) {
            Some(field) => (&field.shape, field.merge),
            None => (&Shape::Text, Merge::Natural),
        };
        entry(map_of(old), change, shape, rule, path)?;
    }
    Ok(())
}

/// Merges one entry of a map.
fn entry(old: Option<&mut Map>, change: &Entry, shape: &Shape, rule: Merge, path: &str) -> Result<(), Problem> {
    let path = join(path, &change.key);
    let Some(old) = old else { return Ok(()) };
    if is_deletion(&change.node) {
        return match old.remove(&change.key) {
            Some(_) => Ok(()),
            None => Err(nothing_to_delete(&path, change.node.at)),
        };
    }
    match old.get_mut(&change.key) {
        Some(node) => {
            value(node, &change.node, shape, rule, &path)?;
            if node.as_list().is_some_and(<[Node]>::is_empty) && !change.node.is_empty() {
                old.remove(&change.key);
            }
        }
        None => {
            refuse_directives(&change.node, &path)?;
            old.insert(change.key.clone(), change.node.clone());
        }
    }
    Ok(())
}

fn value(old: &mut Node, new: &Node, shape: &Shape, rule: Merge, path: &str) -> Result<(), Problem> {
    if rule == Merge::Replace {
        refuse_directives(new, path)?;
        *old = new.clone();
        return Ok(());
    }
    match (shape, &new.value) {
        (Shape::Struct(schema), Value::Map(_)) => structure(old, new, schema, path),
        (Shape::Map(inner), Value::Map(changes)) => changes
            .iter()
            .try_for_each(|change| entry(map_of(old), change, inner, Merge::Natural, path)),
        (Shape::Free, Value::Map(changes)) if old.as_map().is_some() => changes
            .iter()
            .try_for_each(|change| entry(map_of(old), change, shape, Merge::Natural, path)),
        (Shape::List(item), Value::List(changes)) => list(old, changes, item, rule, path),
        (Shape::Free, Value::List(changes)) if old.as_list().is_some() => list(old, changes, shape, rule, path),
        _ => {
            refuse_directives(new, path)?;
            *old = new.clone();
            Ok(())
        }
    }
}

fn list(old: &mut Node, changes: &[Node], item: &Shape, rule: Merge, path: &str) -> Result<(), Problem> {
    let Value::List(items) = &mut old.value else {
        old.value = Value::List(Vec::new());
        return list(old, changes, item, rule, path);
    };
    for (i, change) in changes.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if let Some(selector) = selector(change) {
            let before = items.len();
            items.retain(|old| !selected(old, &selector));
            if items.len() == before {
                return Err(nothing_to_delete(&path, change.at));
            }
            continue;
        }
        match items.iter().position(|old| same_item(old, change, rule)) {
            Some(twin) => value(&mut items[twin], change, item, Merge::Natural, &path)?,
            None => {
                refuse_directives(change, &path)?;
                items.push(change.clone());
            }
        }
    }
    Ok(())
}

fn map_of(node: &mut Node) -> Option<&mut Map> {
    if node.as_map().is_none() {
        node.value = Value::Map(Map::default());
    }
    node.as_map_mut()
}

/// True for a map with `$patch: delete` in it.
fn is_deletion(node: &Node) -> bool {
    node.as_map().is_some_and(has_directive)
}

fn has_directive(map: &Map) -> bool {
    map.get(PATCH_KEY).and_then(Node::as_text) == Some("delete")
}

/// What a list item that asks for deletion selects by: its other keys.
fn selector(change: &Node) -> Option<Map> {
    let map = change.as_map().filter(|map| has_directive(map))?;
    let mut map = map.clone();
    map.remove(PATCH_KEY);
    Some(map)
}

/// True if the item has all the values of the selector. An empty selector selects nothing.
fn selected(item: &Node, selector: &Map) -> bool {
    !selector.is_empty() && item.as_map().is_some_and(|item| contains(item, selector))
}

fn contains(item: &Map, selector: &Map) -> bool {
    selector
        .iter()
        .all(|wanted| match (item.get(&wanted.key), wanted.node.as_map()) {
            (Some(have), Some(wanted)) => have.as_map().is_some_and(|have| contains(have, wanted)),
            (have, _) => have == Some(&wanted.node),
        })
}

/// True if two list items are the same thing: the first of the rule's keys that the new one has is equal in both.
fn same_item(old: &Node, new: &Node, rule: Merge) -> bool {
    let (Merge::ByKey(keys), Some(old), Some(new)) = (rule, old.as_map(), new.as_map()) else {
        return false;
    };
    let key = keys.iter().find(|key| new.get(key).is_some());
    key.is_some_and(|key| old.get(key).is_some() && old.get(key) == new.get(key))
}

fn nothing_to_delete(path: &str, at: Position) -> Problem {
    Problem::new("there is nothing here to delete").path(path).at(at)
}

/// What is new cannot have anything deleted in it.
fn refuse_directives(node: &Node, path: &str) -> Result<(), Problem> {
    match &node.value {
        Value::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| refuse_directives(item, &format!("{path}[{i}]"))),
        Value::Map(map) if map.get(PATCH_KEY).is_some() => Err(nothing_to_delete(path, node.at)),
        Value::Map(map) => map
            .iter()
            .try_for_each(|entry| refuse_directives(&entry.node, &join(path, &entry.key))),
        _ => Ok(()),
    }
}
