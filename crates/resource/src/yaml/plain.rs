//! Which strings may stand unquoted, by the rules go-yaml and libyaml use.

/// Whether a reader would take the plain text for something else than a string.
pub(super) fn resolves_to_other(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return true };
    if matches!(
        text,
        "~" | "null"
            | "Null"
            | "NULL"
            | "true"
            | "True"
            | "TRUE"
            | "false"
            | "False"
            | "FALSE"
            | "<<"
            | ".nan"
            | ".NaN"
            | ".NAN"
            | ".inf"
            | ".Inf"
            | ".INF"
            | "+.inf"
            | "+.Inf"
            | "+.INF"
            | "-.inf"
            | "-.Inf"
            | "-.INF"
    ) || is_old_bool(text)
        || is_base_60(text)
    {
        return true;
    }
    match first {
        '.' => is_float(text),
        '0'..='9' | '+' | '-' => is_timestamp(text) || is_number(&text.replace('_', "")),
        _ => false,
    }
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF"
    )
}

/// `12:30:45`, `0000:00:03.0`: numbers in base sixty for YAML 1.1 readers.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, fraction) = match text.rsplit_once('.') {
        Some((digits, fraction)) => (digits, fraction),
        None => (text, ""),
    };
    let mut parts = digits.split(':');
    let head = parts.next().unwrap_or_default();
    let rest: Vec<_> = parts.collect();
    let number = |part: &str| part.chars().all(|c| c.is_ascii_digit() || c == '_');
    head.starts_with(|c: char| c.is_ascii_digit())
        && number(head)
        && number(fraction)
        && !rest.is_empty()
        && rest.iter().all(|part| match part.as_bytes() {
            [one] => one.is_ascii_digit(),
            [ten, one] => (b'0'..=b'5').contains(ten) && one.is_ascii_digit(),
            _ => false,
        })
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |digits: &str, radix: u32| {
        !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) && u64::from_str_radix(digits, radix).is_ok()
    };
    if let Some(digits) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        return radix(digits, 16);
    }
    if let Some(digits) = unsigned.strip_prefix("0b").or_else(|| unsigned.strip_prefix("0B")) {
        return radix(digits, 2);
    }
    if let Some(digits) = unsigned.strip_prefix("0o").or_else(|| unsigned.strip_prefix("0O")) {
        return radix(digits, 8);
    }
    is_float(text)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, which is every decimal integer too.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// A date, or a date with a time, in the forms go-yaml reads.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let within = |part: &str, low: u32, high: u32| {
        (1..=2).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|n| (low..=high).contains(&n))
    };
    let mut parts = date.splitn(3, '-').skip(1);
    let date_fits = within(parts.next().unwrap_or_default(), 1, 12) && within(parts.next().unwrap_or_default(), 1, 31);
    let Some(time) = time else { return date_fits };
    let clock = time.split(['Z', '+', '-']).next().unwrap_or_default().trim_end();
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':');
    date_fits
        && within(parts.next().unwrap_or_default(), 0, 23)
        && within(parts.next().unwrap_or_default(), 0, 59)
        && within(parts.next().unwrap_or_default(), 0, 59)
        && fraction.chars().all(|c| c.is_ascii_digit())
}

/// What the characters of a text allow, as libyaml's `analyze_scalar` finds it (block context only).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Allowed {
    pub plain: bool,
    pub single_quoted: bool,
    pub block: bool,
}

pub(super) fn analyze(text: &str) -> Allowed {
    if text.is_empty() {
        return Allowed {
            plain: true,
            single_quoted: true,
            block: false,
        };
    }
    let chars: Vec<char> = text.chars().collect();
    let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\0') || is_break(*c));
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut special, mut tabs, mut breaks) = (false, false, false);
    let (mut space_break, mut break_space) = (false, false);
    let (mut previous_space, mut previous_break) = (false, false);
    for (i, &c) in chars.iter().enumerate() {
        let followed = blank(chars.get(i + 1));
        let preceded = i == 0 || blank(chars.get(i - 1));
        indicators |= match c {
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => i == 0,
            '#' => preceded,
            ':' => followed,
            '?' | '-' => i == 0 && followed,
            _ => false,
        };
        if c == '\t' {
            tabs = true;
        } else if !is_printable(c) {
            special = true;
        }
        if c == ' ' {
            break_space |= previous_break;
            (previous_space, previous_break) = (true, false);
        } else if is_break(c) {
            breaks = true;
            space_break |= previous_space;
            (previous_space, previous_break) = (false, true);
        } else {
            (previous_space, previous_break) = (false, false);
        }
    }
    let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
    let outer = edge(chars.first()) || edge(chars.last());
    let unfit = space_break || tabs || special;
    Allowed {
        plain: !(indicators || outer || break_space || unfit || breaks),
        single_quoted: !(break_space || unfit),
        block: !(chars.last() == Some(&' ') || space_break || special),
    }
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The characters YAML calls printable, a byte order mark not among them.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && c != '\u{feff}'
}
