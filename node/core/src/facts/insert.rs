//! Taking facts in.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fsdfs_proto::identity::{Admission, Card, Cert, CertKind, Departure, Fact, Head, Heartbeat, VolEpoch, may_issue};
use fsdfs_proto::ids::{FactId, NodeId, PublicKey};
use fsdfs_proto::signed::{Signed, is_strong};
use fsdfs_proto::volume::CommitView;

use super::authority::chained;
use super::graph::redeems;
use super::set::FactSet;
use crate::limits::{HEADS_PER_VOLUME_MAX, MEMBERS_MAX, STATEMENTS_PER_SIGNER_MAX, VOLUMES_MAX};

/// What became of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// Was not here.
    New,
    /// Was here.
    Known,
    /// Superseded by what is here.
    Stale,
    /// Kept aside until what it hangs on is known.
    Waiting,
    /// No honest node makes or passes on such a fact.
    Invalid(&'static str),
}

impl FactSet {
    /// Takes a fact in. It may be what others waited for: those become known too.
    pub fn insert(&mut self, fact: Fact) -> InsertOutcome {
        let judged = self.classify(&fact);
        match judged {
            InsertOutcome::New => {
                let parent = is_parent(&fact);
                self.keep(fact);
                if parent {
                    self.promote();
                }
            }
            InsertOutcome::Waiting => self.waiting.push(fact),
            _ => {}
        }
        judged
    }

    /// Tries what waits, again and again until nothing more becomes known.
    fn promote(&mut self) {
        let mut progress = true;
        while progress && !self.waiting.is_empty() {
            progress = false;
            for fact in self.waiting.take() {
                match self.classify(&fact) {
                    InsertOutcome::New => {
                        progress |= is_parent(&fact);
                        self.keep(fact);
                    }
                    InsertOutcome::Waiting => self.waiting.push(fact),
                    _ => {}
                }
            }
        }
    }

    /// What [`FactSet::insert`] would answer. May only depend on things that stay true: see the head of this module.
    fn classify(&self, fact: &Fact) -> InsertOutcome {
        if self.kept.contains(fact) {
            return InsertOutcome::Known;
        }
        if self.signer_is_at_limit(fact) {
            return InsertOutcome::Invalid("its signer has signed too many statements");
        }
        match fact {
            Fact::Cert(cert) => self.check_cert(cert.value()),
            Fact::Admission(admission) => self.check_admission(admission.value()),
            Fact::Card(card) => self.check_card(card),
            Fact::Heartbeat(beat) => self.check_heartbeat(beat.value()),
            Fact::Departure(gone) => self.check_gone(gone),
            Fact::AdminList(_) if fact.signer() != self.kept.pool.into() => {
                InsertOutcome::Invalid("only the root key names admins")
            }
            Fact::AdminList(_) => InsertOutcome::New,
            Fact::PoolRules(_) | Fact::Vouch(_) => self.check_ranked(fact.signer()),
            Fact::VolEpoch(epoch) => self.check_epoch(epoch.value()),
            Fact::Head(head) => self.check_head(head),
            Fact::Revocation(_) | Fact::Removal(_) | Fact::FeatureLevel(_) => self.check_signer(fact.signer()),
        }
    }

    fn check_cert(&self, cert: &Cert) -> InsertOutcome {
        if cert.subject == self.kept.pool.into() || cert.subject == cert.issuer || !is_strong(cert.subject) {
            return InsertOutcome::Invalid("a certificate for the root key, for its own issuer, or for a weak key");
        }
        let newcomer = cert.kind == CertKind::Member && self.kept.known.certs_of(cert.subject).next().is_none();
        if newcomer && self.kept.known.member_count() >= MEMBERS_MAX {
            return InsertOutcome::Invalid("the pool has as many members as it can");
        }
        let may = |parent: &Signed<Cert>| may_issue(parent.value(), cert).is_ok();
        let backed = cert.issuer == self.kept.pool.into() || self.kept.known.certs_of(cert.issuer).any(may);
        if backed { InsertOutcome::New } else { InsertOutcome::Waiting }
    }

    fn check_admission(&self, admission: &Admission) -> InsertOutcome {
        let cert = |id: &FactId| match self.kept.facts.get(id) {
            Some(Fact::Cert(cert)) => Some(cert),
            _ => None,
        };
        let (Some(ticket), Some(member)) = (cert(&admission.ticket), cert(&admission.member)) else {
            return InsertOutcome::Waiting;
        };
        if !redeems(ticket.value(), member.value()) {
            return InsertOutcome::Invalid("an admission whose newcomer does not come from its ticket");
        }
        if self.kept.known.is_effective(admission) {
            InsertOutcome::New
        } else {
            self.wait_for(admission.witness.into())
        }
    }

    fn check_card(&self, card: &Signed<Card>) -> InsertOutcome {
        let stale = |old: &Signed<Card>| (old.value().seq, old.id()) > (card.value().seq, card.id());
        if self.kept.cards.get(&card.value().node).is_some_and(stale) {
            return InsertOutcome::Stale;
        }
        self.check_member(card.value().node)
    }

    fn check_heartbeat(&self, beat: &Heartbeat) -> InsertOutcome {
        if self.kept.last_beat(beat.node).is_some_and(|last| last >= (beat.boot, beat.counter)) {
            return InsertOutcome::Stale;
        }
        self.check_member(beat.node)
    }

    fn check_gone(&self, gone: &Signed<Departure>) -> InsertOutcome {
        let Departure { member, issuer, last, .. } = gone.value();
        if member == issuer {
            return InsertOutcome::Invalid("a member that calls itself gone");
        }
        let stale = |old: &Signed<Departure>| (old.value().last, old.id()) > (*last, gone.id());
        if self.kept.departures.get(&(*member, *issuer)).is_some_and(stale) {
            return InsertOutcome::Stale;
        }
        match self.check_member(*member) {
            InsertOutcome::New => self.check_member(*issuer),
            other => other,
        }
    }

    fn check_epoch(&self, epoch: &VolEpoch) -> InsertOutcome {
        // The shared volume has its place, whoever fills the others.
        if epoch.volume == self.kept.pool.volume() {
            return self.check_ranked(epoch.signer);
        }
        if !self.kept.epochs.contains_key(&epoch.volume) && self.kept.epochs.len() >= VOLUMES_MAX {
            return InsertOutcome::Invalid("the pool has as many volumes as it can");
        }
        if epoch.signer.0 == epoch.volume.0 {
            InsertOutcome::New
        } else {
            InsertOutcome::Invalid("a volume's epoch that its owner did not sign")
        }
    }

    fn check_head(&self, head: &Signed<Head>) -> InsertOutcome {
        let Head { volume, epoch, author, .. } = head.value();
        let Some(epochs) = self.kept.epochs.get(volume).and_then(|epochs| epochs.get(epoch)) else {
            return InsertOutcome::Waiting;
        };
        if !epochs.iter().any(|epoch| epoch.value().write_pk == head.signer()) {
            return InsertOutcome::Invalid("a head that its epoch's write key did not sign");
        }
        let Ok(commit) = CommitView::of_head(head.value()) else {
            return InsertOutcome::Invalid("a head whose commit is malformed");
        };
        match self.check_member(*author) {
            InsertOutcome::New => {}
            other => return other,
        }
        match self.kept.heads.get(volume) {
            Some(heads) if heads.supersede(head.value(), &commit) => InsertOutcome::Stale,
            // Who merges some of them is let in, or they would stay too many.
            Some(heads) if heads.len() >= HEADS_PER_VOLUME_MAX && !heads.are_superseded_by(head.value(), &commit) => {
                InsertOutcome::Invalid("too many unmerged heads")
            }
            _ => InsertOutcome::New,
        }
    }

    /// The root key, an admin of any list, or a member.
    fn check_signer(&self, signer: PublicKey) -> InsertOutcome {
        match self.check_ranked(signer) {
            InsertOutcome::New => InsertOutcome::New,
            _ => self.check_member(signer.into()),
        }
    }

    fn check_ranked(&self, signer: PublicKey) -> InsertOutcome {
        let admin = NodeId::from(signer);
        let lists = self
            .kept
            .facts
            .values()
            .filter_map(|fact| if let Fact::AdminList(list) = fact { Some(list) } else { None });
        let lists = chained(lists.map(|list| (list.value().number, list.value().previous, list)));
        let ranked = signer == self.kept.pool.into() || lists.iter().any(|list| list.value().admins.contains(&admin));
        if ranked { InsertOutcome::New } else { self.wait_for(signer) }
    }

    fn check_member(&self, node: NodeId) -> InsertOutcome {
        let key = PublicKey::from(node);
        if self.kept.known.members().contains_key(&key) { InsertOutcome::New } else { self.wait_for(key) }
    }

    /// Not known as a member yet - unless all that is known of this key is that it is a ticket's.
    fn wait_for(&self, key: PublicKey) -> InsertOutcome {
        let mut certs = self.kept.known.certs_of(key).peekable();
        let ticket = certs.peek().is_some() && certs.all(|cert| cert.value().kind == CertKind::Ticket);
        if ticket {
            InsertOutcome::Invalid("a ticket's key signs nothing but a member certificate")
        } else {
            InsertOutcome::Waiting
        }
    }

    fn signer_is_at_limit(&self, fact: &Fact) -> bool {
        let signed = self.kept.by_signer.get(&fact.signer()).map_or(0, std::collections::BTreeSet::len);
        signed >= STATEMENTS_PER_SIGNER_MAX && is_statement(fact)
    }

    /// Takes in what [`FactSet::classify`] found to be new.
    fn keep(&mut self, fact: Fact) {
        let superseded = match &fact {
            Fact::Heartbeat(beat) => {
                self.take_heartbeat(beat, &fact);
                self.news.push(fact);
                return;
            }
            Fact::Card(card) => {
                self.kept.cards.insert(card.value().node, card.clone()).map(|old| old.id()).into_iter().collect()
            }
            Fact::Departure(gone) => {
                let key = (gone.value().member, gone.value().issuer);
                self.kept.departures.insert(key, gone.clone()).map(|old| old.id()).into_iter().collect()
            }
            Fact::Head(head) => self.take_head(head),
            Fact::VolEpoch(epoch) => {
                let epochs: &mut BTreeMap<_, Vec<_>> = self.kept.epochs.entry(epoch.value().volume).or_default();
                epochs.entry(epoch.value().epoch).or_default().push(epoch.clone());
                Vec::new()
            }
            _ => Vec::new(),
        };
        for id in superseded {
            self.drop_superseded(id);
        }
        if is_statement(&fact) {
            self.kept.by_signer.entry(fact.signer()).or_default().insert(fact.id());
        }
        self.kept.known.add(&fact);
        self.invalidate_derived(&fact);
        self.news.push(fact.clone());
        self.kept.facts.insert(fact.id(), fact);
    }

    fn take_head(&mut self, head: &Signed<Head>) -> Vec<FactId> {
        let commit = CommitView::of_head(head.value()).expect("classified before");
        self.kept.heads.entry(head.value().volume).or_default().insert(head, commit)
    }

    fn take_heartbeat(&mut self, beat: &Signed<Heartbeat>, fact: &Fact) {
        let node = beat.value().node;
        self.kept.heartbeats.insert(node, fact.clone());
        // A beat changes who is gone only where somebody said so; otherwise the view is brought up to date in place,
        // as beats are by far the most frequent fact.
        if self.kept.departures.keys().any(|(member, _)| *member == node) {
            self.derived = OnceLock::new();
            self.map = OnceLock::new();
        } else if let Some(view) = self.derived.get_mut() {
            view.beat(beat);
        }
    }

    fn drop_superseded(&mut self, id: FactId) {
        if let Some(old) = self.kept.facts.remove(&id)
            && let Some(signed) = self.kept.by_signer.get_mut(&old.signer())
        {
            signed.remove(&id);
        }
    }

    /// Drops what was computed from the set without this fact.
    fn invalidate_derived(&mut self, fact: &Fact) {
        self.gossip = OnceLock::new();
        if !matches!(fact, Fact::Head(_)) {
            self.derived = OnceLock::new();
            self.map = OnceLock::new();
        }
    }
}

/// Whether other facts may wait for this one.
fn is_parent(fact: &Fact) -> bool {
    matches!(fact, Fact::Cert(_) | Fact::Admission(_) | Fact::AdminList(_) | Fact::VolEpoch(_))
}

/// What counts against its signer's bound, and what a revocation may keep.
fn is_statement(fact: &Fact) -> bool {
    !matches!(fact, Fact::Card(_) | Fact::Heartbeat(_) | Fact::Head(_))
}
