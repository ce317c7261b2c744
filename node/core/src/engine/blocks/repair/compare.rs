//! What two holders have that the other one lacks, found with few bytes: sums first, of smaller and smaller parts of the ids as far as
//! they differ, then what is in such a part, one by one (spec 04-wire, "Comparing"; Meyer, "Range-Based Set Reconciliation", 2023).
//!
//! Whoever's copies changed asks; the other one answers from its table and its index. A pair that is in sync costs one question.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{
    CompareState, Holding, HoldingsReply, HoldingsRequest, IdPrefix, IdPrint, PREFIXES_MAX, PRINT_CHILDREN,
    PrintsReply, PrintsRequest,
};
use fsdfs_proto::message::{IDS_MAX, Message};
use fsdfs_proto::record::RecordInfo;

use super::answer::{CLASS_ASSIGNED, is_shared};
use super::pulls::is_unneeded;
use crate::engine::blocks::holdings::{HeldRecord, PairTables, ROOT, before, child_of, last_of};
use crate::engine::context::Context;
use crate::limits::{
    COMPARE_AGAIN_MS, COMPARE_IDS_MAX, COMPARE_LEAVES_MAX, COMPARE_PART_IDS, COMPARE_PERIOD_MS, COMPARE_QUESTIONS_MAX,
    COMPARE_SETTLED_MS, COMPARE_TIEBREAK_MS, COMPARE_YOUNG_MAX, REPAIR_DELAY_MS,
};
use crate::seam::{DiskRequest, IdRange, RepairToken, Waiter};

/// With everybody.
#[derive(Default)]
pub(super) struct Comparisons {
    /// When each is due, in monotonic milliseconds.
    due: BTreeMap<NodeId, u64>,
    /// At most one with each.
    open: BTreeMap<NodeId, OpenComparison>,
    /// This node's sum when the other one had the same, but for what it has still and no state needs.
    equal: BTreeMap<NodeId, IdPrint>,
    /// Both sums when they differed last, and the pause since: if nothing changes it doubles.
    differed: BTreeMap<NodeId, (IdPrint, IdPrint, u64)>,
    /// What was too new to be judged when it was seen first, in the last comparison with each; at most [`COMPARE_YOUNG_MAX`] of each.
    young: BTreeMap<NodeId, YoungBlocks>,
    /// Begun since the start: late answers to an earlier one count for nothing.
    begun: u64,
}

/// Invariant: while it is open, `under_way` is above 0.
#[derive(Default)]
struct OpenComparison {
    number: u64,
    /// Both sums over all.
    sums: Option<(IdPrint, IdPrint)>,
    /// Parts whose sums differ.
    prefixes: Vec<IdPrefix>,
    /// Parts to be compared one by one.
    leaves: Vec<ComparedPart>,
    /// Questions and own lists that are open, and how many ids these may have.
    under_way: usize,
    ids_under_way: usize,
    /// Something was found that one of the two lacks.
    found: bool,
    /// And it may be needed.
    lacks: bool,
    /// What is so new that it may be on its way still.
    young: YoungBlocks,
    /// The same of the comparison before.
    young_before: YoungBlocks,
    unripe: bool,
}

/// Blocks, and when each was seen first, in monotonic milliseconds: a stamp may be of a clock that was put back since.
type YoungBlocks = BTreeMap<BlockId, u64>;

/// A part that is compared one by one.
#[derive(Clone, Copy)]
struct ComparedPart {
    range: IdRange,
    /// As this node's table says.
    own: usize,
    /// The other one has nothing there: nothing is to be asked.
    theirs_none: bool,
}

/// What came of an answer, for those who mend it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// The other one holds these, and this node does not.
    pub lacking_here: Vec<Holding>,
    /// The other way round.
    pub lacking_there: Vec<RecordInfo>,
    /// Both hold these.
    pub common: Vec<BlockId>,
    /// Whether the two have turned out to hold the same, as far as it is needed.
    pub is_equal: bool,
    /// The sums differ and the lists do not: this node's own may be wrong.
    pub is_drift: bool,
}

impl Comparisons {
    /// Something changed of what the two share, or may have: soon, when what is on its way has come.
    pub fn on_changed(&mut self, cx: &Context, node: NodeId) {
        let at = cx.now.mono + COMPARE_SETTLED_MS + tiebreak(cx, node);
        self.due.entry(node).and_modify(|due| *due = (*due).min(at)).or_insert(at);
    }

    /// It is there, or all is counted: now.
    pub fn soon(&mut self, cx: &Context, node: NodeId) {
        let at = cx.now.mono + REPAIR_DELAY_MS + tiebreak(cx, node);
        self.differed.remove(&node);
        self.due.entry(node).and_modify(|due| *due = (*due).min(at)).or_insert(at);
    }

    /// Blocks are assigned to others from now on: nothing is known of anybody.
    pub fn forget(&mut self) {
        *self = Self { begun: self.begun, ..Self::default() };
    }

    /// A peer is gone or silent.
    pub fn on_lost(&mut self, node: NodeId) {
        self.open.remove(&node);
    }

    /// Whether the other one holds all that both are assigned, as far as is known.
    pub fn is_equal(&self, tables: &PairTables, node: NodeId) -> bool {
        tables.of(node).is_some_and(|table| self.equal.get(&node) == Some(&table.all()))
    }

    /// Whether one is under way.
    pub fn is_comparing(&self) -> bool {
        !self.open.is_empty()
    }

    /// When the next one is due that can begin.
    pub fn next_due(&self, cx: &Context, tables: &PairTables) -> Option<u64> {
        self.due.iter().filter(|(node, _)| self.can_begin(cx, tables, **node)).map(|(_, at)| *at).min()
    }

    fn can_begin(&self, cx: &Context, tables: &PairTables, node: NodeId) -> bool {
        // Whoever is to hold nothing shares no blocks with anybody, and has no place in the tables of others.
        !tables.hears_all && cx.responsive(node) && !self.open.contains_key(&node) && tables.of(node).is_some()
    }

    /// Begins what is due.
    pub fn on_due(&mut self, cx: &mut Context, tables: &PairTables) {
        let due = self.due.iter().filter(|(node, at)| **at <= cx.now.mono && self.can_begin(cx, tables, **node));
        for node in due.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.due.insert(node, cx.now.mono + COMPARE_PERIOD_MS + tiebreak(cx, node));
            debug_assert!(node != cx.me, "nobody compares with itself");
            self.begun += 1;
            let number = self.begun;
            let young_before = self.young.remove(&node).unwrap_or_default();
            self.open.insert(node, OpenComparison { number, under_way: 1, young_before, ..OpenComparison::default() });
            ask_prints(cx, node, number, Vec::new());
        }
    }

    /// The other one compares: this node leaves it to it for a while.
    pub fn on_asked(&mut self, cx: &Context, from: NodeId) {
        let at = cx.now.mono + COMPARE_SETTLED_MS;
        if let Some(due) = self.due.get_mut(&from) {
            *due = (*due).max(at);
        }
    }

    /// Sums came.
    pub fn on_prints(
        &mut self,
        cx: &mut Context,
        tables: Option<&PairTables>,
        (from, number, prefixes): (NodeId, u64, Vec<IdPrefix>),
        reply: &PrintsReply,
    ) -> Differences {
        let Some(open) = self.open.get_mut(&from).filter(|open| open.number == number) else {
            return Differences::default();
        };
        let Some((tables, table)) =
            tables.filter(|tables| tables.map == reply.map).and_then(|tables| Some((tables, tables.of(from)?)))
        else {
            return self.give_up(cx, from);
        };
        open.under_way -= 1;
        let expected = if prefixes.is_empty() { 1 } else { prefixes.len() * PRINT_CHILDREN };
        match reply.state {
            CompareState::Here if reply.sums.len() == expected => {}
            CompareState::NotSoFine if !prefixes.is_empty() => {
                let leaf =
                    |prefix: &IdPrefix| ComparedPart { range: range_of(prefix), own: IDS_MAX, theirs_none: false };
                open.leaves.extend(prefixes.iter().map(leaf));
                return self.go_on(cx, tables, from);
            }
            _ => return self.give_up(cx, from),
        }
        if prefixes.is_empty() {
            let sums = (table.all(), reply.sums[0]);
            open.sums = Some(sums);
            if sums.0 != sums.1 {
                open.sort(ROOT, sums);
            }
        }
        for (prefix, theirs) in prefixes.iter().zip(reply.sums.chunks(PRINT_CHILDREN)) {
            let Some(own) = table.children(prefix) else {
                open.leaves.push(ComparedPart { range: range_of(prefix), own: IDS_MAX, theirs_none: false });
                continue;
            };
            for (at, sums) in own.into_iter().zip(theirs.iter().copied()).enumerate() {
                if sums.0 != sums.1 {
                    open.sort(child_of(prefix, at), sums);
                }
            }
        }
        self.go_on(cx, tables, from)
    }

    /// What this node holds of a part was listed: the other one says what of it it lacks, and what it has besides.
    pub fn on_own(
        &mut self,
        cx: &mut Context,
        tables: Option<&PairTables>,
        (of, number, range, theirs_none): (NodeId, u64, IdRange, bool),
        listed: (Vec<RecordInfo>, usize),
    ) -> Differences {
        let Some(open) = self.open.get_mut(&of).filter(|open| open.number == number) else {
            return Differences::default();
        };
        let Some((tables, table)) = tables.and_then(|tables| Some((tables, tables.of(of)?))) else {
            return self.give_up(cx, of);
        };
        let (infos, max) = listed;
        open.under_way -= 1;
        open.ids_under_way = open.ids_under_way.saturating_sub(max);
        // The rest of the part, if there is more than one list may have.
        let last = infos.last().map(|info| info.id).filter(|last| infos.len() >= max && *last < range.to);
        if let Some(last) = last {
            let range = IdRange { after: Some(last), to: range.to };
            open.leaves.push(ComparedPart { range, own: IDS_MAX, theirs_none });
        }
        let range = IdRange { to: last.unwrap_or(range.to), ..range };
        let own: Vec<RecordInfo> =
            infos.into_iter().filter(|info| range.has(info.id) && is_shared(cx, of, info)).collect();
        if theirs_none {
            let lacking_there = open.ripe(cx, of, own);
            let mut found = self.go_on(cx, tables, of);
            found.lacking_there = lacking_there;
            return found;
        }
        // All that is here, compared or not: the other one is not to name what this node has.
        let print = |info: &RecordInfo| {
            let redundancy = HeldRecord::of(info).redundancy.expect("what is shared was asked for");
            table.pair_key().print(info.id, redundancy).short()
        };
        let have: Vec<u64> = own.iter().map(print).collect();
        open.under_way += 1;
        let (map, class) = (tables.map, CLASS_ASSIGNED);
        let waiter = Waiter::Repair(RepairToken::Holdings { number, range, own });
        let IdRange { after, to } = range;
        cx.ask(of, waiter, |request| Message::Holdings(HoldingsRequest { request, map, class, after, to, have }));
        Differences::default()
    }

    /// The other one said what it has in a part, and what it lacks.
    pub fn on_holdings(
        &mut self,
        cx: &mut Context,
        tables: Option<&PairTables>,
        (from, number, range, own): (NodeId, u64, IdRange, Vec<RecordInfo>),
        reply: HoldingsReply,
    ) -> Differences {
        let Some(open) = self.open.get_mut(&from).filter(|open| open.number == number) else {
            return Differences::default();
        };
        let Some(tables) = tables.filter(|_| reply.state == CompareState::Here) else {
            return self.give_up(cx, from);
        };
        open.under_way -= 1;
        let looked_to = reply.next.unwrap_or(range.to);
        if let Some(next) = reply.next.filter(|next| range.has(*next) && *next < range.to) {
            let rest = IdRange { after: Some(next), to: range.to };
            open.leaves.push(ComparedPart { range: rest, own: own.len().max(1), theirs_none: false });
        }
        let lacks: BTreeSet<usize> = reply.lacks.iter().map(|place| usize::from(*place)).collect();
        // What is here with another redundancy is not named among those that the other one lacks: it has the block.
        let items: BTreeMap<BlockId, Holding> =
            reply.items.into_iter().filter(|item| range.has(item.id)).map(|item| (item.id, item)).collect();
        let (mut lacking_there, mut common) = (Vec::new(), Vec::new());
        for (place, info) in own.iter().enumerate().filter(|(_, info)| info.id <= looked_to) {
            match (lacks.contains(&place), items.contains_key(&info.id)) {
                (false, _) if !cx.unneeded.is_apart(info.id) => common.push(info.id),
                (true, false) => lacking_there.push(info.clone()),
                (true, true) => open.lacks = true,
                _ => {}
            }
        }
        let greater = |item: &Holding| {
            let known = own.iter().find(|info| info.id == item.id).and_then(|info| HeldRecord::of(info).redundancy);
            known.is_none_or(|known| known.copies() < item.redundancy.copies())
        };
        let lacking_here: Vec<Holding> = items.into_values().filter(greater).collect();
        let lacking_there = open.ripe(cx, from, lacking_there);
        let lacking_here: Vec<Holding> =
            lacking_here.into_iter().filter(|item| open.is_ripe((cx, from), item.id, item.lease_ms)).collect();
        open.found |= !lacking_here.is_empty();
        let lacking_here: Vec<Holding> = lacking_here.into_iter().filter(|item| !is_unneeded(cx, item)).collect();
        open.lacks |= !lacking_here.is_empty();
        let end = self.go_on(cx, tables, from);
        Differences { lacking_here, lacking_there, common, ..end }
    }

    /// Asks on; ends when nothing is left to be asked.
    fn go_on(&mut self, cx: &mut Context, tables: &PairTables, node: NodeId) -> Differences {
        let Some(open) = self.open.get_mut(&node) else { return Differences::default() };
        let number = open.number;
        debug_assert!(
            open.leaves.len() <= COMPARE_LEAVES_MAX + PREFIXES_MAX * PRINT_CHILDREN * COMPARE_QUESTIONS_MAX,
            "parts are bounded"
        );
        while open.under_way < COMPARE_QUESTIONS_MAX {
            let has_room = open.ids_under_way < COMPARE_IDS_MAX;
            if let Some(ComparedPart { range, own, theirs_none }) = open.leaves.pop_if(|_| has_room) {
                let max = (own + own / 2 + 8).min(IDS_MAX);
                (open.under_way, open.ids_under_way) = (open.under_way + 1, open.ids_under_way + max);
                let token = RepairToken::Own { of: node, number, range, theirs_none, max };
                cx.disk(DiskRequest::List { after: range.after, max }, Waiter::Repair(token));
            } else if let Some(bits) =
                open.prefixes.last().map(|prefix| prefix.bits).filter(|_| open.leaves.len() < COMPARE_LEAVES_MAX)
            {
                // All prefixes of a question are as long, for the answer says of all of them that they are too fine, or of none.
                let same =
                    open.prefixes.iter().rev().take(PREFIXES_MAX).take_while(|prefix| prefix.bits == bits).count();
                let prefixes = open.prefixes.split_off(open.prefixes.len() - same);
                open.under_way += 1;
                ask_prints(cx, node, number, prefixes);
            } else {
                break;
            }
        }
        if open.under_way > 0 {
            return Differences::default();
        }
        let open = self.open.remove(&node).expect("looked up above");
        debug_assert!(open.leaves.is_empty() && open.prefixes.is_empty(), "nothing is left to be asked");
        self.end(cx, tables, node, open)
    }

    fn end(&mut self, cx: &Context, tables: &PairTables, node: NodeId, open: OpenComparison) -> Differences {
        let Some((own, theirs)) = open.sums else { return Differences::default() };
        if own == theirs {
            self.differed.remove(&node);
            let was_equal = self.is_equal(tables, node);
            self.equal.insert(node, own);
            return Differences { is_equal: !was_equal && self.is_equal(tables, node), ..Differences::default() };
        }
        debug_assert!(open.under_way == 0, "all questions are answered");
        let was_equal = self.is_equal(tables, node);
        match open.found && !open.lacks && !open.unripe {
            true => self.equal.insert(node, own),
            false => self.equal.remove(&node),
        };
        let before = self.differed.get(&node).filter(|(before, after, _)| (*before, *after) == (own, theirs));
        let pause = before.map_or(COMPARE_AGAIN_MS, |(_, _, pause)| (pause * 2).min(COMPARE_PERIOD_MS));
        self.differed.insert(node, (own, theirs, pause));
        let at = cx.now.mono + if open.unripe { COMPARE_SETTLED_MS } else { pause };
        self.due.insert(node, at + tiebreak(cx, node));
        let is_drift = !open.found && !open.unripe;
        self.young.insert(node, open.young);
        Differences { is_equal: !was_equal && self.is_equal(tables, node), is_drift, ..Differences::default() }
    }

    /// The other one cannot compare now, or has another map; facts are exchanged meanwhile.
    fn give_up(&mut self, cx: &Context, node: NodeId) -> Differences {
        self.open.remove(&node);
        self.due.insert(node, cx.now.mono + COMPARE_AGAIN_MS + tiebreak(cx, node));
        Differences::default()
    }
}

impl OpenComparison {
    /// A part whose sums differ: into smaller parts, or one by one where that says more.
    fn sort(&mut self, prefix: IdPrefix, (own, theirs): (IdPrint, IdPrint)) {
        debug_assert!(own != theirs, "equal parts are left alone");
        let (less, more) = (own.count.min(theirs.count), own.count.max(theirs.count));
        let is_small = more <= COMPARE_PART_IDS || less.saturating_mul(2) < more;
        if is_small {
            let own = usize::try_from(own.count).unwrap_or(IDS_MAX).min(IDS_MAX);
            self.leaves.push(ComparedPart { range: range_of(&prefix), own, theirs_none: theirs.count == 0 });
        } else {
            self.prefixes.push(prefix);
        }
    }

    /// Without those that are not compared, and those that are so new that they may be on their way.
    fn ripe(&mut self, cx: &Context, with: NodeId, lacking: Vec<RecordInfo>) -> Vec<RecordInfo> {
        let lease_ms = |info: &RecordInfo| cx.now.wall.saturating_sub(info.renewed);
        let compared = lacking.into_iter().filter(|info| !cx.unneeded.is_apart(info.id));
        let ripe: Vec<RecordInfo> = compared.filter(|info| self.is_ripe((cx, with), info.id, lease_ms(info))).collect();
        self.found |= !ripe.is_empty();
        self.lacks |= !ripe.is_empty();
        ripe
    }

    /// Whether a block has been there for so long, by its stamp or since it was seen first, that it is on its way no more; or since
    /// before the other one came back, for then it was not there to be sent it.
    fn is_ripe(&mut self, (cx, with): (&Context, NodeId), id: BlockId, lease_ms: u64) -> bool {
        let there_ms = cx.peers.get(with).map_or(0, |peer| cx.now.mono.saturating_sub(peer.there_since));
        let since = self.young_before.get(&id).copied().unwrap_or(cx.now.mono);
        if lease_ms >= COMPARE_SETTLED_MS || lease_ms > there_ms || cx.now.mono >= since + COMPARE_SETTLED_MS {
            return true;
        }
        self.unripe = true;
        if self.young.len() < COMPARE_YOUNG_MAX {
            self.young.insert(id, since);
        }
        false
    }
}

/// Of two that notice the same at the same time the one with the smaller id is first.
fn tiebreak(cx: &Context, node: NodeId) -> u64 {
    if cx.me < node { 0 } else { COMPARE_TIEBREAK_MS }
}

fn range_of(prefix: &IdPrefix) -> IdRange {
    IdRange { after: before(prefix), to: last_of(prefix) }
}

fn ask_prints(cx: &mut Context, node: NodeId, number: u64, prefixes: Vec<IdPrefix>) {
    let (map, class) = (cx.map_digest, CLASS_ASSIGNED);
    let waiter = Waiter::Repair(RepairToken::Prints { number, prefixes: prefixes.clone() });
    cx.ask(node, waiter, |request| Message::Prints(PrintsRequest { request, map, class, prefixes }));
}
