//! What all sessions share: where messages for peers wait, what came from them, and what is counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::facts::FactAllowance;
use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{AttachedBlock, Message};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::frame::{InboundBudget, StreamError};
use super::inbox::PeerInbox;
use super::link_news::{LinkNews, LinkNewsListener};
use super::links::LinkTable;
use super::outbox::{self, OutboxQueues, PeerOutbox};
use super::streams::{LinkPath, PathPackets};
use crate::metrics::NetCounters;
use crate::net::event::{NetEvent, ProbeMessage};
use crate::net::governor::LinkReport;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::pacer::RateGate;

/// Facts of one message whose signatures are checked before others get the processor: a millisecond.
const FACTS_CHECKED_AT_ONCE: usize = 16;

/// What all sessions share.
pub(crate) struct SessionHub {
    /// For what concerns no session.
    pub events: mpsc::Sender<NetEvent>,
    pub counters: Arc<NetCounters>,
    pub budget: InboundBudget,
    /// What may leave, and come in.
    pub upload: RateGate,
    pub download: RateGate,
    /// Knows the facts that need no second check.
    pub(super) keeper: Arc<Gatekeeper>,
    /// Which connection is in use with each peer.
    pub links: Arc<LinkTable>,
    pub(super) inbox: PeerInbox,
    outboxes: Mutex<BTreeMap<NodeId, PeerOutbox>>,
    /// How fast each may send facts. Stays when its connection ends: a new one would be a way around it.
    allowances: Mutex<BTreeMap<NodeId, FactAllowance>>,
    /// For the owner of the connections.
    pub(super) news: LinkNews,
    /// What the engine has nothing to do with.
    pub(super) probes: mpsc::Sender<ProbeMessage>,
    /// That there is one more peer to which something can be sent.
    opened: watch::Sender<()>,
    /// Sessions so far.
    sessions: AtomicU64,
    started: Instant,
}

impl SessionHub {
    pub(crate) fn new(
        events: mpsc::Sender<NetEvent>,
        budget: InboundBudget,
        keeper: Arc<Gatekeeper>,
        probes: mpsc::Sender<ProbeMessage>,
    ) -> Self {
        Self {
            inbox: PeerInbox::new(events.clone()),
            events,
            counters: Arc::default(),
            links: Arc::default(),
            budget,
            upload: RateGate::open(),
            download: RateGate::open(),
            keeper,
            outboxes: Mutex::default(),
            allowances: Mutex::default(),
            news: LinkNews::default(),
            probes,
            opened: watch::Sender::default(),
            sessions: AtomicU64::default(),
            started: Instant::now(),
        }
    }

    /// For the owner of the connections; to be called once.
    pub(in crate::net) fn take_news(&self) -> Option<LinkNewsListener> {
        self.news.take_listener()
    }

    /// Hands what peers say on to the loop, each in its turn. Never ends while there is one.
    pub(crate) async fn forward(&self) {
        self.inbox.forward().await;
    }

    /// Never blocks. Without a session the message is dropped; `Down` has said, or will say, so.
    pub(crate) fn send(&self, to: NodeId, message: Message, block: Option<Block>, class: TrafficClass) {
        let announced = message.attached();
        if announced != block.as_ref().map(AttachedBlock::from) {
            tracing::error!(?to, ?message, "a message and its block do not fit together; not sent");
            return;
        }
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(outbox) = outboxes.get(&to) else { return };
        outbox.push(message, block, class);
    }

    /// The session over which something can be sent to it now, if there is one. Another one has another number.
    pub(crate) fn session(&self, node: NodeId) -> Option<u64> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).get(&node).map(|outbox| outbox.session)
    }

    /// Told whenever there is one more such peer.
    pub(crate) fn watch_opened(&self) -> watch::Receiver<()> {
        self.opened.subscribe()
    }

    pub(super) fn open_outbox(&self, node: NodeId) -> OutboxQueues {
        let (outbox, queues) = outbox::open(self.sessions.fetch_add(1, Ordering::Relaxed));
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(node, outbox);
        self.opened.send_replace(());
        queues
    }

    pub(super) fn close_outbox(&self, node: NodeId) {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// What went over each connection since the last time, and how long it took.
    pub(in crate::net) fn links(&self) -> Vec<LinkReport> {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.iter().map(|(node, outbox)| outbox.link.report(*node)).collect()
    }

    /// The way that the connection in use takes to each peer.
    pub(in crate::net) fn paths(&self) -> Vec<(NodeId, Arc<dyn LinkPath>)> {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.iter().filter_map(|(node, outbox)| Some((*node, outbox.link.path()?))).collect()
    }

    /// The links in use, and the packets of each.
    pub(in crate::net) fn packets(&self) -> Vec<(NodeId, Option<PathPackets>)> {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.iter().map(|(node, outbox)| (*node, outbox.link.packets())).collect()
    }

    /// The links whose peers send to an address that this machine no longer has.
    pub(in crate::net) fn stranded(&self, has: impl Fn(IpAddr) -> bool) -> Vec<NodeId> {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |outbox: &PeerOutbox| outbox.link.local_ip().is_some_and(|ip| !has(ip));
        outboxes.iter().filter(|(_, outbox)| is_gone(outbox)).map(|(node, _)| *node).collect()
    }

    /// Messages never wait, but what is left for blocks is less by them.
    pub(super) fn note_message_out(&self, bytes: usize) {
        self.counters.message_out.add(bytes as u64);
        self.upload.note_moved(bytes);
    }

    /// Facts that a peer sent: waits until it may send so many, then checks the signatures of those that are not known.
    pub(super) async fn check_facts(&self, from: NodeId, facts: &mut [RawFact]) -> Result<(), StreamError> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let bytes = facts.iter().map(RawFact::payload_len).sum();
        let wait_ms = {
            let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
            allowances.entry(from).or_insert_with(|| FactAllowance::full(now)).spend(now, facts.len(), bytes)
        };
        if wait_ms > 0 {
            sleep(Duration::from_millis(wait_ms)).await;
        }
        let known = self.keeper.facts();
        for part in facts.chunks_mut(FACTS_CHECKED_AT_ONCE) {
            known.check_signatures(part)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
