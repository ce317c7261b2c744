//! Comparing facts. Two members with unequal digests exchange ids and then what the other lacks.
//!
//! The smaller id asks, so that it happens once: summary (in parts) → facts and [`Message::Want`] for each part → the facts
//! wanted → an empty `WantFacts`. An exchange has ended for the asker with the last part's `WantFacts`, for the other with the empty
//! one; from then on a node may say "none" instead of "not yet".

use fsdfs_proto::identity::{Fact, RawFact};
use fsdfs_proto::ids::{Digest, FactId, NodeId};
use fsdfs_proto::message::{FactDigests, FactSummary, Message, SUMMARY_IDS_MAX, WantFacts};

use super::Engine;
use super::timers::Timer;
use crate::facts::MemberStatus;
use crate::limits::GOSSIP_MS;
use crate::seam::Effect;

impl Engine {
    /// Whether this node may say "none": it has exchanged facts since its start, or there is nobody to exchange with.
    pub(super) fn ready(&self) -> bool {
        self.exchanged || self.alone()
    }

    /// No other member exists that could know more.
    pub(super) fn alone(&self) -> bool {
        self.bootstrap.is_empty()
            && self
                .facts
                .members()
                .iter()
                .all(|(node, member)| *node == self.me || member.status == MemberStatus::Revoked)
    }

    /// First words on a new connection.
    pub(super) fn greet(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        self.send_digests(node, out);
        self.ping(node, out);
        // Ours, and the peer's own as it was last heard here: should it not be the peer's, it has a twin.
        for whose in [self.me, node] {
            let beat = self.facts.members().get(&whose).and_then(|member| member.heartbeat.clone());
            if let Some(beat) = beat {
                self.send_facts(node, &[Fact::from(beat).raw()], out);
            }
        }
    }

    pub(super) fn gossip_tick(&mut self, out: &mut Vec<Effect>) {
        self.timers.set(self.now.mono + GOSSIP_MS, Timer::Gossip);
        let peers = self.up_peers();
        for to in self.some_of(peers, 1) {
            self.send_digests(to, out);
            // Whoever was asked before may have been frozen, or lied.
            self.pull_capabilities(to, out);
        }
    }

    /// A request named another map than ours: one of us lacks facts.
    pub(super) fn compare_maps(&mut self, from: NodeId, theirs: Digest, out: &mut Vec<Effect>) {
        let lately = self.peers.get(&from).is_some_and(|peer| self.now.mono < peer.digests_sent + GOSSIP_MS);
        if theirs != self.map_digest && !lately {
            self.send_digests(from, out);
        }
    }

    fn digests_now(&self) -> FactDigests {
        let clock = fsdfs_proto::time::Hlc { ms: self.now.wall, count: 0 };
        FactDigests { gossip: self.facts.gossip_digest(), map: self.map_digest, clock }
    }

    fn send_digests(&mut self, to: NodeId, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.digests_sent = now;
        }
        out.push(Effect::Send { to, message: Message::Digests(self.digests_now()), block: None });
    }

    pub(super) fn digests(&mut self, from: NodeId, theirs: &FactDigests, out: &mut Vec<Effect>) {
        let off = i64::try_from(theirs.clock.ms).unwrap_or(i64::MAX).saturating_sub_unsigned(self.now.wall);
        let equal = theirs.gossip == self.facts.gossip_digest();
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.clock_off_ms = Some(off);
        let asking = peer.wants_due > 0;
        if equal {
            self.exchange_ended();
        }
        if !equal && self.me < from && !asking {
            self.send_summary(from, out);
        } else if !equal && self.peers.get(&from).is_some_and(|peer| self.now.mono >= peer.digests_sent + GOSSIP_MS) {
            // The other one asks; it may not know yet that there is something to ask.
            self.send_digests(from, out);
        }
    }

    fn send_summary(&mut self, to: NodeId, out: &mut Vec<Effect>) {
        let (first, last) = (FactId([0; 32]), FactId([255; 32]));
        let ids = self.facts.ids_in(first, last);
        let parts: Vec<&[FactId]> = if ids.is_empty() { vec![&[]] } else { ids.chunks(SUMMARY_IDS_MAX).collect() };
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.wants_due = parts.len();
        }
        let mut from = first;
        for (index, part) in parts.iter().enumerate() {
            let end = if index + 1 == parts.len() { last } else { *part.last().expect("chunks are not empty") };
            let summary = FactSummary { last: index + 1 == parts.len(), from, to: end, ids: part.to_vec() };
            out.push(Effect::Send { to, message: Message::Summary(summary), block: None });
            from = next_id(end);
        }
    }

    /// Sends what the asker lacks in that range, then asks for what is lacking here.
    pub(super) fn summary(&mut self, from: NodeId, summary: &FactSummary, out: &mut Vec<Effect>) {
        let mine = self.facts.ids_in(summary.from, summary.to);
        let lacking = |has: &[FactId], ids: &[FactId]| -> Vec<FactId> {
            ids.iter().filter(|id| has.binary_search(id).is_err()).copied().collect()
        };
        let theirs = lacking(&summary.ids, &mine);
        self.send_by_id(from, &theirs, out);
        let ids = lacking(&mine, &summary.ids);
        if summary.last
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.exchange_ends = true;
        }
        out.push(Effect::Send { to: from, message: Message::Want(WantFacts { ids }), block: None });
    }

    pub(super) fn wanted(&mut self, from: NodeId, ids: &[FactId], out: &mut Vec<Effect>) {
        self.send_by_id(from, ids, out);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.wants_due > 0 {
            peer.wants_due -= 1;
            if peer.wants_due == 0 {
                out.push(Effect::Send { to: from, message: Message::Want(WantFacts { ids: Vec::new() }), block: None });
                self.exchange_ended();
            }
        } else if std::mem::take(&mut peer.exchange_ends) {
            self.exchange_ended();
        }
    }

    /// Parents first, as the set keeps them.
    fn send_by_id(&self, to: NodeId, ids: &[FactId], out: &mut Vec<Effect>) {
        if ids.is_empty() {
            return;
        }
        let mut ids: Vec<FactId> = ids.to_vec();
        ids.sort_unstable();
        let facts: Vec<RawFact> =
            self.facts.all().filter(|fact| ids.binary_search(&fact.id()).is_ok()).map(Fact::raw).collect();
        self.send_facts(to, &facts, out);
    }

    fn exchange_ended(&mut self) {
        if !std::mem::replace(&mut self.exchanged, true) {
            self.begin_volumes();
            self.commits_go_on();
        }
    }
}

fn next_id(id: FactId) -> FactId {
    let mut bytes = id.0;
    for byte in bytes.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(1);
        *byte = sum;
        if !carry {
            break;
        }
    }
    FactId(bytes)
}
