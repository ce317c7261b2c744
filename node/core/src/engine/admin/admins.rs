//! The pool's admins, which only its root key names.

use fsdfs_proto::identity::{AdminList, Fact, SecretKey};
use fsdfs_proto::ids::{NodeId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::root_key::check_root_key;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::facts::MemberStatus;
use crate::seam::{OpId, Refusal, Reply};

/// Puts a member behind those who are on the list, or takes one off it.
pub(in crate::engine) fn name_admins(
    cx: &mut Context,
    gossip: &mut Gossip,
    op: OpId,
    (root, member, add): (&SecretKey, NodeId, bool),
) {
    let key = root.signing_key();
    let signer = PublicKey(key.verifying_key().to_bytes());
    if let Err(refusal) = check_root_key(cx, signer) {
        return cx.reply(op, Reply::Refused(refusal));
    }
    let before = cx.facts.admin_list();
    let mut admins = before.as_ref().map(|list| list.value().admins.clone()).unwrap_or_default();
    let is_member = cx.facts.members().get(&member).is_some_and(|member| member.status == MemberStatus::Member);
    let is_known = if add { is_member } else { admins.contains(&member) };
    if !is_known {
        return cx.reply(op, Reply::Refused(Refusal::NoSuchMember));
    }
    admins.retain(|admin| *admin != member);
    if add {
        admins.push(member);
    }
    let list = AdminList {
        version: 1,
        number: before.as_ref().map_or(0, |list| list.value().number) + 1,
        previous: before.as_ref().map(Signed::id),
        signer,
        admins: admins.clone(),
    };
    match gossip.insert_own(cx, vec![Fact::from(Signed::sign(cx.pool, &key, list))]) {
        Ok(()) => cx.raise(Event::Reply { op, reply: Reply::Admins(admins) }),
        Err(why) => cx.reply(op, Reply::Refused(Refusal::NotKept(why))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{key, node, root};
    use crate::engine::test_kit::{context, effects, events};
    use crate::seam::Effect;

    fn named(cx: &mut Context, root: &SecretKey, member: u8, add: bool) -> Result<Vec<NodeId>, Refusal> {
        name_admins(cx, &mut Gossip::default(), 7, (root, node(member), add));
        if let Some(Event::Reply { op: 7, reply: Reply::Admins(admins) }) = events(cx).pop() {
            return Ok(admins);
        }
        match effects(cx).pop() {
            Some(Effect::Reply { op: 7, reply: Reply::Refused(refusal) }) => Err(refusal),
            other => panic!("an answer: {other:?}"),
        }
    }

    #[test]
    fn the_root_key_names_admins_on_any_members_node_and_no_other_key_does() {
        let (mut cx, root) = (context(1, 3), SecretKey::new(root().to_bytes()));
        assert_eq!(named(&mut cx, &root, 2, true), Ok(vec![node(0), node(2)]));
        assert_eq!(cx.facts.admins(), {
            let mut both = vec![node(0), node(2)];
            both.sort_unstable();
            both
        });
        assert_eq!(named(&mut cx, &root, 0, false), Ok(vec![node(2)]));
        assert_eq!(named(&mut cx, &root, 9, true), Err(Refusal::NoSuchMember));
        assert_eq!(named(&mut cx, &root, 1, false), Err(Refusal::NoSuchMember));
        let wrong = SecretKey::new(key(0).to_bytes());
        assert_eq!(named(&mut cx, &wrong, 1, true), Err(Refusal::WrongRootKey));
    }
}
