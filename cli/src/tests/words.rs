//! Words that users must not meet.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{TokenStream, TokenTree};

use super::{help, json};

pub(super) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the command lies in the workspace").to_owned()
}

fn banned() -> Vec<String> {
    let list =
        fs::read_to_string(workspace().join("tests/tests/tidy/banned_words.txt")).expect("the list is committed");
    let word = |line: &str| match line.split('"').nth(1) {
        Some(quoted) => quoted.to_owned(),
        None => line.split('#').next().unwrap_or_default().trim().to_owned(),
    };
    let words: Vec<String> = list.lines().filter(|line| !line.starts_with('#')).map(word).collect();
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// The banned words in a text, whole and in any case.
fn found<'a>(banned: &'a [String], text: &str) -> Vec<&'a str> {
    // A line break in a help text is a space.
    let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let in_word = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
    let is_whole = |(at, word): (usize, &str)| {
        !in_word(text[..at].chars().next_back()) && !in_word(text[at + word.len()..].chars().next())
    };
    banned.iter().filter(|word| text.match_indices(word.as_str()).any(is_whole)).map(String::as_str).collect()
}

#[test]
fn help_texts_and_json_have_no_banned_word() {
    let banned = banned();
    assert!(banned.len() > 30, "the list is there: {banned:?}");
    for (name, text) in help::texts().into_iter().chain(json::texts()) {
        assert_eq!(found(&banned, &text), [""; 0], "{name}");
    }
}

/// Texts of errors, results and log lines are string literals of the program's sources.
#[test]
fn no_string_of_the_program_has_a_banned_word() {
    let banned = banned();
    let mut wrong = Vec::new();
    for file in
        ["cli/src", "node/src", "node/core/src/seam", "proto-spec/src/control"].map(|part| workspace().join(part))
    {
        for source in sources(&file) {
            let text = fs::read_to_string(&source).expect("a source file");
            let tokens = TokenStream::from_str(&text).expect("it compiles");
            let strings = literals(tokens);
            let found =
                strings.iter().flat_map(|string| found(&banned, string).into_iter().map(move |word| (word, string)));
            wrong.extend(found.map(|(word, string)| format!("{}: {word:?} in {string}", source.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without those that hold tests only.
pub(super) fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a source folder").map(|entry| entry.expect("an entry").path());
    let of_tests = |path: &PathBuf| path.file_stem().is_some_and(|name| name == "tests" || name == "fake");
    let listed = entries.filter(|path| !of_tests(path)).flat_map(|path| {
        let is_source = path.extension().is_some_and(|end| end == "rs");
        if path.is_dir() { sources(&path) } else { is_source.then_some(path).into_iter().collect() }
    });
    listed.collect()
}

/// String literals outside of doc comments and of modules of tests.
pub(super) fn literals(tokens: TokenStream) -> Vec<String> {
    let mut strings = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let is_doc = group.stream().into_iter().next().is_some_and(|first| first.to_string() == "doc");
                let of_tests = words.ends_with(&["mod".into(), "tests".into()]);
                if !is_doc && !of_tests {
                    strings.extend(literals(group.stream()));
                }
                words.clear();
            }
            TokenTree::Literal(literal) => strings.push(literal.to_string()),
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Punct(_) => words.clear(),
        }
    }
    strings
}

#[test]
fn words_are_found_whole_only() {
    let banned = ["fire".to_owned(), "set aside".to_owned()];
    assert_eq!(found(&banned, "FIRE! it was set\n  aside"), ["fire", "set aside"]);
    assert_eq!(found(&banned, "firewall, fire_wall, set_aside"), [""; 0]);
}
