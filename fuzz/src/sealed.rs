//! Sealing by hand, because the library seals only what is valid.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Ciphertext and tag.
pub fn encrypt(key: &[u8; 32], nonce: [u8; NONCE_LEN], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of AES-256 has 32 bytes"));
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
        .expect("an input is far below the limits of AES-GCM");
    sealed
}

/// The text behind ciphertext and tag.
pub fn decrypt(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut text = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let opened = key.open_in_place(nonce, Aad::from(aad), &mut text).ok()?;
    Some(opened.to_vec())
}

/// HKDF-SHA256 without salt.
pub fn expand(from: &[u8; 32], info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(None, from).expand(info, &mut key).expect("32 bytes are below the limit of HKDF");
    key
}
