//! A copy of the engine and the simulator with all patches in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};

/// The program of the copy. It has a name of its own because it is built beside the real one, with the same libraries.
const PROGRAM: &str = "seeded-simulations";
/// The version of all crates in the copy. Cargo tells crates in its target folder apart by name, version and path below the
/// workspace: without it a crate with bugs in it could be taken for the real one.
const VERSION: &str = "0.0.0-seeded";
/// The patch that brings the switch; the others ask it.
const SWITCH: &str = "switch";

/// Patched files by their paths in the repository.
type PatchedFiles = BTreeMap<String, String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the simulator is a folder of the repository")
}

fn patch_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeded").join(format!("{name}.patch"))
}

/// Why a patch does not fit the tree any more, and how to make it fit.
pub fn stale(name: &str) -> Option<String> {
    let mut files = PatchedFiles::new();
    apply(SWITCH, &mut files).and_then(|()| apply(name, &mut files)).err().map(|error| {
        format!(
            "{error}\n  To refresh it: make its change by hand where the code is now, then\n  \
             git diff -U1 > simulations/tests/seeded/{name}.patch && git checkout node"
        )
    })
}

/// Applies a patch to files that others may have patched before.
fn apply(name: &str, files: &mut PatchedFiles) -> Result<(), String> {
    let text = fs::read_to_string(patch_path(name)).map_err(|error| format!("{name}.patch: {error}"))?;
    for file in PatchSet::parse(&text, ParseOptions::unidiff()) {
        let file = file.map_err(|error| format!("{name}.patch is no patch: {error}"))?;
        let (path, before) = match file.operation().strip_prefix(1) {
            FileOperation::Create(path) => (path.into_owned(), String::new()),
            FileOperation::Modify { modified, .. } => {
                let path = modified.into_owned();
                let on_disk = || fs::read_to_string(root().join(&path));
                let text = files.get(&path).cloned().map_or_else(on_disk, Ok);
                let text = text.map_err(|error| format!("{name}.patch changes {path}: {error}"))?;
                (path, text)
            }
            other => return Err(format!("{name}.patch does more than change files: {other:?}")),
        };
        let patch = file.patch().as_text().ok_or_else(|| format!("{name}.patch is not text"))?;
        let after = diffy::apply(&before, patch)
            .map_err(|error| format!("{name}.patch does not fit {path} any more: {error}"))?;
        files.insert(path, after);
    }
    Ok(())
}

/// Builds the simulator with all these bugs in it. Returns its program.
pub fn build<'a>(names: impl IntoIterator<Item = &'a str>) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeded");
    let mut files = PatchedFiles::new();
    for name in std::iter::once(SWITCH).chain(names) {
        apply(name, &mut files).unwrap_or_else(|error| panic!("{error}"));
    }
    let workspace = workspace();
    members(&workspace).for_each(|folder| copy_folder(Path::new(folder), &copy, &files));
    files.iter().for_each(|(path, text)| write(&copy.join(path), text.as_bytes()));
    write(&copy.join("Cargo.toml"), workspace.to_string().as_bytes());
    write(&copy.join("simulations/Cargo.toml"), simulator().to_string().as_bytes());
    write(&copy.join("Cargo.lock"), &read(&root().join("Cargo.lock")));
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder for tests is in its target folder");
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace, and an example: then libraries get all features that some crate or its tests ask for, as in
    // `cargo test --workspace`, which has built them so.
    cargo.args(["build", "--workspace", "--example", PROGRAM, "--target-dir"]).arg(target);
    // Built as a whole: what an incremental build keeps of optimized crates has not always linked.
    cargo.env("CARGO_INCREMENTAL", "0");
    // No library may become another one meanwhile: all are in the lock file.
    let built = cargo.arg("--offline").current_dir(&copy).status().expect("cargo runs, for it runs this test");
    assert!(built.success(), "the engine with seeded bugs does not compile");
    target.join("debug/examples").join(PROGRAM)
}

/// The workspace with its settings, and all its crates: what the others ask of libraries counts, too.
fn workspace() -> toml::Table {
    let mut manifest = manifest("Cargo.toml");
    manifest["workspace"]["package"]["version"] = VERSION.into();
    manifest
}

fn members(workspace: &toml::Table) -> impl Iterator<Item = &str> {
    let members = workspace["workspace"]["members"].as_array().expect("it is a workspace");
    members.iter().map(|folder| folder.as_str().expect("the path of a folder"))
}

/// The simulator's manifest, with the other name for its program.
fn simulator() -> toml::Table {
    let mut manifest = manifest("simulations/Cargo.toml");
    manifest["package"].as_table_mut().expect("it is a package").insert("autobins".into(), false.into());
    manifest.remove("bin");
    let program: toml::Table = [("name", PROGRAM), ("path", "src/main.rs")]
        .map(|(key, value)| (key.into(), value.into()))
        .into_iter()
        .collect();
    manifest.insert("example".into(), vec![program].into());
    manifest
}

fn manifest(path: &str) -> toml::Table {
    let text = fs::read_to_string(root().join(path)).expect("a manifest of this repository");
    text.parse().expect("cargo reads it, too")
}

/// Copies what has changed since the last time, but for what is patched.
fn copy_folder(folder: &Path, copy: &Path, patched: &PatchedFiles) {
    for entry in
        fs::read_dir(root().join(folder)).expect("a folder of the repository").map(|entry| entry.expect("readable"))
    {
        let path = folder.join(entry.file_name());
        if entry.file_name() == ".venv" {
            // Made by the test of the second implementation; links into the system.
            continue;
        }
        if entry.file_type().expect("readable").is_dir() {
            copy_folder(&path, copy, patched);
        } else if !patched.contains_key(path.to_str().expect("our file names are text")) {
            write(&copy.join(&path), &read(&root().join(&path)));
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Leaves a file that is as it should be: cargo goes by its date.
fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return;
    }
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
