//! What others ask of the set.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fsdfs_proto::identity::{Admission, Card, Cert, CertKind, Fact, Head, PoolRules, VolEpoch};
use fsdfs_proto::ids::{DiskId, FactId, NodeId, PublicKey, VolumeId, Writer};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::CommitView;

use super::branches::BranchId;
use super::member::{MemberInfo, MemberStatus, TicketRedemption};
use super::set::FactSet;
use crate::placement::{MapDisk, MapServer};
use crate::report;

impl FactSet {
    /// Everyone who is or was a member.
    pub fn members(&self) -> &BTreeMap<NodeId, MemberInfo> {
        &self.derived().members
    }

    /// The branch to which a node belongs: the member directly below the root key or an admin, or vouched for by one, from
    /// which it hangs. None for somebody without a valid chain.
    ///
    /// Whatever a member can make others believe or keep is counted by branch: a member can invite itself any number of
    /// times, and all of these belong to the one branch.
    pub fn branch_of(&self, node: NodeId) -> Option<BranchId> {
        self.members().get(&node)?.branch
    }

    /// The members of status *member*, by branch.
    pub fn branches(&self) -> BTreeMap<BranchId, Vec<NodeId>> {
        let mut branches = BTreeMap::<BranchId, Vec<NodeId>>::new();
        for (node, member) in self.members() {
            if let (MemberStatus::Member, Some(branch)) = (member.status, member.branch) {
                branches.entry(branch).or_default().push(*node);
            }
        }
        branches
    }

    /// The rules that hold: the last ones stated, with floors; compiled-in ones if none were.
    pub fn rules(&self) -> PoolRules {
        self.derived().rules.clone()
    }

    /// The pool's feature level.
    pub fn features(&self) -> u32 {
        self.derived().features
    }

    /// Volumes of which an epoch is known.
    pub fn volumes(&self) -> Vec<VolumeId> {
        self.derived().epochs.keys().copied().collect()
    }

    /// The current epoch of a volume.
    pub fn epoch(&self, volume: VolumeId) -> Option<&Signed<VolEpoch>> {
        self.derived().epochs.get(&volume)?.values().next_back()
    }

    /// Whether blocks of that epoch may be put: of an earlier one, of the current one, and of the next, for a block can overtake the
    /// statement that began its epoch.
    pub fn takes_blocks_of(&self, volume: VolumeId, epoch: u32) -> bool {
        self.epoch(volume).is_some_and(|current| epoch <= current.value().epoch.saturating_add(1))
    }

    /// The current heads of a volume, ordered by commit id: of its current epoch, and those at which an earlier one ended.
    pub fn heads(&self, volume: VolumeId) -> Vec<Signed<Head>> {
        let (Some(heads), Some(epochs)) = (self.kept.heads.get(&volume), self.derived().epochs.get(&volume)) else {
            return Vec::new();
        };
        let Some(current) = epochs.keys().next_back() else { return Vec::new() };
        let frozen = |epoch: u32, commit| {
            epochs.get(&(epoch + 1)).is_some_and(|next| next.value().frozen_heads.binary_search(&commit).is_ok())
        };
        heads
            .iter()
            .filter(|(commit, head)| {
                let epoch = head.value().epoch;
                let signed = epochs.get(&epoch).is_some_and(|epoch| epoch.value().write_pk == head.signer());
                signed && (epoch == *current || frozen(epoch, *commit))
            })
            .map(|(_, head)| head.clone())
            .collect()
    }

    /// What a head includes, ascending by writer; nothing for a head that no set would take in.
    pub fn version_vector_of(head: &Signed<Head>) -> Vec<(Writer, u64)> {
        let commit = CommitView::of_head(head.value());
        let version_vector = commit.map(|commit| commit.extra.version_vector).unwrap_or_default();
        version_vector.dots().iter().map(|dot| (dot.writer, dot.seq)).collect()
    }

    /// Members with cards, as placement sees them.
    pub fn servers(&self) -> Vec<MapServer> {
        let cards: BTreeMap<NodeId, &Card> = self
            .members()
            .iter()
            .filter(|(_, member)| member.status == MemberStatus::Member)
            .filter_map(|(node, member)| Some((*node, member.card.as_ref()?.value())))
            .collect();
        let owners = owners(&cards);
        let cap = self.rules().weight_gib_max;
        cards
            .iter()
            .map(|(node, card)| {
                let total: u64 = card.disks.iter().map(|disk| u64::from(disk.gib)).sum();
                let disk = |disk: &fsdfs_proto::identity::CardDisk| {
                    // A full server keeps its weight: without it, all it holds would be wanted elsewhere at once.
                    let takes = owners.get(&disk.id) == Some(node);
                    MapDisk { id: disk.id, weight: if takes { capped(disk.gib, total, cap) } else { 0 } }
                };
                MapServer { id: *node, site: card.site.clone(), disks: card.disks.iter().map(disk).collect() }
            })
            .collect()
    }

    /// The chain that makes a node what it is, from the root key's certificate to its own.
    pub fn chain_of(&self, node: NodeId) -> Option<Vec<Signed<Cert>>> {
        self.derived().chain(&self.kept, node)
    }

    /// The admissions that a node's chain needs.
    pub fn admissions_of(&self, node: NodeId) -> Vec<Signed<Admission>> {
        let ids = self.chain_of(node).map(|chain| self.winning_along(&chain)).unwrap_or_default();
        ids.iter()
            .filter_map(|id| match self.kept.facts.get(id) {
                Some(Fact::Admission(admission)) => Some(admission.clone()),
                _ => None,
            })
            .collect()
    }

    /// The admission that `witness` has to sign for a newcomer. Its stamp is later than the witness's own admission, even if
    /// the witness's clock is behind: an earlier one would not count.
    pub fn admission(&self, witness: NodeId, now: Hlc, redeem: TicketRedemption) -> Admission {
        let since = self.derived().valid.members().get(&witness.into()).copied().unwrap_or_default();
        let after = Hlc { ms: since.ms, count: since.count.saturating_add(1) };
        Admission { version: 1, ticket: redeem.ticket, member: redeem.member, witness, hlc: now.max(after) }
    }

    /// All tickets ever made by members, in the order of their ids.
    pub fn tickets(&self) -> Vec<report::TicketReport> {
        let tickets = self.kept.known.certs().filter(|cert| cert.value().kind == CertKind::Ticket);
        tickets.map(|ticket| self.ticket(ticket)).collect()
    }

    /// Whether a revocation or removal of `subject`, a known member or ticket, by `signer` would hold.
    pub fn may_revoke(&self, signer: PublicKey, subject: PublicKey) -> bool {
        if self.kept.known.certs_of(subject).next().is_none() {
            return false;
        }
        let member = self.members().get(&signer.into());
        let barred = member.is_some_and(|member| member.status == MemberStatus::Revoked);
        !barred && self.derived().authority.has_authority_over(&self.kept.known, signer, subject)
    }

    /// What a key signed and a revocation may keep, ascending.
    pub fn signed_by(&self, subject: PublicKey) -> Vec<FactId> {
        self.kept.by_signer.get(&subject).into_iter().flatten().copied().collect()
    }

    /// Ids of the winning admissions along a chain.
    fn winning_along(&self, chain: &[Signed<Cert>]) -> Vec<FactId> {
        let pairs = chain.windows(2).filter(|pair| pair[0].value().kind == CertKind::Ticket);
        pairs.filter_map(|pair| self.derived().valid.winning(pair[0].id(), pair[1].id())).map(Signed::id).collect()
    }

    fn ticket(&self, ticket: &Signed<Cert>) -> report::TicketReport {
        let view = self.derived();
        let cert = ticket.value();
        let void = view.valid.cert(ticket.id()).is_none() || view.authority.is_revoked(cert.subject);
        report::TicketReport {
            id: ticket.id(),
            subject: cert.subject,
            issuer: cert.issuer,
            redeem_by: cert.redeem_by,
            uses: cert.uses,
            used: u32::try_from(self.kept.known.users(ticket).len()).unwrap_or(u32::MAX),
            revoked: void,
        }
    }
}

/// Whose a disk is: the highest attach generation owns it. A disk that moved to another machine is still on its old owner's last card.
fn owners(cards: &BTreeMap<NodeId, &Card>) -> BTreeMap<DiskId, NodeId> {
    let mut best = BTreeMap::<DiskId, (u64, Reverse<NodeId>)>::new();
    for (node, card) in cards {
        for disk in &card.disks {
            let generation = (disk.attach_generation, Reverse(*node));
            best.entry(disk.id).and_modify(|old| *old = generation.max(*old)).or_insert(generation);
        }
    }
    best.into_iter().map(|(disk, (_, Reverse(node)))| (disk, node)).collect()
}

/// A disk's share of its server's weight, if the pool's rules cap what a server may claim.
fn capped(gib: u32, total: u64, cap: u32) -> u32 {
    if cap == 0 || total <= u64::from(cap) {
        return gib;
    }
    u32::try_from(u64::from(gib) * u64::from(cap) / total).unwrap_or(cap)
}
