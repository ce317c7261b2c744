//! Top-up: completing what was put before friends joined, while holders were away, or elsewhere than it belongs.
//!
//! A walk goes through this node's records and asks the live wanted holders of each whether they have it (a yes renews
//! its lease). Of those that hold a block, the highest-ranked wanted one sends it to the wanted ones that lack it, a node
//! that is not wanted for it last of all. Whoever is not first leaves it to the one before, which may not know that
//! anything is missing (only this node's link to the other may have broken); so it walks again a little later, and then
//! it is the second's turn, and so on. Nothing is deleted. A walk is cheap where nothing is missing: ids only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{Attached, Claim, Have, Message, Possession, Store, StoreOutcome};
use fsdfs_proto::record::RecordInfo;

use super::peers::Purpose;
use super::put::copies_of;
use super::timers::Timer;
use super::{Engine, Reason, disk};
use crate::limits::{
    SHORT_BLOCKS_MAX, TOPUP_BATCH, TOPUP_BYTES_PER_S_MAX, TOPUP_DELAY_MS, TOPUP_IN_FLIGHT, TOPUP_PERIOD_MS,
    TOPUP_RETRY_MS, TOPUP_TURN_MS,
};
use crate::seam::{DiskRequest, Effect, ReadDone};

/// The walk, if one is under way, and what is due after it.
#[derive(Default)]
pub(super) struct TopUp {
    due: Due,
    walk: Option<Walk>,
    /// Blocks sent since the start.
    pub sent: u64,
    /// Pause before an unfinished walk is repeated.
    retry_ms: u64,
    /// Blocks this node put or looked at that lack copies on the servers that should have them, at most [`SHORT_BLOCKS_MAX`],
    /// and how many copies fewer than asked for there are anywhere, as far as known.
    short: BTreeMap<BlockId, usize>,
    /// Copies beyond those asked for, fewest and most, of the blocks that walks looked at and that lack none.
    spare: Option<(usize, usize)>,
    /// How many better-placed holders have had their turn before this node's next walk.
    turn: usize,
}

/// Which peers' holdings are to be checked by the next walk.
#[derive(Default)]
enum Due {
    #[default]
    Nobody,
    Some(BTreeSet<NodeId>),
    Everybody,
}

impl Due {
    fn add(&mut self, node: NodeId) {
        match self {
            Self::Everybody => {}
            Self::Some(peers) => {
                peers.insert(node);
            }
            Self::Nobody => *self = Self::Some(BTreeSet::from([node])),
        }
    }
}

#[derive(Default)]
struct Walk {
    /// Only records these peers are wanted for, or that this node is not wanted for; none = all.
    peers: Option<BTreeSet<NodeId>>,
    after: Option<BlockId>,
    at_end: bool,
    records: BTreeMap<BlockId, Record>,
    /// Questions not answered yet.
    asking: BTreeMap<NodeId, BTreeSet<BlockId>>,
    /// Blocks to be read and sent to these.
    sends: VecDeque<BlockId>,
    reading: usize,
    /// Blocks sent and not yet confirmed by all.
    sending: BTreeMap<BlockId, Sending>,
    /// No bytes before this time: the rate limit.
    pause_until: u64,
    /// Something could not be finished: the walk is repeated.
    unfinished: bool,
    /// Lack blocks that were left to better-placed holders.
    left_to_others: BTreeSet<NodeId>,
}

struct Record {
    info: RecordInfo,
    wanted: Vec<NodeId>,
    have: BTreeSet<NodeId>,
    lack: BTreeSet<NodeId>,
    open: usize,
}

struct Sending {
    /// Those that have not answered.
    to: BTreeSet<NodeId>,
    record: Record,
}

/// What is known of a record's copies.
enum Copies {
    /// A wanted holder has none, and all together so many fewer than asked for.
    Lacking(usize),
    Complete {
        spare: usize,
    },
}

impl Record {
    /// When all answers are in. This node has a copy, wanted or not.
    fn copies(&self, me: NodeId) -> Copies {
        let asked = self.info.claims.iter().map(|claim| usize::from(copies_of(*claim))).max().unwrap_or(1);
        let there = self.have.len() + 1;
        if self.have.len() + usize::from(self.wanted.contains(&me)) < asked {
            Copies::Lacking(asked.saturating_sub(there))
        } else {
            Copies::Complete { spare: there.saturating_sub(asked) }
        }
    }
}

impl TopUp {
    /// A walk is under way or due: what is short of copies is not all known yet.
    pub fn is_running(&self) -> bool {
        self.walk.is_some() || !matches!(self.due, Due::Nobody)
    }

    /// Blocks known to be short of copies.
    pub fn pending(&self) -> u64 {
        let sending = self.walk.as_ref().map_or(0, |walk| walk.sends.len() + walk.reading + walk.sending.len());
        self.short.len().max(sending) as u64
    }

    pub fn is_short(&self, id: BlockId) -> bool {
        self.short.contains_key(&id)
    }

    /// A block this node holds lacks copies where they should be, or has them now; and how many fewer there are.
    pub fn note(&mut self, id: BlockId, missing: Option<usize>) {
        match missing {
            None => drop(self.short.remove(&id)),
            Some(missing) if self.short.len() < SHORT_BLOCKS_MAX || self.short.contains_key(&id) => {
                self.short.insert(id, missing);
            }
            Some(_) => {}
        }
    }

    /// Copies less those asked for, over the blocks on this node that were put or compared since the start: fewest and most.
    pub fn margin(&self) -> Option<(i64, i64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let short = self.short.values().map(|missing| -number(*missing));
        let spare = self.spare.iter().flat_map(|(least, most)| [number(*least), number(*most)]);
        let all = || short.clone().chain(spare.clone());
        all().min().zip(all().max())
    }

    fn note_copies(&mut self, id: BlockId, copies: &Copies) {
        match *copies {
            Copies::Lacking(missing) => self.note(id, Some(missing)),
            Copies::Complete { spare } => self.note_complete(id, spare),
        }
    }

    /// A put of a block that this node keeps ended with so many copies.
    pub fn note_put(&mut self, id: BlockId, copies: usize, wanted: usize) {
        match wanted.checked_sub(copies) {
            Some(missing) if missing > 0 => self.note(id, Some(missing)),
            _ => self.note_complete(id, copies.saturating_sub(wanted)),
        }
    }

    fn note_complete(&mut self, id: BlockId, spare: usize) {
        self.note(id, None);
        self.note_spare(spare);
    }

    fn note_spare(&mut self, spare: usize) {
        let (least, most) = self.spare.unwrap_or((spare, spare));
        self.spare = Some((least.min(spare), most.max(spare)));
    }
}

impl Engine {
    /// Everything is to be checked: start, another map, or time.
    pub(super) fn topup_all(&mut self) {
        self.topup.due = Due::Everybody;
        self.topup_soon();
    }

    /// A peer came up: what it is wanted for is to be checked.
    pub(super) fn topup_for(&mut self, node: NodeId) {
        self.topup.due.add(node);
        self.topup_soon();
    }

    /// What failed before may succeed now.
    fn topup_soon(&mut self) {
        self.topup.retry_ms = 0;
        self.timers.set(self.now.mono + TOPUP_DELAY_MS, Timer::TopUp);
    }

    /// A wanted holder that is there did not take a block. One that is away is checked when it comes back.
    /// The pause does not grow by it: a thousand puts that a full disk refuses are no thousand walks that failed.
    pub(super) fn topup_owed(&mut self, node: NodeId) {
        self.topup.due.add(node);
        self.timers.set(self.now.mono + self.topup.retry_ms.max(TOPUP_RETRY_MS), Timer::TopUp);
    }

    /// After a walk that failed: later and later, as long as it does not succeed.
    fn topup_again(&mut self) {
        self.topup.retry_ms = (self.topup.retry_ms * 2).clamp(TOPUP_RETRY_MS, TOPUP_PERIOD_MS);
        self.timers.set(self.now.mono + self.topup.retry_ms, Timer::TopUp);
    }

    pub(super) fn topup_tick(&mut self, out: &mut Vec<Effect>) {
        self.timers.set(self.now.mono + TOPUP_PERIOD_MS, Timer::TopUp);
        if self.topup.walk.is_some() {
            return self.topup_go_on(out);
        }
        let peers = match std::mem::take(&mut self.topup.due) {
            Due::Nobody | Due::Everybody => None,
            Due::Some(peers) => Some(peers),
        };
        if self.up_peers().is_empty() {
            // Whoever comes up starts a walk.
            return;
        }
        if peers.is_none() {
            // Everything is compared anew.
            self.topup.spare = None;
        }
        self.topup.walk = Some(Walk { peers, ..Walk::default() });
        self.topup_list(out);
    }

    fn topup_list(&mut self, out: &mut Vec<Effect>) {
        let Some(walk) = &self.topup.walk else { return };
        out.push(disk(DiskRequest::List { after: walk.after, max: TOPUP_BATCH }, Reason::TopUpList));
    }

    pub(super) fn topup_listed(&mut self, infos: Vec<RecordInfo>, out: &mut Vec<Effect>) {
        let Some(walk) = &mut self.topup.walk else { return };
        walk.after = infos.last().map(|info| info.id).or(walk.after);
        walk.at_end = infos.len() < TOPUP_BATCH;
        let mut questions: BTreeMap<(NodeId, Claim), Vec<BlockId>> = BTreeMap::new();
        for info in infos {
            self.topup_record(info, &mut questions);
        }
        let map = self.map_digest;
        for ((node, claim), ids) in questions {
            if let Some(walk) = &mut self.topup.walk {
                walk.asking.entry(node).or_default().extend(&ids);
            }
            let purpose = Purpose::TopUpHave { ids: ids.clone() };
            let have = |request| Message::Have(Have { request, renew: true, map, claim, ids });
            self.ask(node, purpose, have, None, out);
        }
        self.topup_go_on(out);
    }

    fn topup_record(&mut self, info: RecordInfo, questions: &mut BTreeMap<(NodeId, Claim), Vec<BlockId>>) {
        let Some(claim) = info.claims.iter().copied().max_by_key(|claim| copies_of(*claim)) else { return };
        let wanted: Vec<NodeId> =
            self.view.holders(info.id, copies_of(claim)).iter().map(|holder| holder.node).collect();
        let mine = wanted.contains(&self.me);
        let walk = self.topup.walk.as_ref();
        let chosen = walk.and_then(|walk| walk.peers.as_ref());
        if chosen.is_some_and(|peers| mine && !wanted.iter().any(|node| peers.contains(node))) {
            return;
        }
        let ask: Vec<NodeId> = wanted.iter().filter(|node| **node != self.me && self.usable(**node)).copied().collect();
        if ask.is_empty() {
            return;
        }
        for node in &ask {
            questions.entry((*node, claim)).or_default().push(info.id);
        }
        let record = Record { wanted, have: BTreeSet::new(), lack: BTreeSet::new(), open: ask.len(), info };
        if let Some(walk) = &mut self.topup.walk {
            walk.records.insert(record.info.id, record);
        }
    }

    pub(super) fn topup_answered(
        &mut self,
        from: NodeId,
        ids: &[BlockId],
        answers: &[Possession],
        out: &mut Vec<Effect>,
    ) {
        let Some(walk) = &mut self.topup.walk else { return };
        for (index, id) in ids.iter().enumerate() {
            let asked = walk.asking.get_mut(&from).is_some_and(|asked| asked.remove(id));
            let Some(record) = walk.records.get_mut(id).filter(|_| asked) else { continue };
            record.open -= 1;
            match answers.get(index) {
                Some(Possession::Yes) => {
                    record.have.insert(from);
                }
                Some(Possession::No) => {
                    record.lack.insert(from);
                }
                _ => walk.unfinished = true,
            }
        }
        self.topup_decide(ids, out);
    }

    /// All answers about these blocks are in: is it this node's task to send them?
    fn topup_decide(&mut self, ids: &[BlockId], out: &mut Vec<Effect>) {
        let (me, turn) = (self.me, self.topup.turn);
        let Some(walk) = &mut self.topup.walk else { return };
        let mut checked = Vec::new();
        for id in ids {
            let Some(record) = walk.records.get(id).filter(|record| record.open == 0) else { continue };
            let before_me =
                record.wanted.iter().take_while(|node| **node != me).filter(|node| record.have.contains(node));
            checked.push((*id, record.copies(me)));
            if record.lack.is_empty() {
                walk.records.remove(id);
            } else if before_me.count() <= turn {
                walk.sends.push_back(*id);
            } else {
                walk.left_to_others.extend(&record.lack);
                walk.records.remove(id);
            }
        }
        for (id, copies) in checked {
            self.topup.note_copies(id, &copies);
        }
        self.topup_go_on(out);
    }

    /// A peer is gone or silent: its open questions and sends are given up, to be repeated later.
    pub(super) fn topup_without(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let Some(walk) = &mut self.topup.walk else { return };
        let open: Vec<BlockId> = walk.asking.remove(&node).into_iter().flatten().collect();
        for id in &open {
            if let Some(record) = walk.records.get_mut(id) {
                record.open -= 1;
            }
        }
        let lost = walk.sending.values_mut().filter_map(|sending| sending.to.take(&node)).count();
        walk.sending.retain(|_, sending| !sending.to.is_empty());
        walk.unfinished |= !open.is_empty() || lost > 0;
        self.topup_decide(&open, out);
    }

    /// Reads and sends as much as may be under way, lists on when all is done, ends at the end.
    fn topup_go_on(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        let Some(walk) = &mut self.topup.walk else { return };
        while walk.reading + walk.sending.len() < TOPUP_IN_FLIGHT && !walk.sends.is_empty() {
            if now < walk.pause_until {
                let at = walk.pause_until;
                return self.timers.set(at, Timer::TopUp);
            }
            let Some(id) = walk.sends.pop_front() else { break };
            walk.reading += 1;
            if let Some(record) = walk.records.get(&id) {
                let ms = u64::from(record.info.len) * record.lack.len() as u64 * 1000 / TOPUP_BYTES_PER_S_MAX;
                walk.pause_until = walk.pause_until.max(now) + ms;
            }
            out.push(disk(DiskRequest::Read { id }, Reason::TopUpRead { id }));
        }
        let idle = walk.sends.is_empty() && walk.reading == 0 && walk.sending.is_empty();
        let asking = walk.asking.values().any(|ids| !ids.is_empty());
        if !idle || asking {
            return;
        }
        walk.records.clear();
        if !walk.at_end {
            return self.topup_list(out);
        }
        self.topup_end();
    }

    /// The walk is done; says when the next one is due.
    fn topup_end(&mut self) {
        let Some(walk) = self.topup.walk.take() else { return };
        let now = self.now.mono;
        self.topup.turn = if walk.left_to_others.is_empty() { 0 } else { self.topup.turn + 1 };
        for node in walk.left_to_others {
            self.topup.due.add(node);
            self.timers.set(now + TOPUP_TURN_MS, Timer::TopUp);
        }
        match &self.topup.due {
            _ if walk.unfinished => {
                self.topup.due = Due::Everybody;
                self.topup_again();
            }
            Due::Nobody => self.topup.retry_ms = 0,
            Due::Some(_) | Due::Everybody if self.topup.turn == 0 => {
                self.timers.set(now + TOPUP_DELAY_MS, Timer::TopUp);
            }
            Due::Some(_) | Due::Everybody => {}
        }
    }

    pub(super) fn topup_read(&mut self, id: BlockId, done: ReadDone, out: &mut Vec<Effect>) {
        let (now, map) = (self.now.wall, self.map_digest);
        let Some(walk) = &mut self.topup.walk else { return };
        walk.reading = walk.reading.saturating_sub(1);
        let record = walk.records.remove(&id);
        walk.unfinished |= !matches!(done, ReadDone::Found(_) | ReadDone::No);
        if done == ReadDone::Damaged {
            self.heal(id, out);
        }
        let (Some(record), ReadDone::Found(block)) = (record, done) else {
            return self.topup_go_on(out);
        };
        let Some(claim) = record.info.claims.iter().copied().max_by_key(|claim| copies_of(*claim)) else { return };
        let age_ms = now.saturating_sub(record.info.first_seen);
        let charged_to = record.info.charged_to;
        let (to, away): (BTreeSet<NodeId>, BTreeSet<NodeId>) = record.lack.iter().partition(|node| self.usable(**node));
        if let Some(walk) = &mut self.topup.walk {
            walk.unfinished |= !away.is_empty();
            if !to.is_empty() {
                walk.sending.insert(id, Sending { to: to.clone(), record });
            }
        }
        for to in to {
            let attached = Attached::from(&block);
            let store = |request| Message::Store(Store { request, map, claim, age_ms, charged_to, block: attached });
            self.ask(to, Purpose::TopUpStore { id }, store, Some(block.clone()), out);
        }
        self.topup_go_on(out);
    }

    pub(super) fn topup_stored(&mut self, from: NodeId, id: BlockId, outcome: StoreOutcome, out: &mut Vec<Effect>) {
        let stored = outcome == StoreOutcome::Stored;
        self.topup.sent += u64::from(stored);
        let me = self.me;
        let Some(walk) = &mut self.topup.walk else { return };
        walk.unfinished |= !stored;
        if let Some(sending) = walk.sending.get_mut(&id)
            && sending.to.remove(&from)
        {
            if stored {
                sending.record.have.insert(from);
            }
            if sending.to.is_empty() {
                let copies = sending.record.copies(me);
                walk.sending.remove(&id);
                self.topup.note_copies(id, &copies);
            }
        }
        self.topup_go_on(out);
    }
}
