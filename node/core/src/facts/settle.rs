//! What is kept where not all can be: everything is weighed anew, in the order of precedence.
//!
//! Whether a fact is kept depends on those before it alone. So of two nodes the one that lacks the first fact in which they
//! differ takes it in when it is told of it, and they end with the same. Needed when an account is full, and when a key with
//! a rank speaks, which comes before everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use fsdfs_proto::identity::{Cert, Fact};
use fsdfs_proto::ids::FactId;
use fsdfs_proto::signed::Signed;

use super::accounts::Ledger;
use super::authority::RankedLaw;
use super::classify::Verdict;
use super::graph::{FactGraph, Place, build};
use super::insert::users_max;
use super::kept::KeptFacts;
use super::set::FactSet;
use super::waiting::Awaited;

impl FactSet {
    /// Weighs all that is kept, and more, anew.
    pub(super) fn settle(&mut self, more: Vec<Fact>) {
        let pool = self.kept.pool;
        let old = std::mem::replace(&mut self.kept, KeptFacts::new(pool));
        self.derived = OnceLock::new();
        self.map = OnceLock::new();
        self.gossip = OnceLock::new();
        let known_before: BTreeSet<FactId> = old.facts.keys().copied().collect();
        let mut facts = old.facts;
        facts.extend(more.into_iter().map(|fact| (fact.id(), fact)));
        let news = self.news.len();
        self.keep_law(&facts);
        self.keep_certs(&facts);
        let structure = |fact: &&Fact| matches!(fact, Fact::Cert(_) | Fact::Admission(_));
        let mut rest: Vec<&Fact> = facts.values().filter(|fact| !structure(fact)).collect();
        // Heads are the last in any case: who pays for them is known when their epochs are.
        rest.sort_by_cached_key(|fact| {
            (matches!(fact, Fact::Head(_)), self.kept.charge(fact).map(|charge| charge.precedence))
        });
        for fact in rest {
            self.keep_if_room(fact.clone());
        }
        // What hangs on something that is kept no more waits for it, as if it came only now.
        let left: Vec<Fact> = facts.into_values().filter(|fact| !self.kept.contains(fact)).collect();
        for fact in left {
            if let Verdict::Wait(awaited) = self.classify(&fact) {
                self.waiting.push(fact, awaited);
            }
        }
        for beat in old.heartbeats.into_values() {
            self.keep_if_room(beat);
        }
        // What was here before is no news.
        let again = self.news.split_off(news);
        let new = |fact: &Fact| !known_before.contains(&fact.id()) && !matches!(fact, Fact::Heartbeat(_));
        self.news.extend(again.into_iter().filter(new));
        self.came.extend(self.kept.known.members().keys().copied().map(Awaited::Key));
        let epochs = self.kept.epochs.iter().flat_map(|(volume, epochs)| epochs.keys().map(|epoch| (*volume, *epoch)));
        self.came.extend(epochs.map(|(volume, epoch)| Awaited::Epoch(volume, epoch)));
    }

    /// What those with a rank say of each other and of others needs nothing else.
    fn keep_law(&mut self, facts: &BTreeMap<FactId, Fact>) {
        self.kept.law = RankedLaw::new(self.kept.pool, facts.values());
        for fact in facts.values() {
            let lawful = matches!(fact, Fact::AdminList(_) | Fact::Revocation(_) | Fact::Vouch(_));
            let (signer, law) = (fact.signer(), &self.kept.law);
            // Which root key counts is said at nobody's expense.
            let of_roots = match fact {
                Fact::Founding(founding) => law.roots.is_founding(founding),
                Fact::Succession(succession) => law.roots.is_last(succession),
                _ => false,
            };
            if of_roots {
                self.keep_bare(fact.clone());
                continue;
            }
            let charge = self.kept.charge(fact).filter(|charge| self.kept.accounts.fits(charge));
            if let (true, Some(charge)) = (lawful && law.rank(signer).is_some() && !law.ends(signer, fact.id()), charge)
            {
                self.kept.accounts.book(&charge);
                self.keep_bare(fact.clone());
                if let Fact::Vouch(vouch) = fact {
                    self.kept.vouched.insert(vouch.value().node.into());
                }
            }
        }
    }

    fn keep_certs(&mut self, facts: &BTreeMap<FactId, Fact>) {
        let KeptFacts { ref law, ref vouched, ref epochs, .. } = self.kept;
        let lawful = |cert: &Signed<Cert>| cert.value().parent.is_some() || law.roots.is_root(cert.signer());
        let lawful = |cert: &Signed<Cert>| lawful(cert) && !law.roots.drops(cert.signer(), cert.id());
        let certs = facts.values().filter_map(|fact| match fact {
            Fact::Cert(cert) => Some(cert.clone()).filter(lawful),
            _ => None,
        });
        let admissions = facts.values().filter_map(|fact| match fact {
            Fact::Admission(admission) => Some(admission.clone()),
            _ => None,
        });
        let mut accounts = self.kept.accounts.clone();
        let accept = |known: &FactGraph, cert: &Signed<Cert>, place: Place| {
            let ticket = cert.value().parent.and_then(|ticket| known.link(ticket)).filter(|link| link.is_ticket());
            let guests = ticket.is_some_and(|ticket| ticket.children.len() >= users_max(ticket.cert.value()));
            let charge = Ledger { law, vouched, known, epochs }.charge_cert(cert, place.0);
            let fits = !guests && accounts.fits(&charge);
            if fits {
                accounts.book(&charge);
            }
            fits
        };
        let known = build(certs, admissions, accept);
        for link in known.links() {
            self.keep_bare(link.cert.clone().into());
            link.admissions.iter().for_each(|admission| self.keep_bare(admission.clone().into()));
        }
        self.kept.known = known;
        self.kept.accounts = accounts;
    }

    /// With nothing that follows from it: law and forest are made already.
    fn keep_bare(&mut self, fact: Fact) {
        self.kept.by_signer.entry(fact.signer()).or_default().insert(fact.id());
        self.news.push(fact.clone());
        self.kept.facts.insert(fact.id(), fact);
    }
}
