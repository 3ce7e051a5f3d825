//! Templates of columns: the part of Go's text/template that such columns use.
//!
//! `{{ .Field.part }}`, methods (`.HumanizeIBytes`, `.HumanizeBytes`, `.UsecToDuration`, `.PercentOf X`, `.DivideBy X`),
//! `| printf "%8s"`, `if`, `else`, `range $key, $value := X`, `end`, `{{-` and `-}}`; `.Parent` is the group above.

use std::iter::Peekable;
use std::vec::IntoIter;

use anyhow::{Context as _, Result, bail};

use super::tree::Group;
use super::values::{Value, field};

/// Blocks in blocks; a template that nests deeper is a mistake.
const DEPTH: usize = 16;

/// A template that was understood.
#[derive(Debug, PartialEq)]
pub struct Template(Vec<Node>);

#[derive(Debug, PartialEq)]
enum Node {
    Text(String),
    Show(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    Range {
        names: Vec<String>,
        over: Pipeline,
        body: Vec<Node>,
    },
}

/// Commands, each of which gets the value of the one before.
type Pipeline = Vec<Vec<Operand>>;

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// `.A.b`, from what the template is about.
    Field(Vec<String>),
    /// `$v.a`
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
}

enum Piece {
    Text(String),
    Action(String),
}

impl Template {
    /// Understands a template.
    pub fn parse(text: &str) -> Result<Self> {
        let mut pieces = pieces(text)?.into_iter().peekable();
        let nodes = nodes(&mut pieces, 0)?;
        if let Some(Piece::Action(action)) = pieces.next() {
            bail!("{{{{ {action} }}}} has nothing it belongs to");
        }
        Ok(Self(nodes))
    }

    /// Fills in what a group says.
    pub fn render(&self, group: &Group, parent: Option<&Group>) -> Result<String> {
        let mut scope = Scope {
            group,
            parent,
            dot: None,
            variables: Vec::new(),
        };
        let mut text = String::new();
        scope.write(&self.0, &mut text)?;
        Ok(text.trim_end().to_owned())
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>> {
    let (mut pieces, mut rest, mut trim) = (Vec::new(), text, false);
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").context("{{ is not closed with }}")?;
        let before = if trim { before.trim_start() } else { before };
        let inside_trimmed = inside.strip_prefix('-');
        let before = if inside_trimmed.is_some() {
            before.trim_end()
        } else {
            before
        };
        let inside = inside_trimmed.unwrap_or(inside);
        trim = inside.ends_with('-');
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Action(inside.trim_end_matches('-').trim().to_owned()));
        rest = after;
    }
    let rest = if trim { rest.trim_start() } else { rest };
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

fn nodes(pieces: &mut Peekable<IntoIter<Piece>>, depth: usize) -> Result<Vec<Node>> {
    if depth > DEPTH {
        bail!("blocks are nested too deep");
    }
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.peek() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text.clone()));
                pieces.next();
                continue;
            }
            Piece::Action(action) => action.clone(),
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
        match word {
            // Whose these are knows what to do with them.
            "end" | "else" => break,
            "if" => {
                pieces.next();
                let then = self::nodes(pieces, depth + 1)?;
                let mut otherwise = Vec::new();
                if is(pieces.peek(), "else") {
                    pieces.next();
                    otherwise = self::nodes(pieces, depth + 1)?;
                }
                end(pieces, "if")?;
                nodes.push(Node::If(pipeline(rest)?, then, otherwise));
            }
            "range" => {
                pieces.next();
                let (names, over) = match rest.split_once(":=") {
                    Some((names, over)) => (names, over),
                    None => ("", rest),
                };
                let names = names
                    .split(',')
                    .map(str::trim)
                    .filter(|n| !n.is_empty())
                    .map(str::to_owned)
                    .collect();
                let body = self::nodes(pieces, depth + 1)?;
                end(pieces, "range")?;
                let over = pipeline(over)?;
                nodes.push(Node::Range { names, over, body });
            }
            _ => {
                pieces.next();
                nodes.push(Node::Show(pipeline(&action)?));
            }
        }
    }
    Ok(nodes)
}

fn is(piece: Option<&Piece>, word: &str) -> bool {
    matches!(piece, Some(Piece::Action(action)) if action == word)
}

fn end(pieces: &mut Peekable<IntoIter<Piece>>, block: &str) -> Result<()> {
    if is(pieces.next().as_ref(), "end") {
        return Ok(());
    }
    bail!("{{{{ {block} … }}}} has no {{{{ end }}}}")
}

fn pipeline(text: &str) -> Result<Pipeline> {
    let mut commands = vec![Vec::new()];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '|' => {
                commands.push(Vec::new());
                1
            }
            '"' | '`' => {
                let close = rest[1..].find(first).context("a string is not closed")?;
                let value = Value::Text(rest[1..=close].to_owned());
                commands
                    .last_mut()
                    .context("a command is missing")?
                    .push(Operand::Literal(value));
                close + 2
            }
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(rest.len());
                let operand = operand(&rest[..length])?;
                commands.last_mut().context("a command is missing")?.push(operand);
                length
            }
        };
        rest = rest[used..].trim_start();
    }
    if commands.iter().any(Vec::is_empty) {
        bail!("{{{{ {text} }}}} has nothing to show");
    }
    Ok(commands)
}

fn operand(word: &str) -> Result<Operand> {
    let parts = |path: &str| path.split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    if let Some(path) = word.strip_prefix('.') {
        return Ok(Operand::Field(parts(path)));
    }
    if word.starts_with('$') {
        let (name, path) = word.split_once('.').unwrap_or((word, ""));
        return Ok(Operand::Variable(name.to_owned(), parts(path)));
    }
    if let Ok(number) = word.parse() {
        return Ok(Operand::Literal(Value::Number(number)));
    }
    match word {
        "printf" | "print" => Ok(Operand::Function(word.to_owned())),
        other => bail!("{other:?} is not known here (fields begin with a dot)"),
    }
}

struct Scope<'a> {
    group: &'a Group,
    parent: Option<&'a Group>,
    /// What `.` means inside `range`.
    dot: Option<Value>,
    variables: Vec<(String, Value)>,
}

impl Scope<'_> {
    fn write(&mut self, nodes: &[Node], out: &mut String) -> Result<()> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Show(pipeline) => out.push_str(&self.value(pipeline)?.to_string()),
                Node::If(condition, then, otherwise) => {
                    let branch = if self.value(condition)?.holds() {
                        then
                    } else {
                        otherwise
                    };
                    self.write(branch, out)?;
                }
                Node::Range { names, over, body } => {
                    let entries: Vec<(Value, Value)> = match self.value(over)? {
                        Value::Map(map) => map.into_iter().map(|(k, v)| (Value::Text(k), v)).collect(),
                        Value::List(list) => {
                            let numbered = list.into_iter().enumerate();
                            numbered.map(|(k, v)| (Value::Number(k as f64), v)).collect()
                        }
                        _ => Vec::new(),
                    };
                    for (key, value) in entries {
                        let outer = (self.variables.len(), self.dot.replace(value.clone()));
                        match &names[..] {
                            [] => {}
                            [one] => self.variables.push((one.clone(), value)),
                            [first, second, ..] => {
                                self.variables.push((first.clone(), key));
                                self.variables.push((second.clone(), value));
                            }
                        }
                        let written = self.write(body, out);
                        self.variables.truncate(outer.0);
                        self.dot = outer.1;
                        written?;
                    }
                }
            }
        }
        Ok(())
    }

    fn value(&self, pipeline: &Pipeline) -> Result<Value> {
        let mut piped: Option<Value> = None;
        for command in pipeline {
            let (first, arguments) = command.split_first().context("a command is missing")?;
            let mut arguments: Vec<Value> = arguments.iter().map(|o| self.operand(o, &[])).collect::<Result<_>>()?;
            arguments.extend(piped.take());
            piped = Some(match first {
                Operand::Function(name) => call(name, &arguments)?,
                other => self.operand(other, &arguments)?,
            });
        }
        piped.context("a command is missing")
    }

    /// A value; arguments go to the last method of its path.
    fn operand(&self, operand: &Operand, arguments: &[Value]) -> Result<Value> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => call(name, arguments),
            Operand::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = found.with_context(|| format!("{name} is not set here"))?;
                follow(value.clone(), path, arguments)
            }
            Operand::Field(path) => {
                if let Some(dot) = &self.dot {
                    return follow(dot.clone(), path, arguments);
                }
                let (group, path) = match path.split_first() {
                    Some((first, rest)) if first == "Parent" => (self.parent, rest),
                    _ => (Some(self.group), &path[..]),
                };
                let (name, rest) = path
                    .split_first()
                    .context("a group has to be asked for one of its fields")?;
                let empty = Group::default();
                let value = field(group.unwrap_or(&empty), name);
                follow(
                    value.with_context(|| format!("a group has no field .{name}"))?,
                    rest,
                    arguments,
                )
            }
        }
    }
}

fn follow(value: Value, path: &[String], arguments: &[Value]) -> Result<Value> {
    let Some((last, before)) = path.split_last() else {
        return Ok(value);
    };
    let at = before.iter().try_fold(value, |value, name| value.part(name, &[]))?;
    at.part(last, arguments)
}

fn call(name: &str, arguments: &[Value]) -> Result<Value> {
    if name == "print" {
        return Ok(Value::Text(arguments.iter().map(ToString::to_string).collect()));
    }
    let (format, values) = arguments.split_first().context("printf needs a format")?;
    let (format, mut values) = (format.to_string(), values.iter());
    let (mut out, mut rest) = (String::new(), format.as_str());
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_ascii_alphabetic() || c == '%')
            .context("printf: a % has no letter")?;
        let (flags, verb) = (&after[..end], &after[end..=end]);
        rest = &after[end + 1..];
        if verb == "%" {
            out.push('%');
            continue;
        }
        let value = values.next().context("printf has more % than values")?;
        out.push_str(&formatted(flags, verb, value)?);
    }
    out.push_str(rest);
    Ok(Value::Text(out))
}

fn formatted(flags: &str, verb: &str, value: &Value) -> Result<String> {
    let left = flags.contains('-');
    let (width, precision) = flags.trim_start_matches(['-', '+', ' ']).split_once('.').map_or_else(
        || (flags.trim_start_matches(['-', '+', ' ']), None),
        |(width, precision)| (width, Some(precision)),
    );
    let zeros = width.starts_with('0');
    let width: usize = if width.is_empty() {
        0
    } else {
        width.parse().context("printf: a width is no number")?
    };
    let width = width.min(200);
    let text = match (verb, value) {
        ("f", Value::Number(n)) => {
            let places = precision
                .map_or(Ok(6), str::parse)
                .context("printf: a precision is no number")?;
            format!("{n:.*}", usize::min(places, 20))
        }
        ("d", Value::Number(n)) => format!("{n:.0}"),
        ("s" | "v" | "d" | "f", value) => value.to_string(),
        (other, _) => bail!("printf does not know %{other} (%s, %v, %d, %f)"),
    };
    Ok(match (left, zeros && matches!(value, Value::Number(_))) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(template: &str) -> Result<String> {
        let files = [
            ("memory.current", "2097152\n"),
            ("memory.max", "max\n"),
            ("cpu.stat", "usage_usec 4000000\nuser_usec 1000000\n"),
            ("io.stat", "254:0 rbytes=1024 wbytes=0\n8:0 rbytes=5 wbytes=6\n"),
        ];
        let group = Group {
            files: files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect(),
            ..Group::default()
        };
        let parent = Group {
            files: [("cpu.stat".to_owned(), "usage_usec 8000000\nuser_usec 3\n".to_owned())].into(),
            ..Group::default()
        };
        Template::parse(template)?.render(&group, Some(&parent))
    }

    #[test]
    fn fields_methods_and_formats_are_filled_in() {
        let good = |template| shown(template).unwrap();
        assert_eq!(good("{{ .MemoryCurrent.HumanizeIBytes }}"), "2.0 MiB");
        assert_eq!(good("<{{ .MemoryMax | printf \"%6s\" }}>"), "<   max>");
        assert_eq!(good("<{{ .MemoryPeak.HumanizeIBytes | printf `%-6s` }}>"), "<unset >");
        assert_eq!(good("{{ .CPUStat.usage_usec.UsecToDuration }}"), "4s");
        assert_eq!(
            good("{{ .CPUStat.usage_usec.PercentOf .Parent.CPUStat.usage_usec | printf \"%6.2f%%\" }}"),
            " 50.00%"
        );
        assert_eq!(good("{{ if .MemoryPeak }}a{{ else }}b{{ end }}"), "b");
        assert_eq!(
            good(
                "{{ range $disk, $v := .IOStat }}{{ if $v }} {{- $disk }}: {{ $v.rbytes.HumanizeBytes }}/{{ $v.wbytes }} {{ end }}{{ end }}"
            ),
            "254:0: 1.0 kB/0 8:0: 5 B/6"
        );
        assert_eq!(good("{{ range .IOStat }}{{ .rbytes }},{{ end }}"), "1024,5,");
    }

    #[test]
    fn mistakes_are_told() {
        for (template, word) in [
            ("{{ .NoSuchField }}", "NoSuchField"),
            ("{{ .MemoryCurrent", "closed"),
            ("{{ if .MemoryMax }}x", "end"),
            ("{{ end }}", "belongs"),
            ("{{ memory }}", "memory"),
            ("{{ .MemoryMax | printf }}", "%"),
            ("{{ .MemoryMax | printf \"%x\" }}", "%x"),
            ("{{ }}", "nothing"),
            ("{{ $v }}", "$v"),
            ("{{ printf \"%s\" }}", "values"),
        ] {
            match shown(template) {
                Err(error) => assert!(format!("{error:#}").contains(word), "{template}: {error:#}"),
                // A format without a % only leaves its values out.
                Ok(text) => assert_eq!((template, text.as_str()), ("{{ .MemoryMax | printf }}", "max")),
            }
        }
        let deep = "{{ if .MemoryMax }}".repeat(40) + &"{{ end }}".repeat(40);
        assert!(shown(&deep).is_err());
    }
}
