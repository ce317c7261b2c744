//! Connections: who is up, who is silent, what was asked of whom.
//!
//! A peer is *silent* when it owes an answer and its connection shows no progress, messages or block bytes, for
//! [`SILENT_MS`]. Nothing waits for a silent peer; what it answers later still counts.

use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::{Message, Redundancy, RequestId};

use super::Engine;
use super::put::Put;
use super::timers::Timer;
use crate::facts::MemberStatus;
use crate::limits::{
    DIAL_MS_MAX, DIAL_MS_MIN, DIAL_TIEBREAK_MS, PEER_TICK_MS, PING_AFTER_MS, SILENT_MS, STALL_MS, TRANSFER_GRACE_MS_MAX,
};
use crate::planted::{self, Bug};
use crate::seam::{Effect, Now, OpId, PeerEvent};

/// A node this one is, was, or wants to be connected to.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub up: bool,
    pub silent: bool,
    /// Anything heard, messages or block bytes in either direction.
    pub heard: u64,
    /// Block bytes moved in either direction.
    pub moved: u64,
    /// Since when it owes an answer; none if it owes nothing.
    owes_since: Option<u64>,
    owed: u32,
    ping: Option<(u64, u64)>,
    pub rtt_ms: Option<u32>,
    dial_pause: u64,
    dialling: bool,
    /// Its clock minus ours, as of its last digests.
    pub clock_off_ms: Option<i64>,
    /// Parts of our summary it has not answered yet.
    pub wants_due: usize,
    /// It asked, and was answered: its empty [`Message::Want`] ends the exchange.
    pub exchange_ends: bool,
    pub digests_sent: u64,
    /// Blocks it sent whose bytes were not what their id says.
    pub wrong_blocks: u64,
}

impl Peer {
    /// Grows with the round trip and with the questions it has not answered yet, so that a long read uses the uplinks of all
    /// holders that are about as near, and of far ones only while the near ones are busy. In no unit.
    pub fn wait_expected(&self) -> u64 {
        let rtt_ms = self.rtt_ms.unwrap_or_default().max(1);
        u64::from(self.owed + 1) * u64::from(rtt_ms)
    }
}

/// A question that was not answered yet.
#[derive(Debug)]
pub(super) struct Asked {
    pub to: NodeId,
    at: u64,
    pub purpose: Purpose,
}

/// Why it was asked.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    PutProbe(u64),
    PutStore(u64),
    Get(BlockId),
    Query(u64),
    Locate { op: u64, ids: Vec<BlockId> },
    TopUpHave { ids: Vec<BlockId> },
    TopUpStore { id: BlockId },
    DebtHave { redundancy: Redundancy, ids: Vec<BlockId> },
    Capability(VolumeId),
    Survey(OpId),
}

impl Engine {
    /// Connected and not silent.
    pub(super) fn usable(&self, node: NodeId) -> bool {
        node == self.me || self.peers.get(&node).is_some_and(|peer| peer.up && !peer.silent)
    }

    pub(super) fn up_peers(&self) -> Vec<NodeId> {
        planted::ordered(self.peers.iter().filter(|(_, peer)| peer.up).map(|(node, _)| *node))
    }

    /// Asks a peer; the answer, or its loss, finds its way by `purpose`.
    pub(super) fn ask(
        &mut self,
        to: NodeId,
        purpose: Purpose,
        message: impl FnOnce(RequestId) -> Message,
        block: Option<Block>,
        out: &mut Vec<Effect>,
    ) {
        self.last_request += 1;
        let request = self.last_request;
        self.asked.insert(request, Asked { to, at: quiet_clock(self.now), purpose });
        let peer = self.peers.entry(to).or_default();
        peer.owed += 1;
        peer.owes_since.get_or_insert(quiet_clock(self.now));
        self.timers.set(self.now.mono + PEER_TICK_MS, Timer::Peer(to));
        out.push(Effect::Send { to, message: message(request), block });
    }

    /// The purpose of the question this answers; none if nobody asked that peer.
    pub(super) fn answered(&mut self, from: NodeId, request: RequestId) -> Option<Purpose> {
        if self.asked.get(&request)?.to != from {
            return None;
        }
        let asked = self.asked.remove(&request)?;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.owed = peer.owed.saturating_sub(1);
            // What is still owed starts to count anew: the peer does make progress.
            peer.owes_since = (peer.owed > 0).then_some(quiet_clock(self.now));
        }
        Some(asked.purpose)
    }

    pub(super) fn peer_event(&mut self, node: NodeId, event: PeerEvent, out: &mut Vec<Effect>) {
        match event {
            PeerEvent::Up { facts } => self.peer_up(node, facts, out),
            PeerEvent::Down => self.peer_down(node, out),
            PeerEvent::Progress => {
                self.block_moved(node);
                self.heard(node, out);
            }
            PeerEvent::Unreachable => {
                let peer = self.peers.entry(node).or_default();
                peer.dialling = false;
                if !peer.up {
                    self.dial_later(node);
                }
            }
        }
    }

    fn peer_up(&mut self, node: NodeId, facts: Vec<Fact>, out: &mut Vec<Effect>) {
        // If the connection was replaced by another, what was asked on the old one may be lost.
        let lost = self.questions(node, |_| true);
        let now = self.now.mono;
        let peer = self.peers.entry(node).or_default();
        *peer = Peer { up: true, heard: now, moved: now, wrong_blocks: peer.wrong_blocks, ..Peer::default() };
        self.lose(lost, node, out);
        self.insert_facts(facts, Some(node), out);
        if self.expelled(node) {
            out.push(Effect::Disconnect { node, reason: "revoked" });
            return;
        }
        self.greet(node, out);
        self.pull_capabilities(node, out);
        self.topup_for(node);
        self.retry_gets(out);
        self.pay(node, out);
        self.publish_soon();
    }

    fn peer_down(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.up = false;
        peer.silent = false;
        peer.exchange_ends = false;
        peer.wants_due = 0;
        peer.dialling = false;
        peer.dial_pause = 0;
        self.lose(self.questions(node, |_| true), node, out);
        self.dial_later(node);
    }

    /// Whether the facts say that nothing is to be exchanged with this node.
    pub(super) fn expelled(&self, node: NodeId) -> bool {
        self.facts.members().get(&node).is_none_or(|member| member.status == MemberStatus::Revoked)
    }

    /// Something came from the peer, so it is there.
    pub(super) fn heard(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let now = quiet_clock(self.now);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.heard = now;
        if std::mem::take(&mut peer.silent) {
            self.topup_for(node);
            self.retry_gets(out);
            self.pay(node, out);
            self.publish_soon();
        }
    }

    /// Bytes of a block came from it or left for it.
    pub(super) fn block_moved(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.moved = self.now.mono;
        }
    }

    pub(super) fn ponged(&mut self, node: NodeId, number: u64) {
        let now = self.now.mono;
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if let Some((sent, at)) = peer.ping.filter(|(sent, _)| *sent == number) {
            debug_assert_eq!(sent, number);
            peer.ping = None;
            peer.rtt_ms = Some(u32::try_from(now - at).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn ping(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let number = self.rng.u64(..);
        let now = self.now.mono;
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.ping = Some((number, now));
            out.push(Effect::Send { to: node, message: Message::Ping(number), block: None });
        }
    }

    /// Looks at a peer that owes answers, or that is silent: pings it, calls it silent, gives up stalled questions.
    pub(super) fn peer_tick(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.up) else { return };
        if (peer.owed == 0 && !peer.silent) || planted::is(Bug::WaitForSilent) {
            return;
        }
        self.timers.set(now + PEER_TICK_MS, Timer::Peer(node));
        let clock = quiet_clock(self.now);
        let quiet = clock - peer.heard.max(peer.owes_since.unwrap_or(0)).min(clock);
        let pause = if peer.silent { SILENT_MS } else { PING_AFTER_MS };
        if quiet >= PING_AFTER_MS && peer.ping.is_none_or(|(_, at)| now - at >= pause) {
            self.ping(node, out);
        }
        let peer = self.peers.entry(node).or_default();
        if !peer.silent && quiet >= SILENT_MS {
            peer.silent = true;
            self.went_silent(node, out);
        }
        self.drop_stalled(node, out);
    }

    /// Everything that waits for this peer looks for another one; the questions stay open.
    fn went_silent(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let waiting: BTreeMap<RequestId, Purpose> = self.questions(node, |_| true);
        for purpose in waiting.into_values() {
            self.not_waiting(&purpose, node, out);
        }
    }

    fn drop_stalled(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        self.lose(self.questions(node, |asked| self.is_stalled(asked)), node, out);
    }

    /// Blocks take as long as their bytes move. Behind them a short answer comes late, which is no excuse for ever.
    fn is_stalled(&self, asked: &Asked) -> bool {
        let now = quiet_clock(self.now);
        let moved = self.peers.get(&asked.to).map_or(0, |peer| peer.moved);
        let excused =
            if self.moves_a_block(&asked.purpose) { moved } else { moved.min(asked.at + TRANSFER_GRACE_MS_MAX) };
        now.saturating_sub(asked.at.max(excused)) >= STALL_MS
    }

    fn moves_a_block(&self, purpose: &Purpose) -> bool {
        match purpose {
            Purpose::Get(_) | Purpose::TopUpStore { .. } => true,
            Purpose::PutStore(put) => self.puts.get(put).is_some_and(Put::is_block),
            _ => false,
        }
    }

    /// Nobody answers these any more. All are closed before what waited for them asks anew, perhaps the same peer.
    fn lose(&mut self, questions: BTreeMap<RequestId, Purpose>, node: NodeId, out: &mut Vec<Effect>) {
        for request in questions.keys() {
            self.answered(node, *request);
        }
        for purpose in questions.into_values() {
            self.lost(&purpose, node, out);
        }
    }

    fn questions(&self, node: NodeId, which: impl Fn(&Asked) -> bool) -> BTreeMap<RequestId, Purpose> {
        let of_node = self.asked.iter().filter(|(_, asked)| asked.to == node && which(asked));
        of_node.map(|(request, asked)| (*request, asked.purpose.clone())).collect()
    }

    /// The peer is silent: whoever asked it goes on without it, but takes a late answer.
    fn not_waiting(&mut self, purpose: &Purpose, node: NodeId, out: &mut Vec<Effect>) {
        match purpose {
            Purpose::PutProbe(put) | Purpose::PutStore(put) => self.advance_put(*put, out),
            Purpose::Get(id) => self.get_next(*id, out),
            Purpose::Query(query) => self.query_without(*query, node, out),
            Purpose::Locate { op, .. } => self.located(*op, node, &[], &[], out),
            Purpose::Survey(op) => self.survey_without(*op, node, out),
            Purpose::TopUpHave { .. } | Purpose::TopUpStore { .. } => self.topup_without(node, out),
            // A late answer counts as well.
            Purpose::DebtHave { .. } | Purpose::Capability(_) => {}
        }
    }

    /// No answer will come.
    fn lost(&mut self, purpose: &Purpose, node: NodeId, out: &mut Vec<Effect>) {
        match purpose {
            Purpose::PutProbe(put) | Purpose::PutStore(put) => self.put_failed(*put, node, None, out),
            Purpose::Get(id) => self.get_lost(*id, node, out),
            Purpose::DebtHave { redundancy, ids } => self.debts_not_answered(node, *redundancy, ids),
            other => self.not_waiting(other, node, out),
        }
    }

    /// Sees to it that every member is connected or being dialled.
    pub(super) fn dial_members(&mut self) {
        let known: Vec<NodeId> = self.facts.members().keys().chain(self.bootstrap.keys()).copied().collect();
        for node in known {
            let fresh = !self.peers.contains_key(&node);
            if node == self.me || !fresh {
                continue;
            }
            self.peers.insert(node, Peer::default());
            // Both ends dial; the smaller id goes first, or both would succeed and one connection be wasted.
            let courtesy = if self.me < node || self.bootstrap.contains_key(&node) { 1 } else { DIAL_TIEBREAK_MS };
            self.timers.set(self.now.mono + courtesy, Timer::Dial(node));
        }
    }

    fn dial_later(&mut self, node: NodeId) {
        let peer = self.peers.entry(node).or_default();
        peer.dial_pause = (peer.dial_pause * 2).clamp(DIAL_MS_MIN, DIAL_MS_MAX);
        let pause = peer.dial_pause;
        let courtesy = if self.me < node { 0 } else { DIAL_TIEBREAK_MS };
        let jitter = self.rng.u64(0..=pause / 2);
        self.timers.set(self.now.mono + pause + courtesy + jitter, Timer::Dial(node));
    }

    /// A member's addresses changed, or it was heard of: try again soon.
    pub(super) fn dial_soon(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| !peer.up) else { return };
        peer.dial_pause = 0;
        self.timers.set(self.now.mono + DIAL_MS_MIN, Timer::Dial(node));
    }

    pub(super) fn dial(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let unknown = self.bootstrap.contains_key(&node) && !self.facts.members().contains_key(&node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.up
            || peer.dialling
            || (!unknown && self.facts.members().get(&node).is_none_or(|m| m.status == MemberStatus::Revoked))
        {
            return;
        }
        peer.dialling = true;
        let card = self.facts.members().get(&node).and_then(|member| member.card.as_ref());
        let mut addrs = card.map(|card| card.value().addrs.clone()).unwrap_or_default();
        for addr in self.bootstrap.get(&node).into_iter().flatten() {
            if !addrs.contains(addr) {
                addrs.push(addr.clone());
            }
        }
        out.push(Effect::Connect { node, addrs });
    }
}

/// Silence is measured on the monotonic clock: the other may jump.
fn quiet_clock(now: Now) -> u64 {
    if planted::is(Bug::WallSilence) { now.wall } else { now.mono }
}
