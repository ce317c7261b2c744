//! Whether a fact may be kept, leaving aside whether there is room for it.
//!
//! The answer depends on nothing but what comes before the fact in the order of precedence, so that nodes that know the same
//! keep the same, whatever came first.

use fsdfs_proto::identity::{
    Absence, Admission, Card, Cert, CertKind, Departure, Fact, Head, Heartbeat, Removal, Revocation, Succession,
    VolEpoch, may_issue,
};
use fsdfs_proto::ids::{NodeId, PublicKey};
use fsdfs_proto::signed::{Signed, is_strong};
use fsdfs_proto::volume::CommitView;

use super::authority::is_below;
use super::graph::redeems;
use super::heads::HeadSet;
use super::set::FactSet;
use super::waiting::Awaited;
use crate::limits::HEADS_PER_BRANCH_MAX;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Known,
    Stale,
    Wait(Awaited),
    Invalid(&'static str),
}

impl FactSet {
    /// What is to become of a fact.
    pub(super) fn classify(&self, fact: &Fact) -> Verdict {
        if self.kept.contains(fact) {
            return Verdict::Known;
        }
        if self.is_voided(fact) {
            return Verdict::Stale;
        }
        match fact {
            Fact::Founding(_) if fact.signer() != self.kept.pool.into() => {
                Verdict::Invalid("a founding by another key")
            }
            Fact::Founding(_) => Verdict::Keep,
            Fact::Succession(succession) => self.check_succession(succession),
            Fact::Cert(cert) => self.check_cert(cert),
            Fact::Admission(admission) => self.check_admission(admission),
            Fact::Card(card) => self.check_card(card),
            Fact::Absence(absence) => self.check_absence(absence),
            Fact::Heartbeat(beat) => self.check_heartbeat(beat.value()),
            Fact::Departure(gone) => self.check_gone(gone),
            Fact::AdminList(_) => self.check_root(fact.signer(), "only the root key names admins"),
            Fact::PoolRules(_) | Fact::Vouch(_) => self.check_ranked(fact.signer()),
            Fact::VolEpoch(epoch) => self.check_epoch(epoch.value()),
            Fact::Head(head) => self.check_head(head),
            Fact::Revocation(revoke) => self.check_revocation(revoke.value()),
            Fact::Removal(remove) => self.check_removal(remove.value()),
            Fact::FeatureLevel(_) => self.check_signer(fact.signer()),
        }
    }

    /// Whether a key with a rank voided a statement, or all chains of whoever has to answer for it: then it need not be kept.
    /// Certificates and admissions stay, or others would lose their chains with those who invited or admitted them, and there
    /// would be no way back if whoever revoked is revoked in turn. So do cards, of which there is one a member.
    pub(super) fn is_voided(&self, fact: &Fact) -> bool {
        let law = &self.kept.law;
        match fact {
            Fact::Founding(it) => {
                let kept = law.roots.facts().founding.as_ref();
                return it.signer() == self.kept.pool.into() && kept.is_some_and(|kept| kept.id() < it.id());
            }
            _ if law.roots.drops(fact.signer(), fact.id()) => return true,
            _ => {}
        }
        let stays = matches!(
            fact,
            Fact::Cert(_)
                | Fact::Admission(_)
                | Fact::Card(_)
                | Fact::Absence(_)
                | Fact::Heartbeat(_)
                | Fact::Head(_)
                | Fact::AdminList(_)
                | Fact::Succession(_)
        );
        if stays {
            return false;
        }
        let key = self.kept.ledger().payer_of(fact).unwrap_or(fact.signer());
        law.ends(fact.signer(), fact.id()) || law.rank(key).is_none() && !self.kept.has_lawful_chain(key)
    }

    fn check_cert(&self, cert: &Signed<Cert>) -> Verdict {
        let (id, cert) = (cert.id(), cert.value());
        if self.kept.law.roots.may_be_root(cert.subject) || cert.subject == cert.issuer || !is_strong(cert.subject) {
            return Verdict::Invalid("a certificate for the root key, for its own issuer, or for a weak key");
        }
        let Some(parent) = cert.parent else {
            return match cert.consent {
                None => self.check_root(cert.issuer, "a certificate without a parent"),
                Some(_) => Verdict::Invalid("a certificate without a parent"),
            };
        };
        if (cert.kind == CertKind::Member) != cert.consent.is_some() {
            return Verdict::Invalid("a certificate to which its subject did not agree");
        }
        let Some(parent) = self.kept.known.cert(parent) else { return Verdict::Wait(Awaited::Cert(parent)) };
        if parent.value().subject != cert.issuer || may_issue(parent.value(), cert).is_err() {
            return Verdict::Invalid("a certificate that its parent does not allow");
        }
        if self.kept.known.up(parent.id()).any(|link| link.cert.value().subject == cert.subject) {
            return Verdict::Invalid("a certificate below its own subject");
        }
        match parent.value().kind {
            CertKind::Member => Verdict::Keep,
            CertKind::Ticket => Verdict::Wait(Awaited::Admission(id)),
        }
    }

    fn check_admission(&self, admission: &Signed<Admission>) -> Verdict {
        let Admission { ticket, member, witness, .. } = *admission.value();
        let Some(cert) = self.kept.known.cert(member).or_else(|| self.waiting.unadmitted(member)) else {
            return Verdict::Wait(Awaited::Cert(member));
        };
        let Some(ticket_cert) = self.kept.known.cert(ticket) else { return Verdict::Wait(Awaited::Cert(ticket)) };
        if cert.value().parent != Some(ticket) || !redeems(ticket_cert.value(), cert.value()) {
            return Verdict::Invalid("an admission whose newcomer does not come from its ticket");
        }
        if !self.kept.known.has_witness(admission.value()) {
            return self.wait_for(witness.into());
        }
        if self.kept.known.wants(admission) { Verdict::Keep } else { Verdict::Stale }
    }

    fn check_card(&self, card: &Signed<Card>) -> Verdict {
        let stale = |old: &Signed<Card>| (old.value().seq, old.id()) > (card.value().seq, card.id());
        if self.kept.cards.get(&card.value().node).is_some_and(stale) {
            return Verdict::Stale;
        }
        self.check_member(card.value().node)
    }

    fn check_absence(&self, absence: &Signed<Absence>) -> Verdict {
        let stale = |old: &Signed<Absence>| (old.value().seq, old.id()) > (absence.value().seq, absence.id());
        if self.kept.absences.get(&absence.value().node).is_some_and(stale) {
            return Verdict::Stale;
        }
        self.check_member(absence.value().node)
    }

    fn check_heartbeat(&self, beat: &Heartbeat) -> Verdict {
        let last = match self.kept.heartbeats.get(&beat.node) {
            Some(Fact::Heartbeat(last)) => Some((last.value().boot, last.value().counter)),
            _ => None,
        };
        if last.is_some_and(|last| last >= (beat.boot, beat.counter)) {
            return Verdict::Stale;
        }
        self.check_member(beat.node)
    }

    fn check_gone(&self, gone: &Signed<Departure>) -> Verdict {
        let Departure { member, issuer, last, .. } = *gone.value();
        if member == issuer {
            return Verdict::Invalid("a member that calls itself gone");
        }
        let stale = |old: &Signed<Departure>| (old.value().last, old.id()) > (last, gone.id());
        if self.kept.departures.get(&(member, issuer)).is_some_and(stale) {
            return Verdict::Stale;
        }
        let known = self.check_member(member).and(|| self.check_member(issuer));
        // The last question, as it is the dearest, and is not asked of what waits.
        known.and(|| match gone.value().is_proven(self.kept.pool) {
            true => Verdict::Keep,
            false => Verdict::Invalid("a last heartbeat that its member never signed"),
        })
    }

    fn check_epoch(&self, epoch: &VolEpoch) -> Verdict {
        // One after the other: a number far ahead would leave no number for those who come after it.
        let known = self.kept.epochs.get(&epoch.volume);
        let before = epoch.epoch.checked_sub(1).filter(|before| *before > 0);
        if let Some(before) = before.filter(|before| !known.is_some_and(|known| known.contains_key(before))) {
            return Verdict::Wait(Awaited::Epoch(epoch.volume, before));
        }
        // The shared volume has its place, whoever fills the others.
        if epoch.volume == self.kept.pool.volume() {
            return match epoch.sponsor {
                None => self.check_ranked(epoch.signer),
                Some(_) => Verdict::Invalid("a sponsor of the shared volume"),
            };
        }
        let Some(sponsor) = &epoch.sponsor else { return Verdict::Invalid("a volume that no member answers for") };
        if epoch.signer.0 != epoch.volume.0 {
            return Verdict::Invalid("a volume's epoch that its owner did not sign");
        }
        self.check_member(sponsor.member).and(|| match epoch.is_sponsored(self.kept.pool) {
            true => Verdict::Keep,
            false => Verdict::Invalid("a sponsor that did not sign"),
        })
    }

    fn check_head(&self, head: &Signed<Head>) -> Verdict {
        let Head { volume, epoch, .. } = head.value();
        let epochs = self.kept.epochs.get(volume);
        let Some((epochs, of_number)) = epochs.and_then(|epochs| Some((epochs, epochs.get(epoch)?))) else {
            return Verdict::Wait(Awaited::Epoch(*volume, *epoch));
        };
        if !of_number.iter().any(|epoch| epoch.value().write_pk == head.signer()) {
            return Verdict::Invalid("a head that its epoch's write key did not sign");
        }
        let Ok(commit) = CommitView::of_head(head.value()) else {
            return Verdict::Invalid("a head whose commit is malformed");
        };
        match self.kept.heads.get(volume) {
            Some(heads) if heads.supersede(head, &commit, epochs) => Verdict::Stale,
            Some(heads) if heads.are_enough(head, &commit, epochs) => Verdict::Stale,
            // Who merges some of them is let in, or they would stay too many.
            Some(heads) if self.are_full(heads, head.value()) && !heads.are_superseded_by(head, &commit, epochs) => {
                Verdict::Invalid("too many unmerged heads")
            }
            _ => Verdict::Keep,
        }
    }

    /// Counted by epoch: whoever has an old key only must not be able to fill the place of others. And by branch: an author is
    /// whoever signs, so all who are not known here count as one.
    fn are_full(&self, heads: &HeadSet, head: &Head) -> bool {
        if heads.of_epoch(head.epoch, |_| true) < HEADS_PER_BRANCH_MAX {
            return false;
        }
        let ledger = self.kept.ledger();
        let branch = ledger.branch_of(head.author.into());
        heads.of_epoch(head.epoch, |author| ledger.branch_of(author.into()) == branch) >= HEADS_PER_BRANCH_MAX
    }

    /// By a key with a rank it is kept whomever it names: it must be known before its subject knocks. A member's names
    /// somebody below it.
    fn check_revocation(&self, revoke: &Revocation) -> Verdict {
        match self.check_ranked(revoke.signer) {
            Verdict::Keep => Verdict::Keep,
            _ => self.check_below(revoke.signer, revoke.subject),
        }
    }

    fn check_removal(&self, remove: &Removal) -> Verdict {
        match self.check_ranked(remove.signer) {
            Verdict::Keep => Verdict::Keep,
            _ if remove.signer == remove.node.into() => self.check_member(remove.node),
            _ => self.check_below(remove.signer, remove.node.into()),
        }
    }

    fn check_below(&self, signer: PublicKey, subject: PublicKey) -> Verdict {
        let certified = self.kept.known.certs_of(subject).next().is_some();
        self.check_member(signer.into()).and(|| match () {
            () if !certified => Verdict::Wait(Awaited::Key(subject)),
            () if is_below(&self.kept.known, signer, subject) => Verdict::Keep,
            // Until it gets a rank, or another certificate of the subject's comes.
            () => Verdict::Wait(Awaited::Key(subject)),
        })
    }

    /// Whether what members said of the keys below them lapsed, as a key of theirs hangs on others now.
    pub(super) fn revocations_lapsed(&self, cert: &Cert) -> bool {
        let about = |fact: &&Fact| match fact {
            Fact::Revocation(revoke) => revoke.value().subject == cert.subject,
            Fact::Removal(remove) => PublicKey::from(remove.value().node) == cert.subject,
            _ => false,
        };
        cert.kind == CertKind::Member && self.kept.facts.values().any(|fact| about(&fact))
    }

    /// A root key's word that it counts from now on. What the founding does not name is none.
    fn check_succession(&self, succession: &Signed<Succession>) -> Verdict {
        let roots = self.kept.law.roots.facts();
        match roots.key(self.kept.pool, succession.value().number) {
            Some(key) if key == succession.signer() => Verdict::Keep,
            None if roots.founding.is_none() => Verdict::Wait(Awaited::Key(succession.signer())),
            _ => Verdict::Invalid("a succession by a key that the founding does not name"),
        }
    }

    /// The root key, or one before it. One that is to be the root key may have said that it is.
    fn check_root(&self, signer: PublicKey, otherwise: &'static str) -> Verdict {
        match &self.kept.law.roots {
            roots if roots.is_root(signer) => Verdict::Keep,
            roots if roots.may_be_root(signer) => Verdict::Wait(Awaited::Key(signer)),
            _ => Verdict::Invalid(otherwise),
        }
    }

    /// A root key, an admin of any list, or a member.
    fn check_signer(&self, signer: PublicKey) -> Verdict {
        match self.check_ranked(signer) {
            Verdict::Keep => Verdict::Keep,
            _ => self.check_member(signer.into()),
        }
    }

    fn check_ranked(&self, signer: PublicKey) -> Verdict {
        if self.kept.law.rank(signer).is_some() { Verdict::Keep } else { self.wait_for(signer) }
    }

    fn check_member(&self, node: NodeId) -> Verdict {
        let key = PublicKey::from(node);
        if self.kept.known.members().contains_key(&key) { Verdict::Keep } else { self.wait_for(key) }
    }

    /// Not known as a member yet - unless all that is known of this key is that it is a ticket's.
    fn wait_for(&self, key: PublicKey) -> Verdict {
        if self.kept.is_ticket_key(key) {
            Verdict::Invalid("a ticket's key signs nothing but a member certificate")
        } else {
            Verdict::Wait(Awaited::Key(key))
        }
    }
}

impl Verdict {
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Keep { other() } else { self }
    }
}
