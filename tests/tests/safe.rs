//! What is said of how safe files are, and damage that no read would have found.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree;

/// Seconds of a round.
const ROUND_S: u64 = 4;
/// Blocks of which one copy is damaged.
const DAMAGED: usize = 100;
const CHUNK: u64 = 1 << 20;
/// Some more chunks than are damaged.
const FILE_BYTES: u64 = 112 << 20;

#[test]
fn one_round_finds_and_mends_what_rots_and_safe_says_so() -> Result<()> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")).with_scrub(ROUND_S);
    let cluster = stored_everywhere(program)?;
    let node = &cluster.nodes[0];
    let text = node.ok(["safe", "/file"])?;
    ensure!(text.starts_with("safe        /file: ") && text.contains("any 2 sites may be destroyed"), "{text}");

    flip(&cluster.nodes[1].home, DAMAGED)?;
    // The round that is under way may be past some of it; the one after it finds all of it.
    let ended = |node: &ClusterNode| -> Result<u64> {
        Ok(node.status()?["scrub"]["last_ended_ms"].as_u64().unwrap_or_default())
    };
    let next_round = || -> Result<()> {
        for node in &cluster.nodes {
            let before = ended(node)?;
            wait_for(PATIENCE, "a round", || Ok(ended(node)? > before))?;
        }
        Ok(())
    };
    next_round()?;
    next_round()?;
    let found = || cluster.nodes.iter().map(|node| damaged(&node.log()).len()).collect::<Vec<_>>();
    ensure!(found() == [0, DAMAGED, 0], "{:?} copies were found damaged, {DAMAGED} of the second were", found());
    wait_for(PATIENCE, "it to be mended", || Ok(node.run(["safe", "/file"])?.status.code() == Some(0)))?;
    // Nothing was damaged that was not flipped, and nothing is found twice.
    next_round()?;
    next_round()?;
    ensure!(found() == [0, DAMAGED, 0], "{:?} copies were found damaged", found());
    for node in &cluster.nodes {
        let back = cluster.scratch(&format!("back-{}", node.name));
        node.ok(["get".as_ref(), "/file".as_ref(), back.as_os_str()])?;
    }
    Ok(())
}

#[test]
fn proofs_find_what_rots_name_who_has_it_and_it_is_mended() -> Result<()> {
    let cluster = stored_everywhere(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")))?;
    let node = &cluster.nodes[0];
    let prove = || -> Result<(Option<i32>, serde_json::Value)> {
        let output = node.run(["safe", "/file", "--prove", "--json"])?;
        Ok((output.status.code(), serde_json::from_slice(&output.stdout)?))
    };
    let (code, report) = prove()?;
    let blocks = report["blocks"].as_u64().context("blocks")?;
    ensure!(blocks > DAMAGED as u64 && report["checked_blocks"] == blocks, "{report}");
    ensure!(code == Some(0) && report["proven_copies"] == 3 * blocks, "{report}");

    // At another node, and at the one that asks.
    for (place, bad) in [(1, DAMAGED), (0, DAMAGED / 10)] {
        let damaged_node = &cluster.nodes[place];
        flip(&damaged_node.home, bad)?;
        let (code, report) = prove()?;
        ensure!(code == Some(1) && report["verdict"] == "at_risk", "{report}");
        let named = report["damaged"].as_array().context("damaged")?;
        ensure!(named.len() == 1 && named[0]["name"] == damaged_node.name.as_str(), "{report}");
        // A scrub or an audit may have come upon some before, and by now they may be mended.
        let shown = named[0]["blocks"].as_u64().context("blocks")?;
        ensure!((bad * 9 / 10..=bad).contains(&usize::try_from(shown)?) && report["short_blocks"] == shown, "{report}");
        ensure!(report["unproven"] == serde_json::json!([]), "{report}");
        ensure!(report["proven_copies"] == 3 * blocks - shown, "{report}");
        ensure!(damaged(&damaged_node.log()).len() == bad, "its log names all of it");
        wait_for(PATIENCE, "it to be mended", || {
            let (code, report) = prove()?;
            Ok(code == Some(0) && report["proven_copies"] == 3 * blocks)
        })?;
    }
    let text = node.ok(["safe", "/file", "--prove"])?;
    ensure!(text.contains(&format!("{} copies were proven now", 3 * blocks)), "{text}");
    Ok(())
}

#[test]
fn what_lacks_copies_is_never_called_safe() -> Result<()> {
    let mut cluster = TestCluster::of(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")), 3)?;
    let source = cluster.scratch("source");
    tree::random_file(&source, 3 << 20, 6)?;
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/file".as_ref()])?;
    for node in &cluster.nodes {
        node.wait_complete()?;
    }
    wait_for(PATIENCE, "all to be safe", || Ok(cluster.nodes[0].run(["safe"])?.status.code() == Some(0)))?;
    cluster.nodes[2].kill()?;
    let gone = cluster.nodes[2].name.clone();
    // At once: whoever does not answer counts as having nothing.
    let output = cluster.nodes[0].run(["safe"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.code() == Some(1) && text.starts_with("AT RISK     /: any 1 site may be destroyed"),
        "{text}"
    );
    ensure!(text.contains("missing: ") && text.contains(&gone), "{text}");
    cluster.nodes[1].kill()?;
    let report = cluster.nodes[0].run(["safe", "/", "--json"])?;
    ensure!(report.status.code() == Some(1), "this node has all of it");
    Ok(())
}

/// The blocks that a log says were found damaged.
fn damaged(log: &str) -> BTreeSet<String> {
    let named = log.lines().filter(|line| line.contains(" is damaged (segment"));
    named.filter_map(|line| Some(line.split("copy of block ").nth(1)?.split(' ').next()?.to_owned())).collect()
}

/// Three nodes, each of which has a copy of each block of a file.
fn stored_everywhere(program: TestProgram) -> Result<TestCluster> {
    let cluster = TestCluster::of(program, 3)?;
    let source = cluster.scratch("source");
    tree::random_file(&source, FILE_BYTES, 5)?;
    let node = &cluster.nodes[0];
    node.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/file".as_ref()])?;
    for node in &cluster.nodes {
        node.wait_complete()?;
    }
    wait_for(PATIENCE, "all to be safe", || Ok(node.run(["safe", "/file", "--json"])?.status.code() == Some(0)))?;
    Ok(cluster)
}

/// Flips one byte in each of so many blocks of a node. A chunk's record is a little longer than a chunk, so that two places which
/// are a chunk apart lie in two records.
fn flip(home: &Path, blocks: usize) -> Result<()> {
    let mut left = blocks;
    for path in segments(home)? {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let chunks = file.metadata()?.len() / CHUNK;
        for chunk in (0..chunks.saturating_sub(1)).take(left) {
            let (at, mut byte) = (chunk * CHUNK + CHUNK / 2, [0]);
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[!byte[0]], at)?;
            left -= 1;
        }
    }
    ensure!(left == 0, "{left} of {blocks} blocks were not there");
    Ok(())
}

fn segments(home: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut next = vec![home.to_owned()];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            match path.extension() {
                _ if path.is_dir() => next.push(path),
                Some(extension) if extension == "seg" => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}
