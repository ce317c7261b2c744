//! An admin's word that a member stands for itself, whoever invited it.

use fsdfs_proto::identity::{Fact, Vouch};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::facts::BranchId;
use crate::seam::{OpId, Refusal, Reply};

/// Makes a branch of a member. Never done but for a person who asks for it: a program that was met over the network may be
/// one of a thousand of one owner.
pub(in crate::engine) fn vouch(cx: &mut Context, gossip: &mut Gossip, op: OpId, node: NodeId, weight_max: u32) {
    if cx.facts.branch_of(node).is_none() || !cx.facts.may_vouch(cx.me.into()) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    let vouch =
        Signed::sign(cx.pool, &cx.key, Vouch { version: 1, signer: cx.me.into(), node, weight_gib_max: weight_max });
    let id = vouch.id();
    // Whoever is the head of a branch already gets its keys by it, if too few others can be reached who have to know it.
    let outcomes = gossip.insert_facts(cx, vec![Fact::from(vouch)], None);
    if !outcomes.iter().all(|outcome| outcome.is_kept()) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    debug_assert_eq!(cx.facts.branch_of(node), Some(BranchId(node)), "a kept vouch counts");
    cx.raise(Event::Reply { op, reply: Reply::Vouched(id) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::node;
    use crate::engine::test_kit::{context, effects, events};
    use crate::facts::tests::pool::TestPool;
    use crate::seam::Effect;

    const OP: OpId = 6;

    /// A pool in which member 1 invited member 3, seen by member `me`.
    fn pool(me: u8) -> Context {
        let mut pool = TestPool::of(3);
        let ticket = pool.ticket(1, 1, 0);
        pool.join(1, ticket, 3, 10);
        let mut cx = context(me, 3);
        cx.facts = pool.facts;
        cx.facts.drain_new();
        cx
    }

    #[test]
    fn an_admins_word_makes_a_branch() {
        let mut cx = pool(0);
        vouch(&mut cx, &mut Gossip::default(), OP, node(3), 0);
        let raised = events(&mut cx);
        assert!(matches!(raised[..], [Event::FactsInserted(_), Event::Reply { op: OP, reply: Reply::Vouched(_) }]));
        assert_eq!(cx.facts.branch_of(node(3)), Some(BranchId(node(3))));
        vouch(&mut cx, &mut Gossip::default(), OP, node(3), 0);
        let raised = events(&mut cx);
        assert!(matches!(raised[..], [Event::Reply { .. }]), "said once");
        vouch(&mut cx, &mut Gossip::default(), OP, node(3), 500);
        let raised = events(&mut cx);
        assert!(matches!(raised[..], [Event::FactsInserted(_), Event::Reply { .. }]), "it is believed more");
    }

    #[test]
    fn nobody_elses_does() {
        for (me, subject) in [(1, 3), (3, 3), (0, 9)] {
            let mut cx = pool(me);
            vouch(&mut cx, &mut Gossip::default(), OP, node(subject), 0);
            let said = effects(&mut cx);
            assert!(matches!(said[..], [Effect::Reply { reply: Reply::Refused(Refusal::NotAllowed), .. }]), "{said:?}");
        }
    }
}
