//! Coming in, coming back, and staying.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fsdfs_proto::ids::DiskId;
use fsdfs_proto::message::{HeadsRequest, Message};
use fsdfs_proto::volume::VolumeKeys;
use fsdfs_tests::adversary::forge::{self, ForgingMember};
use fsdfs_tests::adversary::{Liar, MemberPuppet, PuppetManners, old_build};
use fsdfs_tests::cluster::wait_for;
use futures::FutureExt as _;

use crate::party::AttackRole::{Full, Reader, Storer};
use crate::party::{AttackParty, AttackRole};
use crate::row::AttackRow;
use crate::rows::facts::nobody_is_gone;
use crate::stage::AttackStage;

/// Time for the keys to be given.
const KEYS: Duration = Duration::from_secs(20);

pub const ROWS: &[AttackRow] = &[
    AttackRow::new("comes-back", "a revoked member uses a ticket that it made before", &[Full], |stage, role| {
        comes_back(stage, role).boxed()
    }),
    AttackRow::new("old-keys", "a revoked member keeps the keys that it was given", &[Full], |stage, role| {
        old_keys(stage, role).boxed()
    }),
    AttackRow::new("race", "a ticket for one, used by two at two nodes at once", &[Full], |stage, role| {
        race(stage, role).boxed()
    }),
    AttackRow::new("mute", "a member comes in with one more ticket each time", &[Full], |stage, role| {
        mute(stage, role).boxed()
    }),
    AttackRow::new("unremovable", "two members that bear each other's id as name", &[Full, Storer], |stage, role| {
        unremovable(stage, role).boxed()
    }),
    AttackRow::long(
        "look-alike",
        "a name with invisible letters and one that turns the line",
        &[Storer],
        |stage, role| look_alike(stage, role).boxed(),
    ),
    AttackRow::long("many-links", "one member connects forty times", &[Storer, Full], |stage, role| {
        many_links(stage, role).boxed()
    }),
    AttackRow::new("no-keys", "a member that is to store only asks for the keys", &[Storer, Reader], |stage, role| {
        no_keys(stage, role).boxed()
    }),
    AttackRow::new(
        "old-build",
        "messages and statements of the alpha, and such as no program knows",
        &[Storer, Reader, Full],
        |stage, role| old_build(stage, role).boxed(),
    ),
];

async fn comes_back(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let (cert, ticket) = forge::own_ticket(&liar, 5).context("a full member may invite")?;
    party.puppets[0].state([cert]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    party.liars.push(liar);
    stage.revoke_all()?;
    // Nobody has heard of these keys, so nothing but the ticket's end keeps them out.
    for door in 0..stage.doors.len() {
        let mut again = Liar::at(&ticket, stage.doors.clone());
        if again.connect_at(door).await.is_ok() {
            bail!("let in at node {door} with a ticket of the member that was revoked");
        }
    }
    party.note = "its ticket ended with it".into();
    Ok(party)
}

async fn old_keys(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let volume = stage.volume();
    let old = party.puppets[0].keys(volume, KEYS).await.context("a full member is given the keys")?;
    party.liars.push(liar);
    stage.revoke_all()?;
    let mut other = stage.newcomer(role)?;
    let mut puppets = stage.enter(&mut other, 1, PuppetManners::Poor).await?;
    // The next epoch begins a moment after the revocation.
    let until = Instant::now() + KEYS;
    let new = loop {
        let keys = puppets[0].keys(volume, KEYS).await.context("a newcomer is given the keys")?;
        if keys.epoch > old.epoch || Instant::now() > until {
            break keys;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    ensure!(new.epoch > old.epoch, "the keys are those of epoch {} as before", new.epoch);
    ensure!(new.read_key() != old.read_key(), "an epoch with the keys of the last one");
    // Ciphertext is to be had from whoever stores; what was written since does not open with what the removed one has.
    stage.put(0, &format!("written after the keys of epoch {}", old.epoch), 10_000)?;
    let ask = |request| Message::Heads(HeadsRequest { request, volume, known: Vec::new() });
    // Whom the newcomer asks may hear of the head a moment later.
    let until = Instant::now() + KEYS;
    let (by_new, by_old) = loop {
        let Some(Message::HeadsReply(heads)) = puppets[0].ask(ask).await else { bail!("nobody says the heads") };
        let opened = |keys: &VolumeKeys| {
            heads.facts.iter().filter(|raw| forge::opens_later(stage.pool, keys, raw, old.epoch)).count()
        };
        let opened = (opened(&new), opened(&old));
        if opened.0 > 0 || Instant::now() > until {
            break opened;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    ensure!(by_new > 0 && by_old == 0, "{by_new} heads open with the new keys, {by_old} with the old");
    party.note = format!("epoch {} became {}; {by_new} heads shut to the old keys", old.epoch, new.epoch);
    party.liars.push(other);
    party.puppets.append(&mut puppets);
    Ok(party)
}

async fn race(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let ticket = stage.ticket(0, role)?;
    let mut pair = [0, 1].map(|_| Liar::at(&ticket, stage.doors.clone()));
    let [one, other] = &mut pair;
    let entered = tokio::join!(one.connect_at(0), other.connect_at(1));
    let volume = stage.volume();
    let mut given = 0;
    for link in [entered.0, entered.1].into_iter().flatten() {
        let mut puppet = MemberPuppet::new(link, PuppetManners::Poor);
        given += usize::from(puppet.keys(volume, Duration::from_secs(4)).await.is_some());
        party.puppets.push(puppet);
    }
    party.note = format!("{given} of two were given keys");
    ensure!(given <= 1, "{}", party.note);
    party.liars.extend(pair);
    Ok(party)
}

async fn mute(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut inviter = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut inviter, 1, PuppetManners::Poor).await?;
    let mut guest = stage.newcomer(role)?;
    party.puppets.extend(stage.enter(&mut guest, 1, PuppetManners::Poor).await?);
    // The gate goes by facts, which know of the guest a moment after it was let in.
    let id = guest.node.to_string();
    wait_for(KEYS, "the guest to be a member", || {
        let listing = stage.cluster.nodes[0].json(["members"])?;
        let members = listing["members"].as_array().context("a list of members")?;
        Ok(members.iter().any(|member| member["id"] == id.as_str()))
    })?;
    let mut admitted = 0;
    for _ in 0..8 {
        let (cert, ticket) = forge::own_ticket(&inviter, 1).context("a full member may invite")?;
        party.puppets[0].state([cert]).await;
        let mut again = Liar::with_key(guest.key.clone(), &ticket, stage.doors.clone());
        if let Ok(link) = again.connect_at(0).await {
            admitted += usize::from(again.admission().is_some());
            party.puppets.push(MemberPuppet::new(link, PuppetManners::Poor));
        }
        party.liars.push(again);
    }
    party.note = format!("{admitted} admissions signed for a member that was one");
    ensure!(admitted == 0, "{}", party.note);
    party.liars.extend([inviter, guest]);
    Ok(party)
}

async fn unremovable(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    for _ in 0..2 {
        party.liars.push(stage.newcomer(role)?);
    }
    let names = [party.liars[1].node.to_string(), party.liars[0].node.to_string()];
    for (liar, name) in party.liars.iter_mut().zip(names) {
        let puppets = stage.enter(liar, 1, PuppetManners::Poor).await?;
        let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
        puppets[0].state([member.card(1, &name, Vec::new())]).await;
        party.puppets.extend(puppets);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.revoke_all().context("one of them cannot be revoked")?;
    party.note = "both were revoked by their ids".into();
    Ok(party)
}

/// What a list of members shows of a name must not pass for another one.
async fn look_alike(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    party.liars.push(liar);
    let strange = ['\u{202e}', '\u{3164}', '\u{a0}', '\u{fe0f}', '\u{200b}'];
    let name: String = "node0".chars().chain(strange).collect();
    party.puppets[0].state([member.card(1, &name, Vec::new())]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let shown = stage.cluster.nodes[0].ok(["members"])?;
    ensure!(!shown.contains(strange), "shown as it is: {shown:?}");
    party.note = "its letters are shown escaped".into();
    Ok(party)
}

async fn many_links(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    for _ in 0..40 {
        // A member may refuse the next one; what it must not do is to suffer.
        match stage.enter(&mut liar, 1, PuppetManners::Poor).await {
            Ok(puppets) => party.puppets.extend(puppets),
            Err(_) => break,
        }
    }
    party.note = format!("{} of 40 came in", party.puppets.len());
    party.liars.push(liar);
    Ok(party)
}

async fn no_keys(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    party.liars.push(liar);
    let volume = stage.volume();
    for puppet in &mut party.puppets {
        let keys = puppet.keys(volume, Duration::from_secs(1)).await;
        match role {
            Storer => ensure!(keys.is_none(), "keys were given"),
            _ => ensure!(keys.is_none_or(|keys| keys.writer().is_none()), "keys that write were given"),
        }
    }
    party.note = "none that are beyond its role".into();
    Ok(party)
}

async fn old_build(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    let messages = old_build::messages();
    for (number, message) in messages.iter().enumerate() {
        let link = liar.connect_at(number % stage.doors.len()).await.context("it was a member's fault before")?;
        let puppet = MemberPuppet::new(link, PuppetManners::Poor);
        puppet.say_bytes(message.clone()).await;
        ensure!(puppet.is_dropped(Duration::from_secs(10)).await, "message {number} does not end the connection");
    }
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    let facts = old_build::facts(&member, &stage.honest(), &[DiskId([7; 16])]);
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    party.liars.push(liar);
    for puppet in &party.puppets {
        puppet.state_raw(&facts).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // None of it is a statement any more, whoever signed it.
    nobody_is_gone(stage).await?;
    let listing = stage.cluster.nodes[0].json(["members"])?;
    ensure!(!listing.to_string().contains("old house"), "a card of the alpha counts: {listing}");
    party.note =
        format!("{} messages ended its own connections, {} statements count nowhere", messages.len(), facts.len());
    Ok(party)
}
