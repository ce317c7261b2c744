//! Questions to peers that are not answered yet.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::RequestId;

use crate::seam::Waiter;

/// A question that was not answered yet.
#[derive(Debug)]
pub(in crate::engine) struct OpenRequest {
    pub to: NodeId,
    /// Monotonic milliseconds when it was asked; of a block that moves, when it was sent.
    pub at: u64,
    /// Monotonic milliseconds when it left; none while it waits for others of its kind (see [`super::Outboxes`]).
    pub sent: Option<u64>,
    pub waiter: Waiter,
}

/// All of them. Each is closed exactly once: by its answer, or when no answer can come.
#[derive(Default)]
pub(in crate::engine) struct Requests {
    open: BTreeMap<RequestId, OpenRequest>,
    /// Numbers are never used twice, so a late answer cannot meet another question.
    last: RequestId,
}

impl Requests {
    /// The number of a new question.
    pub fn open(&mut self, to: NodeId, waiter: Waiter, at: u64) -> RequestId {
        self.last += 1;
        let before = self.open.insert(self.last, OpenRequest { to, at, sent: None, waiter });
        debug_assert!(before.is_none(), "request numbers only grow");
        self.last
    }

    /// Somebody waits for its answer.
    pub fn is_open(&self, request: RequestId) -> bool {
        self.open.contains_key(&request)
    }

    /// Who waits for the answer to this, of whomever.
    pub fn waiter(&self, request: RequestId) -> Option<&Waiter> {
        self.open.get(&request).map(|asked| &asked.waiter)
    }

    /// It is on its way. `counts`: from now on it counts as asked, and not from when it began to wait.
    pub fn note_sent(&mut self, request: RequestId, now: u64, counts: bool) {
        if let Some(asked) = self.open.get_mut(&request) {
            debug_assert!(asked.sent.is_none(), "a question is sent once");
            asked.sent = Some(now);
            asked.at = if counts { now } else { asked.at };
        }
    }

    /// Who waits for this answer; none if nobody asked that peer.
    pub fn close(&mut self, from: NodeId, request: RequestId) -> Option<Waiter> {
        // A wrong sender does not close it: the one who was asked may still answer.
        if self.open.get(&request)?.to != from {
            return None;
        }
        self.open.remove(&request).map(|asked| asked.waiter)
    }

    /// The questions to a peer, oldest first.
    pub fn of(&self, node: NodeId) -> impl Iterator<Item = (RequestId, &OpenRequest)> {
        self.open.iter().filter(move |(_, asked)| asked.to == node).map(|(request, asked)| (*request, asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: NodeId = NodeId([1; 32]);
    const BOB: NodeId = NodeId([2; 32]);

    #[test]
    fn only_the_one_who_was_asked_can_answer_and_only_once() {
        let mut requests = Requests::default();
        let request = requests.open(ALICE, Waiter::Client(7), 10);
        assert_eq!(requests.close(BOB, request), None);
        assert_eq!(requests.close(ALICE, request + 1), None);
        assert_eq!(requests.close(ALICE, request), Some(Waiter::Client(7)));
        assert_eq!(requests.close(ALICE, request), None);
    }

    #[test]
    fn questions_to_a_peer_come_in_the_order_they_were_asked() {
        let mut requests = Requests::default();
        let first = requests.open(ALICE, Waiter::Client(1), 10);
        requests.open(BOB, Waiter::Client(2), 11);
        let third = requests.open(ALICE, Waiter::Client(3), 12);
        let asked: Vec<_> = requests.of(ALICE).map(|(request, asked)| (request, asked.at)).collect();
        assert_eq!(asked, [(first, 10), (third, 12)]);
    }
}
