//! Questions that wait until as much as may be under way to a peer leaves room for them.
//!
//! Promise: however much this node wants to know of a peer or to have it keep, what it has sent and what was not answered is
//! bounded, so the peer's connection never has to hold more than it can. What is beyond waits here, in the order in which it
//! was asked, and is bounded by whoever asks: a put keeps its block until it ends, whether the bytes were sent or not.
//!
//! An answer makes room; that nobody waits for it any more does not, for the question is still on its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{Message, RequestId};

use crate::limits::{
    FETCHES_UNDER_WAY_MAX, QUESTIONS_UNDER_WAY_MAX, STALL_MS, STORE_BYTES_UNDER_WAY_MAX, STORES_UNDER_WAY_MAX,
};
use crate::seam::TrafficClass;

/// A question with its number.
#[derive(Debug)]
pub(in crate::engine) struct PendingQuestion {
    pub request: RequestId,
    pub message: Message,
    /// What the message announces.
    pub block: Option<Block>,
    /// Of the block.
    pub class: TrafficClass,
}

/// Of all peers that were asked anything on their present connection.
#[derive(Default)]
pub(in crate::engine) struct Outboxes(BTreeMap<NodeId, PeerOutbox>);

/// Blocks to keep, blocks to hand out, and all else wait for their own kind only: an answer in ids does not wait behind bytes.
#[derive(Default)]
struct PeerOutbox {
    stores: QuestionLane,
    fetches: QuestionLane,
    others: QuestionLane,
    /// What the peer is asked by others for this node: nothing of it is sent from here.
    expected: BTreeSet<RequestId>,
}

/// Questions of one kind to one peer.
#[derive(Default)]
struct QuestionLane {
    /// Sent and not answered, with the bytes of their blocks.
    under_way: BTreeMap<RequestId, usize>,
    /// Of all blocks under way.
    bytes: usize,
    /// Behind them, the oldest first.
    waiting: VecDeque<PendingQuestion>,
    /// When the last answer came, or the first question was sent after all were answered.
    progress_at: u64,
}

impl QuestionLane {
    /// One is always allowed, however long it is.
    fn has_room(&self, count_max: usize) -> bool {
        self.under_way.is_empty() || (self.under_way.len() < count_max && self.bytes < STORE_BYTES_UNDER_WAY_MAX)
    }

    fn send(&mut self, question: &PendingQuestion, now: u64) {
        if self.under_way.is_empty() {
            self.progress_at = now;
        }
        let bytes = question.block.as_ref().map_or(0, |block| block.bytes().len());
        self.bytes += bytes;
        let before = self.under_way.insert(question.request, bytes);
        debug_assert!(before.is_none(), "a question is sent once");
    }

    /// Whether it was under way.
    fn answered(&mut self, request: RequestId, now: u64) -> bool {
        let Some(bytes) = self.under_way.remove(&request) else { return false };
        self.bytes -= bytes;
        self.progress_at = now;
        debug_assert!(!self.under_way.is_empty() || self.bytes == 0, "nothing under way has no bytes");
        true
    }
}

impl PeerOutbox {
    fn lanes(&mut self) -> [(&mut QuestionLane, usize); 3] {
        [
            (&mut self.stores, STORES_UNDER_WAY_MAX),
            (&mut self.fetches, FETCHES_UNDER_WAY_MAX),
            (&mut self.others, QUESTIONS_UNDER_WAY_MAX),
        ]
    }

    fn lane_of(&mut self, message: &Message) -> &mut QuestionLane {
        match message {
            Message::Store(_) | Message::RelayedStore(_) => &mut self.stores,
            Message::Fetch(_) | Message::Pull(_) => &mut self.fetches,
            _ => &mut self.others,
        }
    }
}

impl Outboxes {
    /// A new question waits behind those of its kind.
    pub fn push(&mut self, to: NodeId, question: PendingQuestion) {
        let outbox = self.0.entry(to).or_default();
        outbox.lane_of(&question.message).waiting.push_back(question);
    }

    /// The next question that may be sent now. `is_wanted`: somebody still waits for its answer; others are forgotten unsent.
    pub fn next(&mut self, to: NodeId, now: u64, is_wanted: impl Fn(RequestId) -> bool) -> Option<PendingQuestion> {
        for (lane, count_max) in self.0.get_mut(&to)?.lanes() {
            while lane.has_room(count_max)
                && let Some(question) = lane.waiting.pop_front()
            {
                if is_wanted(question.request) {
                    lane.send(&question, now);
                    return Some(question);
                }
            }
        }
        None
    }

    /// The peer answered a question, in time or late. Whether there may be room now.
    pub fn answered(&mut self, from: NodeId, request: RequestId, now: u64) -> bool {
        let Some(outbox) = self.0.get_mut(&from) else { return false };
        outbox.expected.remove(&request) || outbox.lanes().into_iter().any(|(lane, _)| lane.answered(request, now))
    }

    /// Others ask the peer for this node.
    pub fn expect(&mut self, from: NodeId, request: RequestId) {
        let is_new = self.0.entry(from).or_default().expected.insert(request);
        debug_assert!(is_new, "a question is asked once");
    }

    /// Its answer means nothing any more.
    pub fn expect_no_more(&mut self, from: NodeId, request: RequestId) {
        if let Some(outbox) = self.0.get_mut(&from) {
            outbox.expected.remove(&request);
        }
    }

    /// Its connection is gone, and with it all that was under way or waited for it.
    pub fn clear(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    /// When the last answer about a block to keep came; none if nothing more of the kind may be sent now.
    fn full_since(&self, node: NodeId) -> Option<u64> {
        let stores = &self.0.get(&node)?.stores;
        (!stores.has_room(STORES_UNDER_WAY_MAX)).then_some(stores.progress_at)
    }

    /// As many blocks are under way to it as may be, and for [`STALL_MS`] it confirmed none and no bytes moved (`moved`): its
    /// disk hangs, and what is put now waits for nothing.
    pub fn is_stuck(&self, node: NodeId, moved: u64, now: u64) -> bool {
        self.full_since(node).is_some_and(|since| now.saturating_sub(since.max(moved)) >= STALL_MS)
    }

    /// Questions that were sent to it and not answered.
    #[cfg(test)]
    pub fn under_way(&mut self, node: NodeId) -> usize {
        let outbox = self.0.entry(node).or_default();
        outbox.lanes().iter().map(|(lane, _)| lane.under_way.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fsdfs_proto::ids::{BlockId, Digest, Signature};
    use fsdfs_proto::message::{AttachedBlock, FetchRequest, Redundancy, StoreRequest};
    use fsdfs_proto::receipt::BlockReceipt;

    use super::*;

    const BOB: NodeId = NodeId([2; 32]);

    fn store(request: RequestId, len: usize) -> PendingQuestion {
        let block = Block::new(Bytes::from(vec![7; len]));
        let message = Message::Store(StoreRequest {
            request,
            map: Digest([0; 32]),
            redundancy: Redundancy::Replicas(3),
            age_ms: 0,
            lease_ms: 0,
            receipt: BlockReceipt { member: BOB, signature: Signature([0; 64]) },
            more: false,
            block: AttachedBlock::from(&block),
        });
        PendingQuestion { request, message, block: Some(block), class: TrafficClass::User }
    }

    fn fetch(request: RequestId) -> PendingQuestion {
        let message = Message::Fetch(FetchRequest { request, id: BlockId([1; 32]) });
        PendingQuestion { request, message, block: None, class: TrafficClass::User }
    }

    fn sent(outboxes: &mut Outboxes, now: u64) -> Vec<RequestId> {
        std::iter::from_fn(|| outboxes.next(BOB, now, |_| true)).map(|question| question.request).collect()
    }

    #[test]
    fn what_is_beyond_the_bound_waits_in_order_and_each_answer_lets_one_go() {
        let mut outboxes = Outboxes::default();
        let count = STORES_UNDER_WAY_MAX as u64;
        (1..=count + 3).for_each(|request| outboxes.push(BOB, store(request, 10)));
        assert_eq!(sent(&mut outboxes, 0), (1..=count).collect::<Vec<_>>());
        assert!(!outboxes.answered(BOB, count + 1, 5), "it was not sent");
        assert!(outboxes.answered(BOB, 7, 5) && !outboxes.answered(BOB, 7, 5));
        assert_eq!(sent(&mut outboxes, 5), [count + 1]);
        assert_eq!(outboxes.under_way(BOB), STORES_UNDER_WAY_MAX);
    }

    #[test]
    fn bytes_are_bounded_too_but_one_block_may_always_go() {
        let mut outboxes = Outboxes::default();
        let third = STORE_BYTES_UNDER_WAY_MAX / 3;
        (1..=5).for_each(|request| outboxes.push(BOB, store(request, third + 1)));
        assert_eq!(sent(&mut outboxes, 0), [1, 2, 3]);
        outboxes.answered(BOB, 2, 0);
        assert_eq!(sent(&mut outboxes, 0), [4]);
    }

    #[test]
    fn other_kinds_do_not_wait_for_it() {
        let mut outboxes = Outboxes::default();
        (0..=STORES_UNDER_WAY_MAX as u64).for_each(|request| outboxes.push(BOB, store(request, 10)));
        sent(&mut outboxes, 0);
        outboxes.push(BOB, fetch(900));
        assert_eq!(sent(&mut outboxes, 0), [900]);
    }

    #[test]
    fn an_answer_that_others_asked_for_is_taken_once_and_takes_no_room() {
        let mut outboxes = Outboxes::default();
        outboxes.expect(BOB, 1);
        outboxes.expect(BOB, 2);
        assert_eq!(outboxes.under_way(BOB), 0);
        outboxes.expect_no_more(BOB, 2);
        assert!(outboxes.answered(BOB, 1, 0) && !outboxes.answered(BOB, 1, 0) && !outboxes.answered(BOB, 2, 0));
        outboxes.expect(BOB, 3);
        outboxes.clear(BOB);
        assert!(!outboxes.answered(BOB, 3, 0), "it was on its way on a connection that is gone");
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_sent() {
        let mut outboxes = Outboxes::default();
        (1..=3).for_each(|request| outboxes.push(BOB, fetch(request)));
        let next = outboxes.next(BOB, 0, |request| request == 3).map(|question| question.request);
        assert_eq!((next, outboxes.under_way(BOB)), (Some(3), 1));
    }

    #[test]
    fn a_peer_that_confirms_nothing_is_stuck_until_it_does() {
        let mut outboxes = Outboxes::default();
        (0..STORES_UNDER_WAY_MAX as u64).for_each(|request| outboxes.push(BOB, store(request, 10)));
        sent(&mut outboxes, 100);
        assert!(!outboxes.is_stuck(BOB, 0, 99 + STALL_MS) && outboxes.is_stuck(BOB, 0, 100 + STALL_MS));
        assert!(!outboxes.is_stuck(BOB, 200, 100 + STALL_MS), "bytes move");
        outboxes.answered(BOB, 0, 100 + STALL_MS);
        assert!(!outboxes.is_stuck(BOB, 0, 200 + 9 * STALL_MS), "there is room to try it");
        outboxes.clear(BOB);
        assert_eq!(outboxes.under_way(BOB), 0);
    }
}
