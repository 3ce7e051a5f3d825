//! What a plain scalar means, by the rules of go-yaml: YAML 1.2 with octal numbers of both styles, and the old words for
//! booleans only where a boolean is wanted.

/// Meaning of a plain scalar whose type nothing else determines.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number in any base.
    Integer(i128),
    /// A number with a fraction or exponent, an infinity, or not a number.
    Float(f64),
    /// Anything else.
    Text,
}

/// True for the words that mean nothing.
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// What a plain scalar means if nothing says which type is wanted.
pub fn meaning(text: &str) -> Meaning {
    if is_null(text) {
        return Meaning::Null;
    }
    match text {
        "true" | "True" | "TRUE" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" => return Meaning::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Meaning::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Meaning::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Meaning::Float(f64::NAN),
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Meaning::Integer(number);
    }
    match float(text) {
        Some(number) => Meaning::Float(number),
        None => Meaning::Text,
    }
}

/// A boolean where one is wanted: also the words of YAML 1.1.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, `0x`, `0b`, `0o` or a leading zero for octal, with `_` between digits.
pub fn integer(text: &str) -> Option<i128> {
    if text.len() > 64 {
        return None;
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()? * sign;
    // go-yaml holds whole numbers in 64 bits; what is larger is a float or text.
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&number)
        .then_some(number)
}

fn float(text: &str) -> Option<f64> {
    let looks_like_one = text.bytes().any(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-' | b'_'))
        && text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
    looks_like_one.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// True if go-yaml would read the plain text as something other than a string, or did so in an old version, and so
/// writes a string with this text in quotes.
pub fn needs_quotes(text: &str) -> bool {
    meaning(text) != Meaning::Text || boolean(text).is_some() || text == "<<" || is_sexagesimal(text) || is_date(text)
}

/// `190:20:30` was a number in YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.strip_prefix(['-', '+']).unwrap_or(text).split(':');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let Some(first) = parts.next() else { return false };
    let rest: Vec<&str> = parts.collect();
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && !rest.is_empty()
        && rest.iter().enumerate().all(|(i, part)| {
            let whole = if i + 1 == rest.len() {
                part.split('.').next().unwrap_or(part)
            } else {
                part
            };
            (1..=2).contains(&whole.len())
                && whole.bytes().all(|b| b.is_ascii_digit())
                && (whole.len() == 1 || whole.starts_with(['0', '1', '2', '3', '4', '5']))
        })
}

/// `2001-12-14` and longer timestamps are a type of their own in go-yaml.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    bytes.len() >= 8
        && digits(0..4)
        && bytes[4] == b'-'
        && (bytes.len() == 10 && digits(5..7) && bytes[7] == b'-' && digits(8..10)
            || bytes.len() > 10
                && bytes[7..].contains(&b'-')
                && text[5..]
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b"-:.TtZz+ ".contains(&b))
                && text.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_numbers_of_both_styles_are_read() {
        assert_eq!(integer("0644"), Some(0o644));
        assert_eq!(integer("0o644"), Some(0o644));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("-0x1f"), Some(-31));
        assert_eq!(integer("089"), None);
        assert_eq!(integer("1_000"), Some(1000));
    }

    #[test]
    fn the_old_words_are_booleans_only_where_one_is_wanted() {
        assert_eq!(meaning("yes"), Meaning::Text);
        assert_eq!(boolean("yes"), Some(true));
        assert_eq!(boolean("off"), Some(false));
        assert_eq!(boolean("1"), None);
    }

    #[test]
    fn strings_that_look_like_something_else_need_quotes() {
        for text in [
            "",
            "1",
            "1.5",
            "true",
            "no",
            "~",
            "0x10",
            "12:30",
            "2001-12-14",
            "<<",
            ".5",
            "1e3",
        ] {
            assert!(needs_quotes(text), "{text}");
        }
        for text in [
            "a",
            "1.2.3.4",
            "10.0.0.0/8",
            "v1.2",
            "1h30m",
            "nope",
            "fd00::1",
            "0.0.0.0:80",
            "-",
        ] {
            assert!(!needs_quotes(text), "{text}");
        }
    }
}
