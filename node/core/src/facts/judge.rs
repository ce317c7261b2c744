//! Whether a peer that showed a chain at the gate may come in.

use std::collections::BTreeMap;

use fsdfs_proto::identity::chain::{self, KnownFacts, ended};
use fsdfs_proto::identity::{Admission, Cert, CertKind, Fact};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use super::GateRefusal;
use super::graph::redeems;
use super::member::{AdmissionVerdict, MemberStatus, TicketRedemption};
use super::set::FactSet;

impl FactSet {
    /// Judges a peer by the chain and the admissions it showed, together with all that is known here. Guests may come in.
    /// Changes nothing: what it showed comes back in [`AdmissionVerdict::facts`]. Costs what the chain is long.
    pub fn judge(
        &self,
        wall_ms: u64,
        peer: NodeId,
        chain: &[Signed<Cert>],
        admissions: &[Signed<Admission>],
    ) -> Result<AdmissionVerdict, GateRefusal> {
        chain::check_links(self.kept.pool, self.kept.law.roots.facts(), chain)?;
        let bench = GateJudge::new(self, chain, admissions, wall_ms);
        chain::check_known(chain, peer, wall_ms, &bench)?;
        let redeem = bench.redeem();
        if bench.unadmitted().is_some() && redeem.is_none() {
            // Its ticket gives nothing that it does not have: it comes in by what is known of it.
            return Ok(AdmissionVerdict { facts: Vec::new(), redeem });
        }
        let last = chain.last().expect("no empty chain passes");
        if !self.has_room_for(last) {
            return Err(GateRefusal::PoolFull);
        }
        let shown = admissions.iter().filter(|admission| bench.is_effective(admission)).cloned().map(Fact::from);
        let facts = chain.iter().cloned().map(Fact::from).chain(shown).collect();
        Ok(AdmissionVerdict { facts, redeem })
    }

    /// Whether a newcomer's certificate could be kept; unknown ones above it are another matter.
    fn has_room_for(&self, cert: &Signed<Cert>) -> bool {
        let parent_known = cert.value().parent.is_none_or(|parent| self.kept.known.cert(parent).is_some());
        let known = self.kept.known.cert(cert.id()).is_some() || !parent_known;
        known || self.kept.accounts.fits(&self.kept.ledger().charge_cert(cert, Hlc { ms: u64::MAX, count: u32::MAX }))
    }
}

/// The set with what the peer showed added.
struct GateJudge<'a> {
    set: &'a FactSet,
    chain: &'a [Signed<Cert>],
    wall_ms: u64,
    /// Since when the members of the chain are members, by what is known and shown.
    since: BTreeMap<PublicKey, Hlc>,
    /// Certificates of the chain with an admission that is valid.
    admitted: BTreeMap<FactId, bool>,
}

impl<'a> GateJudge<'a> {
    fn new(set: &'a FactSet, chain: &'a [Signed<Cert>], shown: &[Signed<Admission>], wall_ms: u64) -> Self {
        let mut judge = Self { set, chain, wall_ms, since: BTreeMap::new(), admitted: BTreeMap::new() };
        let mut entry = Some(Hlc::default());
        for (at, cert) in chain.iter().enumerate() {
            if at > 0 && chain[at - 1].value().kind == CertKind::Ticket {
                let first = judge.admit(&chain[at - 1], cert, shown);
                entry = entry.zip(first).map(|(entry, hlc)| entry.max(hlc));
            }
            if let (CertKind::Member, Some(entry)) = (cert.value().kind, entry) {
                judge.since.insert(cert.value().subject, entry);
            }
        }
        judge
    }

    /// When a link of the chain was admitted first, and whether that is still valid.
    fn admit(&mut self, ticket: &Signed<Cert>, member: &Signed<Cert>, shown: &[Signed<Admission>]) -> Option<Hlc> {
        let known = self.set.kept.known.link(member.id()).into_iter().flat_map(|link| &link.admissions);
        let names = |admission: &&Signed<Admission>| {
            (admission.value().ticket, admission.value().member) == (ticket.id(), member.id())
        };
        let shown = shown.iter().filter(names).filter(|admission| self.is_effective(admission));
        let all: Vec<&Signed<Admission>> = known.chain(shown).collect();
        let fits = redeems(ticket.value(), member.value());
        let valid = |it: &&Signed<Admission>| {
            !self.set.derived().authority.is_void(&self.set.kept.known, it.signer(), it.id(), |_| true)
        };
        let admitted = fits && all.iter().any(valid);
        self.admitted.insert(member.id(), admitted);
        all.iter().map(|admission| admission.value().hlc).min()
    }

    fn is_effective(&self, admission: &Signed<Admission>) -> bool {
        let since = self.since.get(&admission.value().witness.into());
        since.is_some_and(|since| *since < admission.value().hlc) || self.set.kept.known.has_witness(admission.value())
    }

    /// The last two links, if nobody has admitted the last yet.
    fn unadmitted(&self) -> Option<(&Signed<Cert>, &Signed<Cert>)> {
        let [.., ticket, member] = self.chain else { return None };
        let open = ticket.value().kind == CertKind::Ticket && self.admitted.get(&member.id()) != Some(&true);
        open.then_some((ticket, member))
    }

    /// What has to be signed for the peer to be a member. Nothing if it is one, and would be no more by this ticket: whoever
    /// makes tickets for itself would have others sign and keep an admission for each.
    fn redeem(&self) -> Option<TicketRedemption> {
        let (ticket, member) = self.unadmitted()?;
        let known = self.set.members().get(&member.value().subject.into());
        let in_standing = |status| !matches!(status, MemberStatus::Guest | MemberStatus::Revoked);
        let has_it = known.is_some_and(|known| in_standing(known.status) && known.role <= member.value().role);
        (!has_it).then(|| TicketRedemption { ticket: ticket.id(), member: member.id() })
    }
}

impl KnownFacts for GateJudge<'_> {
    fn admitted(&self, ticket: &Signed<Cert>, member: &Signed<Cert>) -> Result<(), GateRefusal> {
        let last = self.chain.last().map(Signed::id);
        let void = self.chain.iter().any(|cert| self.revoked(cert, false));
        if void || self.admitted.get(&member.id()) == Some(&true) {
            // A void chain is refused by the later check for revocations.
            return Ok(());
        }
        let used = self.set.kept.known.users(ticket.id()).len();
        match () {
            () if last != Some(member.id()) => Err(GateRefusal::NotAdmitted),
            () if ended(ticket.value().redeem_by, self.wall_ms) => Err(GateRefusal::TicketExpired),
            () if used >= usize::try_from(ticket.value().uses).unwrap_or(usize::MAX) => Err(GateRefusal::TicketUsedUp),
            () => Ok(()),
        }
    }

    fn revoked(&self, cert: &Signed<Cert>, last: bool) -> bool {
        let authority = &self.set.derived().authority;
        let above =
            |key| self.chain.iter().take_while(|link| link.id() != cert.id()).any(|link| link.value().subject == key);
        let is_revoked = last && authority.is_revoked(cert.value().subject);
        is_revoked || authority.is_void(&self.set.kept.known, cert.signer(), cert.id(), above)
    }
}
