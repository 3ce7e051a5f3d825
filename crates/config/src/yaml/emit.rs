//! Writing a tree as YAML in the layout of go-yaml with an indentation of four: the layout people's existing files have.

use std::fmt::Write;

use super::node::{Map, Node, Value};
use super::scalar;

const INDENT: usize = 4;

/// Writes one document, without a leading `---`. The order of maps is kept.
pub fn document(node: &Node) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Map(map) if !map.is_empty() => write_map(&mut out, map, 0, INDENT, true),
        Value::List(items) if !items.is_empty() => write_list(&mut out, items, 0, true),
        _ => {
            write_scalar(&mut out, node, INDENT);
            out.push('\n');
        }
    }
    out
}

/// Writes the entries of a map. `column` is where keys stand, `inner` where what is nested in them begins;
/// `line_start` is false if the first key follows a `- `.
fn write_map(out: &mut String, map: &Map, column: usize, inner: usize, line_start: bool) {
    for (i, entry) in map.iter().enumerate() {
        if line_start || i > 0 {
            pad(out, column);
        }
        write_text(out, &entry.key, None);
        out.push(':');
        write_value(out, &entry.node, inner);
    }
}

pub(crate) fn write_value(out: &mut String, node: &Node, inner: usize) {
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            out.push('\n');
            write_map(out, map, inner, inner + INDENT, true);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            write_list(out, items, inner, true);
        }
        _ => {
            out.push(' ');
            write_scalar(out, node, inner);
            out.push('\n');
        }
    }
}

fn write_list(out: &mut String, items: &[Node], column: usize, line_start: bool) {
    for (i, item) in items.iter().enumerate() {
        if line_start || i > 0 {
            pad(out, column);
        }
        out.push('-');
        match &item.value {
            Value::Map(map) if !map.is_empty() => {
                out.push(' ');
                write_map(out, map, column + 2, column + INDENT, false);
            }
            Value::List(inner) if !inner.is_empty() => {
                out.push(' ');
                write_list(out, inner, column + 2, false);
            }
            _ => {
                out.push(' ');
                write_scalar(out, item, column + INDENT);
                out.push('\n');
            }
        }
    }
}

pub(crate) fn pad(out: &mut String, column: usize) {
    out.extend(std::iter::repeat_n(' ', column));
}

fn write_scalar(out: &mut String, node: &Node, block_column: usize) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Integer(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Octal(value) => {
            let _ = write!(out, "0o{value:o}");
        }
        Value::Float(value) => write_float(out, *value),
        Value::Text(text) => write_text(out, text, Some(block_column)),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

fn write_float(out: &mut String, value: f64) {
    let _ = match value {
        v if v.is_nan() => out.write_str(".nan"),
        v if v == f64::INFINITY => out.write_str(".inf"),
        v if v == f64::NEG_INFINITY => out.write_str("-.inf"),
        v if v.fract() == 0.0 && v.abs() < 1e15 => write!(out, "{v:.1}"),
        v => write!(out, "{v}"),
    };
}

/// Writes a string: plain if it reads back as the same string, else as a block, in single or in double quotes.
pub(crate) fn write_text(out: &mut String, text: &str, block_column: Option<usize>) {
    if text.contains('\n') {
        match block_column {
            Some(column) if fits_block(text) => write_block(out, text, column),
            _ => write_double(out, text),
        }
    } else if text.chars().any(is_special) || scalar::needs_quotes(text) {
        write_double(out, text);
    } else if fits_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

fn fits_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else {
        return false;
    };
    let dangerous_start = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
        '-' | '?' | ':' => second.is_none_or(|c| c == ' '),
        _ => false,
    };
    !dangerous_start
        && !text.starts_with([' ', '\u{a0}'])
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
}

/// A literal block keeps the text only if no line ends in a space, the first does not begin with one or is empty, and
/// nothing needs an escape.
fn fits_block(text: &str) -> bool {
    !text.starts_with([' ', '\n', '\t'])
        && !text.lines().any(|line| line.ends_with([' ', '\t']))
        && !text.chars().any(|c| c != '\n' && c != '\t' && is_special(c))
}

fn write_block(out: &mut String, text: &str, column: usize) {
    let body = text.trim_end_matches('\n');
    out.push('|');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, column);
            out.push_str(line);
        }
    }
    // The caller ends the line; each break past the first is an empty line of the block.
    for _ in 1..text.len() - body.len() {
        out.push('\n');
    }
}

fn write_double(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            c if is_special(c) && u32::from(c) <= 0xff => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c if is_special(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        document(&Node::map([("k", Node::text(value))])).trim_end().to_owned()
    }

    #[test]
    fn strings_are_quoted_only_where_they_must_be() {
        assert_eq!(text("plain words"), "k: plain words");
        assert_eq!(text("1"), "k: \"1\"");
        assert_eq!(text(""), "k: \"\"");
        assert_eq!(text("yes"), "k: \"yes\"");
        assert_eq!(text("0*"), "k: 0*");
        assert_eq!(text("*a"), "k: '*a'");
        assert_eq!(text("it's: so"), "k: 'it''s: so'");
        assert_eq!(text("fd00::/108"), "k: fd00::/108");
        assert_eq!(text("a\tb"), "k: \"a\\tb\"");
    }

    #[test]
    fn several_lines_become_a_block() {
        assert_eq!(text("a\nb\n"), "k: |\n    a\n    b");
        assert_eq!(text("a\n\nb"), "k: |-\n    a\n\n    b");
        assert_eq!(
            document(&Node::map([("k", Node::text("a\n\n")), ("l", Node::text("x"))])),
            "k: |+\n    a\n\nl: x\n"
        );
        assert_eq!(text("a \nb"), "k: \"a \\nb\"");
    }

    #[test]
    fn lists_stand_four_columns_in_and_maps_in_them_two_more() {
        let item = Node::map([("name", Node::text("one")), ("contents", Node::text("a: b\n"))]);
        let tree = Node::map([("outer", Node::map([("list", Node::list([item]))]))]);
        let want = "outer:\n    list:\n        - name: one\n          contents: |\n            a: b\n";
        assert_eq!(document(&tree), want);
    }
}
