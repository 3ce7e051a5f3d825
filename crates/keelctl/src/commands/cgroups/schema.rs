//! Columns: those of the presets, and those of a file.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::template::Template;

/// The presets.
pub const PRESETS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "process", "swap"];

/// Columns of a table.
#[derive(Debug)]
pub struct Schema {
    /// In their order.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What it shows of a group.
    pub template: Template,
}

/// A file of columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    columns: Vec<FileColumn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileColumn {
    name: String,
    template: String,
}

impl Schema {
    /// From the text of a file: `columns`, each with `name` and `template`.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = serde_saphyr::from_str(text).context("it has to have columns, each with name and template")?;
        let columns = file.columns.into_iter().map(|c| Column::new(&c.name, &c.template));
        let columns: Vec<Column> = columns.collect::<Result<_>>()?;
        if columns.is_empty() {
            bail!("there are no columns");
        }
        Ok(Self { columns })
    }

    /// One of the presets.
    pub fn preset(name: &str) -> Result<Self> {
        let columns: &[(&str, &str)] = match name {
            "cpu" => &[
                ("CpuWeight", "{{ .CPUWeight }}"),
                ("CpuNice", "{{ .CPUWeightNice }}"),
                ("CpuMax", "{{ .CPUMax }}"),
                ("CpuUser", "{{ .CPUStat.user_usec.UsecToDuration }}"),
                (
                    "User/%",
                    "{{ if .Parent.CPUStat }}{{ .CPUStat.user_usec.PercentOf .Parent.CPUStat.user_usec | printf \"%.2f%%\" }}{{ else }}-{{ end }}",
                ),
                ("CpuSystem", "{{ .CPUStat.system_usec.UsecToDuration }}"),
                (
                    "System/%",
                    "{{ if .Parent.CPUStat }}{{ .CPUStat.system_usec.PercentOf .Parent.CPUStat.system_usec | printf \"%.2f%%\" }}{{ else }}-{{ end }}",
                ),
                ("Throttled", "{{ .CPUStat.throttled_usec.UsecToDuration }}"),
            ],
            "cpuset" => &[
                ("CpuSet", "{{ .CPUSetCPUs }}"),
                ("CpuSet(Eff)", "{{ .CPUSetCPUsEffective }}"),
                ("Mems", "{{ .CPUSetMems }}"),
                ("Mems(Eff)", "{{ .CPUSetMemsEffective }}"),
            ],
            "io" => &[
                (
                    "Bytes Read/Written",
                    "{{ range $disk, $v := .IOStat }}{{ if $v }}{{ $disk }}: {{ $v.rbytes.HumanizeBytes }}/{{ $v.wbytes.HumanizeBytes }} {{ end }}{{ end }}",
                ),
                (
                    "ios Read/Write",
                    "{{ range $disk, $v := .IOStat }}{{ if $v }}{{ $disk }}: {{ $v.rios }}/{{ $v.wios }} {{ end }}{{ end }}",
                ),
                ("PressAvg10", "{{ .IOPressure.some.avg10 }}"),
                ("PressAvg60", "{{ .IOPressure.some.avg60 }}"),
                ("PressTotal", "{{ .IOPressure.some.total.UsecToDuration }}"),
            ],
            "memory" => &[
                ("MemCurrent", "{{ .MemoryCurrent.HumanizeBytes }}"),
                ("MemPeak", "{{ .MemoryPeak.HumanizeBytes }}"),
                ("MemLow", "{{ .MemoryLow.HumanizeBytes }}"),
                ("MemMin", "{{ .MemoryMin.HumanizeBytes }}"),
                ("MemHigh", "{{ .MemoryHigh.HumanizeBytes }}"),
                ("MemMax", "{{ .MemoryMax.HumanizeBytes }}"),
            ],
            "process" => &[
                ("Current", "{{ .PidsCurrent }}"),
                ("Peak", "{{ .PidsPeak }}"),
                ("Max", "{{ .PidsMax }}"),
            ],
            "swap" => &[
                ("SwapCurrent", "{{ .MemorySwapCurrent.HumanizeBytes }}"),
                ("SwapPeak", "{{ .MemorySwapPeak.HumanizeBytes }}"),
                ("SwapHigh", "{{ .MemorySwapHigh.HumanizeBytes }}"),
                ("SwapMax", "{{ .MemorySwapMax.HumanizeBytes }}"),
            ],
            other => bail!("there is no preset {other:?} ({})", PRESETS.join(", ")),
        };
        let columns = columns.iter().map(|(name, template)| Column::new(name, template));
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
        })
    }
}

impl Column {
    fn new(name: &str, template: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            template: Template::parse(template).with_context(|| format!("the column {name:?}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_file_are_read() {
        let text = "columns:\n  - name: Mem\n    template: '{{ .MemoryCurrent.HumanizeIBytes | printf \"%8s\" }}'\n";
        let schema = Schema::parse(text).unwrap();
        assert_eq!(schema.columns[0].name, "Mem");
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        let error = |text| format!("{:#}", Schema::parse(text).unwrap_err());
        assert!(error("columns: []").contains("no columns"));
        assert!(error("columns: [{name: A, template: '{{ x }}'}]").contains("\"A\""));
        assert!(error("nothing").contains("columns"));
        assert!(Schema::preset("what").unwrap_err().to_string().contains("swap"));
    }
}
