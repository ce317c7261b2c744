//! What this node does for other members: it keeps, tells of and hands out blocks.
//!
//! Promise: a yes or a "stored" is said after the store said that it is durable, and never while another node runs under
//! this one's identity.

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::repair::{AssureReply, AssureRequest, AssuredCopy};
use fsdfs_proto::message::{
    AttachedBlock, FetchOutcome, FetchReply, FetchRequest, HaveReply, HaveRequest, HeldBlock, IDS_MAX, ListBlocksReply,
    ListBlocksRequest, Message, Possession, StoreOutcome, StoreReply, StoreRequest,
};

use super::accept::{accepted_block, accepted_claim, may_renew, write_of};
use super::budget::is_within_budget;
use super::{Gets, Holdings, ReplicationLog, relay};
use crate::engine::context::Context;
use crate::seam::{BlockPayload, DiskDone, DiskRequest, ReadDone, ServeToken, TrafficClass, Waiter, WriteDone};

/// Remembers nothing: what it was asked travels with the question to the store.
pub(in crate::engine) struct BlockServer;

impl BlockServer {
    /// Which of these are here. A yes that renews is said after the renewal is durable; what is claimed for them counts as far as
    /// the pool's rule goes.
    pub fn on_have(&self, cx: &mut Context, from: NodeId, have: HaveRequest) {
        let Some(claim) = accepted_claim(cx, have.redundancy) else {
            // Neither yes, which would be a promise, nor no, which would be untrue.
            let answers = vec![Possession::NotYet; have.ids.len()];
            return cx.send(from, Message::HaveReply(HaveReply { request: have.request, answers }));
        };
        let renew = (have.renew && may_renew(cx, from)).then_some(claim);
        let token = ServeToken::Have { to: from, request: have.request };
        cx.disk(DiskRequest::Have { ids: have.ids, renew }, Waiter::Serve(token));
    }

    /// Bytes whose hash is not the announced id reach no disk, and neither does what nobody who may put blocks stands behind. An age, not a date, came with the block, so that clocks that
    /// differ make no block younger.
    pub fn on_store(
        &self,
        cx: &mut Context,
        holdings: &Holdings,
        (from, store): (NodeId, &StoreRequest),
        payload: BlockPayload,
    ) {
        let request = store.request;
        let block = match payload {
            BlockPayload::Block(block) if block.id() == store.block.id => block,
            _ => {
                let reply = StoreReply { request, outcome: StoreOutcome::WrongBytes };
                return cx.send(from, Message::StoreReply(reply));
            }
        };
        let Some(redundancy) = accepted_block(cx, from, store, &block) else {
            return cx.send(from, Message::StoreReply(StoreReply { request, outcome: StoreOutcome::Refused }));
        };
        if !is_within_budget(cx, holdings, store, &block) {
            return cx.send(from, Message::StoreReply(StoreReply { request, outcome: StoreOutcome::OverBudget }));
        }
        let write = write_of(cx, store, block, redundancy);
        cx.disk(write, Waiter::Serve(ServeToken::Store { to: from, request }));
    }

    /// The store checks the hash of what it reads, so nothing damaged leaves this node.
    pub fn on_fetch(&self, cx: &mut Context, from: NodeId, fetch: &FetchRequest) {
        let token = ServeToken::Fetch { to: from, request: fetch.request, id: fetch.id };
        cx.disk(DiskRequest::Read { id: fetch.id }, Waiter::Serve(token));
    }

    /// One page; the asker goes on behind its last id.
    pub fn on_list_blocks(&self, cx: &mut Context, from: NodeId, list: &ListBlocksRequest) {
        let token = ServeToken::ListBlocks { to: from, request: list.request };
        cx.disk(DiskRequest::List { after: list.after, max: IDS_MAX }, Waiter::Serve(token));
    }

    /// How safe the copies are that its owner counts on. Nothing is read for it, so it may be asked often.
    pub fn on_assure(&self, cx: &mut Context, from: NodeId, assure: AssureRequest) {
        let AssureRequest { request, ids, .. } = assure;
        if cx.duplicate_identity {
            // No copy counts that another node may count as its own.
            let copies = vec![AssuredCopy::UNKNOWN; ids.len()];
            return cx.send(from, Message::AssureReply(AssureReply { request, copies }));
        }
        cx.disk(DiskRequest::Assure { ids }, Waiter::Serve(ServeToken::Assure { to: from, request }));
    }

    /// The store answered.
    pub fn on_disk_done(
        &self,
        cx: &mut Context,
        gets: &mut Gets,
        log: &mut ReplicationLog,
        token: ServeToken,
        done: DiskDone,
    ) {
        match (token, done) {
            (ServeToken::Have { to, request }, DiskDone::Have(answers)) => {
                cx.send(to, Message::HaveReply(HaveReply { request, answers }));
            }
            (ServeToken::Store { to, request }, DiskDone::Written(done)) => {
                let outcome = stored(cx, done);
                cx.send(to, Message::StoreReply(StoreReply { request, outcome }));
            }
            (ServeToken::RelayedStore { to, kept }, DiskDone::Written(done)) => {
                let outcome = stored(cx, done);
                relay::answer(cx, to, kept, outcome);
            }
            (ServeToken::Fetch { to, request, id }, DiskDone::Read(done)) => {
                if done == ReadDone::Damaged {
                    gets.read_repair(cx, log, id);
                }
                let (outcome, block) = fetched(done);
                debug_assert!(block.as_ref().is_none_or(|block| block.id() == id), "the store reads what was asked");
                // The receiver hashes what follows and compares it with this id.
                let attached = block.as_ref().map(AttachedBlock::from);
                let reply = FetchReply { request, outcome, block: attached };
                cx.send_block(to, Message::FetchReply(reply), block, TrafficClass::User);
            }
            (ServeToken::ListBlocks { to, request }, DiskDone::List(infos)) => {
                let records = infos.iter().map(|info| HeldBlock { id: info.id, len: info.len }).collect();
                cx.send(to, Message::ListBlocksReply(ListBlocksReply { request, records }));
            }
            (ServeToken::Assure { to, request }, DiskDone::Assured(copies)) => {
                cx.send(to, Message::AssureReply(AssureReply { request, copies }));
            }
            _ => debug_assert!(false, "the store answered another question than it was asked"),
        }
    }
}

/// "Stored" is a promise of a copy that no other node promises, too.
fn stored(cx: &Context, done: WriteDone) -> StoreOutcome {
    match done {
        // Two live nodes of one identity would count as one server while being none of them for sure.
        _ if cx.duplicate_identity => StoreOutcome::Failed,
        WriteDone::New | WriteDone::Already => StoreOutcome::Stored,
        WriteDone::Full => StoreOutcome::Full,
        WriteDone::Failed => StoreOutcome::Failed,
    }
}

/// "Not yet" is never "no": an index that is being rebuilt knows less than the disk has.
fn fetched(done: ReadDone) -> (FetchOutcome, Option<Block>) {
    match done {
        ReadDone::Found(block) => (FetchOutcome::Found, Some(block)),
        ReadDone::No => (FetchOutcome::No, None),
        ReadDone::NotYet => (FetchOutcome::NotYet, None),
        ReadDone::Damaged | ReadDone::Failed => (FetchOutcome::Damaged, None),
    }
}

#[cfg(test)]
mod tests;
