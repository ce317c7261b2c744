//! Measures of the engine: a router over machines, on floors that call only downward.

use std::collections::{BTreeMap, BTreeSet};

use super::budgets::{
    Budget, CALL_RINGS, ENGINE_ASSERTIONS, ENGINE_COMMENTS, ENGINE_TESTS, FLOORS, LARGEST_TYPE, LARGEST_TYPE_FILES,
    Measured,
};
use super::calls::{CallGraph, call_graph};
use super::functions::{functions, largest_type};
use super::graph::ArrowGraph;
use super::imports::import_graph;
use super::names::percent;
use super::source::{LineKind, SourceFile};
use super::workspace::Workspace;

const ENGINE: &str = "node/core/src/engine/";
const CRATE: &str = "node/core/src/lib.rs";

/// Folders of the engine from below. What lies beside them belongs to the router, which stands above all.
const FLOOR_FOLDERS: [&str; 6] = ["net", "facts", "blocks", "volume", "space", "admin"];

/// Files that all floors may use; they know no machine. Peers, requests and outboxes are the tables that the context
/// lends to all.
const SHARED_FILES: [&str; 9] = [
    "context.rs",
    "event.rs",
    "receipts.rs",
    "start.rs",
    "timers.rs",
    "unneeded.rs",
    "net/outbox.rs",
    "net/peers.rs",
    "net/requests.rs",
];

pub fn measures(workspace: &Workspace<'_>) -> Vec<Measured> {
    let files: Vec<&SourceFile> =
        workspace.files.iter().filter(|(name, _)| name.starts_with(ENGINE)).map(|(_, file)| *file).collect();
    let tree = &workspace.trees[CRATE];
    let calls = call_graph(tree, ENGINE);
    let mut measures = shares(&files);
    measures.push(rings(&calls));
    measures.push(floors(&[&calls.graph, &import_graph(tree)]));
    measures.push(per_code_line(&ENGINE_TESTS, LineKind::Test, &files));
    measures.push(per_code_line(&ENGINE_COMMENTS, LineKind::Comment, &files));
    measures.push(assertions(&files));
    measures
}

fn shares(files: &[&SourceFile]) -> Vec<Measured> {
    let functions = functions(files.iter().copied());
    let (name, methods) = largest_type(&functions);
    let places: BTreeSet<&str> = methods.iter().map(|method| method.file.as_str()).collect();
    let share = percent(methods.len(), functions.len());
    let whose = vec![format!("{name}: {} of {} functions", methods.len(), functions.len())];
    let where_from = places.iter().map(|place| (*place).to_owned()).collect();
    vec![LARGEST_TYPE.measured(share, whose), LARGEST_TYPE_FILES.measured(places.len() as f64, where_from)]
}

/// Counts files in rings, so that each one that leaves is seen.
fn rings(calls: &CallGraph) -> Measured {
    let rings = calls.graph.rings();
    let mut worst: Vec<String> = rings.iter().flat_map(|ring| calls.graph.describe(ring)).collect();
    worst.extend(calls.unresolved.iter().map(|call| format!("not resolved: {call}")));
    CALL_RINGS.measured(rings.iter().map(BTreeSet::len).sum::<usize>() as f64, worst)
}

fn floors(graphs: &[&ArrowGraph]) -> Measured {
    let upward: BTreeSet<&str> =
        graphs.iter().flat_map(|graph| graph.arrows()).filter(upward).map(|(.., at)| at).collect();
    FLOORS.measured(upward.len() as f64, upward.into_iter().map(str::to_owned).collect())
}

fn upward((from, to, _): &(&str, &str, &str)) -> bool {
    matches!((floor(from), floor(to)), (Some(from), Some(to)) if from < to)
}

/// 0 for what all may use, then the folders, then the router. Tests stand on no floor, nor do other folders of the crate.
fn floor(file: &str) -> Option<usize> {
    let name = file.strip_prefix(ENGINE).filter(|name| !name.contains("test"))?;
    if SHARED_FILES.contains(&name) {
        return Some(0);
    }
    let folder = name.split_once('/').map_or("", |(folder, _)| folder);
    Some(FLOOR_FOLDERS.iter().position(|one| *one == folder).unwrap_or(FLOOR_FOLDERS.len()) + 1)
}

/// All files together, and which of them have least.
fn per_code_line(budget: &'static Budget, kind: LineKind, files: &[&SourceFile]) -> Measured {
    let ratio = |part: usize, code: usize| part as f64 / code.max(1) as f64;
    let mut by_machine: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for file in files {
        let counts = by_machine.entry(machine(&file.name)).or_default();
        counts.0 += file.count(kind);
        counts.1 += file.count(LineKind::Code);
    }
    let (all, code) = by_machine.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    let missing = |counts: &(usize, usize)| budget.goal * counts.1 as f64 - counts.0 as f64;
    let mut worst: Vec<_> = by_machine.iter().filter(|(_, counts)| missing(counts) > 0.0).collect();
    worst.sort_by(|a, b| missing(b.1).total_cmp(&missing(a.1)));
    let worst =
        worst.into_iter().map(|(name, (part, code))| format!("{name}: {part} to {code} lines of code")).collect();
    budget.measured(ratio(all, code), worst)
}

/// A file, with the tests in the folder or file beside it.
fn machine(name: &str) -> &str {
    let name = name.strip_prefix(ENGINE).unwrap_or(name).trim_end_matches(".rs");
    name.trim_end_matches("/tests").trim_end_matches("/mod").split("/tests/").next().unwrap_or(name)
}

fn assertions(files: &[&SourceFile]) -> Measured {
    let functions = functions(files.iter().copied());
    let all: usize = functions.iter().map(|function| function.assertions).sum();
    let mut by_file: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for function in &functions {
        let counts = by_file.entry(&function.file).or_default();
        counts.0 += function.assertions;
        counts.1 += 1;
    }
    let missing = |counts: &(usize, usize)| ENGINE_ASSERTIONS.goal * counts.1 as f64 - counts.0 as f64;
    let mut worst: Vec<_> = by_file.into_iter().filter(|(_, counts)| missing(counts) > 0.0).collect();
    worst.sort_by(|a, b| missing(&b.1).total_cmp(&missing(&a.1)));
    let worst = worst.into_iter().map(|(file, (some, all))| format!("{file}: {some} in {all} functions")).collect();
    ENGINE_ASSERTIONS.measured(all as f64 / functions.len().max(1) as f64, worst)
}

#[test]
fn floors_stand_in_order() {
    let file = |name: &str| format!("{ENGINE}{name}");
    let order = [
        "context.rs",
        "net/peers.rs",
        "facts/sync.rs",
        "blocks/repair/ask.rs",
        "volume/commit/mod.rs",
        "admin/mod.rs",
        "mod.rs",
    ];
    assert!(order.iter().is_sorted_by_key(|name| floor(&file(name))));
    assert!(upward(&(&file("net/peers.rs"), &file("blocks/put.rs"), "")));
    assert!(!upward(&(&file("volume/heads.rs"), &file("blocks/put.rs"), "")));
    assert_eq!((floor(&file("blocks/tests.rs")), floor("node/core/src/seam/token.rs")), (None, None));
}
