//! A connection that is kept up by a task, for a member that has to look alive while it misbehaves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Capability, CapabilityLevel, Fact, RawFact};
use fsdfs_proto::ids::{FactId, VolumeId};
use fsdfs_proto::message::{
    CapabilityRequest, FactBatch, FactSummary, FactsAck, FetchOutcome, FetchReply, FetchRequest, HaveReply,
    HaveRequest, Message, Possession, SUMMARY_IDS_MAX, StoreOutcome, StoreReply, StoreRequest, fact_parts,
};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::volume::VolumeKeys;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::forge;
use super::link::{Link, frame_of};

/// An honest node on a busy machine answers within this time, or not at all.
const ANSWER: Duration = Duration::from_secs(5);

/// How it answers what it is asked about blocks. It always answers pings, and confirms facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PuppetManners {
    /// It has nothing and no capacity.
    Poor,
    /// It says that it stores and has everything, and gives other bytes out.
    Boastful,
    /// It says that it has nothing, and confirms everything that is sent to it.
    Hungry,
    /// It is there, and answers nothing but pings.
    Mute,
}

/// Dropping it ends the connection.
pub struct MemberPuppet {
    orders: mpsc::Sender<(usize, Vec<u8>)>,
    /// Answers to what it asked.
    heard: mpsc::UnboundedReceiver<Message>,
    block_bytes: Arc<AtomicU64>,
    offered: OfferedFacts,
    requests: u64,
}

/// What it gives out when it is asked for it.
type OfferedFacts = Arc<Mutex<BTreeMap<FactId, RawFact>>>;

impl MemberPuppet {
    /// Takes a connection over.
    pub fn new(link: Link, manners: PuppetManners) -> Self {
        let (orders, wanted) = mpsc::channel(1);
        let (hears, heard) = mpsc::unbounded_channel();
        let block_bytes = Arc::clone(&link.block_bytes);
        let offered = OfferedFacts::default();
        tokio::spawn(play(link, (manners, Arc::clone(&offered)), wanted, hears));
        Self { orders, heard, block_bytes, offered, requests: 1 << 32 }
    }

    /// Says something; whether the connection still took it.
    pub async fn say(&self, message: &Message) -> bool {
        self.orders.send((0, frame_of(message))).await.is_ok()
    }

    /// Any bytes, as if they were a message.
    pub async fn say_bytes(&self, bytes: Vec<u8>) -> bool {
        self.orders.send((0, bytes)).await.is_ok()
    }

    /// Whether the connection ends within some seconds.
    pub async fn is_dropped(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.orders.closed()).await.is_ok()
    }

    /// States facts, parents first, in as many messages as they take. Whether the connection still took them.
    pub async fn state(&self, facts: impl IntoIterator<Item = Fact>) -> bool {
        let raw: Vec<_> = facts.into_iter().map(|fact| fact.raw()).collect();
        self.state_raw(&raw).await
    }

    /// The same as they travel, whatever they are.
    pub async fn state_raw(&self, raw: &[RawFact]) -> bool {
        for facts in fact_parts(raw) {
            if !self.say(&Message::Facts(FactBatch { request: 0, facts })).await {
                return false;
            }
        }
        true
    }

    /// Says which facts it has, and gives those out that are asked for: as in a comparison that the other side began.
    pub async fn offer(&self, facts: Vec<(FactId, RawFact)>) -> bool {
        let mut ids: Vec<FactId> = facts.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).extend(facts);
        let mut from = FactId([0; 32]);
        for (number, part) in ids.chunks(SUMMARY_IDS_MAX).enumerate() {
            let last = (number + 1) * SUMMARY_IDS_MAX >= ids.len();
            let to = if last { FactId([255; 32]) } else { part[part.len() - 1] };
            if !self.say(&Message::Summary(FactSummary { last, from, to, ids: part.to_vec() })).await {
                return false;
            }
            from = to;
        }
        true
    }

    /// Sends a block; what became of it, if that was said.
    pub async fn store(&mut self, receipt: BlockReceipt, block: &Block) -> Option<StoreOutcome> {
        let request = self.request();
        let frame = frame_of(&forge::store(request, receipt, block));
        self.orders.send((1, [&frame[..], &block.bytes()[..]].concat())).await.ok()?;
        match self.answer_to(request).await? {
            Message::StoreReply(StoreReply { outcome, .. }) => Some(outcome),
            _ => None,
        }
    }

    /// Asks something that is given the number of the request; the answer, if one comes.
    pub async fn ask(&mut self, question: impl FnOnce(u64) -> Message) -> Option<Message> {
        let request = self.request();
        self.say(&question(request)).await.then_some(())?;
        self.answer_to(request).await
    }

    /// Asks for the keys of a volume until they are given, or for some seconds.
    pub async fn keys(&mut self, volume: VolumeId, patience: Duration) -> Option<VolumeKeys> {
        let until = Instant::now() + patience;
        loop {
            let answer =
                self.ask(|request| Message::Capability(CapabilityRequest { request, volume, epoch: None })).await;
            if let Some(Message::CapabilityReply(reply)) = answer
                && let Some(text) = reply.capability
            {
                return text.parse().ok().map(|capability| keys_of(&capability));
            }
            if Instant::now() > until || self.orders.is_closed() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Bytes of blocks that it was sent so far.
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes.load(Ordering::Relaxed)
    }

    fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    async fn answer_to(&mut self, request: u64) -> Option<Message> {
        let until = Instant::now() + ANSWER;
        loop {
            let message = timeout_at(until, self.heard.recv()).await.ok()??;
            if message.answers() == Some(request) {
                return Some(message);
            }
        }
    }
}

/// What a capability gives.
fn keys_of(capability: &Capability) -> VolumeKeys {
    let (volume, epoch, secret) = (capability.volume, capability.epoch, *capability.secret.key());
    match capability.level {
        CapabilityLevel::Read => VolumeKeys::from_read_key(volume, epoch, secret),
        CapabilityLevel::Write | CapabilityLevel::Manage => VolumeKeys::from_write_secret(volume, epoch, secret),
    }
}

async fn play(
    mut link: Link,
    (manners, offered): (PuppetManners, OfferedFacts),
    mut wanted: mpsc::Receiver<(usize, Vec<u8>)>,
    hears: mpsc::UnboundedSender<Message>,
) {
    loop {
        let goes_on = tokio::select! {
            order = wanted.recv() => match order {
                Some((stream, bytes)) => link.write(stream, &bytes).await,
                None => false,
            },
            message = link.inbox.recv() => match message {
                Some(message) if message.answers().is_some() => hears.send(message).is_ok(),
                Some(Message::Want(want)) => give(&mut link, &offered, &want.ids).await,
                Some(message) => answer(&mut link, manners, message).await,
                None => false,
            },
        };
        if !goes_on {
            return;
        }
    }
}

/// Facts that it said to have.
async fn give(link: &mut Link, offered: &OfferedFacts, ids: &[FactId]) -> bool {
    let facts: Vec<RawFact> = {
        let offered = offered.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().filter_map(|id| offered.get(id).cloned()).collect()
    };
    for facts in fact_parts(&facts) {
        if !link.say(&Message::Facts(FactBatch { request: 0, facts })).await {
            return false;
        }
    }
    true
}

/// Whether the connection still took the answer.
async fn answer(link: &mut Link, manners: PuppetManners, message: Message) -> bool {
    match message {
        Message::Ping(number) => link.say(&Message::Pong(number)).await,
        _ if manners == PuppetManners::Mute => true,
        Message::Facts(FactBatch { request: request @ 1.., .. }) => {
            link.say(&Message::FactsAck(FactsAck { request, durable: true })).await
        }
        Message::Store(StoreRequest { request, .. }) => {
            let outcome = if manners == PuppetManners::Poor { StoreOutcome::Full } else { StoreOutcome::Stored };
            link.say(&Message::StoreReply(StoreReply { request, outcome })).await
        }
        Message::Have(HaveRequest { request, ids, .. }) => {
            let said = if manners == PuppetManners::Boastful { Possession::Yes } else { Possession::No };
            link.say(&Message::HaveReply(HaveReply { request, answers: vec![said; ids.len()] })).await
        }
        Message::Fetch(FetchRequest { request, id }) if manners == PuppetManners::Boastful => {
            let (found, bytes) = forge::wrong_bytes(request, id);
            link.write(1, &[frame_of(&found), bytes].concat()).await
        }
        Message::Fetch(FetchRequest { request, .. }) => {
            let reply = FetchReply { request, outcome: FetchOutcome::No, block: None };
            link.say(&Message::FetchReply(reply)).await
        }
        _ => true,
    }
}
