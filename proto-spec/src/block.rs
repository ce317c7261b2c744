//! A block: content-addressed, immutable bytes (spec 02-block).

use bytes::Bytes;

use crate::ids::{BlockId, Digest, Key, NodeId};
use crate::label;

/// Plaintext of a block at most.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Header and tag at most: links of a manifest of the greatest fan-out.
pub const OVERHEAD_BYTES_MAX: usize = 128 * 1024;
/// A whole block at most, checked before memory is reserved.
pub const BLOCK_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX;

/// Bytes whose id was computed from them. There is no other constructor, so holding one is the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    id: BlockId,
    bytes: Bytes,
}

impl Block {
    /// Hashes the bytes. They are not copied; their owner may hold a memory permit that is given back with the last clone.
    pub fn new(bytes: Bytes) -> Self {
        Self { id: BlockId::of(&bytes), bytes }
    }

    /// Takes bytes that were hashed while they arrived.
    pub fn hashed(bytes: Bytes, hasher: crate::ids::BlockHasher) -> Self {
        Self { id: hasher.finish(), bytes }
    }

    /// The same block; `guard`, a memory permit, is dropped with the last clone of its bytes.
    pub fn guarded(self, guard: impl Send + 'static) -> Self {
        Self { id: self.id, bytes: Bytes::from_owner(GuardedBytes { bytes: self.bytes, _guard: guard }) }
    }

    /// Its id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The answer to a challenge to prove that the block can be read (spec 02-block §6).
    pub fn audit(&self, nonce: Key, challenger: NodeId, prover: NodeId) -> Digest {
        let mut hash = blake3::Hasher::new_keyed(&nonce.0);
        hash.update(label::key::AUDIT.as_bytes()).update(&[0]).update(&challenger.0).update(&prover.0);
        hash.update(&self.id.0).update(&self.bytes);
        Digest(*hash.finalize().as_bytes())
    }
}

struct GuardedBytes<G> {
    bytes: Bytes,
    _guard: G,
}

impl<G> AsRef<[u8]> for GuardedBytes<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
