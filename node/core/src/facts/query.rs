//! What others ask of the set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fsdfs_proto::identity::{AdminList, Admission, CardDisk, Cert, Fact, Head, PoolRules, Role, RootFacts, VolEpoch};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey, Signature, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{CommitView, VersionVector};

use super::authority::chained;
use super::branches::BranchId;
use super::electorate::site_of;
use super::heads::{HeadSet, current_heads};
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

    /// Whether a vouch by `signer` for this member would count: the signer has a rank, and nobody revoked it.
    pub fn may_vouch(&self, signer: PublicKey) -> bool {
        let authority = &self.derived().authority;
        authority.rank(signer).is_some() && !authority.is_revoked(signer)
    }

    /// Whether a key with a rank vouches for this node.
    pub fn is_vouched(&self, node: NodeId) -> bool {
        let authority = &self.derived().authority;
        let names = |fact: &&Fact| matches!(fact, Fact::Vouch(vouch) if vouch.value().node == node);
        let counts =
            |fact: &Fact| authority.rank(fact.signer()).is_some() && !authority.is_void_fact(&self.kept.known, fact);
        self.kept.vouched.contains(&node.into()) && self.kept.facts.values().filter(names).any(counts)
    }

    /// The last heartbeat of a node that is known or proven, with the node's signature over it.
    pub fn last_sign_of_life(&self, node: NodeId) -> ((u64, u64), Option<Signature>) {
        let beat = self.members().get(&node).and_then(|member| member.heartbeat.as_ref());
        let beat = beat.map(|beat| ((beat.value().boot, beat.value().counter), beat.envelope().signature));
        let shown = self.kept.departures_of(node).filter_map(|gone| Some((gone.value().last, gone.value().proof?)));
        let last = shown.chain(beat).max_by_key(|(last, _)| *last);
        last.map_or(((0, 0), None), |(last, proof)| (last, Some(proof)))
    }

    /// Whether this issuer says of a member that it is gone, and it was not heard of since.
    pub fn is_called_gone_by(&self, issuer: NodeId, member: NodeId) -> bool {
        let said = self.kept.departures.get(&(member, issuer));
        said.is_some_and(|gone| self.kept.last_beat(member).is_none_or(|last| last <= gone.value().last))
    }

    /// Whether these are at more than half of the sites where members are.
    pub fn are_most_sites(&self, is_one: impl Fn(NodeId) -> bool) -> bool {
        let members = self.members().iter().filter(|(_, member)| member.status == MemberStatus::Member);
        let (mut all, mut some) = (BTreeSet::new(), BTreeSet::new());
        for (node, member) in members {
            let Some(site) = site_of(member) else { continue };
            all.insert(site);
            if is_one(*node) {
                some.insert(site);
            }
        }
        2 * some.len() > all.len()
    }

    /// The rules that hold: the last ones stated, with floors; compiled-in ones if none were.
    pub fn rules(&self) -> PoolRules {
        self.derived().rules.clone()
    }

    /// The last rules that lead back to the first, valid or not: those that come next go on from them.
    pub fn last_rules(&self) -> Option<Signed<PoolRules>> {
        let all = self.kept.facts.values().filter_map(|fact| match fact {
            Fact::PoolRules(rules) => Some((rules.value().number, rules.value().previous, rules)),
            _ => None,
        });
        chained(all).pop().cloned()
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

    /// All valid statements about epochs of a volume, ascending by number, then id. Several of one number, if several keys
    /// with a rank began one at once.
    pub fn epochs(&self, volume: VolumeId) -> Vec<&Signed<VolEpoch>> {
        let authority = &self.derived().authority;
        let all = self.kept.epochs.get(&volume).into_iter().flat_map(BTreeMap::values).flatten();
        let is_void =
            |epoch: &Signed<VolEpoch>| authority.is_void(&self.kept.known, epoch.signer(), epoch.id(), |_| true);
        let mut valid: Vec<_> = all.filter(|epoch| !is_void(epoch)).collect();
        valid.sort_by_key(|epoch| (epoch.value().epoch, epoch.id()));
        valid
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
        let stands = heads.iter().filter(|(commit, head)| {
            let epoch = head.value().epoch;
            let signed = epochs.get(&epoch).is_some_and(|epoch| epoch.value().write_pk == head.signer());
            signed && (epoch == *current || frozen(epoch, *commit))
        });
        let stands = stands.map(|(_, head)| head.clone());
        // What another statement began from is kept, although the epoch that counts has gone on from it.
        if epochs.len() > 1 { current_heads(stands) } else { stands.collect() }
    }

    /// Heads that are kept and do not stand: of an epoch that ended without them, or of one that was begun at the same time as
    /// the one that counts. They are lost to readers unless somebody makes a commit of the current epoch from them.
    pub fn heads_left_out(&self, volume: VolumeId) -> Vec<Signed<Head>> {
        let standing: BTreeSet<FactId> = self.heads(volume).iter().map(Signed::id).collect();
        let valid: BTreeSet<PublicKey> = self.epochs(volume).iter().map(|epoch| epoch.value().write_pk).collect();
        let kept = self.kept.heads.get(&volume).into_iter().flat_map(HeadSet::iter).map(|(_, head)| head);
        kept.filter(|head| !standing.contains(&head.id()) && valid.contains(&head.signer())).cloned().collect()
    }

    /// Whether this key may begin epochs of the shared volume, and how many stand above it.
    pub fn rank(&self, key: PublicKey) -> Option<usize> {
        let authority = &self.derived().authority;
        authority.rank(key).filter(|_| !authority.is_revoked(key))
    }

    /// The pool's root keys, as far as a newcomer has to know them.
    pub fn root_facts(&self) -> &RootFacts {
        self.kept.law.roots.facts()
    }

    /// The root key that counts.
    pub fn root_key(&self) -> PublicKey {
        self.kept.law.roots.current()
    }

    /// Whether the root key that counts was copied: it said two things that contradict each other.
    pub fn is_root_key_contradicted(&self) -> bool {
        self.kept.law.roots.is_contradicted()
    }

    /// What root keys signed, up to now, and is valid: certificates, lists, revocations and so on. In the order of their ids.
    pub fn signed_by_roots(&self) -> Vec<&Fact> {
        let is_of_roots = |key: &PublicKey| self.kept.law.roots.is_root(*key);
        let ids = self.kept.by_signer.iter().filter(|(key, _)| is_of_roots(key)).flat_map(|(_, ids)| ids);
        let facts = ids.filter_map(|id| self.kept.facts.get(id));
        let authority = &self.derived().authority;
        let counts = |fact: &&Fact| {
            !matches!(fact, Fact::Founding(_) | Fact::Succession(_)) && !authority.is_void_fact(&self.kept.known, fact)
        };
        let mut facts: Vec<&Fact> = facts.filter(counts).collect();
        facts.sort_unstable_by_key(|fact| fact.id());
        facts
    }

    /// Whether a valid list of admins, or valid rules, that are none of these name one of these as those before them.
    pub fn are_gone_on_from(&self, these: &[FactId]) -> bool {
        let authority = &self.derived().authority;
        self.kept.facts.values().any(|fact| {
            let previous = match fact {
                Fact::AdminList(list) => list.value().previous,
                Fact::PoolRules(rules) => rules.value().previous,
                _ => None,
            };
            let goes_on = previous.is_some_and(|previous| these.contains(&previous)) && !these.contains(&fact.id());
            goes_on && !authority.is_void_fact(&self.kept.known, fact)
        })
    }

    /// The last list of admins that leads back to the first and is valid.
    pub fn admin_list(&self) -> Option<Signed<AdminList>> {
        let lists = self.kept.facts.values().filter_map(|fact| match fact {
            Fact::AdminList(list) => Some((list.value().number, list.value().previous, list)),
            _ => None,
        });
        let counts = |list: &&Signed<AdminList>| !self.kept.law.roots.voids(list.signer(), list.id());
        chained(lists).into_iter().rfind(counts).cloned()
    }

    /// Members whose nodes may begin epochs, by id.
    pub fn admins(&self) -> Vec<NodeId> {
        let members = self.members().iter().filter(|(_, member)| member.status == MemberStatus::Member);
        members.map(|(node, _)| *node).filter(|node| self.rank((*node).into()).is_some()).collect()
    }

    /// Nodes that may have had a key of the shared volume, are in good standing no more, and for whose sake no epoch has begun:
    /// what is written now they could read still. Ascending.
    pub fn still_with_key(&self) -> Vec<NodeId> {
        let Some(epochs) = self.derived().epochs.get(&self.kept.pool.volume()) else { return Vec::new() };
        let without: BTreeSet<NodeId> =
            epochs.values().flat_map(|epoch| epoch.value().without.iter().copied()).collect();
        let is_out = |member: &MemberInfo| {
            member.role != Role::StorageOnly
                && matches!(member.status, MemberStatus::Revoked | MemberStatus::Removed | MemberStatus::Guest)
        };
        let members = self.members().iter();
        members.filter(|(node, member)| is_out(member) && !without.contains(node)).map(|(node, _)| *node).collect()
    }

    /// What a head includes; nothing for a head that no set would take in.
    pub fn version_vector_of(head: &Signed<Head>) -> VersionVector {
        CommitView::of_head(head.value()).map(|commit| commit.extra.version_vector).unwrap_or_default()
    }

    /// Those who may be named in what a volume includes: as many as there is place for, handed down along invitations.
    pub fn writers(&self) -> Arc<BTreeSet<NodeId>> {
        self.derived().writers.clone()
    }

    /// Members with cards, as placement sees them: each with as much of its weight as is believed, and with its branch if it
    /// shares that with another server.
    pub fn servers(&self) -> Vec<MapServer> {
        let is_server = |node: &&NodeId| self.weights_of(**node).is_some_and(|(_, believed)| believed > 0);
        let count = |members: Vec<NodeId>| members.iter().filter(is_server).count();
        let shared: BTreeMap<BranchId, usize> =
            self.branches().into_iter().map(|(branch, members)| (branch, count(members))).collect();
        let mut servers = Vec::new();
        for (node, member) in self.members().iter().filter(|(_, member)| member.status == MemberStatus::Member) {
            let (Some(card), Some((offered, believed))) = (&member.card, self.weights_of(*node)) else { continue };
            // A full server keeps its weight: without it, all it holds would be wanted elsewhere at once.
            let disk = |disk: &CardDisk| {
                let weight = if believed == offered { disk.gib } else { part(disk.gib, believed, offered) };
                MapDisk { id: card.value().disk_id(disk), weight }
            };
            let mut disks: Vec<MapDisk> = card.value().disks.iter().map(disk).collect();
            disks.sort_by_key(|disk| disk.id);
            let branch = member.branch.filter(|branch| shared.get(branch).is_some_and(|count| *count > 1));
            let site = card.value().site.clone();
            servers.push(MapServer { id: *node, site, branch: branch.map(|branch| branch.0), disks });
        }
        servers
    }

    /// The weight that a member's card offers, and how much of it is believed: no more than its certificate and the pool's
    /// rules allow. None without a card.
    pub fn weights_of(&self, node: NodeId) -> Option<(u64, u64)> {
        let member = self.members().get(&node)?;
        let offered: u64 = member.card.as_ref()?.value().disks.iter().map(|disk| u64::from(disk.gib)).sum();
        let limits = [member.weight_gib_max, self.derived().rules.weight_gib_max];
        let believed = limits.into_iter().filter(|limit| *limit > 0).map(u64::from).fold(offered, u64::min);
        Some((offered, believed))
    }

    /// The chain that makes a node what it is, from the root key's certificate to its own.
    pub fn chain_of(&self, node: NodeId) -> Option<Vec<Signed<Cert>>> {
        self.derived().chain(&self.kept, node)
    }

    /// The admissions that a node's chain needs.
    pub fn admissions_of(&self, node: NodeId) -> Vec<Signed<Admission>> {
        let chain = self.chain_of(node).unwrap_or_default();
        chain.iter().filter_map(|cert| self.derived().winning(&self.kept, cert.id())).cloned().collect()
    }

    /// The admission that `witness` has to sign for a newcomer. Its stamp is later than the witness's own admission, even if
    /// the witness's clock is behind: an earlier one would not count.
    pub fn admission(&self, witness: NodeId, now: Hlc, redeem: TicketRedemption) -> Admission {
        let since = self.kept.known.members().get(&witness.into()).copied().unwrap_or_default();
        let after = Hlc { ms: since.ms, count: since.count.saturating_add(1) };
        Admission { version: 1, ticket: redeem.ticket, member: redeem.member, witness, hlc: now.max(after) }
    }

    /// All tickets ever made by members, in the order of their ids.
    pub fn tickets(&self) -> Vec<report::TicketReport> {
        let tickets = self.kept.known.links().filter(|link| link.is_ticket());
        tickets.map(|link| self.ticket(&link.cert)).collect()
    }

    /// Whether it was removed for good, or left.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.members().get(&node).is_some_and(|member| member.status == MemberStatus::Removed)
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

    fn ticket(&self, ticket: &Signed<Cert>) -> report::TicketReport {
        let view = self.derived();
        let cert = ticket.value();
        let void = view.chains.get(ticket.id()).is_none() || view.authority.ends_ticket(&self.kept.known, ticket);
        report::TicketReport {
            id: ticket.id(),
            subject: cert.subject,
            issuer: cert.issuer,
            redeem_by: cert.redeem_by,
            uses: cert.uses,
            used: u32::try_from(self.kept.known.users(ticket.id()).len()).unwrap_or(u32::MAX),
            revoked: void,
        }
    }
}

/// A disk's part of what its server is believed of more that it offers. Limits are u32, so the product fits.
fn part(gib: u32, believed: u64, offered: u64) -> u32 {
    let part = (u64::from(gib) * believed).checked_div(offered).unwrap_or(0);
    u32::try_from(part).unwrap_or(gib)
}
