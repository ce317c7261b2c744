//! What a study has to say: a page whose text, tables and figures are made of the same numbers.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// The result of a study.
pub struct StudyPage {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it asks.
    pub title: &'static str,
    /// The answer in one or two sentences that need nothing else.
    pub answer: String,
    /// What it rests on, a few sentences.
    pub findings: Vec<String>,
    /// The rest, in order.
    pub parts: Vec<PagePart>,
    /// Everything that was measured, one file each.
    pub data: Vec<PageData>,
}

/// A piece of a page.
pub enum PagePart {
    /// A heading.
    Heading(String),
    /// A paragraph in Markdown.
    Text(String),
    /// A few numbers.
    Table(PageData),
    /// A plot: the name of its file, its SVG, what to see in it.
    Figure(&'static str, String, String),
}

/// A table. Its cells are text already, so that file and page cannot differ.
#[derive(Clone)]
pub struct PageData {
    /// Of its file.
    pub name: &'static str,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl PageData {
    /// Without rows.
    pub fn new<S: Into<String>>(name: &'static str, head: impl IntoIterator<Item = S>) -> Self {
        Self { name, head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// One more row, as wide as the head.
    pub fn row(&mut self, cells: &[&dyn Display]) {
        self.push(cells.iter().map(ToString::to_string).collect());
    }

    /// One more row, as wide as the head.
    pub fn push(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.head.len(), "a cell for each column of {}", self.name);
        self.rows.push(cells);
    }

    fn csv(&self) -> csv::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.head)?;
        self.rows.iter().try_for_each(|row| writer.write_record(row))?;
        writer.into_inner().map_err(|error| csv::Error::from(io::Error::other(error.to_string())))
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
        let rule = vec!["---".to_owned(); self.head.len()];
        line(&self.head) + &line(&rule) + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}

impl StudyPage {
    /// The line that makes this page again.
    pub fn command(&self, seed: u64) -> String {
        format!("cargo run --release -p simulations -- study {} --seed {seed}", self.name)
    }

    /// The page as Markdown. `figure` gives the address of a figure's file.
    pub fn markdown(&self, seed: u64) -> String {
        let mut text = format!("# {}\n\n**{}**\n\n", self.title, self.answer);
        text.extend(self.findings.iter().map(|finding| format!("* {finding}\n")));
        text += &format!("\nMade by `{}`.\n\n", self.command(seed));
        for part in &self.parts {
            text += &self.part(part, seed);
        }
        text
    }

    fn part(&self, part: &PagePart, seed: u64) -> String {
        match part {
            PagePart::Heading(heading) => format!("## {heading}\n\n"),
            PagePart::Text(text) => format!("{text}\n\n"),
            PagePart::Table(data) => format!("{}\n", data.markdown()),
            PagePart::Figure(name, _, caption) => {
                let file = self.file(name, "svg");
                format!("![{caption}]({file})\n\n*{caption}* (`{}`)\n\n", self.command(seed))
            }
        }
    }

    /// The figures: addresses in the Markdown, and what lies there.
    pub fn figures(&self) -> impl Iterator<Item = (String, &str)> {
        self.parts.iter().filter_map(|part| match part {
            PagePart::Figure(name, svg, _) => Some((self.file(name, "svg"), svg.as_str())),
            _ => None,
        })
    }

    /// Writes page, figures and data into a folder, which must be there.
    pub fn write(&self, folder: &Path, seed: u64) -> anyhow::Result<()> {
        std::fs::write(folder.join(format!("{}.md", self.name)), self.markdown(seed))?;
        for (file, svg) in self.figures() {
            std::fs::write(folder.join(file), svg)?;
        }
        for data in &self.data {
            std::fs::write(folder.join(self.file(data.name, "csv")), data.csv()?)?;
        }
        Ok(())
    }

    fn file(&self, part: &str, kind: &str) -> String {
        format!("{}-{part}.{kind}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_in_file_and_page() {
        let mut data = PageData::new("loads", ["pool", "load"]);
        data.row(&[&"16, 8, 4 TB", &1.25]);
        assert_eq!(data.csv().expect("in memory"), b"pool,load\n\"16, 8, 4 TB\",1.25\n");
        assert_eq!(data.markdown(), "| pool | load |\n| --- | --- |\n| 16, 8, 4 TB | 1.25 |\n");
    }
}
