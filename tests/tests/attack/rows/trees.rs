//! States of the shared volume that no honest writer makes. They need its keys, so only full members can.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::message::{HeadsRequest, Message, StoreOutcome};
use fsdfs_proto::volume::{BlockRef, Dot, VERSION_VECTOR_WRITERS_MAX};
use fsdfs_tests::adversary::forge::{self, ForgingMember, MarkedDot, TreeForger, now_ms};
use fsdfs_tests::adversary::{MemberPuppet, PuppetManners};
use futures::FutureExt as _;

use crate::party::AttackRole::Full;
use crate::party::{AttackParty, AttackRole};
use crate::row::AttackRow;
use crate::stage::AttackStage;

/// How long a node is watched for spinning after it has heard of a tree.
const SPIN: Duration = Duration::from_secs(2);
/// Writers of a head that an honest member made: the other rows leave heads with thousands.
const HONEST_WRITERS_MAX: usize = 100;

pub const ROWS: &[AttackRow] = &[
    AttackRow::new("poison-head", "a head whose commit opens under no key", &[Full], |stage, role| {
        heads(stage, role, |forger| vec![forger.shut_head()]).boxed()
    }),
    AttackRow::new("poison-missing", "a head whose root folder no server has", &[Full], |stage, role| {
        heads(stage, role, |forger| vec![forger.missing_root()]).boxed()
    }),
    AttackRow::new(
        "poison-seen",
        "heads that name 1,024 writers of nodes that nobody knows, and as many others",
        &[Full],
        |stage, role| crowds(stage, role).boxed(),
    ),
    AttackRow::long("many-heads", "300 concurrent heads, more than are looked at at once", &[Full], |stage, role| {
        heads(stage, role, |forger| (0..300).filter_map(|_| stranger(forger)).collect()).boxed()
    }),
    AttackRow::new("end-of-time", "a commit of the year 584,556,019", &[Full], |stage, role| {
        heads(stage, role, |forger| vec![forger.head(None, u64::MAX)]).boxed()
    }),
    AttackRow::new("framed-head", "a head in the name of another member", &[Full], |stage, role| {
        framed(stage, role).boxed()
    }),
    AttackRow::long("head-flood", "a newer head as fast as the line takes it", &[Full], |stage, role| {
        head_flood(stage, role).boxed()
    }),
    AttackRow::new("foreign-seen", "a head that includes what honest writers will do next", &[Full], |stage, role| {
        foreign_seen(stage, role).boxed()
    }),
    AttackRow::new("dag", "a folder of 61 small blocks with 2^60 names", &[Full], |stage, role| {
        trees(stage, role, |forger| forger.doubling("evil"), &["/evil"]).boxed()
    }),
    AttackRow::long("laughs", "folders in folders with 10^14 files in 15 blocks", &[Full], |stage, role| {
        trees(stage, role, |forger| forger.laughs("laughs", 14), &["/laughs"]).boxed()
    }),
    AttackRow::new(
        "stamps",
        "folders moved by 2,000 writers in folders moved by 2,000 others",
        &[Full],
        |stage, role| stamps(stage, role).boxed(),
    ),
    AttackRow::new("bomb", "a file of an exbibyte in five blocks", &[Full], |stage, role| {
        trees(stage, role, |forger| forger.bomb("bomb"), &["/bomb"]).boxed()
    }),
];

/// Whoever has the volume's key can be as many authors as it likes.
fn stranger(forger: &TreeForger) -> Option<Fact> {
    Some(forger.stranger()?.head(None, now_ms()))
}

/// A member that can write, as the volume's keys see it.
async fn writer(stage: &AttackStage, role: AttackRole, party: &mut AttackParty) -> Result<TreeForger> {
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.puppets[0].state([member.card(1, "writer", Vec::new())]).await;
    let keys = party.puppets[0].keys(stage.volume(), Duration::from_secs(20)).await;
    party.liars.push(liar);
    TreeForger::new(member, keys.context("a full member is given the keys")?).context("keys that write")
}

/// Heads that need no blocks.
async fn heads(stage: &mut AttackStage, role: AttackRole, make: fn(&TreeForger) -> Vec<Fact>) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let forger = writer(stage, role, &mut party).await?;
    let heads = make(&forger);
    party.note = format!("{} heads stated", heads.len());
    for puppet in &party.puppets {
        puppet.state(heads.clone()).await;
    }
    Ok(party)
}

/// Nobody is blamed for what another one did: the head is no fact, and ends the connection or is passed over.
async fn framed(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let forger = writer(stage, role, &mut party).await?;
    let heads: Vec<Fact> = stage.honest().into_iter().map(|node| forger.framed_head(node)).collect();
    for puppet in &party.puppets {
        puppet.state(heads.clone()).await;
    }
    party.note = format!("{} heads stated", heads.len());
    Ok(party)
}

/// Somebody who has never written needs a place among the writers.
async fn crowds(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let forger = writer(stage, role, &mut party).await?;
    // As many as a head may name, one less, and half.
    for writers in [VERSION_VECTOR_WRITERS_MAX, VERSION_VECTOR_WRITERS_MAX - 40, VERSION_VECTOR_WRITERS_MAX / 2] {
        let head = forger.crowded(writers);
        for puppet in &party.puppets {
            puppet.state([head.clone()]).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.friend_writes("written by a newcomer among crowds")?;
    party.note = "a newcomer writes".into();
    Ok(party)
}

/// Each takes the place of the last one.
async fn head_flood(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut forger = writer(stage, role, &mut party).await?;
    let (begun, mut heads) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        let some: Vec<Fact> = std::iter::repeat_with(|| {
            forger.begin();
            forger.head(None, now_ms())
        })
        .take(20)
        .collect();
        heads += some.len();
        if !party.puppets[0].state(some).await {
            break;
        }
    }
    party.note = format!("{heads} heads stated");
    Ok(party)
}

/// Whoever includes an operation has seen it, so what its writer does under that number would be gone before it is done.
async fn foreign_seen(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let forger = writer(stage, role, &mut party).await?;
    let volume = stage.volume();
    let ask = |request| Message::Heads(HeadsRequest { request, volume, known: Vec::new() });
    let Some(Message::HeadsReply(heads)) = party.puppets[0].ask(ask).await else { bail!("nobody says the heads") };
    let seen = heads.facts.iter().filter_map(|raw| forge::seen_in(stage.pool, raw));
    let seen = seen.filter(|seen| seen.len() < HONEST_WRITERS_MAX).flatten();
    let next = |(dot, node, signature): MarkedDot| (Dot { seq: dot.seq + 1_000, ..dot }, node, signature);
    let ahead: Vec<MarkedDot> = seen.map(next).collect();
    ensure!(!ahead.is_empty(), "somebody has written");
    party.note = format!("{} writers were overtaken", ahead.len());
    let head = forger.including(&ahead);
    for puppet in &party.puppets {
        puppet.state([head.clone()]).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(party)
}

/// A head with a tree. Then honest members look at it, each with a command that may fail but has to end.
async fn trees(
    stage: &mut AttackStage,
    role: AttackRole,
    make: fn(&TreeForger) -> (Vec<Block>, BlockRef),
    paths: &'static [&'static str],
) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let forger = writer(stage, role, &mut party).await?;
    let (blocks, root) = make(&forger);
    let member = ForgingMember { pool: stage.pool, key: party.liars[0].key.clone() };
    let mut stored = 0;
    for puppet in &mut party.puppets {
        for block in &blocks {
            stored += usize::from(store_one(puppet, &member, block).await);
        }
    }
    let head = forger.head(Some(root), now_ms());
    for puppet in &party.puppets {
        puppet.state([head.clone()]).await;
    }
    tokio::time::sleep(SPIN).await;
    let mut ended = Vec::new();
    for (path, verb) in paths.iter().copied().flat_map(|path| [(path, "ls"), (path, "stat")]) {
        for node in &stage.cluster.nodes[1..] {
            let begun = Instant::now();
            // Beyond what a command takes that waits for members that are away.
            let mut child = node.command([verb, path]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            while child.try_wait()?.is_none() {
                if begun.elapsed() > Duration::from_secs(30) {
                    child.kill()?;
                    child.wait()?;
                    bail!("{verb} {path} does not end");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ended.push(begun.elapsed().as_secs_f64());
        }
    }
    ensure!(!ended.is_empty(), "somebody looked");
    let slowest = ended.iter().copied().fold(0.0, f64::max);
    party.note = format!("{stored} of {} blocks taken; the slowest look took {slowest:.1} s", 3 * blocks.len());
    Ok(party)
}

/// Whoever merges has to make a block that the others accept, or leave these heads out.
async fn stamps(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let forger = writer(stage, role, &mut party).await?;
    let member = ForgingMember { pool: stage.pool, key: party.liars[0].key.clone() };
    let (blocks, heads) = forger.stamped("moved", VERSION_VECTOR_WRITERS_MAX - 48);
    let mut stored = 0;
    for puppet in &mut party.puppets {
        for block in &blocks {
            stored += usize::from(store_one(puppet, &member, block).await);
        }
        puppet.state(heads.clone()).await;
    }
    // Time for a merge that nobody asked for.
    tokio::time::sleep(3 * SPIN).await;
    for node in 0..3 {
        stage.put(node, &format!("merged with stamps on {node}"), 5_000)?;
    }
    party.note = format!("{stored} of {} blocks taken; all three write", 3 * blocks.len());
    Ok(party)
}

async fn store_one(puppet: &mut MemberPuppet, member: &ForgingMember, block: &Block) -> bool {
    puppet.store(member.receipt(block.id()), block).await == Some(StoreOutcome::Stored)
}
