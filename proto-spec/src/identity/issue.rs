//! Making certificates: the founder's by the root key, a newcomer's by its ticket's key.

use ed25519_dalek::{Signer as _, SigningKey};

use crate::identity::{Cert, CertKind, FOUNDER_DEPTH, Role};
use crate::ids::{NodeId, PoolId, PublicKey, Signature};
use crate::signed::Signed;

/// The pool whose own key this is.
pub fn pool_of(own: &SigningKey) -> PoolId {
    PoolId(own.verifying_key().to_bytes())
}

/// The certificate of the pool's first member, by a root key: all rights.
pub fn founder_cert(pool: PoolId, root: &SigningKey, founder: NodeId) -> Signed<Cert> {
    let cert = Cert {
        version: 1,
        kind: CertKind::Member,
        issuer: PublicKey(root.verifying_key().to_bytes()),
        subject: founder.into(),
        role: Role::Full,
        may_invite: true,
        depth: FOUNDER_DEPTH,
        grant_until: 0,
        redeem_by: 0,
        uses: 0,
        weight_gib_max: 0,
        parent: None,
        consent: None,
    };
    Signed::sign(pool, root, cert)
}

/// What an invitation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Public half of the ticket's throw-away key.
    pub subject: PublicKey,
    /// Of whoever redeems it; never wider than the issuer's.
    pub role: Role,
    /// Wall milliseconds after which nobody is admitted with it; 0 = never.
    pub redeem_by: u64,
    /// Newcomers at most.
    pub uses: u32,
    /// Units of weight that each is believed at most; 0 = any, as far as the issuer may.
    pub weight_gib_max: u32,
}

/// A ticket's certificate. Its newcomers may invite in turn as long as the depth of the chain allows.
/// None if the issuer's certificate does not allow to invite, or not that.
pub fn ticket_cert(
    pool: PoolId,
    issuer: &SigningKey,
    own: &Signed<Cert>,
    invitation: Invitation,
) -> Option<Signed<Cert>> {
    let (parent, own) = (own.id(), own.value());
    let depth = own.depth.checked_sub(1)?;
    let cert = Cert {
        version: 1,
        kind: CertKind::Ticket,
        issuer: own.subject,
        subject: invitation.subject,
        role: invitation.role,
        may_invite: own.may_invite,
        depth,
        grant_until: own.grant_until,
        redeem_by: invitation.redeem_by,
        uses: invitation.uses,
        weight_gib_max: invitation.weight_gib_max,
        parent: Some(parent),
        consent: None,
    };
    // Below depth 1 there is no room for the newcomer's own certificate.
    let fits = depth >= 1 && invitation.uses >= 1 && super::may_issue(own, &cert).is_ok();
    fits.then(|| Signed::sign(pool, issuer, cert))
}

/// The certificate that a newcomer signs for its own node with its ticket's key, and agrees to with its own: the ticket's
/// rights, one step deeper. None if the ticket leaves no room.
pub fn newcomer_cert(
    pool: PoolId,
    ticket_key: &SigningKey,
    ticket: &Signed<Cert>,
    newcomer: &SigningKey,
) -> Option<Signed<Cert>> {
    let (parent, ticket) = (ticket.id(), ticket.value());
    let depth = ticket.depth.checked_sub(1)?;
    let cert = Cert {
        version: 1,
        kind: CertKind::Member,
        issuer: ticket.subject,
        subject: PublicKey(newcomer.verifying_key().to_bytes()),
        role: ticket.role,
        may_invite: ticket.may_invite,
        depth,
        grant_until: ticket.grant_until,
        redeem_by: 0,
        uses: 0,
        weight_gib_max: ticket.weight_gib_max,
        parent: Some(parent),
        consent: None,
    };
    Some(Signed::sign(pool, ticket_key, consented(cert, newcomer)))
}

/// A member's certificate with its subject's agreement.
pub fn consented(mut cert: Cert, subject: &SigningKey) -> Cert {
    cert.consent = None;
    cert.consent = Some(Signature(subject.sign(&cert.consent_message()).to_bytes()));
    cert
}
