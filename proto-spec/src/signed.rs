//! Signed structures travel, are stored, forwarded and digested verbatim as `[payload bin, signature bin64]` (spec 01-identity).

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::codec::{self, CanonicalCodec, FormatError};
use crate::ids::{FactId, PoolId, PublicKey, Signature};
use crate::label;

/// A structure that is signed under a label of its own, so that no signature fits another kind of statement.
pub trait Signable: CanonicalCodec {
    /// One of [`label::sign`].
    const LABEL: &'static str;
    /// Who has to sign, when the payload itself says so. A head does not: its key stands in its volume's epoch.
    fn signer(&self) -> Option<PublicKey>;
}

/// A value whose signature was checked, with the very bytes that were signed.
///
/// Only [`Signed::sign`] and [`Signed::open`] build one, so holding it is the proof.
///
/// ```
/// use ed25519_dalek::SigningKey;
/// use fsdfs_proto::identity::{Cert, founder_cert, pool_of};
/// use fsdfs_proto::ids::NodeId;
/// use fsdfs_proto::signed::Signed;
///
/// let (root, node) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
/// let cert = founder_cert(pool_of(&root), &root, NodeId(node.verifying_key().to_bytes()));
///
/// // What travels is the envelope; whoever opens it checks the signature for this pool.
/// let opened: Signed<Cert> = Signed::open(pool_of(&root), &cert.envelope(), None)?;
/// assert_eq!(opened.id(), cert.id());
/// assert!(Signed::<Cert>::open(pool_of(&node), &cert.envelope(), None).is_err());
/// # Ok::<(), fsdfs_proto::codec::FormatError>(())
/// ```
#[derive(Debug)]
pub struct Signed<T>(std::sync::Arc<SignedParts<T>>);

#[derive(Debug)]
struct SignedParts<T> {
    value: T,
    payload: Bytes,
    signature: Signature,
    signer: PublicKey,
    id: FactId,
}

/// The bytes that travel. Whether the signature fits is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The encoded structure.
    pub payload: Bytes,
    /// Over label, pool and payload.
    pub signature: Signature,
}

impl CanonicalCodec for Envelope {}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id && self.0.signature == other.0.signature
    }
}

impl<T> Eq for Signed<T> {}

impl<T: Signable> Signed<T> {
    /// Signs `value`. The caller holds the key that [`Signable::signer`] names.
    pub fn sign(pool: PoolId, key: &SigningKey, value: T) -> Self {
        let signer = PublicKey(key.verifying_key().to_bytes());
        debug_assert!(
            value.signer().is_none_or(|named| named == signer),
            "signed with another key than the payload names"
        );
        let payload = Bytes::from(codec::encode(&value));
        let message = message(T::LABEL, pool, &payload);
        let signature = Signature(key.sign(&message).to_bytes());
        Self(std::sync::Arc::new(SignedParts { value, payload, signature, signer, id: id_of(&message) }))
    }

    /// Checks form and signature of what a peer sent or a disk kept. `key` is needed where the payload does not name its signer.
    pub fn open(pool: PoolId, envelope: &Envelope, key: Option<PublicKey>) -> Result<Self, FormatError> {
        let bad = FormatError::BadSignature { what: T::LABEL };
        if let [_, version @ 2..=0x7f, ..] = envelope.payload[..] {
            // Said before anything else of it is read: a later version may have more fields.
            return Err(FormatError::TooNew { what: T::LABEL, version: version.into() });
        }
        let value: T = codec::decode(&envelope.payload)?;
        let signer = value.signer().or(key).ok_or_else(|| bad.clone())?;
        let message = message(T::LABEL, pool, &envelope.payload);
        if !verify(signer, &message, &envelope.signature) {
            return Err(bad);
        }
        let id = id_of(&message);
        Ok(Self(std::sync::Arc::new(SignedParts {
            value,
            payload: envelope.payload.clone(),
            signature: envelope.signature,
            signer,
            id,
        })))
    }

    /// What was signed.
    pub fn value(&self) -> &T {
        &self.0.value
    }

    /// Whose signature it is.
    pub fn signer(&self) -> PublicKey {
        self.0.signer
    }

    /// SHA-256 of the signed bytes: the statement's id.
    pub fn id(&self) -> FactId {
        self.0.id
    }

    /// The bytes that travel, verbatim.
    pub fn envelope(&self) -> Envelope {
        Envelope { payload: self.0.payload.clone(), signature: self.0.signature }
    }
}

/// Whether an Ed25519 key is usable: a point on the curve and not of small order.
pub fn is_strong(key: PublicKey) -> bool {
    VerifyingKey::from_bytes(&key.0).is_ok_and(|key| !key.is_weak())
}

/// Strict verification; weak keys are refused.
pub fn verify(signer: PublicKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    let key = VerifyingKey::from_bytes(&signer.0).ok().filter(|key| !key.is_weak());
    key.is_some_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// `"fsdfs/2/" label 00 pool payload`.
pub fn message(label: &str, pool: PoolId, payload: &[u8]) -> Vec<u8> {
    [label::SIGN_PREFIX.as_bytes(), label.as_bytes(), &[0], &pool.0, payload].concat()
}

/// The id of a statement whose signature nobody has checked yet.
pub fn statement_id(label: &str, pool: PoolId, payload: &[u8]) -> FactId {
    id_of(&message(label, pool, payload))
}

fn id_of(message: &[u8]) -> FactId {
    FactId(sha2::Sha256::digest(message).into())
}
