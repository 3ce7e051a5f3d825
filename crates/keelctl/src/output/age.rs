//! Durations and times, written as Go writes them because scripts read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Parses a duration such as `1h30m`, `5m0s`, `300ms` or `1.5h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a duration (write for example 30s, 5m or 1h30m)");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0f64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// Whole seconds as `1h2m3s`, `5m0s`, `59s`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

/// How long ago something was, rounded to seconds: `1m6s ago`.
pub fn ago(then: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(then).unwrap_or_default();
    format!(
        "{} ago",
        format_duration(Duration::from_secs(age.as_millis().saturating_add(500) as u64 / 1000))
    )
}

/// A protobuf timestamp as a time; before 1970 is 1970.
pub fn timestamp(seconds: i64, nanos: i32) -> SystemTime {
    UNIX_EPOCH
        + Duration::new(
            seconds.max(0).unsigned_abs(),
            nanos.clamp(0, 999_999_999).unsigned_abs(),
        )
}

/// RFC 3339 in UTC, to the second.
pub fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX))
        .map_or_else(|_| "out of range".to_owned(), |at| at.to_string())
}

/// The distance between two times in words, largest unit only: `1 year from now`, `3 days ago`, `now`.
pub fn relative(then: SystemTime, now: SystemTime) -> String {
    let (distance, suffix) = match then.duration_since(now) {
        Ok(ahead) => (ahead, "from now"),
        Err(behind) => (behind.duration(), "ago"),
    };
    const DAY: u64 = 86400;
    // A year's certificate that was issued minutes ago should not say "11 months".
    let seconds = distance.as_secs() + 3600;
    let units = [
        ("year", 365 * DAY),
        ("month", 30 * DAY),
        ("week", 7 * DAY),
        ("day", DAY),
    ];
    for (name, length) in units {
        if seconds >= length {
            return plural(seconds / length, name, suffix);
        }
    }
    match distance.as_secs() {
        s if s >= 3600 => plural(s / 3600, "hour", suffix),
        s if s >= 60 => plural(s / 60, "minute", suffix),
        s if s > 0 => plural(s, "second", suffix),
        _ => "now".to_owned(),
    }
}

fn plural(count: u64, unit: &str, suffix: &str) -> String {
    format!("{count} {unit}{} {suffix}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        for (text, seconds) in [
            ("1m0s", 60.0),
            ("8760h0m0s", 31_536_000.0),
            ("1.5h", 5400.0),
            ("300ms", 0.3),
            ("0", 0.0),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_secs_f64(seconds),
                "{text}"
            );
        }
        for text in ["", "5", "m", "1x", "1h5", "-1s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(60)), "1m0s");
        assert_eq!(format_duration(Duration::from_secs(3600)), "1h0m0s");
        assert_eq!(format_duration(Duration::from_secs(59)), "59s");
    }

    #[test]
    fn distances_are_told_in_the_largest_unit() {
        let now = SystemTime::now();
        let day = Duration::from_secs(86400);
        assert_eq!(
            relative(now + 365 * day - Duration::from_secs(30), now),
            "1 year from now"
        );
        assert_eq!(relative(now + 3650 * day, now), "10 years from now");
        assert_eq!(relative(now - 3 * day, now), "3 days ago");
        assert_eq!(relative(now + Duration::from_secs(7200), now), "2 hours from now");
        assert_eq!(relative(now, now), "now");
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(rfc3339(timestamp(1_795_242_671, 5)), "2026-11-21T06:31:11Z");
    }
}
