//! A member that was thrown out, with all that it had: its machine, a copy of its home, its tickets and those of the ones whom it
//! invited, its keys, and ciphertext from somebody's disk. And a founder whose machine is in the wrong hands.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fsdfs_tests::adversary::Liar;
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, wait_for};
use futures::FutureExt as _;
use serde_json::Value;

use crate::party::AttackRole::{Full, Outsider, Reader, Storer};
use crate::party::{AttackParty, AttackRole};
use crate::row::AttackRow;
use crate::stage::AttackStage;

/// Whoever is thrown out and is up hears of it in this time.
const HEARS: Duration = Duration::from_secs(10);

pub const ROWS: &[AttackRow] = &[
    AttackRow::new(
        "own-machine",
        "the machine of a removed member, with tickets, a copied home and a storer's disk",
        &[Full, Reader, Storer],
        |stage, role| own_machine(stage, role).boxed(),
    ),
    AttackRow::new(
        "lost-founder",
        "the founder's machine is stolen; the root key is elsewhere",
        &[Outsider],
        |stage, _| {
            let played = lost_founder(stage);
            async { played }.boxed()
        },
    ),
];

async fn own_machine(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let (before, after) = (format!("before {} went", role.word()), format!("after {} went", role.word()));
    stage.put(0, &before, 40_000)?;
    let mut friend = stage.cluster.new_node()?;
    friend.home = stage.cluster.scratch(&format!("home of {}", role.word()));
    fs::create_dir_all(&friend.home)?;
    friend.storage = "1GiB".into();
    friend.start_joining(&stage.ticket(0, role)?)?;
    let back = stage.cluster.scratch("of the removed");
    if role != Storer {
        friend.get(&format!("/kept/{before}"), &back, PATIENCE)?;
    }
    let tickets = tickets_of(stage, &friend, role)?;
    // What a thief would make of its machine, while it is a member.
    friend.stop()?;
    let copied = stage.cluster.scratch(&format!("copied home of {}", role.word()));
    let copy = Command::new("cp").arg("-a").arg(&friend.home).arg(&copied).status()?;
    ensure!(copy.success(), "its home is copied");
    friend.up()?;
    stage.cluster.wait_connected()?;
    friend.wait("it to be connected", |status| status["connected"] == 3)?;

    stage.revoke_all()?;
    says_that_it_is_out(&friend, HEARS).context("its own machine, which was up")?;
    let file = stage.cluster.scratch("kept").join(&before);
    let refused = friend.run(["put".as_ref(), file.as_os_str(), "/from the removed".as_ref()])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(2) && said.contains("revoked"), "a put of a removed member: {said}");
    stage.put(0, &after, 40_000)?;
    reads_nothing(&friend, &after, &back).context("its own machine")?;
    friend.stop()?;

    for ticket in &tickets {
        for door in 0..stage.doors.len() {
            let mut newcomer = Liar::at(ticket, stage.doors.clone());
            if newcomer.connect_at(door).await.is_ok() {
                bail!("let in at node {door} with a ticket of the removed member, or of one whom it invited");
            }
        }
    }

    // The copy has not heard of anything, and is given all that lies on another member's disk.
    let mut thief = stage.cluster.new_node()?;
    thief.home.clone_from(&copied);
    repoint(&thief.home, &friend.home)?;
    take_blocks(&stage.cluster.nodes[1], &thief.home)?;
    thief.up()?;
    says_that_it_is_out(&thief, PATIENCE).context("a copy of its home")?;
    reads_nothing(&thief, &after, &back).context("a copy of its home, with a storer's disk")?;
    thief.stop()?;
    let note = format!("it was told; {} tickets, a copied home and a storer's disk opened nothing", tickets.len());
    Ok(AttackParty { note, ..AttackParty::default() })
}

/// A ticket of the friend's with uses left, and one of somebody who came in by it. Who may not invite has none.
fn tickets_of(stage: &AttackStage, friend: &ClusterNode, role: AttackRole) -> Result<Vec<String>> {
    let open = |node: &ClusterNode| -> Result<String> {
        let invite = node.json(["invite", "--uses", "5", "--expires", "never"])?;
        Ok(invite["ticket"].as_str().context("a ticket")?.to_owned())
    };
    if role != Full {
        ensure!(open(friend).is_err(), "a {} invites", role.word());
        return Ok(Vec::new());
    }
    let own = open(friend)?;
    let mut invited = stage.cluster.new_node()?;
    invited.home = stage.cluster.scratch("home of the invited");
    fs::create_dir_all(&invited.home)?;
    invited.storage = "none".into();
    invited.join(&own).context("a guest of the friend's")?;
    let further = open(&invited)?;
    invited.stop()?;
    Ok(vec![own, further])
}

fn says_that_it_is_out(node: &ClusterNode, within: Duration) -> Result<()> {
    let is_told = |status: &Value| {
        let items = status["attention"].as_array().cloned().unwrap_or_default();
        items.iter().any(|item| item["code"] == "node_revoked" || item["code"] == "node_refused")
    };
    let told = wait_for(within, "it to say that it is out", || Ok(node.status().is_ok_and(|status| is_told(&status))));
    told.with_context(|| format!("its status: {:?}", node.status().map(|status| status["attention"].clone())))
}

fn reads_nothing(node: &ClusterNode, name: &str, back: &Path) -> Result<()> {
    let path = format!("/kept/{name}");
    for args in [vec!["cat", &path], vec!["stat", &path], vec!["get", &path, back.to_str().context("a path")?]] {
        let output = node.run(&args)?;
        ensure!(!output.status.success(), "{args:?} reads what was written after the removal");
    }
    let listed = node.run(["ls", "/kept"])?;
    ensure!(!String::from_utf8_lossy(&listed.stdout).contains(name), "it sees the name of what was written later");
    Ok(())
}

/// A copied home says where its disk is; the copy is to use its own.
fn repoint(copy: &Path, original: &Path) -> Result<()> {
    let config = copy.join("config.toml");
    let text = fs::read_to_string(&config)?;
    let (from, to) = (original.display().to_string(), copy.display().to_string());
    ensure!(text.contains(&from), "the configuration names its storage folder");
    Ok(fs::write(&config, text.replace(&from, &to))?)
}

/// All segments and logs of a member's disk, behind those that are there.
fn take_blocks(from: &ClusterNode, home: &Path) -> Result<()> {
    for part in ["segments", "log"] {
        let (from, to) = (from.home.join("blocks").join(part), home.join("blocks").join(part));
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let name = entry.file_name();
            let place = to.join(&name);
            // Of two with one name both are kept: what a segment holds does not depend on its number.
            if place.exists() {
                let further = to.join(further_name(&name.to_string_lossy())?);
                fs::copy(entry.path(), further)?;
            } else {
                fs::copy(entry.path(), place)?;
            }
        }
    }
    // It is made again from the segments.
    let _ = fs::remove_dir_all(home.join("blocks/index"));
    Ok(())
}

/// A number that no honest node has come to in a test, in the same form.
fn further_name(name: &str) -> Result<String> {
    let (stem, end) = name.split_once('.').context("a name with an extension")?;
    let digits = stem.len();
    let number = u64::from_str_radix(stem, 16).or_else(|_| stem.parse::<u64>()).context("a number")?;
    Ok(format!("{:0digits$x}.{end}", number + 0x700))
}

/// What the root key is for: the thief has an admin's node and no root key.
fn lost_founder(stage: &AttackStage) -> Result<AttackParty> {
    let pool = TestCluster::of(stage.cluster.program().clone(), 3)?;
    let (key, wrong) = (pool.scratch("root-key"), pool.scratch("another root key"));
    fs::rename(pool.nodes[0].home.join("pool/pool-root.key"), &key)?;
    fs::copy(stage.cluster.nodes[0].home.join("pool/pool-root.key"), &wrong)?;
    let id =
        |node: &ClusterNode| -> Result<String> { Ok(node.status()?["node"].as_str().context("an id")?.to_owned()) };
    let (stolen, second) = (id(&pool.nodes[0])?, id(&pool.nodes[1])?);
    let (key, wrong) = (key.to_str().context("a path")?, wrong.to_str().context("a path")?);
    let node = &pool.nodes[1];
    for args in [
        vec!["members", "revoke", &stolen, "--yes"],
        vec!["members", "revoke", &stolen, "--yes", "--root-key", wrong],
        vec!["admins", "add", &second, "--root-key", wrong],
    ] {
        ensure!(node.run(&args)?.status.code() == Some(2), "{args:?} is not refused");
    }
    // The thief is faster with what it has: no root key.
    let thief = pool.nodes[0].run(["admins", "add", &stolen, "--root-key", wrong])?;
    ensure!(thief.status.code() == Some(2), "the thief names admins");
    node.ok(["admins", "add", &second, "--root-key", key])?;
    let answer = node.json(["members", "revoke", &stolen, "--yes", "--root-key", key])?;
    ensure!(answer["keys"] == "changed", "{answer}");
    says_that_it_is_out(&pool.nodes[0], HEARS).context("the stolen machine")?;
    let note = pool.scratch("note");
    fs::write(&note, "after")?;
    let put = |node: &ClusterNode| node.run(["put".as_ref(), note.as_os_str(), "/note".as_ref()]);
    ensure!(put(&pool.nodes[0])?.status.code() == Some(2), "the stolen machine writes");
    pool.nodes[2].wait("the new key", |status| status["has_key"] == true)?;
    ensure!(put(&pool.nodes[2])?.status.code() != Some(2), "nobody else writes");
    wait_for(PATIENCE, "the other one to read it", || Ok(pool.nodes[1].ok(["cat", "/note"]).is_ok()))?;
    ensure!(pool.nodes[0].ok(["cat", "/note"]).is_err(), "the stolen machine reads on");
    Ok(AttackParty { note: "revoked by the root key alone".into(), ..AttackParty::default() })
}
