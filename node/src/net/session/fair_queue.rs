//! Whose turn it is, when several peers have said something: deficit round-robin.
//!
//! Promise: what one peer says waits for the others' by what handling it costs, not by how much of it there is. Whoever floods
//! this node waits behind itself. What one peer says keeps its order.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_proto::identity::{FactKind, RawFact};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{FactBatch, HeadsReply, IDS_MAX, Message};

/// What a peer may cost in one turn, in microseconds of the loop: some ten usual messages.
const QUANTUM: u32 = 500;

/// What waits, by peer.
pub(super) struct FairQueue<T> {
    peers: BTreeMap<NodeId, PeerQueue<T>>,
    /// Those of whom something waits, each once. The first one is at its turn.
    turns: VecDeque<NodeId>,
}

struct PeerQueue<T> {
    /// With what each costs; never empty.
    waiting: VecDeque<(T, u32)>,
    /// What it may still cost in this turn.
    credit: u32,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { peers: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<T> FairQueue<T> {
    /// Behind all that this peer said before.
    pub fn push(&mut self, from: NodeId, item: T, cost: u32) {
        let peer = self.peers.entry(from).or_insert_with(|| {
            self.turns.push_back(from);
            // A peer that was quiet is not made to wait for a second round.
            PeerQueue { waiting: VecDeque::new(), credit: QUANTUM }
        });
        peer.waiting.push_back((item, cost));
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<T> {
        loop {
            let from = *self.turns.front()?;
            let peer = self.peers.get_mut(&from)?;
            let cost = peer.waiting.front()?.1;
            if cost > peer.credit {
                peer.credit += QUANTUM;
                self.turns.rotate_left(1);
                continue;
            }
            peer.credit -= cost;
            let (item, _) = peer.waiting.pop_front()?;
            if peer.waiting.is_empty() {
                self.peers.remove(&from);
                self.turns.pop_front();
            }
            return Some(item);
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

/// About how many microseconds of the loop a message takes: measured on one of today's home servers, and rounded up where a
/// peer can make it worse. Only their proportions matter.
pub(super) fn cost(message: &Message) -> u32 {
    let (each, count) = match message {
        // One statement or card, and who is a member and who holds what is computed anew.
        Message::Facts(FactBatch { facts, .. }) | Message::HeadsReply(HeadsReply { facts, .. }) => {
            let seldom = if facts.iter().any(is_said_seldom) { 50 } else { 0 };
            (20, facts.len() + seldom)
        }
        // What they lead to is paid by the facts that are sent, which are bounded for themselves.
        Message::Summary(summary) => (1, summary.ids.len()),
        Message::Want(want) => (1, want.ids.len()),
        Message::Have(have) => (1, have.ids.len()),
        Message::HaveReply(reply) => (1, reply.answers.len()),
        Message::Heard(heard) => (1, heard.members.len()),
        Message::Assure(assure) => (1, assure.ids.len()),
        Message::AssureReply(reply) => (1, reply.copies.len()),
        // Placed, each.
        Message::Prove(asked) => (5, asked.ids.len()),
        Message::ProveReply(reply) => (1, reply.held.len()),
        Message::ListBlocksReply(reply) => (1, reply.records.len()),
        Message::OfferReply(reply) => (1, reply.outcomes.len()),
        Message::PrintsReply(reply) => (1, reply.sums.len()),
        // Up to as many sums as the table has.
        Message::Prints(asked) => (50, asked.prefixes.len()),
        // Placed and, in the answer to a comparison, with the signature of whoever put each checked.
        Message::Offer(offer) => (5, offer.items.len()),
        Message::HoldingsReply(reply) => (5, reply.items.len()),
        Message::Holdings(asked) => (10, IDS_MAX.saturating_sub(asked.have.len())),
        Message::Heads(_) | Message::Digests(_) => (50, 1),
        // Of a copy that is passed on, the signature of whoever put it is checked.
        Message::Store(_) | Message::RelayedStore(_) => (80, 1),
        Message::Ping(_) | Message::Pong(_) => (5, 1),
        _ => (20, 1),
    };
    10 + each * u32::try_from(count).unwrap_or(u32::MAX / 64)
}

fn is_said_seldom(fact: &RawFact) -> bool {
    !matches!(fact.kind(), FactKind::Head | FactKind::Heartbeat)
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::FactId;
    use fsdfs_proto::message::{SUMMARY_IDS_MAX, WantFacts};

    use super::*;

    const FLOODER: NodeId = NodeId([1; 32]);
    const FRIEND: NodeId = NodeId([2; 32]);

    /// How much the queue lets through before this item.
    fn before(queue: &mut FairQueue<(NodeId, u32)>, item: (NodeId, u32)) -> u32 {
        let mut cost = 0;
        while let Some(next) = queue.pop() {
            if next == item {
                return cost;
            }
            cost += next.1;
        }
        panic!("it is in the queue");
    }

    #[test]
    fn a_friend_waits_for_one_turn_of_a_flooder_and_not_for_its_flood() {
        for cost in [10, 100, QUANTUM, 5_000] {
            let mut queue = FairQueue::default();
            (0..10_000).for_each(|_| queue.push(FLOODER, (FLOODER, cost), cost));
            for _ in 0..50 {
                queue.push(FRIEND, (FRIEND, 30), 30);
                let waited = before(&mut queue, (FRIEND, 30));
                assert!(waited <= QUANTUM.max(cost), "{waited} behind messages of {cost}");
            }
        }
    }

    #[test]
    fn what_costs_more_comes_less_often() {
        let mut queue = FairQueue::default();
        (0..1_000).for_each(|_| queue.push(FLOODER, FLOODER, 5_000));
        (0..100_000).for_each(|_| queue.push(FRIEND, FRIEND, 50));
        let first: Vec<NodeId> = std::iter::from_fn(|| queue.pop()).take(10_100).collect();
        let of_flooder = first.iter().filter(|from| **from == FLOODER).count();
        assert!((90..=110).contains(&of_flooder), "both get the same time, but one got {of_flooder} of it");
    }

    #[test]
    fn what_one_peer_says_keeps_its_order_and_all_of_it_comes() {
        let mut queue = FairQueue::default();
        for number in 0..1_000_u32 {
            let from = if number % 3 == 0 { FRIEND } else { FLOODER };
            queue.push(from, (from, number), number % 700);
        }
        let all: Vec<(NodeId, u32)> = std::iter::from_fn(|| queue.pop()).collect();
        assert!(all.len() == 1_000 && queue.is_empty() && queue.peers.is_empty());
        for node in [FRIEND, FLOODER] {
            assert!(all.iter().filter(|(from, _)| *from == node).map(|(_, number)| *number).is_sorted());
        }
    }

    #[test]
    fn the_longest_message_costs_more_than_a_turn_and_the_shortest_little() {
        let want = Message::Want(WantFacts { ids: vec![FactId([1; 32]); SUMMARY_IDS_MAX] });
        assert!(cost(&want) > QUANTUM && cost(&Message::Ping(1)) * 20 < QUANTUM);
    }
}
