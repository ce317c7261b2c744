//! Sealing a payload behind its header, and opening it again (spec 02-block §4 and §5).
//!
//! ```text
//! block = be32(len H) || H || C            H = [1, kind, volume, epoch, links, extra]
//! AAD   = be32(len H) || H                 k = BLAKE3-keyed(K_seal, be64(len AAD) || AAD || P)
//! C     = AES-256-GCM(k, nonce 00*12, AAD, P), tag of 16 bytes at its end
//! ```

use aws_lc_rs::aead::Aad;
use bytes::{Buf as _, Bytes};
use serde::Serialize;

use super::cipher::{cipher, zero_nonce};
use super::header::{BlockHeader, BlockKind, BlockLink, BlockRef, TAG_BYTES, header, split};
use super::keys::WriteKeys;
use crate::block::{Block, PAYLOAD_BYTES_MAX};
use crate::codec::{self, CanonicalCodec as _, FormatError, bound};
use crate::ids::{Key, VolumeId};

/// A piece of a file with room around it, in front for a header and behind for a tag, so that it is sealed where it lies.
///
/// The header of a data block has no links and therefore few bytes, always the same number within an epoch.
#[derive(Debug)]
pub struct ChunkBuffer {
    /// [`DATA_AAD_BYTES_MAX`] unused bytes, then the plaintext.
    bytes: Vec<u8>,
}

/// `be32(len H) || H` of a data block at most: five fixed bytes, the kind, a volume of 2 + 32 bytes, an epoch of up to 5,
/// no links, no extra field.
const DATA_AAD_BYTES_MAX: usize = 4 + 3 + 34 + 5 + 2;

impl ChunkBuffer {
    /// Empty; so much plaintext fits without being moved.
    pub fn with_capacity(plaintext_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(DATA_AAD_BYTES_MAX + plaintext_bytes + TAG_BYTES);
        bytes.resize(DATA_AAD_BYTES_MAX, 0);
        Self { bytes }
    }

    /// Makes room, so that plaintext up to this length is moved at most once more.
    pub fn reserve_to(&mut self, plaintext_bytes: usize) {
        self.bytes.reserve_exact((plaintext_bytes + TAG_BYTES).saturating_sub(self.len()));
    }

    /// Adds plaintext.
    pub fn extend_from_slice(&mut self, plaintext: &[u8]) {
        self.bytes.extend_from_slice(plaintext);
    }

    /// The plaintext so far.
    pub fn plaintext(&self) -> &[u8] {
        &self.bytes[DATA_AAD_BYTES_MAX..]
    }

    /// Bytes of plaintext so far.
    pub fn len(&self) -> usize {
        self.bytes.len() - DATA_AAD_BYTES_MAX
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seals it. Equal pieces become equal blocks within one epoch of a volume.
    ///
    /// # Panics
    /// If it is longer than [`PAYLOAD_BYTES_MAX`].
    pub fn seal(mut self, keys: &WriteKeys) -> (Block, BlockRef) {
        let aad = aad(&header_of(keys, BlockKind::Data, Vec::new()));
        let start = DATA_AAD_BYTES_MAX - aad.len();
        self.bytes[start..DATA_AAD_BYTES_MAX].copy_from_slice(&aad);
        UnsealedBlock { bytes: self.bytes, start, aad_len: aad.len() }.seal(keys)
    }
}

impl From<&[u8]> for ChunkBuffer {
    fn from(plaintext: &[u8]) -> Self {
        let mut chunk = Self::with_capacity(plaintext.len());
        chunk.extend_from_slice(plaintext);
        chunk
    }
}

/// Seals a piece of a file that lies elsewhere: copies it into a [`ChunkBuffer`] first.
///
/// ```
/// use fsdfs_proto::ids::{Key, VolumeId};
/// use fsdfs_proto::volume::{VolumeKeys, open_data, seal_data};
///
/// let volume = VolumeId([3; 32]);
/// let keys = VolumeKeys::from_write_secret(volume, 1, Key([9; 32]));
/// let writer = keys.writer().expect("it was made from the write secret");
/// let (block, at) = seal_data(writer, b"a piece of a file");
/// assert_eq!(open_data(volume, at, &block)?, &b"a piece of a file"[..]);
/// assert_eq!(seal_data(writer, b"a piece of a file").0, block, "equal pieces are stored once");
/// # Ok::<(), fsdfs_proto::codec::FormatError>(())
/// ```
///
/// # Panics
/// If it is longer than [`PAYLOAD_BYTES_MAX`].
pub fn seal_data(keys: &WriteKeys, plaintext: &[u8]) -> (Block, BlockRef) {
    ChunkBuffer::from(plaintext).seal(keys)
}

/// Opens a piece of a file.
pub fn open_data(volume: VolumeId, at: BlockRef, block: &Block) -> Result<Bytes, FormatError> {
    Ok(open(volume, BlockKind::Data, at, block)?.1)
}

/// Opens a piece of a file where it lies, if nobody else holds the block; otherwise into a new buffer.
pub fn open_data_in_place(volume: VolumeId, at: BlockRef, block: Block) -> Result<Bytes, FormatError> {
    check_header(volume, BlockKind::Data, at, &block)?;
    match block.into_unique() {
        Ok(mut bytes) => {
            let aad_len = split(&bytes)?.0.len();
            let (aad, sealed) = bytes.split_at_mut(aad_len);
            let len = decrypt_in_place(at.key, aad, sealed, "a block")?;
            bytes.truncate(aad_len + len);
            bytes.advance(aad_len);
            Ok(bytes.freeze())
        }
        Err(block) => Ok(decrypt(at.key, block.bytes(), "a block")?.into()),
    }
}

/// Seals a payload of kind 1 to 3.
pub(super) fn seal<T: Serialize>(
    keys: &WriteKeys,
    kind: BlockKind,
    links: Vec<BlockLink>,
    payload: &T,
) -> (Block, BlockRef) {
    let mut unsealed = UnsealedBlock::behind(&header_of(keys, kind, links));
    codec::encode_onto(&mut unsealed.bytes, payload);
    unsealed.seal(keys)
}

fn header_of(keys: &WriteKeys, kind: BlockKind, links: Vec<BlockLink>) -> BlockHeader {
    BlockHeader { version: 1, kind, volume: keys.volume(), epoch: keys.epoch(), links, extra: None }
}

/// Opens a block of kind 1 to 3 that a payload of the same volume refers to.
pub(super) fn open(
    volume: VolumeId,
    kind: BlockKind,
    at: BlockRef,
    block: &Block,
) -> Result<(Vec<BlockLink>, Bytes), FormatError> {
    let links = check_header(volume, kind, at, block)?;
    Ok((links, decrypt(at.key, block.bytes(), "a block")?.into()))
}

/// Whether the block is of this volume and kind. Its links.
fn check_header(volume: VolumeId, kind: BlockKind, at: BlockRef, block: &Block) -> Result<Vec<BlockLink>, FormatError> {
    assert_eq!(block.id(), at.id, "opened with the reference to another block");
    let header = header(block.bytes())?;
    bound(header.kind == kind, "the kind of a block")?;
    bound(header.volume == volume, "the volume of a block")?;
    Ok(header.links)
}

/// `be32(len H) || H`.
fn aad(header: &BlockHeader) -> Vec<u8> {
    debug_assert_eq!(header.check(), Ok(()), "a header is valid before it is sealed");
    let mut bytes = vec![0; 4];
    codec::encode_onto(&mut bytes, header);
    let len = u32::try_from(bytes.len() - 4).expect("LINKS_MAX bounds the header");
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// `AAD || P` behind `start` bytes that are of no use.
pub(super) struct UnsealedBlock {
    pub bytes: Vec<u8>,
    start: usize,
    aad_len: usize,
}

impl UnsealedBlock {
    /// Without a payload yet.
    pub fn behind(header: &BlockHeader) -> Self {
        let bytes = aad(header);
        Self { start: 0, aad_len: bytes.len(), bytes }
    }

    /// One pass each of BLAKE3, AES-GCM in place and SHA-256.
    fn seal(self, keys: &WriteKeys) -> (Block, BlockRef) {
        // The key covers the header too. From the plaintext alone, equal content under two headers would meet the same key
        // and nonce with different associated data, which gives GCM's authentication key away.
        let key = self.keyed_hash(keys.seal_key());
        let block = self.encrypt(key);
        let at = BlockRef { id: block.id(), key };
        (block, at)
    }

    /// `BLAKE3-keyed(key, be64(len AAD) || AAD || P)`.
    pub fn keyed_hash(&self, key: Key) -> Key {
        let mut hash = blake3::Hasher::new_keyed(&key.0);
        hash.update(&(self.aad_len as u64).to_be_bytes());
        hash.update(&self.bytes[self.start..]);
        Key(*hash.finalize().as_bytes())
    }

    /// `AAD || C`. The zero nonce is sound because a key is a hash of all it is used for.
    pub fn encrypt(self, key: Key) -> Block {
        let Self { mut bytes, start, aad_len } = self;
        let (aad, payload) = bytes[start..].split_at_mut(aad_len);
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a payload is cut before it is sealed");
        let tag = cipher(key)
            .seal_in_place_separate_tag(zero_nonce(), Aad::from(&*aad), payload)
            .expect("a payload is far below GCM's limit");
        bytes.extend_from_slice(tag.as_ref());
        // A block may be kept for long, and what was reserved for more of it with it.
        bytes.shrink_to_fit();
        Block::new(Bytes::from(bytes).slice(start..))
    }
}

/// The payload in a buffer of its own: others may hold the block.
pub(super) fn decrypt(key: Key, block: &[u8], what: &'static str) -> Result<Vec<u8>, FormatError> {
    let (aad, sealed) = split(block)?;
    let mut payload = sealed.to_vec();
    let len = decrypt_in_place(key, aad, &mut payload, what)?;
    payload.truncate(len);
    Ok(payload)
}

/// Turns `C` into `P` and 16 bytes of no use. The length of `P`.
fn decrypt_in_place(key: Key, aad: &[u8], sealed: &mut [u8], what: &'static str) -> Result<usize, FormatError> {
    let opened = cipher(key).open_in_place(zero_nonce(), Aad::from(aad), sealed);
    opened.map(|payload| payload.len()).map_err(|_| FormatError::DoesNotOpen { what })
}
