//! Branches: who hangs on whose invitation. What a member can make others keep, count or believe is counted by branch.
//!
//! Anybody who may invite can come in any number of times, as somebody else each time. All of these hang on it, so they are
//! one branch with it. Nobody gets a branch of its own but by a key with a rank: the root key or an admin certified it,
//! invited it, named it an admin, or vouches for it.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{CertKind, Fact};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey};

use super::authority::RevocationAuthority;
use super::graph::{FactGraph, FactParents, SurplusUsers, redeems};

/// A branch, named by the member at its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub NodeId);

/// The branch of each member certificate that has a valid chain.
#[derive(Clone, Debug)]
pub(super) struct Branches(BTreeMap<FactId, BranchId>);

impl Branches {
    /// `parents`: chains that avoid `late` users of tickets, then those that do not. `facts` are the valid ones.
    pub fn new<'a>(
        valid: &FactGraph,
        parents: &[FactParents; 2],
        late: &SurplusUsers,
        authority: &RevocationAuthority,
        facts: impl Iterator<Item = &'a Fact>,
    ) -> Self {
        let heads = heads(valid, &parents[0], late, authority, facts);
        let mut branches = BTreeMap::new();
        // Who has a chain without surplus users goes by that one.
        for parents in parents {
            for cert in parents.keys() {
                walk(valid, parents, &heads, &mut branches, *cert);
            }
        }
        Self(branches)
    }

    /// Of a member certificate.
    pub fn of(&self, cert: FactId) -> Option<BranchId> {
        self.0.get(&cert).copied()
    }
}

/// Members that are the head of a branch, whoever else certified them.
fn heads<'a>(
    valid: &FactGraph,
    parents: &FactParents,
    late: &SurplusUsers,
    authority: &RevocationAuthority,
    facts: impl Iterator<Item = &'a Fact>,
) -> BTreeSet<PublicKey> {
    let ranked = |key: PublicKey| authority.rank(key).is_some();
    let vouched = facts.filter_map(|fact| match fact {
        Fact::Vouch(vouch) if ranked(vouch.signer()) => Some(vouch.value().node.into()),
        _ => None,
    });
    let members = parents.keys().filter_map(|id| valid.cert(*id)).filter(|cert| cert.value().kind == CertKind::Member);
    let invited = members.filter(|cert| {
        let (issuer, subject) = (cert.value().issuer, cert.value().subject);
        // A ticket's holder can certify its key again, with more uses: only uses of a ranked key's own certificate count.
        let mut tickets = valid.certs_of(issuer).filter(|ticket| ranked(ticket.value().issuer));
        ranked(issuer)
            || tickets.any(|ticket| {
                parents.contains_key(&ticket.id())
                    && redeems(ticket.value(), cert.value())
                    && valid.passes(ticket, cert)
                    && !late.contains(&(ticket.id(), subject))
            })
    });
    let invited = invited.map(|cert| cert.value().subject).collect::<BTreeSet<_>>();
    let named = valid.members().keys().copied().filter(|key| ranked(*key));
    vouched.chain(invited).chain(named).collect()
}

/// Up the chain to the first head; all member certificates on the way belong to its branch.
fn walk(
    valid: &FactGraph,
    parents: &FactParents,
    heads: &BTreeSet<PublicKey>,
    branches: &mut BTreeMap<FactId, BranchId>,
    from: FactId,
) {
    let mut way = Vec::new();
    let mut at = Some(from);
    let mut found = None;
    while let (None, Some(id)) = (found, at) {
        found = branches.get(&id).copied();
        let Some(cert) = valid.cert(id).filter(|_| found.is_none()) else { break };
        way.push(id);
        if cert.value().kind == CertKind::Member && heads.contains(&cert.value().subject) {
            found = Some(BranchId(cert.value().subject.into()));
        }
        at = parents.get(&id).copied().flatten();
    }
    // A ticket of the root key has no head above it; it belongs to no branch.
    if let Some(branch) = found {
        way.into_iter().for_each(|id| {
            branches.insert(id, branch);
        });
    }
}
