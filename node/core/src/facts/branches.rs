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
        let in_time = in_time(known, authority);
        let heads = heads(known, authority, &in_time, valid);
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

/// All certificates with a valid chain, and whether no surplus user of a ticket is on it.
fn in_time(known: &FactGraph, authority: &RevocationAuthority) -> BTreeMap<FactId, bool> {
    let mut in_time = BTreeMap::new();
    // Of each ticket with more users than uses, those beyond.
    let mut late = BTreeMap::<FactId, BTreeSet<PublicKey>>::new();
    known.walk(&true, |link, above| {
        let (id, cert) = (link.cert.id(), link.cert.value());
        let admitted = link.admissions.is_empty() || link.admissions.iter().any(|it| counts(known, authority, it));
        if !admitted || authority.is_void_cert(known, &link.cert) {
            return None;
        }
        if cert.kind == CertKind::Ticket {
            let uses = usize::try_from(cert.uses).unwrap_or(usize::MAX);
            let users = known.users_by(id, |all| all.iter().find(|it| counts(known, authority, it)));
            if users.len() > uses {
                late.insert(id, users.into_iter().skip(uses).collect());
            }
        }
        let is_late = cert.parent.and_then(|ticket| late.get(&ticket)).is_some_and(|late| late.contains(&cert.subject));
        in_time.insert(id, *above && !is_late);
        Some(*above && !is_late)
    });
    in_time
}

/// Members that are the head of a branch, whoever else certified them.
fn heads<'a>(
    known: &FactGraph,
    authority: &RevocationAuthority,
    in_time: &BTreeMap<FactId, bool>,
    valid: impl Iterator<Item = &'a Fact>,
) -> BTreeSet<PublicKey> {
    let ranked = |key: PublicKey| authority.rank(key).is_some();
    let vouched = valid.filter_map(|fact| match fact {
        Fact::Vouch(vouch) if ranked(vouch.signer()) => Some(vouch.value().node.into()),
        _ => None,
    });
    // A ticket's certificate is named by those who came in by it: its holder cannot certify its key again, for more.
    let issuer = |link: &CertLink| {
        let parent = link.cert.value().parent.and_then(|parent| known.cert(parent)).map(Signed::value);
        let ticket = parent.filter(|parent| parent.kind == CertKind::Ticket);
        ticket.map_or(link.cert.value().issuer, |ticket| ticket.issuer)
    };
    let members = in_time.iter().filter(|(_, in_time)| **in_time).filter_map(|(id, _)| known.link(*id));
    let members = members.filter(|link| link.cert.value().kind == CertKind::Member);
    let invited = members.filter(|link| ranked(issuer(link))).map(|link| link.cert.value().subject);
    let named = known.members().keys().copied().filter(|key| ranked(*key));
    vouched.chain(invited).chain(named).collect()
}
