//! What every machine works with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ed25519_dalek::SigningKey;
use fsdfs_proto::block::Block;
use fsdfs_proto::control::{look_alike, typed_name};
use fsdfs_proto::identity::{Card, Role, card_flag};
use fsdfs_proto::ids::{Digest, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::message::{Message, RequestId};
use fsdfs_proto::record::RecordInfo;
use fsdfs_proto::volume::VolumeKeys;

use super::event::Event;
use super::net::{Outboxes, Peers, PendingQuestion, Requests};
use super::receipts::RightReceipts;
use super::timers::{Timer, Timers};
use super::unneeded::UnneededBlocks;
use crate::facts::{BranchId, FactSet, MemberStatus};
use crate::limits::{CLOCK_BRANCHES_MIN, NEAR_RTT_MS, PEER_TICK_MS, REPAIR_BYTES_PER_S_MAX, USERS_BUSY_MS};
use crate::placement::ClusterMap;
use crate::report::Notice;
use crate::seam::{DiskRequest, DiskState, Effect, Now, OpId, PeerPath, Refusal, Reply, Token, TrafficClass, Waiter};
use crate::tree::{TreeJob, TreeParams};

/// The state that all machines read, and the only ways out: effects, events, timers.
///
/// It is handed to a machine for the time of one call. A machine changes of it what its own floor is for: connections change
/// `peers` and `requests`, gossip changes `facts`, and so on; nobody but the router changes `now`.
pub(super) struct Context {
    /// The clocks, as of the input that is being handled.
    pub now: Now,
    /// Monotonic milliseconds at the start.
    pub started: u64,
    /// This node.
    pub me: NodeId,
    /// Signs what this node says of itself.
    pub key: SigningKey,
    pub pool: PoolId,
    /// Sizes of trees.
    pub params: TreeParams,
    /// Blocks that are shorter go to each holder directly.
    pub relayed_bytes_min: usize,
    /// Members to try while no cards are known. Never this node.
    pub bootstrap: BTreeMap<NodeId, Vec<String>>,
    /// Seeded once: a run is a function of its inputs.
    pub rng: fastrand::Rng,
    pub timers: Timers,
    pub peers: Peers,
    pub requests: Requests,
    outboxes: Outboxes,
    /// What all members keep. It only grows, but for facts that newer ones supersede.
    pub facts: FactSet,
    /// Grows whenever the facts change.
    pub facts_version: u64,
    /// Grows whenever facts change by which the gate judges.
    pub gate_version: u64,
    /// Of the facts; see [`Context::refresh_map`].
    pub map: ClusterMap,
    /// Digest of the facts that `map` was made from.
    pub map_digest: Digest,
    /// How often it changed: that it is the same again does not mean that it was so all the time.
    pub map_changes: u64,
    /// Bytes on this node's disks that make room for others, as far as was looked.
    pub evictable_bytes: u64,
    /// Keys that an epoch's facts confirm. They write only if they are the current epoch's.
    pub keys: BTreeMap<VolumeId, VolumeKeys>,
    /// Write keys of the epochs of which this node can open the heads.
    pub readable: BTreeSet<PublicKey>,
    /// This node's disks.
    pub disks: Vec<DiskState>,
    /// See [`super::start::Start::collects`].
    pub collects: bool,
    /// Whose blocks they are, as far as it was looked at lately.
    pub receipts: RightReceipts,
    /// Copies here that no state needed at the last mark.
    pub unneeded: UnneededBlocks,
    /// What repair may send in a second; at most [`REPAIR_BYTES_PER_S_MAX`].
    pub repair_bytes_per_s: u64,
    /// Facts were compared with a member since the start.
    pub synced: bool,
    /// Monotonic milliseconds when a block last began to move for a user, here or of another member.
    users_moved: Option<u64>,
    /// Another running node has this node's identity: nothing is confirmed any more, until a restart.
    pub duplicate_identity: bool,
    events: VecDeque<Event>,
    out: Vec<Effect>,
}

/// What a [`Context`] is made of; the rest begins empty.
pub(super) struct Identity {
    pub now: Now,
    pub key: SigningKey,
    pub pool: PoolId,
    pub params: TreeParams,
    pub relayed_bytes_min: usize,
    pub bootstrap: Vec<(NodeId, Vec<String>)>,
    pub seed: u64,
    pub disks: Vec<DiskState>,
    pub collects: bool,
}

impl Context {
    pub fn new(identity: Identity) -> Self {
        let Identity { now, key, pool, params, relayed_bytes_min, bootstrap, seed, disks, collects } = identity;
        let me = NodeId(key.verifying_key().to_bytes());
        Self {
            now,
            started: now.mono,
            me,
            key,
            pool,
            params,
            relayed_bytes_min,
            bootstrap: bootstrap.into_iter().filter(|(node, _)| *node != me).collect(),
            rng: fastrand::Rng::with_seed(seed),
            timers: Timers::default(),
            peers: Peers::default(),
            requests: Requests::default(),
            outboxes: Outboxes::default(),
            facts: FactSet::new(pool),
            facts_version: 0,
            gate_version: 0,
            map: ClusterMap::new(Vec::new()),
            map_digest: Digest([0; 32]),
            map_changes: 0,
            evictable_bytes: 0,
            keys: BTreeMap::new(),
            readable: BTreeSet::new(),
            disks,
            collects,
            receipts: RightReceipts::default(),
            unneeded: UnneededBlocks::default(),
            repair_bytes_per_s: REPAIR_BYTES_PER_S_MAX,
            synced: false,
            users_moved: None,
            duplicate_identity: false,
            events: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// Sends effects into `out` until the call is repeated with the same one.
    pub fn swap_effects(&mut self, out: &mut Vec<Effect>) {
        std::mem::swap(&mut self.out, out);
    }

    pub fn take_events(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.events)
    }

    pub fn raise(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Wakes `timer` so many milliseconds from now, or earlier if that was asked before.
    pub fn wake_in(&mut self, ms: u64, timer: Timer) {
        self.timers.set(self.now.mono + ms, timer);
    }

    pub fn push(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    pub fn send(&mut self, to: NodeId, message: Message) {
        self.push(Effect::Send { to, message, block: None, class: TrafficClass::User });
    }

    /// A block that a peer asked for, or that is passed on.
    pub fn send_block(&mut self, to: NodeId, message: Message, block: Option<Block>, class: TrafficClass) {
        self.push(Effect::Send { to, message, block, class });
    }

    /// Asks a peer, as soon as not too much is asked of it already; the answer, or its loss, finds its way by `waiter`.
    pub fn ask(&mut self, to: NodeId, waiter: Waiter, message: impl FnOnce(RequestId) -> Message) {
        self.ask_with(to, waiter, message, None);
    }

    /// The same, with the block that the question announces, and for whom it moves.
    pub fn ask_with(
        &mut self,
        to: NodeId,
        waiter: Waiter,
        message: impl FnOnce(RequestId) -> Message,
        block: Option<(Block, TrafficClass)>,
    ) {
        let request = self.requests.open(to, waiter, self.now.mono);
        self.peers.owes(to, self.now.mono);
        self.wake_in(PEER_TICK_MS, Timer::Peer(to));
        let (block, class) = block.map_or((None, TrafficClass::User), |(block, class)| (Some(block), class));
        self.outboxes.push(to, PendingQuestion { request, message: message(request), block, class });
        self.send_waiting(to);
    }

    /// Expects an answer of a peer that is asked by others for this node; see [`Context::ask`].
    pub fn expect(&mut self, from: NodeId, waiter: Waiter) -> RequestId {
        debug_assert!(self.peers.is_up(from), "an answer of one that is not connected is not to be expected");
        let request = self.requests.open(from, waiter, self.now.mono);
        self.requests.note_sent(request, self.now.mono, false);
        self.peers.owes(from, self.now.mono);
        self.wake_in(PEER_TICK_MS, Timer::Peer(from));
        self.outboxes.expect(from, request);
        request
    }

    /// Nobody waits for an answer that was expected.
    pub fn expect_no_more(&mut self, from: NodeId, request: RequestId) {
        self.outboxes.expect_no_more(from, request);
        self.give_up(from, request);
    }

    /// Sends what waits for a peer, as far as may be.
    fn send_waiting(&mut self, to: NodeId) {
        let now = self.now.mono;
        while let Some(question) = self.outboxes.next(to, now, |request| self.requests.is_open(request)) {
            let PendingQuestion { request, message, block, class } = question;
            // Bytes take as long as the line is slow, and that counts from when they leave; a short question has to be answered
            // in time, wherever it waits.
            let moves_block =
                matches!(message, Message::Store(_) | Message::RelayedStore(_) | Message::Fetch(_) | Message::Pull(_));
            self.requests.note_sent(request, now, moves_block);
            self.push(Effect::Send { to, message, block, class });
        }
    }

    /// A peer answered. Who waits for this answer; none if nobody asked that peer, or nobody waits any more.
    pub fn answered(&mut self, from: NodeId, request: RequestId) -> Option<Waiter> {
        if !self.outboxes.answered(from, request, self.now.mono) {
            return None;
        }
        let waiter = self.close_answered(from, request);
        self.send_waiting(from);
        waiter
    }

    fn close_answered(&mut self, from: NodeId, request: RequestId) -> Option<Waiter> {
        let waiter = self.requests.close(from, request)?;
        self.peers.answered(from, self.now.mono);
        Some(waiter)
    }

    /// Nobody waits for this answer any more. It may be under way still, so it makes no room for others.
    pub fn give_up(&mut self, node: NodeId, request: RequestId) -> Option<Waiter> {
        let waiter = self.requests.close(node, request)?;
        self.peers.gave_up(node);
        Some(waiter)
    }

    /// A connection began or ended: nothing is under way on it, and nothing waits.
    pub fn clear_outbox(&mut self, node: NodeId) {
        self.outboxes.clear(node);
    }

    /// Connected, not silent, and not known to have a disk that hangs; or this node.
    pub fn takes_blocks_now(&self, node: NodeId) -> bool {
        self.is_prompt(node) && !self.outboxes.is_stuck(node, self.peers.moved(node), self.now.mono)
    }

    /// Responsive, and not one that leaves questions unanswered: somebody may be made to wait for it.
    pub fn is_prompt(&self, node: NodeId) -> bool {
        self.responsive(node) && self.peers.is_prompt(node, self.now.mono)
    }

    pub fn disk(&mut self, request: DiskRequest, waiter: Waiter) {
        self.push(Effect::Disk { request, token: Token(waiter) });
    }

    pub fn work(&mut self, job: Box<TreeJob>, waiter: Waiter) {
        self.push(Effect::Work { job, token: Token(waiter) });
    }

    pub fn reply(&mut self, op: OpId, reply: Reply) {
        self.push(Effect::Reply { op, reply });
    }

    pub fn notice(&mut self, notice: Notice) {
        self.push(Effect::Notice(notice));
    }

    /// Connected and not silent, or this node.
    pub fn responsive(&self, node: NodeId) -> bool {
        node == self.me || self.peers.responsive(node)
    }

    /// A block moves for a user.
    pub fn note_users(&mut self) {
        self.users_moved = Some(self.now.mono);
    }

    /// Users move bytes: whatever nobody waits for leaves the disks and lines to them.
    pub fn users_are_busy(&self) -> bool {
        self.users_moved.is_some_and(|at| self.now.mono < at + USERS_BUSY_MS)
    }

    /// N of new blocks.
    pub fn copies(&self) -> u8 {
        self.facts.rules().copies
    }

    /// Whether no state needs this copy, as far as this node knows.
    pub fn is_unneeded(&self, info: &RecordInfo) -> bool {
        self.unneeded.has(info.id, info.renewed, self.params.hour_ms)
    }

    /// Takes new blocks, as its card says.
    pub fn has_room(&self, node: NodeId) -> bool {
        self.card(node).is_none_or(|card| card.flags & card_flag::READ_ONLY == 0)
    }

    /// Whether this node has the key of the current epoch of a volume, to read at least.
    pub fn has_current_key(&self, volume: VolumeId) -> bool {
        let held = self.keys.get(&volume).map(VolumeKeys::read_check);
        held.is_some() && held == self.facts.epoch(volume).map(|epoch| epoch.value().read_check)
    }

    /// Why this node cannot write to the shared volume: it may not, or it has not got the current key yet.
    pub fn lacks_write_key(&self) -> Refusal {
        match self.facts.members().get(&self.me) {
            Some(me) if me.status == MemberStatus::Revoked => Refusal::Revoked,
            Some(me) if me.status == MemberStatus::Removed => Refusal::Removed,
            Some(me) if me.status == MemberStatus::Guest => Refusal::Guest,
            Some(me) if me.role == Role::Reader => Refusal::ReadsOnly,
            Some(me) if me.role == Role::StorageOnly => Refusal::StoresOnly,
            _ => Refusal::NoKey,
        }
    }

    /// The same of reading.
    pub fn lacks_read_key(&self) -> Refusal {
        match self.lacks_write_key() {
            Refusal::ReadsOnly => Refusal::NoKey,
            other => other,
        }
    }

    /// Whether this node is entitled to write and waits for the key of an epoch that began after the one it has.
    pub fn awaits_key(&self, volume: VolumeId) -> bool {
        let lacks = self.keys.get(&volume).is_some_and(|keys| keys.writer().is_none());
        lacks && self.lacks_write_key() == Refusal::NoKey
    }

    /// A block goes there directly in any case. In this node's local network, or at its site, that costs no uplink; over a relay
    /// it would leave two lines for each hop.
    pub fn is_off_chains(&self, node: NodeId) -> bool {
        let (path, rtt_ms) = self.peers.get(node).map_or((PeerPath::Direct, None), |peer| (peer.path, peer.rtt_ms));
        let site = |node| self.card(node).map(|card| card.site.as_str());
        match path {
            PeerPath::Relayed => true,
            PeerPath::Local if rtt_ms.is_none_or(|rtt| rtt < NEAR_RTT_MS) => true,
            _ => site(node).is_some_and(|there| site(self.me) == Some(there)),
        }
    }

    /// What a member said last of itself.
    pub fn card(&self, node: NodeId) -> Option<&Card> {
        Some(self.facts.members().get(&node)?.card.as_ref()?.value())
    }

    /// Is to have new copies, and what it says about those it has counts.
    pub fn is_holder(&self, node: NodeId) -> bool {
        self.has_room(node) && self.peers.is_believed(node)
    }

    /// The name that a member chose; its short id before its card was heard.
    pub fn chosen_name_of(&self, node: NodeId) -> String {
        self.card_name(node).map_or_else(|| node.short(), str::to_owned)
    }

    /// A member as sentences name it. Names are the members' own choice: one that looks like an id, or like another member's
    /// name, is told from it, so that nobody is blamed for what another one does.
    pub fn name_of(&self, node: NodeId) -> String {
        let Some(name) = self.card_name(node) else { return node.short() };
        let others = self
            .facts
            .members()
            .iter()
            .filter(|(other, member)| **other != node && member.status != MemberStatus::Revoked);
        let is_shared = others.filter_map(|(other, _)| self.card_name(*other)).any(|other| look_alike(name, other));
        let typed = typed_name(name);
        if is_shared { format!("{typed} ({})", node.short()) } else { typed.into_owned() }
    }

    fn card_name(&self, node: NodeId) -> Option<&str> {
        Some(self.card(node)?.name.as_str())
    }

    /// Whether the facts say that nothing is to be exchanged with this node.
    pub fn revoked(&self, node: NodeId) -> bool {
        self.facts.members().get(&node).is_none_or(|member| member.status == MemberStatus::Revoked)
    }

    /// This node itself was thrown out, and has heard of it.
    pub fn is_out(&self) -> bool {
        self.facts.members().get(&self.me).is_some_and(|me| me.status == MemberStatus::Revoked)
    }

    /// No other member exists that could know more.
    pub fn alone(&self) -> bool {
        let members = self.facts.members();
        self.bootstrap.is_empty()
            && members.iter().all(|(node, member)| *node == self.me || member.status == MemberStatus::Revoked)
    }

    /// Whether this node may say "none": it has compared facts since its start, or there is nobody to compare with.
    pub fn ready(&self) -> bool {
        self.synced || self.alone()
    }

    /// How far this node's clock is from its connected peers': the median of what the branches say, each with the median of
    /// its members. Two branches have to speak, if the pool has so many beside this node: one member, as however many
    /// members, can be wrong or lie. In a pool of two nobody else can tell, and the friend's clock is believed.
    pub fn clock_off_ms(&self) -> i64 {
        self.clock_confirmed().unwrap_or_default()
    }

    /// The same; none if too few speak.
    pub fn clock_confirmed(&self) -> Option<i64> {
        let mut said = BTreeMap::<BranchId, Vec<i64>>::new();
        for (node, off) in self.peers.clocks_off_ms(self.now) {
            let member = self.facts.members().get(&node).filter(|member| member.status == MemberStatus::Member);
            if let Some(branch) = member.and_then(|member| member.branch) {
                said.entry(branch).or_default().push(off);
            }
        }
        let voices: Vec<i64> = said.into_values().map(median).collect();
        let others = self.facts.branches().into_values().filter(|nodes| nodes.iter().any(|node| *node != self.me));
        if voices.is_empty() || voices.len() < others.count().min(CLOCK_BRANCHES_MIN) {
            return None;
        }
        Some(median(voices).saturating_neg())
    }

    /// Makes the map anew if the facts that it follows from changed. Whether they did.
    pub fn refresh_map(&mut self) -> bool {
        let digest = self.facts.map_digest();
        let changed = digest != self.map_digest;
        if changed {
            self.map_digest = digest;
            self.map_changes += 1;
            self.map = ClusterMap::new(self.facts.servers());
        }
        changed
    }
}

/// Of an even number the two in the middle cannot outvote each other: the smaller difference counts.
fn median(mut offs: Vec<i64>) -> i64 {
    offs.sort_unstable();
    let middle = [offs.len().saturating_sub(1) / 2, offs.len() / 2];
    middle.iter().filter_map(|at| offs.get(*at)).copied().min_by_key(|off| off.unsigned_abs()).unwrap_or_default()
}
