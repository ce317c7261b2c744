//! AES-256-GCM as everything of a volume is sealed with it: each key seals one thing, so the nonce is zero.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;

use crate::ids::Key;

/// One key under another that seals nothing else, ever: `AES-256-GCM(with, nonce 00*12, AAD empty, key)`, 48 bytes.
pub(super) fn seal_key(with: Key, key: Key) -> Bytes {
    let mut sealed = key.0.to_vec();
    cipher(with)
        .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut sealed)
        .expect("32 bytes are far below GCM's limit");
    sealed.into()
}

/// The key that [`seal_key`] sealed.
pub(super) fn open_key(with: Key, sealed: &[u8]) -> Option<Key> {
    let mut sealed = sealed.to_vec();
    let key = cipher(with).open_in_place(zero_nonce(), Aad::empty(), &mut sealed).ok()?;
    Some(Key(<[u8; 32]>::try_from(&*key).ok()?))
}

pub(super) fn cipher(key: Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).expect("a key of AES-256 has 32 bytes"))
}

pub(super) fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
