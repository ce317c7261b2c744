//! People who are no members, on the line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use fsdfs_tests::adversary::{PuppetManners, first_words, half_open};
use futures::FutureExt as _;

use crate::party::AttackParty;
use crate::party::AttackRole::{Full, Outsider};
use crate::row::AttackRow;
use crate::stage::{AttackStage, resident_kib};

/// Handshakes that are under way are bounded, so this much is enough for them and for what is not given back at once.
const GROWTH_KIB_MAX: u64 = 64 << 10;

pub const ROWS: &[AttackRow] = &[AttackRow::new(
    "half-open",
    "1,000 handshakes a second are begun and left, from 900 addresses",
    &[Outsider],
    |stage, _| half_opens(stage).boxed(),
)];

async fn half_opens(stage: &mut AttackStage) -> Result<AttackParty> {
    let attempts = first_words(300).await?;
    let (ends, to) = (Arc::new(AtomicBool::new(false)), stage.doors[0].addr);
    let before = resident_kib(&stage.cluster.nodes[0])?;
    let stop = Arc::clone(&ends);
    let flood = std::thread::spawn(move || {
        let mut begun = 0;
        while !stop.load(Ordering::Relaxed) {
            half_open(to, &attempts, begun);
            begun += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        begun
    });
    let outcome = meanwhile(stage).await;
    ends.store(true, Ordering::Relaxed);
    let begun = flood.join().map_err(|_| anyhow!("the flood itself fails"))?;
    let mut party = outcome?;
    let grown = resident_kib(&stage.cluster.nodes[0])?.saturating_sub(before);
    party.note = format!("{begun} begun and left, a newcomer came in, +{} MiB", grown >> 10);
    ensure!(grown <= GROWTH_KIB_MAX, "{}", party.note);
    Ok(party)
}

/// Members read and write, and a newcomer comes in.
async fn meanwhile(stage: &mut AttackStage) -> Result<AttackParty> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.put(0, "under half-open handshakes", 100_000)?;
    stage.gets(1, "under half-open handshakes")?;
    let mut newcomer = stage.newcomer(Full)?;
    let puppets = stage.enter(&mut newcomer, 1, PuppetManners::Poor).await.context("a newcomer with a good ticket")?;
    Ok(AttackParty { liars: vec![newcomer], puppets, note: String::new() })
}
