//! The tree of a configuration document: typed values with the positions they were read from.

use crate::problem::Position;

/// A value and where it stood in the text.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it began; zero for what was not read from a text.
    pub at: Position,
}

/// A typed value.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Permissions of a file, written in octal.
    Octal(u32),
    /// A number with a fraction.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in order.
    Map(Map),
}

/// A map that keeps its order and the places of its keys.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<Entry>,
}

/// One key and value of a [`Map`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stood.
    pub at: Position,
    /// The value.
    pub node: Node,
}

impl Node {
    /// A node that was not read from a text.
    pub fn new(value: Value) -> Self {
        Self {
            value,
            at: Position::default(),
        }
    }

    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Value::Text(text.into()))
    }

    /// A map of the given entries.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Self {
        Self::new(Value::Map(entries.into_iter().collect()))
    }

    /// A list of the given items.
    pub fn list(items: impl IntoIterator<Item = Node>) -> Self {
        Self::new(Value::List(items.into_iter().collect()))
    }

    /// The string, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if this is a whole one of 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The map, if this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map, if this is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// True for nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// True for nothing, an empty string, list or map.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Bool(_) | Value::Integer(_) | Value::Octal(_) | Value::Float(_) => false,
        }
    }

    /// Value at a path of keys separated by dots (`machine.network.hostname`); list items by number (`a.0.b`).
    pub fn find(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, step| match &node.value {
            Value::Map(map) => map.get(step),
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Sets the value at a path of keys; maps that are missing on the way are made.
    pub fn set(&mut self, path: &[&str], node: Node) {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        if self.as_map().is_none() {
            self.value = Value::Map(Map::default());
        }
        if let Some(map) = self.as_map_mut() {
            map.get_or_insert(first).set(rest, node);
        }
    }

    /// Removes what is at a path of keys. Returns whether there was something.
    pub fn remove(&mut self, path: &[&str]) -> bool {
        let Some((last, before)) = path.split_last() else {
            return false;
        };
        let mut node = self;
        for step in before {
            match node.as_map_mut().and_then(|map| map.get_mut(step)) {
                Some(next) => node = next,
                None => return false,
            }
        }
        node.as_map_mut().is_some_and(|map| map.remove(last).is_some())
    }
}

/// Positions do not count, nor does the order of a map.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Octal(a), Value::Octal(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|entry| other.get(&entry.key) == Some(&entry.node))
    }
}

impl Map {
    /// A map without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// Entries in order, for changing.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// Value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// Value of a key, for changing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.node)
    }

    /// Value of a key, made if it is missing.
    pub fn get_or_insert(&mut self, key: &str) -> &mut Node {
        let index = self
            .entries
            .iter()
            .position(|entry| entry.key == key)
            .unwrap_or_else(|| {
                self.entries.push(Entry {
                    key: key.to_owned(),
                    at: Position::default(),
                    node: Node::default(),
                });
                self.entries.len() - 1
            });
        &mut self.entries[index].node
    }

    /// Sets a key, in its old place if it was there.
    pub fn insert(&mut self, key: impl Into<String>, node: Node) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(old) => *old = node,
            None => self.entries.push(Entry { key, at: node.at, node }),
        }
    }

    /// Adds an entry at the end; the caller knows that the key is new.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).node)
    }

    /// Puts the entries in the order of a key made of each key; equal ones stay as they were.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&str) -> K) {
        self.entries.sort_by_cached_key(|entry| key(&entry.key));
    }

    /// Keeps the entries for which the test holds.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
    }
}

impl<K: Into<String>> FromIterator<(K, Node)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Node)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, node) in entries {
            map.insert(key, node);
        }
        map
    }
}

impl IntoIterator for Map {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl From<&Node> for serde_json::Value {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => Self::Null,
            },
            Value::Octal(value) => (*value).into(),
            Value::Float(value) => serde_json::Number::from_f64(*value).map_or(Self::Null, Self::Number),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::from).collect(),
            Value::Map(map) => Self::Object(
                map.iter()
                    .map(|entry| (entry.key.clone(), Self::from(&entry.node)))
                    .collect(),
            ),
        }
    }
}

impl From<&serde_json::Value> for Node {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        Node::new(match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::Integer(value.into()),
                (_, Some(value)) => Value::Integer(value.into()),
                _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Node::from).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Node::from(value)))
                    .collect(),
            ),
        })
    }
}
