//! Tables in Markdown, aligned so that a terminal shows them well too.

use std::fmt;

use crate::stats::{Summary, Time};

/// One table with its heading and, below it, its notes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(title: &str, head: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            head: head.iter().map(|cell| cell.to_string()).collect(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A table whose rows are samples: what, median, min, max, p99 and how many.
    #[must_use]
    pub fn of_times(title: &str) -> Self {
        Self::new(title, &["what", "median", "min", "max", "p99", "n"])
    }

    /// Adds a row; missing cells are empty.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter().map(Into::into);
        self.rows.push(cells.take(self.head.len()).collect());
    }

    /// Adds a row of a table made by [`of_times`](Self::of_times).
    pub fn times(&mut self, what: &str, summary: Option<Summary>) {
        let Some(it) = summary else {
            return self.row([what, "not measured"]);
        };
        let times = [it.median, it.min, it.max, it.p99].map(|time| Time(time).to_string());
        let cells = [what.to_owned()].into_iter().chain(times);
        self.row(cells.chain([it.count.to_string()]));
    }

    /// Adds a note below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn widths(&self) -> Vec<usize> {
        let cell = |row: &Vec<String>, n: usize| row.get(n).map_or(0, |cell| cell.chars().count());
        let rows = || std::iter::once(&self.head).chain(&self.rows);
        (0..self.head.len())
            .map(|n| rows().map(|row| cell(row, n)).max().unwrap_or(0).max(3))
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        let widths = self.widths();
        show_row(f, &self.head, &widths)?;
        for (n, width) in widths.iter().enumerate() {
            // The first column is words, the others are numbers.
            let (dashes, end) = if n == 0 { (*width, "-") } else { (*width, ":") };
            write!(f, "|{}{end}", "-".repeat(dashes + 1))?;
        }
        writeln!(f, "|")?;
        for row in &self.rows {
            show_row(f, row, &widths)?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "- {note}")?;
        }
        Ok(())
    }
}

fn show_row(f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    for (n, width) in widths.iter().enumerate() {
        let cell = cells.get(n).map_or("", String::as_str);
        let fill = " ".repeat(width.saturating_sub(cell.chars().count()));
        if n == 0 {
            write!(f, "| {cell}{fill} ")?;
        } else {
            write!(f, "| {fill}{cell} ")?;
        }
    }
    writeln!(f, "|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Samples;
    use std::time::Duration;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new("T", &["what", "µ"]);
        table.row(["a call", "0.42 µs"]);
        table.row(["b", "7"]);
        table.row(["short"]);
        table.note("warm");
        assert_eq!(
            table.to_string(),
            "### T\n\n\
             | what   |       µ |\n\
             |--------|--------:|\n\
             | a call | 0.42 µs |\n\
             | b      |       7 |\n\
             | short  |         |\n\n\
             - warm\n"
        );
    }

    #[test]
    fn cells_without_a_column_are_dropped() {
        let mut table = Table::new("T", &["a"]);
        table.row(["1", "2"]);
        assert!(!table.to_string().contains('2'));
    }

    #[test]
    fn rows_of_samples() {
        let mut table = Table::of_times("T");
        let samples: Samples = [1, 2, 3].map(Duration::from_micros).into_iter().collect();
        table.times("x", samples.summary());
        table.times("y", None);
        let text = table.to_string();
        assert!(
            text.contains("| x    |      2.00 µs | 1.00 µs | 3.00 µs | 3.00 µs |   3 |"),
            "{text}"
        );
        assert!(text.contains("not measured"), "{text}");
    }
}
