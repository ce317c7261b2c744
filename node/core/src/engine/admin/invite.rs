//! Invitations and revocations: statements that this node signs for its owner.

use fsdfs_proto::identity::{Cert, CertKind, Fact, Revocation, Role};
use fsdfs_proto::ids::PublicKey;
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::limits::CLOCK_OFF_MS_MAX;
use crate::seam::{OpId, Refusal, Reply};

/// What a ticket grants.
#[derive(Clone, Copy)]
pub(in crate::engine) struct TicketTerms {
    /// Its throw-away key.
    pub subject: PublicKey,
    pub role: Role,
    /// Wall milliseconds; 0 = never.
    pub redeem_by: u64,
    /// Newcomers at most.
    pub uses: u32,
    /// Units of weight that each is believed at most; 0 = as many as this node.
    pub weight_max: u32,
}

/// A reason is cut at so many bytes: revocations are kept by everybody for ever.
const REASON_BYTES_MAX: usize = 200;

/// Certifies a ticket's key, if this node may.
pub(in crate::engine) fn invite(cx: &mut Context, gossip: &mut Gossip, op: OpId, terms: TicketTerms) {
    let Some(mut chain) = cx.facts.chain_of(cx.me) else {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    };
    // The last link is this node's own certificate: what it allows, the ticket may pass on.
    let me = chain.last().cloned();
    let Some(me) = me.filter(|me| me.value().may_invite && me.value().depth >= 2) else {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    };
    let off = cx.clock_off_ms().unsigned_abs();
    if off > CLOCK_OFF_MS_MAX {
        // It would be over before it is handed out, or open for years.
        return cx.reply(op, Reply::Refused(Refusal::ClockOff(off / 60_000)));
    }
    let cert = Signed::sign(cx.pool, &cx.key, ticket(cx, &me, &terms));
    chain.push(cert.clone());
    if !gossip.insert_facts(cx, vec![Fact::from(cert)], None).iter().all(|outcome| outcome.is_kept()) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    // Raised behind the fact: whoever gets the answer finds the ticket known here.
    cx.raise(Event::Reply { op, reply: Reply::Invited(chain) });
}

/// Two links follow: the ticket's and the newcomer's.
fn ticket(cx: &Context, own: &Signed<Cert>, terms: &TicketTerms) -> Cert {
    let me = own.value();
    debug_assert!(me.may_invite && me.depth >= 2, "a ticket needs a link for itself and one for the newcomer");
    debug_assert_eq!(me.subject, cx.me.into(), "this node signs under its own certificate");
    Cert {
        version: 1,
        kind: CertKind::Ticket,
        issuer: cx.me.into(),
        subject: terms.subject,
        role: terms.role.max(me.role),
        may_invite: terms.role == Role::Full,
        depth: me.depth - 1,
        grant_until: me.grant_until,
        redeem_by: terms.redeem_by,
        uses: terms.uses.max(1),
        // A limit that is wider than its issuer's would make the ticket void.
        weight_gib_max: [terms.weight_max, me.weight_gib_max].into_iter().filter(|max| *max > 0).min().unwrap_or(0),
        parent: Some(own.id()),
        consent: None,
    }
}

/// Revokes a member or a ticket. What it signed before stays: other members came in by it.
pub(in crate::engine) fn revoke(cx: &mut Context, gossip: &mut Gossip, op: OpId, subject: PublicKey, reason: String) {
    let signer = PublicKey(cx.me.0);
    if !cx.facts.may_revoke(signer, subject) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    // Ascending and without repetition, as the format demands.
    let mut keep = cx.facts.signed_by(subject);
    keep.sort_unstable();
    keep.dedup();
    let revoke = Revocation { version: 1, signer, subject, reason: cut(reason), keep };
    let revoke = Signed::sign(cx.pool, &cx.key, revoke);
    let id = revoke.id();
    if !gossip.insert_facts(cx, vec![Fact::from(revoke)], None).iter().all(|outcome| outcome.is_kept()) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
    cx.raise(Event::Reply { op, reply: Reply::Revoked(id) });
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
