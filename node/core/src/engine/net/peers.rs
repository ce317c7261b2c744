//! The table of peers: who is connected, who is silent.
//!
//! A peer is *silent* when it owes an answer and its connection shows no progress, messages or block bytes, for
//! [`crate::limits::SILENT_MS`]. Nothing waits for a silent peer; what it answers later still counts.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{Digest, NodeId};

use crate::limits::{
    EVADED_FORGOTTEN_MS, EVADED_MS_MAX, EVADED_MS_MIN, RELAY_PAUSE_MS_MAX, RELAY_PAUSE_MS_MIN, SHUN_MS_MAX, SHUN_MS_MIN,
};
use crate::seam::{Now, PeerPath};

/// A node this one is, was, or wants to be connected to. Times are monotonic milliseconds.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct PeerState {
    /// The gate let both sides in, and the connection was not reported down since.
    pub up: bool,
    /// Only ever set while `up`.
    pub silent: bool,
    /// Since when it is there: connected, and not silent.
    pub there_since: u64,
    /// When anything came, messages or block bytes in either direction.
    pub heard: u64,
    /// When block bytes moved in either direction.
    pub moved: u64,
    /// Since when it owes an answer, or since its last one; none if it owes nothing.
    pub owes_since: Option<u64>,
    /// Requests it has not answered.
    pub owed: u32,
    /// Number and time of the ping that is under way.
    pub ping: Option<(u64, u64)>,
    /// The way that packets take, as of the last connection of which that is known.
    pub path: PeerPath,
    /// Round trip of the last ping that came back, in this connection.
    pub rtt_ms: Option<u32>,
    /// Its wall clock minus our monotonic one, as of its last digests: so it stays right when our wall clock is put right.
    clock_ms: Option<i64>,
    /// Parts of our summary it has not answered yet: a comparison of facts that this node began.
    pub wants_due: usize,
    /// It asked, and was answered: its empty [`fsdfs_proto::message::WantFacts`] ends the comparison.
    pub sync_ends: bool,
    /// When the comparison that runs began.
    pub sync_began: u64,
    /// The ping behind the last message of a comparison that this node began: with its pong it has ended for both.
    pub end_ping: Option<u64>,
    /// When digests went to it last, in this connection; 0 if never.
    pub digests_sent: u64,
    /// The digest of facts that went to it last, in this connection, if nothing showed since that it has others.
    pub digest_sent: Option<Digest>,
    /// With whom it exchanges facts itself, as it said last in this connection: these it hears without others.
    pub hears: Option<BTreeSet<NodeId>>,
    /// When the ids of all facts went to it last, in this connection; 0 if never.
    pub summary_sent: u64,
    /// Blocks it sent whose bytes were not what their id says, since the start.
    pub wrong_blocks: u64,
    /// It proved lately that it has what it says.
    pub proven: bool,
    /// It failed so many audits that what it says to have counts for nothing.
    pub distrusted: bool,
    /// What it did that no honest node does, since the start; and until when it is not talked to.
    shunned: PeerPause,
    /// It was there and left questions unanswered; and until when nobody waits for its answers.
    evaded: PeerPause,
    /// It did not pass blocks on; and until when it is not asked to.
    relays_not: PeerPause,
}

/// How often something happened, and until when it counts: longer each time.
#[derive(Clone, Copy, Debug, Default)]
struct PeerPause {
    times: u32,
    until: u64,
}

impl PeerPause {
    fn begin(&mut self, now: u64, (ms_min, ms_max): (u64, u64)) {
        let ms = ms_min.saturating_mul(1 << self.times.min(16)).min(ms_max);
        *self = Self { times: self.times.saturating_add(1), until: now + ms };
    }

    /// The same, but what happens while it counts is one time with what it began with, and long after it all begins anew.
    fn begin_again(&mut self, now: u64, forgotten_ms: u64, range: (u64, u64)) {
        if now < self.until {
            return;
        }
        if now > self.until + forgotten_ms {
            self.times = 0;
        }
        self.begin(now, range);
    }
}

impl PeerState {
    /// Its clock minus ours, as it said just now.
    pub fn clock_is_off(&mut self, off_ms: i64, now: Now) {
        self.clock_ms = Some(off_ms.saturating_add(wall_ahead_ms(now)));
    }

    /// Grows with the round trip and with the questions it has not answered yet, so that a long read uses the uplinks of all
    /// holders that are about as near, and of far ones only while the near ones are busy. In no unit.
    pub fn wait_expected(&self) -> u64 {
        let rtt_ms = self.rtt_ms.unwrap_or_default().max(1);
        u64::from(self.owed + 1) * u64::from(rtt_ms)
    }
}

/// Everyone who was ever dialled or connected since the start.
#[derive(Default)]
pub(in crate::engine) struct Peers(BTreeMap<NodeId, PeerState>);

impl Peers {
    pub fn get(&self, node: NodeId) -> Option<&PeerState> {
        self.0.get(&node)
    }

    pub fn get_mut(&mut self, node: NodeId) -> Option<&mut PeerState> {
        self.0.get_mut(&node)
    }

    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &PeerState)> {
        self.0.iter().map(|(node, peer)| (*node, peer))
    }

    /// Whether a peer exchanges facts itself with a member, as it said.
    pub fn hears(&self, peer: NodeId, member: NodeId) -> bool {
        self.get(peer).and_then(|peer| peer.hears.as_ref()).is_some_and(|hears| hears.contains(&member))
    }

    /// Begins an entry; false if there is one.
    pub fn add(&mut self, node: NodeId) -> bool {
        let fresh = !self.0.contains_key(&node);
        self.0.entry(node).or_default();
        fresh
    }

    /// A connection came up. What was known of an earlier one is forgotten, but for what it did: a new connection is no new peer.
    pub fn on_up(&mut self, node: NodeId, now: u64) {
        let peer = self.0.entry(node).or_default();
        // Its way may be said before.
        let PeerState { path, wrong_blocks, proven, distrusted, shunned, evaded, relays_not, .. } = *peer;
        let fresh = PeerState { up: true, there_since: now, heard: now, moved: now, ..PeerState::default() };
        *peer = PeerState { path, wrong_blocks, proven, distrusted, shunned, evaded, relays_not, ..fresh };
    }

    /// Packets take another way to it.
    pub fn set_path(&mut self, node: NodeId, path: PeerPath) {
        self.0.entry(node).or_default().path = path;
    }

    /// The connection is gone. Whether there was an entry.
    pub fn on_down(&mut self, node: NodeId) -> bool {
        let Some(peer) = self.0.get_mut(&node) else { return false };
        peer.up = false;
        peer.silent = false;
        peer.sync_ends = false;
        peer.wants_due = 0;
        peer.end_ping = None;
        true
    }

    pub fn is_up(&self, node: NodeId) -> bool {
        self.0.get(&node).is_some_and(|peer| peer.up)
    }

    /// Connected and not silent.
    pub fn responsive(&self, node: NodeId) -> bool {
        self.0.get(&node).is_some_and(|peer| peer.up && !peer.silent)
    }

    /// When anything came from it last; none if nothing ever did.
    pub fn heard_at(&self, node: NodeId) -> Option<u64> {
        self.0.get(&node).map(|peer| peer.heard).filter(|heard| *heard > 0)
    }

    /// The connected ones, silent ones too, in the order of their ids.
    pub fn up(&self) -> Vec<NodeId> {
        self.0.iter().filter(|(_, peer)| peer.up).map(|(node, _)| *node).collect()
    }

    pub fn any_up(&self) -> bool {
        self.0.values().any(|peer| peer.up)
    }

    /// Something came from the peer. Whether it was silent until now.
    pub fn note_alive(&mut self, node: NodeId, now: u64) -> bool {
        let Some(peer) = self.0.get_mut(&node) else { return false };
        debug_assert!(peer.up || !peer.silent, "whoever is not connected is down, not silent");
        peer.heard = now;
        if peer.silent {
            peer.there_since = now;
        }
        std::mem::take(&mut peer.silent)
    }

    /// Bytes of a block came from it or left for it.
    pub fn note_moved(&mut self, node: NodeId, now: u64) {
        if let Some(peer) = self.0.get_mut(&node) {
            peer.moved = now;
        }
    }

    /// When block bytes moved last; 0 if never.
    pub fn moved(&self, node: NodeId) -> u64 {
        self.0.get(&node).map_or(0, |peer| peer.moved)
    }

    /// One more answer is owed.
    pub fn owes(&mut self, node: NodeId, now: u64) {
        let peer = self.0.entry(node).or_default();
        peer.owed += 1;
        let since = *peer.owes_since.get_or_insert(now);
        debug_assert!(since <= now, "asked in the future");
    }

    /// One answer less is owed. What is still owed starts to count again: the peer does make progress.
    pub fn answered(&mut self, node: NodeId, now: u64) {
        if let Some(peer) = self.0.get_mut(&node) {
            peer.owed = peer.owed.saturating_sub(1);
            peer.owes_since = (peer.owed > 0).then_some(now);
            debug_assert_eq!(peer.owed > 0, peer.owes_since.is_some(), "it is watched as long as it owes something");
        }
    }

    /// One answer less is waited for, though none came: no sign of progress.
    pub fn gave_up(&mut self, node: NodeId) {
        if let Some(peer) = self.0.get_mut(&node) {
            peer.owed = peer.owed.saturating_sub(1);
            if peer.owed == 0 {
                peer.owes_since = None;
            }
        }
    }

    /// A pong came back. When its ping was sent; none if it is not that of the last one.
    pub fn ponged(&mut self, node: NodeId, number: u64, now: u64) -> Option<u64> {
        let peer = self.0.get_mut(&node)?;
        let (_, at) = peer.ping.filter(|(sent, _)| *sent == number)?;
        peer.ping = None;
        peer.rtt_ms = Some(u32::try_from(now - at).unwrap_or(u32::MAX));
        Some(at)
    }

    /// It is there, and did not answer what it was asked: for a while nobody waits for its answers, longer each time. That several
    /// questions end together is one time.
    pub fn note_evaded(&mut self, node: NodeId, now: u64) {
        let evaded = &mut self.0.entry(node).or_default().evaded;
        evaded.begin_again(now, EVADED_FORGOTTEN_MS, (EVADED_MS_MIN, EVADED_MS_MAX));
    }

    /// It had a block to pass on, and did not in time: for a while it is not asked to.
    pub fn note_not_relayed(&mut self, node: NodeId, now: u64) {
        let relays_not = &mut self.0.entry(node).or_default().relays_not;
        relays_not.begin_again(now, EVADED_FORGOTTEN_MS, (RELAY_PAUSE_MS_MIN, RELAY_PAUSE_MS_MAX));
    }

    /// Whether blocks can be sent through it.
    pub fn relays(&self, node: NodeId, now: u64) -> bool {
        self.0.get(&node).is_some_and(|peer| peer.up && now >= peer.relays_not.until)
    }

    /// Whether its answers are worth waiting for: it left none out lately.
    pub fn is_prompt(&self, node: NodeId, now: u64) -> bool {
        self.0.get(&node).is_none_or(|peer| now >= peer.evaded.until)
    }

    /// It is no member any more: what was found out about it matters to nobody.
    pub fn forget_findings(&mut self, node: NodeId) {
        if let Some(peer) = self.0.get_mut(&node) {
            (peer.wrong_blocks, peer.proven, peer.distrusted) = (0, false, false);
        }
    }

    /// It sent bytes that are not the block it announced.
    pub fn note_wrong_block(&mut self, node: NodeId) {
        if let Some(peer) = self.0.get_mut(&node) {
            peer.wrong_blocks += 1;
        }
    }

    /// Whether what it says about blocks counts: it did not fail its audits.
    pub fn is_believed(&self, node: NodeId) -> bool {
        self.0.get(&node).is_none_or(|peer| !peer.distrusted)
    }

    /// Whether it proved lately that it has what it says.
    pub fn is_proven(&self, node: NodeId) -> bool {
        self.0.get(&node).is_some_and(|peer| peer.proven && !peer.distrusted)
    }

    /// It did what no honest node does: nothing is exchanged with it for a while, longer each time.
    pub fn shun(&mut self, node: NodeId, now: u64) {
        self.0.entry(node).or_default().shunned.begin(now, (SHUN_MS_MIN, SHUN_MS_MAX));
    }

    /// Until when nothing is exchanged with it; none if it is talked to.
    pub fn shunned_until(&self, node: NodeId, now: u64) -> Option<u64> {
        self.0.get(&node).map(|peer| peer.shunned.until).filter(|until| now < *until)
    }

    /// Of the connected ones: their clocks minus ours.
    pub fn clocks_off_ms(&self, now: Now) -> impl Iterator<Item = (NodeId, i64)> {
        let own = wall_ahead_ms(now);
        let up = self.0.iter().filter(|(_, peer)| peer.up);
        up.filter_map(move |(node, peer)| Some((*node, peer.clock_ms?.saturating_sub(own))))
    }
}

/// How far this node's wall clock is ahead of its monotonic one.
fn wall_ahead_ms(now: Now) -> i64 {
    i64::try_from(now.wall).unwrap_or(i64::MAX).saturating_sub_unsigned(now.mono)
}

#[cfg(test)]
mod tests;
