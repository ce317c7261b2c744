//! Who may revoke whom, and which revocations hold.
//!
//! Authority is a strict partial order - root before admins by rank, admins before members, a member before those below it
//! - so "is this revocation itself revoked?" is always answered further up, and ends.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{AdminList, Cert, Fact, Revocation};
use fsdfs_proto::ids::{FactId, PoolId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::graph::FactGraph;
use super::roots::RootLine;

/// Ranks, and the effective revocations of keys with a rank. Nothing else that is kept has a say in it, so what they void
/// need not be kept.
#[derive(Clone, Debug)]
pub(super) struct RankedLaw {
    /// Which root key counts.
    pub roots: RootLine,
    /// Root keys have rank 0: what a former one signed and what stays valid keeps its weight. Those of admins are distinct and
    /// without gaps.
    ranks: BTreeMap<PublicKey, usize>,
    /// By subject. No list is empty.
    revocations: BTreeMap<PublicKey, Vec<Signed<Revocation>>>,
}

impl RankedLaw {
    /// `facts`: what is said of root keys, all lists of admins, and all revocations by keys with a rank, whatever else.
    pub fn new<'a>(pool: PoolId, facts: impl Iterator<Item = &'a Fact> + Clone) -> Self {
        let lists = facts.clone().filter_map(|fact| if let Fact::AdminList(list) = fact { Some(list) } else { None });
        let roots = RootLine::new(pool, facts.clone());
        let mut law = Self { ranks: ranks(&roots, lists), revocations: BTreeMap::new(), roots };
        let mut authorized = BTreeMap::<PublicKey, Vec<&Signed<Revocation>>>::new();
        for fact in facts {
            let Fact::Revocation(revoke) = fact else { continue };
            let counts = !law.roots.voids(revoke.signer(), revoke.id());
            if counts && law.is_above(revoke.signer(), revoke.value().subject) {
                authorized.entry(revoke.value().subject).or_default().push(revoke);
            }
        }
        law.revocations = effective(&authorized);
        law
    }

    /// A root key is 0, the admins of the last list follow, then those that only earlier lists name: what they signed as admins
    /// must not fall because the list went on. A revocation takes their power away.
    pub fn rank(&self, key: PublicKey) -> Option<usize> {
        if self.roots.is_root(key) { Some(0) } else { self.ranks.get(&key).copied() }
    }

    /// Whether a key has authority by its rank.
    pub fn is_above(&self, signer: PublicKey, subject: PublicKey) -> bool {
        match (self.rank(signer), self.rank(subject)) {
            (Some(signer), Some(subject)) => signer < subject,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Whether a key with a rank revoked the signer of this and does not retain it, or it is an earlier root key's.
    pub fn voids(&self, signer: PublicKey, statement: FactId) -> bool {
        self.roots.voids(signer, statement) || self.revokes(signer, statement)
    }

    /// The same, if it need not even be kept.
    pub fn ends(&self, signer: PublicKey, statement: FactId) -> bool {
        self.roots.drops(signer, statement) || self.revokes(signer, statement)
    }

    fn revokes(&self, signer: PublicKey, statement: FactId) -> bool {
        self.revocations.get(&signer).into_iter().flatten().any(|revoke| !retains(revoke, statement))
    }
}

/// The law, and the revocations by members of those below them.
#[derive(Clone, Debug)]
pub(super) struct RevocationAuthority {
    law: RankedLaw,
    /// The effective ones by subject. No list is empty.
    revocations: BTreeMap<PublicKey, Vec<Signed<Revocation>>>,
}

impl RevocationAuthority {
    /// `known` must not have any revocation applied but the law: authority may not depend on what it decides about.
    pub fn new<'a>(law: &RankedLaw, known: &FactGraph, facts: impl Iterator<Item = &'a Fact>) -> Self {
        let mut authorized = BTreeMap::<PublicKey, Vec<&Signed<Revocation>>>::new();
        for fact in facts {
            let Fact::Revocation(revoke) = fact else { continue };
            let Revocation { signer, subject, .. } = revoke.value();
            if law.rank(*signer).is_none() && law.rank(*subject).is_none() && is_below(known, *signer, *subject) {
                authorized.entry(*subject).or_default().push(revoke);
            }
        }
        Self { law: law.clone(), revocations: effective(&authorized) }
    }

    /// See [`RankedLaw::rank`].
    pub fn rank(&self, key: PublicKey) -> Option<usize> {
        self.law.rank(key)
    }

    /// Whether `signer` has authority over `subject`: by rank, or because every chain of the subject leads through it.
    pub fn has_authority_over(&self, known: &FactGraph, signer: PublicKey, subject: PublicKey) -> bool {
        match (self.rank(signer), self.rank(subject)) {
            (None, None) => is_below(known, signer, subject),
            _ => self.law.is_above(signer, subject),
        }
    }

    /// Whether an effective revocation names this key.
    pub fn is_revoked(&self, key: PublicKey) -> bool {
        self.law.revocations.contains_key(&key) || self.revocations.contains_key(&key)
    }

    /// Whether nobody comes in by a ticket any more. One by somebody who only certified its key once more changes nothing.
    pub fn ends_ticket(&self, known: &FactGraph, ticket: &Signed<Cert>) -> bool {
        let subject = ticket.value().subject;
        let mut by_members = self.revocations.get(&subject).into_iter().flatten();
        self.law.revocations.contains_key(&subject)
            || by_members.any(|revoke| known.hangs_on(ticket.id(), revoke.value().signer))
    }

    /// Whether an effective revocation of its signer does not retain this statement. `above` says whether a key is a subject
    /// on the chain above it, which matters to what a ticket's key signed: anybody may certify that key once more, and must
    /// not get a hold of those who came in by another's certificate of it.
    pub fn is_void(
        &self,
        known: &FactGraph,
        signer: PublicKey,
        statement: FactId,
        above: impl Fn(PublicKey) -> bool,
    ) -> bool {
        let by_members = || self.revocations.get(&signer).into_iter().flatten();
        let reaches =
            |revoke: &&Signed<Revocation>| known.member_certs(signer).next().is_some() || above(revoke.value().signer);
        self.law.voids(signer, statement) || by_members().filter(reaches).any(|revoke| !retains(revoke, statement))
    }

    /// The same for a certificate that is known.
    pub fn is_void_cert(&self, known: &FactGraph, cert: &Signed<Cert>) -> bool {
        self.is_void(known, cert.signer(), cert.id(), |key| known.hangs_on(cert.id(), key))
    }

    /// The same for anything else.
    pub fn is_void_fact(&self, known: &FactGraph, fact: &Fact) -> bool {
        self.is_void(known, fact.signer(), fact.id(), |_| true)
    }
}

/// Whether a member stands above a key: every chain of the subject leads through it. One chain is not enough, as a member may
/// have been invited twice. Of a ticket's key some chain is: its certificates are not its own.
pub(super) fn is_below(known: &FactGraph, signer: PublicKey, subject: PublicKey) -> bool {
    if signer == subject || !known.members().contains_key(&signer) {
        return false;
    }
    let mut own = known.member_certs(subject).peekable();
    match own.peek() {
        Some(_) => own.all(|cert| known.hangs_on(cert.id(), signer)),
        None => known.certs_of(subject).any(|cert| known.hangs_on(cert.id(), signer)),
    }
}

/// Of authorized revocations those that are not void themselves.
fn effective(
    authorized: &BTreeMap<PublicKey, Vec<&Signed<Revocation>>>,
) -> BTreeMap<PublicKey, Vec<Signed<Revocation>>> {
    let mut verdicts = BTreeMap::new();
    let mut revocations = BTreeMap::<PublicKey, Vec<Signed<Revocation>>>::new();
    for revoke in authorized.values().flatten() {
        if is_valid(revoke, authorized, &mut verdicts) {
            revocations.entry(revoke.value().subject).or_default().push((*revoke).clone());
        }
    }
    revocations
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
fn ranks<'a>(roots: &RootLine, lists: impl Iterator<Item = &'a Signed<AdminList>>) -> BTreeMap<PublicKey, usize> {
    let chained = chained(lists.map(|list| (list.value().number, list.value().previous, list)));
    let counts = |list: &&&Signed<AdminList>| !roots.voids(list.signer(), list.id());
    let mut ranks = BTreeMap::new();
    for admin in chained.iter().rev().filter(counts).flat_map(|list| &list.value().admins) {
        let next = ranks.len() + 1;
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
