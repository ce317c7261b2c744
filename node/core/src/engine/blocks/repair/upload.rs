//! What others pull from this node, as far as repair may move bytes.

use fsdfs_proto::block::BLOCK_BYTES_MAX;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{PullOutcome, PullReply, PullRequest};
use fsdfs_proto::message::{AttachedBlock, Message};

use crate::engine::context::Context;
use crate::limits::{NOT_YET_RETRY_MS, PULL_BURST_MS, PULL_WAIT_MS_MAX};
use crate::seam::{DiskRequest, ReadDone, ServeToken, TrafficClass, Waiter};

/// See the module.
#[derive(Default)]
pub(super) struct Upload {
    /// Up to when what was sent takes, at the pace of now, in monotonic milliseconds.
    paid_until: u64,
    /// Blocks sent since the start.
    sent: u64,
}

impl Upload {
    /// Within the budget the block is read; beyond it the asker is told when to come again.
    pub fn on_pull(&mut self, cx: &mut Context, from: NodeId, pull: &PullRequest) {
        let (request, id, now) = (pull.request, pull.id, cx.now.mono);
        let wait_ms = match cx.repair_bytes_per_s {
            0 => PULL_WAIT_MS_MAX,
            _ => self.paid_until.saturating_sub(now + PULL_BURST_MS),
        };
        if wait_ms > 0 {
            return say(cx, (from, request), PullOutcome::Later, wait_ms.min(PULL_WAIT_MS_MAX));
        }
        cx.disk(DiskRequest::Read { id }, Waiter::Serve(ServeToken::Pull { to: from, request, id }));
    }

    fn pay(&mut self, cx: &Context, bytes: usize) {
        debug_assert!(bytes <= BLOCK_BYTES_MAX, "no block is longer");
        let ms = (bytes as u64 * 1000).div_ceil(cx.repair_bytes_per_s.max(1));
        self.paid_until = self.paid_until.max(cx.now.mono) + ms;
    }

    /// It was read. Whether it was found damaged.
    pub fn on_read(&mut self, cx: &mut Context, to: (NodeId, u64), id: BlockId, done: ReadDone) -> bool {
        match done {
            ReadDone::Found(block) => {
                debug_assert_eq!(block.id(), id, "the store reads what was asked");
                self.pay(cx, block.bytes().len());
                self.sent += 1;
                let (outcome, attached) = (PullOutcome::Found, Some(AttachedBlock::from(&block)));
                let reply = PullReply { request: to.1, outcome, wait_ms: 0, block: attached };
                cx.send_block(to.0, Message::PullReply(reply), Some(block), TrafficClass::Repair);
            }
            ReadDone::No => say(cx, to, PullOutcome::No, 0),
            ReadDone::NotYet => say(cx, to, PullOutcome::Later, NOT_YET_RETRY_MS),
            ReadDone::Damaged => {
                say(cx, to, PullOutcome::Damaged, 0);
                return true;
            }
            ReadDone::Failed => say(cx, to, PullOutcome::Damaged, 0),
        }
        false
    }

    /// Blocks sent since the start.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

fn say(cx: &mut Context, (to, request): (NodeId, u64), outcome: PullOutcome, wait_ms: u64) {
    cx.send(to, Message::PullReply(PullReply { request, outcome, wait_ms, block: None }));
}
