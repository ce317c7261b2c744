//! Words that readers must not meet in the documents. The program's help has a test of its own.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tidy::{files_ending, read, root, shown};

use super::budgets::{BANNED_WORDS, Measured};

/// What the README may say: its picture of what the program is for.
const README_PICTURE: &str = "any house may burn";

pub fn banned_words() -> Measured {
    let banned = list();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut worst = Vec::new();
    for path in files_ending(&[".md"]) {
        for (number, line) in lines_to_check(&path) {
            for word in banned.iter().filter(|word| contains(&line, word)) {
                worst.push(format!("{}:{number}: {word}", shown(&path)));
                *places.entry(word.clone()).or_default() += 1;
            }
        }
    }
    BANNED_WORDS.measured(worst.len() as f64, worst)
}

/// The words of the list: what stands in quotation marks at the beginning of a line.
pub fn list() -> Vec<String> {
    let text = read(&root().join("tests/tests/tidy/banned_words.txt"));
    let quoted = |line: &str| Some(line.strip_prefix('"')?.split_once('"')?.0.to_lowercase());
    text.lines().filter_map(quoted).collect()
}

/// With numbers from 1. Lines that say how an old word is called now are left out.
fn lines_to_check(path: &Path) -> Vec<(usize, String)> {
    let text = read(path).to_lowercase().replace(README_PICTURE, "");
    let numbered = text.lines().zip(1..).filter(|(line, _)| !line.contains('→'));
    numbered.map(|(line, number)| (number, line.to_owned())).collect()
}

/// Between word boundaries; an underscore or hyphen beside it makes it another word.
fn contains(line: &str, word: &str) -> bool {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    line.match_indices(word).any(|(at, found)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + found.len()..].chars().next());
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[test]
fn words_are_found_whole() {
    assert!(contains("a house.", "house") && contains("if it burns", "burns"));
    assert!(!contains("household, warehouse, house_rule, green-house", "house"));
    assert!(list().contains(&"of no use".to_owned()));
}
