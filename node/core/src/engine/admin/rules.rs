//! The pool's rules, which an admin's node or the root key sets.

use fsdfs_proto::identity::{Fact, PoolRules, SecretKey};
use fsdfs_proto::ids::PublicKey;
use fsdfs_proto::signed::Signed;

use super::root_key::check_root_key;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::seam::{OpId, Refusal, Reply, RulesChange};

/// States rules with these changes, as this node's if it is an admin's, or as the root key's.
pub(in crate::engine) fn change_rules(
    cx: &mut Context,
    gossip: &mut Gossip,
    op: OpId,
    (root, change): (Option<&SecretKey>, &RulesChange),
) {
    let key = root.map_or_else(|| cx.key.clone(), SecretKey::signing_key);
    let signer = PublicKey(key.verifying_key().to_bytes());
    let may = match root {
        Some(_) => check_root_key(cx, signer),
        None => cx.facts.rank(signer).map(|_| ()).ok_or(Refusal::NotAdmin),
    };
    if let Err(refusal) = may {
        return cx.reply(op, Reply::Refused(refusal));
    }
    if !cx.ready() {
        // They might go on from rules that others know to be outdated.
        return cx.reply(op, Reply::Refused(Refusal::NotYet));
    }
    let before = cx.facts.last_rules();
    let (number, previous) = before.map_or((1, None), |rules| (rules.value().number + 1, Some(rules.id())));
    let now = cx.facts.rules();
    let rules = PoolRules {
        number,
        previous,
        signer,
        copies: change.copies.unwrap_or(now.copies).clamp(1, fsdfs_proto::message::COPIES_MAX),
        weight_gib_max: change.weight_max.unwrap_or(now.weight_gib_max),
        member_bytes_max: change.member_bytes_max.unwrap_or(now.member_bytes_max),
        ..now
    };
    match gossip.insert_own(cx, vec![Fact::from(Signed::sign(cx.pool, &key, rules))]) {
        Ok(()) => {
            debug_assert_eq!(cx.facts.rules().number, number, "what goes on from the last rules holds");
            let rules = Box::new(cx.facts.rules());
            cx.raise(Event::Reply { op, reply: Reply::Rules(rules) });
        }
        Err(why) => cx.reply(op, Reply::Refused(Refusal::NotKept(why))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{key, root};
    use crate::engine::test_kit::{context, effects, events};
    use crate::seam::Effect;

    const OP: OpId = 4;
    const FOUR: RulesChange = RulesChange { copies: Some(4), weight_max: None, member_bytes_max: None };

    fn changed(cx: &mut Context, root: Option<&SecretKey>, change: &RulesChange) -> Result<PoolRules, Refusal> {
        change_rules(cx, &mut Gossip::default(), OP, (root, change));
        if let Some(Event::Reply { op: OP, reply: Reply::Rules(rules) }) = events(cx).pop() {
            return Ok(*rules);
        }
        match effects(cx).pop() {
            Some(Effect::Reply { op: OP, reply: Reply::Refused(refusal) }) => Err(refusal),
            other => panic!("an answer: {other:?}"),
        }
    }

    fn member(me: u8) -> Context {
        let mut cx = context(me, 3);
        cx.synced = true;
        cx
    }

    #[test]
    fn an_admins_node_changes_what_it_says_and_leaves_the_rest() {
        let mut cx = member(0);
        let rules = changed(&mut cx, None, &FOUR).expect("it is an admin's");
        assert_eq!((rules.copies, rules.number, rules.gone_days), (4, 1, 14));
        let budget = RulesChange { member_bytes_max: Some(1 << 40), ..RulesChange::default() };
        let rules = changed(&mut cx, None, &budget).expect("again");
        assert_eq!((rules.copies, rules.number, rules.member_bytes_max), (4, 2, 1 << 40));
    }

    #[test]
    fn any_members_node_does_it_with_the_root_key_and_with_no_other() {
        let mut cx = member(2);
        assert_eq!(changed(&mut cx, None, &FOUR), Err(Refusal::NotAdmin));
        let wrong = SecretKey::new(key(0).to_bytes());
        assert_eq!(changed(&mut cx, Some(&wrong), &FOUR), Err(Refusal::WrongRootKey));
        let root = SecretKey::new(root().to_bytes());
        assert_eq!(changed(&mut cx, Some(&root), &FOUR).map(|rules| rules.copies), Ok(4));
    }
}
