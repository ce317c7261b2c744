//! Columns of text.

use unicode_width::UnicodeWidthStr;

/// Which side of a column its text keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnAlign {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of equally many cells, set in columns two spaces apart. Cells must have been escaped.
pub struct TextTable {
    aligns: Vec<ColumnAlign>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// With these columns and no heading.
    pub fn plain(aligns: &[ColumnAlign]) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new() }
    }

    /// With a heading.
    pub fn new(columns: &[(&str, ColumnAlign)]) -> Self {
        let mut table = Self::plain(&columns.iter().map(|(_, align)| *align).collect::<Vec<_>>());
        table.row(columns.iter().map(|(title, _)| (*title).to_owned()));
        table
    }

    /// Adds a row; missing cells at its end are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.aligns.len(), String::new());
        self.rows.push(row);
    }
}

impl std::fmt::Display for TextTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, align), width) in row.iter().zip(&self.aligns).zip(&widths) {
                let pad = " ".repeat(width - cell.width());
                match align {
                    ColumnAlign::Left => line.extend([cell.as_str(), &pad, "  "]),
                    ColumnAlign::Right => line.extend([&pad, cell.as_str(), "  "]),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table =
            TextTable::new(&[("NAME", ColumnAlign::Left), ("SIZE", ColumnAlign::Right), ("NOTE", ColumnAlign::Left)]);
        table.row(["b\u{fc}cher".into(), "5 B".into(), "x".into()]);
        table.row(["a".into(), "12.0 MiB".into()]);
        assert_eq!(table.to_string(), "NAME        SIZE  NOTE\nb\u{fc}cher       5 B  x\na       12.0 MiB\n");
    }
}
