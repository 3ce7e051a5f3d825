//! What templates work with: the files of a group as values, and what can be asked of a value.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::tree::Group;
use crate::output::size;

/// A value of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The file is not there, or has nothing of the name.
    Unset,
    /// No limit.
    Max,
    /// A count.
    Number(f64),
    /// Text.
    Text(String),
    /// Several, by name.
    Map(BTreeMap<String, Value>),
    /// Several, in order.
    List(Vec<Value>),
}

/// Fields of a group, by the names in templates.
const FIELDS: [(&str, &str); 33] = [
    ("CPUIdle", "cpu.idle"),
    ("CPUMax", "cpu.max"),
    ("CPUMaxBurst", "cpu.max.burst"),
    ("CPUPressure", "cpu.pressure"),
    ("CPUStat", "cpu.stat"),
    ("CPUWeight", "cpu.weight"),
    ("CPUWeightNice", "cpu.weight.nice"),
    ("CPUSetCPUs", "cpuset.cpus"),
    ("CPUSetCPUsEffective", "cpuset.cpus.effective"),
    ("CPUSetMems", "cpuset.mems"),
    ("CPUSetMemsEffective", "cpuset.mems.effective"),
    ("IOBFQWeight", "io.bfq.weight"),
    ("IOMax", "io.max"),
    ("IOPressure", "io.pressure"),
    ("IOStat", "io.stat"),
    ("IOWeight", "io.weight"),
    ("MemoryCurrent", "memory.current"),
    ("MemoryEvents", "memory.events"),
    ("MemoryHigh", "memory.high"),
    ("MemoryLow", "memory.low"),
    ("MemoryMax", "memory.max"),
    ("MemoryMin", "memory.min"),
    ("MemoryOOMGroup", "memory.oom.group"),
    ("MemoryPeak", "memory.peak"),
    ("MemoryPressure", "memory.pressure"),
    ("MemoryStat", "memory.stat"),
    ("MemorySwapCurrent", "memory.swap.current"),
    ("MemorySwapHigh", "memory.swap.high"),
    ("MemorySwapMax", "memory.swap.max"),
    ("MemorySwapPeak", "memory.swap.peak"),
    ("PidsCurrent", "pids.current"),
    ("PidsMax", "pids.max"),
    ("PidsPeak", "pids.peak"),
];

/// A field of a group; `None` for a name that no group has.
pub fn field(group: &Group, name: &str) -> Option<Value> {
    let (_, file) = FIELDS.iter().find(|(field, _)| *field == name)?;
    let text = group.files.get(*file);
    Some(text.map_or(Value::Unset, |text| parse(file, text)))
}

/// One value, a list of values, or lines with a name first, with `key=value` or a value after it.
fn parse(file: &str, text: &str) -> Value {
    let text = text.trim();
    if file.starts_with("cpuset.") {
        return if text.is_empty() {
            Value::Unset
        } else {
            Value::Text(text.to_owned())
        };
    }
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    match &lines[..] {
        [] => Value::Unset,
        [line] if line.len() == 1 => scalar(line[0]),
        [line] if line.iter().all(|word| !matches!(scalar(word), Value::Text(_))) => {
            Value::List(line.iter().map(|word| scalar(word)).collect())
        }
        lines => {
            let pairs = |words: &[&str]| match words {
                [word] if !word.contains('=') => scalar(word),
                words => Value::Map(
                    words
                        .iter()
                        .filter_map(|word| word.split_once('='))
                        .map(|(name, value)| (name.to_owned(), scalar(value)))
                        .collect(),
                ),
            };
            let entries = lines
                .iter()
                .filter_map(|line| Some(((*line.first()?).to_owned(), pairs(&line[1..]))));
            Value::Map(entries.collect())
        }
    }
}

fn scalar(word: &str) -> Value {
    match word {
        "max" => Value::Max,
        word => word
            .parse()
            .map_or_else(|_| Value::Text(word.to_owned()), Value::Number),
    }
}

impl Value {
    /// A part of a value, or what a method makes of it.
    pub fn part(&self, name: &str, arguments: &[Value]) -> Result<Value> {
        match (name, self) {
            ("HumanizeIBytes" | "HumanizeBytes", Self::Number(n)) if *n >= 0.0 => {
                let show = if name == "HumanizeIBytes" {
                    size::binary
                } else {
                    size::decimal
                };
                Ok(Self::Text(show(*n as u64)))
            }
            ("UsecToDuration", Self::Number(n)) => Ok(Self::Text(duration(*n))),
            ("DivideBy" | "PercentOf", left) => {
                let [right] = arguments else {
                    bail!(".{name} takes one value to compare with")
                };
                let factor = if name == "PercentOf" { 100.0 } else { 1.0 };
                Ok(match (left, right) {
                    (Self::Number(l), Self::Number(r)) if *r != 0.0 => Self::Number(l / r * factor),
                    _ => Self::Unset,
                })
            }
            ("HumanizeIBytes" | "HumanizeBytes" | "UsecToDuration", other) => Ok(other.clone()),
            (name, Self::Map(map)) => Ok(map.get(name).cloned().unwrap_or(Self::Unset)),
            (_, Self::Unset) => Ok(Self::Unset),
            (name, other) => bail!("{other} has no field or method .{name}"),
        }
    }

    /// Whether `if` takes it for true.
    pub fn holds(&self) -> bool {
        match self {
            Self::Unset => false,
            Self::Max => true,
            Self::Number(n) => *n != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::List(list) => !list.is_empty(),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, texts: Vec<String>| write!(f, "[{}]", texts.join(" "));
        match self {
            Self::Unset => f.pad("unset"),
            Self::Max => f.pad("max"),
            Self::Number(n) => f.pad(&n.to_string()),
            Self::Text(text) => f.pad(text),
            Self::Map(map) => list(f, map.iter().map(|(name, value)| format!("{name}:{value}")).collect()),
            Self::List(values) => list(f, values.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Microseconds as `7m42.4s`, `61ms`, `0s`.
fn duration(microseconds: f64) -> String {
    let seconds = microseconds / 1e6;
    if seconds < 1.0 {
        return match microseconds {
            n if n < 1.0 => "0s".to_owned(),
            n if n < 1000.0 => format!("{n:.0}µs"),
            n => format!("{:.0}ms", n / 1000.0),
        };
    }
    let (hours, minutes) = ((seconds / 3600.0).floor(), (seconds / 60.0 % 60.0).floor());
    let rest = (seconds % 60.0 * 10.0).floor() / 10.0;
    match (hours, minutes) {
        (0.0, 0.0) => format!("{rest}s"),
        (0.0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_values() {
        assert_eq!(parse("memory.max", "max\n"), Value::Max);
        assert_eq!(parse("memory.current", "12\n"), Value::Number(12.0));
        assert_eq!(
            parse("cpu.max", "max 100000\n"),
            Value::List(vec![Value::Max, Value::Number(100_000.0)])
        );
        assert_eq!(parse("cpuset.cpus", "0\n"), Value::Text("0".into()));
        assert_eq!(parse("cpuset.cpus", "\n"), Value::Unset);
        let stat = parse("cpu.stat", "usage_usec 5\nuser_usec 3\n");
        assert_eq!(stat.part("user_usec", &[]).unwrap(), Value::Number(3.0));
        let io = parse("io.stat", "254:0 rbytes=1 wbytes=2\n8:0\n");
        let Value::Map(disks) = &io else { panic!("{io}") };
        assert_eq!(disks["254:0"].part("wbytes", &[]).unwrap(), Value::Number(2.0));
        assert!(!disks["8:0"].holds());
        let pressure = parse("io.pressure", "some avg10=0.12 total=5\nfull avg10=0.00 total=1\n");
        let some = pressure.part("some", &[]).unwrap();
        assert_eq!(some.part("avg10", &[]).unwrap(), Value::Number(0.12));
    }

    #[test]
    fn values_are_shown_for_people() {
        let shown = |value: Value, method| value.part(method, &[]).unwrap().to_string();
        assert_eq!(shown(Value::Number(1536.0), "HumanizeIBytes"), "1.5 KiB");
        assert_eq!(shown(Value::Max, "HumanizeIBytes"), "max");
        assert_eq!(shown(Value::Unset, "UsecToDuration"), "unset");
        assert_eq!(shown(Value::Number(462_437_550.0), "UsecToDuration"), "7m42.4s");
        assert_eq!(shown(Value::Number(61_000.0), "UsecToDuration"), "61ms");
        let half = Value::Number(1.0).part("PercentOf", &[Value::Number(2.0)]).unwrap();
        assert_eq!(half, Value::Number(50.0));
        assert_eq!(
            Value::Number(1.0).part("PercentOf", &[Value::Unset]).unwrap(),
            Value::Unset
        );
        assert!(Value::Number(1.0).part("Nothing", &[]).is_err());
    }
}
