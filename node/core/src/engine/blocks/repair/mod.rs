//! Repair: whoever lacks a block that it is assigned pulls it from those who have it.
//!
//! Promise: a copy that is missing is made again while any other is left within reach, with as few bytes as possible; nothing is
//! sent that is there already, and nothing because somebody is out for dinner. Nothing is deleted.
//!
//! * Pairs of holders compare what both are assigned ([`compare`]). What one of them lacks it pulls ([`pulls`]).
//! * A pass through this node's own records counts them for that, and finds what is to be kept elsewhere ([`pass`]): by the
//!   next in order for holders that are overdue or fail their audits, and by those assigned of what is here by chance. It is offered
//!   to them ([`offers`]).

mod answer;
mod compare;
mod offers;
mod parts;
mod pass;
mod pulls;
mod upload;

use std::collections::BTreeSet;

use fsdfs_proto::identity::{Card, card_flag};
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{
    Holding, HoldingsReply, HoldingsRequest, OfferReply, OfferRequest, PrintsReply, PrintsRequest, PullReply,
    PullRequest,
};
use fsdfs_proto::message::{Message, Possession, Redundancy};
use fsdfs_proto::record::RecordInfo;
use fsdfs_proto::signed::Signed;

use self::answer::{begin_holdings, holdings_reply, is_compared, prints_reply};
use self::compare::{Comparisons, Differences};
use self::offers::{OfferOutcomes, Offers};
use self::pass::RecordPasses;
use self::pulls::{PullReason, Pulls};
use self::upload::Upload;
use super::holdings::HeldRecord;
use super::{Holdings, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::facts::Liveness;
use crate::engine::timers::Timer;
use crate::engine::unneeded::CopyNeed;
use crate::limits::{
    COMPARE_AGAIN_MS, COMPARE_TIEBREAK_MS, COUNT_APART_MS, ELSEWHERE_MAX, OFFER_AGAIN_MS, PLACE_AGAIN_MS,
    PLACE_BLOCK_MS, REPAIR_BYTES_PER_S_MAX, REPAIR_DELAY_MS, SAMPLE_RECORDS,
};
use crate::seam::{
    BlockPayload, CopyChange, CopyState, DiskRequest, ReadDone, RepairToken, ServeToken, Waiter, WriteDone,
};

pub(in crate::engine) use self::parts::RepairParts;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Repair {
    comparing: Comparisons,
    offers: Offers,
    pulls: Pulls,
    upload: Upload,
    passes: RecordPasses,
    /// When all was counted last.
    counted_at: u64,
    /// Who is missed, by the number of sites that are left without it, as of the last look.
    overdue: BTreeSet<(NodeId, usize)>,
    /// Members that took no new blocks, as their last cards say.
    read_only: BTreeSet<NodeId>,
}

impl Repair {
    /// A start: everything is to be counted, and who takes nothing is known from the cards that the log kept.
    pub fn begin(&mut self, cx: &mut Context) {
        let cards = cx.facts.members().values().filter_map(|member| member.card.as_ref());
        let read_only = cards.map(Signed::value).filter(|card| card.flags & card_flag::READ_ONLY != 0);
        self.read_only = read_only.map(|card| card.node).collect();
        self.passes.count_in(cx, REPAIR_DELAY_MS);
        self.wake(cx, None);
    }

    /// Blocks are assigned to others from now on.
    pub fn on_map_changed(&mut self, parts: &mut RepairParts<'_>) {
        parts.holdings.on_map_changed();
        self.comparing.forget();
        self.offers.forget();
        self.pulls.forget();
        parts.log.forget_spare();
        self.count_again(parts);
    }

    /// All is to be counted: another map, or disks that came or went.
    pub fn count_again(&mut self, parts: &mut RepairParts<'_>) {
        self.passes.forget();
        self.passes.count_in(parts.cx, REPAIR_DELAY_MS);
        self.go_on(parts);
    }

    /// A peer came up or speaks again, or is believed no more or again.
    pub fn check_holder(&mut self, parts: &mut RepairParts<'_>, node: NodeId) {
        self.comparing.soon(parts.cx, node);
        let is_elsewhere = parts.holdings.has_elsewhere();
        if is_elsewhere || self.is_somebody_missing(parts.cx) {
            self.passes.place_in(parts.cx, REPAIR_DELAY_MS);
        }
        self.go_on(parts);
    }

    /// A member was started again: its disks may be those of an old image, so what it said to have counts no more. It need not have
    /// been missed meanwhile, for another one may have run under its identity.
    pub fn on_restarted(&mut self, parts: &mut RepairParts<'_>, node: NodeId) {
        if parts.holdings.unsettle(|other| other == node) {
            self.passes.place_in(parts.cx, REPAIR_DELAY_MS);
        }
        self.go_on(parts);
    }

    /// A peer that took nothing until now may lack what it was assigned meanwhile.
    pub fn on_card(&mut self, parts: &mut RepairParts<'_>, card: &Card) {
        if card.flags & card_flag::READ_ONLY != 0 {
            self.read_only.insert(card.node);
        } else if self.read_only.remove(&card.node) {
            self.check_holder(parts, card.node);
        }
    }

    /// Who is away was looked at.
    pub fn on_presence(&mut self, parts: &mut RepairParts<'_>) {
        let RepairParts { cx, holdings, presence, liveness, .. } = parts;
        let servers = cx.map.servers().iter().map(|server| server.id);
        let levels = servers.flat_map(|node| [1, 2].map(|sites| (node, sites)));
        let overdue: BTreeSet<(NodeId, usize)> =
            levels.filter(|(node, sites)| presence.is_overdue(cx, liveness, *node, *sites)).collect();
        let more = overdue.difference(&self.overdue).next().is_some();
        self.overdue = overdue;
        let is_missing = |node| !liveness.is_present(cx, node) || !cx.peers.is_believed(node);
        let unsettled = holdings.unsettle(is_missing);
        let covers = |id: BlockId, copies: u8, said: &[NodeId]| {
            let holders: Vec<NodeId> = cx.map.holders(id, copies).iter().map(|holder| holder.node).collect();
            is_covered(cx, liveness, (&holders, said), true)
        };
        holdings.cover_again(covers);
        if unsettled || more {
            self.passes.place_in(cx, 0);
        }
        self.pulls.on_presence(parts.cx);
        self.note_whole(parts);
        self.go_on(parts);
    }

    /// Copies came, went or turned out to be damaged.
    pub fn on_changed(&mut self, parts: &mut RepairParts<'_>, change: &CopyChange) {
        self.note_wanted(parts, change);
        for node in parts.holdings.on_changed(parts.cx, change) {
            self.comparing.on_changed(parts.cx, node);
        }
        if let Some(gone) = change.before.as_ref().filter(|_| change.after.is_none()) {
            parts.cx.unneeded.on_gone(gone.info.id);
        }
        if let Some(id) = change.held_now() {
            self.pulls.on_held(id);
        }
        if parts.holdings.take_doubt() {
            self.passes.count_in(parts.cx, REPAIR_DELAY_MS);
        }
        self.wake(parts.cx, Some(parts.holdings));
    }

    /// Somebody wants a copy of what no head needed: it will be needed.
    fn note_wanted(&mut self, parts: &mut RepairParts<'_>, change: &CopyChange) {
        let [before, after] =
            [&change.before, &change.after].map(|copy| copy.as_ref().filter(|copy| copy.state != CopyState::Damaged));
        let Some(copy) = after.filter(|copy| parts.cx.unneeded.is_apart(copy.info.id)) else { return };
        match before {
            None => parts.cx.unneeded.on_new(copy.info.id),
            // To condemn it is no renewal, though its record has that time.
            Some(before) if copy.state == CopyState::Held && before.info.renewed < copy.info.renewed => {
                self.on_judged(parts, &before.info, CopyNeed::Needed);
            }
            Some(_) => {}
        }
    }

    /// A mark found something else of a copy than was known.
    pub fn on_judged(&mut self, parts: &mut RepairParts<'_>, info: &RecordInfo, need: CopyNeed) {
        let was_compared = !parts.cx.unneeded.is_apart(info.id);
        parts.cx.unneeded.note(info, need);
        let is_compared = !parts.cx.unneeded.is_apart(info.id);
        if was_compared != is_compared {
            for node in parts.holdings.on_need_changed(parts.cx, info, is_compared) {
                self.comparing.on_changed(parts.cx, node);
            }
            if is_compared && parts.holdings.has_elsewhere() {
                self.passes.place_in(parts.cx, REPAIR_DELAY_MS);
            }
        }
        if !is_compared {
            parts.log.note(info.id, None);
        }
        self.wake(parts.cx, Some(parts.holdings));
    }

    /// A peer is gone or silent: what it was asked is asked again later.
    pub fn on_peer_lost(&mut self, parts: &mut RepairParts<'_>, node: NodeId, token: &RepairToken) {
        match token {
            RepairToken::Pull(id) => self.pulls.on_lost(parts.cx, *id, node),
            RepairToken::Offer { .. } => self.offers.on_lost(node),
            _ => {
                self.comparing.on_lost(node);
                self.comparing.on_changed(parts.cx, node);
            }
        }
        self.go_on(parts);
    }

    /// The timer.
    pub fn on_due(&mut self, parts: &mut RepairParts<'_>) {
        self.passes.on_due(parts);
        self.go_on(parts);
    }

    /// The next own records.
    pub fn on_listed(&mut self, parts: &mut RepairParts<'_>, pass: u64, infos: &[RecordInfo]) {
        if self.passes.on_listed(parts, (&self.comparing, &mut self.offers), pass, infos) {
            self.on_counted(parts);
        }
        self.go_on(parts);
    }

    fn on_counted(&mut self, parts: &mut RepairParts<'_>) {
        let Some(tables) = parts.holdings.tables() else {
            // So much was written meanwhile that nothing came of it.
            return self.passes.count_in(parts.cx, PLACE_AGAIN_MS);
        };
        self.counted_at = parts.cx.now.mono;
        tables.nodes().for_each(|node| self.comparing.soon(parts.cx, node));
        if tables.has_elsewhere() || self.is_somebody_missing(parts.cx) {
            // Only now it is known what.
            self.passes.place_in(parts.cx, REPAIR_DELAY_MS);
        }
    }

    /// Whether somebody is assigned blocks who cannot be counted on.
    fn is_somebody_missing(&self, cx: &Context) -> bool {
        !self.overdue.is_empty() || cx.map.servers().iter().any(|server| !cx.peers.is_believed(server.id))
    }

    /// What it may move in a second is another amount now.
    pub fn on_budget(&mut self, parts: &mut RepairParts<'_>, bytes_per_s: u64) {
        parts.cx.repair_bytes_per_s = bytes_per_s.min(REPAIR_BYTES_PER_S_MAX);
        self.go_on(parts);
    }

    /// A member lacks a block that is here.
    pub fn on_pull(&mut self, cx: &mut Context, from: NodeId, pull: &PullRequest) {
        self.upload.on_pull(cx, from, pull);
    }

    /// A member compares.
    pub fn on_prints_asked(&mut self, parts: &mut RepairParts<'_>, from: NodeId, asked: &PrintsRequest) {
        if !asked.prefixes.is_empty() {
            self.comparing.on_asked(parts.cx, from);
        }
        let reply = prints_reply(parts.cx, parts.holdings, from, asked);
        parts.cx.send(from, Message::PrintsReply(reply));
    }

    /// It compares one by one.
    pub fn on_holdings_asked(&mut self, parts: &mut RepairParts<'_>, from: NodeId, asked: HoldingsRequest) {
        self.comparing.on_asked(parts.cx, from);
        match begin_holdings(parts.cx, parts.holdings, &asked) {
            Ok(list) => parts.cx.disk(list, Waiter::Serve(ServeToken::Holdings { to: from, asked: Box::new(asked) })),
            Err(reply) => parts.cx.send(from, Message::HoldingsReply(reply)),
        }
    }

    /// What it asked about was listed.
    pub fn answer_holdings(parts: &mut RepairParts<'_>, to: NodeId, asked: &HoldingsRequest, infos: &[RecordInfo]) {
        let mut reply = holdings_reply(parts.cx, parts.holdings, (to, asked), infos);
        reply.items.retain(|item| !parts.puts.is_open(item.id));
        parts.cx.send(to, Message::HoldingsReply(reply));
    }

    /// A member offers blocks.
    pub fn on_offer(cx: &mut Context, from: NodeId, offer: OfferRequest) {
        offers::on_offer(cx, from, offer);
    }

    /// The store said which of them are here.
    pub fn answer_offer(
        &mut self,
        parts: &mut RepairParts<'_>,
        to: (NodeId, u64),
        items: Vec<Holding>,
        here: &[Possession],
    ) {
        offers::answer_offer(parts.cx, &mut self.pulls, to, items, here);
        self.go_on(parts);
    }

    /// A block that is pulled was read. Whether it was found damaged.
    pub fn answer_pull(&mut self, cx: &mut Context, to: (NodeId, u64), id: BlockId, done: ReadDone) -> bool {
        self.upload.on_read(cx, to, id, done)
    }

    /// Sums came.
    pub fn on_prints(&mut self, parts: &mut RepairParts<'_>, from: NodeId, token: RepairToken, reply: &PrintsReply) {
        debug_assert!(matches!(token, RepairToken::Prints { .. }), "the answer to another question");
        let RepairToken::Prints { number, prefixes } = token else { return };
        let found = self.comparing.on_prints(parts.cx, parts.holdings.tables(), (from, number, prefixes), reply);
        self.mend(parts, from, found);
    }

    /// Own records of a part came, or of a sample.
    pub fn on_own(&mut self, parts: &mut RepairParts<'_>, token: &RepairToken, infos: Vec<RecordInfo>) {
        match *token {
            RepairToken::Own { of, number, range, theirs_none, max } => {
                let part = (of, number, range, theirs_none);
                let found = self.comparing.on_own(parts.cx, parts.holdings.tables(), part, (infos, max));
                self.mend(parts, of, found);
            }
            RepairToken::Sample { of } => {
                // It may hold something else by now, and then it has not said that it holds these.
                let is_equal = parts.holdings.tables().is_some_and(|tables| self.comparing.is_equal(tables, of));
                let shared = infos.iter().filter(|info| is_equal && is_compared(parts.cx, of, info));
                let claimed: Vec<BlockId> = shared.map(|info| info.id).collect();
                parts.audits.on_claims(parts.cx, of, claimed.into_iter());
            }
            _ => debug_assert!(false, "nothing else lists records"),
        }
    }

    /// The differences of a part came.
    pub fn on_holdings(&mut self, parts: &mut RepairParts<'_>, from: NodeId, token: RepairToken, reply: HoldingsReply) {
        debug_assert!(matches!(token, RepairToken::Holdings { .. }), "the answer to another question");
        let RepairToken::Holdings { number, range, own } = token else { return };
        let found = self.comparing.on_holdings(parts.cx, parts.holdings.tables(), (from, number, range, own), reply);
        self.mend(parts, from, found);
    }

    /// What a comparison found becomes pulls, offers, and what owners are told.
    fn mend(&mut self, parts: &mut RepairParts<'_>, from: NodeId, found: Differences) {
        let lacks = found.lacking_there.iter().map(|info| info.id).collect::<Vec<_>>();
        if parts.audits.on_denied(parts.cx, from, lacks.iter().copied()) {
            self.passes.place_in(parts.cx, REPAIR_DELAY_MS);
        }
        parts.audits.on_claims(parts.cx, from, found.common.into_iter());
        for holding in found.lacking_here {
            self.pulls.want(parts.cx, from, holding, PullReason::Compared);
        }
        for info in found.lacking_there.into_iter().filter(|info| !parts.puts.is_open(info.id)) {
            parts.log.note_lacking(info.id, 1);
            self.offers.offer(from, info);
        }
        if found.is_equal {
            self.on_equal(parts, from);
        }
        if found.is_drift && parts.cx.now.mono >= self.counted_at + COUNT_APART_MS {
            self.passes.count_in(parts.cx, REPAIR_DELAY_MS);
        }
        self.go_on(parts);
    }

    /// Two hold the same: what was known to be missing may be there now, and the other one says that it has what this node asks about.
    fn on_equal(&mut self, parts: &mut RepairParts<'_>, node: NodeId) {
        self.note_whole(parts);
        let Some(tables) = parts.holdings.tables() else { return };
        let cx = &mut *parts.cx;
        // Of many records those behind a random id.
        let is_many = tables.of(node).is_some_and(|table| table.all().count > SAMPLE_RECORDS as u64);
        let after = is_many.then(|| BlockId(std::array::from_fn(|_| cx.rng.u8(..))));
        cx.disk(DiskRequest::List { after, max: SAMPLE_RECORDS }, Waiter::Repair(RepairToken::Sample { of: node }));
    }

    /// Forgets what was missing and is there. Of a holder that this node does not reach others know, who see to it: it is theirs to say
    /// what it lacks.
    fn note_whole(&self, parts: &mut RepairParts<'_>) {
        let RepairParts { cx, holdings, log, liveness, .. } = parts;
        let Some(tables) = holdings.tables() else { return };
        let is_equal = |node: &NodeId| cx.peers.is_believed(*node) && self.comparing.is_equal(tables, *node);
        let is_whole = |others: &[NodeId]| {
            let equal: Vec<NodeId> = others.iter().copied().filter(is_equal).collect();
            let is_seen_to = |node: &NodeId| {
                equal.contains(node) || cx.peers.is_believed(*node) && is_reached_by(cx, liveness, *node, &equal)
            };
            others.iter().all(is_seen_to)
        };
        for id in log.ids() {
            let holders = cx.map.holders(id, cx.copies());
            let others: Vec<NodeId> =
                holders.iter().map(|holder| holder.node).filter(|other| *other != cx.me).collect();
            let is_known = others.len() < holders.len() || !tables.is_elsewhere(id);
            if is_known && is_whole(&others) {
                log.note(id, None);
            }
        }
        if tables.sets().keys().any(|others| is_whole(others)) {
            log.note_spare(0);
        }
    }

    /// What others said to offers.
    pub fn on_offer_reply(
        &mut self,
        parts: &mut RepairParts<'_>,
        from: NodeId,
        infos: Vec<RecordInfo>,
        reply: &OfferReply,
    ) {
        debug_assert!(!infos.is_empty(), "an offer is of something");
        let OfferOutcomes { held, awaited, is_unsettled } =
            self.offers.on_reply(parts.cx, from, infos, &reply.outcomes);
        let is_leaving = parts.holdings.tables().is_some_and(|tables| tables.hears_all);
        for info in held {
            let copies = HeldRecord::of(&info).redundancy.map_or(0, Redundancy::copies);
            let RepairParts { cx, holdings, liveness, .. } = parts;
            let holders: Vec<NodeId> = cx.map.holders(info.id, copies).iter().map(|holder| holder.node).collect();
            let covers = |said: &[NodeId]| is_covered(cx, liveness, (&holders, said), is_leaving);
            if holders.contains(&from) && !holdings.settle(info.id, from, covers) {
                // It cannot give it to the others, so this node does.
                self.passes.place_in(cx, REPAIR_DELAY_MS);
            }
            // Of a block that is not assigned to this node those that it is assigned to keep the books; and a copy that is held in the
            // place of another one is one as well.
            parts.log.note(info.id, None);
        }
        if is_unsettled {
            self.passes.place_in(parts.cx, OFFER_AGAIN_MS);
        }
        let has_elsewhere = parts.holdings.has_elsewhere();
        if !awaited.is_empty() && (self.is_somebody_missing(parts.cx) || has_elsewhere) || is_leaving && has_elsewhere {
            // Then it says that it has them.
            let left =
                parts.holdings.tables().filter(|tables| tables.hears_all).map_or(0, |tables| tables.left().blocks);
            let longer = left.min(ELSEWHERE_MAX as u64) * PLACE_BLOCK_MS;
            self.passes.place_in(parts.cx, PLACE_AGAIN_MS + longer);
        }
        self.go_on(parts);
    }

    /// A source of a block answered.
    pub fn on_pulled(
        &mut self,
        parts: &mut RepairParts<'_>,
        from: (BlockId, NodeId),
        reply: &PullReply,
        payload: BlockPayload,
    ) {
        self.pulls.on_reply(parts.cx, parts.holdings, from, reply, payload);
        self.go_on(parts);
    }

    /// It is on the disk.
    pub fn on_written(&mut self, parts: &mut RepairParts<'_>, id: BlockId, done: WriteDone) {
        self.pulls.on_written(parts.cx, id, done);
        self.go_on(parts);
    }

    /// Whatever can be done now.
    fn go_on(&mut self, parts: &mut RepairParts<'_>) {
        let RepairParts { cx, holdings, .. } = parts;
        holdings.note_pace(cx.now.mono);
        if holdings.take_doubt() {
            self.passes.count_in(cx, REPAIR_DELAY_MS);
        }
        self.offers.go_on(cx);
        self.pulls.go_on(cx);
        if let Some(tables) = holdings.tables() {
            self.comparing.on_due(cx, tables);
        }
        if !self.offers.is_full() {
            self.passes.go_on(cx);
        }
        self.wake(cx, Some(holdings));
    }

    /// When something is due.
    fn wake(&self, cx: &mut Context, holdings: Option<&Holdings>) {
        let compare = holdings.and_then(Holdings::tables).and_then(|tables| self.comparing.next_due(cx, tables));
        let pass = self.passes.next_due().filter(|_| !self.passes.is_open());
        let next = [compare, pass, self.pulls.next_due(cx)].into_iter().flatten().min();
        if let Some(at) = next {
            cx.timers.set(at.max(cx.now.mono + 1), Timer::Repair);
        }
    }

    /// What lacks copies is not all known yet, or is on its way.
    pub fn is_running(&self, cx: &Context, holdings: &Holdings) -> bool {
        let soon = cx.now.mono + COMPARE_AGAIN_MS + COMPARE_TIEBREAK_MS;
        let is_soon = |at: Option<u64>| at.is_some_and(|at| at <= soon);
        self.passes.is_open()
            || is_soon(self.passes.next_due())
            || self.comparing.is_comparing()
            || holdings.tables().is_none_or(|tables| is_soon(self.comparing.next_due(cx, tables)))
            || !self.offers.is_idle()
    }

    /// Blocks known to lack copies, here or elsewhere.
    pub fn pending(&self, log: &ReplicationLog) -> u64 {
        log.pending().max((self.pulls.pending() + self.offers.waiting()) as u64)
    }

    /// Blocks that others pulled from this node since the start.
    pub fn sent(&self) -> u64 {
        self.upload.sent()
    }

    /// Blocks that this node pulled since the start.
    pub fn pulled(&self) -> u64 {
        self.pulls.pulled()
    }
}

/// Whether others see to it that each of these holders gets a block that this node has and is not assigned; `having`: those that said
/// that they have it. Whoever is about to leave hears of all that it reaches itself, and the rest has to be there and reached by one of
/// those. Else whoever is out of reach of all is left out: this node can do nothing for it.
fn is_covered(cx: &Context, liveness: &Liveness, (holders, having): (&[NodeId], &[NodeId]), leaves: bool) -> bool {
    let is_reached = |node: &NodeId| match (leaves, cx.responsive(*node)) {
        (true, true) => false,
        (true, false) => is_reached_by(cx, liveness, *node, having),
        (false, true) => {
            let hears = |peer: &NodeId| cx.peers.get(*peer).and_then(|peer| peer.hears.as_ref());
            having.iter().any(|peer| hears(peer).is_none_or(|hears| hears.contains(node)))
        }
        (false, false) => true,
    };
    holders.iter().filter(|holder| !having.contains(holder)).all(is_reached)
}

/// Whether a member is there that this node does not reach, and one of these does.
fn is_reached_by(cx: &Context, liveness: &Liveness, node: NodeId, by: &[NodeId]) -> bool {
    let reaches = |peer: &NodeId| cx.responsive(*peer) && cx.peers.hears(*peer, node);
    !cx.responsive(node) && liveness.is_present(cx, node) && by.iter().any(reaches)
}

#[cfg(test)]
mod tests;
