//! Statements: too many, too large, false, or about others.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_proto::identity::{CardDisk, Fact};
use fsdfs_proto::ids::{Digest, DiskNonce, NodeId};
use fsdfs_proto::message::{FactDigests, Message};
use fsdfs_proto::time::Hlc;
use fsdfs_tests::adversary::forge::{self, ForgingMember, now_ms};
use fsdfs_tests::adversary::{Liar, MemberPuppet, PuppetManners};
use futures::FutureExt as _;

use crate::party::AttackRole::{Full, Reader, Storer};
use crate::party::{AttackParty, AttackRole};
use crate::row::AttackRow;
use crate::stage::AttackStage;

const HOUR_MS: u64 = 3_600_000;

pub const ROWS: &[AttackRow] = &[
    AttackRow::new(
        "revokes",
        "revocations of 512 KiB each, of keys that nobody has",
        &[Storer, Reader, Full],
        |stage, role| {
            flood(stage, role, Duration::from_secs(2), |member, _| vec![member.endless_revocation(16_000)]).boxed()
        },
    ),
    AttackRow::long("volumes", "epochs of volumes of which nobody has heard", &[Storer, Full], |stage, role| {
        flood(stage, role, Duration::from_secs(2), |member, _| {
            (0..8).map(|_| ForgingMember::unknown_volume(member.pool)).collect()
        })
        .boxed()
    }),
    AttackRow::long("revokes-long", "the same for half a minute", &[Storer, Full], |stage, role| {
        flood(stage, role, Duration::from_secs(30), |member, _| vec![member.endless_revocation(16_000)]).boxed()
    }),
    AttackRow::long("volumes-long", "the same for half a minute", &[Storer], |stage, role| {
        flood(stage, role, Duration::from_secs(30), |member, _| {
            (0..8).map(|_| ForgingMember::unknown_volume(member.pool)).collect()
        })
        .boxed()
    }),
    AttackRow::new(
        "cards",
        "a new card as fast as the line takes it, each another map",
        &[Storer, Full],
        |stage, role| {
            flood(stage, role, Duration::from_secs(3), |member, round| {
                let disk = CardDisk { nonce: DiskNonce([7; 16]), gib: 1 + (round % 2) as u32 * 64 };
                vec![member.card(1_000 + round, "fickle", vec![disk])]
            })
            .boxed()
        },
    ),
    AttackRow::long("beats", "signs of life as fast as the line takes them", &[Storer, Full], |stage, role| {
        flood(stage, role, Duration::from_secs(2), |member, round| {
            (0..100).map(|beat| member.heartbeat(round * 100 + beat)).collect()
        })
        .boxed()
    }),
    AttackRow::long(
        "orphans",
        "statements of 512 KiB each by keys that nobody knows",
        &[Storer, Full],
        |stage, role| {
            flood(stage, role, Duration::from_secs(2), |member, _| {
                vec![ForgingMember::random(member.pool).endless_revocation(16_000)]
            })
            .boxed()
        },
    ),
    AttackRow::new(
        "usurp",
        "others removed and revoked, own admins, rules and keys",
        &[Storer, Reader, Full],
        |stage, role| usurp(stage, role).boxed(),
    ),
    AttackRow::new("badsig", "statements with signatures of another pool", &[Storer, Full], |stage, role| {
        badly_signed(stage, role).boxed()
    }),
    AttackRow::new("quad", "300 certificates for a key, and 300 by it", &[Full], |stage, role| {
        many_ways(stage, role, 300).boxed()
    }),
    AttackRow::long("quad-long", "2,000 certificates for a key, and 2,000 by it", &[Full], |stage, role| {
        many_ways(stage, role, 2_000).boxed()
    }),
    AttackRow::new("members", "4,200 members certified by the key of one ticket", &[Storer, Full], |stage, role| {
        many_members(stage, role).boxed()
    }),
    AttackRow::new("sybils", "twelve own members say that all others are gone", &[Full], |stage, role| {
        sybils(stage, role).boxed()
    }),
    AttackRow::new("gone", "one member says that all others are gone", &[Storer, Full], |stage, role| {
        says_gone(stage, role).boxed()
    }),
    AttackRow::new("clock", "a member with two of its own making, an hour off", &[Full, Storer], |stage, role| {
        clocks(stage, role).boxed()
    }),
    AttackRow::long("level", "a level of features that no program will have", &[Full], |stage, role| {
        flood(stage, role, Duration::from_millis(200), |member, _| vec![member.highest_level()]).boxed()
    }),
];

/// States facts as fast as the line takes them.
async fn flood(
    stage: &mut AttackStage,
    role: AttackRole,
    last: Duration,
    make: fn(&ForgingMember, u64) -> Vec<Fact>,
) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Hungry).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    party.puppets[0].state([member.card(1, "flooder", Vec::new())]).await;
    let begun = Instant::now();
    let (mut round, mut goes_on) = (0, true);
    while goes_on && begun.elapsed() < last {
        goes_on = party.puppets[0].state(make(&member, round)).await;
        round += 1;
        tokio::task::yield_now().await;
    }
    let sent = party.puppets[0].block_bytes() >> 20;
    // What a member offers to store is not to be sent to it again and again.
    ensure!(sent < 64, "{sent} MiB of blocks were sent to a member that says that it has none");
    let end = if goes_on { "" } else { "; the connection was ended" };
    party.note = format!("{round} rounds{end}; {sent} MiB of blocks sent to it");
    Ok(party)
}

async fn badly_signed(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    let lies: Vec<Fact> = (0..4_000).map(|counter| member.badly_signed(counter)).collect();
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(3) && party.puppets[0].state(lies.clone()).await {
        rounds += 1;
    }
    ensure!(party.puppets[0].is_dropped(Duration::from_secs(10)).await, "a connection with bad signatures stays open");
    party.note = format!("the connection was ended, after {rounds} rounds of 4,000");
    Ok(party)
}

/// Each certificate for the key allows each by it.
async fn many_ways(stage: &mut AttackStage, role: AttackRole, ways: u64) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    let own = liar.chain().last().context("its own certificate")?.clone();
    party.liars.push(liar);
    let below = ForgingMember::random(stage.pool);
    let last = ForgingMember::random(stage.pool);
    let first = member.member_cert(&own, &below, 0);
    let Fact::Cert(middle) = first.clone() else { unreachable!("a certificate was made") };
    let for_key = (1..ways).map(|variant| member.member_cert(&own, &below, variant));
    let by_key = (0..ways).map(|variant| below.member_cert(&middle, &last, variant));
    let facts: Vec<Fact> = std::iter::once(first).chain(for_key).chain(by_key).collect();
    party.puppets[0].state(facts).await;
    let begun = Instant::now();
    stage.ticket(0, Storer)?;
    party.note = format!("the next invitation took {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(begun.elapsed() < Duration::from_secs(5), "{}", party.note);
    Ok(party)
}

async fn many_members(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let ticket = ForgingMember { pool: stage.pool, key: liar.ticket.seed.signing_key() };
    let cert = liar.ticket.cert().clone();
    party.liars.push(liar);
    let someone = || ForgingMember::random(stage.pool);
    let certs: Vec<Fact> = (0..4_200).map(|_| ticket.member_cert(&cert, &someone(), 0)).collect();
    party.puppets[0].state(certs).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut newcomer = stage.newcomer(Full)?;
    let puppets = stage.enter(&mut newcomer, 1, PuppetManners::Poor).await.context("a newcomer with a good ticket")?;
    party.puppets.extend(puppets);
    party.liars.push(newcomer);
    party.note = "a newcomer was let in afterwards".into();
    Ok(party)
}

async fn sybils(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    let own = liar.chain().last().context("its own certificate")?.clone();
    party.liars.push(liar);
    let mut facts = vec![member.card(1, "sybil", Vec::new())];
    for number in 0..12 {
        let other = ForgingMember::random(stage.pool);
        facts.push(member.member_cert(&own, &other, 0));
        facts.push(other.card(1, &format!("sybil{number}"), Vec::new()));
        // Half of them name a last sign of life that never was, half say that there never was one.
        let gone = |node| if number % 2 == 0 { other.departure(node) } else { other.unheard(node) };
        facts.extend(stage.honest().into_iter().map(gone));
    }
    facts.extend(stage.honest().into_iter().map(|node| member.unheard(node)));
    for puppet in &party.puppets {
        puppet.state(facts.clone()).await;
    }
    party.note = nobody_is_gone(stage).await?;
    Ok(party)
}

async fn says_gone(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    let gone: Vec<Fact> = stage.honest().into_iter().map(|node| member.unheard(node)).collect();
    party.puppets[0].state([member.card(1, "liar", Vec::new())].into_iter().chain(gone)).await;
    party.note = nobody_is_gone(stage).await?;
    Ok(party)
}

async fn usurp(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    for puppet in &party.puppets {
        puppet.state(member.usurpation(&stage.honest())).await;
    }
    nobody_is_gone(stage).await?;
    let answer = stage.put(0, &format!("usurped by {}", role.word()), 10_000)?;
    ensure!(answer["copies"] == 3, "the rules are others: {answer}");
    party.note = "nothing of it holds".into();
    Ok(party)
}

/// As each honest node sees it, when it has heard of all.
pub async fn nobody_is_gone(stage: &AttackStage) -> Result<String> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let honest: Vec<String> = stage.honest().iter().map(NodeId::to_string).collect();
    for node in &stage.cluster.nodes {
        let answer = node.json(["members"])?;
        for member in answer["members"].as_array().context("a list of members")? {
            let is_honest = honest.iter().any(|id| member["id"] == id.as_str());
            ensure!(!is_honest || member["presence"] == "up", "{} is {}", member["name"], member["presence"]);
        }
    }
    Ok("every honest member counts as up".into())
}

async fn clocks(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut first = stage.newcomer(role)?;
    party.puppets.extend(stage.enter(&mut first, stage.doors.len(), PuppetManners::Poor).await?);
    // Who may not invite is alone.
    if let Some((cert, ticket)) = forge::own_ticket(&first, 2) {
        party.puppets[0].state([cert]).await;
        for _ in 0..2 {
            let mut liar = Liar::at(&ticket, stage.doors.clone());
            party.puppets.extend(stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?);
            party.liars.push(liar);
        }
    }
    party.liars.push(first);
    for _ in 0..3 {
        for puppet in &party.puppets {
            say_time(puppet, now_ms() + HOUR_MS).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (number, node) in stage.cluster.nodes.iter().enumerate() {
        node.json(["invite"]).with_context(|| format!("node {number} has to go on inviting"))?;
    }
    party.note = "all go on writing and inviting".into();
    Ok(party)
}

async fn say_time(puppet: &MemberPuppet, ms: u64) {
    let (gossip, map) = (Digest([0; 32]), Digest([0; 32]));
    puppet.say(&Message::Digests(FactDigests { gossip, map, clock: Hlc { ms, count: 0 } })).await;
}
