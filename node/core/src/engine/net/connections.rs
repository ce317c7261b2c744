//! Connections: every member is connected or being dialled, and whoever owes answers is watched.
//!
//! Promise: a request ends within [`SILENT_MS`] of silence for those who can go on without it, and within about
//! [`STALL_MS`] of no progress for good.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{Message, RequestId};

use super::{OpenRequest, PeerState};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::timers::Timer;
use crate::limits::{
    DIAL_GROUP_MS, DIAL_MS_MAX, DIAL_MS_MIN, DIAL_TIEBREAK_MS, DIALS_AT_ONCE, PEER_TICK_MS, PING_AFTER_MS,
    REPAIR_BYTES_PER_S_MAX, SHUN_MS_MAX, SILENT_MS, STALL_MS, TRANSFER_GRACE_MS_MAX,
};
use crate::seam::{Effect, PutToken, RepairToken, Waiter};

/// Attempts to reach a node.
#[derive(Debug, Default)]
struct Dialling {
    /// An attempt is under way.
    running: bool,
    /// Milliseconds until the next one, before jitter; doubles.
    pause: u64,
}

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Connections {
    /// Of nodes that are not connected; a connection that comes up ends the entry and with it the back-off.
    dialling: BTreeMap<NodeId, Dialling>,
}

impl Connections {
    /// A connection came up. If it replaced another, what was asked on the old one may be lost.
    pub fn on_up(&mut self, cx: &mut Context, node: NodeId) {
        // Picked before the table forgets the old connection, told after the new one stands: who asks again may ask this peer.
        let lost = questions(cx, node, |_, _| true);
        cx.peers.on_up(node, cx.now.mono);
        self.dialling.remove(&node);
        cx.clear_outbox(node);
        lose(cx, lost, node);
        debug_assert!(cx.requests.of(node).next().is_none(), "a new connection begins without open questions");
    }

    /// The connection is gone. Whether the node was known; then it is to be dialled again.
    pub fn on_down(&mut self, cx: &mut Context, node: NodeId) -> bool {
        let known = cx.peers.on_down(node);
        if known {
            self.dialling.insert(node, Dialling::default());
            cx.clear_outbox(node);
            lose(cx, questions(cx, node, |_, _| true), node);
            debug_assert!(cx.requests.of(node).next().is_none(), "nobody waits for a node that is gone");
        }
        known
    }

    /// Neither the addresses of the last attempt nor Kademlia led to it.
    pub fn on_unreachable(&mut self, cx: &mut Context, node: NodeId) {
        cx.peers.add(node);
        self.dialling.entry(node).or_default().running = false;
        if !cx.peers.is_up(node) {
            self.dial_later(cx, node);
        }
    }

    /// Measures the round trip, and shows whether the peer is there.
    pub fn ping(&self, cx: &mut Context, node: NodeId) {
        let number = cx.rng.u64(..);
        let now = cx.now.mono;
        if let Some(peer) = cx.peers.get_mut(node) {
            peer.ping = Some((number, now));
            cx.send(node, Message::Ping(number));
        }
    }

    /// Looks at a peer that owes answers, or that is silent: pings it, calls it silent, gives up stalled questions.
    /// `moves_block`: whether a request ends with the bytes of a block, which take as long as the line is slow.
    pub fn on_peer_due(&mut self, cx: &mut Context, node: NodeId, moves_block: impl Fn(&Waiter) -> bool) {
        let now = cx.now.mono;
        let Some(peer) = cx.peers.get(node).filter(|peer| peer.up && (peer.owed > 0 || peer.silent)) else { return };
        // Quiet before it was asked anything is no sign: a peer that nobody talks to is silent with good reason.
        let quiet = now - peer.heard.max(peer.owes_since.unwrap_or(0)).min(now);
        let pause = if peer.silent { SILENT_MS } else { PING_AFTER_MS };
        // Whoever says this and that, but not what it was asked, is pinged, too: its pong tells (see `on_pong`).
        let skips = || cx.requests.of(node).any(|(_, asked)| is_skipped(asked, now.saturating_sub(PING_AFTER_MS)));
        let pause_over = peer.ping.is_none_or(|(_, at)| now - at >= pause);
        let ping_due = pause_over && (quiet >= PING_AFTER_MS || skips());
        let falls_silent = !peer.silent && quiet >= SILENT_MS;
        // First of all, so that whatever follows finds the peer watched for as long as it owes something.
        cx.wake_in(PEER_TICK_MS, Timer::Peer(node));
        if ping_due {
            self.ping(cx, node);
        }
        if falls_silent {
            self.falls_silent(cx, node);
        }
        let stalled = questions(cx, node, |cx, asked| is_stalled(cx, asked, &moves_block));
        let counts = |waiter: &Waiter| !is_held_back(cx, waiter);
        if stalled.values().any(counts) && cx.peers.responsive(node) {
            cx.peers.note_evaded(node, now);
        }
        lose(cx, stalled, node);
    }

    /// A pong came back whose ping was sent at `at`. Messages keep their order, and some questions are answered before anything that
    /// came after them: whoever answers the ping and not these will not, and nobody waits for it.
    pub fn on_pong(&self, cx: &mut Context, node: NodeId, at: u64) {
        let skipped = questions(cx, node, |_, asked| is_skipped(asked, at));
        if !skipped.is_empty() {
            cx.peers.note_evaded(node, cx.now.mono);
        }
        // It may answer late all the same.
        for waiter in skipped.into_values() {
            cx.raise(Event::PeerSilent { node, waiter });
        }
    }

    /// Everything that waits for this peer looks for another one; the questions stay open.
    fn falls_silent(&self, cx: &mut Context, node: NodeId) {
        if let Some(peer) = cx.peers.get_mut(node) {
            debug_assert!(peer.up, "whoever is not connected is down, not silent");
            peer.silent = true;
        }
        for waiter in questions(cx, node, |_, _| true).into_values() {
            cx.raise(Event::PeerSilent { node, waiter });
        }
    }

    /// Sees to it that every member is connected or being dialled.
    pub fn dial_members(&self, cx: &mut Context) {
        let known: Vec<NodeId> = cx.facts.members().keys().chain(cx.bootstrap.keys()).copied().collect();
        for node in known {
            if node == cx.me || !cx.peers.add(node) {
                continue;
            }
            // Both ends dial; the smaller id goes first, or both would succeed and one connection be wasted.
            let wait = if cx.me < node || cx.bootstrap.contains_key(&node) { 1 } else { DIAL_TIEBREAK_MS };
            cx.wake_in(wait, Timer::Dial(node));
        }
    }

    /// After an attempt that failed, or a connection that broke: later and later.
    pub fn dial_later(&mut self, cx: &mut Context, node: NodeId) {
        cx.peers.add(node);
        let dialling = self.dialling.entry(node).or_default();
        dialling.pause = (dialling.pause * 2).clamp(DIAL_MS_MIN, DIAL_MS_MAX);
        let pause = dialling.pause;
        let tiebreak = if cx.me < node { 0 } else { DIAL_TIEBREAK_MS };
        let jitter = cx.rng.u64(0..=pause / 2);
        cx.wake_in(pause + tiebreak + jitter, Timer::Dial(node));
    }

    /// A member's addresses changed, or it was heard of: try again soon.
    pub fn dial_soon(&mut self, cx: &mut Context, node: NodeId) {
        if cx.peers.get(node).is_none_or(|peer| peer.up) {
            return;
        }
        self.dialling.entry(node).or_default().pause = 0;
        cx.wake_in(DIAL_MS_MIN, Timer::Dial(node));
    }

    /// Whatever an attempt came to before says nothing any more: all members that are not connected are tried, as soon as may be.
    pub fn dial_anew(&mut self, cx: &mut Context) {
        let down = |(node, peer): (NodeId, &PeerState)| (!peer.up).then_some(node);
        let gone: Vec<NodeId> = cx.peers.iter().filter_map(down).collect();
        for (wait, group) in (1..).step_by(DIAL_GROUP_MS).zip(gone.chunks(DIALS_AT_ONCE)) {
            for node in group {
                self.dialling.entry(*node).or_default().pause = 0;
                cx.wake_in(wait, Timer::Dial(*node));
            }
        }
    }

    /// Tries all known addresses of a node: its card's, then the ticket's. One attempt a node is under way; whoever was revoked
    /// is not tried.
    pub fn on_dial_due(&mut self, cx: &mut Context, node: NodeId) {
        let from_ticket = cx.bootstrap.contains_key(&node) && !cx.facts.members().contains_key(&node);
        let dialling = self.dialling.get(&node).is_some_and(|dialling| dialling.running);
        let wanted = cx.peers.get(node).is_some_and(|peer| !peer.up) && !dialling;
        // Whoever is out itself is let in nowhere.
        if !wanted || cx.is_out() || (!from_ticket && cx.revoked(node)) {
            return;
        }
        if let Some(until) = cx.peers.shunned_until(node, cx.now.mono) {
            return cx.timers.set(until, Timer::Dial(node));
        }
        self.dialling.entry(node).or_default().running = true;
        let card = cx.facts.members().get(&node).and_then(|member| member.card.as_ref());
        let mut addrs = card.map(|card| card.value().addrs.clone()).unwrap_or_default();
        for addr in cx.bootstrap.get(&node).into_iter().flatten() {
            if !addrs.contains(addr) {
                addrs.push(addr.clone());
            }
        }
        cx.push(Effect::Connect { node, addrs });
    }

    /// Whoever was revoked is talked to no more, and what was found out about it is forgotten.
    pub fn disconnect_revoked(&self, cx: &mut Context) {
        let known: Vec<(NodeId, bool)> = cx.peers.iter().map(|(node, peer)| (node, peer.up)).collect();
        for (node, is_up) in known {
            if !cx.revoked(node) {
                continue;
            }
            cx.peers.forget_findings(node);
            if is_up {
                cx.push(Effect::Disconnect { node, reason: "revoked", pause_ms: 0 });
            }
        }
    }
}

/// It sent a fact whose signature is wrong. The connection is over, and for a while there is no other one.
pub(in crate::engine) fn shun(cx: &mut Context, node: NodeId) {
    cx.peers.shun(node, cx.now.mono);
    refuse_shunned(cx, node, "it sent a fact whose signature is wrong");
}

/// Ends the connection of one that is shunned, and keeps it out until that is over: it would come again at once.
pub(in crate::engine) fn refuse_shunned(cx: &mut Context, node: NodeId, reason: &'static str) {
    let pause_ms = cx.peers.shunned_until(node, cx.now.mono).map_or(0, |until| until - cx.now.mono);
    debug_assert!(pause_ms <= SHUN_MS_MAX, "no pause is longer");
    cx.push(Effect::Disconnect { node, reason, pause_ms });
}

/// Whether a question that is answered in its turn was sent before this moment.
fn is_skipped(asked: &OpenRequest, at: u64) -> bool {
    matches!(asked.waiter, Waiter::Heads(_) | Waiter::Entitled(_)) && asked.sent.is_some_and(|sent| sent < at)
}

/// What others ask a peer for this node is watched by whoever had them ask: the peer may not have got it yet.
///
/// Blocks take as long as their bytes move. Behind them a short answer comes late, which is no excuse for ever.
/// What waits behind others of its kind is excused by answers to those, too.
fn is_stalled(cx: &Context, asked: &OpenRequest, moves_block: impl Fn(&Waiter) -> bool) -> bool {
    if matches!(asked.waiter, Waiter::Put(PutToken::Relayed(_))) {
        return false;
    }
    let answered =
        if asked.sent.is_some() { 0 } else { cx.peers.get(asked.to).and_then(|peer| peer.owes_since).unwrap_or(0) };
    let moved = cx.peers.moved(asked.to).max(answered);
    let excused = if moves_block(&asked.waiter) { moved } else { moved.min(asked.at + TRANSFER_GRACE_MS_MAX) };
    cx.now.mono.saturating_sub(asked.at.max(excused)) >= STALL_MS
}

/// It may be this node that keeps the bytes: whoever waits for them evades nothing.
fn is_held_back(cx: &Context, waiter: &Waiter) -> bool {
    matches!(waiter, Waiter::Repair(RepairToken::Pull(_))) && cx.repair_bytes_per_s < REPAIR_BYTES_PER_S_MAX
}

/// Of the open questions to a peer, those that `which` picks; in the order of asking, which is that of their numbers.
fn questions(
    cx: &Context,
    node: NodeId,
    which: impl Fn(&Context, &OpenRequest) -> bool,
) -> BTreeMap<RequestId, Waiter> {
    let open = cx.requests.of(node).filter(|(_, asked)| which(cx, asked));
    open.map(|(request, asked)| (request, asked.waiter.clone())).collect()
}

/// Nobody answers these any more. All are closed before what waited for them asks again, perhaps the same peer.
fn lose(cx: &mut Context, questions: BTreeMap<RequestId, Waiter>, node: NodeId) {
    for (request, waiter) in questions {
        let closed = cx.give_up(node, request);
        debug_assert_eq!(closed.as_ref(), Some(&waiter), "an open question is closed once");
        cx.raise(Event::RequestLost { node, waiter });
    }
}

#[cfg(test)]
mod tests;
