//! "These I hold and the map wants them with you": told to whoever lacks a block, so that it pulls it.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{Holding, OfferOutcome, OfferReply, OfferRequest};
use fsdfs_proto::message::{IDS_MAX, Message, Possession};
use fsdfs_proto::record::RecordInfo;

use super::answer::holding;
use super::pulls::{PullReason, Pulls, is_unneeded};
use crate::engine::blocks::accept::is_wanted_here;
use crate::engine::blocks::holdings::HeldRecord;
use crate::engine::context::Context;
use crate::limits::OFFERS_MAX;
use crate::placement::BlockHolder;
use crate::seam::{DiskRequest, DiskState, RepairToken, ServeToken, Waiter};

/// To everybody.
#[derive(Default)]
pub(super) struct Offers {
    /// At most [`OFFERS_MAX`] for each; what is beyond is found again.
    waiting: BTreeMap<NodeId, BTreeMap<BlockId, RecordInfo>>,
    /// To whom a message is under way: one at a time, so whoever is slow is asked slowly.
    under_way: BTreeSet<NodeId>,
}

/// What the others said to offers, for those who keep the books.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OfferOutcomes {
    /// It has these already.
    pub held: Vec<RecordInfo>,
    /// It will pull these.
    pub awaited: Vec<BlockId>,
    /// Of some it could not say, or it has no place in its queue: they are to be offered again.
    pub is_unsettled: bool,
}

impl Offers {
    /// One more to offer. Whether there was room for it.
    pub fn offer(&mut self, to: NodeId, info: RecordInfo) -> bool {
        let waiting = self.waiting.entry(to).or_default();
        let has_room = waiting.len() < OFFERS_MAX || waiting.contains_key(&info.id);
        if has_room {
            debug_assert!(waiting.len() <= OFFERS_MAX, "what waits is bounded");
            waiting.insert(info.id, info);
        }
        has_room
    }

    /// Whoever finds more to offer is to wait.
    pub fn is_full(&self) -> bool {
        self.waiting.values().any(|waiting| waiting.len() >= OFFERS_MAX - IDS_MAX)
    }

    /// Nothing is offered, and nothing waits to be.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.waiting.is_empty()
    }

    /// Blocks that wait to be offered.
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }

    /// Blocks belong to others from now on.
    pub fn forget(&mut self) {
        self.waiting.clear();
    }

    /// What waits for a peer that is gone is found again when it is back.
    pub fn on_lost(&mut self, node: NodeId) {
        self.waiting.remove(&node);
        self.under_way.remove(&node);
    }

    /// Says what waits to be said.
    pub fn go_on(&mut self, cx: &mut Context) {
        for to in self.waiting.keys().copied().collect::<Vec<_>>() {
            if !cx.responsive(to) {
                self.waiting.remove(&to);
            } else if !self.under_way.contains(&to) {
                self.send(cx, to);
            }
        }
    }

    fn send(&mut self, cx: &mut Context, to: NodeId) {
        let Some(waiting) = self.waiting.get_mut(&to) else { return };
        let rest = waiting.keys().nth(IDS_MAX).copied().map(|first| waiting.split_off(&first)).unwrap_or_default();
        let infos: Vec<RecordInfo> = std::mem::replace(waiting, rest).into_values().collect();
        debug_assert!(
            (1..=IDS_MAX).contains(&infos.len()),
            "an offer is of something, and of no more than a message has"
        );
        if waiting.is_empty() {
            self.waiting.remove(&to);
        }
        self.under_way.insert(to);
        let (map, items) = (cx.map_digest, infos.iter().map(|info| holding(cx, info)).collect());
        let waiter = Waiter::Repair(RepairToken::Offer { infos });
        cx.ask(to, waiter, |request| Message::Offer(OfferRequest { request, map, items }));
    }

    /// What has no room there is offered to whoever comes next in its order.
    pub fn on_reply(
        &mut self,
        cx: &mut Context,
        from: NodeId,
        infos: Vec<RecordInfo>,
        said: &[OfferOutcome],
    ) -> OfferOutcomes {
        self.under_way.remove(&from);
        let mut outcomes = OfferOutcomes::default();
        for (info, outcome) in infos.into_iter().zip(said) {
            match outcome {
                OfferOutcome::No => outcomes.held.push(info),
                OfferOutcome::WillPull => outcomes.awaited.push(info.id),
                OfferOutcome::NotYet => outcomes.is_unsettled = true,
                OfferOutcome::Full => {
                    if let Some(fallback) = fallback(cx, from, &info) {
                        self.offer(fallback, info);
                    }
                }
            }
        }
        self.go_on(cx);
        outcomes
    }
}

/// Who keeps a copy for a holder that has no room: the second such holder's is the second that comes next in order.
fn fallback(cx: &Context, full: NodeId, info: &RecordInfo) -> Option<NodeId> {
    let copies = HeldRecord::of(info).redundancy?.copies();
    let order = cx.map.order(info.id, copies);
    let (assigned, rest) = order.split_at(usize::from(copies).min(order.len()));
    let are_full = assigned.iter().filter(|holder| !cx.has_room(holder.node));
    let place = are_full.take_while(|holder| holder.node != full).count();
    let can_keep = |holder: &&BlockHolder| cx.is_holder(holder.node) && cx.responsive(holder.node);
    // This node has it, and may be the one.
    rest.iter().filter(can_keep).nth(place).map(|holder| holder.node).filter(|node| *node != cx.me)
}

/// A member offers: the store is asked what of it is here. None: it is answered at once.
pub(super) fn on_offer(cx: &mut Context, from: NodeId, offer: OfferRequest) {
    let OfferRequest { request, map, items } = offer;
    if map != cx.map_digest || cx.duplicate_identity || !cx.ready() {
        let outcomes = vec![OfferOutcome::NotYet; items.len()];
        return cx.send(from, Message::OfferReply(OfferReply { request, outcomes }));
    }
    let ids = items.iter().map(|item| item.id).collect();
    let token = ServeToken::Offer { to: from, request, items };
    cx.disk(DiskRequest::Have { ids, renew: None }, Waiter::Serve(token));
}

/// The store said what is here: the rest will be pulled, if it is wanted and there is room.
pub(super) fn answer_offer(
    cx: &mut Context,
    pulls: &mut Pulls,
    (to, request): (NodeId, u64),
    items: Vec<Holding>,
    here: &[Possession],
) {
    let has_room = cx.disks.iter().any(DiskState::takes_blocks);
    let mut outcomes = Vec::new();
    for (item, here) in items.into_iter().zip(here) {
        outcomes.push(match here {
            Possession::Yes => OfferOutcome::No,
            Possession::NotYet => OfferOutcome::NotYet,
            Possession::No if is_unneeded(cx, &item) => OfferOutcome::No,
            Possession::No if !is_wanted_here(cx, to, item.id, item.redundancy.copies()) => OfferOutcome::No,
            Possession::No if !has_room => OfferOutcome::Full,
            Possession::No if pulls.want(cx, to, item, PullReason::Offered) => OfferOutcome::WillPull,
            Possession::No => OfferOutcome::NotYet,
        });
    }
    cx.send(to, Message::OfferReply(OfferReply { request, outcomes }));
}
