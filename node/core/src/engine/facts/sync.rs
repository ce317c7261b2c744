//! Comparing facts. Two members with unequal digests exchange ids and then what the other lacks.
//!
//! The smaller id asks, so that it happens once: summary (in parts) → facts and [`Message::Want`] for each part → the facts
//! wanted → an empty `Want` and a ping. With the last part's `Want` the asker knows what the other had, with the empty one the
//! other knows what the asker had; from then on a node may say "none" instead of "not yet". The pong lets the asker know that
//! both know: only an exchange of which that is known is one ([`Event::FactsExchanged`]).

use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::{Digest, FactId, NodeId};
use fsdfs_proto::message::{FactDigests, FactSummary, Message, SUMMARY_IDS_MAX, WantFacts};

use super::Gossip;
use super::gossip::some_of;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::net::PeerState;
use crate::engine::timers::Timer;
use crate::limits::{DIGESTS_IDLE_MS, GOSSIP_MS, SUMMARY_MS};

/// Where every comparison begins.
const FIRST_ID: FactId = FactId([0; 32]);

/// Promise: two connected members come to know the same facts, each comparison in at most three messages a part. What it
/// remembers of a comparison stands with the peer ([`crate::engine::net::PeerState`]), and ends with its connection.
pub(in crate::engine) struct FactSync;

impl FactSync {
    /// This node's last heartbeat, and the peer's own as it was last heard here: should it not be the peer's, another node has
    /// its identity.
    pub fn show_heartbeats(&self, cx: &mut Context, gossip: &mut Gossip, node: NodeId) {
        for whose in [cx.me, node] {
            let beat = cx.facts.members().get(&whose).and_then(|member| member.heartbeat.clone());
            if let Some(beat) = beat {
                gossip.send(cx, node, &[Fact::from(beat).raw()]);
            }
        }
    }

    /// One random peer is named: those it lacks keys from are asked, too. Digests go to it, unless it had the same ones lately.
    pub fn on_gossip_due(&self, cx: &mut Context) -> Option<NodeId> {
        cx.wake_in(GOSSIP_MS, Timer::Gossip);
        let peers = cx.peers.up();
        let to = some_of(cx, peers, 1).pop()?;
        let (now, digest) = (cx.now.mono, cx.facts.gossip_digest());
        let is_idle = |peer: &PeerState| peer.digest_sent == Some(digest) && now < peer.digests_sent + DIGESTS_IDLE_MS;
        if !cx.peers.get(to).is_some_and(is_idle) {
            self.send_digests(cx, to);
        }
        Some(to)
    }

    /// A request named another map than ours: one of us lacks facts.
    pub fn compare_maps(&self, cx: &mut Context, from: NodeId, theirs: Digest) {
        let Some(peer) = cx.peers.get(from).filter(|peer| peer.up) else { return };
        if theirs != cx.map_digest && cx.now.mono >= peer.digests_sent + GOSSIP_MS {
            self.send_digests(cx, from);
        }
    }

    /// What this node knows, in two hashes; unequal ones begin a comparison.
    pub fn send_digests(&self, cx: &mut Context, to: NodeId) {
        let gossip = cx.facts.gossip_digest();
        if let Some(peer) = cx.peers.get_mut(to) {
            (peer.digests_sent, peer.digest_sent) = (cx.now.mono, Some(gossip));
        }
        let clock = fsdfs_proto::time::Hlc { ms: cx.now.wall, count: 0 };
        let digests = FactDigests { gossip, map: cx.map_digest, clock };
        cx.send(to, Message::Digests(digests));
    }

    /// A peer's digests and clock. Equal ones end the comparison; of unequal ones the smaller id makes a summary.
    pub fn on_digests(&self, cx: &mut Context, from: NodeId, theirs: &FactDigests) {
        let off = i64::try_from(theirs.clock.ms).unwrap_or(i64::MAX).saturating_sub_unsigned(cx.now.wall);
        let equal = theirs.gossip == cx.facts.gossip_digest();
        let Some(peer) = cx.peers.get_mut(from) else { return };
        peer.clock_is_off(off, cx.now);
        if !equal {
            peer.digest_sent = None;
        }
        let asking = peer.wants_due > 0;
        let sent_at = peer.digests_sent;
        // Whoever says "unequal" again and again is not told all ids again and again.
        let again = peer.summary_sent > 0 && cx.now.mono < peer.summary_sent + SUMMARY_MS;
        if equal {
            self.ended(cx, from, cx.now.mono);
        } else if cx.me < from && !asking && !again {
            self.send_summary(cx, from);
        } else if cx.now.mono >= sent_at + GOSSIP_MS {
            // The other one asks; it may not know yet that there is something to ask.
            self.send_digests(cx, from);
        }
    }

    /// All ids of this node, in parts that cover the whole range of ids. As many wants have to come back.
    fn send_summary(&self, cx: &mut Context, to: NodeId) {
        let (first, last) = (FIRST_ID, FactId([255; 32]));
        let ids = cx.facts.ids_in(first, last);
        let parts: Vec<&[FactId]> = if ids.is_empty() { vec![&[]] } else { ids.chunks(SUMMARY_IDS_MAX).collect() };
        if let Some(peer) = cx.peers.get_mut(to) {
            debug_assert_eq!(peer.wants_due, 0, "one comparison at a time");
            peer.wants_due = parts.len();
            (peer.summary_sent, peer.sync_began, peer.end_ping) = (cx.now.mono, cx.now.mono, None);
        }
        let mut from = first;
        for (index, part) in parts.iter().enumerate() {
            let end = if index + 1 == parts.len() { last } else { *part.last().expect("chunks are not empty") };
            let summary = FactSummary { last: index + 1 == parts.len(), from, to: end, ids: part.to_vec() };
            cx.send(to, Message::Summary(summary));
            from = next_id(end);
        }
        debug_assert_eq!(from, first, "the parts cover every id once, and the ids wrap after the last");
    }

    /// Sends what the asker lacks in that range, then asks for what is lacking here.
    pub fn on_summary(&self, cx: &mut Context, gossip: &mut Gossip, from: NodeId, summary: &FactSummary) {
        let mine = cx.facts.ids_in(summary.from, summary.to);
        debug_assert!(mine.is_sorted(), "the set gives ids in order, which the search below needs");
        let lacking = |has: &[FactId], ids: &[FactId]| -> Vec<FactId> {
            ids.iter().filter(|id| has.binary_search(id).is_err()).copied().collect()
        };
        let theirs = lacking(&summary.ids, &mine);
        let ids = lacking(&mine, &summary.ids);
        if let Some(peer) = cx.peers.get_mut(from) {
            if summary.from == FIRST_ID {
                peer.sync_began = cx.now.mono;
            }
            // Nothing was asked of the asker after its last part but this want: its empty one comes when all is answered.
            peer.sync_ends |= summary.last;
        }
        gossip.send_by_id(cx, from, &theirs, Some(Message::Want(WantFacts { ids })));
    }

    /// Sends what the peer lacks. For the one that asked it counts the parts that are answered; for the one that was asked an
    /// end was announced by the last part.
    pub fn on_want(&self, cx: &mut Context, gossip: &mut Gossip, from: NodeId, ids: &[FactId]) {
        gossip.send_by_id(cx, from, ids, None);
        let Some(peer) = cx.peers.get_mut(from) else { return };
        if peer.wants_due > 0 {
            peer.wants_due -= 1;
            if peer.wants_due == 0 {
                let ping = cx.rng.u64(..);
                peer.end_ping = Some(ping);
                gossip.send_by_id(cx, from, &[], Some(Message::Want(WantFacts { ids: Vec::new() })));
                gossip.send_by_id(cx, from, &[], Some(Message::Ping(ping)));
                self.note_synced(cx);
            }
        } else if std::mem::take(&mut peer.sync_ends) {
            let began = peer.sync_began;
            self.ended(cx, from, began);
        }
    }

    /// The peer took in all that was sent before a ping.
    pub fn on_pong(&self, cx: &mut Context, from: NodeId, number: u64) {
        let Some(peer) = cx.peers.get_mut(from) else { return };
        if peer.end_ping.take_if(|ping| *ping == number).is_some() {
            let began = peer.sync_began;
            self.ended(cx, from, began);
        }
    }

    /// A comparison has ended, and both know what either had when it began.
    fn ended(&self, cx: &mut Context, node: NodeId, began: u64) {
        debug_assert!(began <= cx.now.mono, "it began before it ended");
        cx.raise(Event::FactsExchanged { node, began });
        self.note_synced(cx);
    }

    /// The first comparison lets this node say "none"; later ones change nothing here.
    fn note_synced(&self, cx: &mut Context) {
        if !std::mem::replace(&mut cx.synced, true) {
            cx.raise(Event::SyncEnded);
        }
    }
}

/// The id after this one, as a number of 256 bits; after the last one comes the first.
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

#[cfg(test)]
mod tests;
