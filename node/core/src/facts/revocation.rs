//! What stays of a key that is revoked, and what has to end with it.
//!
//! A revocation retains what others hang on: members stay, whoever let them in. It must not retain what somebody could still
//! come in by: a ticket that is open, a certificate for a key that nobody has heard of yet. Otherwise whoever is thrown out
//! lets itself in again with what it signed the day before.

use std::collections::BTreeSet;

use fsdfs_proto::identity::{Admission, Cert, CertKind, Fact};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::graph::CertLink;
use super::member::MemberStatus;
use super::set::FactSet;

/// What is to be signed when a key is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationPlan {
    /// What the subject signed and what stays valid, ascending.
    pub keep: Vec<FactId>,
    /// Keys of its tickets by which somebody came in, each with what that key signed and what stays valid. Each needs a
    /// revocation of its own: the ticket stays valid for those who are in, and must admit nobody else.
    pub tickets: Vec<(PublicKey, Vec<FactId>)>,
    /// How many of its tickets had a use left.
    pub tickets_ended: usize,
}

impl FactSet {
    /// For a member: it keeps what leads to members who have joined, and no use of a ticket that is left. For a ticket: it
    /// keeps those who came in.
    pub fn revocation_plan(&self, subject: PublicKey) -> RevocationPlan {
        let is_member = self.kept.known.members().contains_key(&subject);
        let mut plan = RevocationPlan::default();
        for id in self.kept.by_signer.get(&subject).into_iter().flatten() {
            let Some(fact) = self.kept.facts.get(id) else { continue };
            let keep = match fact {
                Fact::Cert(ticket) if ticket.value().kind == CertKind::Ticket => self.plan_ticket(ticket, &mut plan),
                Fact::Cert(cert) if is_member => self.has_joined(cert.value().subject),
                Fact::Cert(cert) => self.was_admitted(cert),
                Fact::Admission(admission) => self.counts(admission, subject),
                // A vote of somebody who has none any more.
                Fact::Departure(_) => false,
                // What it said of others while it was in good standing: whom it threw out stays out.
                _ => true,
            };
            if keep {
                plan.keep.push(*id);
            }
        }
        debug_assert!(plan.keep.is_sorted(), "the format wants them ascending, as the index has them");
        plan
    }

    /// Members that came in by this one, directly or through others that did, and are in still. In id order.
    pub fn invited_by(&self, subject: PublicKey) -> Vec<NodeId> {
        let (mut below, mut open) = (BTreeSet::new(), vec![subject]);
        while let Some(inviter) = open.pop() {
            let children = self.members().iter().filter(|(_, member)| member.invited_by == inviter);
            open.extend(children.filter(|(node, _)| below.insert(**node)).map(|(node, _)| PublicKey::from(*node)));
        }
        let is_in = |node: &NodeId| self.members()[node].status != MemberStatus::Revoked;
        below.into_iter().filter(|node| is_in(node) && PublicKey::from(*node) != subject).collect()
    }

    /// Whether the ticket itself stays valid, for those who came in by it.
    fn plan_ticket(&self, ticket: &Signed<Cert>, plan: &mut RevocationPlan) -> bool {
        let (key, known) = (ticket.value().subject, &self.kept.known);
        let used = u32::try_from(known.users(ticket.id()).len()).unwrap_or(u32::MAX);
        plan.tickets_ended += usize::from(!self.derived().authority.is_revoked(key) && used < ticket.value().uses);
        // Anybody can certify the key of somebody else's ticket. To revoke it for that would end the other's ticket, too.
        let is_own = known.certs_of(key).all(|cert| cert.value().issuer == ticket.value().issuer);
        let children = known.link(ticket.id()).into_iter().flat_map(|link| &link.children);
        let is_in = |link: &&CertLink| !link.admissions.is_empty() && self.has_joined(link.cert.value().subject);
        let members = children.filter_map(|id| known.link(*id)).filter(is_in);
        let newcomers: Vec<FactId> = members.map(|link| link.cert.id()).collect();
        if newcomers.is_empty() || !is_own {
            return false;
        }
        if !self.derived().authority.is_revoked(key) {
            plan.tickets.push((key, newcomers));
        }
        true
    }

    /// It is a member and has spoken as one: every node makes a card as soon as it hears of its admission.
    fn has_joined(&self, key: PublicKey) -> bool {
        self.kept.known.members().contains_key(&key) && self.kept.cards.contains_key(&key.into())
    }

    /// Somebody let it in with the ticket that it comes from.
    fn was_admitted(&self, member: &Signed<Cert>) -> bool {
        self.kept.known.link(member.id()).is_some_and(|link| !link.admissions.is_empty())
    }

    /// Whether somebody is in by this admission. One for somebody else's ticket stays in any case: were it void, that ticket
    /// would have a use left again.
    fn counts(&self, admission: &Signed<Admission>, witness: PublicKey) -> bool {
        let Admission { ticket, member, .. } = admission.value();
        let winning = self.derived().winning(&self.kept, *member);
        let wins = winning.is_some_and(|winning| winning.id() == admission.id());
        let cert = |id| self.kept.known.cert(id).map(Signed::value);
        let is_others = cert(*ticket).is_some_and(|ticket| ticket.issuer != witness);
        wins && (is_others || cert(*member).is_some_and(|member| self.has_joined(member.subject)))
    }
}
