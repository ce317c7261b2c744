//! What a directory says about one name (spec 05-volume §3).
//!
//! Generic over the reference: [`BlockRef`] in memory, [`IndexedLink`](super::links::Indexed) inside a payload.

use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::header::{BlockRef, LinkClass};
use super::links::LinkUsage;
use super::version_vector::{Dot, FolderVectors, VersionVector};
use crate::block::PAYLOAD_BYTES_MAX;
use crate::codec::{FormatError, ascending, bound};
use crate::ids::Writer;
use crate::time::Hlc;

/// Bytes of a name at most, as in POSIX file systems.
pub const NAME_BYTES_MAX: usize = 255;
/// The name in the root of a volume below which gateways keep what is theirs: no user writes there.
pub const NAME_RESERVED: &[u8] = b".fsdfs";
/// Names that begin so stand, in any folder, for what is no name: gateways of other protocols know empty ones.
pub const NAME_STANDS_FOR: &[u8] = b".fsdfs%";
/// Bytes of a file's content in its entry at most.
pub const INLINE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a symlink's target at most: `PATH_MAX` less the NUL.
pub const SYMLINK_BYTES_MAX: usize = 4095;
/// Bytes of all extended attributes of a version at most.
pub const XATTR_BYTES_MAX: usize = 4 << 10;
/// What each of them takes beside its name and value.
pub const XATTR_OVERHEAD_BYTES: usize = 8;
/// Attributes whose names begin so are the store's own: no user sets or sees them.
pub const XATTR_RESERVED: &[u8] = b"user.fsdfs.";
/// 16 bytes that the names of one file have in common: they were hard links when they were put.
pub const XATTR_HARD_LINK: &[u8] = b"user.fsdfs.hardlink";
/// Names in the path of a change at most: well below the depth that work on a tree bears, for moves make trees deeper.
pub const PATH_NAMES_MAX: usize = 256;
/// Versions of one name at most. A merge keeps the newest; 32 of 21 KiB fit into one block.
pub const VERSIONS_MAX: usize = 32;
/// Births of a folder at most. A merge keeps the greatest; 1,024 take 20 KiB.
pub const BIRTHS_MAX: usize = 1024;
/// Levels of manifests at most: far more than any file needs, few enough to recurse.
pub const FILE_DEPTH_MAX: u8 = 40;

const _: () = assert!(
    VERSIONS_MAX * (INLINE_BYTES_MAX + XATTR_BYTES_MAX + 512) + VERSIONS_MAX * (XATTR_BYTES_MAX + 512) + 64 * 1024
        < PAYLOAD_BYTES_MAX,
    "the largest entry must fit into a block"
);

/// A name: 1 to 255 bytes without `/` and NUL, not `.` or `..`. Not necessarily UTF-8.
pub type EntryName = Bytes;

/// Names are weapons on `get`, so nobody takes a bad one in.
pub fn check_name(name: &[u8]) -> Result<(), FormatError> {
    let fine = (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
        && name != b"."
        && name != b"..";
    if fine { Ok(()) } else { Err(FormatError::BadName) }
}

/// Everything a directory says about one name: usually one version of a file, or a folder. Both may coexist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry<R = BlockRef> {
    /// The name.
    pub name: EntryName,
    /// Concurrent versions of the file or symlink, ascending.
    pub versions: Vec<EntryVersion<FileNode<R>>>,
    /// The folder.
    pub folder: Option<FolderNode<R>>,
}

/// A value of an observed-remove register, and the operation that counts as its origin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryVersion<T> {
    /// When it was written. Orders the versions of one name, nothing else.
    pub time: Hlc,
    /// Who wrote it. Stays when it is moved.
    pub writer: Writer,
    /// What was written.
    pub value: T,
    /// `user.*` attributes, ascending by name.
    pub xattrs: Vec<Xattr>,
    /// Replicas, if they differ from the pool's rule.
    pub copies: Option<u8>,
    /// The operation that put it here: written or moved it. Merges compare it with what the other side has seen.
    pub dot: Dot,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Xattr {
    /// Begins with `user.`.
    pub name: Bytes,
    /// Any bytes.
    pub value: Bytes,
}

/// A file or symlink, as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileNode<R = BlockRef> {
    /// Mode and modification time.
    pub attrs: FileAttributes,
    /// Bytes of the content; of the target for a symlink.
    pub size: u64,
    /// What it is and where its bytes are.
    pub content: FileContent<R>,
}

/// Attributes of a file or folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileAttributes {
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Modification time, nanoseconds since 1970, negative before.
    pub mtime_ns: i64,
}

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileContent<R = BlockRef> {
    /// In the entry itself.
    Inline(Bytes),
    /// A tree of blocks: `depth` 0 = the root is the only chunk, 1 = a manifest of chunks, 2 = a manifest of manifests, ...
    Tree {
        /// Root block and its key.
        root: R,
        /// Levels of manifests.
        depth: u8,
    },
    /// A symlink to this target.
    Symlink(Bytes),
}

/// A folder, as its parent tells of it: equal contents are equal blocks, whoever made the folder and wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FolderNode<R = BlockRef> {
    /// The operations that made or moved it, ascending. Usually one; none if only its content keeps it alive.
    pub births: Vec<Dot>,
    /// A lazy stamp: whatever lies below with a dot in here counts as carrying the (then only) birth's dot.
    pub since: VersionVector,
    /// Its attributes: versions of the name `.` inside it, merged as any other versions are.
    pub attrs: Vec<EntryVersion<FileAttributes>>,
    /// Root of its entries; none if it has no entries.
    pub tree: Option<R>,
    /// The dots of everything in `tree`, its own births and attributes not included.
    pub within: FolderVectors,
}

impl<R> DirectoryEntry<R> {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        check_name(&self.name)?;
        bound(!self.versions.is_empty() || self.folder.is_some(), "an entry without versions and folder")?;
        bound(self.versions.len() <= VERSIONS_MAX, "the versions of a name")?;
        self.versions.iter().try_for_each(|version| version.check(FileNode::check))?;
        self.folder.iter().try_for_each(|folder| {
            bound(folder.is_alive(), "a folder without births, attributes and content")?;
            folder.check()
        })
    }

    pub(super) fn map<S>(
        self,
        to: &mut impl FnMut(R, LinkUsage) -> Result<S, FormatError>,
    ) -> Result<DirectoryEntry<S>, FormatError> {
        let versions = self.versions.into_iter().map(|version| version.map(to)).collect::<Result<_, _>>()?;
        let folder = self.folder.map(|folder| folder.map(to)).transpose()?;
        Ok(DirectoryEntry { name: self.name, versions, folder })
    }
}

impl DirectoryEntry {
    /// Takes in the dots of the entry and of everything below it.
    pub fn add_to(&self, within: &mut FolderVectors) {
        self.versions.iter().for_each(|version| within.add(version.dot));
        if let Some(folder) = &self.folder {
            folder.births.iter().for_each(|birth| within.add(*birth));
            folder.attrs.iter().for_each(|version| within.add(version.dot));
            within.add_all(&folder.within);
        }
    }

    /// References in it.
    pub fn refs(&self) -> usize {
        let trees = |version: &EntryVersion<FileNode>| matches!(version.value.content, FileContent::Tree { .. });
        self.versions.iter().filter(|version| trees(version)).count()
            + usize::from(self.folder.as_ref().is_some_and(|folder| folder.tree.is_some()))
    }

    pub(super) fn check_order(&self) -> Result<(), FormatError> {
        ascending(&self.versions, EntryVersion::clone)?;
        self.folder.iter().try_for_each(|folder| ascending(&folder.attrs, EntryVersion::clone))
    }
}

impl<T> EntryVersion<T> {
    fn check(&self, value: impl Fn(&T) -> Result<(), FormatError>) -> Result<(), FormatError> {
        self.dot.check()?;
        value(&self.value)?;
        bound(self.copies != Some(0), "the redundancy of a version")?;
        check_xattrs(&self.xattrs)
    }
}

/// The bounds of the attributes of a version, and their order.
pub fn check_xattrs(xattrs: &[Xattr]) -> Result<(), FormatError> {
    ascending(xattrs, |xattr| xattr.name.clone())?;
    let named = |xattr: &Xattr| xattr.name.starts_with(b"user.") && xattr.name.len() <= NAME_BYTES_MAX;
    bound(xattrs.iter().all(named), "the name of an extended attribute")?;
    let bytes: usize = xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len() + XATTR_OVERHEAD_BYTES).sum();
    bound(bytes <= XATTR_BYTES_MAX, "the extended attributes of a version")
}

impl<R> EntryVersion<FileNode<R>> {
    fn map<S>(
        self,
        to: &mut impl FnMut(R, LinkUsage) -> Result<S, FormatError>,
    ) -> Result<EntryVersion<FileNode<S>>, FormatError> {
        let Self { time, writer, value, xattrs, copies, dot } = self;
        let content = match value.content {
            FileContent::Inline(bytes) => FileContent::Inline(bytes),
            FileContent::Symlink(target) => FileContent::Symlink(target),
            FileContent::Tree { root, depth } => {
                FileContent::Tree { root: to(root, LinkUsage { copies, ..LinkUsage::file(depth) })?, depth }
            }
        };
        let value = FileNode { attrs: value.attrs, size: value.size, content };
        Ok(EntryVersion { time, writer, value, xattrs, copies, dot })
    }
}

impl<R> FileNode<R> {
    /// The bounds every file has to keep.
    pub fn check(&self) -> Result<(), FormatError> {
        self.attrs.check()?;
        match &self.content {
            FileContent::Inline(bytes) => {
                bound(bytes.len() <= INLINE_BYTES_MAX && bytes.len() as u64 == self.size, "the size of a file")
            }
            FileContent::Symlink(target) => {
                let fits = (1..=SYMLINK_BYTES_MAX).contains(&target.len()) && !target.contains(&0);
                bound(fits && target.len() as u64 == self.size, "the target of a symlink")
            }
            FileContent::Tree { depth, .. } => {
                bound(*depth <= FILE_DEPTH_MAX, "the depth of a file's tree")?;
                let most = if *depth == 0 { PAYLOAD_BYTES_MAX as u64 } else { i64::MAX as u64 };
                bound((1..=most).contains(&self.size), "the size of a file")
            }
        }
    }
}

impl FileAttributes {
    /// The bounds of a mode.
    pub fn check(&self) -> Result<(), FormatError> {
        bound(self.mode <= 0o7777, "the mode of a file or folder")
    }
}

impl<R> Default for FolderNode<R> {
    fn default() -> Self {
        Self {
            births: Vec::new(),
            since: VersionVector::default(),
            attrs: Vec::new(),
            tree: None,
            within: FolderVectors::default(),
        }
    }
}

impl<R> FolderNode<R> {
    /// Whether anything says that it exists.
    pub fn is_alive(&self) -> bool {
        !self.births.is_empty() || !self.attrs.is_empty() || self.tree.is_some()
    }

    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.births.len() <= BIRTHS_MAX, "the births of a folder")?;
        self.births.iter().try_for_each(Dot::check)?;
        ascending(&self.births, |birth| *birth)?;
        self.since.check()?;
        bound(self.since.is_empty() || self.births.len() == 1, "the stamp of a folder without a single birth")?;
        bound(self.attrs.len() <= VERSIONS_MAX, "the attributes of a folder")?;
        self.attrs.iter().try_for_each(|version| version.check(FileAttributes::check))?;
        self.within.check()?;
        bound(self.tree.is_some() != self.within.is_empty(), "what lies below a folder")
    }

    pub(super) fn map<S>(
        self,
        to: &mut impl FnMut(R, LinkUsage) -> Result<S, FormatError>,
    ) -> Result<FolderNode<S>, FormatError> {
        let Self { births, since, attrs, tree, within } = self;
        let tree = tree.map(|tree| to(tree, LinkUsage::of(LinkClass::Tree))).transpose()?;
        Ok(FolderNode { births, since, attrs, tree, within })
    }
}

const INLINE: u8 = 1;
const TREE: u8 = 2;
const SYMLINK: u8 = 3;

impl<R: Serialize> Serialize for FileContent<R> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(bytes) => (INLINE, bytes).serialize(to),
            Self::Tree { root, depth } => (TREE, (root, depth)).serialize(to),
            Self::Symlink(target) => (SYMLINK, target).serialize(to),
        }
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for FileContent<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_tuple(2, ContentVisitor(std::marker::PhantomData))
    }
}

struct ContentVisitor<R>(std::marker::PhantomData<R>);

impl<'de, R: Deserialize<'de>> Visitor<'de> for ContentVisitor<R> {
    type Value = FileContent<R>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[tag, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FileContent<R>, A::Error> {
        let short = || A::Error::custom("a tagged value has two items");
        match seq.next_element::<u8>()?.ok_or_else(short)? {
            INLINE => seq.next_element()?.map(FileContent::Inline),
            TREE => seq.next_element()?.map(|(root, depth)| FileContent::Tree { root, depth }),
            SYMLINK => seq.next_element()?.map(FileContent::Symlink),
            other => return Err(A::Error::custom(format_args!("unknown tag {other}"))),
        }
        .ok_or_else(short)
    }
}
