//! Branches: who hangs on whose invitation. What a member can make others keep, count or believe is counted by branch.
//!
//! Anybody who may invite can come in any number of times, as somebody else each time. All of these hang on it, so they are
//! one branch with it. Nobody gets a branch of its own but by a key with a rank: the root key or an admin certified it,
//! invited it, named it an admin, or vouches for it.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{CertKind, Fact};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::authority::RevocationAuthority;
use super::graph::{CertLink, FactGraph};

/// A branch, named by the member at its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub NodeId);

/// The certificates that hang on the root key by valid statements alone.
#[derive(Clone, Debug)]
pub(super) struct ValidChains(BTreeMap<FactId, ValidChain>);

/// What a valid chain gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValidChain {
    /// No surplus user of a ticket is on it.
    pub in_time: bool,
    /// None for a ticket of the root key's.
    pub branch: Option<BranchId>,
}

impl ValidChains {
    /// Visits every certificate twice.
    pub fn new<'a>(known: &FactGraph, authority: &RevocationAuthority, valid: impl Iterator<Item = &'a Fact>) -> Self {
        let TimelyChains { in_time, invited } = TimelyChains::new(known, authority);
        let ranked = |key: &PublicKey| authority.rank(*key).is_some();
        let vouched = valid.filter_map(|fact| match fact {
            Fact::Vouch(vouch) if ranked(&vouch.signer()) => Some(vouch.value().node.into()),
            _ => None,
        });
        let named = known.members().keys().copied().filter(ranked);
        // Members that are the head of a branch, whoever else certified them.
        let heads: BTreeSet<PublicKey> = vouched.chain(invited).chain(named).collect();
        let mut chains = BTreeMap::new();
        known.walk(&None, |link, above: &Option<BranchId>| {
            let (id, subject) = (link.cert.id(), link.cert.value().subject);
            let in_time = *in_time.get(&id)?;
            let is_head = link.cert.value().kind == CertKind::Member && heads.contains(&subject);
            let branch = if is_head { Some(BranchId(subject.into())) } else { *above };
            chains.insert(id, ValidChain { in_time, branch });
            Some(branch)
        });
        Self(chains)
    }

    /// Of a certificate; none if it, or one above it, is void.
    pub fn get(&self, cert: FactId) -> Option<ValidChain> {
        self.0.get(&cert).copied()
    }
}

/// Whether an admission counts.
pub(super) fn counts(
    known: &FactGraph,
    authority: &RevocationAuthority,
    admission: &Signed<fsdfs_proto::identity::Admission>,
) -> bool {
    !authority.is_void(known, admission.signer(), admission.id(), |_| true)
}

/// What one pass over the forest finds.
struct TimelyChains {
    /// All certificates with a valid chain, and whether no surplus user of a ticket is on it.
    in_time: BTreeMap<FactId, bool>,
    /// Whom a key with a rank certified, or invited.
    invited: BTreeSet<PublicKey>,
}

impl TimelyChains {
    fn new(known: &FactGraph, authority: &RevocationAuthority) -> Self {
        let (mut in_time, mut invited) = (BTreeMap::new(), BTreeSet::new());
        // Of each ticket with more users than uses, those beyond.
        let mut late = BTreeMap::<FactId, BTreeSet<PublicKey>>::new();
        // Handed down: whether the chain is in time, and who issued the ticket right above.
        known.walk(&(true, None), |link, (above, ticket_by): &(bool, Option<PublicKey>)| {
            let (id, cert) = (link.cert.id(), link.cert.value());
            let admitted = link.admissions.is_empty() || link.admissions.iter().any(|it| counts(known, authority, it));
            if !admitted || authority.is_void_cert(known, &link.cert) {
                return None;
            }
            let is_late =
                cert.parent.and_then(|ticket| late.get(&ticket)).is_some_and(|late| late.contains(&cert.subject));
            let timely = *above && !is_late;
            in_time.insert(id, timely);
            if cert.kind == CertKind::Ticket {
                late.extend(late_users(known, authority, link).map(|users| (id, users)));
                return Some((timely, Some(cert.issuer)));
            }
            // A ticket's certificate is named by those who came in by it: its holder cannot certify its key again, for more.
            if timely && authority.rank(ticket_by.unwrap_or(cert.issuer)).is_some() {
                invited.insert(cert.subject);
            }
            Some((timely, None))
        });
        Self { in_time, invited }
    }
}

/// Users of a ticket beyond its uses, if there are any.
fn late_users(known: &FactGraph, authority: &RevocationAuthority, ticket: &CertLink) -> Option<BTreeSet<PublicKey>> {
    let uses = usize::try_from(ticket.cert.value().uses).unwrap_or(usize::MAX);
    if ticket.children.len() <= uses {
        return None;
    }
    let users = known.users_by(ticket.cert.id(), |all| all.iter().find(|it| counts(known, authority, it)));
    Some(users.into_iter().skip(uses).collect())
}
