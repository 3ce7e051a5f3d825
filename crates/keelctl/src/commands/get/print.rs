//! Resources on standard output.

use anyhow::{Context as _, Result, bail};
use api::proto::cosi::resource::Resource;

use super::types::Definition;
use crate::output::age::{rfc3339, timestamp};
use crate::output::document::{Document, Metadata};
use crate::output::jsonpath::Template;
use crate::output::paint::Paint;
use crate::output::print;
use crate::output::table::Widths;

/// How resources are shown.
#[derive(Clone, Debug)]
pub enum Format {
    /// One line each.
    Table,
    /// A stream of YAML documents.
    Yaml,
    /// A JSON object each.
    Json,
    /// A template filled in for each.
    JsonPath(Template),
}

impl Format {
    /// Reads the value of `--output`.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some(("jsonpath", template)) => Ok(Self::JsonPath(Template::parse(template).map_err(anyhow::Error::msg)?)),
            None if text == "table" => Ok(Self::Table),
            None if text == "yaml" => Ok(Self::Yaml),
            None if text == "json" => Ok(Self::Json),
            _ => bail!("output format \"{text}\" is not known (table, yaml, json or jsonpath=TEMPLATE)"),
        }
    }
}

/// Prints resources. Tables of a finished list are aligned as a whole, those of a watch as far as is known.
pub struct Printer {
    format: Format,
    watch: bool,
    columns: Vec<Option<Template>>,
    rows: Vec<Vec<String>>,
    widths: Widths,
    header: bool,
    documents: usize,
}

impl Printer {
    /// A printer; `watch` adds the column of changes and prints each line at once.
    pub fn new(format: Format, watch: bool) -> Self {
        Self {
            format,
            watch,
            columns: Vec::new(),
            rows: Vec::new(),
            widths: Widths::default(),
            header: false,
            documents: 0,
        }
    }

    /// The heading of the table, once.
    pub fn header(&mut self, definition: &Definition) {
        if self.header || !matches!(self.format, Format::Table) {
            return;
        }
        self.header = true;
        let mut cells: Vec<String> = vec!["NODE".into()];
        if self.watch {
            cells.push("*".into());
        }
        cells.extend(["NAMESPACE", "TYPE", "ID", "VERSION"].map(str::to_owned));
        cells.extend(definition.print_columns.iter().map(|column| column.name.to_uppercase()));
        self.columns = definition
            .print_columns
            .iter()
            .map(|column| Template::parse(&column.json_path).ok())
            .collect();
        self.widths.grow(&cells);
        self.rows.push(cells);
    }

    /// One resource; `change` is the mark of a watch.
    pub fn resource(
        &mut self,
        node: &str,
        definition: &Definition,
        resource: Resource,
        change: Option<Change>,
    ) -> Result<()> {
        let document = document(node, resource);
        match &self.format {
            Format::Table => {
                self.header(definition);
                let spec = document.spec()?;
                let m = &document.metadata;
                let mut cells = vec![node.to_owned()];
                if self.watch {
                    cells.push(change.map(Change::mark).unwrap_or_default().to_owned());
                }
                cells.extend([&m.namespace, &definition.display_type, &m.id, &m.version].map(String::clone));
                for column in &self.columns {
                    cells.push(
                        column
                            .as_ref()
                            .map(|template| template.render(&spec))
                            .unwrap_or_default(),
                    );
                }
                self.widths.grow(&cells);
                self.rows.push(cells);
                if self.watch { self.flush_rows() } else { Ok(()) }
            }
            Format::Yaml => {
                let separator = if self.documents > 0 { "---\n" } else { "" };
                self.documents += 1;
                let event = change
                    .map(|change| format!("event: {}\n", change.word()))
                    .unwrap_or_default();
                let yaml = document.to_yaml();
                let (first, rest) = yaml.split_once('\n').unwrap_or((&yaml, ""));
                Ok(print(&format!("{separator}{first}\n{event}{rest}"))?)
            }
            Format::Json => {
                let mut value = document.value()?;
                if let (Some(change), Some(map)) = (change, value.as_object_mut()) {
                    map.insert("event".into(), change.word().into());
                    map.sort_keys();
                }
                Ok(print(&crate::output::document::pretty_json(&value))?)
            }
            Format::JsonPath(template) => Ok(print(&format!("{}\n", template.render(&document.value()?)))?),
        }
    }

    fn flush_rows(&mut self) -> Result<()> {
        let (paint, watch, widths) = (Paint::stdout(), self.watch, &self.widths);
        let line = |row: Vec<String>| {
            let line = widths.render(&row);
            let text = line.trim_end_matches('\n');
            let shown = match row.get(1).map(String::as_str) {
                _ if row.first().is_some_and(|cell| cell == "NODE") => paint.heading(text),
                Some("+") if watch => paint.good(text),
                Some("-") if watch => paint.bad(text),
                _ => return line,
            };
            shown + "\n"
        };
        let lines: String = self.rows.drain(..).map(line).collect();
        Ok(print(&lines)?)
    }

    /// Prints what is left.
    pub fn finish(mut self) -> Result<()> {
        self.flush_rows().context("write the table")
    }
}

/// What happened to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It has another version.
    Updated,
    /// It is gone.
    Destroyed,
}

impl Change {
    fn mark(self) -> &'static str {
        match self {
            Self::Created => "+",
            Self::Updated => " ",
            Self::Destroyed => "-",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Destroyed => "destroyed",
        }
    }
}

/// A resource of the wire as a document.
pub fn document(node: &str, resource: Resource) -> Document {
    let m = resource.metadata.unwrap_or_default();
    let time =
        |t: Option<prost_types::Timestamp>| t.map(|t| rfc3339(timestamp(t.seconds, t.nanos))).unwrap_or_default();
    Document {
        node: node.to_owned(),
        metadata: Metadata {
            namespace: m.namespace,
            type_name: m.r#type,
            id: m.id,
            version: m.version,
            owner: m.owner,
            phase: m.phase,
            created: time(m.created),
            updated: time(m.updated),
            labels: m.labels.into_iter().collect(),
            annotations: m.annotations.into_iter().collect(),
            finalizers: m.finalizers,
        },
        spec_yaml: resource.spec.map(|spec| spec.yaml_spec).unwrap_or_default(),
    }
}
