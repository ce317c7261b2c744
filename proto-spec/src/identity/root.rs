//! The pool's root keys: which there are, and which of them counts (spec 01-identity, section 7).
//!
//! A pool's own key signs one statement, its founding, and is wiped. The founding names all root keys that the pool will ever
//! have; the first one is in use, and the others follow from a *spare key* that lies elsewhere. So who steals a root key can
//! name no successor: the one that was named before anything was stolen counts, in whatever order statements come.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::SecretKey;
use crate::codec::{CanonicalCodec, FormatError, ascending, bound};
use crate::ids::{FactId, PoolId, PublicKey};
use crate::label::{key as key_label, sign};
use crate::signed::{Signable, Signed, is_strong};

/// Root keys that a founding names at most: enough for a theft every few years. They stand in every ticket.
pub const ROOT_KEYS_MAX: usize = 16;
/// Statements of earlier root keys that stay valid at most: root keys sign by hand. They stand in every ticket, too.
pub const SUCCESSION_KEEP_MAX: usize = 256;

/// "These are the root keys of this pool, one after the other": `[1, pool's own key, roots]`, signed by the pool's own key,
/// which signs nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// 1.
    pub version: u8,
    /// The pool's own key.
    pub signer: PublicKey,
    /// Number 1 first, 1 to 16, all different.
    pub roots: Vec<PublicKey>,
}

/// "From now on the root key of this number counts": `[1, number, signer, keep]`, signed by that root key. Whatever earlier
/// root keys signed is void, but for what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// 1.
    pub version: u8,
    /// From 2: the founding alone makes number 1 count.
    pub number: u8,
    /// The root key of this number.
    pub signer: PublicKey,
    /// Ids of what earlier root keys signed and what stays valid, ascending.
    pub keep: Vec<FactId>,
}

impl CanonicalCodec for Founding {
    fn check(&self) -> Result<(), FormatError> {
        super::statement::first_version("a founding", self.version)?;
        bound((1..=ROOT_KEYS_MAX).contains(&self.roots.len()), "the root keys of a founding")?;
        let distinct: std::collections::BTreeSet<_> = self.roots.iter().chain([&self.signer]).collect();
        bound(distinct.len() == self.roots.len() + 1, "the root keys of a founding")?;
        bound(self.roots.iter().all(|root| is_strong(*root)), "the root keys of a founding")
    }
}

impl CanonicalCodec for Succession {
    fn check(&self) -> Result<(), FormatError> {
        super::statement::first_version("a succession", self.version)?;
        bound((2..=ROOT_KEYS_MAX).contains(&usize::from(self.number)), "the number of a root key")?;
        bound(self.keep.len() <= SUCCESSION_KEEP_MAX, "what a succession keeps")?;
        ascending(&self.keep, |id| *id)
    }
}

impl Signable for Founding {
    const LABEL: &'static str = sign::FOUNDING;
    fn signer(&self) -> Option<PublicKey> {
        Some(self.signer)
    }
}

impl Signable for Succession {
    const LABEL: &'static str = sign::SUCCESSION;
    fn signer(&self) -> Option<PublicKey> {
        Some(self.signer)
    }
}

/// What is known of a pool's root keys. A newcomer gets it with its ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootFacts {
    /// None in a pool whose own key is its root key.
    pub founding: Option<Signed<Founding>>,
    /// None as long as root key 1 counts.
    pub succession: Option<Signed<Succession>>,
}

impl RootFacts {
    /// The number of the root key that counts; 0 is the pool's own key.
    pub fn current(&self) -> u8 {
        let first = u8::from(self.founding.is_some());
        self.succession.as_ref().map_or(first, |succession| succession.value().number.max(first))
    }

    /// The number of a root key, whether or not it counts yet.
    pub fn number_of(&self, pool: PoolId, key: PublicKey) -> Option<u8> {
        if key == pool.into() {
            return Some(0);
        }
        let roots = &self.founding.as_ref()?.value().roots;
        roots.iter().position(|root| *root == key).and_then(|at| u8::try_from(at + 1).ok())
    }

    /// Whether a key is the root key, or was: what it signed then may be valid still.
    pub fn is_root(&self, pool: PoolId, key: PublicKey) -> bool {
        self.number_of(pool, key).is_some_and(|number| number <= self.current())
    }

    /// The root key of a number.
    pub fn key(&self, pool: PoolId, number: u8) -> Option<PublicKey> {
        let Some(at) = usize::from(number).checked_sub(1) else { return Some(pool.into()) };
        self.founding.as_ref()?.value().roots.get(at).copied()
    }

    /// Whether the two belong together, and to this pool.
    pub fn are_of(&self, pool: PoolId) -> bool {
        let Self { founding, succession } = self;
        let founds = founding.as_ref().is_none_or(|founding| founding.signer() == pool.into());
        let succeeds = |it: &Signed<Succession>| self.key(pool, it.value().number) == Some(it.signer());
        founds && succession.as_ref().is_none_or(succeeds)
    }
}

/// The secret half of a root key.
pub fn root_key(spare: &SecretKey, number: u8) -> SecretKey {
    let info = [key_label::DERIVE_PREFIX.as_bytes(), key_label::ROOT_KEY.as_bytes(), &[0, number]].concat();
    let mut seed = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(None, spare.as_bytes())
        .expand(&info, &mut seed)
        .expect("32 bytes are less than HKDF's limit of 8,160");
    SecretKey::new(seed)
}

/// The founding of a pool, with as many root keys as there can be.
pub fn founding(pool_key: &SigningKey, spare: &SecretKey) -> Signed<Founding> {
    let public = |key: &SigningKey| PublicKey(key.verifying_key().to_bytes());
    let most = u8::try_from(ROOT_KEYS_MAX).expect("a small number");
    let roots = (1..=most).map(|number| public(&root_key(spare, number).signing_key())).collect();
    let signer = public(pool_key);
    Signed::sign(PoolId(signer.0), pool_key, Founding { version: 1, signer, roots })
}
