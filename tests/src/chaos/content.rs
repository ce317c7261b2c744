//! Contents that say which write they are from, so that whoever reads them needs no record of them.

use anyhow::{Result, ensure};

/// Names one write.
pub type ContentToken = u64;

/// Token and length stand at the beginning.
const HEAD_BYTES: usize = 16;

/// What the write of that name stores: `len` bytes, at least as many as say so.
pub fn make(token: ContentToken, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.max(HEAD_BYTES)];
    fastrand::Rng::with_seed(token).fill(&mut bytes);
    let len = bytes.len() as u64;
    bytes[..8].copy_from_slice(&token.to_be_bytes());
    bytes[8..HEAD_BYTES].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// Which write these bytes are from; an error unless they are it to the last bit.
pub fn token_of(bytes: &[u8]) -> Result<ContentToken> {
    ensure!(bytes.len() >= HEAD_BYTES, "only {} bytes", bytes.len());
    let token = ContentToken::from_be_bytes(bytes[..8].try_into()?);
    let is_whole = make(token, bytes.len()) == bytes;
    ensure!(is_whole, "{} bytes that nobody stored, beginning as write {token}", bytes.len());
    Ok(token)
}
