//! Floods, and what they cost those who put, list and start again meanwhile. Nothing else runs beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fsdfs_proto::identity::{CardDisk, Fact, RawFact};
use fsdfs_proto::ids::{BlockId, Digest, DiskNonce, FactId};
use fsdfs_proto::message::{FetchRequest, HaveRequest, IDS_MAX, Message, Redundancy};
use fsdfs_tests::adversary::forge::{ForgingMember, TreeForger, noise, now_ms};
use fsdfs_tests::adversary::{MemberPuppet, PuppetManners, first_words, half_open, random_seed};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::pace::UserPace;
use crate::party::AttackRole::{Full, Outsider, Storer};
use crate::party::{AttackParty, AttackRole};
use crate::row::AttackRow;
use crate::stage::{AttackStage, resident_kib};

/// What a node may hold more under the greatest flood.
const RESIDENT_GROWTH_KIB: u64 = 128 << 10;
/// And how much later it may start.
const LATER_START: Duration = Duration::from_secs(2);
/// Facts that are offered.
const HOSTILE_BYTES: usize = 64 << 20;

pub const ROWS: &[AttackRow] = &[
    AttackRow::alone("pace-facts", "put and ls under revocations of 512 KiB each", &[Storer, Full], |stage, role| {
        paced(stage, role, |flooder| flooder.facts(|member, _| vec![member.endless_revocation(16_000)]).boxed()).boxed()
    }),
    AttackRow::alone("pace-volumes", "put and ls under volumes of nobody", &[Storer], |stage, role| {
        let volumes = |member: &ForgingMember, _| (0..8).map(|_| ForgingMember::unknown_volume(member.pool)).collect();
        paced(stage, role, move |flooder| flooder.facts(volumes).boxed()).boxed()
    }),
    AttackRow::alone("pace-cards", "put and ls under cards that change the map", &[Storer], |stage, role| {
        let card = |member: &ForgingMember, round| {
            let disk = CardDisk { nonce: DiskNonce([7; 16]), gib: 1 + (round % 2) as u32 * 64 };
            vec![member.card(2_000 + round, "fickle", vec![disk])]
        };
        paced(stage, role, move |flooder| flooder.facts(card).boxed()).boxed()
    }),
    AttackRow::alone("pace-beats", "put and ls under signs of life", &[Storer], |stage, role| {
        let beats = |member: &ForgingMember, round| (0..100).map(|beat| member.heartbeat(round * 100 + beat)).collect();
        paced(stage, role, move |flooder| flooder.facts(beats).boxed()).boxed()
    }),
    AttackRow::alone("pace-heads", "put and ls under a newer head all the time", &[Full], |stage, role| {
        paced(stage, role, |flooder| flooder.heads().boxed()).boxed()
    }),
    AttackRow::alone("pace-noise", "put and ls under noise that is to be stored", &[Storer, Full], |stage, role| {
        paced(stage, role, |flooder| flooder.noise().boxed()).boxed()
    }),
    AttackRow::alone("pace-asks", "put and ls under questions for blocks and ids", &[Storer], |stage, role| {
        paced(stage, role, |flooder| flooder.asks().boxed()).boxed()
    }),
    AttackRow::alone("pace-links", "put and ls under connections that come and go", &[Storer], |stage, role| {
        links(stage, role).boxed()
    }),
    AttackRow::alone(
        "pace-half-open",
        "put and ls under 1,000 half-open handshakes a second",
        &[Outsider],
        |stage, _| half_opens(stage).boxed(),
    ),
    AttackRow::alone(
        "hostile-facts",
        "64 MiB of hostile facts, offered in every way",
        &[Storer, Full],
        |stage, role| hostile_facts(stage, role).boxed(),
    ),
];

/// Who floods, until it is told to end or its connections are gone.
struct Flooder {
    puppets: Vec<MemberPuppet>,
    member: ForgingMember,
    forger: Option<TreeForger>,
    ends: Arc<AtomicBool>,
}

impl Flooder {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    async fn facts(self, make: impl Fn(&ForgingMember, u64) -> Vec<Fact> + Send) -> Self {
        // What is made beforehand costs this machine nothing while the others are measured.
        let made: Vec<Vec<RawFact>> =
            (0..64).map(|round| make(&self.member, round).iter().map(Fact::raw).collect()).collect();
        for raw in made.iter().cycle() {
            if !self.goes_on() || !self.puppets[0].state_raw(raw).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        self
    }

    async fn heads(mut self) -> Self {
        let Some(mut forger) = self.forger.take() else { return self };
        while self.goes_on() {
            forger.begin();
            let head = forger.head(None, now_ms());
            // Two hundred a second are what an honest writer makes at most.
            if !self.puppets[0].state([head]).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self
    }

    async fn noise(mut self) -> Self {
        let blocks: Vec<_> = (0..8).map(|_| noise(1 << 20)).collect();
        for block in blocks.iter().cycle() {
            let receipt = self.member.receipt(block.id());
            if !self.goes_on() || self.puppets[0].store(receipt, block).await.is_none() {
                break;
            }
        }
        self
    }

    async fn asks(self) -> Self {
        let ids: Vec<BlockId> = (0..IDS_MAX).map(|_| BlockId(random_seed())).collect();
        for request in 1.. {
            let (map, redundancy, ids) = (Digest([0; 32]), Redundancy::Replicas(3), ids.clone());
            let fetch = Message::Fetch(FetchRequest { request: 2 * request, id: ids[request as usize % ids.len()] });
            let have = HaveRequest { request: 2 * request + 1, renew: true, map, redundancy, ids };
            let said = self.puppets[0].say(&Message::Have(have)).await && self.puppets[0].say(&fetch).await;
            if !said || !self.goes_on() {
                break;
            }
        }
        self
    }
}

/// Measures, floods, and measures again, at the node that is flooded.
async fn paced(
    stage: &mut AttackStage,
    role: AttackRole,
    flood: impl FnOnce(Flooder) -> BoxFuture<'static, Flooder> + Send,
) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    let mut puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    puppets[0].state([member.card(1, "flooder", Vec::new())]).await;
    let keys = match role {
        Full => puppets[0].keys(stage.volume(), Duration::from_secs(20)).await,
        _ => None,
    };
    party.liars.push(liar);
    let forger = keys.and_then(|keys| TreeForger::new(member.clone(), keys));
    let quiet = UserPace::of(&stage.cluster.nodes[0], "pace").await?;
    let ends = Arc::new(AtomicBool::new(false));
    let flooding = tokio::spawn(flood(Flooder { puppets, member, forger, ends: Arc::clone(&ends) }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let loud = UserPace::of(&stage.cluster.nodes[0], "pace").await?;
    ends.store(true, Ordering::Relaxed);
    party.puppets = flooding.await.context("the flood itself fails")?.puppets;
    party.note = quiet.became(&loud);
    quiet.bears(&loud)?;
    Ok(party)
}

/// A member that connects, breaks the protocol, and connects again.
async fn links(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, 1, PuppetManners::Poor).await?;
    let quiet = UserPace::of(&stage.cluster.nodes[0], "pace").await?;
    let ends = Arc::new(AtomicBool::new(false));
    let log_before = stage.cluster.nodes[0].log().len();
    let stop = Arc::clone(&ends);
    let flapping = tokio::spawn(async move {
        let mut times = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            match liar.connect_at(0).await {
                Ok(mut link) => {
                    times.0 += 1;
                    link.write(0, &[0, 0, 0, 1, 0xc3]).await;
                }
                Err(_) => times.1 += 1,
            }
        }
        (liar, times)
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let loud = UserPace::of(&stage.cluster.nodes[0], "pace").await?;
    ends.store(true, Ordering::Relaxed);
    let (liar, (entered, refused)) = flapping.await.context("the flood itself fails")?;
    party.liars.push(liar);
    let logged = stage.cluster.nodes[0].log().len().saturating_sub(log_before) >> 10;
    party.note = format!("let in {entered} times, {refused} not; {logged} KiB logged; {}", quiet.became(&loud));
    quiet.bears(&loud)?;
    let most = 16 + begun.elapsed().as_secs();
    ensure!(entered <= most, "{} in {:?}", party.note, begun.elapsed());
    Ok(party)
}

/// Strangers from nine hundred addresses begin handshakes and leave.
async fn half_opens(stage: &mut AttackStage) -> Result<AttackParty> {
    let attempts = first_words(300).await?;
    let node = &stage.cluster.nodes[0];
    let before = resident_kib(node)?;
    let quiet = UserPace::of(node, "pace").await?;
    let (ends, to) = (Arc::new(AtomicBool::new(false)), stage.doors[0].addr);
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
    let measured = async {
        let loud = UserPace::of(node, "pace").await?;
        let mut friend = stage.newcomer(Full)?;
        let puppets = stage.enter(&mut friend, 1, PuppetManners::Poor).await.context("a newcomer meanwhile")?;
        anyhow::Ok((loud, resident_kib(node)?, friend, puppets))
    };
    let measured = measured.await;
    ends.store(true, Ordering::Relaxed);
    let begun = flood.join().map_err(|_| anyhow::anyhow!("the flood itself fails"))?;
    let (loud, resident, friend, puppets) = measured?;
    let grown = resident.saturating_sub(before) >> 10;
    let note = format!("{begun} begun; +{grown} MiB; {}", quiet.became(&loud));
    ensure!(grown << 10 <= RESIDENT_GROWTH_KIB, "{note}");
    quiet.bears(&loud)?;
    Ok(AttackParty { liars: vec![friend], puppets, note })
}

/// Said unasked, in a comparison that the member begins, as an answer about heads, and to each node.
async fn hostile_facts(stage: &mut AttackStage, role: AttackRole) -> Result<AttackParty> {
    let mut party = AttackParty::default();
    let quiet_start = stage.slowest_start()?;
    let mut liar = stage.newcomer(role)?;
    party.puppets = stage.enter(&mut liar, stage.doors.len(), PuppetManners::Poor).await?;
    let member = ForgingMember { pool: stage.pool, key: liar.key.clone() };
    let own = liar.chain().last().context("its own certificate")?.clone();
    party.liars.push(liar);
    for puppet in &party.puppets {
        puppet.state([member.card(1, "flooder", Vec::new())]).await;
    }
    let before: Vec<u64> = stage.cluster.nodes.iter().map(resident_kib).collect::<Result<_>>()?;
    let revocations: Vec<Fact> = (0..HOSTILE_BYTES >> 19).map(|_| member.endless_revocation(16_000)).collect();
    let volumes: Vec<Fact> = (0..HOSTILE_BYTES >> 15).map(|_| ForgingMember::unknown_volume(stage.pool)).collect();
    let members: Vec<Fact> = (0..2_000)
        .flat_map(|number| {
            let other = ForgingMember::random(stage.pool);
            [member.member_cert(&own, &other, number), other.card(1, "nobody", Vec::new())]
        })
        .collect();
    let orphans: Vec<Fact> = (0..64).map(|_| ForgingMember::random(stage.pool).endless_revocation(16_000)).collect();
    let ways = [&revocations, &volumes, &members, &orphans];
    let mut most = vec![0; before.len()];
    let (begun, mut offered) = (Instant::now(), 0);
    for facts in ways {
        let raw: Vec<(FactId, RawFact)> = facts.iter().map(|fact| (fact.id(), fact.raw())).collect();
        offered += raw.iter().map(|(_, raw)| raw.payload_len()).sum::<usize>();
        let all: Vec<RawFact> = raw.iter().map(|(_, raw)| raw.clone()).collect();
        // The one unasked, the other when it is asked for them.
        let _ = tokio::join!(
            tokio::time::timeout(Duration::from_secs(12), party.puppets[0].state_raw(&all)),
            tokio::time::timeout(Duration::from_secs(12), party.puppets[1].offer(raw)),
        );
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            for (most, node) in most.iter_mut().zip(&stage.cluster.nodes) {
                *most = resident_kib(node)?.max(*most);
            }
        }
    }
    let grown = before.iter().zip(&most).map(|(before, most)| most.saturating_sub(*before)).max().unwrap_or(0);
    let took = begun.elapsed().as_secs();
    party.note = format!("{} MiB offered two ways in {took} s; at most +{} MiB resident", offered >> 20, grown >> 10);
    ensure!(grown <= RESIDENT_GROWTH_KIB, "{}", party.note);
    let start = stage.slowest_start()?;
    party.note += &format!("; start {:.1} -> {:.1} s", quiet_start.as_secs_f64(), start.as_secs_f64());
    ensure!(start <= quiet_start + LATER_START, "{}", party.note);
    Ok(party)
}
