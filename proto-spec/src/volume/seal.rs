//! Blocks: a header that every holder can read, and a sealed payload (spec 02-block).
//!
//! ```text
//! block = be32(len H) || H || C            H = [1, kind, volume, epoch, links, extra]
//! AAD   = be32(len H) || H                 k = BLAKE3-keyed(K_seal, be64(len AAD) || AAD || P)
//! C     = AES-256-GCM(k, nonce 00*12, AAD, P), tag of 16 bytes at its end
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::commit::CommitExtra;
use super::keys::WriteKeys;
use crate::block::{Block, OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::codec::{self, CanonicalCodec, FormatError, bound};
use crate::ids::{BlockId, Key, VolumeId};
use crate::message::Redundancy;
use crate::u8_enum;

/// Links of one block at most. The longest link, a stripe member, takes 77 bytes.
pub const LINKS_MAX: usize = 1536;
const TAG_BYTES: usize = 16;
/// Bytes of an encoded header at most.
const HEADER_BYTES_MAX: usize = OVERHEAD_BYTES_MAX - 4 - TAG_BYTES;

const _: () = assert!(LINKS_MAX * 80 + 256 <= HEADER_BYTES_MAX, "a header with all its links must fit");

u8_enum! {
    /// What a block holds.
    pub enum BlockKind {
        /// A piece of a file, nothing else; no links.
        1 => Data,
        /// The pieces of a file in order.
        2 => Manifest,
        /// A folder or a part of one.
        3 => Directory,
        /// A state of a volume.
        4 => Commit,
    }
}

u8_enum! {
    /// How a link is to be followed.
    pub enum LinkClass {
        /// Part of the same tree; has links of its own.
        0 => Tree,
        /// An earlier state: kept or not as the rules on history say.
        1 => Parent,
        /// Data that is a member of a stripe. Interior blocks are never sharded.
        2 => Stripe,
        /// Part of the same tree, data without links: whoever walks over links need not read it.
        3 => Leaf,
    }
}

/// A block this one needs, visible to holders without keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLink {
    /// Which block.
    pub id: BlockId,
    /// How to follow it.
    pub class: LinkClass,
    /// The redundancy wanted for it.
    pub redundancy: Redundancy,
}

/// The public part of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// 1.
    pub version: u8,
    /// What the block holds.
    pub kind: BlockKind,
    /// Of which volume.
    pub volume: VolumeId,
    /// Sealed with keys of which epoch.
    pub epoch: u32,
    /// What it needs, in the order of first use by the payload, no id twice.
    pub links: Vec<BlockLink>,
    /// With commits only.
    pub extra: Option<CommitExtra>,
}

/// A reference: a block and the key that opens it. Caches, comparisons and deduplication go by pairs, for AES-GCM does
/// not commit to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockRef {
    /// Which block.
    pub id: BlockId,
    /// Its key.
    pub key: Key,
}

/// Reads the public part of a block; no key is needed.
pub fn header(block: &[u8]) -> Result<BlockHeader, FormatError> {
    codec::decode(split(block)?.0.get(4..).unwrap_or_default())
}

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

/// A block's AAD and its sealed payload with tag.
fn split(block: &[u8]) -> Result<(&[u8], &[u8]), FormatError> {
    let short = || FormatError::Malformed("a block ends early".into());
    let (len, rest) = block.split_first_chunk::<4>().ok_or_else(short)?;
    let len = u32::from_be_bytes(*len) as usize;
    bound(len <= HEADER_BYTES_MAX, "the length of a block's header")?;
    let sealed = rest.get(len..).filter(|sealed| sealed.len() >= TAG_BYTES).ok_or_else(short)?;
    bound(sealed.len() - TAG_BYTES <= PAYLOAD_BYTES_MAX, "the length of a block's payload")?;
    Ok((&block[..4 + len], sealed))
}

fn cipher(key: Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).expect("a key of AES-256 has 32 bytes"))
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

impl CanonicalCodec for BlockHeader {
    fn check(&self) -> Result<(), FormatError> {
        if self.version != 1 {
            return Err(FormatError::TooNew { what: "a block", version: self.version.into() });
        }
        bound(self.epoch >= 1, "the epoch of a block")?;
        bound(self.links.len() <= LINKS_MAX, "the links of a block")?;
        self.links.iter().try_for_each(|link| link.check(self.kind))?;
        distinct(&self.links)?;
        match (&self.extra, self.kind) {
            (Some(extra), BlockKind::Commit) => extra.check(&self.links),
            (None, BlockKind::Data | BlockKind::Manifest | BlockKind::Directory) => Ok(()),
            _ => bound(false, "the extra field of a block's header"),
        }
    }
}

impl BlockLink {
    fn check(&self, from: BlockKind) -> Result<(), FormatError> {
        use LinkClass::{Leaf, Parent, Stripe, Tree};
        let allowed = match from {
            BlockKind::Data => false,
            BlockKind::Manifest => matches!(self.class, Tree | Leaf | Stripe),
            BlockKind::Directory => matches!(self.class, Tree | Leaf),
            BlockKind::Commit => matches!(self.class, Tree | Parent),
        };
        bound(allowed, "the class of a link")?;
        match self.redundancy {
            Redundancy::Replicas(copies) => bound(copies >= 1 && self.class != Stripe, "the redundancy of a link"),
            Redundancy::Stripe(stripe) => {
                bound(self.class == Stripe && stripe.k >= 1 && stripe.m >= 1, "the redundancy of a link")
            }
        }
    }
}

fn distinct(links: &[BlockLink]) -> Result<(), FormatError> {
    let mut ids: Vec<BlockId> = links.iter().map(|link| link.id).collect();
    ids.sort_unstable();
    codec::ascending(&ids, |id| *id)
}
