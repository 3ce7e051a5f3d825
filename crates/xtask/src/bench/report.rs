//! Numbers, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// 2²⁰ bytes.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// 10⁶ bytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Times a second.
    #[serde(rename = "/s")]
    PerSecond,
    /// 10⁶ bytes a second.
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    /// Things.
    #[serde(rename = "1")]
    Count,
    /// Hundredths of one core.
    #[serde(rename = "% of a core")]
    Percent,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Milliseconds => format!("{value:.2} ms"),
            Unit::Mebibytes => format!("{value:.1} MiB"),
            Unit::Megabytes => format!("{value:.1} MB"),
            Unit::PerSecond => format!("{value:.0}/s"),
            Unit::MegabytesPerSecond => format!("{value:.0} MB/s"),
            Unit::Count => format!("{value:.0}"),
            Unit::Percent => format!("{value:.2} %"),
        }
    }
}

/// What ours is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Against {
    /// The same programs without us, and how many times as much we may take.
    Floor {
        /// The floor.
        value: f64,
        /// The most we may take, in floors.
        times: f64,
    },
    /// The most we may take.
    Target(f64),
    /// The least we may reach.
    Least(f64),
    /// Nothing: for information.
    Nothing,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The median.
    pub ours: f64,
    /// Its unit.
    pub unit: Unit,
    /// What it is held against.
    pub against: Against,
    /// All that the median is of.
    pub samples: Vec<f64>,
}

impl Row {
    /// The median of what was measured.
    pub fn of(name: impl Into<String>, unit: Unit, samples: Vec<f64>, against: Against) -> Row {
        Row {
            name: name.into(),
            ours: median(&samples),
            unit,
            against,
            samples,
        }
    }

    /// Whether it is what it is held against.
    pub fn is_good(&self) -> bool {
        match self.against {
            Against::Floor { value, times } => self.ours <= value * times,
            Against::Target(limit) => self.ours <= limit,
            Against::Least(limit) => self.ours >= limit,
            Against::Nothing => true,
        }
    }

    fn cells(&self) -> [String; 4] {
        let (against, ratio) = match self.against {
            Against::Floor { value, times } => (
                format!("floor {} (× {times} allowed)", self.unit.show(value)),
                self.verdict(value, value * times),
            ),
            Against::Target(limit) => (format!("at most {}", self.unit.show(limit)), self.verdict(limit, limit)),
            Against::Least(limit) => {
                let mark = if self.ours >= limit { "✓" } else { "✗" };
                let ratio = format!("{:.2} {mark}", self.ours / limit);
                (format!("at least {}", self.unit.show(limit)), ratio)
            }
            Against::Nothing => ("–".to_owned(), "–".to_owned()),
        };
        [self.name.clone(), self.unit.show(self.ours), against, ratio]
    }

    fn verdict(&self, reference: f64, limit: f64) -> String {
        let mark = if self.ours <= limit { "✓" } else { "✗" };
        if reference == 0.0 {
            return mark.to_owned();
        }
        format!("{:.2} {mark}", self.ours / reference)
    }
}

/// The middle one, or the mean of the middle two.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The sample that a share of all (0.99: 99 of a hundred) is not above.
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut seen = 0.0;
    let total = sorted.iter().map(|_| 1.0).sum::<f64>();
    for sample in &sorted {
        seen += 1.0;
        if seen >= share * total {
            return *sample;
        }
    }
    f64::NAN
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: BTreeMap<&'static str, String>,
    /// The table.
    pub rows: Vec<Row>,
    /// Medians of when each phase was reached, in seconds from the start, by what was started.
    pub phases: BTreeMap<String, Vec<(String, f64)>>,
    /// What has to be known to read the numbers.
    pub notes: Vec<String>,
}

impl Report {
    /// Writes the JSON.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// The table, as Markdown so that it can be put into a document as it is.
    pub fn table(&self) -> String {
        let header = ["", "ours", "floor or target", "ratio"].map(str::to_owned);
        let rows: Vec<[String; 4]> = std::iter::once(header)
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
            if number == 0 {
                let dashes = widths.map(|width| "-".repeat(width));
                text.push_str(&format!("| {} |\n", dashes.join(" | ")));
            }
        }
        for (what, phases) in &self.phases {
            let steps: Vec<String> = phases.iter().map(|(name, at)| format!("{name} {at:.2}")).collect();
            text.push_str(&format!("\n{what}, seconds from the start: {}\n", steps.join(", ")));
        }
        let machine: Vec<String> = self
            .machine
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        text.push_str(&format!("\nmachine: {}\n", machine.join(", ")));
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }
}

/// The median time of each phase over several runs.
pub fn phases(runs: &[Vec<(String, f64)>]) -> Vec<(String, f64)> {
    let Some(first) = runs.first() else { return Vec::new() };
    let times = |name: &str| -> Vec<f64> {
        let all = runs.iter().flatten().filter(|(other, _)| other == name);
        all.map(|(_, at)| *at).collect()
    };
    first
        .iter()
        .map(|(name, _)| (name.clone(), median(&times(name))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.99), 99.0);
        assert_eq!(percentile(&samples, 1.0), 100.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_table_says_what_is_within_bounds() {
        let floor = Against::Floor { value: 2.0, times: 1.5 };
        let report = Report {
            rows: vec![
                Row::of("node Ready", Unit::Seconds, vec![2.5], floor),
                Row::of("start", Unit::Milliseconds, vec![12.0], Against::Target(10.0)),
                Row::of("updates", Unit::PerSecond, vec![150.0], Against::Least(100.0)),
                Row::of("root", Unit::Megabytes, vec![40.0], Against::Nothing),
                Row::of("lost", Unit::Count, vec![0.0], Against::Target(0.0)),
            ],
            ..Report::default()
        };
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[2].contains("2.50 s") && lines[2].contains("1.25 ✓"), "{table}");
        assert!(
            lines[3].contains("at most 10.00 ms") && lines[3].contains("1.20 ✗"),
            "{table}"
        );
        assert!(
            lines[4].contains("at least 100/s") && lines[4].contains("1.50 ✓"),
            "{table}"
        );
        assert!(lines[5].contains("40.0 MB"), "{table}");
        assert!(lines[6].contains("at most 0") && lines[6].contains("✓"), "{table}");
    }

    #[test]
    fn phases_are_medians_of_runs() {
        let run = |at: f64| vec![("a".to_owned(), at), ("b".to_owned(), at * 2.0)];
        let all = phases(&[run(1.0), run(3.0), run(2.0)]);
        assert_eq!(all, [("a".to_owned(), 2.0), ("b".to_owned(), 4.0)]);
    }
}
