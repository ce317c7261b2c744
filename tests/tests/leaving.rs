//! Nodes that leave, and dead ones that are removed: nothing is lost with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use serde_json::Value;

const FILES: usize = 20;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

fn content(number: usize) -> Vec<u8> {
    format!("file {number}, ").into_bytes().repeat(20_000)
}

/// Four nodes with files of each.
fn filled() -> Result<TestCluster> {
    let cluster = TestCluster::of(program(), 4)?;
    let scratch = cluster.scratch("files");
    fs::create_dir_all(&scratch)?;
    for number in 0..FILES {
        let file: PathBuf = scratch.join(format!("f{number}"));
        fs::write(&file, content(number))?;
        cluster.nodes[number % 4].json(["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    }
    Ok(cluster)
}

/// Says what `drain` says, and whether its exit code is that of it.
fn drain(node: &ClusterNode, verb: &[&str]) -> Result<Value> {
    let out = node.run(verb.iter().copied().chain(["--json"]))?;
    let said: Value = serde_json::from_slice(&out.stdout).with_context(|| format!("{out:?}"))?;
    let code = if said["may_be_unplugged"] == true { 0 } else { 1 };
    ensure!(out.status.code() == Some(code), "{out:?}");
    Ok(said)
}

fn all_read(nodes: &[ClusterNode], scratch: &Path) -> Result<()> {
    for (at, node) in nodes.iter().enumerate() {
        for number in 0..FILES {
            let target = scratch.join(format!("{at}-{number}"));
            node.get(&format!("/f{number}"), &target, PATIENCE)?;
            ensure!(fs::read(&target)? == content(number), "file {number} on node {at}");
        }
    }
    Ok(())
}

#[test]
fn a_drained_node_may_be_destroyed_and_one_that_leaves_too() -> Result<()> {
    let mut cluster = filled()?;
    let node = &cluster.nodes[3];
    drain(node, &["drain"])?;
    ensure!(node.status()?["attention"].to_string().contains("node_draining"), "{}", node.status()?);
    let undone = node.json(["drain", "--undo"])?;
    ensure!(undone["draining"] == false, "{undone}");
    wait_for(PATIENCE * 3, "node 3 to be drained", || Ok(drain(node, &["drain"])?["may_be_unplugged"] == true))?;

    let mut destroyed = cluster.nodes.pop().context("four")?;
    destroyed.kill()?;
    fs::remove_dir_all(&destroyed.home)?;
    let scratch = cluster.scratch("read");
    fs::create_dir_all(&scratch)?;
    all_read(&cluster.nodes, &scratch)?;

    // Two are left besides the one that leaves.
    let name = &destroyed.name;
    cluster.nodes[0].json(["members", "remove", name, "--yes"])?;
    let node = &cluster.nodes[2];
    let mut left = Value::Null;
    wait_for(PATIENCE * 3, "node 2 to leave", || {
        left = node.json(["leave", "--yes"])?;
        Ok(left["informed"].is_array())
    })?;
    ensure!(left["informed"].as_array().is_some_and(|names| names.len() >= 2), "{left}");
    let mut gone = cluster.nodes.pop().context("three")?;
    ensure!(gone.status()?["attention"].to_string().contains("node_removed"), "{}", gone.status()?);
    gone.kill()?;
    fs::remove_dir_all(&gone.home)?;
    all_read(&cluster.nodes, &scratch)
}

#[test]
fn a_dead_member_is_removed_and_is_told_when_it_comes_back() -> Result<()> {
    let mut cluster = filled()?;
    let name = cluster.nodes[3].name.clone();
    cluster.nodes[3].kill()?;
    cluster.nodes[0].json(["members", "remove", &name, "--yes"])?;
    let again = cluster.nodes[1].run(["members", "remove", "no-one-of-that-name", "--yes"])?;
    ensure!(again.status.code() == Some(2), "{again:?}");
    cluster.nodes[3].up()?;
    let node = &cluster.nodes[3];
    node.wait("it to be told", |status| status["attention"].to_string().contains("node_removed"))?;
    wait_for(PATIENCE * 3, "it to hand over what it has", || Ok(drain(node, &["drain"])?["may_be_unplugged"] == true))?;
    cluster.nodes.pop().context("four")?.kill()?;
    let scratch = cluster.scratch("read");
    fs::create_dir_all(&scratch)?;
    all_read(&cluster.nodes, &scratch)
}
