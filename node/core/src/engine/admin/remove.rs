//! Removals: a member that is dead, or leaves in peace, holds nothing for the pool any more.

use fsdfs_proto::identity::{Fact, Removal};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::signed::Signed;

use super::revoke::others;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::facts::MemberStatus;
use crate::report::RemovalReport;
use crate::seam::{OpId, Refusal, Reply};

/// States that a member holds nothing any more. Admins and those who invited it may, and itself. Not undone: it comes back as a
/// new member only.
pub(in crate::engine) fn remove_member(cx: &mut Context, gossip: &mut Gossip, op: OpId, node: NodeId) {
    let is_in = cx.facts.members().get(&node).is_some_and(|member| member.status != MemberStatus::Revoked);
    if !is_in {
        return cx.reply(op, Reply::Refused(Refusal::NoSuchMember));
    }
    if node != cx.me && !cx.facts.may_revoke(cx.me.into(), node.into()) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    let removal = Signed::sign(cx.pool, &cx.key, Removal { version: 1, signer: cx.me.into(), node });
    let id = removal.id();
    if let Err(why) = gossip.insert_own(cx, vec![Fact::from(removal)]) {
        return cx.reply(op, Reply::Refused(Refusal::NotKept(why)));
    }
    debug_assert_eq!(cx.facts.members()[&node].status, MemberStatus::Removed, "a kept removal counts");
    let (told, unaware) = others(cx);
    let report = RemovalReport { id, told, unaware };
    cx.raise(Event::Reply { op, reply: Reply::Removed(Box::new(report)) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::node;
    use crate::engine::test_kit::{context, effects, events};
    use crate::facts::tests::pool::TestPool;
    use crate::seam::Effect;

    const OP: OpId = 6;

    /// A pool of which member 0 is the admin, and in which member 1 invited member 3, seen by member `me`.
    fn pool(me: u8) -> Context {
        let mut pool = TestPool::of(3);
        let ticket = pool.ticket(1, 1, 0);
        pool.join(1, ticket, 3, 10);
        let mut cx = context(me, 3);
        cx.facts = pool.facts;
        cx.facts.drain_new();
        cx
    }

    fn removed(cx: &mut Context, member: u8) -> Result<(), Refusal> {
        remove_member(cx, &mut Gossip::default(), OP, node(member));
        let made = events(cx).into_iter().any(|event| matches!(event, Event::Reply { reply: Reply::Removed(_), .. }));
        if made {
            return Ok(());
        }
        match effects(cx).pop() {
            Some(Effect::Reply { op: OP, reply: Reply::Refused(refusal) }) => Err(refusal),
            other => panic!("an answer: {other:?}"),
        }
    }

    #[test]
    fn an_admin_its_inviter_and_itself_remove_a_member_and_no_others_do() {
        for me in [0, 1, 3] {
            let mut cx = pool(me);
            assert_eq!(removed(&mut cx, 3), Ok(()), "by {me}");
            assert_eq!(cx.facts.members()[&node(3)].status, MemberStatus::Removed, "by {me}");
        }
        assert_eq!(removed(&mut pool(2), 3), Err(Refusal::NotAllowed));
        assert_eq!(removed(&mut pool(1), 0), Err(Refusal::NotAllowed));
        assert_eq!(removed(&mut pool(0), 9), Err(Refusal::NoSuchMember));
    }

    #[test]
    fn whoever_is_removed_has_no_place_in_the_map() {
        let mut cx = context(0, 3);
        let before = cx.facts.servers().len();
        assert_eq!(removed(&mut cx, 1), Ok(()));
        let servers = cx.facts.servers();
        assert!(servers.len() < before && servers.iter().all(|server| server.id != node(1)));
    }

    #[test]
    fn whoever_is_removed_is_said_so_and_waits_for_no_key_of_a_later_epoch() {
        let mut cx = context(1, 3);
        let volume = cx.pool.volume();
        assert_eq!(removed(&mut cx, 1), Ok(()));
        let old = cx.keys[&volume].clone();
        cx.keys.insert(volume, old.reading());
        assert_eq!((cx.lacks_write_key(), cx.lacks_read_key()), (Refusal::Removed, Refusal::Removed));
        assert!(!cx.awaits_key(volume), "none comes");
    }
}
