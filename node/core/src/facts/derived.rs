//! What the facts mean: members and where they stand, rules, epochs. A pure function of the facts that are kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Cert, CertKind, Fact, Heartbeat, PoolRules, Role, VolEpoch, weight_limit};
use fsdfs_proto::ids::{NodeId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;

use super::authority::{RevocationAuthority, chained};
use super::branches::Branches;
use super::graph::{FactGraph, FactParents, redeems};
use super::kept::KeptFacts;
use super::member::{MemberInfo, MemberStatus};
use crate::limits::{GARBAGE_GRACE_HOURS_MIN, GONE_DAYS_MIN, RETAIN_DAYS_MIN};

/// Feature level of a new pool.
const FEATURES_FIRST: u32 = 1;

/// Computed once per change of the set.
#[derive(Clone, Debug)]
pub(super) struct DerivedState {
    pub authority: RevocationAuthority,
    /// Without what revocations void.
    pub valid: FactGraph,
    /// Chains of the valid graph that avoid surplus users of tickets, then those that do not.
    parents: [FactParents; 2],
    /// By certificate.
    branches: Branches,
    pub members: BTreeMap<NodeId, MemberInfo>,
    pub rules: PoolRules,
    pub features: u32,
    pub epochs: BTreeMap<VolumeId, BTreeMap<u32, Signed<VolEpoch>>>,
}

impl DerivedState {
    pub fn new(kept: &KeptFacts) -> Self {
        let authority = RevocationAuthority::new(kept.pool, &kept.known, kept.facts.values());
        let facts = || kept.facts.values().filter(|fact| !authority.is_void(fact.signer(), fact.id()));
        let mut valid = FactGraph::new(kept.pool);
        facts().for_each(|fact| valid.add(fact));
        let late = valid.surplus_users();
        let parents = [valid.parents(&late), valid.parents(&BTreeSet::new())];
        let branches = Branches::new(&valid, &parents, &late, &authority, facts());
        let mut derived = Self {
            members: BTreeMap::new(),
            rules: rules(kept, &authority),
            features: 0,
            epochs: epochs(facts(), &authority),
            authority: authority.clone(),
            valid,
            parents,
            branches,
        };
        derived.members = kept.known.members().keys().map(|key| ((*key).into(), derived.member(kept, *key))).collect();
        derived.remove(kept, facts());
        derived.declare_gone(kept, facts());
        derived.features = derived.feature_level(facts());
        derived
    }

    /// A newer heartbeat of a member of whom nobody said that it is gone.
    pub fn beat(&mut self, beat: &Signed<Heartbeat>) {
        if let Some(member) = self.members.get_mut(&beat.value().node) {
            member.heartbeat = Some(beat.clone());
        }
    }

    /// The chain by which a node is what it is, the root's certificate first.
    pub fn chain(&self, kept: &KeptFacts, node: NodeId) -> Option<Vec<Signed<Cert>>> {
        let (best, guest) = self.best(kept, node.into())?;
        let mut chain = vec![best.clone()];
        while let Some(Some(parent)) = chain.last().and_then(|cert| self.parents[usize::from(guest)].get(&cert.id())) {
            chain.push(self.valid.cert(*parent)?.clone());
        }
        chain.reverse();
        Some(chain)
    }

    /// The widest of a member's certificates, and whether it is a guest.
    fn best<'a>(&self, kept: &'a KeptFacts, key: PublicKey) -> Option<(&'a Signed<Cert>, bool)> {
        let among = |parents: &FactParents| {
            let certs = kept.known.certs_of(key);
            certs.filter(|cert| is_member(cert) && parents.contains_key(&cert.id())).min_by_key(|cert| width(cert))
        };
        among(&self.parents[0]).map(|cert| (cert, false)).or_else(|| among(&self.parents[1]).map(|cert| (cert, true)))
    }

    fn member(&self, kept: &KeptFacts, key: PublicKey) -> MemberInfo {
        let node = NodeId::from(key);
        let best = self.best(kept, key);
        let status = match best {
            _ if self.authority.is_revoked(key) => MemberStatus::Revoked,
            // Its certificate, or one above it, is void.
            None => MemberStatus::Revoked,
            Some((_, true)) => MemberStatus::Guest,
            Some((_, false)) => MemberStatus::Member,
        };
        let any = || kept.known.certs_of(key).filter(|cert| is_member(cert)).min_by_key(|cert| width(cert));
        let cert = best.map(|(cert, _)| cert).or_else(any).expect("a member has a member certificate");
        MemberInfo {
            role: cert.value().role,
            may_invite: cert.value().may_invite,
            depth: cert.value().depth,
            weight_gib_max: if self.authority.rank(key).is_some() { 0 } else { cert.value().weight_gib_max },
            invited_by: inviter(kept, cert),
            branch: best.and_then(|(cert, _)| self.branches.of(cert.id())),
            status,
            card: kept.cards.get(&node).cloned(),
            heartbeat: kept.heartbeats.get(&node).and_then(|fact| match fact {
                Fact::Heartbeat(beat) => Some(beat.clone()),
                _ => None,
            }),
        }
    }

    fn remove<'a>(&mut self, kept: &KeptFacts, facts: impl Iterator<Item = &'a Fact>) {
        for fact in facts {
            let Fact::Removal(remove) = fact else { continue };
            let (signer, node) = (remove.value().signer, remove.value().node);
            let may = signer == node.into() || self.authority.has_authority_over(&kept.known, signer, node.into());
            if let Some(member) = self.members.get_mut(&node)
                && may
                && member.status != MemberStatus::Revoked
            {
                member.status = MemberStatus::Removed;
            }
        }
    }

    /// A member is gone when most of the others say so and it has not been heard of since.
    fn declare_gone<'a>(&mut self, kept: &KeptFacts, facts: impl Iterator<Item = &'a Fact>) {
        let voters: BTreeSet<NodeId> = self.status(MemberStatus::Member).collect();
        let mut votes = BTreeMap::<NodeId, usize>::new();
        for fact in facts {
            let Fact::Departure(gone) = fact else { continue };
            let gone = gone.value();
            let silent = kept.last_beat(gone.member).is_none_or(|last| last <= gone.last);
            if silent && voters.contains(&gone.issuer) && voters.contains(&gone.member) {
                *votes.entry(gone.member).or_default() += 1;
            }
        }
        for (node, count) in votes {
            if let Some(member) = self.members.get_mut(&node)
                && 2 * count > voters.len() - 1
            {
                member.status = MemberStatus::Departed;
            }
        }
    }

    /// The greatest level that a full member states, at least the first. Only stated after all members support it, and never lowered.
    fn feature_level<'a>(&self, facts: impl Iterator<Item = &'a Fact>) -> u32 {
        let full = |key: PublicKey| {
            let member = self.members.get(&key.into());
            self.authority.rank(key).is_some()
                || member.is_some_and(|member| member.role == Role::Full && member.status != MemberStatus::Guest)
        };
        facts
            .filter_map(|fact| match fact {
                Fact::FeatureLevel(level) if full(level.signer()) => Some(level.value().level),
                _ => None,
            })
            .fold(FEATURES_FIRST, u32::max)
    }

    fn status(&self, status: MemberStatus) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(move |(_, member)| member.status == status).map(|(node, _)| *node)
    }
}

/// Sorts the certificate that gives most first.
fn width(cert: &Signed<Cert>) -> impl Ord + use<> {
    let cert_id = cert.id();
    let cert = cert.value();
    let until = if cert.grant_until == 0 { u64::MAX } else { cert.grant_until };
    (cert.role, Reverse((cert.may_invite, cert.depth, until, weight_limit(cert.weight_gib_max))), cert_id)
}

fn is_member(cert: &Signed<Cert>) -> bool {
    cert.value().kind == CertKind::Member
}

/// Who stands behind a certificate: its issuer, or the issuer of the ticket that signed it.
fn inviter(kept: &KeptFacts, cert: &Signed<Cert>) -> PublicKey {
    let issuer = cert.value().issuer;
    let tickets = kept.known.certs_of(issuer);
    let ticket = tickets.filter(|ticket| redeems(ticket.value(), cert.value())).min_by_key(|ticket| ticket.id());
    match ticket {
        // Anybody can make a ticket for a member's key: that does not make it the member's inviter.
        Some(ticket) if !kept.known.members().contains_key(&issuer) => ticket.value().issuer,
        _ => issuer,
    }
}

/// The last rules that lead back to number 1, with the compiled-in floors. A void link still links: rules that were made
/// on top of a revoked admin's must not fall with them.
fn rules(kept: &KeptFacts, authority: &RevocationAuthority) -> PoolRules {
    let all = kept.facts.values().filter_map(|fact| if let Fact::PoolRules(rules) = fact { Some(rules) } else { None });
    let chained = chained(all.map(|rules| (rules.value().number, rules.value().previous, rules)));
    let last = chained.into_iter().rfind(|rules| !authority.is_void(rules.signer(), rules.id()));
    let rules = last.map_or_else(|| default_rules(kept.pool.into()), |rules| rules.value().clone());
    PoolRules {
        gone_days: rules.gone_days.max(GONE_DAYS_MIN),
        garbage_grace_hours: rules.garbage_grace_hours.max(GARBAGE_GRACE_HOURS_MIN),
        retain_days: rules.retain_days.max(RETAIN_DAYS_MIN),
        ..rules
    }
}

/// What holds in a pool whose admins said nothing.
fn default_rules(root: PublicKey) -> PoolRules {
    PoolRules {
        version: 1,
        number: 0,
        previous: None,
        signer: root,
        copies: 3,
        away_grace_hours: 1,
        gone_days: 14,
        garbage_grace_hours: 72,
        retain_days: 7,
        weight_gib_max: 0,
    }
}

/// One statement an epoch: of several, the one of the highest rank, then of the larger id.
fn epochs<'a>(
    facts: impl Iterator<Item = &'a Fact>,
    authority: &RevocationAuthority,
) -> BTreeMap<VolumeId, BTreeMap<u32, Signed<VolEpoch>>> {
    let mut epochs = BTreeMap::<VolumeId, BTreeMap<u32, Signed<VolEpoch>>>::new();
    let weight = |epoch: &Signed<VolEpoch>| (Reverse(authority.rank(epoch.signer())), epoch.id());
    for fact in facts {
        let Fact::VolEpoch(epoch) = fact else { continue };
        let of = epochs.entry(epoch.value().volume).or_default();
        let stronger = of.get(&epoch.value().epoch).is_none_or(|old: &Signed<VolEpoch>| weight(old) < weight(epoch));
        if stronger {
            of.insert(epoch.value().epoch, epoch.clone());
        }
    }
    epochs
}
