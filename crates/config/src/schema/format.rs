//! What strings must look like, and what to write instead of those that do not.

use std::net::IpAddr;
use std::time::Duration;

use super::types::Prefix;

/// What a string must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Anything.
    Any,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A URL with one of these schemes.
    Url(&'static [&'static str]),
    /// A hardware address such as `00:1b:21:aa:bb:cc`.
    Mac,
    /// Two or more bytes in hex separated by colons.
    HexBytes,
    /// An IP address.
    Address,
    /// An IP address with a prefix length.
    Prefix,
    /// An IP address and port.
    Endpoint,
    /// A length of time.
    Duration,
    /// A size of storage such as `10GiB` or `25%`.
    Size,
}

/// Why a string does not have its format, and what would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub fix: Option<String>,
}

fn mismatch(message: String, fix: impl Into<String>) -> Result<(), Mismatch> {
    Err(Mismatch {
        message,
        fix: Some(fix.into()),
    })
}

impl Format {
    /// Judges a string.
    pub fn judge(self, text: &str) -> Result<(), Mismatch> {
        match self {
            Format::Any => Ok(()),
            Format::OneOf(words) => one_of(text, words),
            Format::Url(schemes) => url(text, schemes),
            Format::Mac if is_hex_bytes(text, 6) || is_hex_bytes(text, 8) || is_hex_bytes(text, 20) => Ok(()),
            Format::Mac => mismatch(
                format!("{text:?} is not a hardware address"),
                "write six bytes such as 00:1b:21:aa:bb:cc",
            ),
            Format::HexBytes if text.split(':').count() > 1 && is_hex_bytes(text, text.split(':').count()) => Ok(()),
            Format::HexBytes => mismatch(format!("{text:?} is not a list of hex bytes"), "write it as 00:01:ab:…"),
            Format::Address => address(text),
            Format::Prefix => prefix(text),
            Format::Endpoint => endpoint(text),
            Format::Duration => match parse_duration(text) {
                Some(_) => Ok(()),
                None => mismatch(
                    format!("{text:?} is not a length of time"),
                    "write it as 30s, 5m or 1h30m",
                ),
            },
            Format::Size => match parse_size(text) {
                Some(_) => Ok(()),
                None => mismatch(format!("{text:?} is not a size"), "write it as 500MiB, 10GiB or 25%"),
            },
        }
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), Mismatch> {
    if words.contains(&text) {
        return Ok(());
    }
    let fix = match super::suggest::closest(text, words.iter().copied()) {
        Some(word) => format!("did you mean {word}? it can be {}", words.join(", ")),
        None => format!("it can be {}", words.join(", ")),
    };
    mismatch(format!("{text:?} is not one of the values known here"), fix)
}

fn url(text: &str, schemes: &[&str]) -> Result<(), Mismatch> {
    let rest = schemes
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix("://"));
    match rest {
        Some(rest) if !host_and_port(rest).is_empty() && !text.contains(char::is_whitespace) => Ok(()),
        Some(_) => mismatch(format!("{text:?} has no host"), format!("write {}://host", schemes[0])),
        None => {
            let starts: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            let fix = match text.split_once("://") {
                None if !text.is_empty() => format!("write {}{text}", starts[0]),
                _ => format!("it must begin with {}", starts.join(" or ")),
            };
            mismatch(format!("{text:?} is not such a URL"), fix)
        }
    }
}

/// The part of a URL after the scheme up to the path, without a user.
pub fn host_and_port(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn is_hex_bytes(text: &str, count: usize) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == count
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn address(text: &str) -> Result<(), Mismatch> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    match text.split_once('/') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => mismatch(
            format!("{text:?} has a prefix length where a plain address is wanted"),
            format!("write {address:?}"),
        ),
        _ => mismatch(
            format!("{text:?} is not an IP address"),
            "write it as 10.0.0.5 or fd00::5",
        ),
    }
}

fn prefix(text: &str) -> Result<(), Mismatch> {
    if text.parse::<Prefix>().is_ok() {
        return Ok(());
    }
    match (text.parse::<IpAddr>(), text.split_once('/')) {
        (Ok(address), _) => {
            let length = if address.is_ipv4() { 24 } else { 64 };
            mismatch(
                format!("{text:?} has no prefix length"),
                format!("write \"{text}/{length}\""),
            )
        }
        (_, Some((address, _))) if address.parse::<IpAddr>().is_ok() => {
            let max = if address.contains(':') { 128 } else { 32 };
            mismatch(
                format!("{text:?} has a wrong prefix length"),
                format!("it is a number from 0 to {max}"),
            )
        }
        _ => mismatch(
            format!("{text:?} is not an address with a prefix length"),
            "write it as 10.0.0.0/24 or fd00::/64",
        ),
    }
}

fn endpoint(text: &str) -> Result<(), Mismatch> {
    if text.parse::<std::net::SocketAddr>().is_ok() {
        return Ok(());
    }
    mismatch(
        format!("{text:?} is not an address with a port"),
        "write it as 10.0.0.5:51820 or [fd00::5]:51820",
    )
}

/// Parses a length of time as Go writes it: `1h30m`, `500ms`, `0`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("μs", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3600.0),
        ];
        let (unit, seconds) = units.iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total += number * seconds;
    }
    Duration::try_from_secs_f64(total)
        .ok()
        .map(|d| Duration::from_nanos(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
}

/// Writes a length of time as Go does: `1m0s`, `1.5s`, `500ms`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let text = format!(
            "{}.{:0width$}",
            value / unit,
            value % unit,
            width = unit.ilog10() as usize
        );
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".into(),
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => format!("{}µs", fraction(n, 1_000)),
        n if n < 1_000_000_000 => format!("{}ms", fraction(n, 1_000_000)),
        n => {
            let minutes = n / 60_000_000_000;
            let seconds = fraction(n % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// A size of storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of what there is.
    Percent(f64),
}

/// Parses a size such as `10GiB`, `1.5 GB`, `25%` or a plain number of bytes.
pub fn parse_size(text: &str) -> Option<Size> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_ascii_lowercase();
    if unit == "%" {
        return (number <= 100.0).then_some(Size::Percent(number));
    }
    let power = |base: f64, letter: &str| Some(base.powi(i32::try_from("kmgtp".find(letter)?).ok()? + 1));
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        unit => match (unit.strip_suffix("ib"), unit.strip_suffix('b')) {
            (Some(letter), _) if letter.len() == 1 => power(1024.0, letter)?,
            (None, Some(letter)) if letter.len() == 1 => power(1000.0, letter)?,
            (None, None) if unit.len() == 1 => power(1000.0, unit)?,
            (None, None) if unit.len() == 2 && unit.ends_with('i') => power(1024.0, &unit[..1])?,
            _ => return None,
        },
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(Size::Bytes((number * factor) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_says_what_to_write() {
        let fix = |format: Format, text: &str| format.judge(text).unwrap_err().fix.unwrap();
        assert_eq!(fix(Format::Prefix, "10.0.0.5"), "write \"10.0.0.5/24\"");
        assert_eq!(fix(Format::Prefix, "10.0.0.5/33"), "it is a number from 0 to 32");
        assert_eq!(fix(Format::Address, "10.0.0.5/24"), "write \"10.0.0.5\"");
        assert_eq!(
            fix(Format::OneOf(&["active-backup", "802.3ad"]), "active_backup"),
            "did you mean active-backup? it can be active-backup, 802.3ad"
        );
        assert_eq!(
            fix(Format::Url(&["https"]), "1.2.3.4:6443"),
            "write https://1.2.3.4:6443"
        );
    }

    #[test]
    fn durations_read_and_write_as_go_does() {
        for text in ["1m0s", "1h30m0s", "1.5s", "500ms", "0s", "87600h0m0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("1h"), Some(Duration::from_secs(3600)));
        for wrong in ["", "5", "m", "-1s", "1x", "1.2.3s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal() {
        assert_eq!(parse_size("10GiB"), Some(Size::Bytes(10 << 30)));
        assert_eq!(parse_size("1.5 kB"), Some(Size::Bytes(1500)));
        assert_eq!(parse_size("4096"), Some(Size::Bytes(4096)));
        assert_eq!(parse_size("25%"), Some(Size::Percent(25.0)));
        assert_eq!(parse_size("GiB"), None);
    }
}
