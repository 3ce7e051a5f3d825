//! Columns aligned with spaces, three of them between the widest cell and the next column. The last cell of a line is
//! not padded, so a line ends where its text ends (or, if the last cell is empty, after the padding before it).

use super::paint::Paint;

/// Spaces between columns.
const PADDING: usize = 3;

/// Rows of cells, the first of which is usually the header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    widths: Widths,
}

impl Table {
    /// A table with a header.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        let mut table = Self::default();
        table.row(header);
        table
    }

    /// The same with another number of spaces between columns.
    pub fn with_padding(mut self, padding: usize) -> Self {
        self.widths.padding = padding;
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Number of rows, with the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row, not even a header.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, every row ending in a line break.
    pub fn render(&self) -> String {
        self.render_with(Paint::none())
    }

    /// The table for people: the heading stands out, and cells below `STATE` and `HEALTH` have the colour of what they
    /// say.
    pub fn render_with(&self, paint: Paint) -> String {
        let mut widths = self.widths.clone();
        for row in &self.rows {
            widths.grow(row);
        }
        let says = |column: usize| {
            let heading = self.rows.first().and_then(|heading| heading.get(column));
            heading.is_some_and(|heading| heading == "STATE" || heading == "HEALTH")
        };
        let line = |(index, row): (usize, &Vec<String>)| {
            widths.render_as(row, |column, cell| match index {
                0 => paint.heading(cell),
                _ if says(column) => paint.state(cell),
                _ => cell.to_owned(),
            })
        };
        self.rows.iter().enumerate().map(line).collect()
    }
}

/// Widths of columns that may grow while rows are printed one by one (watches).
#[derive(Clone, Debug)]
pub struct Widths {
    columns: Vec<usize>,
    padding: usize,
}

impl Default for Widths {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            padding: PADDING,
        }
    }
}

impl Widths {
    /// Makes room for a row.
    pub fn grow(&mut self, row: &[String]) {
        let cells = row.len().saturating_sub(1);
        if self.columns.len() < cells {
            self.columns.resize(cells, 0);
        }
        for (width, cell) in self.columns.iter_mut().zip(&row[..cells]) {
            *width = (*width).max(cell.chars().count());
        }
    }

    /// One row as a line.
    pub fn render(&self, row: &[String]) -> String {
        self.render_as(row, |_, cell| cell.to_owned())
    }

    /// One row as a line, with cells that are shown in another way (which takes as much room) by their column.
    fn render_as(&self, row: &[String], show: impl Fn(usize, &str) -> String) -> String {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            line.push_str(&show(index, cell));
            if index + 1 < row.len() {
                let width = self.columns.get(index).copied().unwrap_or_default() + self.padding;
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count().min(width)));
            }
        }
        line.push('\n');
        line
    }
}

/// A long table that is printed while it grows: rows wait until there are many, so that most tables are aligned as one.
#[derive(Debug)]
pub struct Flow {
    widths: Widths,
    waiting: Vec<Vec<String>>,
}

/// Rows that wait. A thousand fit no screen, and little memory.
const WAITING: usize = 1000;

impl Flow {
    /// A table with a header.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self {
            widths: Widths::default(),
            waiting: vec![header.into_iter().map(Into::into).collect()],
        }
    }

    /// Adds a row, and returns text that is to be printed now.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> Option<String> {
        self.waiting.push(cells.into_iter().map(Into::into).collect());
        (self.waiting.len() >= WAITING).then(|| self.rest())
    }

    /// The rows that still wait.
    pub fn rest(&mut self) -> String {
        for row in &self.waiting {
            self.widths.grow(row);
        }
        self.waiting.drain(..).map(|row| self.widths.render(&row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str) -> String {
        let path = format!("{}/tests/vectors/cli/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        text.strip_suffix("exit 0\n").unwrap().to_owned()
    }

    #[test]
    fn an_empty_last_column_leaves_the_padding() {
        let mut table = Table::new(["NODE", "NAMESPACE", "TYPE", "ID", "VERSION", "HOSTNAME", "DOMAINNAME"]);
        table.row(["127.0.0.1", "network", "HostnameStatus", "hostname", "1", "talos1", ""]);
        assert_eq!(table.render(), vector("get_hostname"));
    }

    #[test]
    fn empty_cells_in_the_middle_keep_their_column() {
        let mut table = Table::new([
            "NODE",
            "NAMESPACE",
            "TYPE",
            "ID",
            "VERSION",
            "ALIAS",
            "TYPE",
            "KIND",
            "HW ADDR",
            "OPER STATE",
            "LINK STATE",
        ]);
        let mac = "52:54:00:12:34:56";
        table.row([
            "127.0.0.1",
            "network",
            "LinkStatus",
            "eth0",
            "1",
            "",
            "ether",
            "",
            mac,
            "up",
            "true",
        ]);
        let mac = "00:00:00:00:00:00";
        table.row([
            "127.0.0.1",
            "network",
            "LinkStatus",
            "lo",
            "1",
            "",
            "loopback",
            "",
            mac,
            "unknown",
            "true",
        ]);
        assert_eq!(table.render(), vector("get_links"));
    }

    #[test]
    fn a_long_table_is_printed_in_parts() {
        let mut flow = Flow::new(["N", "X"]);
        let mut text = String::new();
        for number in 0..2500 {
            text.extend(flow.row([number.to_string(), "x".to_owned()]));
        }
        assert!(text.lines().count() >= 1000 && flow.waiting.len() < WAITING);
        text.push_str(&flow.rest());
        assert_eq!(text.lines().count(), 2501);
        assert!(text.starts_with("N     X\n0     x\n") && text.ends_with("2499   x\n"));
    }

    #[test]
    fn width_is_counted_in_characters() {
        let mut table = Table::new(["A", "B"]);
        table.row(["üüü", "x"]);
        assert_eq!(table.render(), "A     B\nüüü   x\n");
    }
}
