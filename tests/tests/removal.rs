//! A member that is thrown out stays out, with all that it had.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

fn id(node: &ClusterNode) -> Result<String> {
    Ok(node.status()?["node"].as_str().context("an id")?.to_owned())
}

/// A ticket that stays open.
fn open_ticket(node: &ClusterNode) -> Result<String> {
    let invite = node.json(["invite", "--uses", "5", "--expires", "never"])?;
    Ok(invite["ticket"].as_str().context("a ticket")?.to_owned())
}

fn put(node: &ClusterNode, name: &str, scratch: &Path) -> Result<()> {
    let file = scratch.join(name);
    std::fs::create_dir_all(scratch)?;
    std::fs::write(&file, name.as_bytes().repeat(10_000))?;
    node.json(["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    Ok(())
}

/// Joins with what it was given, and is never let in.
fn stays_out(node: &mut ClusterNode, ticket: &str) -> Result<()> {
    let blocks = format!("{}:1GiB", node.home.join("blocks").display());
    node.spawn(["join", ticket, "--storage", &blocks, "--listen", "127.0.0.1:0", "--no-mdns"])?;
    wait_for(PATIENCE, "the command to end", || Ok(node.ended()?.is_some()))?;
    ensure!(node.log().contains("revoked"), "{}", node.last_log());
    Ok(())
}

#[test]
fn a_removed_member_gets_in_nowhere_and_the_keys_change() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 4)?;
    let scratch = cluster.scratch("files");
    put(&cluster.nodes[0], "before", &scratch)?;
    // Node 3 joined by node 0; node 4 by a ticket of node 1, which has uses left.
    let ticket = open_ticket(&cluster.nodes[1])?;
    let other = open_ticket(&cluster.nodes[1])?;
    let mut invited = cluster.new_node()?;
    invited.join(&ticket)?;
    cluster.nodes.push(invited);
    cluster.wait_connected()?;

    let removed = id(&cluster.nodes[1])?;
    let answer = cluster.nodes[0].json(["members", "revoke", &removed, "--yes"])?;
    ensure!(answer["keys"] == "changed" && answer["tickets_ended"] == 2, "{answer}");
    ensure!(answer["invited_and_staying"].as_array().is_some_and(|names| names.len() == 1), "{answer}");

    // Its own machine, and what it had.
    let status = |status: &serde_json::Value| status["connected"] == 0;
    cluster.nodes[1].wait("the removed node to be alone", status)?;
    for (ticket, home) in [(&ticket, "fresh-1"), (&other, "fresh-2")] {
        let mut fresh = cluster.new_node()?;
        fresh.home = cluster.scratch(home);
        std::fs::create_dir_all(&fresh.home)?;
        stays_out(&mut fresh, ticket)?;
    }

    // The others read and write on, and so does the one whom it invited.
    for (writer, name) in [(0, "after"), (4, "later")] {
        cluster.nodes[writer].wait("the new key", |status| status["has_key"] == true)?;
        put(&cluster.nodes[writer], name, &scratch)?;
    }
    for node in [0, 2, 3, 4].map(|at| &cluster.nodes[at]) {
        for name in ["before", "after", "later"] {
            let path = format!("/{name}");
            wait_for(PATIENCE, &format!("{} to read {path}", node.name), || {
                Ok(node.ok(["cat", "--range=0-3", &path]).is_ok_and(|read| name.starts_with(&read)))
            })?;
        }
    }
    cluster.nodes[1].stop()?;
    cluster.nodes[1].up()?;
    let is_told = |status: &serde_json::Value| status["attention"].as_array().is_some_and(|all| !all.is_empty());
    cluster.nodes[1].wait("it to know that it is out", is_told)?;
    ensure!(cluster.nodes[1].ok(["cat", "/after"]).is_err(), "it reads what was written after its removal");
    Ok(())
}

#[test]
fn a_lost_founder_is_removed_with_the_root_key() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 3)?;
    let key = cluster.scratch("root-key");
    let founders = cluster.nodes[0].home.join("pool/pool-root.key");
    ensure!(cluster.nodes[0].status()?["root_key_at"].is_string(), "the owner is reminded");
    std::fs::rename(&founders, &key)?;
    ensure!(cluster.nodes[0].status()?["root_key_at"].is_null(), "no more");
    let (founder, second) = (id(&cluster.nodes[0])?, id(&cluster.nodes[1])?);
    cluster.nodes[0].kill()?;

    let node = &cluster.nodes[1];
    ensure!(node.run(["members", "revoke", &founder, "--yes"])?.status.code() == Some(2), "not without the key");
    let key = key.to_str().context("a path")?;
    node.ok(["admins", "add", &second, "--root-key", key])?;
    let answer = node.json(["members", "revoke", &founder, "--yes", "--root-key", key])?;
    ensure!(answer["keys"] == "changed", "{answer}");
    let node = &cluster.nodes[2];
    node.wait("the new key", |status| status["has_key"] == true)?;
    put(node, "after", &cluster.scratch("files"))?;
    wait_for(PATIENCE, "the other one to read it", || Ok(cluster.nodes[1].ok(["cat", "/after"]).is_ok()))
}

#[test]
fn a_reader_reads_and_does_not_write() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 2)?;
    put(&cluster.nodes[0], "file", &cluster.scratch("files"))?;
    let ticket = cluster.nodes[0].json(["invite", "--role", "reader"])?["ticket"].as_str().context("one")?.to_owned();
    let mut reader = cluster.new_node()?;
    reader.join(&ticket)?;
    wait_for(PATIENCE, "it to read", || Ok(reader.ok(["cat", "/file"]).is_ok()))?;
    let refused = reader.run(["mkdir", "/folder"])?;
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("reader"), "{refused:?}");
    cluster.nodes.push(reader);
    Ok(())
}
