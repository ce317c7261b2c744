//! A block: content-addressed, immutable bytes (spec 02-block).

use std::any::Any;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::ids::{BlockId, Digest, Key, NodeId};
use crate::label;

/// Plaintext of a block at most.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Header and tag at most: links of a manifest of the greatest fan-out.
pub const OVERHEAD_BYTES_MAX: usize = 128 * 1024;
/// A whole block at most, checked before memory is reserved.
pub const BLOCK_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX;

/// Bytes whose id was computed from them. There is no other constructor, so holding one is the proof.
///
/// ```
/// use bytes::Bytes;
/// use fsdfs_proto::{block::Block, ids::BlockId};
///
/// let block = Block::new(Bytes::from_static(b"what a holder keeps"));
/// assert_eq!(block.id(), BlockId::of(block.bytes()));
/// ```
#[derive(Clone, Debug)]
pub struct Block {
    id: BlockId,
    bytes: Bytes,
    /// A permit to hold the bytes in memory. Given back with the last clone of the block.
    guard: Option<MemoryGuard>,
}

type MemoryGuard = Arc<dyn Any + Send + Sync>;

/// The id says all about the bytes.
impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Block {}

impl Block {
    /// Hashes the bytes. They are not copied.
    pub fn new(bytes: Bytes) -> Self {
        Self { id: BlockId::of(&bytes), bytes, guard: None }
    }

    /// Takes bytes that were hashed while they arrived.
    pub fn hashed(bytes: Bytes, hasher: crate::ids::BlockHasher) -> Self {
        Self { id: hasher.finish(), bytes, guard: None }
    }

    /// The same block; `guard`, a memory permit, is dropped with the last clone of it. Takes the place of an earlier one.
    pub fn guarded(self, guard: impl Send + Sync + 'static) -> Self {
        Self { guard: Some(Arc::new(guard)), ..self }
    }

    /// The same block without a memory permit, for whoever has accounted for its memory otherwise.
    pub fn unguarded(self) -> Self {
        Self { guard: None, ..self }
    }

    /// Its id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// Its bytes. Whoever keeps a clone of them keeps the block as well, else they outlive its memory permit.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its bytes, to be changed, if nobody else holds them; the permit is given back. Otherwise the block.
    pub fn into_unique(self) -> Result<BytesMut, Self> {
        let Self { id, bytes, guard } = self;
        bytes.try_into_mut().map_err(|bytes| Self { id, bytes, guard })
    }

    /// The answer to a challenge to prove that the block can be read (spec 02-block §6).
    pub fn audit(&self, nonce: Key, challenger: NodeId, prover: NodeId) -> Digest {
        let mut hash = blake3::Hasher::new_keyed(&nonce.0);
        hash.update(label::key::AUDIT.as_bytes()).update(&[0]).update(&challenger.0).update(&prover.0);
        hash.update(&self.id.0).update(&self.bytes);
        Digest(*hash.finalize().as_bytes())
    }
}
