//! Certificates and admissions as a forest: who is certified, since when, by which chain, and who came too late.
//!
//! Every certificate names its parent, so it has one chain, and everything here costs one visit a certificate.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use fsdfs_proto::identity::{Admission, Cert, CertKind, may_issue};
use fsdfs_proto::ids::{FactId, PublicKey};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use crate::limits::ADMISSIONS_IN_RESERVE_MAX;

/// Connected certificates with their admissions.
#[derive(Clone, Debug, Default)]
pub(super) struct FactGraph {
    /// Each hangs on one that is here, or on a root key.
    links: BTreeMap<FactId, CertLink>,
    by_subject: BTreeMap<PublicKey, BTreeSet<FactId>>,
    /// The earliest entry of each member's certificates.
    member_since: BTreeMap<PublicKey, Hlc>,
}

/// A certificate where it hangs.
#[derive(Clone, Debug)]
pub(super) struct CertLink {
    pub cert: Signed<Cert>,
    /// The latest of the winning admissions on its chain.
    pub entry: Hlc,
    /// Certificates above it.
    pub above: u16,
    pub children: BTreeSet<FactId>,
    /// Those that made it a member's; the winning one first, then the reserve. None but below a ticket.
    pub admissions: Vec<Signed<Admission>>,
}

impl CertLink {
    /// Whether newcomers come in by it.
    pub fn is_ticket(&self) -> bool {
        self.cert.value().kind == CertKind::Ticket
    }
}

/// Sorts parents before what hangs on them, witnesses before those whom they admitted, and early before late.
pub(super) type Place = (Hlc, u16, FactId);

impl FactGraph {
    /// Without any certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a certificate and its admissions hang.
    pub fn link(&self, id: FactId) -> Option<&CertLink> {
        self.links.get(&id)
    }

    /// A certificate that is here.
    pub fn cert(&self, id: FactId) -> Option<&Signed<Cert>> {
        self.links.get(&id).map(|link| &link.cert)
    }

    /// All of them, in the order of their ids.
    pub fn links(&self) -> impl Iterator<Item = &CertLink> {
        self.links.values()
    }

    /// All certificates of a subject.
    pub fn certs_of(&self, subject: PublicKey) -> impl Iterator<Item = &Signed<Cert>> {
        self.by_subject.get(&subject).into_iter().flatten().map(|id| &self.links[id].cert)
    }

    /// A member's certificates.
    pub fn member_certs(&self, subject: PublicKey) -> impl Iterator<Item = &Signed<Cert>> {
        self.certs_of(subject).filter(|cert| cert.value().kind == CertKind::Member)
    }

    /// Every member's key, and since when: an admission that it witnesses must be later, so that nobody who came late can
    /// date somebody else before those who came earlier.
    pub fn members(&self) -> &BTreeMap<PublicKey, Hlc> {
        &self.member_since
    }

    /// Where a member certificate that came in first stands: what a member's bounds are counted by.
    pub fn first_cert(&self, subject: PublicKey) -> Option<&CertLink> {
        let links = self.by_subject.get(&subject).into_iter().flatten().map(|id| &self.links[id]);
        links.filter(|link| link.cert.value().kind == CertKind::Member).min_by_key(|link| place(link))
    }

    /// From the root key's certificate to this one; empty if it is not here.
    pub fn chain(&self, id: FactId) -> Vec<Signed<Cert>> {
        let mut chain: Vec<_> = self.up(id).map(|link| link.cert.clone()).collect();
        chain.reverse();
        chain
    }

    /// A certificate and all above it.
    pub fn up(&self, id: FactId) -> impl Iterator<Item = &CertLink> {
        let parent = move |link: &&CertLink| self.links.get(&link.cert.value().parent?);
        std::iter::successors(self.links.get(&id), parent)
    }

    /// Whether a certificate hangs on one of this key's.
    pub fn hangs_on(&self, id: FactId, key: PublicKey) -> bool {
        self.up(id).skip(1).any(|link| link.cert.value().subject == key)
    }

    /// Where this certificate would enter by its parent and, below a ticket, by this admission.
    pub fn entry_by(&self, cert: &Cert, admission: Option<&Admission>) -> Option<Hlc> {
        let Some(parent) = cert.parent else { return Some(Hlc::default()) };
        let parent = self.links.get(&parent)?;
        match (parent.cert.value().kind, admission) {
            (CertKind::Member, _) => Some(parent.entry),
            (CertKind::Ticket, Some(admission)) => Some(parent.entry.max(admission.hlc)),
            (CertKind::Ticket, None) => None,
        }
    }

    /// Whether the witness of an admission was a member before.
    pub fn has_witness(&self, admission: &Admission) -> bool {
        self.member_since.get(&admission.witness.into()).is_some_and(|since| *since < admission.hlc)
    }

    /// Takes in a certificate at its entry; its parent must be here. Returns the key that is a member since then, or earlier
    /// than before.
    pub fn add_cert(&mut self, cert: Signed<Cert>, entry: Hlc) -> Option<PublicKey> {
        let parent = cert.value().parent.and_then(|parent| self.links.get_mut(&parent));
        let above = parent.map_or(0, |parent| {
            parent.children.insert(cert.id());
            parent.above.saturating_add(1)
        });
        let (id, subject, kind) = (cert.id(), cert.value().subject, cert.value().kind);
        self.by_subject.entry(subject).or_default().insert(id);
        let link = CertLink { cert, entry, above, children: BTreeSet::new(), admissions: Vec::new() };
        self.links.insert(id, link);
        (kind == CertKind::Member && self.enter(subject, entry)).then_some(subject)
    }

    /// Takes in an effective admission of a certificate that is here. Returns keys that are members earlier than before, and
    /// the admission that it pushed out, if any: perhaps itself.
    pub fn add_admission(&mut self, admission: Signed<Admission>) -> (Vec<PublicKey>, Option<Signed<Admission>>) {
        let member = admission.value().member;
        let Some(link) = self.links.get(&member) else { return (Vec::new(), Some(admission)) };
        let mut admissions = link.admissions.clone();
        admissions.push(admission);
        let heights = self.heights(&admissions);
        let out = trim(&mut admissions, &heights);
        self.links.entry(member).and_modify(|link| link.admissions = admissions);
        (self.pull_forward(member), out)
    }

    /// Whether this effective admission would stay beside those that are here.
    pub fn wants(&self, admission: &Signed<Admission>) -> bool {
        let Some(link) = self.links.get(&admission.value().member) else { return true };
        let mut admissions = link.admissions.clone();
        admissions.push(admission.clone());
        let heights = self.heights(&admissions);
        trim(&mut admissions, &heights).is_none_or(|out| out.id() != admission.id())
    }

    /// Whether so many came in by the ticket of this certificate before it as the ticket has uses.
    pub fn is_surplus(&self, link: &CertLink) -> bool {
        let ticket =
            link.cert.value().parent.and_then(|ticket| self.links.get(&ticket)).filter(|link| link.is_ticket());
        let Some(ticket) = ticket else { return false };
        let uses = usize::try_from(ticket.cert.value().uses).unwrap_or(usize::MAX);
        if ticket.children.len() <= uses {
            return false;
        }
        let others = ticket.children.iter().map(|child| &self.links[child]);
        let earlier = others.filter(|other| place(other) < place(link)).map(|other| other.cert.value().subject);
        let earlier: BTreeSet<PublicKey> = earlier.filter(|subject| *subject != link.cert.value().subject).collect();
        earlier.len() >= uses
    }

    /// Who came in with a ticket, in the order of their admissions. Those beyond its uses are guests.
    pub fn users(&self, ticket: FactId) -> Vec<PublicKey> {
        self.users_by(ticket, <[_]>::first)
    }

    /// The same, where not all admissions count.
    pub fn users_by(
        &self,
        ticket: FactId,
        winning: impl Fn(&[Signed<Admission>]) -> Option<&Signed<Admission>>,
    ) -> Vec<PublicKey> {
        let mut first = BTreeMap::<PublicKey, (Hlc, FactId)>::new();
        for child in self.links.get(&ticket).into_iter().flat_map(|link| &link.children) {
            let link = &self.links[child];
            let Some(admission) = winning(&link.admissions) else { continue };
            let place = (admission.value().hlc, admission.id());
            first.entry(link.cert.value().subject).and_modify(|best| *best = place.min(*best)).or_insert(place);
        }
        let mut users: Vec<_> = first.into_iter().map(|(user, place)| (place, user)).collect();
        users.sort_unstable();
        users.into_iter().map(|(_, user)| user).collect()
    }

    /// Every certificate once, parents first.
    pub fn walk<S: Clone>(&self, root: &S, mut step: impl FnMut(&CertLink, &S) -> Option<S>) {
        let roots = self.links.iter().filter(|(_, link)| link.above == 0).map(|(id, _)| (*id, root.clone()));
        let mut open: Vec<(FactId, S)> = roots.collect();
        while let Some((id, state)) = open.pop() {
            let link = &self.links[&id];
            visit();
            if let Some(below) = step(link, &state) {
                open.extend(link.children.iter().map(|child| (*child, below.clone())));
            }
        }
    }

    fn heights(&self, admissions: &[Signed<Admission>]) -> BTreeMap<PublicKey, u16> {
        let witnesses = admissions.iter().map(|admission| admission.value().witness.into());
        witnesses.map(|witness| (witness, self.height(witness))).collect()
    }

    /// Certificates between a member and the root key, by its shortest chain.
    fn height(&self, key: PublicKey) -> u16 {
        let links = self.by_subject.get(&key).into_iter().flatten().map(|id| &self.links[id]);
        links.map(|link| link.above).min().unwrap_or(u16::MAX)
    }

    /// Entries only ever become earlier; so does all that hangs on them.
    fn pull_forward(&mut self, from: FactId) -> Vec<PublicKey> {
        let (mut open, mut earlier) = (vec![from], Vec::new());
        while let Some(id) = open.pop() {
            visit();
            let Some(link) = self.links.get(&id) else { continue };
            let admission = link.admissions.first().map(Signed::value);
            let Some(entry) = self.entry_by(link.cert.value(), admission).filter(|entry| *entry < link.entry) else {
                continue;
            };
            let (subject, kind) = (link.cert.value().subject, link.cert.value().kind);
            open.extend(link.children.iter().copied());
            self.links.entry(id).and_modify(|link| link.entry = entry);
            if kind == CertKind::Member && self.enter(subject, entry) {
                earlier.push(subject);
            }
        }
        earlier
    }

    /// Whether this is earlier than what was known.
    fn enter(&mut self, subject: PublicKey, entry: Hlc) -> bool {
        let is_earlier = self.member_since.get(&subject).is_none_or(|since| entry < *since);
        if is_earlier {
            self.member_since.insert(subject, entry);
        }
        is_earlier
    }
}

/// Keeps the winning admission, and a reserve for the day on which its witness is revoked: those whose witnesses stand
/// nearest to the root key, so that somebody who comes in many times cannot push out the others'.
fn trim(admissions: &mut Vec<Signed<Admission>>, heights: &BTreeMap<PublicKey, u16>) -> Option<Signed<Admission>> {
    admissions.sort_by_key(|admission| (admission.value().hlc, admission.id()));
    // One a witness: its first.
    let mut witnesses = BTreeSet::new();
    let again = admissions.iter().position(|admission| !witnesses.insert(admission.value().witness));
    let over = || {
        let reserve = admissions.iter().enumerate().skip(1);
        let last = reserve.max_by_key(|(_, admission)| {
            let height = heights.get(&admission.value().witness.into()).copied().unwrap_or(u16::MAX);
            (height, admission.value().hlc, admission.id())
        });
        last.filter(|_| admissions.len() > 1 + ADMISSIONS_IN_RESERVE_MAX).map(|(at, _)| at)
    };
    let out = again.or_else(over);
    out.map(|at| admissions.remove(at))
}

/// Whether this member certificate comes from this ticket.
pub(super) fn redeems(ticket: &Cert, member: &Cert) -> bool {
    ticket.kind == CertKind::Ticket && member.issuer == ticket.subject && may_issue(ticket, member).is_ok()
}

/// See [`Place`].
pub(super) fn place(link: &CertLink) -> Place {
    (link.entry, link.above, link.cert.id())
}

/// What certificates and admissions amount to if they are taken in in the order of their places, each as `accept` says. Those
/// without a parent are by root keys.
pub(super) fn build(
    certs: impl Iterator<Item = Signed<Cert>>,
    admissions: impl Iterator<Item = Signed<Admission>>,
    mut accept: impl FnMut(&FactGraph, &Signed<Cert>, Place) -> bool,
) -> FactGraph {
    let mut graph = FactGraph::new();
    let mut below = BTreeMap::<Option<FactId>, Vec<Signed<Cert>>>::new();
    certs.for_each(|cert| below.entry(cert.value().parent).or_default().push(cert));
    let mut candidates = AdmissionIndex::default();
    for admission in admissions {
        candidates.by_member.entry(admission.value().member).or_default().push(admission.clone());
        candidates.by_witness.entry(admission.value().witness.into()).or_default().push(admission);
    }
    let mut open = BinaryHeap::new();
    let mut ready = BTreeMap::<FactId, Signed<Cert>>::new();
    for cert in below.remove(&None).unwrap_or_default() {
        open.push(Reverse((Hlc::default(), 0, cert.id())));
        ready.insert(cert.id(), cert);
    }
    while let Some(Reverse(at @ (entry, above, id))) = open.pop() {
        visit();
        // Taken in earlier, by an earlier admission.
        let Some(cert) = ready.remove(&id) else { continue };
        if !accept(&graph, &cert, at) {
            continue;
        }
        let newcomer = graph.add_cert(cert.clone(), entry);
        for child in below.remove(&Some(id)).unwrap_or_default() {
            if child.value().issuer != cert.value().subject || may_issue(cert.value(), child.value()).is_err() {
                continue;
            }
            let step = (above.saturating_add(1), child.id());
            match cert.value().kind {
                CertKind::Member => open.push(Reverse((entry, step.0, step.1))),
                CertKind::Ticket => {
                    open.extend(candidates.of(&graph, &child).map(|hlc| Reverse((entry.max(hlc), step.0, step.1))));
                }
            }
            ready.insert(child.id(), child);
        }
        for admission in newcomer.and_then(|key| candidates.by_witness.get(&key)).into_iter().flatten() {
            let admission = admission.value();
            let Some(ticket) = ready.get(&admission.member).and_then(|_| graph.link(admission.ticket)) else {
                continue;
            };
            if graph.has_witness(admission) && ready[&admission.member].value().parent == Some(admission.ticket) {
                open.push(Reverse((ticket.entry.max(admission.hlc), ticket.above.saturating_add(1), admission.member)));
            }
        }
    }
    for admission in candidates.by_member.into_values().flatten() {
        let cert = graph.cert(admission.value().member);
        let fits = cert.is_some_and(|cert| cert.value().parent == Some(admission.value().ticket));
        if fits && graph.has_witness(admission.value()) {
            graph.add_admission(admission);
        }
    }
    graph
}

/// Admissions that may count, by what they wait for.
#[derive(Default)]
struct AdmissionIndex {
    by_member: BTreeMap<FactId, Vec<Signed<Admission>>>,
    by_witness: BTreeMap<PublicKey, Vec<Signed<Admission>>>,
}

impl AdmissionIndex {
    /// When a certificate is admitted, by those whose witnesses are members.
    fn of<'a>(&'a self, graph: &'a FactGraph, cert: &'a Signed<Cert>) -> impl Iterator<Item = Hlc> + 'a {
        let all = self.by_member.get(&cert.id()).into_iter().flatten().map(Signed::value);
        let all = all.filter(|admission| graph.has_witness(admission));
        all.filter(|admission| Some(admission.ticket) == cert.value().parent).map(|admission| admission.hlc)
    }
}

#[cfg(test)]
thread_local! {
    /// Certificates looked at by passes over the forest.
    pub(super) static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn visit() {
    #[cfg(test)]
    VISITS.with(|visits| visits.set(visits.get() + 1));
}
