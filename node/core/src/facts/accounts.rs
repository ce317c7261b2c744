//! How much each member can make the others keep, in bytes.
//!
//! Statements are charged to whoever can be held to account for them: certificates and admissions below a ticket to the
//! ticket's issuer, the rest to the signer. A member's account is one, that of all who hang on its invitations another, and
//! the latter shrinks with every step away from the head of the branch: who invites itself a thousand times gets no more.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Cert, CertKind, Fact, VolEpoch};
use fsdfs_proto::ids::{FactId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use super::authority::RankedLaw;
use super::graph::{CertLink, FactGraph};
use crate::limits::{
    ADMISSIONS_IN_RESERVE_MAX, DESCENT_BYTES_MIN, DESCENT_MEMBERS_MIN, FACT_OVERHEAD_BYTES, MEMBERS_MAX,
    MEMBERS_PER_BRANCH_MAX, STATEMENT_BYTES_PER_ADMIN_MAX, STATEMENT_BYTES_PER_BRANCH_MAX,
    STATEMENT_BYTES_PER_GUEST_MAX, STATEMENT_BYTES_PER_POOL_MAX, STATEMENT_BYTES_PER_SIGNER_MAX,
};

/// What is kept first where not all can be: lists of admins and what those with a rank say of others, certificates in the order
/// in which their subjects came in, epochs of volumes, then
/// what else was said, by the same order of those who said it, then heads. Nobody can come in before those who were there.
pub(super) type Precedence = (u8, Hlc, u16, PublicKey, FactId);

/// Who pays, and what limits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payer {
    key: PublicKey,
    rank: Option<usize>,
    /// Came in, or somebody above it did, by a ticket that was used up.
    guest: bool,
    /// From the head of its branch down to itself. Empty for a key with a rank.
    way: Vec<PublicKey>,
}

/// What one fact, or a newcomer's certificate with its admission, costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub payer: Payer,
    pub bytes: u64,
    /// It makes a member of a key that was none.
    pub newcomer: bool,
    pub precedence: Precedence,
}

/// What was charged.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    signers: BTreeMap<PublicKey, Account>,
    /// A member with all that hangs on it.
    descents: BTreeMap<PublicKey, Account>,
    pool: Account,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    bytes: u64,
    members: u64,
    /// Not before the last of what was charged.
    last: Option<Precedence>,
}

impl Accounts {
    /// Whether all accounts have room.
    pub fn fits(&self, charge: &Charge) -> bool {
        self.touched(charge).all(|(account, limits)| account.has_room(charge, limits))
    }

    /// Whether it comes after all that is in an account without room: then it would not be kept, whatever gave way to it.
    pub fn is_last(&self, charge: &Charge) -> bool {
        let mut full = self.touched(charge).filter(|(account, limits)| !account.has_room(charge, *limits));
        full.any(|(account, _)| account.last.is_none_or(|last| last < charge.precedence))
    }

    /// Books it, whether or not there is room.
    pub fn book(&mut self, charge: &Charge) {
        let members = u64::from(charge.newcomer);
        let book = |account: &mut Account| {
            account.bytes += charge.bytes;
            account.members += members;
            account.last = account.last.max(Some(charge.precedence));
        };
        if charge.payer.rank != Some(0) {
            book(self.signers.entry(charge.payer.key).or_default());
            charge.payer.way.iter().for_each(|key| book(self.descents.entry(*key).or_default()));
            book(&mut self.pool);
        } else {
            self.pool.members += members;
        }
    }

    /// Takes back what was booked for a fact that gave way to a newer one.
    pub fn refund(&mut self, charge: &Charge) {
        if charge.payer.rank == Some(0) {
            return;
        }
        let refund = |account: &mut Account| account.bytes = account.bytes.saturating_sub(charge.bytes);
        self.signers.get_mut(&charge.payer.key).into_iter().for_each(refund);
        charge.payer.way.iter().for_each(|key| self.descents.get_mut(key).into_iter().for_each(refund));
        refund(&mut self.pool);
    }

    /// Whether a member made others keep more than guests may.
    pub fn is_above_guests(&self, key: PublicKey) -> bool {
        self.signers.get(&key).is_some_and(|account| account.bytes > STATEMENT_BYTES_PER_GUEST_MAX)
    }

    /// Whether the order of what is kept may matter: somewhere half of an account is used.
    pub fn are_tight(&self) -> bool {
        let half =
            |account: &Account, (bytes, members): Limits| account.bytes * 2 > bytes || account.members * 2 > members;
        // The least that any account may have.
        let least = (DESCENT_BYTES_MIN, DESCENT_MEMBERS_MIN);
        half(&self.pool, POOL) || self.descents.values().any(|account| half(account, least))
    }

    fn touched<'a>(&'a self, charge: &'a Charge) -> impl Iterator<Item = (Account, Limits)> + 'a {
        let of = |accounts: &BTreeMap<PublicKey, Account>, key| accounts.get(key).copied().unwrap_or_default();
        let own = match charge.payer.rank {
            None if charge.payer.guest => Some(STATEMENT_BYTES_PER_GUEST_MAX),
            None => Some(STATEMENT_BYTES_PER_SIGNER_MAX),
            Some(0) => None,
            Some(_) => Some(STATEMENT_BYTES_PER_ADMIN_MAX),
        };
        let own = own.map(|bytes| (of(&self.signers, &charge.payer.key), (bytes, u64::MAX)));
        let way = charge.payer.way.iter().enumerate();
        let way = way.map(move |(level, key)| (of(&self.descents, key), descent(level)));
        let pool = match charge.payer.rank {
            Some(0) => (u64::MAX, POOL.1),
            _ => POOL,
        };
        own.into_iter().chain(way).chain([(self.pool, pool)])
    }
}

impl Account {
    fn has_room(&self, charge: &Charge, (bytes, members): Limits) -> bool {
        self.bytes + charge.bytes <= bytes && (!charge.newcomer || self.members < members)
    }
}

/// Bytes, and members.
type Limits = (u64, u64);

const POOL: Limits = (STATEMENT_BYTES_PER_POOL_MAX, MEMBERS_MAX as u64);

/// Of everybody below a member so many steps from the head of its branch: a quarter for each step, so that no newcomer can
/// use up what its inviter's other friends need.
fn descent(level: usize) -> Limits {
    let shift = u32::try_from(level).unwrap_or(u32::MAX).saturating_mul(2);
    let share = |of: u64, least: u64| of.checked_shr(shift).unwrap_or(0).max(least);
    (share(STATEMENT_BYTES_PER_BRANCH_MAX, DESCENT_BYTES_MIN), share(MEMBERS_PER_BRANCH_MAX, DESCENT_MEMBERS_MIN))
}

/// What charges follow from.
#[derive(Clone, Copy)]
pub(super) struct Ledger<'a> {
    pub law: &'a RankedLaw,
    pub vouched: &'a BTreeSet<PublicKey>,
    pub known: &'a FactGraph,
    pub epochs: &'a BTreeMap<VolumeId, BTreeMap<u32, Vec<Signed<VolEpoch>>>>,
}

impl Ledger<'_> {
    /// What it would cost to keep a fact; none for what is bounded otherwise: one card, absence and heartbeat a member, heads of
    /// `pool`, and admissions, which their certificates pay for.
    pub fn charge(&self, fact: &Fact) -> Option<Charge> {
        if let Fact::Cert(cert) = fact {
            let entry = self.known.link(cert.id()).map(|link| link.entry);
            return Some(
                self.charge_cert(cert, entry.or_else(|| self.known.entry_by(cert.value(), None)).unwrap_or_default()),
            );
        }
        let key = self.payer_of(fact)?;
        let since = self.known.members().get(&key).copied().unwrap_or_default();
        let (class, at) = match fact {
            // Who has a rank can always revoke, whatever else it said.
            Fact::AdminList(_) | Fact::Revocation(_) | Fact::Vouch(_) if self.law.rank(key).is_some() => {
                (0, Hlc::default())
            }
            // One may hang on the one before it, and heads hang on theirs.
            Fact::VolEpoch(epoch) => (2, Hlc { ms: epoch.value().epoch.into(), count: 0 }),
            Fact::Head(_) => (4, since),
            _ => (3, since),
        };
        let precedence = (class, at, 0, key, fact.id());
        Some(Charge { payer: self.payer(key), bytes: cost(fact), newcomer: false, precedence })
    }

    /// A certificate costs what may come with it, too.
    pub fn charge_cert(&self, cert: &Signed<Cert>, entry: Hlc) -> Charge {
        let (id, cert) = (cert.id(), cert.value());
        let parent = cert.parent.and_then(|parent| self.known.link(parent));
        let ticket = parent.map(|parent| parent.cert.value()).filter(|parent| parent.kind == CertKind::Ticket);
        let admissions = if ticket.is_some() { 1 + ADMISSIONS_IN_RESERVE_MAX as u64 } else { 0 };
        let above = parent.map_or(0, |parent| parent.above.saturating_add(1));
        Charge {
            payer: self.payer(ticket.map_or(cert.issuer, |ticket| ticket.issuer)),
            bytes: CERT_BYTES + FACT_OVERHEAD_BYTES + admissions * (ADMISSION_BYTES + FACT_OVERHEAD_BYTES),
            newcomer: cert.kind == CertKind::Member && !self.known.members().contains_key(&cert.subject),
            precedence: (1, entry, above, PublicKey([0; 32]), id),
        }
    }

    /// Who has to answer for a statement.
    pub fn payer_of(&self, fact: &Fact) -> Option<PublicKey> {
        match fact {
            Fact::Card(_)
            | Fact::Absence(_)
            | Fact::Heartbeat(_)
            | Fact::Admission(_)
            | Fact::Founding(_)
            | Fact::Succession(_) => None,
            Fact::VolEpoch(epoch) => Some(payer_of_epoch(epoch)),
            Fact::Head(head) => {
                let epochs = self.epochs.get(&head.value().volume)?.get(&head.value().epoch)?;
                epochs.first().filter(|epoch| epoch.value().sponsor.is_some()).map(payer_of_epoch)
            }
            _ => Some(fact.signer()),
        }
    }

    /// The head of a member's branch; none for whoever is no member.
    pub fn branch_of(&self, key: PublicKey) -> Option<PublicKey> {
        let payer = self.payer(key);
        payer.rank.map(|_| key).or_else(|| payer.way.first().copied())
    }

    fn payer(&self, key: PublicKey) -> Payer {
        let rank = self.law.rank(key);
        let (mut way, mut guest) = (Vec::new(), false);
        if let (None, Some(first)) = (rank, self.known.first_cert(key)) {
            for link in self.known.up(first.cert.id()).filter(|link| link.cert.value().kind == CertKind::Member) {
                way.push(link.cert.value().subject);
                guest |= self.known.is_surplus(link);
                if self.is_branch_head(link) {
                    break;
                }
            }
            way.reverse();
        }
        Payer { key, rank, guest, way }
    }

    /// By what is kept, whether or not it is valid: nothing may depend on members' revocations here.
    pub fn is_branch_head(&self, link: &CertLink) -> bool {
        let cert = link.cert.value();
        let ranked = |key| self.law.rank(key).is_some();
        let ticket = cert.parent.and_then(|ticket| self.known.cert(ticket)).map(Signed::value);
        let by_ticket = ticket.is_some_and(|ticket| ticket.kind == CertKind::Ticket && ranked(ticket.issuer));
        ranked(cert.subject) || ranked(cert.issuer) || self.vouched.contains(&cert.subject) || by_ticket
    }
}

fn payer_of_epoch(epoch: &Signed<VolEpoch>) -> PublicKey {
    epoch.value().sponsor.as_ref().map_or(epoch.signer(), |sponsor| sponsor.member.into())
}

/// Bytes that a fact takes here: its own, its signature, and what indices over it take.
pub(super) fn cost(fact: &Fact) -> u64 {
    fact.payload_len() as u64 + FACT_OVERHEAD_BYTES
}

/// Payload of a certificate at most, so that all cost the same.
const CERT_BYTES: u64 = 256;
/// Payload of an admission at most.
const ADMISSION_BYTES: u64 = 128;
