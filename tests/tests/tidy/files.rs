//! Sizes, leftovers, and words that must not be there.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{files_ending, read, root, shown};

/// Lines of a source file at most. Beyond that nobody reads it as a whole.
const LINES_MAX: usize = 600;

#[test]
fn no_source_file_is_too_long() {
    for path in files_ending(&[".rs", ".py"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: split it", shown(&path));
    }
}

/// What `patch` and merges leave beside a file: another version of it, that greps find.
#[test]
fn nothing_lies_beside_the_files() {
    let others = files_ending(&["Cargo.toml", ".orig", ".rej"]);
    let left: Vec<String> =
        others.iter().filter(|path| !path.ends_with("Cargo.toml")).map(|path| shown(path)).collect();
    assert!(left.is_empty(), "remove {left:?}");
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together here, so that this file does not find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X "], ["to", "do!("], ["unimpl", "emented!("], ["for", " now,"]]
        .map(|word| word.concat());
    for path in files_ending(&[".rs", ".md", ".toml", ".py", "run", ".sh"]) {
        for (line, number) in read(&path).lines().zip(1..) {
            let mark = marks.iter().find(|mark| line.contains(mark.as_str()));
            assert!(mark.is_none(), "{}:{number}: {line}", shown(&path));
        }
    }
}

#[test]
fn placement_has_no_floating_point() {
    for path in files_ending(&[".rs"]) {
        let name = shown(&path);
        if !name.starts_with("node/core/src/placement/") || name.contains("/tests/") {
            continue;
        }
        let text = read(&path);
        let words = text.split(|letter: char| !letter.is_alphanumeric());
        assert!(words.clone().all(|word| word != "f32" && word != "f64"), "{name}: machines round differently");
    }
}

#[test]
fn the_database_is_named_in_one_source_file() {
    let files = files_ending(&[".rs"]).into_iter().filter(|path| path.starts_with(root().join("node/src")));
    let names_it = |text: &str| text.replace("index_sled::", "").contains("sled::");
    let naming: Vec<String> = files.filter(|path| names_it(&read(path))).map(|path| shown(&path)).collect();
    assert!(naming.len() <= 1, "sled is an index that can be replaced in one place, but is named in {naming:?}");
}

#[test]
fn unsafe_code_is_in_one_source_file() {
    let allows = ["allow(", "unsafe_code"].concat();
    let files = files_ending(&[".rs"]).into_iter().filter(|path| read(path).contains(&allows)).map(|path| shown(&path));
    assert_eq!(files.collect::<Vec<_>>(), ["node/src/allocator.rs"], "calls into the C library that no library wraps");
}

#[test]
fn programs_that_are_not_tested_hold_no_tests() {
    let untested = |program: &Value| program.get("test").and_then(Value::as_bool) == Some(false);
    for manifest in files_ending(&["Cargo.toml"]) {
        let package: Table = read(&manifest).parse().expect("cargo reads it, too");
        let programs = package.get("bin").and_then(Value::as_array).into_iter().flatten();
        for source in programs.filter(|program| untested(program)).flat_map(|program| sources(&manifest, program)) {
            let text = read(&source);
            let test = ["#[test]", "#[tokio::test]", "proptest! {"].iter().find(|mark| text.contains(**mark));
            assert!(test.is_none(), "{} has a test, but its program has test = false", shown(&source));
        }
    }
}

/// The files of a program: one, or the folder of a `main.rs` that has one to itself.
fn sources(manifest: &Path, program: &Value) -> Vec<PathBuf> {
    let name = program["name"].as_str().expect("a program has a name");
    let path = program.get("path").and_then(Value::as_str).map_or_else(|| format!("src/bin/{name}.rs"), str::to_owned);
    let path = manifest.with_file_name(path);
    let folder = path.parent().filter(|folder| path.ends_with("main.rs") && !folder.ends_with("src"));
    let of_it = |source: &PathBuf| *source == path || folder.is_some_and(|folder| source.starts_with(folder));
    let found: Vec<PathBuf> = files_ending(&[".rs"]).into_iter().filter(of_it).collect();
    assert!(!found.is_empty(), "{name} has no source at {}", shown(&path));
    found
}
