//! Whether a peer that showed a chain at the gate may come in.

use fsdfs_proto::identity::chain::{self, KnownFacts, ended};
use fsdfs_proto::identity::{Admission, Cert, CertKind, Fact, FactKind};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::signed::Signed;

use super::GateRefusal;
use super::insert::InsertOutcome;
use super::member::{AdmissionVerdict, TicketRedemption};
use super::set::FactSet;

impl FactSet {
    /// Judges a peer by the chain and the admissions it showed, together with all that is known here. Guests may come in.
    /// Changes nothing: what it showed comes back in [`AdmissionVerdict::facts`].
    pub fn judge(
        &self,
        wall_ms: u64,
        peer: NodeId,
        chain: &[Signed<Cert>],
        admissions: &[Signed<Admission>],
    ) -> Result<AdmissionVerdict, GateRefusal> {
        chain::check_links(self.kept.pool, chain)?;
        let shown = || chain.iter().cloned().map(Fact::from).chain(admissions.iter().cloned().map(Fact::from));
        let mut with = self.clone();
        for fact in shown() {
            let cert = fact.kind() == FactKind::Cert;
            // The links fit, so only a bound of the set can be in the way.
            if matches!(with.insert(fact), InsertOutcome::Invalid(_)) && cert {
                return Err(GateRefusal::PoolFull);
            }
        }
        let bench = GateJudge { with: &with, chain, wall_ms };
        chain::check_known(chain, peer, wall_ms, &bench)?;
        let facts = shown().filter(|fact| with.kept.contains(fact)).collect();
        Ok(AdmissionVerdict { facts, redeem: bench.redeem() })
    }
}

/// The set with what the peer showed added.
struct GateJudge<'a> {
    with: &'a FactSet,
    chain: &'a [Signed<Cert>],
    wall_ms: u64,
}

impl GateJudge<'_> {
    /// What has to be signed for the peer to be a member.
    fn redeem(&self) -> Option<TicketRedemption> {
        let [.., ticket, member] = self.chain else { return None };
        let open = ticket.value().kind == CertKind::Ticket
            && self.with.derived().valid.winning(ticket.id(), member.id()).is_none();
        open.then(|| TicketRedemption { ticket: ticket.id(), member: member.id() })
    }
}

impl KnownFacts for GateJudge<'_> {
    fn admitted(&self, ticket: &Signed<Cert>, member: &Signed<Cert>) -> Result<(), GateRefusal> {
        let void = self.chain.iter().any(|cert| self.revoked(cert, false));
        if void || self.with.derived().valid.winning(ticket.id(), member.id()).is_some() {
            // A void chain is refused by the later check for revocations.
            return Ok(());
        }
        let last = self.chain.last().is_some_and(|last| last.id() == member.id());
        let used = self.with.kept.known.users(ticket).len();
        match () {
            () if !last => Err(GateRefusal::NotAdmitted),
            () if ended(ticket.value().redeem_by, self.wall_ms) => Err(GateRefusal::TicketExpired),
            () if used >= usize::try_from(ticket.value().uses).unwrap_or(usize::MAX) => Err(GateRefusal::TicketUsedUp),
            () => Ok(()),
        }
    }

    fn revoked(&self, cert: &Signed<Cert>, last: bool) -> bool {
        let authority = &self.with.derived().authority;
        let is_revoked = last && authority.is_revoked(cert.value().subject);
        is_revoked || authority.is_void(cert.signer(), cert.id())
    }
}
