//! The module trees of all crates of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::tidy::{root, shown};

use super::budgets::{IMPORT_RINGS, Measured, PART_RINGS};
use super::graph::ArrowGraph;
use super::imports::import_graph;
use super::modules::ModuleTree;
use super::source::SourceFile;

pub struct Workspace<'a> {
    pub files: BTreeMap<String, &'a SourceFile>,
    /// By root file.
    pub trees: BTreeMap<String, ModuleTree>,
}

impl<'a> Workspace<'a> {
    pub fn of(files: &'a [SourceFile]) -> Self {
        let files: BTreeMap<String, &SourceFile> = files.iter().map(|file| (file.name.clone(), file)).collect();
        let trees = roots().into_iter().map(|root| (root.clone(), ModuleTree::of(&root, &files))).collect();
        Self { files, trees }
    }

    /// Counts the rings; each with the arrows that make it.
    pub fn import_rings(&self) -> [Measured; 2] {
        let graphs: Vec<ArrowGraph> = self.trees.values().map(import_graph).collect();
        let parts: Vec<ArrowGraph> = graphs.iter().map(ArrowGraph::without_heads).collect();
        [(&IMPORT_RINGS, rings(&graphs)), (&PART_RINGS, rings(&parts))]
            .map(|(budget, rings)| budget.measured(rings.len() as f64, rings))
    }
}

/// A file may belong to several programs: its ring is one.
fn rings(graphs: &[ArrowGraph]) -> Vec<String> {
    let rings =
        graphs.iter().flat_map(|graph| graph.rings().into_iter().map(|ring| graph.describe(&ring).join("\n  ")));
    rings.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Root files of all libraries, programs and tests.
fn roots() -> Vec<String> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs, for it runs this test");
    let metadata: Value = serde_json::from_slice(&cargo.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().expect("targets"));
    targets.map(|target| shown(Path::new(target["src_path"].as_str().expect("a path")))).collect()
}
