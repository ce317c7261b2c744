//! Who may revoke whom, and which revocations hold.
//!
//! Authority is a strict partial order - root before admins by rank, admins before members, a member before those below it
//! - so "is this revocation itself revoked?" is always answered further up, and ends.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{AdminList, Fact, Revocation};
use fsdfs_proto::ids::{FactId, PoolId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::graph::FactGraph;

/// Ranks, and the revocations that hold.
#[derive(Clone, Debug)]
pub(super) struct RevocationAuthority {
    /// The root key has rank 0. Ranks are distinct and without gaps.
    ranks: BTreeMap<PublicKey, usize>,
    /// The effective revocations by subject. No list is empty.
    revocations: BTreeMap<PublicKey, Vec<Signed<Revocation>>>,
}

impl RevocationAuthority {
    /// `known` must not have any revocation applied: authority may not depend on what it decides about.
    pub fn new<'a>(pool: PoolId, known: &FactGraph, facts: impl Iterator<Item = &'a Fact> + Clone) -> Self {
        let lists = facts.clone().filter_map(|fact| if let Fact::AdminList(list) = fact { Some(list) } else { None });
        let revokes = facts.filter_map(|fact| if let Fact::Revocation(revoke) = fact { Some(revoke) } else { None });
        let mut authority = Self { ranks: ranks(pool, lists), revocations: BTreeMap::new() };
        authority.apply_revocations(known, revokes);
        authority
    }

    /// Root is 0, the admins of the last list follow, then those that only earlier lists name: what they signed as admins
    /// must not fall because the list went on. A revocation takes their power away.
    pub fn rank(&self, key: PublicKey) -> Option<usize> {
        self.ranks.get(&key).copied()
    }

    /// Whether `signer` has authority over `subject`: by rank, or because every chain of the subject leads through it.
    pub fn has_authority_over(&self, known: &FactGraph, signer: PublicKey, subject: PublicKey) -> bool {
        match (self.rank(signer), self.rank(subject)) {
            (Some(signer), Some(subject)) => signer < subject,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            // One chain through the signer is not enough: any member can certify a foreign key and would have authority over it.
            (None, None) => {
                signer != subject && known.members().contains_key(&signer) && !known.without(signer).contains(&subject)
            }
        }
    }

    /// Whether an effective revocation names this key.
    pub fn is_revoked(&self, key: PublicKey) -> bool {
        self.revocations.contains_key(&key)
    }

    /// Whether an effective revocation of its signer does not retain this statement.
    pub fn is_void(&self, signer: PublicKey, statement: FactId) -> bool {
        let effective = self.revocations.get(&signer).into_iter().flatten();
        effective.into_iter().any(|revoke| !retains(revoke, statement))
    }

    /// Finds the effective revocations: authorized, and not themselves void.
    fn apply_revocations<'a>(&mut self, known: &FactGraph, revokes: impl Iterator<Item = &'a Signed<Revocation>>) {
        let mut authorized = BTreeMap::<PublicKey, Vec<&Signed<Revocation>>>::new();
        let mut below = BTreeMap::<PublicKey, BTreeSet<PublicKey>>::new();
        for revoke in revokes {
            let Revocation { signer, subject, .. } = revoke.value();
            let ranked = self.rank(*signer).is_some() || self.rank(*subject).is_some();
            let is_authorized = if ranked {
                self.has_authority_over(known, *signer, *subject)
            } else {
                let others = below.entry(*signer).or_insert_with(|| known.without(*signer));
                signer != subject && known.members().contains_key(signer) && !others.contains(subject)
            };
            if is_authorized {
                authorized.entry(*subject).or_default().push(revoke);
            }
        }
        let mut verdicts = BTreeMap::new();
        for revoke in authorized.values().flatten() {
            if is_valid(revoke, &authorized, &mut verdicts) {
                self.revocations.entry(revoke.value().subject).or_default().push((*revoke).clone());
            }
        }
    }
}

/// Whether no effective revocation of its signer voids this one. Ends because each signer has authority over its subject.
fn is_valid(
    revoke: &Signed<Revocation>,
    authorized: &BTreeMap<PublicKey, Vec<&Signed<Revocation>>>,
    verdicts: &mut BTreeMap<FactId, bool>,
) -> bool {
    if let Some(answer) = verdicts.get(&revoke.id()) {
        return *answer;
    }
    let of_signer = authorized.get(&revoke.value().signer).into_iter().flatten();
    let answer =
        !of_signer.into_iter().any(|other| !retains(other, revoke.id()) && is_valid(other, authorized, verdicts));
    verdicts.insert(revoke.id(), answer);
    answer
}

fn retains(revoke: &Signed<Revocation>, statement: FactId) -> bool {
    revoke.value().keep.binary_search(&statement).is_ok()
}

/// Ranks of everybody whom a list names that is chained to list 1.
fn ranks<'a>(pool: PoolId, lists: impl Iterator<Item = &'a Signed<AdminList>>) -> BTreeMap<PublicKey, usize> {
    let chained = chained(lists.map(|list| (list.value().number, list.value().previous, list)));
    let mut ranks = BTreeMap::from([(PublicKey::from(pool), 0)]);
    for admin in chained.iter().rev().flat_map(|list| &list.value().admins) {
        let next = ranks.len();
        ranks.entry((*admin).into()).or_insert(next);
    }
    ranks
}

/// Those that lead back to number 1 by the ids of their predecessors, ascending by number, then id.
pub(super) fn chained<'a, T: fsdfs_proto::signed::Signable>(
    all: impl Iterator<Item = (u64, Option<FactId>, &'a Signed<T>)>,
) -> Vec<&'a Signed<T>> {
    let mut sorted: Vec<_> = all.collect();
    sorted.sort_by_key(|(number, _, signed)| (*number, signed.id()));
    let mut chained = BTreeMap::<FactId, u64>::new();
    sorted.retain(|(number, previous, signed)| {
        let fits = match previous {
            None => *number == 1,
            Some(previous) => chained.get(previous).is_some_and(|before| before + 1 == *number),
        };
        if fits {
            chained.insert(signed.id(), *number);
        }
        fits
    });
    sorted.into_iter().map(|(_, _, signed)| signed).collect()
}
