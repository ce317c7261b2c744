//! Whose facts this node knows, and who knows this node's: as of when, directly or through one that meets both.
//!
//! Promise, to those who delete what no known tree needs: [`HearingTable::heard`] is never later than a moment of which this
//! node knows all that the member had, and at which the member kept no head to itself; [`HearingTable::known`] is never later
//! than a moment of which the member knows all that this node had, and had no head left that it made without knowing it. In a
//! pool of four or more no single member can make either later than it is, except of itself.
//!
//! Through others it takes two exchanges, and their order is all that counts. What a member had when its exchange with a teller
//! began is here once an exchange with the teller ended that began when this node had been told of the other one; what this
//! node had when an exchange with the teller began is there once the teller began one with the member after it ended. Only what
//! a teller did itself counts. Of a member to which there are three steps or more nothing is known, and whoever deletes waits:
//! a teller that passed on what it was told could be two tellers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::repair::{HEARD_MAX, HeardMember, HeardMembers};

use super::moment::Moment;
use crate::limits::{EXCHANGES_APART_MS, EXCHANGES_KEPT_MAX, HEARING_SLACK_MS};
use crate::seam::Now;

/// Tellers of one member that are remembered: two are wanted, and one may fall out.
const TELLERS_MAX: usize = 3;
/// In a pool of so many members two have to say the same: one alone may lie.
const BY_TWO_FROM: usize = 4;

/// It begins anew with each start, which is safe: nothing is known then.
#[derive(Default)]
pub(super) struct HearingTable {
    /// When the last exchange with a member began during which it kept no head to itself.
    exchanged: BTreeMap<NodeId, Moment>,
    /// All exchanges with a member, whatever it kept to itself.
    compared: BTreeMap<NodeId, Exchanges>,
    /// Of each teller: when its exchange with another member began, and since when (monotonic milliseconds) this node knows of
    /// it, until one of its own with the teller came after that.
    waiting: BTreeMap<NodeId, BTreeMap<NodeId, (Moment, u64)>>,
    /// Through whom a member was heard, and as of when.
    heard_through: Tellers,
    /// Through whom a member knows what this node had, and as of when.
    known_through: Tellers,
}

/// Of each member, through whom, as of when; the latest first.
type Tellers = BTreeMap<NodeId, Vec<(NodeId, Moment)>>;

/// An exchange of facts. Each knows then what the other had when it began.
#[derive(Clone, Copy)]
pub(super) struct Exchange {
    pub began: Moment,
    /// Monotonic milliseconds.
    pub ended: u64,
}

/// When facts were exchanged with one member.
#[derive(Default)]
struct Exchanges {
    last: Option<Exchange>,
    /// Earlier ones, some time apart, ascending: the teller's exchange with a third may have come before the last one.
    earlier: VecDeque<Exchange>,
}

impl Exchanges {
    fn note(&mut self, exchange: Exchange) {
        self.last = Some(exchange);
        if self.earlier.back().is_none_or(|before| exchange.ended >= before.ended + EXCHANGES_APART_MS) {
            self.earlier.push_back(exchange);
        }
        if self.earlier.len() > EXCHANGES_KEPT_MAX {
            self.earlier.pop_front();
        }
    }

    /// The last one that had certainly ended at that time: as of when the other knows what was here.
    fn known_at(&self, at: Moment) -> Option<Moment> {
        let mut all = self.last.iter().chain(self.earlier.iter().rev());
        all.find(|exchange| is_before(exchange.ended, at.mono)).map(|exchange| exchange.began)
    }
}

impl HearingTable {
    /// Facts were exchanged with a member. `keeps_heads`: it had some that it told nobody of, at some time of it.
    pub fn on_exchange(&mut self, node: NodeId, exchange: Exchange, keeps_heads: bool) {
        debug_assert!(exchange.began.mono <= exchange.ended, "it took its time");
        self.compared.entry(node).or_default().note(exchange);
        if !keeps_heads {
            self.exchanged.insert(node, exchange.began);
        }
        let Some(waiting) = self.waiting.get_mut(&node) else { return };
        let is_here = |told: u64| is_before(told, exchange.began.mono);
        let here =
            waiting.iter().filter(|(_, (_, told))| is_here(*told)).map(|(member, (theirs, _))| (*member, *theirs));
        note_through(&mut self.heard_through, node, here);
        waiting.retain(|_, (_, told)| !is_here(*told));
    }

    /// What is said to the others. `connected`: members this node is connected to; `unpublished`: it keeps heads to itself.
    pub fn told(&self, now: Now, connected: &BTreeSet<NodeId>, unpublished: bool) -> HeardMembers {
        let named: BTreeSet<NodeId> = self.exchanged.keys().chain(connected).copied().collect();
        let member = |node: NodeId| HeardMember {
            node,
            age_ms: self.exchanged.get(&node).map(|at| at.age_ms(now)),
            connected: connected.contains(&node),
        };
        HeardMembers { unpublished, members: named.into_iter().take(HEARD_MAX).map(member).collect() }
    }

    /// What another member says of its exchanges. Whether it keeps heads to itself does not matter here: what it passes on are
    /// facts of others.
    pub fn on_told(&mut self, from: NodeId, said: &HeardMembers, at: Moment, is_other: impl Fn(NodeId) -> bool) {
        let said = said.members.iter().filter(|heard| heard.node != from && is_other(heard.node));
        let waiting = self.waiting.entry(from).or_default();
        for (node, age_ms) in said.filter_map(|heard| Some((heard.node, heard.age_ms?))) {
            let theirs = at.before(age_ms);
            let known = self.compared.get(&from).and_then(|mine| mine.known_at(theirs));
            note_through(&mut self.known_through, from, known.map(|known| (node, known)));
            // A later word does not hold up an earlier one.
            waiting.entry(node).or_insert((theirs, at.mono));
        }
    }

    /// As of when this node knows all that a member had, in a pool of so many.
    pub fn heard(&self, node: NodeId, members: usize) -> Option<Moment> {
        let direct = self.exchanged.get(&node).copied();
        later(direct, through(&self.heard_through, node, members)).map(|at| at.before(HEARING_SLACK_MS))
    }

    /// As of when a member knows all that this node had.
    pub fn known(&self, node: NodeId, members: usize) -> Option<Moment> {
        // A head that it keeps to itself was made of what it knew before.
        let direct = self.exchanged.get(&node).copied();
        later(direct, through(&self.known_through, node, members)).map(|at| at.before(HEARING_SLACK_MS))
    }

    /// Those who are no members any more matter to nobody.
    pub fn forget_others(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.exchanged.retain(|node, _| is_member(*node));
        self.compared.retain(|node, _| is_member(*node));
        self.waiting.retain(|teller, said| is_member(*teller) && !said.is_empty());
        for tellers in [&mut self.heard_through, &mut self.known_through] {
            tellers.retain(|node, _| is_member(*node));
            // The word of one that was thrown out counts no more.
            tellers.values_mut().for_each(|tellers| tellers.retain(|(teller, _)| is_member(*teller)));
        }
    }
}

/// The one was certainly over at the other time, although what told of either was under way.
fn is_before(one: u64, other: u64) -> bool {
    one + HEARING_SLACK_MS <= other
}

fn later(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).max_by_key(|at| at.wall)
}

/// What so many tellers agree upon as a pool of this size asks for.
fn through(tellers: &Tellers, node: NodeId, members: usize) -> Option<Moment> {
    let wanted = if members >= BY_TWO_FROM { 2 } else { 1 };
    tellers.get(&node)?.get(wanted - 1).map(|(_, at)| *at)
}

/// A teller never takes back what it made known.
fn note_through(tellers: &mut Tellers, teller: NodeId, found: impl IntoIterator<Item = (NodeId, Moment)>) {
    for (node, at) in found {
        let known = tellers.entry(node).or_default();
        let before = known.iter().position(|(other, _)| *other == teller).map(|place| known.remove(place).1);
        let at = later(before, Some(at)).expect("one of them is there");
        known.push((teller, at));
        known.sort_by_key(|(teller, at)| (std::cmp::Reverse(at.wall), *teller));
        known.truncate(TELLERS_MAX);
        debug_assert!(known.is_sorted_by_key(|(_, at)| std::cmp::Reverse(at.wall)), "the latest first");
    }
}

#[cfg(test)]
mod tests;
