//! What users and their programs read, held against files: every help text and every answer in JSON.
//!
//! `UPDATE=1 cargo test --workspace snapshot` writes the files anew; look at the difference before committing it.

mod help;
mod hints;
mod json;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// Where the expected texts lie.
fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(kind)
}

/// Compares texts by file name with those in the folder of their kind: no file may be missing, differ or be left over.
fn check_snapshots(kind: &str, texts: &[(String, String)]) {
    let folder = folder(kind);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).expect("the folder of snapshots");
        for (name, text) in texts {
            fs::write(folder.join(name), text).expect("a snapshot");
        }
    }
    let differs = |(name, text): &&(String, String)| fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text);
    let different: Vec<&str> = texts.iter().filter(differs).map(|(name, _)| name.as_str()).collect();
    let names =
        fs::read_dir(&folder).expect("snapshots are committed").map(|entry| entry.expect("an entry").file_name());
    let left_over: Vec<_> = names.filter(|file| !texts.iter().any(|(name, _)| **file == **name)).collect();
    assert!(
        different.is_empty() && left_over.is_empty(),
        "other than in {}: {different:?}, left over: {left_over:?}; run 'UPDATE=1 cargo test --workspace snapshot' and look \
         at the difference",
        folder.display()
    );
}
