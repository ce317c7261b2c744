//! What a node wants to say is never too much for its connections; and a read that cannot see what was acknowledged says so.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::{PATIENCE, TestCluster, TestProgram, wait_for};

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

/// Folders `b0`, `b1`, ... with a chain of ten below each and one small file at its end.
fn chains(source: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        let folder = source.join(format!("b{number}/x/x/x/x/x/x/x/x/x/x"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("f"), format!("run-{number}\n"))?;
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { files_below(&entry.path())? } else { 1 };
    }
    Ok(count)
}

/// The put made so many blocks that each connection was closed, the tree stayed with its writer, and another node gave out
/// less than half of it without a word. A restart made the writer believe for minutes that its last head was not published.
#[test]
fn many_deep_folders_cost_no_connection_and_no_restart_keeps_them_back() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 3)?;
    let source = cluster.scratch("chains");
    chains(&source, 60)?;
    // On a machine as busy as that of other tests a holder may seem silent; then the put says so.
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    let back = cluster.scratch("back");
    let got = cluster.nodes[2].run(["get".as_ref(), "/chains".as_ref(), back.as_os_str()])?;
    ensure!(
        got.status.code() != Some(0) || files_below(&back)? == 60,
        "less came than was acknowledged, and nothing was said: {got:?}"
    );
    for node in &cluster.nodes {
        let closed =
            node.log().lines().find(|line| line.contains("wait") && line.contains("is closed")).map(str::to_owned);
        ensure!(closed.is_none(), "{}: {closed:?}", node.name);
    }
    cluster.nodes[0].wait("the tree to be published", |status| !is_unpublished(status))?;
    cluster.nodes[2].get("/chains", &back, PATIENCE)?;
    ensure!(files_below(&back)? == 60);

    cluster.nodes[0].stop()?;
    cluster.nodes[0].up()?;
    cluster.wait_connected()?;
    ensure!(!is_unpublished(&cluster.nodes[0].status()?), "what was published is kept back again after a restart");
    Ok(())
}

fn is_unpublished(status: &serde_json::Value) -> bool {
    status.to_string().contains("unpublished_changes")
}

/// The writer's two fellow holders hang, so what it stores lies on it alone; a guest that stores nothing is connected to it.
#[test]
fn a_read_that_cannot_see_what_a_connected_member_acknowledged_says_so() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 3)?;
    let mut guest = cluster.new_node()?;
    guest.storage = "none".into();
    cluster.join_as(guest)?;
    cluster.wait_connected()?;
    let file = cluster.scratch("before");
    fs::write(&file, b"before")?;
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    cluster.nodes[0].wait("it to be published", |status| !is_unpublished(status))?;

    for holder in &cluster.nodes[1..3] {
        holder.freeze()?;
    }
    let file = cluster.scratch("after");
    fs::write(&file, b"after")?;
    let put = cluster.nodes[0].json(["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    ensure!(put["copies"] == 1, "nobody else can have it: {put}");
    let guest = &cluster.nodes[3];
    let mut listed = None;
    wait_for(PATIENCE, "a list that says that it may be incomplete", || {
        let output = guest.run(["ls", "/"])?;
        let said = String::from_utf8_lossy(&output.stderr).contains("may be incomplete: node0 acknowledged");
        listed = Some(output);
        Ok(said)
    })?;
    let listed = listed.expect("it was listed");
    ensure!(listed.status.code() == Some(1), "a list that may be incomplete is no success: {listed:?}");
    let back = cluster.scratch("back");
    let got = guest.json(["get".as_ref(), "/".as_ref(), back.as_os_str()])?;
    ensure!(got["unpublished_on"][0] == "node0", "{got}");
    let stat = guest.run(["stat", "/after"])?;
    let told = String::from_utf8_lossy(&stat.stderr).into_owned();
    ensure!(stat.status.code() == Some(2) && told.contains("may be incomplete"), "{told}");

    for holder in &cluster.nodes[1..3] {
        holder.thaw()?;
    }
    wait_for(PATIENCE, "all to be seen", || Ok(guest.ok(["cat", "/after"]).is_ok_and(|text| text == "after")))
}
