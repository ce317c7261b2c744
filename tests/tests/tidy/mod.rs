//! What the compiler does not check about the code itself.

mod arrows;
mod citations;
mod docs;
mod files;
mod measures;
mod supply;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder with the workspace's Cargo.toml.
fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests stand in the workspace").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All source and text files whose name ends so, without what cargo, git and Python make.
fn files_ending(ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the source tree can be listed") {
            let entry = entry.expect("the source tree can be listed");
            let (path, name) = (entry.path(), entry.file_name().into_string().expect("names here are UTF-8"));
            let made = name == "target" || name == ".git" || name.ends_with(".venv");
            if entry.file_type().expect("the source tree can be listed").is_dir() {
                folders.extend((!made).then_some(path));
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file ends in {ends:?}");
    found
}

/// The path below the workspace, for messages.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
