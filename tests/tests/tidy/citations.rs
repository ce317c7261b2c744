//! Where the code cites a chapter, the chapter exists and says so.
//!
//! Forms: `spec 03-placement`, `spec 03-placement §2`, `spec 03-placement §2, "race"`, `spec 03-placement: "each server gets"`; several chapters
//! with a comma between.

use std::collections::BTreeMap;
use std::fs;

use super::{files_ending, read, root, shown};

/// A place in a chapter that some comment points to.
#[derive(Debug, PartialEq)]
struct Citation<'a> {
    chapter: &'a str,
    section: Option<&'a str>,
    quote: Option<&'a str>,
}

#[test]
fn cited_chapters_sections_and_sentences_exist() {
    let chapters = chapters();
    let mut wrong = Vec::new();
    for path in files_ending(&[".rs"]).into_iter().filter(|path| !path.ends_with("citations.rs")) {
        let prose = without_comment_marks(&read(&path));
        for citation in citations(&prose) {
            wrong.extend(complaint(&citation, &chapters).map(|complaint| format!("{}: {complaint}", shown(&path))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The chapters by file name without `.md`.
fn chapters() -> BTreeMap<String, String> {
    let folder = fs::read_dir(root().join("proto-spec/spec")).expect("the chapters can be listed");
    let chapter = |path: std::path::PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, read(&path)))
    };
    folder.filter_map(|entry| chapter(entry.ok()?.path())).collect()
}

fn complaint(citation: &Citation<'_>, chapters: &BTreeMap<String, String>) -> Option<String> {
    let Some(text) = chapters.get(citation.chapter) else {
        return Some(format!("there is no chapter {}", citation.chapter));
    };
    if let Some(section) = citation.section {
        let heading = |line: &str| line.trim_start_matches('#').trim_start().split([' ', '.']).next() == Some(section);
        let starts = |line: &str| line.starts_with('#') && (heading(line) || line.contains(&format!(" {section} ")));
        if !text.lines().any(starts) {
            return Some(format!("{} has no section {section}", citation.chapter));
        }
    }
    let quote = plain(citation.quote?);
    (!plain(text).contains(&quote)).then(|| format!("{} does not say \"{quote}\"", citation.chapter))
}

/// Without emphasis, case and line ends.
fn plain(text: &str) -> String {
    let text = text.replace(['*', '`'], "").to_lowercase();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Comments run over line ends, so a citation may.
fn without_comment_marks(source: &str) -> String {
    let line = |line: &str| line.trim_start().trim_start_matches('/').trim_start_matches('!').trim().to_owned();
    source.lines().map(line).collect::<Vec<_>>().join(" ")
}

fn citations(prose: &str) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    for (at, word) in prose.match_indices("spec ") {
        let mut rest = &prose[at + word.len()..];
        while let Some((citation, after)) = citation(rest) {
            found.push(citation);
            match after.strip_prefix(", ") {
                Some(next) => rest = next,
                None => break,
            }
        }
    }
    found
}

/// Reads one citation, if `text` begins with one, and what follows it.
fn citation(text: &str) -> Option<(Citation<'_>, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').unwrap_or(text.len());
    let (chapter, mut rest) = text.split_at(end);
    let (number, name) = chapter.split_once('-')?;
    if number.len() != 2 || !number.bytes().all(|digit| digit.is_ascii_digit()) || name.is_empty() {
        return None;
    }
    let mut section = None;
    if let Some(after) = rest.strip_prefix(" §") {
        let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(after.len());
        section = Some(after[..end].trim_end_matches('.'));
        rest = &after[end..];
    }
    let quoted = [", \"", ": \"", " \""].iter().find_map(|mark| rest.strip_prefix(mark));
    let quote = quoted.and_then(|quoted| quoted.split_once('"'));
    let rest = quote.map_or(rest, |(_, after)| after);
    Some((Citation { chapter, section, quote: quote.map(|(quote, _)| quote) }, rest))
}

#[test]
fn citations_are_found() {
    let of = |chapter, section, quote| Citation { chapter, section, quote };
    assert_eq!(citations("(spec 03-placement §2, \"race\")"), [of("03-placement", Some("2"), Some("race"))]);
    assert_eq!(citations("spec 04-wire, \"Encoding\"."), [of("04-wire", None, Some("Encoding"))]);
    assert_eq!(citations("see spec 02-block, 05-volume"), [of("02-block", None, None), of("05-volume", None, None)]);
    assert_eq!(citations("spec 03-placement §3, steps 1 to 3"), [of("03-placement", Some("3"), None)]);
    assert_eq!(citations("the proto-spec crate, spec sheet, spec 3-x"), []);
}
