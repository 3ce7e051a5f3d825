//! Sizes in bytes, for people and from people.

/// Decimal units, two significant digits below ten: `133 MB`, `1.5 GB`, `42 kB`.
pub fn decimal(bytes: u64) -> String {
    humanize(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// Binary units: `2.0 GiB`.
pub fn binary(bytes: u64) -> String {
    humanize(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn humanize(bytes: u64, base: f64, units: &[&str]) -> String {
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1} {}", units[unit])
    } else {
        format!("{value:.0} {}", units[unit])
    }
}

/// Parses `2.0GiB`, `512MB`, `1024` (bytes), `2g`.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a size (write for example 512MiB or 2GiB)");
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    let factor: u64 = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" | "ki" => 1 << 10,
        "m" | "mib" | "mi" => 1 << 20,
        "g" | "gib" | "gi" => 1 << 30,
        "t" | "tib" | "ti" => 1 << 40,
        _ => return Err(wrong()),
    };
    Ok((number * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_for_people() {
        assert_eq!(decimal(5), "5 B");
        assert_eq!(decimal(42_123), "42 kB");
        assert_eq!(decimal(1_500_000_000), "1.5 GB");
        assert_eq!(decimal(133_000_000), "133 MB");
        assert_eq!(binary(2 << 30), "2.0 GiB");
    }

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        assert_eq!(parse("2.0GiB").unwrap(), 2 << 30);
        assert_eq!(parse("512mb").unwrap(), 512_000_000);
        assert_eq!(parse("10").unwrap(), 10);
        assert!(parse("lots").is_err());
    }
}
