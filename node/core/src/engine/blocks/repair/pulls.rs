//! Blocks that this node lacks, from those who have them: the most endangered first, a few at a time.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{Holding, PullOutcome, PullReply, PullRequest};
use fsdfs_proto::message::{AttachedBlock, Message, StoreRequest};

use crate::engine::blocks::Holdings;
use crate::engine::blocks::accept::{accepted_block, is_wanted_here, write_of};
use crate::engine::blocks::budget::is_within_budget;
use crate::engine::context::Context;
use crate::engine::net::PeerState;
use crate::limits::{PULL_FULL_MS, PULL_WAIT_MS_MAX, PULLS_MAX, PULLS_OF_ONE_MAX, PULLS_UNDER_WAY_MAX};
use crate::report::Notice;
use crate::seam::{BlockPayload, DiskCondition, DiskState, RepairToken, Waiter, WriteDone};

/// See the module.
#[derive(Default)]
pub(super) struct Pulls {
    /// At most [`PULLS_MAX`]; what is beyond is found again when these are here.
    wanted: BTreeMap<BlockId, WantedBlock>,
    /// The same by how many sites have it, the fewest first.
    order: BTreeSet<(usize, BlockId)>,
    /// Under way: whom each was asked of; none: on its way to the disk.
    open: BTreeMap<BlockId, Option<NodeId>>,
    /// Who said when to ask again.
    paused: BTreeMap<NodeId, u64>,
    /// No disk had room: until then nothing is pulled.
    full_until: u64,
    /// Blocks that came since the start.
    pulled: u64,
}

struct WantedBlock {
    holding: Holding,
    /// When that was said, in monotonic milliseconds: it has grown older since.
    said_at: u64,
    /// Who has it, as it said itself.
    sources: BTreeSet<NodeId>,
    /// Sites that have it, under which it stands in the order; none: it is under way.
    rank: Option<usize>,
}

/// Why a block is to be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PullReason {
    /// Another holder has it, and this node is one.
    Compared,
    /// A member says that it belongs here, or that somebody has to keep it in the place of another one.
    Offered,
}

/// Whether a copy is of no use: no state needed it when its holder looked last, or when this node did, and nobody has asked for it since.
pub(super) fn is_unneeded(cx: &Context, holding: &Holding) -> bool {
    let renewed = cx.now.wall.saturating_sub(holding.lease_ms);
    holding.flags & Holding::UNNEEDED != 0 || cx.unneeded.has(holding.id, renewed, cx.params.hour_ms)
}

impl Pulls {
    /// A member has a block that belongs here. Whether it will be pulled.
    pub fn want(&mut self, cx: &Context, from: NodeId, holding: Holding, reason: PullReason) -> bool {
        let id = holding.id;
        let place = cx.map.holders(id, holding.redundancy.copies()).into_iter().find(|holder| holder.node == cx.me);
        // What lies on a disk that is away for the moment is not lost yet: the card goes on naming that disk for a while.
        let works = |disk: &DiskState| !matches!(disk.condition, DiskCondition::Failing | DiskCondition::Offline);
        let is_here =
            place.as_ref().is_some_and(|place| cx.disks.iter().any(|disk| disk.id == place.disk && works(disk)));
        let is_wanted = match reason {
            PullReason::Compared => is_here,
            PullReason::Offered => {
                is_here || place.is_none() && is_wanted_here(cx, from, id, holding.redundancy.copies())
            }
        };
        let has_room = cx.disks.iter().any(DiskState::takes_blocks);
        if is_unneeded(cx, &holding)
            || !is_wanted
            || !has_room
            || (self.wanted.len() >= PULLS_MAX && !self.wanted.contains_key(&id))
        {
            return false;
        }
        let fresh = || WantedBlock { holding, said_at: cx.now.mono, sources: BTreeSet::new(), rank: None };
        self.wanted.entry(id).or_insert_with(fresh).sources.insert(from);
        debug_assert!(self.wanted.len() <= PULLS_MAX, "what is wanted is bounded");
        if !self.open.contains_key(&id) {
            self.queue(cx, id);
        }
        true
    }

    /// It is here now, however it came.
    pub fn on_held(&mut self, id: BlockId) {
        if !self.open.contains_key(&id) {
            self.forget_one(id);
        }
    }

    /// Other blocks belong here from now on. What is under way still comes, and is accepted if it belongs here.
    pub fn forget(&mut self) {
        self.order.clear();
        self.wanted.retain(|id, _| self.open.contains_key(id));
    }

    fn forget_one(&mut self, id: BlockId) {
        self.unqueue(id);
        self.wanted.remove(&id);
    }

    /// Whoever was revoked, or is not believed, is no source any more; what only such have is not to come.
    pub fn on_presence(&mut self, cx: &Context) {
        let is_source = |node: &NodeId| cx.peers.is_believed(*node) && !cx.revoked(*node);
        let idle = self.wanted.iter().filter(|(id, _)| !self.open.contains_key(*id));
        let changed = idle.filter(|(_, wanted)| !wanted.sources.iter().all(is_source)).map(|(id, _)| *id);
        for id in changed.collect::<Vec<_>>() {
            self.unqueue(id);
            let Some(wanted) = self.wanted.get_mut(&id) else { continue };
            wanted.sources.retain(is_source);
            match wanted.sources.is_empty() {
                true => self.forget_one(id),
                false => self.queue(cx, id),
            }
        }
    }

    /// Into the order, or to another place of it.
    fn queue(&mut self, cx: &Context, id: BlockId) {
        self.unqueue(id);
        if let Some(wanted) = self.wanted.get_mut(&id) {
            debug_assert!(!wanted.sources.is_empty(), "somebody has it");
            let rank = sites(cx, &wanted.sources);
            wanted.rank = Some(rank);
            self.order.insert((rank, id));
        }
    }

    fn unqueue(&mut self, id: BlockId) {
        if let Some(rank) = self.wanted.get_mut(&id).and_then(|wanted| wanted.rank.take()) {
            self.order.remove(&(rank, id));
        }
    }

    /// Asks for as much as may be under way. Nothing while repair may move nothing.
    pub fn go_on(&mut self, cx: &mut Context) {
        if cx.repair_bytes_per_s == 0 || cx.now.mono < self.full_until {
            return;
        }
        self.paused.retain(|_, until| *until > cx.now.mono);
        let mut busy = BTreeMap::<NodeId, usize>::new();
        self.open.values().flatten().for_each(|node| *busy.entry(*node).or_default() += 1);
        let mut begun = Vec::new();
        for (_, id) in &self.order {
            if self.open.len() + begun.len() >= PULLS_UNDER_WAY_MAX {
                break;
            }
            let Some(wanted) = self.wanted.get(id) else { continue };
            let can_be_asked = |node: &&NodeId| {
                cx.responsive(**node)
                    && !self.paused.contains_key(node)
                    && busy.get(node).copied().unwrap_or_default() < PULLS_OF_ONE_MAX
            };
            let wait =
                |node: &&NodeId| (busy.get(node).copied(), cx.peers.get(**node).map_or(0, PeerState::wait_expected));
            if let Some(node) = wanted.sources.iter().filter(can_be_asked).min_by_key(wait).copied() {
                *busy.entry(node).or_default() += 1;
                begun.push((*id, node));
            } else if busy.len() >= wanted.sources.len() && begun.is_empty() && self.order.len() > PULLS_MAX / 2 {
                // Whoever has the first ones is busy with them; to look at tens of thousands each time would take too long.
                break;
            }
        }
        debug_assert!(
            self.open.len() + begun.len() <= PULLS_UNDER_WAY_MAX.max(self.open.len()),
            "what is under way is bounded"
        );
        for (id, node) in begun {
            debug_assert!(!self.open.contains_key(&id), "what is under way is in no order");
            self.unqueue(id);
            self.open.insert(id, Some(node));
            cx.ask(node, Waiter::Repair(RepairToken::Pull(id)), |request| Message::Pull(PullRequest { request, id }));
        }
    }

    /// A source answered. What came is checked as if it had been sent to be stored.
    pub fn on_reply(
        &mut self,
        cx: &mut Context,
        holdings: &Holdings,
        (id, from): (BlockId, NodeId),
        reply: &PullReply,
        payload: BlockPayload,
    ) {
        if self.open.get(&id) != Some(&Some(from)) {
            return;
        }
        match (reply.outcome, payload) {
            (PullOutcome::Found, BlockPayload::Block(block)) if block.id() == id => {
                return self.keep(cx, holdings, from, &block);
            }
            (_, BlockPayload::Wrong | BlockPayload::Block(_)) => {
                cx.peers.note_wrong_block(from);
                cx.notice(Notice::WrongBlock { name: cx.name_of(from), id });
                self.without(cx, id, from);
            }
            (PullOutcome::Later, _) => {
                let until = cx.now.mono + reply.wait_ms.clamp(1, PULL_WAIT_MS_MAX);
                self.paused.insert(from, until);
                self.again(cx, id);
            }
            _ => self.without(cx, id, from),
        }
        self.go_on(cx);
    }

    fn keep(&mut self, cx: &mut Context, holdings: &Holdings, from: NodeId, block: &Block) {
        let id = block.id();
        let Some(wanted) = self.wanted.get(&id) else { return };
        let Holding { redundancy, age_ms, lease_ms, receipt, .. } = wanted.holding;
        let (map, request, more, attached) = (cx.map_digest, 0, false, AttachedBlock::from(block));
        // A copy is no younger than what it is a copy of, and never as young as a put.
        let waited_ms = cx.now.mono.saturating_sub(wanted.said_at);
        let (age_ms, lease_ms) = (age_ms.saturating_add(waited_ms), lease_ms.saturating_add(waited_ms).max(1));
        let store = StoreRequest { request, map, redundancy, age_ms, lease_ms, receipt, more, block: attached };
        let accepted =
            accepted_block(cx, from, &store, block).filter(|_| is_within_budget(cx, holdings, &store, block));
        let Some(redundancy) = accepted else {
            self.without(cx, id, from);
            return self.go_on(cx);
        };
        self.open.insert(id, None);
        let write = write_of(cx, &store, block.clone(), redundancy);
        cx.disk(write, Waiter::Repair(RepairToken::Written(id)));
    }

    /// It is on the disk, or not.
    pub fn on_written(&mut self, cx: &mut Context, id: BlockId, done: WriteDone) {
        let before = self.open.remove(&id);
        debug_assert_eq!(before, Some(None), "it was on its way to the disk");
        self.forget_one(id);
        match done {
            WriteDone::New => self.pulled += 1,
            WriteDone::Already => {}
            // It is found lacking again.
            WriteDone::Full | WriteDone::Failed => self.full_until = cx.now.mono + PULL_FULL_MS,
        }
        self.go_on(cx);
    }

    /// No answer comes: another source, or the same one later.
    pub fn on_lost(&mut self, cx: &mut Context, id: BlockId, node: NodeId) {
        if self.open.get(&id) == Some(&Some(node)) {
            self.again(cx, id);
            if cx.responsive(node) {
                self.paused.insert(node, cx.now.mono + PULL_WAIT_MS_MAX / 2);
            }
        }
        self.go_on(cx);
    }

    fn again(&mut self, cx: &Context, id: BlockId) {
        self.open.remove(&id);
        self.queue(cx, id);
    }

    /// That one does not have it; without a source it is found lacking again.
    fn without(&mut self, cx: &Context, id: BlockId, source: NodeId) {
        self.open.remove(&id);
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        wanted.sources.remove(&source);
        if wanted.sources.is_empty() {
            self.forget_one(id);
        } else {
            self.queue(cx, id);
        }
    }

    /// When a source may be asked again, or a disk may have room; none if nothing waits for that.
    pub fn next_due(&self, cx: &Context) -> Option<u64> {
        if self.order.is_empty() {
            return None;
        }
        let paused = self.paused.values().copied().filter(|until| *until > cx.now.mono).min();
        let full = Some(self.full_until).filter(|until| *until > cx.now.mono);
        full.or(paused)
    }

    /// Blocks that are to come.
    pub fn pending(&self) -> usize {
        self.wanted.len()
    }

    /// Blocks that came since the start.
    pub fn pulled(&self) -> u64 {
        self.pulled
    }
}

/// At how many sites these are.
fn sites(cx: &Context, nodes: &BTreeSet<NodeId>) -> usize {
    let site = |node: &NodeId| cx.map.server(*node).map_or("", |server| &server.site[..]);
    nodes.iter().map(site).collect::<BTreeSet<&str>>().len()
}
