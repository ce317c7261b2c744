//! Reading a block: own disk, then the nearest assigned holder, then the others; whoever is slow gets company.
//!
//! No quorum: one copy anywhere is enough. Bytes are checked against the id before anybody here sees them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{FetchOutcome, FetchReply, FetchRequest, Message};

use super::ReplicationLog;
use super::cache::BlockCache;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::net::PeerState;
use crate::engine::timers::Timer;
use crate::facts::{MemberInfo, MemberStatus};
use crate::limits::{GET_MS_MAX, HEDGE_MS, LOST_LATELY_MS, NOT_YET_RETRY_MS, READ_REPAIR_RETRY_MS};
use crate::report::Notice;
use crate::seam::{BlockPayload, DiskRequest, GetOutcome, GetToken, OpId, ReadDone, Waiter, WriteDone};

/// Reads under way, and the tree blocks that need none.
#[derive(Default)]
pub(in crate::engine) struct Gets {
    /// One read a block: whoever else wants it joins.
    open: BTreeMap<BlockId, OpenGet>,
    /// Tree blocks only; see [`Gets::remember`].
    cache: BlockCache,
}

/// A read under way; all who want the block share it. With no waiter it replaces this node's damaged copy.
#[derive(Default)]
struct OpenGet {
    /// Each is told once; cancelled ones are gone from here.
    waiters: Vec<Waiter>,
    /// Monotonic milliseconds when it began.
    since: u64,
    /// Decides whether peers may be asked, and whether what is found is written here.
    own: OwnCopy,
    /// Everyone asked so far, each at most once unless its answer was "not yet", "damaged" or got lost.
    asked: BTreeMap<NodeId, HolderAnswer>,
    /// Those whose copy was damaged were asked once more.
    last_round: bool,
}

/// This node's own copy. No peer is asked while it is being read.
#[derive(Default, PartialEq, Eq)]
enum OwnCopy {
    #[default]
    /// The store was asked.
    Reading,
    /// It has none, or its disk failed.
    Absent,
    /// The index is being rebuilt.
    NotYet,
    /// To be replaced when an intact one was found.
    Damaged,
}

/// What a server that was asked has said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HolderAnswer {
    /// Nothing yet; asked then.
    Open { since: u64 },
    /// It has none, or sent something else: it is not asked again by this read.
    No,
    /// It could not say then. Forgotten after [`NOT_YET_RETRY_MS`], so that it is asked again.
    NotYet { at: u64 },
    /// Its copy was damaged then. It looks for an intact one itself and may have it long before this read ends: asked once
    /// more when nobody else is left.
    Damaged { at: u64 },
}

impl Gets {
    /// The block, from wherever it is: ends in one [`Event::GetEnded`] for `waiter`.
    pub fn get(&mut self, cx: &mut Context, id: BlockId, waiter: Waiter) {
        if let Some(block) = self.cache.get(&id) {
            return cx.raise(Event::GetEnded { waiter, id, outcome: GetOutcome::Found(block) });
        }
        // Only the first one asks the store; whoever joins waits for the same answers.
        let fresh = !self.open.contains_key(&id);
        let get = self.open.entry(id).or_insert_with(|| OpenGet { since: cx.now.mono, ..OpenGet::default() });
        get.waiters.push(waiter);
        if fresh && cx.disks.is_empty() {
            // Nothing to read here: the first holder is asked when this input has been handled.
            get.own = OwnCopy::Absent;
            cx.wake_in(0, Timer::Get(id));
        } else if fresh {
            cx.disk(DiskRequest::Read { id }, Waiter::Get(GetToken::Own(id)));
        }
    }

    /// A tree block that will be needed again. Its memory counts for the cache from now on: a connection that waits for the permit
    /// of a block that came in must not wait until the cache has forgotten it.
    pub fn remember(&mut self, block: &Block) {
        self.cache.put(&block.clone().unguarded());
    }

    /// The read goes on: whoever else waits shares it, and a damaged copy may hang on it.
    pub fn cancel(&mut self, op: OpId) {
        for get in self.open.values_mut() {
            get.waiters.retain(|waiter| *waiter != Waiter::Client(op));
        }
    }

    /// The store said what it has; now peers may be asked.
    pub fn on_own_read(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId, done: ReadDone) {
        let Some(get) = self.open.get_mut(&id) else { return };
        get.own = match done {
            ReadDone::Found(block) => return self.found(cx, id, &block),
            ReadDone::No | ReadDone::Failed => OwnCopy::Absent,
            ReadDone::NotYet => OwnCopy::NotYet,
            ReadDone::Damaged => OwnCopy::Damaged,
        };
        if get.own == OwnCopy::Damaged && !log.is_under_replicated(id) {
            cx.notice(Notice::DamagedCopy { id });
        }
        self.ask_next(cx, log, id);
    }

    /// This node's copy was found damaged while nobody here waited for it: another is fetched and written.
    pub fn read_repair(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId) {
        if let Entry::Vacant(vacant) = self.open.entry(id) {
            vacant.insert(OpenGet { since: cx.now.mono, ..OpenGet::default() });
            self.on_own_read(cx, log, id, ReadDone::Damaged);
        }
    }

    /// The intact copy was written, or not.
    pub fn on_repaired(&self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId, done: WriteDone) {
        match done {
            WriteDone::New | WriteDone::Already => log.note(id, None),
            WriteDone::Full | WriteDone::Failed => read_repair_later(cx, log, id),
        }
    }

    /// Asks the next server unless one that makes progress was asked lately; ends the read when none is left.
    pub fn ask_next(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId) {
        let now = cx.now.mono;
        let Some(get) = self.open.get_mut(&id).filter(|get| get.own != OwnCopy::Reading) else { return };
        let waits_for =
            |node: &NodeId, since: u64| cx.responsive(*node) && now < since.max(cx.peers.moved(*node)) + HEDGE_MS;
        // One question at a time as long as somebody is making progress: uplinks are slow.
        let busy = get
            .asked
            .iter()
            .any(|(node, answer)| matches!(answer, HolderAnswer::Open { since } if waits_for(node, *since)));
        if busy {
            return cx.wake_in(HEDGE_MS, Timer::Get(id));
        }
        match next_server(cx, get, id) {
            Some(node) => {
                let before = get.asked.insert(node, HolderAnswer::Open { since: now });
                debug_assert!(before.is_none(), "a holder is asked once until its answer is forgotten");
                let fetch = |request| Message::Fetch(FetchRequest { request, id });
                cx.ask(node, Waiter::Get(GetToken::Fetch(id)), fetch);
                cx.wake_in(HEDGE_MS, Timer::Get(id));
            }
            None => self.wait_or_end(cx, log, id),
        }
    }

    /// Nobody is left to ask now. "Not found" is said only when no answer can come any more, or those who cannot say yet have
    /// had [`GET_MS_MAX`].
    fn wait_or_end(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId) {
        let Some(get) = self.open.get(&id) else { return };
        let open =
            get.asked.iter().any(|(node, answer)| matches!(answer, HolderAnswer::Open { .. }) && cx.responsive(*node));
        let not_yet = get.own == OwnCopy::NotYet
            || get.asked.values().any(|answer| matches!(answer, HolderAnswer::NotYet { .. }));
        let still_time = cx.now.mono < get.since + GET_MS_MAX;
        let away = get.away(cx, id);
        let was_lost_lately =
            |node: &NodeId| cx.peers.heard_at(*node).is_some_and(|at| cx.now.mono < at + LOST_LATELY_MS);
        if open || (still_time && (not_yet || away.iter().any(was_lost_lately))) {
            return cx.wake_in(HEDGE_MS, Timer::Get(id));
        }
        if let Some(due) = get.last_round_due() {
            return match due.saturating_sub(cx.now.mono) {
                0 => self.ask_damaged_again(cx, log, id),
                wait => cx.wake_in(wait, Timer::Get(id)),
            };
        }
        let get = self.open.remove(&id).expect("looked up above");
        debug_assert!(get.own != OwnCopy::Reading, "the own store answers before anybody gives up");
        if get.own == OwnCopy::Damaged {
            read_repair_later(cx, log, id);
        }
        let said_no = |node| node == cx.me || get.asked.get(&node) == Some(&HolderAnswer::No);
        // Where a copy is damaged there is one, which may be mended.
        let nowhere = get.own == OwnCopy::Absent && !get.last_round && servers(cx).all(said_no);
        for waiter in get.waiters {
            cx.raise(Event::GetEnded { waiter, id, outcome: GetOutcome::NotFound { away: away.clone(), nowhere } });
        }
    }

    fn ask_damaged_again(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId) {
        if let Some(get) = self.open.get_mut(&id) {
            get.last_round = true;
            get.asked.retain(|_, answer| !matches!(answer, HolderAnswer::Damaged { .. }));
        }
        self.ask_next(cx, log, id);
    }

    /// Time went on: whoever said "not yet" may be asked again, and whoever is slow gets company.
    pub fn on_due(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId) {
        let now = cx.now.mono;
        let Some(get) = self.open.get_mut(&id) else { return };
        let again = |at: u64| now >= at + NOT_YET_RETRY_MS;
        get.asked.retain(|_, answer| !matches!(answer, HolderAnswer::NotYet { at } if again(*at)));
        if get.own == OwnCopy::NotYet && now < get.since + GET_MS_MAX {
            get.own = OwnCopy::Reading;
            cx.disk(DiskRequest::Read { id }, Waiter::Get(GetToken::Own(id)));
        }
        self.ask_next(cx, log, id);
    }

    /// A peer answered. Bytes that are not the block count as "no", and against the peer.
    pub fn on_fetch_reply(
        &mut self,
        cx: &mut Context,
        log: &mut ReplicationLog,
        (id, from): (BlockId, NodeId),
        reply: &FetchReply,
        payload: BlockPayload,
    ) {
        match payload {
            BlockPayload::Block(block) if block.id() == id => return self.found(cx, id, &block),
            BlockPayload::Wrong | BlockPayload::Block(_) => {
                cx.peers.note_wrong_block(from);
                cx.notice(Notice::WrongBlock { name: cx.name_of(from), id });
            }
            BlockPayload::None => {}
        }
        let at = cx.now.mono;
        let Some(get) = self.open.get_mut(&id) else { return };
        let answer = match reply.outcome {
            FetchOutcome::NotYet => HolderAnswer::NotYet { at },
            FetchOutcome::Damaged if !get.last_round => HolderAnswer::Damaged { at },
            _ => HolderAnswer::No,
        };
        get.asked.insert(from, answer);
        self.ask_next(cx, log, id);
    }

    /// The question got lost with its connection: the peer may be asked again when it is back.
    pub fn on_lost(&mut self, cx: &mut Context, log: &mut ReplicationLog, id: BlockId, node: NodeId) {
        if let Some(get) = self.open.get_mut(&id) {
            get.asked.remove(&node);
        }
        self.ask_next(cx, log, id);
    }

    /// All reads under way.
    pub fn ids(&self) -> Vec<BlockId> {
        self.open.keys().copied().collect()
    }

    /// The only end with a block. It replaces this node's damaged copy, if that is why, or also why, it was looked for.
    fn found(&mut self, cx: &mut Context, id: BlockId, block: &Block) {
        assert_eq!(block.id(), id, "no block leaves a read but the one it was asked for");
        let Some(get) = self.open.remove(&id) else { return };
        if get.own == OwnCopy::Damaged {
            cx.disk(DiskRequest::Mend { block: block.clone() }, Waiter::Get(GetToken::ReadRepair(id)));
        }
        for waiter in get.waiters {
            cx.raise(Event::GetEnded { waiter, id, outcome: GetOutcome::Found(block.clone()) });
        }
    }
}

impl OpenGet {
    /// Those who are assigned it and cannot be asked: whoever reads this knows whom to wake.
    fn away(&self, cx: &Context, id: BlockId) -> Vec<NodeId> {
        let assigned = cx.map.holders(id, cx.copies());
        debug_assert!(assigned.len() <= usize::from(cx.copies()), "no more than it has copies");
        assigned.iter().map(|holder| holder.node).filter(|node| !cx.responsive(*node)).collect()
    }

    /// When those whose copy was damaged are asked once more, in monotonic milliseconds; `None` if nobody is.
    fn last_round_due(&self) -> Option<u64> {
        let damaged = self.asked.values().filter_map(|answer| match answer {
            HolderAnswer::Damaged { at } => Some(at + NOT_YET_RETRY_MS),
            _ => None,
        });
        damaged.max()
    }
}

/// All that may hold a block: also guests, and members that were removed and hand over what they have.
fn servers(cx: &Context) -> impl Iterator<Item = NodeId> {
    let has_disks = |member: &MemberInfo| member.card.as_ref().is_some_and(|card| !card.value().disks.is_empty());
    let serves = |status| matches!(status, MemberStatus::Member | MemberStatus::Guest | MemberStatus::Removed);
    let members = cx.facts.members().iter();
    members.filter(move |(_, member)| serves(member.status) && has_disks(member)).map(|(node, _)| *node)
}

/// The assigned holders by the wait that is expected, then all other servers in placement order, then whoever else is
/// connected.
fn next_server(cx: &Context, get: &OpenGet, id: BlockId) -> Option<NodeId> {
    let copies = cx.copies();
    let order: Vec<NodeId> = cx.map.order(id, copies).iter().map(|holder| holder.node).collect();
    let (assigned, others) = order.split_at(usize::from(copies).min(order.len()));
    let mut near: Vec<NodeId> = assigned.to_vec();
    // Whoever leaves questions unanswered is asked when nobody else is left.
    let last = |node: &NodeId| !cx.peers.is_prompt(*node, cx.now.mono);
    near.sort_by_key(|node| (last(node), cx.peers.get(*node).map_or(0, PeerState::wait_expected)));
    let rest = cx.peers.up();
    let can_be_asked = |node: &&NodeId| **node != cx.me && cx.responsive(**node) && !get.asked.contains_key(node);
    let all = || near.iter().chain(others).chain(&rest).filter(can_be_asked);
    all().find(|node| !last(node)).or_else(|| all().next()).copied()
}

/// Nobody who is there has an intact copy, or the disk did not take it.
fn read_repair_later(cx: &mut Context, log: &mut ReplicationLog, id: BlockId) {
    log.note(id, Some(1));
    cx.wake_in(READ_REPAIR_RETRY_MS, Timer::ReadRepair(id));
}

#[cfg(test)]
mod tests;
