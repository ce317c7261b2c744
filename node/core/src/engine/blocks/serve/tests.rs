//! What this node answers others.

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::{Redundancy, StripeShard};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::RecordInfo;

use super::*;
use crate::engine::blocks::Holdings;
use crate::engine::blocks::kit::{RECEIPT, asked, block, block_at, connect_all, fill, order, sealed, sealed_at};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, pool, sent};
use crate::seam::{Effect, Lease};

const REDUNDANCY: Redundancy = Redundancy::Replicas(3);

fn done(cx: &mut Context, token: ServeToken, done: DiskDone) {
    BlockServer.on_disk_done(cx, &mut Gets::default(), &mut ReplicationLog::default(), token, done);
}

fn store_request(cx: &Context, block: &Block) -> StoreRequest {
    StoreRequest {
        request: 5,
        map: cx.map_digest,
        redundancy: REDUNDANCY,
        age_ms: 400,
        lease_ms: 300,
        receipt: BlockReceipt::sign(cx.pool, &pool::key(1), block.id()),
        more: true,
        block: AttachedBlock::from(block),
    }
}

#[test]
fn a_block_is_kept_as_old_as_it_came_on_the_disk_that_placement_chose() {
    let mut cx = context(0, 5);
    let peer = connect(&mut cx, 1);
    let block = sealed_at(&cx, 0);
    let request = store_request(&cx, &block);
    BlockServer.on_store(&mut cx, &Holdings::default(), (peer, &request), BlockPayload::Block(block.clone()));
    let asked = asked_of_disk(&mut cx);
    let [(DiskRequest::Write { block: kept, first_seen, lease, receipt, disk, more: true, .. }, waiter)] = &asked[..]
    else {
        panic!("{asked:?}")
    };
    assert_eq!((kept, *first_seen, *receipt), (&block, cx.now.wall - 400, request.receipt));
    assert_eq!(*lease, Lease::Old(cx.now.wall - 300));
    assert_eq!(*disk, Some(cx.disks[0].id));
    assert_eq!(*waiter, Waiter::Serve(ServeToken::Store { to: peer, request: 5 }));
}

#[test]
fn nothing_is_said_to_be_stored_before_the_store_said_so() {
    let mut cx = context(0, 5);
    let peer = connect(&mut cx, 1);
    let block = sealed(1);
    let request = store_request(&cx, &block);
    BlockServer.on_store(&mut cx, &Holdings::default(), (peer, &request), BlockPayload::Block(block));
    assert!(sent(&mut cx).is_empty());
}

#[test]
fn bytes_that_are_not_the_block_reach_no_disk() {
    for payload in [BlockPayload::Wrong, BlockPayload::None, BlockPayload::Block(block(2))] {
        let mut cx = context(0, 5);
        let peer = connect(&mut cx, 1);
        let request = store_request(&cx, &block(1));
        BlockServer.on_store(&mut cx, &Holdings::default(), (peer, &request), payload);
        let reply = StoreReply { request: 5, outcome: StoreOutcome::WrongBytes };
        assert_eq!(sent(&mut cx), [(peer, Message::StoreReply(reply))]);
    }
}

#[test]
fn what_became_of_a_write_is_told_but_never_confirmed_under_a_duplicate_identity() {
    use StoreOutcome::{Failed, Full, Stored};
    let cases =
        [(WriteDone::New, Stored), (WriteDone::Already, Stored), (WriteDone::Full, Full), (WriteDone::Failed, Failed)];
    for (written, outcome) in cases {
        for (duplicate_identity, outcome) in [(false, outcome), (true, Failed)] {
            let mut cx = context(0, 5);
            cx.duplicate_identity = duplicate_identity;
            let peer = connect(&mut cx, 1);
            done(&mut cx, ServeToken::Store { to: peer, request: 5 }, DiskDone::Written(written));
            assert_eq!(sent(&mut cx), [(peer, Message::StoreReply(StoreReply { request: 5, outcome }))], "{written:?}");
        }
    }
}

#[test]
fn a_question_renews_leases_only_if_it_says_so() {
    for (renew, expected) in [(true, Some(REDUNDANCY)), (false, None)] {
        let mut cx = context(0, 5);
        let (peer, ids) = (connect(&mut cx, 1), vec![block(1).id()]);
        let have = HaveRequest { request: 6, renew, map: cx.map_digest, redundancy: REDUNDANCY, ids: ids.clone() };
        BlockServer.on_have(&mut cx, peer, have);
        let token = ServeToken::Have { to: peer, request: 6 };
        let question = DiskRequest::Have { ids, renew: expected };
        assert_eq!(asked_of_disk(&mut cx), [(question, Waiter::Serve(token.clone()))]);
        let answers = vec![Possession::Yes];
        done(&mut cx, token, DiskDone::Have(answers.clone()));
        assert_eq!(sent(&mut cx), [(peer, Message::HaveReply(HaveReply { request: 6, answers }))]);
    }
}

#[test]
fn a_claim_beyond_the_rule_renews_with_the_rule_and_one_for_a_stripe_not_at_all() {
    let mut cx = context(0, 5);
    let (peer, ids) = (connect(&mut cx, 1), vec![block(1).id()]);
    let have = |redundancy| HaveRequest { request: 6, renew: true, map: cx.map_digest, redundancy, ids: ids.clone() };
    let greedy = have(Redundancy::Replicas(32));
    let stripe = have(Redundancy::Stripe(StripeShard { stripe: BlockId([9; 32]), index: 0, k: 4, m: 2 }));
    BlockServer.on_have(&mut cx, peer, greedy);
    let renewed = asked_of_disk(&mut cx).remove(0).0;
    assert_eq!(renewed, DiskRequest::Have { ids, renew: Some(REDUNDANCY) });
    BlockServer.on_have(&mut cx, peer, stripe);
    let answers = vec![Possession::NotYet];
    assert_eq!(sent(&mut cx), [(peer, Message::HaveReply(HaveReply { request: 6, answers }))]);
}

#[test]
fn what_nobody_who_may_put_blocks_signed_reaches_no_disk() {
    let mut cx = context(0, 5);
    let peer = connect(&mut cx, 1);
    let junk = block(1);
    let request = store_request(&cx, &junk);
    BlockServer.on_store(&mut cx, &Holdings::default(), (peer, &request), BlockPayload::Block(junk));
    let reply = StoreReply { request: 5, outcome: StoreOutcome::Refused };
    assert_eq!(sent(&mut cx), [(peer, Message::StoreReply(reply))]);
}

#[test]
fn a_block_goes_out_with_its_reply_or_the_reason_why_none_does() {
    let block = block(1);
    let cases = [
        (ReadDone::Found(block.clone()), FetchOutcome::Found),
        (ReadDone::No, FetchOutcome::No),
        (ReadDone::NotYet, FetchOutcome::NotYet),
        (ReadDone::Failed, FetchOutcome::Damaged),
    ];
    for (read, expected) in cases {
        let mut cx = context(0, 5);
        let peer = connect(&mut cx, 1);
        BlockServer.on_fetch(&mut cx, peer, &FetchRequest { request: 7, id: block.id() });
        let (_, waiter) = asked_of_disk(&mut cx).remove(0);
        let Waiter::Serve(token) = waiter else { panic!("{waiter:?}") };
        done(&mut cx, token, DiskDone::Read(read));
        let out = effects(&mut cx);
        let [Effect::Send { to, message: Message::FetchReply(reply), block: bytes, .. }] = &out[..] else {
            panic!("{out:?}")
        };
        assert_eq!((*to, reply.request, reply.outcome), (peer, 7, expected));
        let found = (expected == FetchOutcome::Found).then_some(&block);
        assert_eq!((bytes.as_ref(), reply.block), (found, found.map(AttachedBlock::from)));
    }
}

#[test]
fn a_damaged_copy_is_not_served_and_another_one_is_looked_for() {
    let mut cx = context(0, 5);
    connect_all(&mut cx);
    let block = block_at(&cx, 4);
    let id = block.id();
    let to = order(&cx, id)[3];
    done(&mut cx, ServeToken::Fetch { to, request: 7, id }, DiskDone::Read(ReadDone::Damaged));
    let sent = sent(&mut cx);
    let fetched = sent.iter().any(|(_, message)| matches!(message, Message::Fetch(fetch) if fetch.id == id));
    let reply = FetchReply { request: 7, outcome: FetchOutcome::Damaged, block: None };
    assert!(fetched && sent.contains(&(to, Message::FetchReply(reply))), "{sent:?}");
}

#[test]
fn a_list_is_one_page_of_ids_and_lengths() {
    let mut cx = context(0, 5);
    let peer = connect(&mut cx, 1);
    let after = Some(BlockId([3; 32]));
    BlockServer.on_list_blocks(&mut cx, peer, &ListBlocksRequest { request: 8, after });
    let token = ServeToken::ListBlocks { to: peer, request: 8 };
    assert_eq!(asked_of_disk(&mut cx), [(DiskRequest::List { after, max: IDS_MAX }, Waiter::Serve(token.clone()))]);
    let (id, redundancies) = (BlockId([4; 32]), vec![REDUNDANCY]);
    let info = RecordInfo { id, len: 9, redundancies, first_seen: 0, renewed: 0, receipt: RECEIPT };
    done(&mut cx, token, DiskDone::List(vec![info]));
    let reply = ListBlocksReply { request: 8, records: vec![HeldBlock { id, len: 9 }] };
    assert_eq!(sent(&mut cx), [(peer, Message::ListBlocksReply(reply))]);
}

#[test]
fn a_full_node_still_asks_its_store() {
    let mut cx = context(0, 5);
    let peer = connect(&mut cx, 1);
    let me = cx.me;
    fill(&mut cx, me);
    let block = sealed(1);
    let request = store_request(&cx, &block);
    BlockServer.on_store(&mut cx, &Holdings::default(), (peer, &request), BlockPayload::Block(block));
    assert_eq!(asked(&mut cx), [(me, "write")], "it may have the block already");
}

#[test]
fn how_safe_a_copy_is_says_the_store_and_a_node_that_runs_twice_cannot_say() {
    let mut cx = context(0, 3);
    let peer = connect(&mut cx, 1);
    let ids = vec![BlockId([1; 32]), BlockId([2; 32])];
    let ask = AssureRequest { request: 6, map: cx.map_digest, ids: ids.clone() };
    BlockServer.on_assure(&mut cx, peer, ask.clone());
    let token = ServeToken::Assure { to: peer, request: 6 };
    assert_eq!(asked_of_disk(&mut cx), [(DiskRequest::Assure { ids }, Waiter::Serve(token.clone()))]);
    let copies = vec![AssuredCopy::NONE, AssuredCopy::UNKNOWN];
    done(&mut cx, token, DiskDone::Assured(copies.clone()));
    assert_eq!(sent(&mut cx), [(peer, Message::AssureReply(AssureReply { request: 6, copies }))]);
    cx.duplicate_identity = true;
    BlockServer.on_assure(&mut cx, peer, ask);
    let copies = vec![AssuredCopy::UNKNOWN; 2];
    assert_eq!(sent(&mut cx), [(peer, Message::AssureReply(AssureReply { request: 6, copies }))]);
}
