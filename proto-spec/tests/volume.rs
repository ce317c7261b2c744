//! Directories, manifests, commits and heads against their published bytes, and what a reader refuses (spec 05-volume).

use crate::sealed::{self, BlockVector, EPOCH, VOLUME, keys};
use bytes::Bytes;
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::{self, FormatError};
use fsdfs_proto::ids::{BlockId, Key, PoolId, PublicKey, Writer};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    BlockHeader, BlockKind, BlockLink, BlockRef, Commit, CommitExtra, CommitView, DirectoryChild, DirectoryEntry,
    DirectoryNode, Dot, DotSpan, EntryFlags, EntryVersion, FileAttributes, FileContent, FolderNode, FolderVectors,
    IndexedLink, LinkClass, Manifest, MarkSet, NodeTarget, VersionVector, Xattr, check_name, header, weight,
};
use proptest::prelude::*;
use serde::Serialize;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/volume.json");
const A: Writer = Writer([0xa; 16]);
const B: Writer = Writer([0xb; 16]);

fn dot(writer: Writer, seq: u64) -> Dot {
    Dot { writer, seq }
}

fn at(number: u8) -> BlockRef {
    BlockRef { id: BlockId([number; 32]), key: Key([number ^ 0xff; 32]) }
}

fn version<T>(dot: Dot, value: T) -> EntryVersion<T> {
    let time = Hlc { ms: 1_700_000_000_000 + dot.seq, count: 0 };
    EntryVersion { time, writer: dot.writer, value, xattrs: vec![], copies: None, dot }
}

fn file<R>(size: u64, content: FileContent<R>) -> fsdfs_proto::volume::FileNode<R> {
    fsdfs_proto::volume::FileNode { attrs: FileAttributes { mode: 0o644, mtime_ns: -1_500 }, size, content }
}

fn inline<R>(text: &str) -> fsdfs_proto::volume::FileNode<R> {
    file(text.len() as u64, FileContent::Inline(Bytes::copy_from_slice(text.as_bytes())))
}

fn name(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn entry<R>(text: &str, value: fsdfs_proto::volume::FileNode<R>) -> DirectoryEntry<R> {
    DirectoryEntry { name: name(text), versions: vec![version(dot(A, 1), value)], folder: None }
}

fn within(dots: &[Dot]) -> FolderVectors {
    let mut within = FolderVectors::default();
    dots.iter().for_each(|dot| within.add(*dot));
    within
}

fn leaf() -> DirectoryNode {
    let conflict = vec![version(dot(A, 7), inline("mine")), version(dot(B, 9), inline("yours"))];
    let xattrs = vec![Xattr { name: name("user.tag"), value: name("red") }];
    let tagged = EntryVersion {
        xattrs,
        copies: Some(5),
        ..version(dot(B, 2), file(1 << 21, FileContent::Tree { root: at(1), depth: 1 }))
    };
    let moved = FolderNode {
        births: vec![dot(A, 8)],
        since: [dot(A, 7), dot(B, 4)].into_iter().collect(),
        attrs: vec![version(dot(A, 3), FileAttributes { mode: 0o750, mtime_ns: 5 })],
        tree: Some(at(3)),
        within: within(&[dot(A, 2), dot(A, 6), dot(B, 4)]),
    };
    let made_twice = FolderNode { births: vec![dot(A, 4), dot(B, 3)], ..FolderNode::default() };
    DirectoryNode::Leaf(vec![
        DirectoryEntry { name: name("both"), versions: vec![version(dot(B, 5), inline(""))], folder: Some(made_twice) },
        DirectoryEntry { name: name("conflict"), versions: conflict, folder: None },
        entry("link", file(8, FileContent::Symlink(name("../there")))),
        DirectoryEntry { name: name("moved"), versions: vec![], folder: Some(moved) },
        entry("small", file(20_000, FileContent::Tree { root: at(2), depth: 0 })),
        entry("small again", file(20_000, FileContent::Tree { root: at(2), depth: 0 })),
        DirectoryEntry { name: name("tagged"), versions: vec![tagged], folder: None },
        entry("\u{fffd}\n\"", inline("a name for which nobody asked")),
    ])
}

fn interior() -> DirectoryNode {
    let child = |last: &str, node, seq| DirectoryChild {
        last: name(last),
        node: at(node),
        count: 9,
        within: within(&[dot(A, seq)]),
    };
    let many =
        FolderVectors::from_iter((0..40).map(|writer| DotSpan { writer: Writer([writer; 16]), least: 1, greatest: 2 }));
    DirectoryNode::Interior {
        level: 2,
        children: vec![child("k", 1, 1), DirectoryChild { within: many, ..child("z", 2, 5) }],
    }
}

fn commit() -> Commit {
    Commit {
        parents: vec![],
        time: Hlc { ms: 1_700_000_000_000, count: 0 },
        dot: Some(dot(A, 1)),
        version_vector: [dot(A, 1)].into_iter().collect(),
        flags: EntryFlags::NONE,
        root: FolderNode::default(),
        message: None,
    }
}

fn with_tree() -> Commit {
    let attrs = vec![version(dot(A, 2), FileAttributes { mode: 0o711, mtime_ns: 0 })];
    let root = FolderNode { attrs, tree: Some(at(4)), within: within(&[dot(A, 2)]), ..FolderNode::default() };
    let version_vector = [dot(A, 2), dot(B, 9)].into_iter().collect();
    Commit { parents: vec![BlockId([5; 32])], dot: Some(dot(A, 2)), version_vector, root, ..commit() }
}

fn merge() -> Commit {
    Commit { parents: vec![BlockId([5; 32]), BlockId([6; 32])], dot: None, ..with_tree() }
}

fn commit_key(block: &Block) -> Key {
    let salt = header(block.bytes()).unwrap().extra.unwrap().salt;
    sealed::expand(
        sealed::derive(keys().read_key(), "vol-commit-open"),
        &[b"fsdfs/2/commit-key\0", &salt.0[..]].concat(),
    )
}

fn good() -> Vec<BlockVector> {
    let keys = keys();
    let writer = keys.writer().unwrap();
    let node = |name: &str, node: DirectoryNode| {
        let (block, at) = node.clone().seal(writer, 3).unwrap();
        assert_eq!(DirectoryNode::open(VOLUME, at, &block), Ok(node));
        BlockVector::new(name, &block, at.key, None)
    };
    let manifest = |name: &str, manifest: Manifest| {
        let (block, at) = manifest.seal(writer, 3);
        assert_eq!(Manifest::open(VOLUME, at, &block), Ok(manifest));
        BlockVector::new(name, &block, at.key, None)
    };
    let sealed = |name: &str, commit: Commit| {
        let block = commit.seal(writer, 3);
        assert_eq!(Commit::open(&keys, block.bytes()), Ok(commit));
        BlockVector::new(name, &block, commit_key(&block), None)
    };
    let children = |count: u8| (1..=count).map(|number| Some(at(number))).collect();
    vec![
        node("a leaf: versions, folders, symlinks, trees", leaf()),
        node("an interior node", interior()),
        manifest(
            "three chunks",
            Manifest { level: 1, chunk_bytes: 1 << 20, fan_out: 1024, size: (2 << 20) + 1, children: children(3) },
        ),
        manifest(
            "two manifests",
            Manifest { level: 2, chunk_bytes: 100, fan_out: 3, size: 301, children: children(2) },
        ),
        manifest(
            "a chunk between two holes",
            Manifest { level: 1, chunk_bytes: 100, fan_out: 3, size: 250, children: vec![None, Some(at(1)), None] },
        ),
        manifest("a hole", Manifest { level: 1, chunk_bytes: 100, fan_out: 3, size: 7, children: vec![None] }),
        sealed("the first commit of an empty volume", commit()),
        sealed("a commit", with_tree()),
        sealed("a merge", merge()),
    ]
}

fn link(number: u8, class: LinkClass) -> BlockLink {
    BlockLink { id: BlockId([number; 32]), class, redundancy: Redundancy::Replicas(3) }
}

/// A directory by hand: `[flags, level, entries, children]`.
fn directory(links: Vec<BlockLink>, payload: &impl Serialize) -> (Block, BlockRef) {
    let header =
        BlockHeader { version: 1, kind: BlockKind::Directory, volume: VOLUME, epoch: EPOCH, links, extra: None };
    sealed::seal(&header, &rmp_serde::to_vec(payload).unwrap())
}

type IndexedEntries = Vec<DirectoryEntry<IndexedLink>>;

fn entries(entries: IndexedEntries) -> (Block, BlockRef) {
    directory(vec![], &(0u32, 0u8, entries, Vec::<u8>::new()))
}

fn chunk(link: u32) -> fsdfs_proto::volume::FileNode<IndexedLink> {
    file(100, FileContent::Tree { root: IndexedLink { link, key: Key([1; 32]) }, depth: 0 })
}

fn bad_directories() -> Vec<(&'static str, (Block, BlockRef))> {
    use LinkClass::{Leaf, Tree};
    let with = |links: &[BlockLink], uses: &[u32]| {
        let entries: IndexedEntries =
            uses.iter().enumerate().map(|(at, link)| entry(&format!("{at}"), chunk(*link))).collect();
        directory(links.to_vec(), &(0u32, 0u8, entries, Vec::<u8>::new()))
    };
    let one = |entry: DirectoryEntry<IndexedLink>| entries(vec![entry]);
    let named = |name: &[u8]| one(DirectoryEntry { name: Bytes::copy_from_slice(name), ..entry("", inline("")) });
    let folder = |folder: FolderNode<IndexedLink>| {
        one(DirectoryEntry { versions: vec![], folder: Some(folder), ..entry("d", inline("")) })
    };
    let born = || FolderNode { births: vec![dot(A, 1)], ..FolderNode::default() };
    let versions = |versions: Vec<EntryVersion<_>>| one(DirectoryEntry { versions, ..entry("f", inline("")) });
    let valued = |value| one(entry("f", value));
    vec![
        ("an unused link", with(&[link(1, Leaf), link(2, Leaf)], &[0])),
        ("a link that does not exist", with(&[link(1, Leaf)], &[0, 1])),
        ("first uses out of order", with(&[link(1, Leaf), link(2, Leaf)], &[1, 0])),
        ("a chunk by a link of class tree", with(&[link(1, Tree)], &[0])),
        ("a name with /", named(b"a/b")),
        ("a name with NUL", named(b"a\0b")),
        ("the name .", named(b".")),
        ("the name ..", named(b"..")),
        ("an empty name", named(b"")),
        ("a name of 256 bytes", named(&[b'x'; 256])),
        ("names out of order", entries(vec![entry("b", inline("")), entry("a", inline(""))])),
        ("the same name twice", entries(vec![entry("a", inline("1")), entry("a", inline("2"))])),
        ("no entries", entries(vec![])),
        ("an entry without anything", one(DirectoryEntry { versions: vec![], ..entry("f", inline("")) })),
        ("versions out of order", versions(vec![version(dot(A, 2), inline("")), version(dot(A, 1), inline(""))])),
        ("the same version twice", versions(vec![version(dot(A, 1), inline("")), version(dot(A, 1), inline(""))])),
        ("33 versions", versions((1..34).map(|seq| version(dot(A, seq), inline(""))).collect())),
        ("dot 0", versions(vec![version(dot(A, 0), inline(""))])),
        ("a folder that nothing keeps alive", folder(FolderNode::default())),
        ("births out of order", folder(FolderNode { births: vec![dot(B, 1), dot(A, 1)], ..FolderNode::default() })),
        (
            "a stamp with two births",
            folder(FolderNode {
                births: vec![dot(A, 1), dot(B, 1)],
                since: [dot(A, 1)].into_iter().collect(),
                ..born()
            }),
        ),
        ("dots below an empty folder", folder(FolderNode { within: within(&[dot(A, 1)]), ..born() })),
        (
            "a mode beyond 7777",
            valued(fsdfs_proto::volume::FileNode {
                attrs: FileAttributes { mode: 0o10000, mtime_ns: 0 },
                ..inline("")
            }),
        ),
        ("a size that is not the content's", valued(file(3, FileContent::Inline(name("four"))))),
        ("16 KiB and a byte inline", valued(inline(&"x".repeat((16 << 10) + 1)))),
        ("a symlink to nothing", valued(file(0, FileContent::Symlink(Bytes::new())))),
        ("a symlink with NUL", valued(file(1, FileContent::Symlink(name("\0"))))),
        (
            "an attribute that is not the user's",
            versions(vec![EntryVersion {
                xattrs: vec![Xattr { name: name("trusted.x"), value: Bytes::new() }],
                ..version(dot(A, 1), inline(""))
            }]),
        ),
        ("zero replicas", versions(vec![EntryVersion { copies: Some(0), ..version(dot(A, 1), inline("")) }])),
        (
            "features this version does not know",
            directory(vec![], &(1u32, 0u8, vec![entry::<IndexedLink>("f", inline(""))], Vec::<u8>::new())),
        ),
        ("a leaf with children", directory(vec![], &(0u32, 0u8, Vec::<u8>::new(), vec![1u8]))),
        (
            "a field too many",
            directory(vec![], &(0u32, 0u8, vec![entry::<IndexedLink>("f", inline(""))], Vec::<u8>::new(), ())),
        ),
    ]
}

fn bad_manifests() -> Vec<(&'static str, (Block, BlockRef))> {
    let manifest = |links: u8, numbers: (u32, u8, u32, u32, u64), uses: &[u32]| {
        let links = (1..=links).map(|number| link(number, LinkClass::Leaf)).collect();
        let header =
            BlockHeader { version: 1, kind: BlockKind::Manifest, volume: VOLUME, epoch: EPOCH, links, extra: None };
        let children: Vec<IndexedLink> =
            uses.iter().map(|link| IndexedLink { link: *link, key: Key([1; 32]) }).collect();
        let (flags, level, chunk_bytes, fan_out, size) = numbers;
        let payload = (flags, level, chunk_bytes, fan_out, size, children);
        sealed::seal(&header, &rmp_serde::to_vec(&payload).unwrap())
    };
    vec![
        ("a manifest with an unused link", manifest(3, (0, 1, 4, 3, 8), &[0, 1])),
        ("a manifest with too few pieces", manifest(1, (0, 1, 4, 3, 8), &[0])),
        ("a manifest with too many pieces", manifest(2, (0, 1, 4, 3, 4), &[0, 1])),
        ("a manifest beyond its fan-out", manifest(3, (0, 1, 4, 2, 12), &[0, 1, 2])),
        ("a manifest of level 0", manifest(1, (0, 0, 4, 3, 4), &[0])),
        ("a manifest of nothing", manifest(0, (0, 1, 4, 3, 0), &[])),
        ("a manifest of chunks of 2 MiB", manifest(1, (0, 1, 2 << 20, 3, 4), &[0])),
        ("a manifest of more bytes than there are", manifest(1, (0, 40, 1 << 20, 1024, 1 << 62), &[0])),
    ]
}

fn bad_commits() -> Vec<(&'static str, Block)> {
    let seal = |links: Vec<BlockLink>, change: &dyn Fn(&mut CommitExtra), payload: &dyn erased::NodeFields| {
        let mut extra = CommitExtra {
            time: Hlc { ms: 5, count: 0 },
            writer: Some(A),
            seq: 1,
            version_vector: [dot(A, 1)].into_iter().collect(),
            flags: EntryFlags::NONE,
            salt: Key([0; 32]),
        };
        change(&mut extra);
        let payload = payload.encoded();
        let mut header = BlockHeader {
            version: 1,
            kind: BlockKind::Commit,
            volume: VOLUME,
            epoch: EPOCH,
            links,
            extra: Some(extra),
        };
        let salt = sealed::keyed(sealed::derive(sealed::SECRET, "vol-commit-salt"), &sealed::aad(&header), &payload);
        header.extra.as_mut().unwrap().salt = salt;
        let open = sealed::derive(keys().read_key(), "vol-commit-open");
        let key = sealed::expand(open, &[b"fsdfs/2/commit-key\0", &salt.0[..]].concat());
        sealed::encrypt(key, sealed::aad(&header), &payload)
    };
    let root = |folder: FolderNode<IndexedLink>| (folder, (), (), ());
    let empty = || root(FolderNode::default());
    let none = |_: &mut CommitExtra| {};
    let parents = |ids: &[u8]| ids.iter().map(|id| link(*id, LinkClass::Parent)).collect::<Vec<_>>();
    let pure = |extra: &mut CommitExtra| (extra.writer, extra.seq) = (None, 0);
    let attrs = |seq| version(dot(A, seq), FileAttributes::default());
    vec![
        ("a commit whose operation is not in seen", seal(vec![], &|extra| extra.seq = 2, &empty())),
        ("a merge of one", seal(parents(&[1]), &pure, &empty())),
        ("a merge with a sequence number", seal(parents(&[1, 2]), &|extra| extra.writer = None, &empty())),
        ("parents out of order", seal(parents(&[2, 1]), &none, &empty())),
        ("a parent before the root", seal([parents(&[1]), vec![link(2, LinkClass::Tree)]].concat(), &none, &empty())),
        ("a root that is not used", seal(vec![link(2, LinkClass::Tree)], &none, &empty())),
        (
            "a root with births",
            seal(vec![], &none, &root(FolderNode { births: vec![dot(A, 1)], ..FolderNode::default() })),
        ),
        (
            "a root with two attributes",
            seal(vec![], &none, &root(FolderNode { attrs: vec![attrs(1), attrs(2)], ..FolderNode::default() })),
        ),
        ("an author", seal(vec![], &none, &(FolderNode::<IndexedLink>::default(), PublicKey([1; 32]), (), ()))),
        ("a message of 2 KiB", seal(vec![], &none, &(FolderNode::<IndexedLink>::default(), (), (), "x".repeat(2048)))),
    ]
}

mod erased {
    /// Payloads of different types in one list.
    pub trait NodeFields {
        fn encoded(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> NodeFields for T {
        fn encoded(&self) -> Vec<u8> {
            rmp_serde::to_vec(self).unwrap()
        }
    }
}

fn bad() -> Vec<BlockVector> {
    let refused = |name: &str, error: FormatError, block: &Block, key| {
        assert!(!matches!(error, FormatError::DoesNotOpen { .. }), "{name}: sealed wrongly by the test");
        BlockVector::new(name, block, key, Some(error.to_string()))
    };
    let directories = bad_directories().into_iter().map(|(name, (block, at))| {
        refused(name, DirectoryNode::open(VOLUME, at, &block).expect_err(name), &block, at.key)
    });
    let manifests = bad_manifests()
        .into_iter()
        .map(|(name, (block, at))| refused(name, Manifest::open(VOLUME, at, &block).expect_err(name), &block, at.key));
    let commits = bad_commits().into_iter().map(|(name, block)| {
        let open = sealed::derive(keys().read_key(), "vol-commit-open");
        let salt = sealed::salt(block.bytes());
        let key = sealed::expand(open, &[b"fsdfs/2/commit-key\0", &salt[..]].concat());
        refused(name, Commit::open(&keys(), block.bytes()).expect_err(name), &block, key)
    });
    directories.chain(manifests).chain(commits).collect()
}

fn vectors() -> sealed::VectorFile {
    sealed::VectorFile {
        keys: sealed::published_keys(),
        blocks: good().into_iter().chain(bad()).collect(),
        audits: vec![],
        receipts: vec![],
    }
}

#[test]
fn trees_have_their_published_bytes() {
    sealed::check(VECTORS, &vectors());
}

#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    sealed::write(VECTORS, &vectors());
}

#[test]
fn a_head_carries_its_commit() {
    let pool = PoolId([1; 32]);
    let keys = keys();
    let author = ed25519_dalek::SigningKey::from_bytes(&[4; 32]);
    let own = dot(Writer::of(fsdfs_proto::ids::NodeId(author.verifying_key().to_bytes()), 1), 2);
    let commit = Commit { dot: Some(own), version_vector: [own].into_iter().collect(), ..with_tree() };
    let block = commit.seal(keys.writer().unwrap(), 3);
    let head = Commit::head(keys.writer().unwrap(), &author, pool, &block, &MarkSet::default()).unwrap();
    let view = CommitView::of_head(head.value()).unwrap();
    assert_eq!((view.id, view.extra.seq), (block.id(), 2));
    assert_eq!(view.links, [link(4, LinkClass::Tree), link(5, LinkClass::Parent)]);
    let reader = fsdfs_proto::volume::VolumeKeys::from_read_key(VOLUME, EPOCH, keys.read_key());
    assert_eq!(Commit::open(&reader, &head.value().commit), Ok(commit));
    let foreign = fsdfs_proto::identity::Head { epoch: EPOCH + 1, ..head.value().clone() };
    assert!(CommitView::of_head(&foreign).is_err());
    // Whose it is, nobody else can say.
    let other = fsdfs_proto::ids::NodeId([5; 32]);
    let borrowed = fsdfs_proto::identity::Head { author: other, ..head.value().clone() };
    let borrowed = fsdfs_proto::signed::Signed::sign(pool, keys.writer().unwrap().signing_key(), borrowed);
    let key = Some(borrowed.signer());
    assert!(fsdfs_proto::signed::Signed::<fsdfs_proto::identity::Head>::open(pool, &borrowed.envelope(), key).is_err());
}

#[test]
fn a_head_gives_way_to_what_includes_it() {
    let keys = keys();
    let view = |commit: &Commit| CommitView::of(commit.seal(keys.writer().unwrap(), 3).bytes()).unwrap();
    let (first, second, merged) = (view(&commit()), view(&with_tree()), view(&merge()));
    assert!(first.is_superseded_by(&second) && !second.is_superseded_by(&first));
    assert!(!first.is_superseded_by(&first), "nothing replaces itself");
    assert_ne!(second.is_superseded_by(&merged), merged.is_superseded_by(&second), "equal seen: the smaller id stays");
    let twin = view(&Commit { message: Some("under the same number".into()), ..with_tree() });
    assert!(!second.is_superseded_by(&twin) && !twin.is_superseded_by(&second), "two changes are two heads");
    let other = view(&Commit { dot: Some(dot(B, 1)), version_vector: [dot(B, 1)].into_iter().collect(), ..commit() });
    assert!(!first.is_superseded_by(&other) && !other.is_superseded_by(&first));
}

#[test]
fn newer_features_are_for_newer_programs() {
    assert_eq!(EntryFlags(0).writable("x"), Ok(()));
    assert!(EntryFlags(1).readable("x").is_err() && EntryFlags(1).writable("x").is_err());
    assert!(EntryFlags(1 << 16).readable("x").is_ok() && EntryFlags(1 << 16).writable("x").is_err());
}

#[test]
fn nodes_end_by_the_weight_of_their_items() {
    let target = NodeTarget { leaf_bytes: 2000, interior_bytes: 1000 };
    let ends =
        |level, number: usize, weight, filled| target.ends_node(level, format!("{number}").as_bytes(), weight, filled);
    let count = |level, weight, filled| (0..4000).filter(|number| ends(level, *number, weight, filled)).count();
    assert_eq!(count(0, 0, 1000), 0);
    assert_eq!((count(0, 1000, 999), count(0, 1000, 1000)), (0, 4000), "half of the target is certain");
    assert_eq!((count(1, 500, 499), count(1, 500, 500)), (0, 4000), "nodes above have another target");
    assert!((330..470).contains(&count(0, 100, 1000)), "{}", count(0, 100, 1000));
    let levels = (0..4000).filter(|number| ends(0, *number, 500, 1000) == ends(1, *number, 250, 1000));
    assert!((1850..2150).contains(&levels.count()), "levels are independent");
    assert_eq!(weight(&entry::<BlockRef>("a", inline("b"))), codec::encode(&entry::<BlockRef>("a", inline("b"))).len());
}

fn any_dot() -> impl Strategy<Value = Dot> {
    (0u8..4, 1u64..40).prop_map(|(writer, seq)| dot(Writer([writer; 16]), seq))
}

fn any_file() -> impl Strategy<Value = fsdfs_proto::volume::FileNode> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let content = prop_oneof![
        bytes.clone().prop_map(|bytes| FileContent::Inline(bytes.into())),
        prop::collection::vec(1u8.., 1..40).prop_map(|bytes| FileContent::Symlink(bytes.into())),
        (any::<u8>(), 0u8..3)
            .prop_map(|(root, depth)| FileContent::Tree { root: at(root & 0x3f | depth.min(1) << 6), depth }),
    ];
    (content, 0u32..0o10000, any::<i64>(), 1u64..1 << 20).prop_map(|(content, mode, mtime_ns, size)| {
        let size = match &content {
            FileContent::Inline(bytes) | FileContent::Symlink(bytes) => bytes.len() as u64,
            FileContent::Tree { .. } => size,
        };
        fsdfs_proto::volume::FileNode { attrs: FileAttributes { mode, mtime_ns }, size, content }
    })
}

fn any_version<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = EntryVersion<T>> {
    (any_dot(), value, any::<u64>(), prop::option::of(1u8..)).prop_map(|(dot, value, ms, copies)| EntryVersion {
        time: Hlc { ms, count: 1 },
        writer: A,
        value,
        xattrs: vec![],
        copies,
        dot,
    })
}

fn sorted<T: Ord>(items: Vec<T>) -> Vec<T> {
    items.into_iter().collect::<std::collections::BTreeSet<T>>().into_iter().collect()
}

fn any_folder() -> impl Strategy<Value = FolderNode> {
    let attrs =
        any_version((0u32..0o10000, any::<i64>()).prop_map(|(mode, mtime_ns)| FileAttributes { mode, mtime_ns }));
    let births = prop::collection::vec(any_dot(), 1..4);
    let since = prop::collection::vec(any_dot(), 0..4);
    (births, since, prop::collection::vec(attrs, 0..3), prop::option::of(any_dot())).prop_map(
        |(births, since, attrs, below)| {
            let births = sorted(births);
            let since = if births.len() == 1 { since.into_iter().collect() } else { VersionVector::default() };
            let within = below.map(|dot| within(&[dot])).unwrap_or_default();
            FolderNode { births, since, attrs: sorted(attrs), tree: below.map(|dot| at(0x80 | dot.seq as u8)), within }
        },
    )
}

fn any_leaf() -> impl Strategy<Value = DirectoryNode> {
    let name = prop::collection::vec(any::<u8>(), 1..12).prop_filter("a name", |name| check_name(name).is_ok());
    let what = (prop::collection::vec(any_version(any_file()), 0..4), prop::option::of(any_folder()));
    prop::collection::btree_map(name, what, 1..12).prop_filter_map("not empty", |names| {
        let entry = |(name, (versions, folder)): (Vec<u8>, _)| DirectoryEntry {
            name: name.into(),
            versions: sorted(versions),
            folder,
        };
        let entries: Vec<DirectoryEntry> =
            names.into_iter().map(entry).filter(|entry| !entry.versions.is_empty() || entry.folder.is_some()).collect();
        (!entries.is_empty()).then_some(DirectoryNode::Leaf(entries))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn directories_read_back(node in any_leaf()) {
        let (block, at) = node.clone().seal(keys().writer().unwrap(), 3).unwrap();
        prop_assert_eq!(DirectoryNode::open(VOLUME, at, &block), Ok(node));
    }

    /// Whatever a writer seals, a reader gets a value or an error.
    #[test]
    fn any_payload_is_a_value_or_an_error(node in any_leaf(), at in any::<usize>(), flip in 1u8.., cut in any::<bool>()) {
        let (block, reference) = node.seal(keys().writer().unwrap(), 3).unwrap();
        let header = header(block.bytes()).unwrap();
        let mut payload = sealed::decrypt(reference.key, block.bytes());
        let at = at % payload.len();
        payload[at] ^= flip;
        if cut {
            payload.truncate(at);
        }
        for kind in [BlockKind::Directory, BlockKind::Manifest] {
            let (block, at) = sealed::seal(&BlockHeader { kind, ..header.clone() }, &payload);
            let _ = DirectoryNode::open(VOLUME, at, &block);
            let _ = Manifest::open(VOLUME, at, &block);
        }
    }

    #[test]
    fn seen_is_a_set_of_prefixes(a in prop::collection::vec(any_dot(), 0..9), b in prop::collection::vec(any_dot(), 0..9)) {
        let (a, b): (VersionVector, VersionVector) = (a.into_iter().collect(), b.into_iter().collect());
        let mut both = a.clone();
        both.add_all(&b);
        prop_assert!(both.covers_all(&a) && both.covers_all(&b));
        for dot in both.dots() {
            prop_assert!(a.covers(*dot) || b.covers(*dot));
        }
        prop_assert_eq!(a.covers_all(&b), both == a);
    }

    #[test]
    fn within_knows_all_and_none(dots in prop::collection::vec(any_dot(), 1..9), version_vector in prop::collection::vec(any_dot(), 0..9)) {
        let (within, version_vector): (FolderVectors, VersionVector) = (within(&dots), version_vector.into_iter().collect());
        prop_assert!(!within.all_in(&version_vector) || dots.iter().all(|dot| version_vector.covers(*dot)));
        prop_assert!(!within.none_in(&version_vector) || dots.iter().all(|dot| !version_vector.covers(*dot)));
    }
}
