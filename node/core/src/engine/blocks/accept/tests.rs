//! Whose word counts for what.

use fsdfs_proto::ids::{BlockId, Digest, Key, VolumeId};
use fsdfs_proto::message::{AttachedBlock, StripeShard};
use fsdfs_proto::volume::{VolumeKeys, seal_data};

use super::*;
use crate::engine::blocks::kit::{block, connect_all, fill, order, sealed, sealed_at, silence};
use crate::engine::test_kit::{context, pool, revoke};

/// The full members 1 to 4, and these.
const STORER: u8 = 7;
const READER: u8 = 8;

const RULE: Redundancy = Redundancy::Replicas(3);

/// Node `me` of a pool with members of all roles.
fn pool_of_roles(me: u8) -> Context {
    let mut cx = context(me, 5);
    let mut pool = pool::TestPool::of(5);
    for (number, role) in [(STORER, Role::StorageOnly), (READER, Role::Reader)] {
        let ticket = pool.ticket_for(0, role);
        pool.join(0, ticket, number, 9);
    }
    for fact in pool.said {
        cx.facts.insert(fact);
    }
    cx.facts.drain_new();
    cx.refresh_map();
    connect_all(&mut cx);
    cx
}

fn receipt(cx: &Context, member: u8, id: BlockId) -> BlockReceipt {
    BlockReceipt::sign(cx.pool, &pool::key(member), id)
}

fn store(redundancy: Redundancy, receipt: BlockReceipt, block: &Block) -> StoreRequest {
    let block = AttachedBlock::from(block);
    let map = Digest([0; 32]);
    StoreRequest { request: 1, map, redundancy, age_ms: 0, lease_ms: 0, receipt, more: false, block }
}

#[track_caller]
fn check(cx: &Context, from: u8, receipt: BlockReceipt, block: &Block, kept: bool) {
    let found = accepted_block(cx, pool::node(from), &store(RULE, receipt, block), block);
    assert_eq!(found, kept.then_some(RULE));
}

#[test]
fn claims_beyond_the_rule_change_nothing_and_stripes_are_not_taken() {
    let cx = pool_of_roles(0);
    let block = sealed(1);
    let stored = |claim| accepted_block(&cx, pool::node(1), &store(claim, receipt(&cx, 1, block.id()), &block), &block);
    for (claimed, counts) in [(32, 3), (3, 3), (1, 1)] {
        assert_eq!(accepted_claim(&cx, Redundancy::Replicas(claimed)), Some(Redundancy::Replicas(counts)));
        assert_eq!(stored(Redundancy::Replicas(claimed)), Some(Redundancy::Replicas(counts)));
    }
    let stripe = Redundancy::Stripe(StripeShard { stripe: block.id(), index: 0, k: 4, m: 2 });
    assert_eq!((accepted_claim(&cx, stripe), stored(stripe)), (None, None));
}

#[test]
fn a_full_member_puts_blocks_and_nobody_else_does() {
    let cx = pool_of_roles(0);
    let block = sealed(1);
    check(&cx, 1, receipt(&cx, 1, block.id()), &block, true);
    for from in [STORER, READER] {
        check(&cx, from, receipt(&cx, from, block.id()), &block, false);
    }
}

#[test]
fn whoever_passes_a_block_on_shows_the_receipt_of_the_one_who_put_it() {
    let cx = pool_of_roles(0);
    let block = sealed_at(&cx, 2);
    let good = receipt(&cx, 2, block.id());
    let forged = BlockReceipt { member: pool::node(2), ..receipt(&cx, STORER, block.id()) };
    for from in [1, STORER, READER] {
        check(&cx, from, good, &block, true);
        check(&cx, from, forged, &block, false);
        check(&cx, from, receipt(&cx, 2, sealed_at(&cx, 0).id()), &block, false);
    }
}

#[test]
fn what_is_of_no_volume_of_the_pool_reaches_no_disk() {
    let cx = pool_of_roles(0);
    let keys = |volume, epoch| VolumeKeys::from_write_secret(volume, epoch, Key([5; 32]));
    let of = |keys: VolumeKeys| seal_data(keys.writer().expect("made from the write secret"), b"text").0;
    let ours = cx.pool.volume();
    let others = [block(1), of(keys(VolumeId([9; 32]), 1)), of(keys(ours, 3))];
    for block in others {
        check(&cx, 1, receipt(&cx, 1, block.id()), &block, false);
    }
    let next = of(keys(ours, 2));
    check(&cx, 1, receipt(&cx, 1, next.id()), &next, true);
}

#[test]
fn what_a_member_put_before_it_was_thrown_out_goes_on_being_copied() {
    let mut cx = pool_of_roles(0);
    let block = sealed_at(&cx, 2);
    let put = receipt(&cx, 2, block.id());
    revoke(&mut cx, 2);
    check(&cx, 2, put, &block, false);
    check(&cx, STORER, put, &block, true);
}

#[test]
fn a_node_that_cannot_sign_for_others_blocks_checks_each_signature() {
    let mut cx = pool_of_roles(0);
    let block = sealed_at(&cx, 2);
    let unsigned = BlockReceipt { signature: fsdfs_proto::ids::Signature([0; 64]), ..receipt(&cx, 1, block.id()) };
    check(&cx, 1, unsigned, &block, true);
    cx.me = pool::node(STORER);
    check(&cx, 1, unsigned, &block, false);
    check(&cx, 1, receipt(&cx, 1, block.id()), &block, true);
}

#[test]
fn a_copy_goes_on_with_its_receipt_or_with_one_that_others_take() {
    let cx = pool_of_roles(0);
    let id = sealed(1).id();
    let record = |receipt| {
        let redundancies = vec![RULE];
        RecordInfo { id, len: 1, redundancies, first_seen: 0, renewed: 0, receipt }
    };
    let good = receipt(&cx, 2, id);
    assert_eq!(receipt_of(&cx, &record(good)), good);
    for bad in [receipt(&cx, 2, sealed(2).id()), receipt(&cx, STORER, id)] {
        assert_eq!(receipt_of(&cx, &record(bad)), receipt(&cx, 0, id));
    }
}

#[test]
fn a_block_is_passed_on_only_to_where_placement_wants_it() {
    let mut cx = pool_of_roles(0);
    let (next, last) = (sealed_at(&cx, 3), sealed_at(&cx, 4));
    let put = |cx: &Context, block: &Block| receipt(cx, 2, block.id());
    check(&cx, STORER, put(&cx, &next), &next, false);
    check(&cx, 1, put(&cx, &next), &next, true);
    for from in [1, STORER] {
        check(&cx, from, put(&cx, &last), &last, false);
    }
    check(&cx, 2, put(&cx, &last), &last, true);
    let order = order(&cx, last.id());
    fill(&mut cx, order[1]);
    check(&cx, STORER, put(&cx, &last), &last, false);
    silence(&mut cx, order[3]);
    check(&cx, STORER, put(&cx, &last), &last, true);
}
