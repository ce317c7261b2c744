//! Tickets that admit nobody: the command ends with the reason, leaves nothing, and a new ticket works.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

/// What a command says that has to fail by itself; it is killed after a minute.
fn refused(mut command: Command) -> Result<(String, Duration)> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = wait_for(PATIENCE, "the command to end", || Ok(child.try_wait()?.is_some()));
    let took = begun.elapsed();
    if ended.is_err() {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ended.with_context(|| said.clone())?;
    ensure!(output.status.code() == Some(2), "ended with {:?}: {said}", output.status);
    Ok((said, took))
}

fn join(node: &ClusterNode, ticket: &str) -> Command {
    let blocks = format!("{}:1GiB", node.home.join("blocks").display());
    node.command(["join", ticket, "--name", &node.name, "--storage", &blocks, "--listen", "127.0.0.1:0", "--no-mdns"])
}

/// Nothing of a pool, and nothing that the command made.
fn is_untouched(node: &ClusterNode) -> Result<()> {
    let left: Vec<_> = std::fs::read_dir(&node.home)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(left == ["lock"], "left behind: {left:?}");
    Ok(())
}

#[test]
fn a_ticket_that_admits_nobody_ends_the_command_and_leaves_nothing() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let used_up = cluster.nodes[0].ticket()?;
    let mut first = cluster.new_node()?;
    first.join(&used_up)?;
    cluster.nodes.push(first);

    let founder = &cluster.nodes[0];
    let revoked = founder.json(["invite"])?;
    founder.ok(["invite", "--revoke", revoked["id"].as_str().context("an id")?])?;
    let revoked = revoked["ticket"].as_str().context("a ticket")?.to_owned();
    let expired = founder.json(["invite", "--expires", "1s"])?["ticket"].as_str().context("a ticket")?.to_owned();
    std::thread::sleep(Duration::from_millis(1_200));

    let mut late = cluster.new_node()?;
    for (ticket, reason) in [(&used_up, "used up"), (&revoked, "revoked"), (&expired, "expired")] {
        let (said, took) = refused(join(&late, ticket))?;
        ensure!(said.contains(reason) && said.contains("new ticket"), "{reason}: {said}");
        ensure!(took < PATIENCE / 2, "{reason}: only after {took:?}");
        is_untouched(&late)?;
    }
    // A running node with an empty pool of its own: the command is told, too, and a new ticket works.
    late.init()?;
    late.up()?;
    let (said, _) = refused(late.command(["join", &expired]))?;
    ensure!(said.contains("expired"), "{said}");
    wait_for(PATIENCE, "the node to end", || Ok(late.ended()?.is_some()))?;
    late.kill()?;
    let ticket = cluster.nodes[0].ticket()?;
    late.spawn(["join", &ticket])?;
    late.wait("the newcomer to hold the pool's key", |status| status["has_key"] == true && status["ready"] == true)
}

#[test]
fn a_revoked_member_joins_again_with_a_new_ticket() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 2)?;
    let file = cluster.scratch("file");
    std::fs::write(&file, vec![7; 100_000])?;
    cluster.nodes[0].json(["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    // One that hears of its revocation, and one that does not.
    for is_told in [true, false] {
        let mut node = cluster.nodes.pop().context("two nodes")?;
        let id = node.status()?["node"].as_str().context("an id")?.to_owned();
        let segments = node.home.join("blocks/segments");
        wait_for(PATIENCE, "it to keep blocks", || Ok(std::fs::read_dir(&segments)?.next().is_some()))?;
        if !is_told {
            node.stop()?;
        }
        cluster.nodes[0].ok(["members", "revoke", &id, "--yes"])?;
        node.stop()?;
        let ticket = cluster.nodes[0].ticket()?;
        node.spawn(["join", &ticket])?;
        node.wait("the member to be one again", |status| {
            status["has_key"] == true && status["ready"] == true && status["node"] != id.as_str()
        })?;
        let said = node.log();
        ensure!(said.contains("joins as a new member") && said.contains("former-member-"), "{said}");
        ensure!(node.home.join(format!("blocks/former-member-{}", &id[..8])).join("segments").is_dir());
        wait_for(PATIENCE, "it to read", || Ok(node.ok(["cat", "--range=0-0", "/file"]).is_ok()))?;
        cluster.nodes.push(node);
    }
    // A member is told that it is one, and goes on.
    let mut node = cluster.nodes.pop().context("two nodes")?;
    let ticket = cluster.nodes[0].ticket()?;
    let said = node.run(["join", &ticket])?;
    ensure!(said.status.success() && String::from_utf8_lossy(&said.stderr).contains("a member of that pool already"));
    node.stop()?;
    node.spawn(["join", &ticket])?;
    node.wait("the member to be up", |status| status["connected"] == 1)
}
