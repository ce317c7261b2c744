//! Commits and heads: states of a volume (spec 05-volume §6).
//!
//! ```text
//! extra   = [time, writer?, seq, version vector, flags, salt]      payload = [root, author?, signature?, message?]
//! salt    = BLAKE3-keyed(K_salt, be64(len AAD0) || AAD0 || P), AAD0 = AAD with 32 zero bytes as salt
//! k       = HKDF-SHA256(K_commit, info = "fsdfs/2/commit-key" 00 salt)
//! ```

use std::borrow::Cow;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::entry::FolderNode;
use super::flags::EntryFlags;
use super::header::{BlockHeader, BlockKind, BlockLink, BlockRef, CommitExtra, LinkClass, header};
use super::keys::{VolumeKeys, WriteKeys, expand};
use super::limits::{COMMIT_BYTES_MAX, MESSAGE_BYTES_MAX};
use super::links::{IndexedLink, LinkCollector, LinkResolver, LinkUsage};
use super::marks::MarkSet;
use super::seal::{self, UnsealedBlock};
use super::version_vector::{Dot, VersionVector};
use crate::block::Block;
use crate::codec::{self, CanonicalCodec, FormatError, bound};
use crate::identity::Head;
use crate::ids::{BlockId, Key, NodeId, PoolId, PublicKey, Signature};
use crate::label::key::COMMIT_KEY;
use crate::signed::Signed;
use crate::time::Hlc;

/// A state of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The states it was made from, ascending. None for the first.
    pub parents: Vec<BlockId>,
    /// When; of a merge the greatest of its parents.
    pub time: Hlc,
    /// The operation; none for a pure merge.
    pub dot: Option<Dot>,
    /// Every operation the state includes, this one too.
    pub version_vector: VersionVector,
    /// Features to be understood.
    pub flags: EntryFlags,
    /// The volume's root folder. It has no births: nobody makes or removes it.
    pub root: FolderNode,
    /// For people.
    pub message: Option<String>,
}

/// What everyone may know of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitView {
    /// Id of the commit block.
    pub id: BlockId,
    /// Its public part.
    pub extra: CommitExtra,
    /// Its links: the root first, if the volume is not empty, then the parents.
    pub links: Vec<BlockLink>,
}

/// `[root, author?, signature?, message?]`. The author's fields are for later and empty without a flag that says so.
#[derive(Serialize, Deserialize)]
struct CommitPayload {
    root: FolderNode<IndexedLink>,
    author: Option<PublicKey>,
    signature: Option<Signature>,
    message: Option<String>,
}

impl Commit {
    /// Seals it; `copies` is the redundancy of its root and its parents.
    pub fn seal(&self, keys: &WriteKeys, copies: u8) -> Block {
        let mut linker = LinkCollector::new(copies);
        let root = self.root.clone().map(&mut |at, usage| Ok(linker.add(at, usage)));
        let root = root.expect("collecting links does not fail");
        for parent in &self.parents {
            // Parents are linked, not referred to: their keys come from their own salts.
            linker.add(BlockRef { id: *parent, key: Key([0; 32]) }, LinkUsage::of(LinkClass::Parent));
        }
        let wire = CommitPayload { root, author: None, signature: None, message: self.message.clone() };
        let extra = CommitExtra {
            time: self.time,
            writer: self.dot.map(|dot| dot.writer),
            seq: self.dot.map_or(0, |dot| dot.seq),
            version_vector: self.version_vector.clone(),
            flags: self.flags,
            salt: Key([0; 32]),
        };
        seal_commit(keys, linker.finish(), extra, &wire)
    }

    /// Opens a commit block of any epoch of which the keys are here.
    pub fn open(keys: &VolumeKeys, block: &[u8]) -> Result<Self, FormatError> {
        let CommitView { extra, links, .. } = CommitView::of(block)?;
        let header = header(block)?;
        bound(header.volume == keys.volume, "the volume of a commit")?;
        // Several, if several epochs of one number were begun at once. None, if this node was never given that epoch's key.
        let mut opened = keys.commit_keys(header.epoch).map(|key| commit_key(key, extra.salt));
        let opened = opened.find_map(|key| seal::decrypt(key, block, "a commit").ok());
        let payload = opened.ok_or(FormatError::DoesNotOpen { what: "a commit" })?;
        let CommitPayload { root, message, .. } = codec::decode(&payload)?;
        let trees = links.iter().take_while(|link| link.class == LinkClass::Tree).count();
        let mut resolver = LinkResolver::new(&links[..trees]);
        let root = root.map(&mut |from, usage| resolver.resolve(from, usage))?;
        resolver.finish()?;
        let parents = links[trees..].iter().map(|link| link.id).collect();
        let dot = extra.writer.map(|writer| Dot { writer, seq: extra.seq });
        Ok(Self {
            parents,
            time: extra.time,
            dot,
            version_vector: extra.version_vector,
            flags: extra.flags,
            root,
            message,
        })
    }

    /// Signs a head that carries the sealed commit, in the name of a member and with the volume's key. `marks`: of the numbers
    /// that it includes, but for its own, which the author marks here.
    pub fn head(
        keys: &WriteKeys,
        author: &SigningKey,
        pool: PoolId,
        commit: &Block,
        marks: &MarkSet,
    ) -> Result<Signed<Head>, FormatError> {
        let CommitExtra { writer, seq, version_vector, .. } = CommitView::of(commit.bytes())?.extra;
        let mut marks = Cow::Borrowed(marks);
        if let Some(writer) = writer {
            bound(writer.is_of(NodeId(author.verifying_key().to_bytes())), "the writer of a head")?;
            marks.to_mut().sign(author, keys.volume(), Dot { writer, seq });
        }
        let marks = marks.of(&version_vector).ok_or(FormatError::OutOfBounds { what: "the marks of a head" })?;
        let head = Head::by(author, keys.volume(), keys.epoch(), commit.bytes().clone(), marks);
        Ok(Signed::sign(pool, keys.signing_key(), head))
    }
}

fn seal_commit(keys: &WriteKeys, links: Vec<BlockLink>, extra: CommitExtra, payload: &CommitPayload) -> Block {
    let (volume, epoch) = (keys.volume(), keys.epoch());
    let mut header = BlockHeader { version: 1, kind: BlockKind::Commit, volume, epoch, links, extra: Some(extra) };
    let behind = |header: &BlockHeader| {
        let mut unsealed = UnsealedBlock::behind(header);
        codec::encode_onto(&mut unsealed.bytes, payload);
        unsealed
    };
    let salt = behind(&header).keyed_hash(keys.salt_key());
    header.extra.iter_mut().for_each(|extra| extra.salt = salt);
    let block = behind(&header).encrypt(commit_key(keys.commit_key(), salt));
    assert!(block.bytes().len() <= COMMIT_BYTES_MAX, "the bounds of its parts keep a commit small");
    block
}

fn commit_key(open: Key, salt: Key) -> Key {
    expand(open, &[COMMIT_KEY.as_bytes(), &[0], &salt.0].concat())
}

impl CommitView {
    /// Reads the public part of a commit block.
    pub fn of(commit: &[u8]) -> Result<Self, FormatError> {
        let BlockHeader { extra, links, .. } = header(commit)?;
        let extra = extra.ok_or(FormatError::OutOfBounds { what: "the kind of a block" })?;
        bound(commit.len() <= COMMIT_BYTES_MAX, "the length of a commit")?;
        Ok(Self { id: BlockId::of(commit), extra, links })
    }

    /// Reads the public part of a head's commit. A head is refused whose commit is of another volume or epoch, or an operation
    /// of another node than its author, or that has no mark for a number which it includes.
    pub fn of_head(head: &Head) -> Result<Self, FormatError> {
        let header = header(&head.commit)?;
        bound(header.volume == head.volume && header.epoch == head.epoch, "the volume and epoch of a head's commit")?;
        let view = Self::of(&head.commit)?;
        bound(view.extra.writer.is_none_or(|writer| writer.is_of(head.author)), "the writer of a head")?;
        bound(head.marks_of(&view.extra.version_vector).is_some(), "the marks of a head")?;
        Ok(view)
    }

    /// The states that it names: those that it was made from, and earlier ones that are kept.
    pub fn parents(&self) -> impl Iterator<Item = BlockId> {
        self.links.iter().filter(|link| link.class == LinkClass::Parent).map(|link| link.id)
    }

    /// Whether it is somebody's change, and no pure merge.
    pub fn is_operation(&self) -> bool {
        self.extra.writer.is_some()
    }

    /// Whether `other` stands instead of this: it includes everything, or it is the same merge in other bytes and has the
    /// smaller id. Two operations with equal version vectors are two changes under one number: somebody used another's, or a
    /// machine was copied. Neither includes the other, whatever it says.
    pub fn is_superseded_by(&self, other: &Self) -> bool {
        if self.extra.version_vector == other.extra.version_vector {
            return !(self.is_operation() && other.is_operation()) && other.id < self.id;
        }
        other.extra.version_vector.covers_all(&self.extra.version_vector)
    }
}

impl CanonicalCodec for CommitPayload {
    fn check(&self) -> Result<(), FormatError> {
        bound(self.author.is_none() && self.signature.is_none(), "the author of a commit")?;
        bound(self.message.as_ref().is_none_or(|message| message.len() <= MESSAGE_BYTES_MAX), "a commit's message")?;
        bound(self.root.births.is_empty(), "the births of a volume's root")?;
        // The root is never removed, so the last writer of its attributes wins without versions to compare, and the
        // commit stays small.
        bound(self.root.attrs.len() <= 1, "the attributes of a volume's root")?;
        self.root.check()
    }
}
