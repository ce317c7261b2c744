//! Blocks: what a holder reads of them, and what opens with a key: manifests, directories, commits.

use std::sync::LazyLock;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{Key, VolumeId};
use fsdfs_proto::label::key::{COMMIT_KEY, DERIVE_PREFIX, VOL_COMMIT_OPEN};
use fsdfs_proto::volume::{
    BlockKind, BlockRef, Commit, CommitView, DirectoryNode, Manifest, VolumeKeys, header, open_data,
};

use crate::sealed::{decrypt, encrypt, expand};

/// Of the published vectors, so that their blocks are of this volume.
const VOLUME: VolumeId = VolumeId([0x11; 32]);
const EPOCH: u32 = 3;
/// The key that a reference names is not derived again by a reader, so one serves all blocks.
const BLOCK_KEY: Key = Key([0x33; 32]);

static KEYS: LazyLock<VolumeKeys> = LazyLock::new(|| VolumeKeys::from_write_secret(VOLUME, EPOCH, Key([0x55; 32])));

/// A block as a stranger may hand it over, and as `be32(length) header payload` that a holder of the key has sealed.
pub fn volume(data: &[u8]) {
    let _ = header(data);
    let _ = CommitView::of(data);
    let Some((aad, payload)) = split(data) else { return };
    // Without a tag's worth of bytes behind it no header is read.
    let Ok(head) = header(&[aad, &[0; 16]].concat()) else { return };
    let key = if head.kind == BlockKind::Commit {
        commit_key(&head.extra.map_or([0; 32], |extra| extra.salt.0))
    } else {
        BLOCK_KEY
    };
    let block = Block::new([aad, &encrypt(&key.0, [0; 12], aad, payload)].concat().into());
    let at = BlockRef { id: block.id(), key };
    let _ = open_data(head.volume, at, &block);
    let _ = Manifest::open(head.volume, at, &block);
    if let Ok(node) = DirectoryNode::open(head.volume, at, &block) {
        assert!(node.level() <= fsdfs_proto::volume::LEVEL_MAX);
    }
    let _ = Commit::open(&KEYS, block.bytes());
}

/// The same input from a sealed block: for seeds.
pub fn opened(block: &[u8], key: &[u8; 32]) -> Option<Vec<u8>> {
    let (aad, sealed) = split(block)?;
    Some([aad, &decrypt(key, aad, sealed)?].concat())
}

fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = u32::from_be_bytes(*data.first_chunk()?) as usize;
    data.split_at_checked(len.checked_add(4)?)
}

/// spec 05-volume §6: the key of a commit is made from the salt in its header.
fn commit_key(salt: &[u8; 32]) -> Key {
    let name = VOL_COMMIT_OPEN.as_bytes();
    let info = [DERIVE_PREFIX.as_bytes(), name, &[0], &VOLUME.0, &EPOCH.to_be_bytes()].concat();
    let open = expand(&KEYS.read_key().0, &info);
    Key(expand(&open, &[COMMIT_KEY.as_bytes(), &[0], salt].concat()))
}
