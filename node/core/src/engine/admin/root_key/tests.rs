use fsdfs_proto::identity::root_key as root_of;

use super::*;
use crate::engine::admin::{name_admins, root_key};
use crate::engine::test_kit::pool::{TestPool, node, spare};
use crate::engine::test_kit::{context, effects, events};
use crate::facts::MemberStatus;
use crate::seam::Effect;

const OP: OpId = 3;

/// Member `me` of a pool of three with spare root keys.
fn pool(me: u8) -> Context {
    let mut cx = context(me, 3);
    cx.facts = TestPool::founded(3).facts;
    cx.facts.drain_new();
    cx.pool = cx.facts.pool();
    cx.synced = true;
    cx
}

fn answer(cx: &mut Context) -> Result<Reply, Refusal> {
    if let Some(Event::Reply { op: OP, reply }) = events(cx).pop() {
        return Ok(reply);
    }
    match effects(cx).pop() {
        Some(Effect::Reply { op: OP, reply: Reply::Refused(refusal) }) => Err(refusal),
        other => panic!("an answer: {other:?}"),
    }
}

fn replaced(cx: &mut Context, number: u8, without: &[FactId]) -> Result<Reply, Refusal> {
    let root = root_of(&spare(), number);
    replace_root_key(cx, &mut Gossip::default(), OP, (&root, without));
    answer(cx)
}

fn names(cx: &mut Context, number: u8, member: u8) -> Result<Reply, Refusal> {
    name_admins(cx, &mut Gossip::default(), OP, (&root_of(&spare(), number), node(member), true));
    answer(cx)
}

#[test]
fn the_next_root_key_takes_the_place_of_the_one_before_on_any_members_node() {
    let mut cx = pool(1);
    let before = root_key(&cx);
    assert_eq!((before.number, before.left, before.signed.len()), (1, 15, 3), "certificate, admins, epoch");
    assert!(names(&mut cx, 1, 1).is_ok() && names(&mut cx, 2, 2) == Err(Refusal::WrongRootKey));
    let Ok(Reply::RootKey(after)) = replaced(&mut cx, 2, &[]) else { panic!("it is the next") };
    assert_eq!((after.number, after.left, after.signed.len()), (2, 14, 4));
    assert_ne!(after.key, before.key);
    assert_eq!(names(&mut cx, 1, 2), Err(Refusal::ReplacedRootKey));
    assert!(names(&mut cx, 2, 2).is_ok());
    assert!(cx.facts.members().values().all(|member| member.status == MemberStatus::Member));
    assert_eq!(replaced(&mut cx, 2, &[]), Err(Refusal::ReplacedRootKey));
    assert!(replaced(&mut cx, 4, &[]).is_ok(), "one may be left out");
}

#[test]
fn what_a_thief_signed_can_be_left_out() {
    let mut cx = pool(1);
    assert!(names(&mut cx, 1, 2).is_ok());
    let list = cx.facts.admin_list().expect("the second").id();
    assert!(matches!(replaced(&mut cx, 2, &[FactId([7; 32])]), Err(Refusal::NotKept(_))), "no such statement");
    assert!(replaced(&mut cx, 2, &[list]).is_ok());
    assert_eq!(cx.facts.admins(), [node(0)]);
}

#[test]
fn what_others_go_on_from_cannot_be_left_out() {
    let mut cx = pool(1);
    let first = cx.facts.admin_list().expect("the first").id();
    assert!(names(&mut cx, 1, 2).is_ok());
    assert!(matches!(replaced(&mut cx, 2, &[first]), Err(Refusal::NotKept(_))));
}

#[test]
fn a_node_that_may_lack_statements_does_not_decide_which_stay() {
    let mut cx = pool(1);
    cx.synced = false;
    assert_eq!(replaced(&mut cx, 2, &[]), Err(Refusal::NotYet));
    let stranger = SecretKey::new([9; 32]);
    replace_root_key(&mut cx, &mut Gossip::default(), OP, (&stranger, &[]));
    assert_eq!(answer(&mut cx), Err(Refusal::WrongRootKey));
}
