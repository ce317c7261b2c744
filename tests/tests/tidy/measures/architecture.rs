//! What ARCHITECTURE.md promises: short, three diagrams, and every module has its place in the map.

use std::collections::BTreeSet;

use crate::tidy::{files_ending, read, root, shown};

use super::budgets::{ARCHITECTURE_WORDS, Measured, UNNAMED_MODULES};

/// Source folders whose modules the map names.
const MAPPED: [&str; 5] = ["proto-spec/src/", "node/core/src/", "node/src/", "cli/src/", "simulations/src/"];

/// Packages and arrows; the loop with inputs and effects; one put and one merge.
const DIAGRAMS: usize = 3;

pub fn measures() -> Vec<Measured> {
    let text = read(&root().join("ARCHITECTURE.md"));
    let words = text.split_whitespace().count();
    let unnamed = unnamed(&text);
    vec![ARCHITECTURE_WORDS.measured(words as f64, Vec::new()), UNNAMED_MODULES.measured(unnamed.len() as f64, unnamed)]
}

/// Files whose name does not stand between backticks, and whose folder is not named as a group (`verbs/*`).
fn unnamed(text: &str) -> Vec<String> {
    let named = named(text);
    let mapped = |name: &String| MAPPED.iter().any(|folder| name.starts_with(folder));
    let names = files_ending(&[".rs"]).iter().map(|path| shown(path)).filter(mapped).collect::<Vec<_>>();
    names.into_iter().filter(|name| !is_named(name, &named)).collect()
}

fn is_named(file: &str, named: &BTreeSet<String>) -> bool {
    let parts: Vec<&str> = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    let (name, folders) = parts.split_last().expect("a file has a name");
    let below = folders.iter().rposition(|folder| *folder == "src").unwrap_or(0) + 1;
    let folders = folders.get(below..).unwrap_or(&[]);
    let grouped = |folder: &&str| named.contains(&format!("{folder}/*"));
    ["lib", "main", "src", "tests"].contains(name)
        || named.contains(*name)
        || folders.contains(&"tests")
        || folders.iter().any(grouped)
}

/// Words of code: spans between backticks, and diagrams. `net/{peers,requests}` names three.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split('`').skip(1).step_by(2);
    let mut named = BTreeSet::new();
    for word in code.flat_map(|code| code.split(|letter: char| letter.is_whitespace() || ",{}·".contains(letter))) {
        named.insert(word.to_owned());
        if let Some(folder) = word.strip_suffix("/*") {
            named.insert(format!("{}/*", folder.rsplit('/').next().unwrap_or(folder)));
        }
        named.extend(word.split('/').map(|part| part.trim_end_matches(".rs").to_owned()));
    }
    named
}

#[test]
fn the_architecture_has_its_diagrams() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let diagrams = text.matches("```text\n").count();
    // Before it was rewritten it had one.
    assert!(diagrams == DIAGRAMS || text.split_whitespace().count() > 2 * 1800, "{diagrams} diagrams");
}

#[test]
fn modules_are_found_in_the_map() {
    let named = named("`net/{peers,requests}` and `verbs/*`: `commit`, ```text\nseam\n```");
    let is = |file: &str| is_named(file, &named);
    assert!(is("node/core/src/engine/net/peers.rs") && is("node/core/src/engine/volume/commit/mod.rs"));
    assert!(is("cli/src/verbs/put/tally.rs") && is("node/core/src/seam/mod.rs") && is("a/src/b/tests/c.rs"));
    assert!(!is("node/core/src/engine/net/other.rs"));
}
