//! How often another member's card is taken in that has others look for blocks to send.
//!
//! Promise: a member that changes its card all the time changes the map once a minute; its newest card is in force within a
//! minute of the last change. A newcomer, which says several things of itself within seconds, waits for nothing.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{Card, Fact, card_flag};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::{CARD_APART_MS, CARDS_AT_ONCE};

/// See the module. One entry for each other member whose card came.
#[derive(Default)]
pub(super) struct CardPace(BTreeMap<NodeId, MemberPace>);

#[derive(Default)]
struct MemberPace {
    /// When the cards taken in so far would all have kept their distance, in monotonic milliseconds.
    from: u64,
    /// The newest one that came too soon.
    held: Option<Signed<Card>>,
}

impl MemberPace {
    /// When the next card may be taken in.
    fn next(&self) -> u64 {
        self.from.saturating_sub((CARDS_AT_ONCE - 1) * CARD_APART_MS)
    }
}

impl CardPace {
    /// Whether this card of `node` has to wait; then it is kept, if no newer one waits.
    pub fn holds_back(&mut self, cx: &mut Context, node: NodeId, fact: &Fact) -> bool {
        let (Fact::Card(card), Some(pace)) = (fact, self.0.get_mut(&node)) else { return false };
        let next = pace.next();
        if cx.now.mono >= next {
            return false;
        }
        let rank = |card: &Signed<Card>| (card.value().seq, card.id());
        if pace.held.as_ref().is_none_or(|held| rank(held) < rank(card)) {
            pace.held = Some(card.clone());
        }
        cx.timers.set(next, Timer::Cards);
        true
    }

    /// Such a card of this node was taken in, and is news.
    pub fn note(&mut self, cx: &Context, node: NodeId) {
        let pace = self.0.entry(node).or_default();
        pace.from = pace.from.max(cx.now.mono) + CARD_APART_MS;
        // Members give way to others where a branch has as many as it may.
        let members = cx.facts.members();
        if self.0.len() > members.len() {
            self.0.retain(|node, _| members.contains_key(node));
        }
    }

    /// Those that have waited long enough. The others are waited for.
    pub fn due(&mut self, cx: &mut Context) -> Vec<Fact> {
        let mut due = Vec::new();
        for pace in self.0.values_mut().filter(|pace| pace.held.is_some()) {
            let next = pace.next();
            if cx.now.mono >= next {
                due.extend(pace.held.take().map(Fact::from));
            } else {
                cx.timers.set(next, Timer::Cards);
            }
        }
        due
    }
}

/// Whose card this is, if it is another member's that changes the map, or has its blocks looked for because it takes some
/// again. How full it is, and where it can be reached, may come as often as it likes.
pub(super) fn moves_blocks(cx: &Context, fact: &Fact) -> Option<NodeId> {
    let Fact::Card(card) = fact else { return None };
    let new = card.value();
    let last = cx.facts.members().get(&new.node)?.card.as_ref().map(Signed::value);
    let takes = |card: &Card| card.flags & card_flag::READ_ONLY == 0;
    let same =
        last.is_some_and(|last| last.site == new.site && last.disks == new.disks && (takes(last) || !takes(new)));
    (new.node != cx.me && !same).then_some(new.node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::context;
    use crate::engine::test_kit::pool::node;

    #[test]
    fn whoever_gave_way_to_other_members_is_forgotten() {
        let (many, few, mut pace) = (context(0, 6), context(0, 2), CardPace::default());
        (0..6).for_each(|number| pace.note(&many, node(number)));
        assert_eq!(pace.0.len(), 6);
        pace.note(&few, node(1));
        assert!(pace.0.keys().copied().eq([node(0), node(1)].into_iter().collect::<std::collections::BTreeSet<_>>()));
    }
}
