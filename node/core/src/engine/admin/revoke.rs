//! Revocations: who is thrown out, what ends with it, and what the owner is told of it.

use fsdfs_proto::identity::{Fact, Revocation, SecretKey};
use fsdfs_proto::ids::{NodeId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::root_key::check_root_key;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::engine::timers::Timer;
use crate::facts::MemberStatus;
use crate::limits::ROTATE_AFTER_MS;
use crate::report::{KeyChange, RevocationReport};
use crate::seam::{OpId, Refusal, Reply};

/// A reason is cut at so many bytes: revocations are kept by everybody for ever.
const REASON_BYTES_MAX: usize = 200;

/// What an owner wants.
pub(in crate::engine) struct RevocationOrder {
    /// A member's key, or a ticket's.
    pub subject: PublicKey,
    /// Those whom it invited go with it.
    pub with_invited: bool,
    /// For people.
    pub reason: String,
    /// The pool's root key, if it is to sign instead of this node.
    pub root: Option<SecretKey>,
}

/// Revokes a member or a ticket. Whoever has joined stays, unless it was said otherwise; who has not joined yet does not.
pub(in crate::engine) fn revoke(cx: &mut Context, gossip: &mut Gossip, op: OpId, order: RevocationOrder) {
    let RevocationOrder { subject, with_invited, reason, root } = order;
    let key = root.as_ref().map_or_else(|| cx.key.clone(), SecretKey::signing_key);
    let signer = PublicKey(key.verifying_key().to_bytes());
    if let Err(refusal) = root.map_or(Ok(()), |_| check_root_key(cx, signer)) {
        return cx.reply(op, Reply::Refused(refusal));
    }
    if !cx.facts.may_revoke(signer, subject) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    let invited = cx.facts.invited_by(subject);
    let (going, mut staying): (Vec<NodeId>, Vec<NodeId>) =
        invited.into_iter().partition(|node| with_invited && cx.facts.may_revoke(signer, (*node).into()));
    let reason = cut(reason);
    let (mut facts, mut tickets_ended) = (Vec::new(), 0);
    for subject in std::iter::once(subject).chain(going.iter().copied().map(PublicKey::from)) {
        let plan = cx.facts.revocation_plan(subject);
        tickets_ended += plan.tickets_ended;
        for (subject, keep) in std::iter::once((subject, plan.keep)).chain(plan.tickets) {
            let revocation = Revocation { version: 1, signer, subject, reason: reason.clone(), keep };
            facts.push(Signed::sign(cx.pool, &key, revocation));
        }
    }
    let id = facts[0].id();
    // The member's own revocation comes first: whatever else is refused, the answer depends on it.
    let kept = gossip.insert_own(cx, facts.into_iter().map(Fact::from).collect());
    if let Err(why) = kept.and_then(|()| holds(cx, subject)) {
        return cx.reply(op, Reply::Refused(Refusal::NotKept(why)));
    }
    let is_member = |node: &NodeId| cx.facts.members().contains_key(node);
    let revoked = std::iter::once(NodeId::from(subject)).chain(going).filter(is_member).collect();
    // Who had been let in and was never heard of is out, too.
    staying.retain(|node| cx.facts.members().get(node).is_some_and(|member| member.status != MemberStatus::Revoked));
    let (told, unaware) = others(cx);
    let keys = key_change(cx);
    let report = RevocationReport { id, revoked, tickets_ended, staying, told, unaware, keys };
    cx.raise(Event::Reply { op, reply: Reply::Revoked(Box::new(report)) });
}

/// Whether the subject is out by what is kept here now.
fn holds(cx: &Context, subject: PublicKey) -> Result<(), &'static str> {
    let is_out = match cx.facts.members().get(&subject.into()) {
        Some(member) => member.status == MemberStatus::Revoked,
        None => cx.facts.tickets().iter().any(|ticket| ticket.subject == subject && ticket.revoked),
    };
    if is_out { Ok(()) } else { Err("a key of higher rank says otherwise") }
}

/// Whoever orders a removal begins the new epoch, too, if it may; others wait for it a while.
fn key_change(cx: &mut Context) -> KeyChange {
    if cx.facts.still_with_key().is_empty() {
        return KeyChange::Unneeded;
    }
    let admins = cx.facts.admins();
    if admins.contains(&cx.me) && cx.has_current_key(cx.pool.volume()) {
        cx.wake_in(ROTATE_AFTER_MS, Timer::Rotate);
        return KeyChange::Begun;
    }
    KeyChange::LeftTo(admins.into_iter().filter(|node| *node != cx.me).collect())
}

/// Members that have to know: those that were told just now, and those that cannot be reached.
pub(super) fn others(cx: &Context) -> (Vec<NodeId>, Vec<NodeId>) {
    let counts = |status| matches!(status, MemberStatus::Member | MemberStatus::Guest | MemberStatus::Removed);
    let members = cx.facts.members().iter().filter(|(node, member)| **node != cx.me && counts(member.status));
    members.map(|(node, _)| *node).partition(|node| cx.responsive(*node))
}

/// At a boundary of characters.
fn cut(mut reason: String) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    debug_assert!(reason.len() <= REASON_BYTES_MAX, "cut downward");
    reason
}

#[cfg(test)]
mod tests;
