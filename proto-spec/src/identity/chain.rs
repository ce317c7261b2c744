//! Chains of certificates from the pool's root key to a node (spec 01-identity, "Chain check").

use std::collections::BTreeSet;

use crate::identity::{Cert, CertKind, RootFacts};
use crate::ids::{NodeId, PoolId, PublicKey};
use crate::signed::{Signed, is_strong};
use crate::u8_enum;

/// Certificates in a chain at most: with its admissions it must fit in one gate frame of 8 KiB. Members and tickets
/// alternate, so a friend of a friend of ... may be seven invitations away from the founder.
pub const CHAIN_CERTS_MAX: usize = 16;
/// Depth of a founder's certificate: every certificate below it shrinks it, and no longer chain passes.
pub const FOUNDER_DEPTH: u8 = 15;

const _: () =
    assert!(FOUNDER_DEPTH as usize + 1 == CHAIN_CERTS_MAX, "the deepest chain must be as long as chains may be");

u8_enum! {
    /// Why a peer is not let in. In the order in which a chain is checked; the first that applies is given.
    pub enum GateRefusal {
        /// No certificate, or more than [`CHAIN_CERTS_MAX`].
        1 => ChainLength,
        /// The first certificate is not signed by this pool's root key.
        2 => OtherPool,
        /// A certificate is not signed by the subject of the one before, or names another one as its parent.
        3 => Broken,
        /// A subject appears twice, or is a weak key.
        4 => BadSubject,
        /// A signature is not valid.
        5 => BadSignature,
        /// A certificate was issued by somebody who may not invite, or by a ticket for something else than a member.
        6 => MayNotInvite,
        /// The chain is longer than an issuer allowed.
        7 => TooDeep,
        /// A certificate gives more than its issuer has.
        8 => Wider,
        /// The member who made the ticket came in with a ticket that nobody is known to have admitted.
        9 => NotAdmitted,
        /// The ticket's time is over and no member let this node in before.
        10 => TicketExpired,
        /// The ticket has admitted as many newcomers as it may.
        11 => TicketUsedUp,
        /// The membership was granted until a time that has passed.
        12 => GrantEnded,
        /// The peer, or what a link of its chain signed, was revoked.
        13 => Revoked,
        /// The chain belongs to another node than the one that showed it.
        14 => WrongPeer,
        /// The pool has as many members as it can.
        15 => PoolFull,
    }
}

/// What the rest of the pool's statements say about the links of a chain.
pub trait KnownFacts {
    /// Whether `member`, issued by `ticket`, was admitted, or may be now.
    fn admitted(&self, ticket: &Signed<Cert>, member: &Signed<Cert>) -> Result<(), GateRefusal>;
    /// Whether a revocation voids this certificate, or throws its subject out (`last` only: an inviter who was thrown out
    /// leaves valid what the revocation keeps).
    fn revoked(&self, cert: &Signed<Cert>, last: bool) -> bool;
}

/// The part of the check of the chain that `peer` showed for which other statements are needed, in the order of the
/// specification; [`check_links`] comes before it.
pub fn check_known(
    chain: &[Signed<Cert>],
    peer: NodeId,
    wall_ms: u64,
    known: &impl KnownFacts,
) -> Result<(), GateRefusal> {
    chain.windows(2).filter(|pair| is_ticket(&pair[0])).try_for_each(|pair| known.admitted(&pair[0], &pair[1]))?;
    refuse(chain.iter().any(|cert| ended(cert.value().grant_until, wall_ms)), GateRefusal::GrantEnded)?;
    let last = chain.len() - 1;
    refuse(chain.iter().enumerate().any(|(at, cert)| known.revoked(cert, at == last)), GateRefusal::Revoked)?;
    let own = chain[last].value();
    refuse(own.kind != CertKind::Member || own.subject != PublicKey::from(peer), GateRefusal::WrongPeer)
}

/// The part of the check that needs nothing but the chain: it leads from the pool's root key to its last subject, and no
/// link gives more than it has. Holding `Signed` certificates is the proof of their form and signatures.
///
/// `roots`: what is known of the pool's root keys; a former one may have issued what is valid still.
pub fn check_links(pool: PoolId, roots: &RootFacts, chain: &[Signed<Cert>]) -> Result<(), GateRefusal> {
    refuse(chain.is_empty() || chain.len() > CHAIN_CERTS_MAX, GateRefusal::ChainLength)?;
    refuse(!roots.is_root(pool, chain[0].value().issuer), GateRefusal::OtherPool)?;
    let linked = |pair: &[Signed<Cert>]| {
        pair[1].value().issuer == pair[0].value().subject && pair[1].value().parent == Some(pair[0].id())
    };
    refuse(chain[0].value().parent.is_some() || !chain.windows(2).all(linked), GateRefusal::Broken)?;
    let mut subjects = BTreeSet::new();
    let may_be = |key| roots.number_of(pool, key).is_none() && is_strong(key);
    let fresh = chain.iter().all(|cert| subjects.insert(cert.value().subject) && may_be(cert.value().subject));
    refuse(!fresh, GateRefusal::BadSubject)?;
    chain.windows(2).try_for_each(|pair| may_issue(pair[0].value(), pair[1].value()))
}

/// Whether the holder of `parent` may sign `child`. The root key may sign anything.
pub fn may_issue(parent: &Cert, child: &Cert) -> Result<(), GateRefusal> {
    let may = match parent.kind {
        CertKind::Member => parent.may_invite,
        // A ticket key signs exactly one kind of thing.
        CertKind::Ticket => child.kind == CertKind::Member,
    };
    refuse(!may, GateRefusal::MayNotInvite)?;
    refuse(child.depth >= parent.depth, GateRefusal::TooDeep)?;
    let wider = child.role < parent.role
        || child.may_invite && !parent.may_invite
        || grant(child.grant_until) > grant(parent.grant_until)
        || weight_limit(child.weight_gib_max) > weight_limit(parent.weight_gib_max);
    refuse(wider, GateRefusal::Wider)
}

/// Whether a time limit, 0 = never, has passed.
pub fn ended(until_ms: u64, wall_ms: u64) -> bool {
    wall_ms > grant(until_ms)
}

fn grant(until_ms: u64) -> u64 {
    if until_ms == 0 { u64::MAX } else { until_ms }
}

/// A greatest weight, 0 = any, as a number to compare by.
pub fn weight_limit(weight_gib_max: u32) -> u32 {
    if weight_gib_max == 0 { u32::MAX } else { weight_gib_max }
}

fn is_ticket(cert: &Signed<Cert>) -> bool {
    cert.value().kind == CertKind::Ticket
}

fn refuse(applies: bool, refusal: GateRefusal) -> Result<(), GateRefusal> {
    if applies { Err(refusal) } else { Ok(()) }
}
