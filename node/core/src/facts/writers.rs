//! Who has a place among the writers of a volume (spec 05-volume §2).
//!
//! Everything that a volume includes names all who ever wrote to it, and there is place for some hundred. A member that invites
//! itself could take all of it. So places are handed down along invitations: the head of a branch has some, and each member that
//! it let in gets a part of what is left. Nobody can take a place from somebody who was let in by another.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{CertKind, Role};
use fsdfs_proto::ids::{NodeId, PublicKey};

use super::graph::{CertLink, FactGraph, Place, place};
use super::kept::KeptFacts;
use crate::limits::WRITERS_PER_BRANCH_MAX;

/// Full members whom each one let in, in the order in which they came in.
type LetIn = BTreeMap<PublicKey, BTreeSet<(Place, PublicKey)>>;

/// By what is kept, whether or not it is valid: what somebody wrote stays, whatever became of them.
pub(super) fn writers(kept: &KeptFacts) -> BTreeSet<NodeId> {
    let (mut heads, mut let_in) = (Vec::new(), LetIn::new());
    for key in kept.known.members().keys() {
        let Some(first) = first_full(&kept.known, *key) else { continue };
        match inviter(&kept.known, first).filter(|_| !kept.ledger().is_branch_head(first)) {
            Some(inviter) => drop(let_in.entry(inviter).or_default().insert((place(first), *key))),
            None => heads.push(*key),
        }
    }
    let mut writers = BTreeSet::new();
    heads.into_iter().for_each(|head| allot(&let_in, head, WRITERS_PER_BRANCH_MAX, &mut writers));
    writers
}

/// A place for a member, and for those below it as many as there are: a quarter of what is left for each, one at least.
fn allot(let_in: &LetIn, member: PublicKey, places: usize, writers: &mut BTreeSet<NodeId>) {
    writers.insert(member.into());
    let mut left = places.saturating_sub(1);
    for (_, below) in let_in.get(&member).into_iter().flatten() {
        if left == 0 {
            return;
        }
        let share = (left / 4).max(1);
        allot(let_in, *below, share, writers);
        left -= share;
    }
}

/// The certificate by which a member came to write.
fn first_full(known: &FactGraph, key: PublicKey) -> Option<&CertLink> {
    let full = known.member_certs(key).filter(|cert| cert.value().role == Role::Full);
    full.filter_map(|cert| known.link(cert.id())).min_by_key(|link| place(link))
}

/// The member on whose certificate this one hangs; none below the root key.
fn inviter(known: &FactGraph, link: &CertLink) -> Option<PublicKey> {
    let mut above = known.up(link.cert.id()).skip(1).map(|link| link.cert.value());
    above.find(|cert| cert.kind == CertKind::Member).map(|cert| cert.subject)
}
