//! What is said of how safe files are, and damage that no read would have found.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree;

/// Seconds of a round.
const ROUND_S: u64 = 3;
/// Blocks of which one copy is damaged.
const DAMAGED: usize = 8;
const CHUNK: usize = 1 << 20;

#[test]
fn one_round_finds_and_mends_what_rots_and_safe_says_so() -> Result<()> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")).with_scrub(ROUND_S);
    let cluster = TestCluster::of(program, 3)?;
    let source = cluster.scratch("source");
    tree::random_file(&source, 16 << 20, 5)?;
    let node = &cluster.nodes[0];
    node.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/file".as_ref()])?;
    for node in &cluster.nodes {
        node.wait_complete()?;
    }
    wait_for(PATIENCE, "all to be safe", || Ok(node.run(["safe", "/file", "--json"])?.status.code() == Some(0)))?;
    let text = node.ok(["safe", "/file"])?;
    ensure!(text.starts_with("safe        /file: ") && text.contains("any 2 sites may be destroyed"), "{text}");

    // A byte of one copy of each, at nodes in turn: every other megabyte of what they wrote first.
    for number in 0..DAMAGED {
        flip(&cluster.nodes[number % 3].home, (2 * number + 1) * CHUNK + CHUNK / 2)?;
    }
    let found = || cluster.nodes.iter().map(|node| damaged(&node.log()).len()).sum::<usize>();
    wait_for(PATIENCE, "all that was damaged to be found", || Ok(found() >= DAMAGED))?;
    wait_for(PATIENCE, "it to be mended", || Ok(node.run(["safe", "/file"])?.status.code() == Some(0)))?;
    // Nothing was damaged that was not flipped, and nothing is found twice.
    let rounds = || -> Result<u64> {
        let mut ended = Vec::new();
        for node in &cluster.nodes {
            ended.push(node.status()?["scrub"]["last_ended_ms"].as_u64().unwrap_or_default());
        }
        ended.into_iter().min().context("nodes")
    };
    let before = rounds()?;
    wait_for(PATIENCE, "another round", || Ok(rounds()? > before))?;
    ensure!(found() == DAMAGED, "{} copies were damaged, {DAMAGED} bytes flipped", found());
    for node in &cluster.nodes {
        let back = cluster.scratch(&format!("back-{}", node.name));
        node.ok(["get".as_ref(), "/file".as_ref(), back.as_os_str()])?;
    }
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

/// Flips a byte of the first segment.
fn flip(home: &Path, at: usize) -> Result<()> {
    let path = segments(home)?.into_iter().next().context("a segment")?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64)?;
    file.write_all_at(&[!byte[0]], at as u64)?;
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
