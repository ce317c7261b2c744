//! What other members may have this node keep, and what it says for itself when it has others keep something.
//!
//! Promise: a member's word moves only what is its own. A claim beyond the pool's rule is cut to the rule. A block is kept if it is
//! one of the pool's volumes and somebody who may put blocks signed for it: whoever puts one, for itself; whoever only passes
//! one on, with the receipt that came with it, and only where placement wants it. So members that may only store bring no blocks
//! of their own, nobody fills a disk in the name of another, and nobody makes copies that nobody needs.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Role;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{Redundancy, StoreRequest};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::RecordInfo;
use fsdfs_proto::volume;

use crate::engine::context::Context;
use crate::facts::{MemberInfo, MemberStatus};
use crate::placement::BlockHolder;
use crate::seam::{DiskRequest, Lease};

/// What a claim counts for here; none if it is not taken at all. Nothing makes stripes yet, so nobody has a reason to claim one; and
/// a greater number of copies than the pool's rule has a reason only in a link, which this node would have to hold.
pub(super) fn accepted_claim(cx: &Context, claim: Redundancy) -> Option<Redundancy> {
    match claim {
        Redundancy::Replicas(copies) => Some(Redundancy::Replicas(copies.min(cx.copies()))),
        Redundancy::Stripe(_) => None,
    }
}

/// Whether a renewal by this member means anything: a guest keeps nothing for longer.
pub(super) fn may_renew(cx: &Context, node: NodeId) -> bool {
    member(cx, node).is_some_and(|member| !matches!(member.status, MemberStatus::Guest | MemberStatus::Revoked))
}

/// The redundancy with which a block is kept for whoever sent it; none: it is not.
pub(super) fn accepted_block(cx: &Context, from: NodeId, store: &StoreRequest, block: &Block) -> Option<Redundancy> {
    let redundancy = accepted_claim(cx, store.redundancy)?;
    let is_new = store.receipt.member == from;
    let holds = may_renew(cx, from)
        && (is_new || is_wanted_here(cx, from, block.id(), redundancy.copies()))
        && is_of_the_pool(cx, block)
        && is_signed_for(cx, from, store);
    holds.then_some(redundancy)
}

/// A block that was accepted, on its way to the disk where placement wants it.
pub(super) fn write_of(cx: &Context, store: &StoreRequest, block: Block, redundancy: Redundancy) -> DiskRequest {
    let order = cx.map.order(block.id(), redundancy.copies());
    DiskRequest::Write {
        block,
        redundancy,
        first_seen: cx.now.wall.saturating_sub(store.age_ms),
        lease: Lease::of_age(store.lease_ms, cx.now.wall),
        receipt: store.receipt,
        // None: this node is a fallback of a map that it does not know; any of its disks will do.
        disk: order.iter().find(|holder| holder.node == cx.me).map(|holder| holder.disk),
        more: store.more,
    }
}

/// An assigned holder, or the next in order as far as those before it have no room, are out of reach, or failed their audits. By this
/// node's own map: whoever sends with another one sends again when both have the same facts. A full member may have audited one
/// of those before this node that this node knows nothing of, so it gets one place more.
pub(super) fn is_wanted_here(cx: &Context, from: NodeId, id: BlockId, copies: u8) -> bool {
    let order = cx.map.order(id, copies);
    let Some(place) = order.iter().position(|holder| holder.node == cx.me) else { return !cx.ready() };
    let takes_none = |holder: &&BlockHolder| !cx.is_holder(holder.node) || !cx.responsive(holder.node);
    let replaced = order.iter().take(place).filter(takes_none).count().max(usize::from(puts_blocks(cx, from)));
    place < usize::from(copies) + replaced
}

/// The receipt that goes with a copy of this record: the one that is kept; if others would refuse that one, this node's own, for
/// the block must not stay without copies because somebody signed badly.
pub(super) fn receipt_of(cx: &Context, info: &RecordInfo) -> BlockReceipt {
    let RecordInfo { id, receipt, .. } = *info;
    let holds =
        receipt.member == cx.me || puts_blocks(cx, receipt.member) && cx.receipts.is_valid(cx.pool, id, &receipt);
    if holds || !puts_blocks(cx, cx.me) { receipt } else { BlockReceipt::sign(cx.pool, &cx.key, id) }
}

/// By its header, which needs no key: of a volume that the facts know, and of an epoch that has begun.
fn is_of_the_pool(cx: &Context, block: &Block) -> bool {
    let Ok(header) = volume::header(block.bytes()) else { return false };
    // A newcomer that has not compared facts yet knows no volume, and is to be a holder at once.
    cx.facts.takes_blocks_of(header.volume, header.epoch) || !cx.ready()
}

/// Whoever put it may put blocks, and said so: over its own connection, or by a signature. A node that may only pass blocks on
/// checks the signature in any case, for without it nobody would take the block from it.
fn is_signed_for(cx: &Context, from: NodeId, store: &StoreRequest) -> bool {
    let receipt = &store.receipt;
    let may_put = puts_blocks(cx, receipt.member) || !cx.ready() && member(cx, receipt.member).is_none();
    let is_direct = receipt.member == from && puts_blocks(cx, cx.me);
    may_put && (is_direct || cx.receipts.is_valid(cx.pool, store.block.id, receipt))
}

/// Full members put blocks. One that has left since, or was thrown out, did: what it put may be all that there is of somebody's file,
/// so it goes on being copied.
fn puts_blocks(cx: &Context, node: NodeId) -> bool {
    member(cx, node).is_some_and(|member| member.role == Role::Full && member.status != MemberStatus::Guest)
}

fn member(cx: &Context, node: NodeId) -> Option<&MemberInfo> {
    cx.facts.members().get(&node)
}

#[cfg(test)]
mod tests;
