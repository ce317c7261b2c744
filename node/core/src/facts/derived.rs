//! What the facts mean: members and where they stand, rules, epochs. A pure function of the facts that are kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fsdfs_proto::identity::{
    Absence, Admission, Card, Cert, CertKind, Fact, Heartbeat, PoolRules, Role, VolEpoch, weight_limit,
};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;

use super::authority::{RevocationAuthority, chained};
use super::branches::{ValidChain, ValidChains, counts};
use super::electorate::Electorate;
use super::kept::KeptFacts;
use super::member::{MemberInfo, MemberStatus};
use super::writers::writers;
use crate::limits::{GARBAGE_GRACE_HOURS_MIN, GONE_DAYS_MIN, RETAIN_DAYS_MIN};

/// Feature level of a new pool.
const FEATURES_FIRST: u32 = 1;

/// Computed once per change of the set, by one visit of each fact.
#[derive(Clone, Debug)]
pub(super) struct DerivedState {
    pub authority: RevocationAuthority,
    /// What revocations leave of the certificates.
    pub chains: ValidChains,
    pub members: BTreeMap<NodeId, MemberInfo>,
    pub rules: PoolRules,
    pub features: u32,
    pub epochs: BTreeMap<VolumeId, BTreeMap<u32, Signed<VolEpoch>>>,
    /// Who has a place among the writers of a volume.
    pub writers: Arc<BTreeSet<NodeId>>,
    /// The greatest level that somebody who may stated.
    features_stated: u32,
}

impl DerivedState {
    pub fn new(kept: &KeptFacts) -> Self {
        let authority = RevocationAuthority::new(&kept.law, &kept.known, kept.facts.values());
        let is_structure = |fact: &Fact| {
            matches!(fact, Fact::Cert(_) | Fact::Admission(_) | Fact::Card(_) | Fact::Absence(_) | Fact::Head(_))
        };
        let statements = kept.facts.values().filter(|fact| !is_structure(fact));
        let valid: Vec<&Fact> = statements.filter(|fact| !authority.is_void_fact(&kept.known, fact)).collect();
        let facts = || valid.iter().copied();
        let mut derived = Self {
            chains: ValidChains::new(&kept.known, &authority, facts()),
            members: BTreeMap::new(),
            rules: rules(kept, &authority),
            features: 0,
            features_stated: 0,
            epochs: epochs(facts(), &authority),
            writers: Arc::new(writers(kept)),
            authority,
        };
        derived.members = kept.known.members().keys().map(|key| ((*key).into(), derived.member(kept, *key))).collect();
        derived.believe(facts());
        derived.remove(kept, facts());
        derived.declare_gone(kept, facts());
        derived.features_stated = derived.feature_level(facts());
        derived.features = derived.features_supported();
        derived
    }

    /// A newer heartbeat of a member of whom nobody said that it is gone.
    pub fn beat(&mut self, beat: &Signed<Heartbeat>) {
        if let Some(member) = self.members.get_mut(&beat.value().node) {
            member.heartbeat = Some(beat.clone());
        }
    }

    /// A newer card.
    pub fn show_card(&mut self, card: &Signed<Card>) {
        if let Some(member) = self.members.get_mut(&card.value().node) {
            member.card = Some(card.clone());
        }
        self.features = self.features_supported();
    }

    /// When a member is away. Nothing but the member's own entry says so.
    pub fn show_absence(&mut self, absence: &Signed<Absence>) {
        if let Some(member) = self.members.get_mut(&absence.value().node) {
            member.absence = Some(absence.clone());
        }
    }

    /// The chain by which a node is what it is, the root's certificate first.
    pub fn chain(&self, kept: &KeptFacts, node: NodeId) -> Option<Vec<Signed<Cert>>> {
        let (best, _) = self.best(kept, node.into())?;
        Some(kept.known.chain(best.id()))
    }

    /// The earliest valid admission by which a certificate came in.
    pub fn winning<'a>(&self, kept: &'a KeptFacts, member: FactId) -> Option<&'a Signed<Admission>> {
        let mut admissions = kept.known.link(member).into_iter().flat_map(|link| &link.admissions);
        admissions.find(|admission| counts(&kept.known, &self.authority, admission))
    }

    /// The widest of a member's certificates, of those without a surplus user above them if there are any.
    fn best<'a>(&self, kept: &'a KeptFacts, key: PublicKey) -> Option<(&'a Signed<Cert>, ValidChain)> {
        let valid = kept.known.member_certs(key).filter_map(|cert| Some((cert, self.chains.get(cert.id())?)));
        valid.min_by_key(|(cert, chain)| (!chain.in_time, width(cert)))
    }

    fn member(&self, kept: &KeptFacts, key: PublicKey) -> MemberInfo {
        let node = NodeId::from(key);
        let best = self.best(kept, key);
        let status = match best {
            _ if self.authority.is_revoked(key) => MemberStatus::Revoked,
            // Its certificate, or one above it, is void.
            None => MemberStatus::Revoked,
            Some((_, chain)) if !chain.in_time => MemberStatus::Guest,
            Some(_) => MemberStatus::Member,
        };
        let any = || kept.known.member_certs(key).min_by_key(|cert| width(cert));
        let cert = best.map(|(cert, _)| cert).or_else(any).expect("a member has a member certificate");
        MemberInfo {
            role: cert.value().role,
            may_invite: cert.value().may_invite,
            depth: cert.value().depth,
            weight_gib_max: if self.authority.rank(key).is_some() { 0 } else { cert.value().weight_gib_max },
            invited_by: inviter(kept, cert),
            branch: best.and_then(|(_, chain)| chain.branch),
            status,
            card: kept.cards.get(&node).cloned(),
            absence: kept.absences.get(&node).cloned(),
            heartbeat: kept.heartbeats.get(&node).and_then(|fact| match fact {
                Fact::Heartbeat(beat) => Some(beat.clone()),
                _ => None,
            }),
        }
    }

    /// Keys with a rank may believe a member more than its certificate says; the greatest such word counts.
    fn believe<'a>(&mut self, facts: impl Iterator<Item = &'a Fact>) {
        for fact in facts {
            let Fact::Vouch(vouch) = fact else { continue };
            let (node, most) = (vouch.value().node, vouch.value().weight_gib_max);
            // Without a limit there is nothing to lift, and a vouch without a number lifts none.
            if let Some(member) = self.members.get_mut(&node)
                && member.weight_gib_max > 0
                && self.authority.rank(vouch.signer()).is_some()
            {
                member.weight_gib_max = member.weight_gib_max.max(most);
            }
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

    /// A member is gone when more than half of the branches say so, two at least, and more than half of the sites, and it
    /// has not been heard of since. Heads do not count: who invites itself a dozen times has one voice. Sites alone would not
    /// do, as anybody may name a dozen of them; branches alone would not, as two halves of a cut pool may each have most.
    fn declare_gone<'a>(&mut self, kept: &KeptFacts, facts: impl Iterator<Item = &'a Fact>) {
        let mut said = BTreeMap::<NodeId, BTreeSet<NodeId>>::new();
        for fact in facts {
            let Fact::Departure(gone) = fact else { continue };
            let gone = gone.value();
            if kept.last_beat(gone.member).is_none_or(|last| last <= gone.last) {
                said.entry(gone.member).or_default().insert(gone.issuer);
            }
        }
        said.retain(|node, _| self.members.get(node).is_some_and(|member| member.status == MemberStatus::Member));
        if said.is_empty() {
            return;
        }
        let electorate = Electorate::of(&self.members);
        said.retain(|node, sayers| electorate.agrees(*node, sayers));
        for node in said.into_keys() {
            self.members.entry(node).and_modify(|member| member.status = MemberStatus::Departed);
        }
    }

    /// The greatest level that a full member or a key with a rank states. Only stated after all members support it.
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

    /// What was stated, as far as all full members in good standing support it by their cards: a level that no program has
    /// says nothing.
    fn features_supported(&self) -> u32 {
        let full =
            self.members.values().filter(|member| member.status == MemberStatus::Member && member.role == Role::Full);
        let least = full.filter_map(|member| Some(member.card.as_ref()?.value().features)).min();
        least.unwrap_or(FEATURES_FIRST).min(self.features_stated).max(FEATURES_FIRST)
    }
}

/// Sorts the certificate that gives most first.
fn width(cert: &Signed<Cert>) -> impl Ord + use<> {
    let cert_id = cert.id();
    let cert = cert.value();
    let until = if cert.grant_until == 0 { u64::MAX } else { cert.grant_until };
    (cert.role, Reverse((cert.may_invite, cert.depth, until, weight_limit(cert.weight_gib_max))), cert_id)
}

/// Who stands behind a certificate: its issuer, or the issuer of the ticket that signed it.
fn inviter(kept: &KeptFacts, cert: &Signed<Cert>) -> PublicKey {
    let parent = cert.value().parent.and_then(|parent| kept.known.cert(parent)).map(Signed::value);
    let ticket = parent.filter(|parent| parent.kind == CertKind::Ticket);
    ticket.map_or(cert.value().issuer, |ticket| ticket.issuer)
}

/// The last rules that lead back to number 1, with the compiled-in floors. A void link still links: rules that were made
/// on top of a revoked admin's must not fall with them.
fn rules(kept: &KeptFacts, authority: &RevocationAuthority) -> PoolRules {
    let all = kept.facts.values().filter_map(|fact| if let Fact::PoolRules(rules) = fact { Some(rules) } else { None });
    let chained = chained(all.map(|rules| (rules.value().number, rules.value().previous, rules)));
    let last = chained.into_iter().rfind(|rules| !authority.is_void(&kept.known, rules.signer(), rules.id(), |_| true));
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
        member_bytes_max: 0,
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
