//! Thirty-two bytes that nobody else may see.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::ids::Key;

/// A secret key or seed: wiped when dropped, never shown, not `Copy`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretKey(Key);

impl SecretKey {
    /// Takes it over; the caller wipes its own copy.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Key(bytes))
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// For functions that take a key.
    pub fn key(&self) -> &Key {
        &self.0
    }

    /// The Ed25519 key of which this is the seed.
    pub fn signing_key(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.0.0)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
