//! [`Fact`]: any one of the signed structures, and how it travels.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Absence, AdminList, Admission, Card, Cert, Departure, FeatureLevel, Founding, Head, Heartbeat, PoolRules, Removal,
    Revocation, Succession, VolEpoch, Vouch,
};
use crate::codec::{CanonicalCodec, FormatError};
use crate::ids::{FactId, PoolId, PublicKey, Signature, VolumeId};
use crate::signed::{Envelope, Signable, Signed, statement_id};
use crate::u8_enum;
use crate::volume::Dot;

/// Anything that every member keeps and gossips. Its signature was checked; whether it counts (is its signer a member, an
/// admin, the epoch's write key?) is for the fact set to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the signed form of the structure of that name")]
pub enum Fact {
    Cert(Signed<Cert>),
    Admission(Signed<Admission>),
    Card(Signed<Card>),
    Heartbeat(Signed<Heartbeat>),
    Departure(Signed<Departure>),
    AdminList(Signed<AdminList>),
    PoolRules(Signed<PoolRules>),
    Revocation(Signed<Revocation>),
    Removal(Signed<Removal>),
    FeatureLevel(Signed<FeatureLevel>),
    VolEpoch(Signed<VolEpoch>),
    Head(Signed<Head>),
    Vouch(Signed<Vouch>),
    Founding(Signed<Founding>),
    Succession(Signed<Succession>),
    Absence(Signed<Absence>),
}

impl Fact {
    /// Checks the signatures that a statement quotes, where they need the pool's id.
    fn check_within(&self, pool: PoolId, known: KnownMark) -> Result<(), FormatError> {
        let (fits, what) = match self {
            Self::Head(head) => (head.value().has_marks(known), "a mark in a head"),
            Self::Departure(gone) => (gone.value().is_proven(pool), "the heartbeat in a departure"),
            Self::VolEpoch(epoch) => (epoch.value().is_sponsored(pool), "the sponsor of a volume"),
            _ => return Ok(()),
        };
        if fits { Ok(()) } else { Err(FormatError::BadSignature { what }) }
    }
}

/// Whether a mark needs no check: its signature was found right before, in another head.
pub type KnownMark<'a> = &'a dyn Fn(VolumeId, Dot, &Signature) -> bool;

/// A fact as it travels and as it lies in the fact log: `[kind, payload, signature, key?]`; the key only with a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFact {
    kind: FactKind,
    payload: Bytes,
    signature: Signature,
    key: Option<PublicKey>,
    #[serde(skip)]
    checked: CheckedFact,
}

impl CanonicalCodec for RawFact {}

/// The fact that a [`RawFact`] was made from or checked as in this process: its signature needs no second check. It never
/// travels, so what a peer sent or a disk kept has none at first. In the simulator everything has, which is half of its speed.
///
/// That it does not open is remembered likewise: looking at its signatures again would cost as much as the first time.
#[derive(Clone, Debug, Default)]
struct CheckedFact(Option<Result<Fact, FormatError>>);

impl PartialEq for CheckedFact {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for CheckedFact {}

u8_enum! {
    /// The kind byte of a [`RawFact`].
    #[allow(missing_docs, reason = "named like the structures")]
    pub enum FactKind {
        1 => Cert,
        2 => Admission,
        3 => Card,
        4 => Heartbeat,
        5 => Departure,
        6 => AdminList,
        7 => PoolRules,
        8 => Revocation,
        9 => Removal,
        10 => FeatureLevel,
        11 => VolEpoch,
        12 => Head,
        13 => Vouch,
        14 => Absence,
        // 15 is of a later level.
        16 => Founding,
        17 => Succession,
    }
}

macro_rules! each_fact {
    ($($variant:ident),+) => {
        impl Fact {
            /// The statement's id.
            pub fn id(&self) -> FactId {
                match self { $(Self::$variant(signed) => signed.id(),)+ }
            }

            /// Whose signature it bears.
            pub fn signer(&self) -> PublicKey {
                match self { $(Self::$variant(signed) => signed.signer(),)+ }
            }

            /// Its kind.
            pub fn kind(&self) -> FactKind {
                match self { $(Self::$variant(_) => FactKind::$variant,)+ }
            }

            /// Bytes of its payload.
            pub fn payload_len(&self) -> usize {
                match self { $(Self::$variant(signed) => signed.envelope().payload.len(),)+ }
            }

            /// The form that travels.
            pub fn raw(&self) -> RawFact {
                let Envelope { payload, signature } = match self { $(Self::$variant(signed) => signed.envelope(),)+ };
                let key = matches!(self, Self::Head(_)).then(|| self.signer());
                RawFact { kind: self.kind(), payload, signature, key, checked: CheckedFact(Some(Ok(self.clone()))) }
            }
        }

        impl RawFact {
            /// What it says it is.
            pub fn kind(&self) -> FactKind {
                self.kind
            }

            /// Bytes of its payload.
            pub fn payload_len(&self) -> usize {
                self.payload.len()
            }

            /// The id it has if its signature fits.
            pub fn id(&self, pool: PoolId) -> FactId {
                match self.kind { $(FactKind::$variant => statement_id($variant::LABEL, pool, &self.payload),)+ }
            }

            /// Checks form and signatures, and remembers what was found: [`RawFact::open`] need not do it again. So the work
            /// can be done elsewhere than where the fact is acted on.
            pub fn check(&mut self, pool: PoolId, known: KnownMark) -> Result<(), FormatError> {
                let opened = self.open_beside(pool, known);
                let found = opened.as_ref().map(|_| ()).map_err(Clone::clone);
                self.checked = CheckedFact(Some(opened));
                found
            }

            /// Checks form and signatures.
            pub fn open(&self, pool: PoolId) -> Result<Fact, FormatError> {
                self.open_beside(pool, &|_, _, _| false)
            }

            /// The same, without looking again at marks that are known to be right.
            pub fn open_beside(&self, pool: PoolId, known: KnownMark) -> Result<Fact, FormatError> {
                // The id covers the pool's id: a statement of another pool is another statement.
                match &self.checked.0 {
                    Some(Ok(fact)) if fact.id() == self.id(pool) => return Ok(fact.clone()),
                    Some(Err(error)) => return Err(error.clone()),
                    _ => {}
                }
                let envelope = Envelope { payload: self.payload.clone(), signature: self.signature };
                if self.key.is_some() != (self.kind == FactKind::Head) {
                    return Err(FormatError::NotCanonical);
                }
                let fact = match self.kind {
                    $(FactKind::$variant => Signed::open(pool, &envelope, self.key).map(Fact::$variant)?,)+
                };
                fact.check_within(pool, known)?;
                Ok(fact)
            }
        }

        $(impl From<Signed<$variant>> for Fact {
            fn from(signed: Signed<$variant>) -> Self {
                Self::$variant(signed)
            }
        })+
    };
}

each_fact!(
    Cert,
    Admission,
    Card,
    Heartbeat,
    Departure,
    AdminList,
    PoolRules,
    Revocation,
    Removal,
    FeatureLevel,
    VolEpoch,
    Head,
    Vouch,
    Founding,
    Succession,
    Absence
);
