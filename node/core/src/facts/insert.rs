//! Taking facts in.

use std::sync::OnceLock;

use fsdfs_proto::identity::{Admission, Cert, CertKind, Fact, Head, Heartbeat};
use fsdfs_proto::ids::FactId;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

use super::accounts::Charge;
use super::authority::RankedLaw;
use super::classify::Verdict;
use super::graph::{Place, place};
use super::heads::Epochs;
use super::set::FactSet;
use super::waiting::Awaited;
use crate::limits::TICKET_GUESTS_MAX;

/// Times that what a log kept is gone through: each after the first is for revokers that were revoked.
const RESTORE_PASSES_MAX: usize = 4;

/// What became of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// Was not here.
    New,
    /// Was here.
    Known,
    /// Superseded by what is here, or void by the word of a key with a rank.
    Stale,
    /// Kept aside until what it hangs on is known.
    Waiting,
    /// There is no room for it: those who have to answer for it made the others keep as much as they may. Whoever signed it
    /// must know that it is of no effect.
    Crowded,
    /// No honest node makes or passes on such a fact.
    Invalid(&'static str),
}

impl InsertOutcome {
    /// Whether the fact is part of the set now.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::New | Self::Known)
    }
}

impl FactSet {
    /// Takes a fact in. It may be what others waited for: those become known too.
    ///
    /// Whoever makes a statement of its own has to look at the answer: anything but [`InsertOutcome::New`] and
    /// [`InsertOutcome::Known`] means that it has no effect here, nor will it anywhere else.
    #[expect(clippy::needless_pass_by_value, reason = "callers have no use for what they made for the set")]
    pub fn insert(&mut self, fact: Fact) -> InsertOutcome {
        let outcome = self.insert_one(fact.clone());
        let came = match (&outcome, &fact) {
            (InsertOutcome::New, _) => self.comes_with(&fact),
            // An admission may have waited for it.
            (InsertOutcome::Waiting, Fact::Cert(cert)) => vec![Awaited::Cert(cert.id())],
            _ => std::mem::take(&mut self.came),
        };
        self.promote(came);
        let came_in = outcome == InsertOutcome::Waiting && self.kept.contains(&fact);
        if came_in { InsertOutcome::New } else { outcome }
    }

    /// Takes in what a log kept. The order makes no difference to what comes of it, but to what it costs: a fact that gives way to
    /// a later one has everything weighed anew, and a start would take minutes. So they come in about the order of precedence.
    pub fn restore(&mut self, mut facts: Vec<Fact>) {
        facts.sort_by_cached_key(|fact| {
            let class = match fact {
                // What is said of root keys: the rest hangs on it.
                Fact::Founding(_) | Fact::Succession(_) => 0,
                Fact::AdminList(_) => 1,
                Fact::Revocation(_) => 2,
                Fact::Vouch(_) => 3,
                Fact::Cert(_) => 4,
                Fact::Admission(_) => 5,
                Fact::Head(_) => 7,
                _ => 6,
            };
            (class, fact.id())
        });
        // What was dropped on the word of somebody who was revoked in turn comes in with the next pass; who is known costs little.
        for _ in 0..RESTORE_PASSES_MAX {
            let outcomes: Vec<InsertOutcome> = facts.iter().map(|fact| self.insert(fact.clone())).collect();
            if !outcomes.contains(&InsertOutcome::New) {
                break;
            }
        }
    }

    /// Forgets what has waited since before the last call but one; it comes again with a comparison if somebody keeps it. Else who
    /// says what hangs on nothing would fill this memory for ever, under keys that nobody can revoke. Whether anything was
    /// forgotten. To be called now and then.
    pub fn age_waiting(&mut self) -> bool {
        self.waiting.age()
    }

    /// Tries what waited for something that came, and what waited for that.
    fn promote(&mut self, mut came: Vec<Awaited>) {
        while let Some(awaited) = came.pop() {
            let mut waited = self.waiting.take(awaited);
            // An admission is tried with the certificate that lacks it, not the certificate alone.
            waited.sort_by_key(Fact::kind);
            for fact in waited {
                match self.insert_one(fact.clone()) {
                    InsertOutcome::New => came.extend(self.comes_with(&fact)),
                    InsertOutcome::Waiting if matches!(fact, Fact::Cert(_)) => came.push(Awaited::Cert(fact.id())),
                    _ => {}
                }
            }
        }
    }

    /// What is known with this fact. After a list of admins, or another root key, anything may be.
    fn comes_with(&mut self, fact: &Fact) -> Vec<Awaited> {
        let mut came = std::mem::take(&mut self.came);
        match fact {
            Fact::Cert(cert) => came.extend([Awaited::Cert(cert.id()), Awaited::Key(cert.value().subject)]),
            Fact::Admission(admission) => came.push(Awaited::Cert(admission.value().member)),
            Fact::VolEpoch(epoch) => came.push(Awaited::Epoch(epoch.value().volume, epoch.value().epoch)),
            Fact::Revocation(revoke) => came.push(Awaited::Key(revoke.value().subject)),
            Fact::AdminList(_) | Fact::Founding(_) | Fact::Succession(_) => {
                for fact in self.waiting.take_all() {
                    match self.insert_one(fact.clone()) {
                        InsertOutcome::New => came.extend(self.comes_with(&fact)),
                        InsertOutcome::Waiting if matches!(fact, Fact::Cert(_)) => came.push(Awaited::Cert(fact.id())),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        came
    }

    fn insert_one(&mut self, fact: Fact) -> InsertOutcome {
        match self.classify(&fact) {
            Verdict::Keep => self.take_in(&fact),
            Verdict::Wait(awaited) => {
                self.waiting.push(fact, awaited);
                InsertOutcome::Waiting
            }
            Verdict::Known => InsertOutcome::Known,
            Verdict::Stale => InsertOutcome::Stale,
            Verdict::Invalid(why) => InsertOutcome::Invalid(why),
        }
    }

    /// Keeps what may be kept, if there is room; what comes later in the order of precedence gives way.
    fn take_in(&mut self, fact: &Fact) -> InsertOutcome {
        // A newcomer's certificate and its first admission are one.
        let unadmitted = match fact {
            Fact::Admission(admission) => self.waiting.unadmitted(admission.value().member),
            _ => None,
        };
        let unadmitted = unadmitted.filter(|cert| self.kept.known.cert(cert.id()).is_none()).cloned();
        let charge = match (&unadmitted, fact) {
            (Some(cert), Fact::Admission(admission)) => {
                let entry = self.kept.known.entry_by(cert.value(), Some(admission.value())).unwrap_or_default();
                Some(self.kept.ledger().charge_cert(cert, entry))
            }
            _ => self.kept.charge(fact),
        };
        let guests = unadmitted.as_ref().and_then(|cert| self.last_guest(cert.value()));
        if guests.is_none() && charge.as_ref().is_none_or(|charge| self.kept.accounts.fits(charge)) {
            let mut settle = false;
            if let Some(cert) = unadmitted {
                self.waiting.take(Awaited::Admission(cert.id()));
                settle |= self.keep(cert.into(), charge);
                settle |= self.keep(fact.clone(), None);
            } else {
                settle |= self.keep(fact.clone(), charge);
            }
            if settle {
                self.settle(Vec::new());
            }
            return if self.kept.contains(fact) { InsertOutcome::New } else { InsertOutcome::Stale };
        }
        let is_last = charge.is_some_and(|charge| {
            let (_, entry, above, _, id) = charge.precedence;
            self.kept.accounts.is_last(&charge) || guests.is_some_and(|last| last < (entry, above, id))
        });
        if is_last {
            return InsertOutcome::Crowded;
        }
        self.settle(unadmitted.map(Fact::from).into_iter().chain([fact.clone()]).collect());
        if self.kept.contains(fact) { InsertOutcome::New } else { InsertOutcome::Crowded }
    }

    /// If a ticket has as many users as are kept of one, guests included: the place of the last.
    fn last_guest(&self, cert: &Cert) -> Option<Place> {
        let ticket = cert.parent.and_then(|ticket| self.kept.known.link(ticket))?;
        if ticket.children.len() < users_max(ticket.cert.value()) {
            return None;
        }
        ticket.children.iter().filter_map(|id| self.kept.known.link(*id)).map(place).max()
    }

    /// Takes in what comes behind all that is kept, and for which there is room.
    pub(super) fn keep_if_room(&mut self, fact: Fact) {
        let charge = self.kept.charge(&fact);
        let fits = charge.as_ref().is_none_or(|charge| self.kept.accounts.fits(charge));
        if fits && self.classify(&fact) == Verdict::Keep {
            self.keep(fact, charge);
        }
    }

    /// Takes in what there is room for, and books it. Whether all has to be weighed anew.
    fn keep(&mut self, fact: Fact, charge: Option<Charge>) -> bool {
        if let Fact::Heartbeat(beat) = &fact {
            self.take_heartbeat(beat, &fact);
            self.news.push(fact);
            return false;
        }
        let superseded = match &fact {
            Fact::Card(card) => {
                self.kept.cards.insert(card.value().node, card.clone()).map(|old| old.id()).into_iter().collect()
            }
            Fact::Absence(absence) => {
                let old = self.kept.absences.insert(absence.value().node, absence.clone());
                old.map(|old| old.id()).into_iter().collect()
            }
            Fact::Departure(gone) => {
                let key = (gone.value().member, gone.value().issuer);
                self.kept.departures.insert(key, gone.clone()).map(|old| old.id()).into_iter().collect()
            }
            Fact::Head(head) => self.take_head(head),
            Fact::VolEpoch(epoch) => {
                let epochs = self.kept.epochs.entry(epoch.value().volume).or_default();
                epochs.entry(epoch.value().epoch).or_default().push(epoch.clone());
                Vec::new()
            }
            Fact::Admission(admission) => self.take_admission(admission),
            _ => Vec::new(),
        };
        for id in superseded {
            self.drop_superseded(id);
        }
        if let Some(charge) = charge {
            self.kept.accounts.book(&charge);
        }
        if is_statement(&fact) {
            self.kept.by_signer.entry(fact.signer()).or_default().insert(fact.id());
        }
        self.kept.facts.insert(fact.id(), fact.clone());
        let settle = self.note_kept(&fact);
        self.invalidate_derived(&fact);
        self.news.push(fact);
        settle
    }

    /// Brings up to date what follows from a fact that is kept. Whether all has to be weighed anew.
    fn note_kept(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::Cert(cert) => {
                // Its key may hang on others from now on, too: whoever stood above it may stand above it no more.
                let others = self.kept.known.certs_of(cert.value().subject).next().is_some();
                self.add_cert(cert);
                others && (self.kept.accounts.are_tight() || self.revocations_lapsed(cert.value()))
            }
            Fact::Vouch(vouch) => {
                self.kept.vouched.insert(vouch.value().node.into());
                self.kept.accounts.are_tight()
            }
            // Whoever came in earlier than was known goes before others, and may make guests of them.
            Fact::Admission(admission) => {
                let (known, member) = (&self.kept.known, admission.value().member);
                let again = known
                    .link(member)
                    .is_some_and(|link| link.admissions.len() > 1 && link.admissions[0].id() == admission.id());
                let users = known.link(admission.value().ticket).into_iter().flat_map(|ticket| &ticket.children);
                let mut guests = users.filter_map(|id| known.link(*id)).filter(|link| known.is_surplus(link));
                again && self.kept.accounts.are_tight()
                    || guests.any(|link| self.kept.accounts.is_above_guests(link.cert.value().subject))
            }
            // Who has a rank pays otherwise, and may revoke others.
            Fact::AdminList(_) | Fact::Founding(_) | Fact::Succession(_) => true,
            Fact::Revocation(revoke) if self.kept.law.rank(revoke.signer()).is_some() => {
                let subject = revoke.value().subject;
                // What it said that nobody could place may be as much as all waiting facts together.
                self.waiting.forget(subject);
                self.kept.law = RankedLaw::new(self.kept.pool, self.kept.facts.values());
                let mut signed = self.kept.by_signer.get(&subject).into_iter().flatten();
                signed.any(|id| self.kept.law.voids(subject, *id))
            }
            _ => false,
        }
    }

    fn add_cert(&mut self, cert: &Signed<Cert>) {
        // Below a ticket its admission follows at once, and makes it earlier.
        let known = &mut self.kept.known;
        let latest = fsdfs_proto::time::Hlc { ms: u64::MAX, count: u32::MAX };
        let entry = known.entry_by(cert.value(), None).unwrap_or(latest);
        let _ = known.add_cert(cert.clone(), entry);
    }

    fn take_admission(&mut self, admission: &Signed<Admission>) -> Vec<FactId> {
        let (earlier, out) = self.kept.known.add_admission(admission.clone());
        self.came.extend(earlier.into_iter().map(Awaited::Key));
        out.map(|out| out.id()).into_iter().collect()
    }

    fn take_head(&mut self, head: &Signed<Head>) -> Vec<FactId> {
        let commit = CommitView::of_head(head.value()).expect("classified before");
        let (volume, none) = (head.value().volume, Epochs::new());
        let epochs = self.kept.epochs.get(&volume).unwrap_or(&none);
        self.kept.heads.entry(volume).or_default().insert(head, commit, epochs)
    }

    fn take_heartbeat(&mut self, beat: &Signed<Heartbeat>, fact: &Fact) {
        let node = beat.value().node;
        // A beat changes who is gone only where a departure stood until now; otherwise the view is brought up to date in
        // place, as beats are by far the most frequent fact.
        let stood = self.kept.has_standing_departure(node);
        self.kept.heartbeats.insert(node, fact.clone());
        if stood {
            self.derived = OnceLock::new();
            self.map = OnceLock::new();
        } else if let Some(view) = self.derived.get_mut() {
            view.beat(beat);
        }
    }

    fn drop_superseded(&mut self, id: FactId) {
        let Some(old) = self.kept.facts.remove(&id) else { return };
        if let Some(charge) = self.kept.charge(&old) {
            self.kept.accounts.refund(&charge);
        }
        if let Some(signed) = self.kept.by_signer.get_mut(&old.signer()) {
            signed.remove(&id);
        }
    }

    /// Drops what was computed from the set without this fact.
    fn invalidate_derived(&mut self, fact: &Fact) {
        self.gossip = OnceLock::new();
        match fact {
            Fact::Head(_) => {}
            Fact::Absence(absence) => {
                if let Some(view) = self.derived.get_mut() {
                    view.show_absence(absence);
                }
            }
            Fact::Card(card) => {
                self.map = OnceLock::new();
                if !self.kept.departures.is_empty() {
                    // Who is gone is for the sites to say, and these stand on cards.
                    self.derived = OnceLock::new();
                } else if let Some(view) = self.derived.get_mut() {
                    view.show_card(card);
                }
            }
            _ => {
                self.derived = OnceLock::new();
                self.map = OnceLock::new();
            }
        }
    }
}

/// Certificates below a ticket that are kept: those of its uses, and some guests that came in while nobody knew better.
pub(super) fn users_max(ticket: &Cert) -> usize {
    debug_assert_eq!(ticket.kind, CertKind::Ticket, "only tickets have users");
    usize::try_from(ticket.uses).unwrap_or(usize::MAX).saturating_add(TICKET_GUESTS_MAX)
}

/// What a revocation may keep.
fn is_statement(fact: &Fact) -> bool {
    !matches!(fact, Fact::Card(_) | Fact::Absence(_) | Fact::Heartbeat(_) | Fact::Head(_))
}
