//! Blocks against their published bytes, and what a reader refuses (spec 02-block).

use crate::sealed::{self, AuditVector, BlockVector, EPOCH, ReceiptVector, VOLUME, VectorFile, keys, seal};
use ed25519_dalek::SigningKey;
use fsdfs_proto::block::{Block, PAYLOAD_BYTES_MAX};
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{BlockId, Key, NodeId, PoolId, VolumeId};
use fsdfs_proto::message::{Redundancy, StripeShard};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::volume::{
    BlockHeader, BlockKind, BlockLink, BlockRef, Commit, CommitExtra, Dot, EntryFlags, FolderNode, LINKS_MAX,
    LinkClass, Manifest, VersionVector, VolumeKeys, header, open_data, seal_data,
};
use proptest::prelude::*;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/block.json");

fn link(number: u8, class: LinkClass) -> BlockLink {
    BlockLink { id: BlockId([number; 32]), class, redundancy: Redundancy::Replicas(3) }
}

fn plain(kind: BlockKind, links: Vec<BlockLink>) -> BlockHeader {
    BlockHeader { version: 1, kind, volume: VOLUME, epoch: EPOCH, links, extra: None }
}

fn child(number: u8) -> BlockRef {
    BlockRef { id: BlockId([number; 32]), key: Key([number ^ 0xff; 32]) }
}

fn commit() -> Block {
    let dot = Dot { writer: fsdfs_proto::ids::Writer([8; 16]), seq: 1 };
    Commit {
        parents: vec![BlockId([6; 32]), BlockId([7; 32])],
        time: fsdfs_proto::time::Hlc { ms: 1_700_000_000_000, count: 2 },
        dot: Some(dot),
        version_vector: [dot].into_iter().collect(),
        flags: EntryFlags::NONE,
        root: FolderNode::default(),
        message: Some("made by a test".into()),
    }
    .seal(keys().writer().unwrap(), 3)
}

fn commit_key(block: &Block) -> Key {
    let extra = header(block.bytes()).unwrap().extra.unwrap();
    let open = sealed::derive(keys().read_key(), "vol-commit-open");
    sealed::expand(open, &[b"fsdfs/2/commit-key\0", &extra.salt.0[..]].concat())
}

fn good() -> Vec<BlockVector> {
    let keys = keys();
    let writer = keys.writer().unwrap();
    let data = |name: &str, plaintext: &[u8]| {
        let (block, at) = seal_data(writer, plaintext);
        assert_eq!((block.clone(), at), seal(&plain(BlockKind::Data, vec![]), plaintext), "sealed by hand");
        BlockVector::new(name, &block, at.key, None)
    };
    let children = [1, 2, 1].map(|number| Some(child(number))).into();
    let manifest = Manifest { level: 1, chunk_bytes: 4, fan_out: 3, size: 11, children };
    let (block, at) = manifest.seal(writer, 3);
    let commit = commit();
    vec![
        data("a data block", b"hello, world\n"),
        data("a data block of 200 bytes", &[0xab; 200]),
        BlockVector::new("a manifest with two links, one used twice", &block, at.key, None),
        BlockVector::new("a commit with two parents", &commit, commit_key(&commit), None),
    ]
}

fn bad() -> Vec<BlockVector> {
    use LinkClass::{Leaf, Parent, Stripe, Tree};
    let shard = |index, k, m| Redundancy::Stripe(StripeShard { stripe: BlockId([9; 32]), index, k, m });
    let stripe = shard(0, 4, 2);
    let with = |kind, links: Vec<BlockLink>| seal(&plain(kind, links), b"");
    let redundancy = |class, redundancy| vec![BlockLink { redundancy, ..link(1, class) }];
    let extra = CommitExtra {
        time: Default::default(),
        writer: None,
        seq: 0,
        version_vector: VersionVector::default(),
        flags: EntryFlags::NONE,
        salt: Key([0; 32]),
    };
    // A number in more bytes than it needs.
    let long = (1u8, 1u8, VOLUME, EPOCH, Vec::<BlockLink>::new(), ());
    let mut encoded = rmp_serde::to_vec(&long).unwrap();
    encoded.splice(2..3, [0xcc, 1]);
    let aad = [&u32::try_from(encoded.len()).unwrap().to_be_bytes()[..], &encoded].concat();
    let key = Key([1; 32]);
    let non_canonical = (sealed::encrypt(key, aad, b""), key);
    let sealed = |(block, at): (Block, BlockRef)| (block, at.key);
    let blocks = vec![
        ("version 2", sealed(seal(&BlockHeader { version: 2, ..plain(BlockKind::Data, vec![]) }, b""))),
        ("kind 5", sealed(seal(&(1, 5, VOLUME, EPOCH, Vec::<BlockLink>::new(), ()), b""))),
        ("epoch 0", sealed(seal(&BlockHeader { epoch: 0, ..plain(BlockKind::Data, vec![]) }, b""))),
        ("a link of a data block", sealed(with(BlockKind::Data, vec![link(1, Leaf)]))),
        ("a parent of a manifest", sealed(with(BlockKind::Manifest, vec![link(1, Parent)]))),
        ("a stripe member of a directory", sealed(with(BlockKind::Directory, redundancy(Stripe, stripe)))),
        (
            "a stripe member with replicas",
            sealed(with(BlockKind::Manifest, redundancy(Stripe, Redundancy::Replicas(3)))),
        ),
        ("a seventh shard of six", sealed(with(BlockKind::Manifest, redundancy(Stripe, shard(6, 4, 2))))),
        ("a stripe of 33 shards", sealed(with(BlockKind::Manifest, redundancy(Stripe, shard(0, 30, 3))))),
        ("a leaf with a stripe", sealed(with(BlockKind::Manifest, redundancy(Leaf, stripe)))),
        ("no replicas", sealed(with(BlockKind::Manifest, redundancy(Tree, Redundancy::Replicas(0))))),
        ("the same link twice", sealed(with(BlockKind::Manifest, vec![link(1, Tree), link(2, Tree), link(1, Tree)]))),
        ("a commit without its field", sealed(with(BlockKind::Commit, vec![]))),
        (
            "a data block with a commit's field",
            sealed(seal(&BlockHeader { extra: Some(extra), ..plain(BlockKind::Data, vec![]) }, b"")),
        ),
        ("a map", sealed(seal(&(1, 1, VOLUME, EPOCH, std::collections::BTreeMap::from([(1, 2)]), ()), b""))),
        ("seven fields", sealed(seal(&(1, 1, VOLUME, EPOCH, Vec::<BlockLink>::new(), (), ()), b""))),
        ("a number in too many bytes", non_canonical),
    ];
    let vector = |(name, (block, key)): (&str, (Block, Key))| {
        let error = header(block.bytes()).expect_err(name);
        BlockVector::new(name, &block, key, Some(error.to_string()))
    };
    blocks.into_iter().map(vector).collect()
}

fn audit(blocks: &[BlockVector]) -> AuditVector {
    let (nonce, challenger, prover) = (Key([4; 32]), NodeId([5; 32]), NodeId([6; 32]));
    let proof = blocks[0].parts().0.audit(nonce, challenger, prover).to_string();
    AuditVector { nonce: nonce.to_string(), challenger: challenger.to_string(), prover: prover.to_string(), proof }
}

fn receipt(blocks: &[BlockVector]) -> ReceiptVector {
    let (pool, seed) = (PoolId([8; 32]), Key([7; 32]));
    let id = blocks[0].parts().0.id();
    let BlockReceipt { member, signature } = BlockReceipt::sign(pool, &SigningKey::from_bytes(&seed.0), id);
    ReceiptVector {
        pool: pool.to_string(),
        member_seed: seed.to_string(),
        member: member.to_string(),
        signature: signature.to_string(),
    }
}

fn file() -> VectorFile {
    let blocks: Vec<BlockVector> = good().into_iter().chain(bad()).collect();
    let (audits, receipts) = (vec![audit(&blocks)], vec![receipt(&blocks)]);
    VectorFile { keys: sealed::published_keys(), audits, receipts, blocks }
}

#[test]
fn blocks_have_their_published_bytes() {
    sealed::check(VECTORS, &file());
}

#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    sealed::write(VECTORS, &file());
}

#[test]
fn keys_are_derived_as_written() {
    let (keys, published) = (keys(), sealed::published_keys());
    assert_eq!(keys.read_key().to_string(), published.read);
    assert_eq!(keys.read_check().to_string(), published.read_check);
    assert_eq!(keys.writer().unwrap().write_pk().to_string(), published.write_pk);
    let reader = VolumeKeys::from_read_key(VOLUME, EPOCH, keys.read_key());
    assert!(reader.writer().is_none());
    assert_ne!(reader, keys);
    assert!(!format!("{keys:?}").contains("55"), "no key in a log");
}

#[test]
fn what_was_changed_does_not_open() {
    let (block, at) = seal_data(keys().writer().unwrap(), b"content");
    assert_eq!(open_data(VOLUME, at, &block).unwrap(), &b"content"[..]);
    let refused = FormatError::DoesNotOpen { what: "a block" };
    let wrong = BlockRef { key: Key([0; 32]), ..at };
    assert_eq!(open_data(VOLUME, wrong, &block), Err(refused.clone()));
    assert!(open_data(VolumeId([1; 32]), at, &block).is_err());
    let mut bytes = block.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = Block::new(bytes.into());
    assert_eq!(open_data(VOLUME, BlockRef { id: changed.id(), ..at }, &changed), Err(refused));
    assert_ne!(commit().id(), at.id);
    assert!(Commit::open(&keys(), commit().bytes()).is_ok());
    let other = VolumeKeys::from_write_secret(VOLUME, EPOCH, Key([1; 32]));
    assert_eq!(Commit::open(&other, commit().bytes()), Err(FormatError::DoesNotOpen { what: "a commit" }));
}

#[test]
fn the_key_depends_on_the_header() {
    let (_, plain_key) = seal(&plain(BlockKind::Manifest, vec![link(1, LinkClass::Tree)]), b"same");
    let (_, other_key) = seal(&plain(BlockKind::Manifest, vec![link(2, LinkClass::Tree)]), b"same");
    assert_ne!(plain_key.key, other_key.key);
}

#[test]
fn lengths_are_bounded() {
    let full = vec![7; PAYLOAD_BYTES_MAX];
    let (block, at) = seal_data(keys().writer().unwrap(), &full);
    assert_eq!(open_data(VOLUME, at, &block).unwrap().len(), PAYLOAD_BYTES_MAX);
    let too_long =
        sealed::encrypt(Key([1; 32]), sealed::aad(&plain(BlockKind::Data, vec![])), &vec![7; PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(header(too_long.bytes()), Err(FormatError::OutOfBounds { .. })));
    let number = |number: usize| BlockLink {
        id: BlockId([number as u8, (number >> 8) as u8].repeat(16).try_into().unwrap()),
        ..link(0, LinkClass::Leaf)
    };
    let links = |count: usize| (0..count).map(number).collect::<Vec<_>>();
    assert!(header(seal(&plain(BlockKind::Manifest, links(LINKS_MAX)), b"").0.bytes()).is_ok());
    assert!(header(seal(&plain(BlockKind::Manifest, links(LINKS_MAX + 1)), b"").0.bytes()).is_err());
    let least = sealed::aad(&plain(BlockKind::Data, vec![])).len() + 16;
    for len in 0..least {
        assert!(header(&block.bytes()[..len]).is_err(), "{len} bytes");
    }
    assert!(header(&[0xff; 200]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn data_opens_to_what_was_sealed(plaintext in prop::collection::vec(any::<u8>(), 0..3000)) {
        let (block, at) = seal_data(keys().writer().unwrap(), &plaintext);
        prop_assert_eq!(open_data(VOLUME, at, &block).unwrap(), plaintext);
    }

    #[test]
    fn any_bytes_are_a_block_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..300), short in any::<bool>()) {
        if short && bytes.len() > 4 {
            bytes[..3].fill(0);
        }
        let _ = header(&bytes);
        let _ = Commit::open(&keys(), &bytes);
    }

    /// Damage anywhere in a real block is an error or another valid header, never a panic.
    #[test]
    fn damaged_blocks_are_refused(at in 0usize..400, flip in 1u8..) {
        let block = commit();
        let mut bytes = block.bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let _ = header(&bytes);
        prop_assert!(Commit::open(&keys(), &bytes).is_err());
    }
}
