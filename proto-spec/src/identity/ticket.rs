//! Tickets: everything a newcomer needs, in one string (spec 01-identity §9).

use std::str::FromStr;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::armour::{self, StringKind, TextError};
use super::{CHAIN_CERTS_MAX, Cert, CertKind, GateRefusal, RootFacts, SecretKey, chain, newcomer_cert};
use crate::codec::{CanonicalCodec, FormatError, bound};
use crate::ids::{NodeId, PoolId, PublicKey};
use crate::signed::{Envelope, Signed};

/// Members a ticket names to turn to at most.
pub const BOOTSTRAP_MAX: usize = 8;
/// Addresses of each at most, as on a card.
pub const BOOTSTRAP_ADDRS_MAX: usize = 8;

/// An invitation: a throw-away key with a certificate, and where to find the pool. Whoever has the string can join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The pool.
    pub pool: PoolId,
    /// Opens the gate's frames.
    pub gate_secret: SecretKey,
    /// What the newcomer has to know of the pool's root keys.
    pub roots: RootFacts,
    /// From the root key's certificate to the ticket's own.
    pub chain: Vec<Signed<Cert>>,
    /// Seed of the throw-away key.
    pub seed: SecretKey,
    /// Members and their addresses (`HOST:PORT`), the best first.
    pub bootstrap: Vec<(NodeId, Vec<String>)>,
    /// The pool's name for people.
    pub pool_name: String,
}

/// `[pool id, gate secret, certs, ticket seed, bootstrap, pool name, founding?, succession?]`.
#[derive(Serialize, Deserialize)]
struct TicketFields(
    PoolId,
    SecretKey,
    Vec<Envelope>,
    SecretKey,
    Vec<(NodeId, Vec<String>)>,
    String,
    Option<Envelope>,
    Option<Envelope>,
);

impl CanonicalCodec for TicketFields {
    fn check(&self) -> Result<(), FormatError> {
        let Self(_, _, certs, _, bootstrap, name, _, _) = self;
        bound((1..CHAIN_CERTS_MAX).contains(&certs.len()), "the certificates of a ticket")?;
        bound(bootstrap.len() <= BOOTSTRAP_MAX, "the members to turn to")?;
        for (_, addrs) in bootstrap {
            bound(addrs.len() <= BOOTSTRAP_ADDRS_MAX, "the addresses of a member")?;
            addrs.iter().try_for_each(|addr| super::text(addr, 255, "an address"))?;
        }
        super::text(name, 64, "the name of the pool")
    }
}

impl Ticket {
    /// The string. It is as secret as the key in it, so it wipes itself.
    pub fn text(&self) -> Zeroizing<String> {
        let certs = self.chain.iter().map(Signed::envelope).collect();
        let (gate, seed) = (self.gate_secret.clone(), self.seed.clone());
        let founding = self.roots.founding.as_ref().map(Signed::envelope);
        let succession = self.roots.succession.as_ref().map(Signed::envelope);
        let (bootstrap, name) = (self.bootstrap.clone(), self.pool_name.clone());
        armour::write(
            StringKind::Ticket,
            &TicketFields(self.pool, gate, certs, seed, bootstrap, name, founding, succession),
        )
    }

    /// The ticket's own certificate.
    pub fn cert(&self) -> &Signed<Cert> {
        self.chain.last().expect("a ticket without certificate is not read, and none is made")
    }

    /// The chain of a newcomer that redeems it.
    pub fn redeem(&self, newcomer: &SigningKey) -> Result<Vec<Signed<Cert>>, GateRefusal> {
        let own =
            newcomer_cert(self.pool, &self.seed.signing_key(), self.cert(), newcomer).ok_or(GateRefusal::TooDeep)?;
        let chain: Vec<_> = self.chain.iter().cloned().chain([own]).collect();
        chain::check_links(self.pool, &self.roots, &chain)?;
        Ok(chain)
    }

    /// The certificates are what they should be: a chain from the pool's root key to the key in the ticket.
    fn check(self) -> Result<Self, TextError> {
        if !self.roots.are_of(self.pool) {
            return Err(TextError::Chain(GateRefusal::OtherPool));
        }
        chain::check_links(self.pool, &self.roots, &self.chain).map_err(TextError::Chain)?;
        let key = PublicKey(self.seed.signing_key().verifying_key().to_bytes());
        let fits = self.cert().value().kind == CertKind::Ticket && self.cert().value().subject == key;
        if fits { Ok(self) } else { Err(TextError::Chain(GateRefusal::WrongPeer)) }
    }
}

impl FromStr for Ticket {
    type Err = TextError;

    /// Reads what somebody pasted. Its certificates are checked; whether it expired is for the gate to say.
    fn from_str(pasted: &str) -> Result<Self, TextError> {
        let TicketFields(pool, gate_secret, certs, seed, bootstrap, pool_name, founding, succession) =
            armour::read(StringKind::Ticket, pasted)?;
        let invalid = |error| TextError::Invalid { kind: StringKind::Ticket, error };
        let chain = certs.iter().map(|cert| Signed::open(pool, cert, None)).collect::<Result<_, _>>();
        let founding = founding.map(|founding| Signed::open(pool, &founding, None)).transpose().map_err(invalid)?;
        let succession = succession.map(|it| Signed::open(pool, &it, None)).transpose().map_err(invalid)?;
        let roots = RootFacts { founding, succession };
        Self { pool, gate_secret, roots, chain: chain.map_err(invalid)?, seed, bootstrap, pool_name }.check()
    }
}
