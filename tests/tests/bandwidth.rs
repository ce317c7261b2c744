//! Caps, and repair that yields, between real daemons. Nothing here asserts how fast something is, only that it is not faster.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree::random_file;
use serde_json::Value;

const MIB: u64 = 1 << 20;
/// 7 Mbit: below it, a line is thin.
const CAP: u64 = 875_000;

fn founded() -> Result<TestCluster> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")).with_unit("1MiB");
    let mut cluster = TestCluster::new(program)?;
    cluster.found_with("200MiB")?;
    Ok(cluster)
}

fn join(cluster: &mut TestCluster) -> Result<()> {
    let mut node = cluster.new_node()?;
    "200MiB".clone_into(&mut node.storage);
    cluster.join_as(node)?;
    cluster.wait_connected()
}

/// A counter, and between which moments it had this value.
struct Reading {
    bytes: u64,
    before: Instant,
    after: Instant,
}

fn read(node: &ClusterNode, verb: &str, bytes: impl Fn(&Value) -> Option<u64>) -> Result<Reading> {
    let before = Instant::now();
    let answer = node.json([verb])?;
    Ok(Reading { bytes: bytes(&answer).context("a counter")?, before, after: Instant::now() })
}

fn sent(node: &ClusterNode) -> Result<Reading> {
    read(node, "status", |status| status["counters"]["block_bytes_out"].as_u64())
}

fn repaired(node: &ClusterNode) -> Result<Reading> {
    read(node, "bandwidth", |answer| answer["repair_bytes_out"].as_u64())
}

/// What the second node lacked has come to it. (In a pool of two a third copy is always missing.)
fn complete(node: &ClusterNode, bytes: u64) -> Result<()> {
    wait_for(PATIENCE, "repair to complete the copies", || Ok(repaired(node)?.bytes >= bytes))
}

/// No more moved between two readings than a rate and its burst allow.
fn check_within(first: &Reading, last: &Reading, bytes_per_s: f64) -> Result<()> {
    let (moved, seconds) = (last.bytes - first.bytes, last.after.duration_since(first.before).as_secs_f64());
    // A burst, and a slice that is counted when it has moved.
    let most = bytes_per_s * (seconds + 0.25) + 65_536.0;
    ensure!(moved as f64 <= most * 1.02, "{moved} bytes in {seconds} s, {most} are allowed");
    Ok(())
}

fn put(cluster: &TestCluster, name: &str, bytes: u64, seed: u64) -> Result<()> {
    let source = cluster.scratch(name);
    random_file(&source, bytes, seed)?;
    let to = format!("/{name}");
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), source.as_os_str(), to.as_ref()]).map(drop)
}

#[test]
fn an_upload_stays_within_the_cap_of_the_file_and_of_a_command() -> Result<()> {
    let mut cluster = founded()?;
    let node = &mut cluster.nodes[0];
    node.stop()?;
    let file = node.home.join("config.toml");
    let config = fs::read_to_string(&file)?;
    fs::write(&file, format!("{config}\n[bandwidth]\nupload = \"fast\"\n"))?;
    node.expect(&[2], ["config", "check"])?;
    fs::write(&file, format!("{config}\n[bandwidth]\nupload = \"7 Mbit\"\n"))?;
    node.ok(["config", "check"])?;
    node.up()?;
    join(&mut cluster)?;
    let node = &cluster.nodes[0];
    let answer = node.json(["bandwidth"])?;
    ensure!(answer["upload"]["bytes_per_s"] == CAP && answer["upload"]["source"] == "config", "{answer}");
    let first = sent(node)?;
    put(&cluster, "first", 4 * MIB, 1)?;
    let last = sent(node)?;
    ensure!(last.bytes - first.bytes >= 4 * MIB, "the other one has a copy");
    check_within(&first, &last, CAP as f64)?;

    let answer = node.json(["bandwidth", "--upload", "4Mbit", "--for", "1h"])?;
    ensure!(answer["upload"]["source"] == "request" && answer["upload"]["left_s"] == 3_600, "{answer}");
    let first = sent(node)?;
    put(&cluster, "second", 2 * MIB, 2)?;
    // A burst of the cap before may be left.
    check_within(&first, &sent(node)?, 500_000.0 * 1.05)?;
    let answer = node.json(["bandwidth", "--reset"])?;
    ensure!(answer["upload"]["bytes_per_s"] == CAP && answer["upload"]["source"] == "config", "{answer}");
    Ok(())
}

#[test]
fn repair_waits_while_a_user_moves_bytes_on_a_thin_line_and_completes_afterwards() -> Result<()> {
    let mut cluster = founded()?;
    cluster.nodes[0].ok(["bandwidth", "--upload", "7Mbit"])?;
    put(&cluster, "old", 8 * MIB, 1)?;
    join(&mut cluster)?;
    let node = &cluster.nodes[0];
    let begun = repaired(node)?;
    wait_for(PATIENCE, "repair to begin", || Ok(repaired(node)?.bytes > begun.bytes))?;
    // Half of the upload at most.
    let under_way = repaired(node)?;
    check_within(&begun, &under_way, CAP as f64 / 2.0)?;
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| put(&cluster, "new", 6 * MIB, 2));
        wait_for(PATIENCE, "repair to pause", || {
            Ok(putting.is_finished() || node.json(["bandwidth"])?["repair_bytes_per_s"] == 0)
        })?;
        let first = repaired(node)?;
        let mut last = repaired(node)?;
        while !putting.is_finished() {
            last = repaired(node)?;
        }
        // What was begun before has a thirty-second of the line. On a busy machine the user's bytes may pause, too, for so long that
        // repair begins again for a moment; left to itself it would have had half.
        let seconds = last.after.duration_since(first.before).as_secs_f64();
        let moved = last.bytes - first.bytes;
        ensure!(moved as f64 <= CAP as f64 / 8.0 * (seconds + 1.0) + 65_536.0, "{moved} bytes in {seconds} s");
        putting.join().map_err(|_| anyhow::anyhow!("the put panicked"))?
    })?;
    node.ok(["bandwidth", "--reset"])?;
    complete(node, 8 * MIB)
}

#[test]
fn a_metered_line_sends_nothing_that_no_user_waits_for() -> Result<()> {
    let mut cluster = founded()?;
    cluster.nodes[0].ok(["bandwidth", "--metered", "true"])?;
    put(&cluster, "old", 2 * MIB, 1)?;
    join(&mut cluster)?;
    let node = &cluster.nodes[0];
    node.wait("repair to know what is missing", |status| status["repair"]["pending"].as_u64() >= Some(3))?;
    put(&cluster, "new", MIB, 2)?;
    ensure!(repaired(node)?.bytes == 0 && sent(node)?.bytes >= MIB, "only what the user stores");
    node.ok(["bandwidth", "--metered", "false"])?;
    complete(node, 2 * MIB)
}
