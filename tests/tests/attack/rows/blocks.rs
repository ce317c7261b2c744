//! Disks: those of others, capacity that is not there, and blocks that nobody wrote.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_proto::identity::CardDisk;
use fsdfs_proto::ids::{BlockId, Digest, DiskId, DiskNonce, Writer};
use fsdfs_proto::message::{
    HaveRequest, ListBlocksRequest, Message, Redundancy, StoreOutcome, UnpublishedOperation, UnpublishedOperations,
};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_tests::adversary::forge::{ForgingMember, noise};
use fsdfs_tests::adversary::{MemberPuppet, PuppetManners};
use fsdfs_tests::cluster::ClusterNode;
use futures::FutureExt as _;

use crate::party::AttackRole::{Full, Reader, Storer};
use crate::party::{AttackParty, AttackRole};
use crate::row::AttackRow;
use crate::stage::AttackStage;

/// Servers that are silent about a newcomer keep it waiting for about a minute: then they do not count.
const KEYS_WITH_SILENT_HOLDERS: Duration = Duration::from_secs(80);

pub const ROWS: &[AttackRow] = &[
    AttackRow::new("steal", "a card that names all disks of the others", &[Storer, Full], |stage, role| {
        steal(stage, role).boxed()
    }),
    AttackRow::new(
        "withholds",
        "changes that are said to exist and are shown to nobody",
        &[Storer, Reader],
        |stage, role| withholds(stage, role).boxed(),
    ),
    AttackRow::new(
        "says-nothing",
        "two large servers that are there and answer nothing but pings",
        &[Storer, Full],
        |stage, role| says_nothing(stage, role).boxed(),
    ),
    AttackRow::new("boast", "three cards of 3.7 EiB each, and yes to everything", &[Storer, Full], |stage, role| {
        boast(stage, role).boxed()
    }),
    AttackRow::new("claims", "32 copies claimed for every block", &[Storer, Full], |stage, role| {
        claims(stage, role).boxed()
    }),
    AttackRow::new("junk", "noise sent to be kept, charged to others", &[Storer, Reader, Full], |stage, role| {
        junk(stage, role, Duration::from_secs(2)).boxed()
    }),
];

async fn steal(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    let disks = stage.cluster.nodes.iter().map(disks_of).collect::<Result<Vec<_>>>()?.concat();
    for puppet in &party.puppets {
        puppet.state([member.steal(1, &disks)]).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let answer = stage.put(1, &format!("while disks are stolen by {}", role.word()), 10_000)?;
    ensure!(answer["outcome"] != "refused", "a put is refused: {answer}");
    party.note = format!("{} disks named; a put says {}", disks.len(), answer["outcome"]);
    Ok(party)
}

/// Reads are not called incomplete for it.
async fn withholds(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    party.liars.push(liar);
    let operation = UnpublishedOperation { volume: stage.volume(), writer: Writer([7; 16]), seq: 1 };
    for puppet in &party.puppets {
        puppet.say(&Message::Unpublished(UnpublishedOperations { operations: vec![operation] })).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for node in &stage.cluster.nodes {
        node.ok(["ls", "/"]).context("a list, while a member that may not write withholds changes")?;
    }
    party.note = "all lists are complete".into();
    Ok(party)
}

/// Nobody is made to wait for it, time and again.
async fn says_nothing(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    // Two of three copies of everything are theirs to keep, and the heads.
    for name in ["says nothing", "nor does it"] {
        let mut liar = stage.newcomer(role)?;
        let puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Mute).await?;
        let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
        party.liars.push(liar);
        let disk = CardDisk { nonce: DiskNonce([3; 16]), gib: 64 };
        for puppet in &puppets {
            puppet.state([member.card(1, name, vec![disk])]).await;
        }
        party.puppets.extend(puppets);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Whoever waits for it finds that out once for each kind of question.
    stage.put(0, &format!("while {} says nothing", role.word()), 5_000)?;
    let begun = Instant::now();
    for number in 0..5 {
        stage.put(number % 3, &format!("while {} says nothing, {number}", role.word()), 5_000)?;
        stage.cluster.nodes[number % 3].ok(["ls", "/kept"])?;
    }
    party.note = format!("five puts and lists took {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(begun.elapsed() < Duration::from_secs(20), "{}", party.note);
    Ok(party)
}

fn disks_of(node: &ClusterNode) -> Result<Vec<DiskId>> {
    let status = node.status()?;
    let disks = status["disks"].as_array().context("disks")?;
    disks.iter().map(|disk| Ok(disk["id"].as_str().context("an id")?.parse()?)).collect()
}

/// What is acknowledged while three boasters are up is there when they are gone.
async fn boast(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    for _ in 0..3 {
        let mut liar = stage.newcomer(role)?;
        let puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Boastful).await?;
        let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
        for puppet in &puppets {
            puppet.state([member.boast(1)]).await;
        }
        party.puppets.extend(puppets);
        party.liars.push(liar);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let name = format!("precious, while {} boasts", role.word());
    let answer = stage.put(1, &name, 3 << 20)?;
    party.note = format!("put: {}", answer["outcome"]);
    // They weigh so much that they are asked about everything, and answer nothing, before an audit finds them out.
    let mut newcomer = stage.newcomer(Full)?;
    let mut puppets = stage.enter(&mut newcomer, 1, PuppetManners::Poor).await?;
    let keys = puppets[0].keys(stage.volume(), KEYS_WITH_SILENT_HOLDERS).await;
    ensure!(keys.is_some(), "a newcomer is given no keys while boasters are silent");
    party.liars.push(newcomer);
    // They vanish, and are members still.
    party.puppets.clear();
    for node in [2, 0] {
        stage.gets(node, &name).context("after the boasters vanished")?;
        stage.cluster.nodes[node].ok(["ls", "/kept"]).context("after the boasters vanished")?;
    }
    Ok(party)
}

async fn claims(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    party.liars.push(liar);
    let mut claimed = 0;
    for puppet in &mut party.puppets {
        let ids = blocks_of(puppet).await;
        claimed += ids.len();
        for ids in ids.chunks(512) {
            let ids = ids.to_vec();
            let have = |request| {
                let (map, redundancy) = (Digest([0; 32]), Redundancy::Replicas(32));
                Message::Have(HaveRequest { request, renew: true, map, redundancy, ids })
            };
            puppet.ask(have).await;
        }
    }
    party.note = format!("{claimed} blocks claimed");
    Ok(party)
}

/// Ids of all blocks that a node says to hold.
async fn blocks_of(puppet: &mut MemberPuppet) -> Vec<BlockId> {
    let mut ids: Vec<BlockId> = Vec::new();
    loop {
        let after = ids.last().copied();
        let page = puppet.ask(|request| Message::ListBlocks(ListBlocksRequest { request, after })).await;
        match page {
            Some(Message::ListBlocksReply(page)) if !page.records.is_empty() => {
                ids.extend(page.records.iter().map(|held| held.id));
            }
            _ => return ids,
        }
    }
}

async fn junk(stage: &mut AttackStage, role: AttackRole, last: Duration) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    let honest = stage.honest();
    let begun = Instant::now();
    let (mut sent, mut kept) = (0, 0);
    while begun.elapsed() < last {
        for (number, puppet) in party.puppets.iter_mut().enumerate() {
            let charged_to = honest[(number + 1) % honest.len()];
            let block = noise(1 << 20);
            // Another one's word, and its own by turns.
            let own = member.receipt(block.id());
            let receipt = if sent % 2 == 0 { BlockReceipt { member: charged_to, ..own } } else { own };
            sent += 1;
            kept += usize::from(puppet.store(receipt, &block).await == Some(StoreOutcome::Stored));
        }
    }
    party.note = format!("{kept} of {sent} MiB of noise kept");
    ensure!(kept == 0, "{}", party.note);
    Ok(party)
}
