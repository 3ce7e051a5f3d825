//! Reading YAML text into a tree of uninterpreted scalars with their positions.
//!
//! Text comes from outside, so everything that could grow is bounded: size, depth, number of nodes (which bounds what
//! aliases can expand to), and a key may stand only once in a map.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::problem::{Position, Problem};

/// Largest text read. A configuration with inline manifests reaches hundreds of KiB; gRPC messages are limited to 32 MiB.
pub const MAX_BYTES: usize = 32 << 20;
/// Deepest nesting. The deepest documented field is ten levels down; free-form Kubernetes objects reach about thirty.
pub const MAX_DEPTH: usize = 100;
/// Most nodes in one stream, aliases counted each time they are used.
pub const MAX_NODES: usize = 200_000;
/// Most keys in one map, and most documents in one stream: both are searched one by one.
pub const MAX_KEYS: usize = 10_000;
/// See [`MAX_KEYS`].
pub const MAX_DOCUMENTS: usize = 1_000;

/// A node as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// Its content.
    pub kind: RawKind,
    /// Where it begins.
    pub at: Position,
}

/// Content of a node as written.
#[derive(Clone, Debug, PartialEq)]
pub enum RawKind {
    /// A scalar: its text, and whether it was written plain (so that its type follows from the text).
    Scalar {
        /// Text after unescaping.
        text: String,
        /// Written without quotes and not as a block.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Raw>),
    /// A mapping in the order written.
    Map(Vec<(RawKey, Raw)>),
}

/// Key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct RawKey {
    /// Text of the key.
    pub text: String,
    /// Where it stands.
    pub at: Position,
}

impl Raw {
    /// True for nothing at all, `~` and `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, RawKind::Scalar { text, plain: true } if super::scalar::is_null(text))
    }

    /// Value under a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Raw> {
        match &self.kind {
            RawKind::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, v)| v),
            RawKind::Scalar { .. } | RawKind::List(_) => None,
        }
    }

    /// Text, if this is a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            RawKind::Scalar { text, .. } if !self.is_null() => Some(text),
            RawKind::Scalar { .. } | RawKind::List(_) | RawKind::Map(_) => None,
        }
    }

    fn count(&self) -> usize {
        1 + match &self.kind {
            RawKind::Scalar { .. } => 0,
            RawKind::List(items) => items.iter().map(Raw::count).sum(),
            RawKind::Map(entries) => entries.iter().map(|(_, v)| v.count()).sum(),
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.kind {
            RawKind::Scalar { .. } => 0,
            RawKind::List(items) => items.iter().map(Raw::depth).max().unwrap_or(0),
            RawKind::Map(entries) => entries.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads a stream of documents; documents with nothing in them are skipped. Stops at the first problem, because YAML
/// text past a syntax error means nothing.
pub fn read(bytes: &[u8]) -> Result<Vec<Raw>, Problem> {
    let text = as_text(bytes)?;
    let mut reader = Reader::default();
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_problem(&error, text))?;
        reader.event(event, &span)?;
    }
    Ok(reader.documents)
}

fn as_text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(Problem::new(format!(
            "the text has {} bytes, more than the {} MiB allowed",
            bytes.len(),
            MAX_BYTES >> 20
        )));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Problem::new("this is gzip data, not YAML text").fix("decompress it first"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::new("the text is UTF-16").fix("save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let place = |end: usize| {
        let before = &bytes[..end];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        Position { line, column }
    };
    if let Some(nul) = bytes.iter().position(|b| *b == 0) {
        return Err(Problem::new("this is binary data, not YAML text: it contains a NUL byte").at(place(nul)));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        Problem::new("this is not UTF-8 text")
            .at(place(error.valid_up_to()))
            .fix("save it as UTF-8")
    })
}

fn syntax_problem(error: &granit_parser::ScanError, text: &str) -> Problem {
    let marker = error.marker();
    let at = Position {
        line: marker.line(),
        column: marker.col() + 1,
    };
    let problem = Problem::new(format!("this is not YAML: {}", error.info())).at(at);
    let line = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
    if line.trim_start_matches(' ').starts_with('\t') {
        return problem.fix("indent with spaces, not tabs");
    }
    problem
}

#[derive(Default)]
struct Reader {
    documents: Vec<Raw>,
    open: Vec<Open>,
    anchors: HashMap<usize, Raw>,
    unfinished: HashSet<usize>,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    at: Position,
    anchor: usize,
    items: Vec<Raw>,
    is_map: bool,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Problem> {
        let at = Position {
            line: span.start.line(),
            column: span.start.col() + 1,
        };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = is_plain(style, tag.as_deref(), at)?;
                self.add(
                    Raw {
                        kind: RawKind::Scalar {
                            text: text.into_owned(),
                            plain,
                        },
                        at,
                    },
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, false),
            Event::MappingStart(_, anchor, _) => self.begin(at, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, at),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.unfinished.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, nodes: usize, at: Position) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Problem::new(format!(
                "the text has more than {MAX_NODES} values, counting each use of an alias"
            ))
            .at(at));
        }
        Ok(())
    }

    fn begin(&mut self, at: Position, anchor: usize, is_map: bool) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::new(format!("values are nested more than {MAX_DEPTH} deep")).at(at));
        }
        if anchor != 0 {
            self.unfinished.insert(anchor);
        }
        self.open.push(Open {
            at,
            anchor,
            items: Vec::new(),
            is_map,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        self.unfinished.remove(&open.anchor);
        let kind = if open.is_map {
            RawKind::Map(entries(open.items)?)
        } else {
            RawKind::List(open.items)
        };
        self.add(Raw { kind, at: open.at }, open.anchor)
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<(), Problem> {
        if self.unfinished.contains(&id) {
            return Err(Problem::new("this alias stands inside the value it refers to").at(at));
        }
        let Some(mut raw) = self.anchors.get(&id).cloned() else {
            return Err(Problem::new("this alias refers to no anchor").at(at));
        };
        if self.open.len() + raw.depth() > MAX_DEPTH {
            return Err(Problem::new(format!("values are nested more than {MAX_DEPTH} deep")).at(at));
        }
        self.spend(raw.count(), at)?;
        raw.at = at;
        self.add(raw, 0)
    }

    fn add(&mut self, raw: Raw, anchor: usize) -> Result<(), Problem> {
        self.spend(1, raw.at)?;
        if anchor != 0 {
            self.spend(raw.count(), raw.at)?;
            self.anchors.insert(anchor, raw.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(raw),
            None if raw.is_null() => {}
            None if self.documents.len() == MAX_DOCUMENTS => {
                return Err(Problem::new(format!("the stream has more than {MAX_DOCUMENTS} documents")).at(raw.at));
            }
            None => self.documents.push(raw),
        }
        Ok(())
    }
}

/// A plain scalar's type follows from its text unless a tag says otherwise.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<bool, Problem> {
    match tag.map(|tag| (tag.core_suffix(), tag)) {
        None => Ok(style == ScalarStyle::Plain),
        Some((Some("int" | "bool" | "float" | "null"), _)) => Ok(true),
        // The other tags of YAML itself (str, binary, timestamp) are strings to us.
        Some((Some(_), _)) => Ok(false),
        Some((_, tag)) => Err(Problem::new(format!("the tag {} is not supported", tag.original())).at(at)),
    }
}

/// Pairs up keys and values, refuses a key that comes twice, and fills in merge keys (`<<`).
fn entries(items: Vec<Raw>) -> Result<Vec<(RawKey, Raw)>, Problem> {
    if items.len() > 2 * MAX_KEYS {
        return Err(Problem::new(format!("a map has more than {MAX_KEYS} keys")).at(items[0].at));
    }
    let mut entries: Vec<(RawKey, Raw)> = Vec::with_capacity(items.len() / 2);
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut merges = Vec::new();
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        let RawKind::Scalar { text, plain } = key.kind else {
            return Err(Problem::new("a key must be a word, not a list or map").at(key.at));
        };
        if plain && text == "<<" {
            merges.push(value);
            continue;
        }
        if let Some(line) = seen.insert(text.clone(), key.at.line) {
            return Err(Problem::new(format!(
                "the key {text:?} stands twice in one map, first in line {line}"
            ))
            .at(key.at)
            .fix("keep one of them"));
        }
        entries.push((RawKey { text, at: key.at }, value));
    }
    for merge in merges {
        let at = merge.at;
        let sources = match merge.kind {
            RawKind::List(items) => items.into_iter().map(|item| item.kind).collect(),
            kind => vec![kind],
        };
        for source in sources {
            let RawKind::Map(source) = source else {
                return Err(Problem::new("what follows << must be a map or a list of maps").at(at));
            };
            for (key, value) in source {
                if seen.insert(key.text.clone(), key.at.line).is_none() {
                    entries.push((key, value));
                }
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn positions_count_from_one() {
        let documents = read(b"a:\n  b: c\n").unwrap();
        let b = documents[0].get("a").unwrap().get("b").unwrap();
        assert_eq!(b.at, Position { line: 2, column: 6 });
    }

    #[test]
    fn empty_documents_are_skipped() {
        assert_eq!(read(b"---\n---\n# only a comment\n---\na: b\n---\n").unwrap().len(), 1);
        assert_eq!(read(b"").unwrap().len(), 0);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_with_both_lines() {
        assert_eq!(
            refused("a: 1\nb: 2\na: 3\n"),
            "line 3: the key \"a\" stands twice in one map, first in line 1 (keep one of them)"
        );
    }

    #[test]
    fn a_cycle_of_anchors_is_refused() {
        assert!(refused("a: &x\n  b: *x\n").contains("inside the value it refers to"));
    }

    #[test]
    fn aliases_cannot_expand_without_bound() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..10 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(refused(&text).contains("more than 200000 values"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(read("[".repeat(5000).as_bytes()).is_err());
        let block: String = (0..500).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(read(block.as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_text_is_refused_by_name() {
        assert!(read(&[0x1f, 0x8b, 8, 0]).unwrap_err().to_string().contains("gzip"));
        assert!(read(b"a: \0b").unwrap_err().to_string().contains("NUL"));
        assert!(read(b"a: \xff\xff").unwrap_err().to_string().contains("UTF-8"));
        assert!(
            read(&vec![b'a'; MAX_BYTES + 1])
                .unwrap_err()
                .to_string()
                .contains("32 MiB")
        );
    }

    #[test]
    fn merge_keys_fill_in_what_is_not_set() {
        let documents = read(b"base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n").unwrap();
        let used = documents[0].get("use").unwrap();
        assert_eq!(used.get("x").unwrap().text(), Some("1"));
        assert_eq!(used.get("y").unwrap().text(), Some("3"));
    }
}
