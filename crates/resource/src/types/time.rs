//! Times and durations as Go writes them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::text_serde;
use crate::proto::{self, ProtoValue};

/// A signed duration, written as Go does: `1m30s`, `250ms`, `0s`. `google.protobuf.Duration` on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Duration {
    nanos: i64,
}

impl Duration {
    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// From seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self {
            nanos: seconds * SECOND,
        }
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// As an unsigned duration; zero if negative.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.nanos).unwrap_or(0))
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Self {
        Self {
            nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        }
    }
}

const SECOND: i64 = 1_000_000_000;

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        let nanos = self.nanos.unsigned_abs();
        let fraction = |value: u64, unit: u64, name: &str| {
            let text = format!(
                "{}.{:0width$}",
                value / unit,
                value % unit,
                width = unit.ilog10() as usize
            );
            format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
        };
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => f.write_str(&fraction(nanos, 1_000, "µs")),
            1_000_000..1_000_000_000 => f.write_str(&fraction(nanos, 1_000_000, "ms")),
            _ => {
                let minutes = nanos / (60 * SECOND as u64);
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                if nanos.is_multiple_of(60 * SECOND as u64) {
                    return f.write_str("0s");
                }
                f.write_str(&fraction(nanos % (60 * SECOND as u64), SECOND as u64, "s"))
            }
        }
    }
}

impl FromStr for Duration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("{text:?} is no duration (write \"1m30s\")");
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        let mut total = 0.0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(problem)?;
            let (number, tail) = rest.split_at(digits);
            let unit_len = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_len);
            let scale = match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(problem()),
            };
            total += number.parse::<f64>().map_err(|_| problem())? * scale;
            rest = tail;
        }
        if text.is_empty() || text == "-" || text == "+" {
            return Err(problem());
        }
        Ok(Self {
            nanos: (sign * total).round() as i64,
        })
    }
}

text_serde!(Duration);

fn seconds_and_nanos(seconds: i64, nanos: i32, number: u32, out: &mut Vec<u8>) {
    proto::nested(number, out, |inner| {
        seconds.encode_field(1, inner);
        nanos.encode_field(2, inner);
    });
}

impl ProtoValue for Duration {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        seconds_and_nanos(self.nanos / SECOND, (self.nanos % SECOND) as i32, number, out);
    }
    fn is_default(&self) -> bool {
        self.nanos == 0
    }
}

/// A moment, written as Go does: RFC 3339 with as many fractional digits as it has. The default is Go's zero time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(pub Timestamp);

impl Default for Time {
    fn default() -> Self {
        // 0001-01-01T00:00:00Z
        Self(Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Time {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

text_serde!(Time);

impl ProtoValue for Time {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        // protobuf wants nanoseconds that count forward, also before 1970.
        let nanos = self.0.as_nanosecond();
        let seconds = nanos.div_euclid(i128::from(SECOND)) as i64;
        seconds_and_nanos(seconds, nanos.rem_euclid(i128::from(SECOND)) as i32, number, out);
    }
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_and_read_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (SECOND, "1s"),
            (90 * SECOND, "1m30s"),
            (60 * SECOND, "1m0s"),
            (3600 * SECOND, "1h0m0s"),
            (3_661_500_000_000, "1h1m1.5s"),
            (-5 * SECOND, "-5s"),
        ] {
            assert_eq!(Duration::from_nanos(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Duration::from_nanos(nanos)));
        }
        assert!(
            "".parse::<Duration>().is_err() && "5".parse::<Duration>().is_err() && "5x".parse::<Duration>().is_err()
        );
    }

    #[test]
    fn the_default_time_is_the_zero_time_of_go() {
        assert_eq!(Time::default().to_string(), "0001-01-01T00:00:00Z");
    }
}
