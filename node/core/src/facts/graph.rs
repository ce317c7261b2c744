//! Certificates and admissions as a graph: who is certified, since when, by which chain, and who came too late.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use fsdfs_proto::identity::{Admission, Cert, CertKind, Fact, may_issue};
use fsdfs_proto::ids::{FactId, NodeId, PoolId, PublicKey};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

/// What a set of certificates and admissions amounts to.
#[derive(Clone, Debug)]
pub(super) struct FactGraph {
    root: PublicKey,
    /// Connected or not.
    certs: BTreeMap<FactId, Signed<Cert>>,
    by_issuer: BTreeMap<PublicKey, Vec<FactId>>,
    by_subject: BTreeMap<PublicKey, Vec<FactId>>,
    /// By member certificate.
    admissions: BTreeMap<FactId, Vec<Signed<Admission>>>,
    by_witness: BTreeMap<PublicKey, Vec<Signed<Admission>>>,
    /// Certificates that are connected to the root key, and the stamp at which: the latest admission on the way, earliest way.
    entry: BTreeMap<FactId, Hlc>,
    /// The earliest entry of each member's certificates.
    member_since: BTreeMap<PublicKey, Hlc>,
}

/// Parent of each certificate in the tree of shortest chains; none below the root key.
pub(super) type FactParents = BTreeMap<FactId, Option<FactId>>;

/// `(ticket, user)`.
pub(super) type SurplusUsers = BTreeSet<(FactId, PublicKey)>;

type OpenCertificates = BinaryHeap<Reverse<(Hlc, FactId)>>;

impl FactGraph {
    /// Without any certificate.
    pub fn new(pool: PoolId) -> Self {
        Self {
            root: pool.into(),
            certs: BTreeMap::new(),
            by_issuer: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            admissions: BTreeMap::new(),
            by_witness: BTreeMap::new(),
            entry: BTreeMap::new(),
            member_since: BTreeMap::new(),
        }
    }

    /// Adds a certificate or an admission; other facts are no business of the graph. The order does not matter: entries
    /// only ever become earlier, and nothing that holds for a later entry fails for an earlier one.
    pub fn add(&mut self, fact: &Fact) {
        let open = match fact {
            Fact::Cert(cert) => {
                self.by_issuer.entry(cert.value().issuer).or_default().push(cert.id());
                self.by_subject.entry(cert.value().subject).or_default().push(cert.id());
                self.certs.insert(cert.id(), cert.clone());
                self.ways_to(cert)
            }
            Fact::Admission(admission) => {
                self.admissions.entry(admission.value().member).or_default().push(admission.clone());
                self.by_witness.entry(admission.value().witness.into()).or_default().push(admission.clone());
                self.arrival(admission).into_iter().collect()
            }
            _ => return,
        };
        self.propagate_entries(open);
    }

    /// All certificates of a subject, connected or not.
    pub fn certs_of(&self, subject: PublicKey) -> impl Iterator<Item = &Signed<Cert>> {
        self.by_subject.get(&subject).into_iter().flatten().map(|id| &self.certs[id])
    }

    /// All certificates that a key issued, connected or not.
    pub fn issued_by(&self, issuer: PublicKey) -> impl Iterator<Item = &Signed<Cert>> {
        self.by_issuer.get(&issuer).into_iter().flatten().map(|id| &self.certs[id])
    }

    /// Subjects of member certificates, connected or not.
    pub fn member_count(&self) -> usize {
        let member = |ids: &&Vec<FactId>| ids.iter().any(|id| self.certs[id].value().kind == CertKind::Member);
        self.by_subject.values().filter(member).count()
    }

    /// A certificate that is connected to the root key.
    pub fn cert(&self, id: FactId) -> Option<&Signed<Cert>> {
        self.entry.contains_key(&id).then(|| &self.certs[&id])
    }

    /// All certificates that are connected to the root key.
    pub fn certs(&self) -> impl Iterator<Item = &Signed<Cert>> {
        self.entry.keys().map(|id| &self.certs[id])
    }

    /// Every member's key, and since when: an admission that it witnesses must be later, so that nobody who came late can
    /// date somebody else before those who came earlier.
    pub fn members(&self) -> &BTreeMap<PublicKey, Hlc> {
        &self.member_since
    }

    /// Whether this admission is effective: ticket and newcomer fit together, and the witness was a member before.
    pub fn is_effective(&self, admission: &Admission) -> bool {
        let (Some(ticket), Some(member)) = (self.cert(admission.ticket), self.certs.get(&admission.member)) else {
            return false;
        };
        let witness: PublicKey = admission.witness.into();
        redeems(ticket.value(), member.value())
            && self.member_since.get(&witness).is_some_and(|since| *since < admission.hlc)
    }

    /// The earliest admission by which this certificate came in with this ticket.
    pub fn winning(&self, ticket: FactId, member: FactId) -> Option<&Signed<Admission>> {
        let all = self.admissions.get(&member).into_iter().flatten();
        all.filter(|admission| admission.value().ticket == ticket && self.is_effective(admission.value()))
            .min_by_key(|admission| (admission.value().hlc, admission.id()))
    }

    /// Who came in with a ticket, in the order of their admissions. Those beyond its uses are guests.
    pub fn users(&self, ticket: &Signed<Cert>) -> Vec<NodeId> {
        let mut first = BTreeMap::<PublicKey, (Hlc, FactId)>::new();
        for member in self.children(ticket) {
            let Some(admission) = self.winning(ticket.id(), member.id()) else { continue };
            let place = (admission.value().hlc, admission.id());
            first.entry(member.value().subject).and_modify(|best| *best = place.min(*best)).or_insert(place);
        }
        let mut users: Vec<_> = first.into_iter().map(|(user, place)| (place, user)).collect();
        users.sort_unstable();
        users.into_iter().map(|(_, user)| user.into()).collect()
    }

    /// The shortest chains; where several are equally short, through the smaller ids. They avoid what `late` names: users of a
    /// ticket beyond its uses.
    pub fn parents(&self, late: &SurplusUsers) -> FactParents {
        let mut parents = FactParents::new();
        let mut level: BTreeSet<FactId> = self.roots().map(Signed::id).collect();
        parents.extend(level.iter().map(|id| (*id, None)));
        while !level.is_empty() {
            let mut next = BTreeSet::new();
            for parent in level.iter().map(|id| &self.certs[id]) {
                for child in self.children(parent) {
                    let open = self.passes(parent, child) && !late.contains(&(parent.id(), child.value().subject));
                    if open && !parents.contains_key(&child.id()) {
                        parents.insert(child.id(), Some(parent.id()));
                        next.insert(child.id());
                    }
                }
            }
            level = next;
        }
        parents
    }

    /// Keys that hang on the root key even without what this key issued. Whoever is not among them is below it.
    pub fn without(&self, key: PublicKey) -> BTreeSet<PublicKey> {
        let mut reached = BTreeSet::from([self.root]);
        let mut open = vec![self.root];
        while let Some(issuer) = open.pop() {
            for id in self.by_issuer.get(&issuer).into_iter().flatten().filter(|id| self.entry.contains_key(id)) {
                let subject = self.certs[id].value().subject;
                if subject != key && reached.insert(subject) {
                    open.push(subject);
                }
            }
        }
        reached
    }

    /// Certificates that `parent` may have signed.
    fn children<'a>(&'a self, parent: &'a Signed<Cert>) -> impl Iterator<Item = &'a Signed<Cert>> {
        let ids = self.by_issuer.get(&parent.value().subject).into_iter().flatten();
        ids.map(|id| &self.certs[id]).filter(|child| may_issue(parent.value(), child.value()).is_ok())
    }

    fn roots(&self) -> impl Iterator<Item = &Signed<Cert>> {
        self.by_issuer.get(&self.root).into_iter().flatten().map(|id| &self.certs[id])
    }

    /// Whether the chain may go on from `parent` to a certificate that it may have issued.
    pub fn passes(&self, parent: &Signed<Cert>, child: &Signed<Cert>) -> bool {
        parent.value().kind == CertKind::Member || self.winning(parent.id(), child.id()).is_some()
    }

    /// All users beyond the uses of their ticket.
    pub fn surplus_users(&self) -> SurplusUsers {
        let tickets = self.certs().filter(|cert| cert.value().kind == CertKind::Ticket);
        tickets
            .flat_map(|ticket| {
                let uses = usize::try_from(ticket.value().uses).unwrap_or(usize::MAX);
                self.users(ticket).into_iter().skip(uses).map(|user| (ticket.id(), user.into()))
            })
            .collect()
    }

    /// Where a new certificate connects to what is connected.
    fn ways_to(&self, cert: &Signed<Cert>) -> OpenCertificates {
        let mut open = OpenCertificates::new();
        if cert.value().issuer == self.root {
            open.push(Reverse((Hlc::default(), cert.id())));
        }
        for parent in self.certs_of(cert.value().issuer) {
            let Some(entry) = self.entry.get(&parent.id()) else { continue };
            if may_issue(parent.value(), cert.value()).is_ok() {
                open.extend(self.steps(parent, *entry, cert));
            }
        }
        open
    }

    /// From a connected certificate to one that it issued.
    fn steps(&self, parent: &Signed<Cert>, entry: Hlc, child: &Signed<Cert>) -> Vec<Reverse<(Hlc, FactId)>> {
        match parent.value().kind {
            CertKind::Member => vec![Reverse((entry, child.id()))],
            CertKind::Ticket => {
                let admissions = self.admissions.get(&child.id()).into_iter().flatten();
                admissions.filter_map(|admission| self.arrival(admission)).collect()
            }
        }
    }

    /// Spreads entries, earliest first (Dijkstra), as far as they change anything.
    fn propagate_entries(&mut self, mut open: OpenCertificates) {
        while let Some(Reverse((stamp, id))) = open.pop() {
            if self.entry.get(&id).is_some_and(|earlier| *earlier <= stamp) {
                continue;
            }
            self.entry.insert(id, stamp);
            let cert = self.certs[&id].clone();
            open.extend(self.children(&cert).flat_map(|child| self.steps(&cert, stamp, child)));
            let subject = cert.value().subject;
            let member = cert.value().kind == CertKind::Member;
            if member && self.member_since.get(&subject).is_none_or(|since| *since > stamp) {
                self.member_since.insert(subject, stamp);
                let admissions = self.by_witness.get(&subject).into_iter().flatten();
                open.extend(admissions.filter_map(|admission| self.arrival(admission)));
            }
        }
    }

    /// When the newcomer of this admission is in, if the admission is effective by the entries so far.
    fn arrival(&self, admission: &Signed<Admission>) -> Option<Reverse<(Hlc, FactId)>> {
        let admission = admission.value();
        let since = self.entry.get(&admission.ticket)?;
        self.is_effective(admission).then(|| Reverse((*since.max(&admission.hlc), admission.member)))
    }
}

/// Whether this member certificate comes from this ticket.
pub(super) fn redeems(ticket: &Cert, member: &Cert) -> bool {
    ticket.kind == CertKind::Ticket && member.issuer == ticket.subject && may_issue(ticket, member).is_ok()
}
