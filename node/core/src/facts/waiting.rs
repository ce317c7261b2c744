//! Facts whose signer is not known yet, or whose certificate, admission or epoch has not come.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Cert, Fact};
use fsdfs_proto::ids::{FactId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;

use super::accounts::cost;
use crate::limits::{FACTS_WAITING_BYTES_MAX, FACTS_WAITING_MAX};

/// What has to come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    /// A certificate.
    Cert(FactId),
    /// An admission of this certificate.
    Admission(FactId),
    /// That this key is a member, is one since an earlier time, has a certificate, or a rank.
    Key(PublicKey),
    /// An epoch of a volume.
    Epoch(VolumeId, u32),
}

/// First in, first out: what falls out comes again with the next exchange of facts.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingFacts {
    facts: BTreeMap<FactId, WaitingFact>,
    /// By arrival.
    queue: BTreeMap<u64, FactId>,
    by_awaited: BTreeMap<Awaited, BTreeSet<FactId>>,
    arrivals: u64,
    bytes: u64,
    /// How many had arrived at the last two calls of [`WaitingFacts::age`].
    marks: [u64; 2],
}

#[derive(Clone, Debug)]
struct WaitingFact {
    fact: Fact,
    awaited: Awaited,
    arrival: u64,
}

impl WaitingFacts {
    /// Keeps a fact aside.
    pub fn push(&mut self, fact: Fact, awaited: Awaited) {
        let id = fact.id();
        if self.facts.contains_key(&id) {
            return;
        }
        self.bytes += cost(&fact);
        self.arrivals += 1;
        self.queue.insert(self.arrivals, id);
        self.by_awaited.entry(awaited).or_default().insert(id);
        self.facts.insert(id, WaitingFact { fact, awaited, arrival: self.arrivals });
        while self.facts.len() > FACTS_WAITING_MAX || self.bytes > FACTS_WAITING_BYTES_MAX {
            let Some((_, oldest)) = self.queue.first_key_value() else { break };
            let oldest = *oldest;
            self.remove(oldest);
        }
        debug_assert_eq!(self.facts.len(), self.queue.len(), "what waits waits in the queue");
    }

    /// All that waits for this; it waits no longer.
    pub fn take(&mut self, awaited: Awaited) -> Vec<Fact> {
        let ids = self.by_awaited.remove(&awaited).unwrap_or_default();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// What this key signed will never count, and waits no longer.
    pub fn forget(&mut self, signer: PublicKey) {
        let signed = self.facts.iter().filter(|(_, waiting)| waiting.fact.signer() == signer);
        let ids: Vec<FactId> = signed.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// Forgets what arrived before the last call but one. Whether anything did.
    pub fn age(&mut self) -> bool {
        let [before_last, last] = self.marks;
        self.marks = [last, self.arrivals];
        let old: Vec<FactId> = self.queue.range(..=before_last).map(|(_, id)| *id).collect();
        let any = !old.is_empty();
        old.into_iter().for_each(|id| drop(self.remove(id)));
        any
    }

    /// All of them; none is left.
    pub fn take_all(&mut self) -> Vec<Fact> {
        let ids: Vec<FactId> = self.queue.values().copied().collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// A certificate that lacks nothing but an admission.
    pub fn unadmitted(&self, id: FactId) -> Option<&Signed<Cert>> {
        let waiting = self.facts.get(&id).filter(|waiting| waiting.awaited == Awaited::Admission(id))?;
        if let Fact::Cert(cert) = &waiting.fact { Some(cert) } else { None }
    }

    fn remove(&mut self, id: FactId) -> Option<Fact> {
        let waiting = self.facts.remove(&id)?;
        self.queue.remove(&waiting.arrival);
        self.bytes -= cost(&waiting.fact);
        if let Some(ids) = self.by_awaited.get_mut(&waiting.awaited) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_awaited.remove(&waiting.awaited);
            }
        }
        Some(waiting.fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::pool::{beat, node};

    #[test]
    fn what_nobody_explains_for_two_rounds_is_forgotten_and_nothing_younger() {
        let mut waiting = WaitingFacts::default();
        let push = |waiting: &mut WaitingFacts, number| {
            waiting.push(beat(number, 1, 1).into(), Awaited::Key(node(number).into()));
        };
        push(&mut waiting, 1);
        assert!(!waiting.age());
        push(&mut waiting, 2);
        assert!(!waiting.age());
        assert!(waiting.age(), "the first one had two rounds");
        assert!(waiting.take(Awaited::Key(node(1).into())).is_empty());
        assert_eq!(waiting.facts.len(), 1);
        assert!(waiting.age() && !waiting.age());
        assert!(waiting.facts.is_empty() && waiting.by_awaited.is_empty() && waiting.bytes == 0);
    }

    #[test]
    fn what_a_revoked_key_signed_waits_no_longer() {
        let mut waiting = WaitingFacts::default();
        for number in [1, 2] {
            waiting.push(beat(number, 1, 1).into(), Awaited::Key(node(number).into()));
        }
        waiting.forget(node(1).into());
        assert!(waiting.take(Awaited::Key(node(1).into())).is_empty());
        assert_eq!(waiting.take(Awaited::Key(node(2).into())).len(), 1);
        assert_eq!(waiting.bytes, 0);
    }
}
