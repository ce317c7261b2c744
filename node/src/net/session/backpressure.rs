//! Bounds what one peer can make this node hold in memory by asking: while so many blocks are on their way to it, its further
//! questions for blocks wait here, and the blocks on the disk; from whoever asks about too many ids, or does not take the
//! answers that are owed, nothing more is read until some have left.
//!
//! The questions are not left in the connection, for other messages would wait behind them. They are not refused, for a line
//! that is only slow would then fail reads that it can serve.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use fsdfs_proto::message::{IDS_MAX, Message};
use tokio::sync::{Semaphore, watch};

use crate::net::session::frame::StreamError;

/// Blocks being read for one peer, or on their way to it: with the largest ones 18 MiB, a sixth of a second of a gigabit line,
/// more than a read of a gateway has under way with each of three holders.
pub(super) const FETCHED_UNDER_WAY_MAX: usize = 16;
/// Questions that wait at most. A gateway's reads ask for some hundred blocks at once; whoever asks for thousands means harm.
const WAITING_MAX: usize = 4096;

/// Blocks that one peer may ask about ("have you?") before it is answered. Nothing more is read from whoever asks faster than the
/// disk answers: eight full questions take some ten milliseconds of it, and that is what others wait behind them.
const IDS_UNDER_WAY_MAX: usize = 4_096;

/// Answers owed to one peer at most before nothing more is read from it: more than twice what may be under way by the protocol
/// (spec 04-wire, "How much may be under way"), so it stops nobody who keeps to that.
pub(super) const ANSWERS_OWED_MAX: usize = 2048;

/// What one connection asks of this node's disks.
pub(crate) struct PeerBackpressure {
    blocks: Mutex<FetchQueue>,
    /// Ids that may still be asked about.
    ids: Semaphore,
    /// Questions, other than for blocks, that have not been answered. Answers to an earlier connection's leave on this one too,
    /// so the count stops at zero.
    owed: watch::Sender<usize>,
}

/// Questions wait only while `under_way` is at its bound. An answer to a question of the peer's last connection leaves on this
/// one too, so more may leave than came: the count stops at zero.
#[derive(Default)]
struct FetchQueue {
    under_way: usize,
    waiting: VecDeque<Message>,
}

impl Default for PeerBackpressure {
    fn default() -> Self {
        Self { blocks: Mutex::default(), ids: Semaphore::new(IDS_UNDER_WAY_MAX), owed: watch::Sender::new(0) }
    }
}

impl PeerBackpressure {
    /// Waits until this may be asked.
    pub(crate) async fn reserve(&self, message: &Message) {
        if wants_answer(message) {
            // The sender is this struct's, so waiting never fails.
            drop(self.owed.subscribe().wait_for(|owed| *owed < ANSWERS_OWED_MAX).await);
            self.owed.send_modify(|owed| *owed += 1);
        }
        let count = u32::try_from(ids_asked(message)).expect("the decoder bounds the list");
        if count == 0 {
            return;
        }
        if let Ok(permit) = self.ids.acquire_many(count).await {
            // Given back when the answer leaves.
            permit.forget();
        }
    }

    /// A message came in. None: it is a question that waits now.
    pub(crate) fn on_received(&self, message: Message) -> Result<Option<Message>, StreamError> {
        if !matches!(message, Message::Fetch(_) | Message::Pull(_)) {
            return Ok(Some(message));
        }
        let mut state = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if state.under_way < FETCHED_UNDER_WAY_MAX {
            state.under_way += 1;
            return Ok(Some(message));
        }
        if state.waiting.len() >= WAITING_MAX {
            return Err(StreamError::TooMany(WAITING_MAX));
        }
        state.waiting.push_back(message);
        Ok(None)
    }

    /// A message has left this node. If it answers a question, the next one that waited is returned.
    pub(crate) fn on_sent(&self, sent: &Message) -> Option<Message> {
        if is_answer(sent) {
            self.owed.send_modify(|owed| *owed = owed.saturating_sub(1));
        }
        self.ids.add_permits(ids_answered(sent));
        if !matches!(sent, Message::FetchReply(_) | Message::PullReply(_)) {
            return None;
        }
        let mut state = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.under_way = state.under_way.saturating_sub(1);
        }
        next
    }
}

/// How many blocks a question has the disk look for. A comparison of a part lists as many as an answer has room for.
fn ids_asked(message: &Message) -> usize {
    match message {
        Message::Have(have) => have.ids.len(),
        Message::Offer(offer) => offer.items.len(),
        Message::Prove(asked) => asked.ids.len(),
        Message::Holdings(_) => IDS_MAX,
        _ => 0,
    }
}

/// The other side of [`ids_asked`].
fn ids_answered(message: &Message) -> usize {
    match message {
        Message::HaveReply(reply) => reply.answers.len(),
        Message::OfferReply(reply) => reply.outcomes.len(),
        Message::ProveReply(reply) => reply.held.len(),
        Message::HoldingsReply(_) => IDS_MAX,
        _ => 0,
    }
}

/// What the engine answers with one message, whatever it is. Questions for blocks are counted by themselves.
fn wants_answer(message: &Message) -> bool {
    match message {
        Message::Ping(_)
        | Message::Have(_)
        | Message::Store(_)
        | Message::Heads(_)
        | Message::Capability(_)
        | Message::Entitled(_)
        | Message::Audit(_)
        | Message::Prove(_)
        | Message::ListBlocks(_)
        | Message::Prints(_)
        | Message::Holdings(_)
        | Message::Offer(_)
        | Message::Assure(_) => true,
        Message::Facts(facts) => facts.request != 0,
        _ => false,
    }
}

/// The other side of [`wants_answer`].
fn is_answer(message: &Message) -> bool {
    matches!(
        message,
        Message::Pong(_)
            | Message::HaveReply(_)
            | Message::StoreReply(_)
            | Message::HeadsReply(_)
            | Message::CapabilityReply(_)
            | Message::EntitledReply(_)
            | Message::AuditReply(_)
            | Message::ProveReply(_)
            | Message::ListBlocksReply(_)
            | Message::PrintsReply(_)
            | Message::HoldingsReply(_)
            | Message::OfferReply(_)
            | Message::AssureReply(_)
            | Message::FactsAck(_)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use fsdfs_proto::ids::{BlockId, Digest};
    use fsdfs_proto::message::repair::{
        CompareState, HoldingsReply, HoldingsRequest, PullOutcome, PullReply, PullRequest,
    };
    use fsdfs_proto::message::{
        FetchOutcome, FetchReply, FetchRequest, HaveReply, HaveRequest, IDS_MAX, Message, Possession, Redundancy,
    };
    use futures::FutureExt as _;
    use tokio::task::unconstrained;

    use super::{ANSWERS_OWED_MAX, FETCHED_UNDER_WAY_MAX, IDS_UNDER_WAY_MAX, PeerBackpressure, WAITING_MAX};

    #[test]
    fn more_ids_are_asked_about_when_an_answer_has_left() {
        let backpressure = PeerBackpressure::default();
        let ids = vec![BlockId([1; 32]); IDS_MAX];
        let have = Message::Have(HaveRequest {
            request: 1,
            renew: false,
            map: Digest([0; 32]),
            redundancy: Redundancy::Replicas(3),
            ids,
        });
        let is_read = |message| unconstrained(backpressure.reserve(message)).now_or_never().is_some();
        assert!((0..IDS_UNDER_WAY_MAX / IDS_MAX).all(|_| is_read(&have)));
        assert!(!is_read(&have) && is_read(&Message::Ping(1)));
        let answers = vec![Possession::No; IDS_MAX];
        backpressure.on_sent(&Message::HaveReply(HaveReply { request: 1, answers }));
        assert!(is_read(&have) && !is_read(&have));
    }

    #[test]
    fn who_takes_no_answers_is_read_no_further() {
        let backpressure = PeerBackpressure::default();
        let is_read = |message: &Message| unconstrained(backpressure.reserve(message)).now_or_never().is_some();
        assert!((0..ANSWERS_OWED_MAX).all(|_| is_read(&Message::Ping(1))));
        assert!(!is_read(&Message::Ping(1)) && is_read(&Message::Pong(1)), "an answer is always taken in");
        assert_eq!(backpressure.on_sent(&Message::Pong(1)), None);
        assert!(is_read(&Message::Ping(1)) && !is_read(&Message::Ping(1)));
        (0..2 * ANSWERS_OWED_MAX).for_each(|_| drop(backpressure.on_sent(&Message::Pong(1))));
        assert!((0..ANSWERS_OWED_MAX).all(|_| is_read(&Message::Ping(1))));
        assert!(!is_read(&Message::Ping(1)), "answers to others' questions make no more room");
    }

    #[test]
    fn what_repair_asks_for_counts_as_what_users_do() {
        let backpressure = PeerBackpressure::default();
        let pull = |request| Message::Pull(PullRequest { request, id: BlockId([1; 32]) });
        for request in 0..FETCHED_UNDER_WAY_MAX as u64 {
            assert!(backpressure.on_received(pull(request)).unwrap().is_some());
        }
        assert_eq!(backpressure.on_received(pull(100)).unwrap(), None);
        let later = PullReply { request: 0, outcome: PullOutcome::Later, wait_ms: 1, block: None };
        assert_eq!(backpressure.on_sent(&Message::PullReply(later)), Some(pull(100)));

        let (map, to) = (Digest([0; 32]), BlockId([255; 32]));
        let asked = HoldingsRequest { request: 1, map, class: 0, after: None, to, have: Vec::new() };
        let part = Message::Holdings(asked);
        let is_read = |message: &Message| unconstrained(backpressure.reserve(message)).now_or_never().is_some();
        assert!((0..IDS_UNDER_WAY_MAX / IDS_MAX).all(|_| is_read(&part)) && !is_read(&part));
        let (items, lacks, state) = (Vec::new(), Vec::new(), CompareState::NotYet);
        backpressure.on_sent(&Message::HoldingsReply(HoldingsReply { request: 1, state, items, lacks, next: None }));
        assert!(is_read(&part));
    }

    #[test]
    fn questions_beyond_the_bound_wait_for_answers_to_leave() {
        let backpressure = PeerBackpressure::default();
        let fetch = |request| Message::Fetch(FetchRequest { request, id: BlockId([1; 32]) });
        let reply = Message::FetchReply(FetchReply { request: 0, outcome: FetchOutcome::No, block: None });
        for request in 0..FETCHED_UNDER_WAY_MAX as u64 {
            assert!(backpressure.on_received(fetch(request)).unwrap().is_some());
        }
        assert_eq!(backpressure.on_received(fetch(100)).unwrap(), None);
        assert!(backpressure.on_received(Message::Ping(1)).unwrap().is_some(), "others pass");
        assert_eq!((backpressure.on_sent(&Message::Pong(1)), backpressure.on_sent(&reply)), (None, Some(fetch(100))));
        for request in 0..WAITING_MAX as u64 {
            assert_eq!(backpressure.on_received(fetch(request)).unwrap(), None);
        }
        assert!(
            backpressure.on_received(fetch(0)).is_err(),
            "somebody who reads nothing fills no memory with questions either"
        );
        (0..WAITING_MAX).for_each(|_| drop(backpressure.on_sent(&reply).unwrap()));
        (0..FETCHED_UNDER_WAY_MAX).for_each(|_| assert_eq!(backpressure.on_sent(&reply), None));
        assert!(backpressure.on_received(fetch(0)).unwrap().is_some());
    }
}
