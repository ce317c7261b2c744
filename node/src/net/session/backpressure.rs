//! Bounds what one peer can make this node hold in memory by asking: while so many blocks are on their way to it, its further
//! questions for blocks wait here, and the blocks on the disk; who asks about too many ids is read no further.
//!
//! The questions are not left in the connection, for other messages would wait behind them. They are not refused, for a line
//! that is only slow would then fail reads that it can serve.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use fsdfs_proto::message::Message;
use tokio::sync::Semaphore;

use crate::net::session::frame::StreamError;

/// Blocks being read for one peer, or on their way to it: with the largest ones 18 MiB, a sixth of a second of a gigabit line,
/// more than a read of a gateway has under way with each of three holders.
const UNDER_WAY_MAX: usize = 16;
/// Questions that wait at most. A gateway's reads ask for some hundred blocks at once; whoever asks for thousands means harm.
const WAITING_MAX: usize = 4096;

/// Blocks that one peer may ask about ("have you?") before it is answered: their ids take 4 MiB. Nothing more is read from
/// whoever asks faster than the disk answers.
const IDS_UNDER_WAY_MAX: usize = 131_072;

/// What one connection asks of this node's disks.
pub(crate) struct PeerBackpressure {
    blocks: Mutex<FetchQueue>,
    /// Ids that may still be asked about.
    ids: Semaphore,
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
        Self { blocks: Mutex::default(), ids: Semaphore::new(IDS_UNDER_WAY_MAX) }
    }
}

impl PeerBackpressure {
    /// Waits until so many ids may be asked about.
    pub(crate) async fn reserve_ids(&self, message: &Message) {
        let Message::Have(have) = message else { return };
        let count = u32::try_from(have.ids.len()).expect("the decoder bounds the list");
        if let Ok(permit) = self.ids.acquire_many(count).await {
            // Given back when the answer leaves.
            permit.forget();
        }
    }

    /// A message came in. None: it is a question that waits now.
    pub(crate) fn on_received(&self, message: Message) -> Result<Option<Message>, StreamError> {
        if !matches!(message, Message::Fetch(_)) {
            return Ok(Some(message));
        }
        let mut state = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if state.under_way < UNDER_WAY_MAX {
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
        if let Message::HaveReply(reply) = sent {
            self.ids.add_permits(reply.answers.len());
        }
        if !matches!(sent, Message::FetchReply(_)) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use fsdfs_proto::ids::{BlockId, Digest};
    use fsdfs_proto::message::{
        FetchOutcome, FetchReply, FetchRequest, HaveReply, HaveRequest, IDS_MAX, Message, Possession, Redundancy,
    };
    use futures::FutureExt as _;
    use tokio::task::unconstrained;

    use super::{IDS_UNDER_WAY_MAX, PeerBackpressure, UNDER_WAY_MAX, WAITING_MAX};

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
        let is_read = |message| unconstrained(backpressure.reserve_ids(message)).now_or_never().is_some();
        assert!((0..IDS_UNDER_WAY_MAX / IDS_MAX).all(|_| is_read(&have)));
        assert!(!is_read(&have) && is_read(&Message::Ping(1)));
        let answers = vec![Possession::No; IDS_MAX];
        backpressure.on_sent(&Message::HaveReply(HaveReply { request: 1, answers }));
        assert!(is_read(&have) && !is_read(&have));
    }

    #[test]
    fn questions_beyond_the_bound_wait_for_answers_to_leave() {
        let backpressure = PeerBackpressure::default();
        let fetch = |request| Message::Fetch(FetchRequest { request, id: BlockId([1; 32]) });
        let reply = Message::FetchReply(FetchReply { request: 0, outcome: FetchOutcome::No, block: None });
        for request in 0..UNDER_WAY_MAX as u64 {
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
        (0..UNDER_WAY_MAX).for_each(|_| assert_eq!(backpressure.on_sent(&reply), None));
        assert!(backpressure.on_received(fetch(0)).unwrap().is_some());
    }
}
