//! All pages as one HTML file that needs nothing beside it.

use std::collections::BTreeMap;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::page::StudyPage;

/// Everything around the pages.
const SHELL: &str = include_str!("report.html");

/// One file: the answers first, then the pages with their figures in place.
pub fn html(pages: &[StudyPage], seed: u64) -> String {
    let figures: BTreeMap<String, &str> = pages.iter().flat_map(StudyPage::figures).collect();
    let mut body = render(&summary(pages, seed), &figures);
    for page in pages {
        body += &format!("<section id=\"{}\">\n{}</section>\n", page.name, render(&page.markdown(seed), &figures));
    }
    SHELL.replace("{body}", &body)
}

fn summary(pages: &[StudyPage], seed: u64) -> String {
    let answer = |page: &StudyPage| format!("* **[{}](#{})** {}\n", page.title, page.name, page.answer);
    let answers: String = pages.iter().map(answer).collect();
    format!(
        "{}\n{answers}\n{}`cargo run --release -p simulations -- study all --seed {seed}`.\n",
        INTRODUCTION, CLOSING
    )
}

const INTRODUCTION: &str = "# Where fsdfs keeps your data

Friends put a disk each into a pool. Every file is cut into blocks, every block lies on several servers at different sites, and each node
*computes* which ones: there is no list to lose and nobody to ask. Three sentences must then be true: every disk fills to the same
percentage; adding or removing a site moves next to nothing; and you know how much fits and what it survives. This is what we measured.
";

const CLOSING: &str = "Nothing here was typed in: text, tables and figures are printed from the same numbers, and each page names the command that makes it
again. This whole report: ";

/// Markdown to HTML, each image replaced by the figure itself.
fn render(markdown: &str, figures: &BTreeMap<String, &str>) -> String {
    let mut hidden = false;
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Start(Tag::Image { dest_url, .. }) => {
            hidden = true;
            Some(Event::InlineHtml(CowStr::from(
                figures.get(dest_url.as_ref()).copied().unwrap_or_default().to_owned(),
            )))
        }
        Event::End(TagEnd::Image) => {
            hidden = false;
            None
        }
        // What an image says when it cannot be seen stands below it anyway.
        _ if hidden => None,
        event => Some(event),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::page::PagePart;

    #[test]
    fn figures_and_tables_stand_in_the_report_itself() {
        let page = StudyPage {
            name: "balance",
            title: "Even?",
            answer: "Yes, < 1 % off.".into(),
            findings: Vec::new(),
            parts: vec![PagePart::Figure("loads", "<svg>here</svg>".into(), "Loads.".into())],
            data: Vec::new(),
        };
        let report = html(&[page], 7);
        assert!(report.contains("<svg>here</svg>") && !report.contains("<img"), "{report}");
        assert!(report.contains("&lt; 1 % off.") && report.contains("study balance --seed 7"), "{report}");
    }
}
