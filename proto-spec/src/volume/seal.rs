//! Sealing a payload behind its header, and opening it again (spec 02-block §4 and §5).
//!
//! ```text
//! block = be32(len H) || H || C            H = [1, kind, volume, epoch, links, extra]
//! AAD   = be32(len H) || H                 k = BLAKE3-keyed(K_seal, be64(len AAD) || AAD || P)
//! C     = AES-256-GCM(k, nonce 00*12, AAD, P), tag of 16 bytes at its end
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;

use super::header::{BlockHeader, BlockKind, BlockLink, BlockRef, TAG_BYTES, header, split};
use super::keys::WriteKeys;
use crate::block::{Block, PAYLOAD_BYTES_MAX};
use crate::codec::{self, CanonicalCodec as _, FormatError, bound};
use crate::ids::{Key, VolumeId};

/// Seals a piece of a file. Equal pieces become equal blocks within one epoch of a volume.
///
/// # Panics
/// If it is longer than [`PAYLOAD_BYTES_MAX`].
pub fn seal_data(keys: &WriteKeys, plaintext: &[u8]) -> (Block, BlockRef) {
    seal(keys, BlockKind::Data, Vec::new(), plaintext)
}

/// Opens a piece of a file.
pub fn open_data(volume: VolumeId, at: BlockRef, block: &Block) -> Result<Bytes, FormatError> {
    Ok(open(volume, BlockKind::Data, at, block)?.1)
}

/// Seals a payload of kind 1 to 3: one pass each of BLAKE3, AES-GCM in place and SHA-256, one allocation.
pub(super) fn seal(keys: &WriteKeys, kind: BlockKind, links: Vec<BlockLink>, payload: &[u8]) -> (Block, BlockRef) {
    let header = BlockHeader { version: 1, kind, volume: keys.volume(), epoch: keys.epoch(), links, extra: None };
    let (mut bytes, aad_len) = begin(&header, payload);
    // The key covers the header too. From the plaintext alone, equal content under two headers would meet the same key
    // and nonce with different associated data, which gives GCM's authentication key away.
    let key = keyed_hash(keys.seal_key(), aad_len, &bytes);
    encrypt(key, &mut bytes, aad_len);
    let block = Block::new(bytes.into());
    let at = BlockRef { id: block.id(), key };
    (block, at)
}

/// Opens a block of kind 1 to 3 that a payload of the same volume refers to.
pub(super) fn open(
    volume: VolumeId,
    kind: BlockKind,
    at: BlockRef,
    block: &Block,
) -> Result<(Vec<BlockLink>, Bytes), FormatError> {
    assert_eq!(block.id(), at.id, "opened with the reference to another block");
    let header = header(block.bytes())?;
    bound(header.kind == kind, "the kind of a block")?;
    bound(header.volume == volume, "the volume of a block")?;
    Ok((header.links, decrypt(at.key, block.bytes(), "a block")?))
}

/// `AAD || P`, with room for the tag, and the length of the AAD.
pub(super) fn begin(header: &BlockHeader, payload: &[u8]) -> (Vec<u8>, usize) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a payload is cut before it is sealed");
    debug_assert_eq!(header.check(), Ok(()), "a header is valid before it is sealed");
    let encoded = codec::encode(header);
    let len = u32::try_from(encoded.len()).expect("LINKS_MAX bounds the header");
    let mut bytes = Vec::with_capacity(4 + encoded.len() + payload.len() + TAG_BYTES);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&encoded);
    bytes.extend_from_slice(payload);
    (bytes, 4 + encoded.len())
}

/// `BLAKE3-keyed(key, be64(len AAD) || AAD || P)`.
pub(super) fn keyed_hash(key: Key, aad_len: usize, bytes: &[u8]) -> Key {
    let mut hash = blake3::Hasher::new_keyed(&key.0);
    hash.update(&(aad_len as u64).to_be_bytes());
    hash.update(bytes);
    Key(*hash.finalize().as_bytes())
}

/// Turns `AAD || P` into `AAD || C`. The zero nonce is sound because a key is a hash of all it is used for.
pub(super) fn encrypt(key: Key, bytes: &mut Vec<u8>, aad_len: usize) {
    let (aad, payload) = bytes.split_at_mut(aad_len);
    let tag = cipher(key)
        .seal_in_place_separate_tag(zero_nonce(), Aad::from(&*aad), payload)
        .expect("a payload is far below GCM's limit");
    bytes.extend_from_slice(tag.as_ref());
}

pub(super) fn decrypt(key: Key, block: &[u8], what: &'static str) -> Result<Bytes, FormatError> {
    let (aad, sealed) = split(block)?;
    let (text, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
    let mut payload = vec![0; text.len()];
    cipher(key)
        .open_separate_gather(zero_nonce(), Aad::from(aad), text, tag, &mut payload)
        .map_err(|_| FormatError::DoesNotOpen { what })?;
    Ok(payload.into())
}

fn cipher(key: Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).expect("a key of AES-256 has 32 bytes"))
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
