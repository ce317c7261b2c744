//! Invitations: certificates that this node signs for its owner.

use fsdfs_proto::identity::{Cert, CertKind, Fact, Role};
use fsdfs_proto::ids::PublicKey;
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::facts::MemberStatus;
use crate::limits::CLOCK_OFF_MS_MAX;
use crate::seam::{InvitationReply, OpId, Refusal, Reply};

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

/// Certifies a ticket's key, if this node may.
pub(in crate::engine) fn invite(cx: &mut Context, gossip: &mut Gossip, op: OpId, terms: TicketTerms) {
    // A surplus user of a ticket has a chain, too; whoever came in by a ticket of its would be a guest like it.
    if cx.facts.members().get(&cx.me).is_some_and(|me| me.status == MemberStatus::Guest) {
        return cx.reply(op, Reply::Refused(Refusal::Guest));
    }
    if cx.facts.is_removed(cx.me) {
        return cx.reply(op, Reply::Refused(Refusal::NotAllowed));
    }
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
    if let Err(why) = gossip.insert_own(cx, vec![Fact::from(cert)]) {
        return cx.reply(op, Reply::Refused(Refusal::NotKept(why)));
    }
    // Raised behind the fact: whoever gets the answer finds the ticket known here.
    cx.raise(Event::Reply {
        op,
        reply: Reply::Invited(InvitationReply { chain, roots: cx.facts.root_facts().clone() }),
    });
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

#[cfg(test)]
mod tests;
