//! Template text to parts.

use serde_json::Value;

use super::{Comparison, Filter, Operand, Part, Path, Step};

type Result<T> = std::result::Result<T, String>;

/// Parses a whole template.
pub(super) fn template(text: &str) -> Result<Vec<Part>> {
    let mut open: Vec<(Path, Vec<Part>)> = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(start) = rest.find('{') else {
            parts.push(Part::Text(rest.to_owned()));
            break;
        };
        if start > 0 {
            parts.push(Part::Text(rest[..start].to_owned()));
        }
        let end = closing(&rest[start + 1..], '}').ok_or("no closing \"}\"")? + start + 1;
        let inside = rest[start + 1..end].trim();
        rest = &rest[end + 1..];
        if inside == "end" {
            let (path, outer) = open.pop().ok_or("\"end\" without \"range\"")?;
            let body = std::mem::replace(&mut parts, outer);
            parts.push(Part::Range(path, body));
        } else if let Some(path) = inside.strip_prefix("range ") {
            open.push((path_of(path.trim())?, std::mem::take(&mut parts)));
        } else if inside.starts_with(['"', '\'']) {
            parts.push(Part::Text(string(inside)?));
        } else if !inside.is_empty() {
            parts.push(Part::Path(path_of(inside)?));
        }
    }
    if open.is_empty() {
        Ok(parts)
    } else {
        Err("\"range\" without \"end\"".into())
    }
}

/// Position of the closing character that is not inside quotes.
fn closing(text: &str, wanted: char) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c == wanted => return Some(index),
            (None, _) => {}
        }
    }
    None
}

/// A quoted string with its escapes.
fn string(text: &str) -> Result<String> {
    let quote = text.chars().next().ok_or("empty string")?;
    let inside = text[1..]
        .strip_suffix(quote)
        .filter(|_| text.len() >= 2)
        .ok_or_else(|| format!("{text} has no closing quote"))?;
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    Ok(out)
}

fn path_of(text: &str) -> Result<Path> {
    let (path, rest) = path(text)?;
    match rest.trim().chars().next() {
        None => Ok(path),
        Some(c) => Err(format!("unexpected \"{c}\"")),
    }
}

/// A path at the beginning of the text, and what follows it.
fn path(text: &str) -> Result<(Path, &str)> {
    let (absolute, mut rest) = match text.strip_prefix('$') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('@').unwrap_or(text)),
    };
    let mut steps = Vec::new();
    loop {
        if let Some(below) = rest.strip_prefix("..") {
            steps.push(Step::Descend);
            rest = below;
            if !rest.starts_with(['[', '*']) {
                rest = key(rest, &mut steps)?;
            }
        } else if let Some(below) = rest.strip_prefix('.') {
            rest = if below.starts_with('[') || below.is_empty() {
                below
            } else {
                key(below, &mut steps)?
            };
        } else if let Some(below) = rest.strip_prefix('[') {
            let end = bracket(below).ok_or("no closing \"]\"")?;
            steps.push(selector(below[..end].trim())?);
            rest = &below[end + 1..];
        } else if let Some(below) = rest.strip_prefix('*') {
            steps.push(Step::Wildcard);
            rest = below;
        } else if steps.is_empty() && rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            rest = key(rest, &mut steps)?;
        } else {
            return Ok((Path { absolute, steps }, rest));
        }
    }
}

/// The end of a bracket, minding quotes and brackets inside.
fn bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(index),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn key<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str> {
    if let Some(rest) = text.strip_prefix('*') {
        steps.push(Step::Wildcard);
        return Ok(rest);
    }
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, next)| next)),
            c if ".[]{}()=!<>,~&|".contains(c) || c.is_whitespace() => {
                return if name.is_empty() {
                    Err(format!("unexpected \"{c}\""))
                } else {
                    steps.push(Step::Key(name));
                    Ok(&text[index..])
                };
            }
            other => name.push(other),
        }
    }
    steps.push(Step::Key(name));
    Ok("")
}

fn selector(text: &str) -> Result<Step> {
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        return Ok(Step::Filter(Box::new(self::filter(filter)?)));
    }
    let parts = split_commas(text);
    if parts.len() > 1 {
        return Ok(Step::Union(
            parts
                .into_iter()
                .map(|part| selector(part.trim()))
                .collect::<Result<_>>()?,
        ));
    }
    if text.starts_with(['"', '\'']) {
        return string(text).map(Step::Key);
    }
    let number = |text: &str| -> Result<Option<i64>> {
        let text = text.trim();
        if text.is_empty() {
            Ok(None)
        } else {
            text.parse()
                .map(Some)
                .map_err(|_| format!("\"{text}\" is not an index"))
        }
    };
    let mut bounds = text.split(':');
    let first = number(bounds.next().unwrap_or_default())?;
    match (bounds.next(), bounds.next()) {
        (None, _) => Ok(Step::Index(first.ok_or("empty brackets")?)),
        (Some(end), step) => Ok(Step::Slice(
            first,
            number(end)?,
            number(step.unwrap_or_default())?.unwrap_or(1).max(1),
        )),
    }
}

fn split_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn filter(text: &str) -> Result<Filter> {
    let (left, rest) = operand(text.trim())?;
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Ok(Filter::Exists(left));
    }
    let table = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    for (sign, comparison) in table {
        if let Some(right) = rest.strip_prefix(sign) {
            let (right, rest) = operand(right.trim())?;
            return match rest.trim().chars().next() {
                None => Ok(Filter::Compare(left, comparison, right)),
                Some(c) => Err(format!("unexpected \"{c}\" in the filter")),
            };
        }
    }
    Err(format!(
        "unexpected \"{}\" in the filter",
        rest.chars().next().unwrap_or_default()
    ))
}

fn operand(text: &str) -> Result<(Operand, &str)> {
    if text.starts_with(['"', '\'']) {
        let quote = text.chars().next().unwrap_or('"');
        let end = text[1..]
            .find(quote)
            .ok_or_else(|| format!("{text} has no closing quote"))?
            + 2;
        return Ok((Operand::Value(Value::String(string(&text[..end])?)), &text[end..]));
    }
    let end = text
        .find(|c: char| c.is_whitespace() || "=!<>".contains(c))
        .unwrap_or(text.len());
    if let Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) = serde_json::from_str(&text[..end]) {
        return Ok((Operand::Value(value), &text[end..]));
    }
    path(text).map(|(path, rest)| (Operand::Path(path), rest))
}
