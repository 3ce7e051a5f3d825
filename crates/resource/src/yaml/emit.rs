//! Values to text.

use std::fmt::Write;

use serde_json::{Number, Value};

use super::plain::{Allowed, analyze, is_break, is_printable, resolves_to_other};
use super::value::NODE;

const STEP: usize = 4;

/// The next multiple of four: go-yaml aligns everything but the inside of a list item to it.
fn deeper(indent: usize) -> usize {
    STEP * ((indent + STEP) / STEP)
}

/// A document, with a newline at its end.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(value, 0, false, &mut out),
        Value::Array(list) if !list.is_empty() => sequence(value, 0, false, &mut out),
        _ => {
            leaf(value, STEP, &mut out);
            out.push('\n');
        }
    }
    out
}

/// `key:` and the value below or beside it, as part of a document whose keys are `indent` deep.
#[must_use]
pub fn emit_nested(key: &str, value: &Value, indent: usize) -> String {
    let mut out = " ".repeat(indent);
    entry(key, value, indent, &mut out);
    out
}

fn entry(key: &str, value: &Value, indent: usize, out: &mut String) {
    out.push_str(&key_text(key));
    out.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(value, deeper(indent), false, out);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            sequence(value, deeper(indent), false, out);
        }
        _ => {
            out.push(' ');
            leaf(value, deeper(indent), out);
            out.push('\n');
        }
    }
}

/// `inline` says that the first line's indentation stands there already.
fn mapping(value: &Value, indent: usize, inline: bool, out: &mut String) {
    let Value::Object(map) = value else { return };
    for (position, (key, value)) in map.iter().enumerate() {
        if position > 0 || !inline {
            pad(indent, out);
        }
        entry(key, value, indent, out);
    }
}

fn sequence(value: &Value, indent: usize, inline: bool, out: &mut String) {
    let Value::Array(list) = value else { return };
    for (position, item) in list.iter().enumerate() {
        if position > 0 || !inline {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(item, indent + 2, true, out),
            Value::Array(list) if !list.is_empty() => sequence(item, indent + 2, true, out),
            _ => {
                leaf(item, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn leaf(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => match text.strip_prefix(NODE) {
            Some(node) => out.push_str(&node_scalar(node)),
            None => string(text, indent, false, out),
        },
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// A string as it stands after a key: plain, quoted, or (with line breaks) double-quoted on one line.
#[must_use]
pub fn scalar(text: &str) -> String {
    key_text(text)
}

/// A string whose meaning go-yaml does not look at, because it was given to it as a node: quoted only where the
/// syntax needs it.
#[must_use]
pub fn node_scalar(text: &str) -> String {
    let written = key_text(text);
    match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner == text && !text.contains(['\\', '"']) => text.to_owned(),
        _ => written,
    }
}

fn key_text(text: &str) -> String {
    let mut out = String::new();
    string(text, 0, true, &mut out);
    out
}

fn string(text: &str, indent: usize, simple: bool, out: &mut String) {
    let Allowed {
        plain,
        single_quoted,
        block,
    } = analyze(text);
    if text.contains('\n') {
        match block && !simple {
            true => literal(text, indent, out),
            false => double_quoted(text, out),
        }
    } else if resolves_to_other(text) {
        double_quoted(text, out);
    } else if plain {
        out.push_str(text);
    } else if single_quoted {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    } else {
        double_quoted(text, out);
    }
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        let _ = write!(out, "{STEP}");
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text == "\n" || text.ends_with("\n\n") {
        out.push('+');
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_printable(c) && !is_break(c) => out.push(c),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c => {
                let _ = match u32::from(c) {
                    code @ ..=0xff => write!(out, "\\x{code:02X}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04X}"),
                    code => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
}

/// Floats as Go's `FormatFloat(f, 'g', -1, 64)` prints them: `5.54`, `0`, `1e+06`.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    if float == 0.0 {
        return if float.is_sign_negative() {
            "-0".to_owned()
        } else {
            "0".to_owned()
        };
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // With the shortest precision Go turns to an exponent at six digits before the point.
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    format!(
        "{mantissa}e{}{:02}",
        if exponent < 0 { '-' } else { '+' },
        exponent.abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(value: Value) -> String {
        emit(&json!({ "k": value }))
    }

    #[test]
    fn nesting_is_four_spaces_and_two_inside_a_list_item() {
        let value = json!({"config": [{"name": "p", "inner": {"kind": "K", "list": ["x", []], "deep": {"a": 1}}}]});
        assert_eq!(
            emit(&value),
            "config:\n    - name: p\n      inner:\n        kind: K\n        list:\n            - x\n            - []\n        deep:\n            a: 1\n"
        );
        assert_eq!(emit(&json!([["a", "b"], {"c": 1}])), "- - a\n  - b\n- c: 1\n");
    }

    #[test]
    fn strings_that_read_as_something_else_are_double_quoted() {
        for text in [
            "",
            "1",
            "1048576",
            "true",
            "null",
            "~",
            "no",
            "y",
            "0x1000",
            "52:54:00:12:34:56",
            "0000:00:03.0",
            "1e3",
            ".5",
            "2026-11-21",
            "2026-11-21T06:31:03Z",
            "08",
            "<<",
            "1_000",
        ] {
            assert_eq!(one(json!(text)), format!("k: \"{text}\"\n"));
        }
    }

    #[test]
    fn other_strings_are_plain() {
        for text in [
            "a b",
            "ff:ff:ff:ff:ff:ff",
            "v1.2",
            "10.0.2.3:53",
            ":50000",
            "mnt:[4026]",
            "fe80::1",
            "::1",
            "--flag=x",
            "a#b",
            "1.2.3",
            "J_7=",
            "off [fixed]",
            "é",
            "-x",
            "node \"x\" is",
            "1.5.0",
            "10.0.0.0/8",
        ] {
            assert_eq!(one(json!(text)), format!("k: {text}\n"), "{text}");
        }
    }

    #[test]
    fn strings_with_indicators_are_single_quoted() {
        for text in [
            "#000 10.0.2.3",
            "{.address}",
            "*x",
            "a: b",
            "a #b",
            " a",
            "a ",
            "- a",
            "@",
            "%",
            "a:",
        ] {
            assert_eq!(one(json!(text)), format!("k: '{text}'\n"));
        }
        assert_eq!(one(json!("'q")), "k: '''q'\n");
    }

    #[test]
    fn text_of_several_lines_is_a_literal_block() {
        assert_eq!(one(json!("a\n  b\n")), "k: |\n    a\n      b\n");
        assert_eq!(one(json!("a\n\nb")), "k: |-\n    a\n\n    b\n");
        assert_eq!(one(json!("a\n\n")), "k: |+\n    a\n\n");
        assert_eq!(one(json!(" a\nb\n")), "k: |4\n     a\n    b\n");
        assert_eq!(one(json!("a \nb")), "k: \"a \\nb\"\n");
        assert_eq!(one(json!("tab\there")), "k: \"tab\\there\"\n");
        assert_eq!(emit(&json!("a\nb\n")), "|\n    a\n    b\n");
    }

    #[test]
    fn numbers_print_as_in_go() {
        for (number, text) in [
            (json!(5.54), "5.54"),
            (json!(0.0), "0"),
            (json!(1e6), "1e+06"),
            (json!(1234567.5), "1.2345675e+06"),
            (json!(100000.0), "100000"),
            (json!(1e-5), "1e-05"),
            (json!(18446744073709551615_u64), "18446744073709551615"),
            (json!(-3), "-3"),
        ] {
            assert_eq!(one(number), format!("k: {text}\n"));
        }
    }
}
