//! Files and folders.

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiError, EscapedText, POOL_VOLUME, SmallContent, raw_bytes};

/// How durable a change became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteOutcome {
    /// As many copies as required.
    Stored,
    /// Durable, but with fewer copies than required; repair completes them when members with free space are up.
    Degraded,
}

/// What became of a change. (If nothing durable was acknowledged the request fails with an [`ApiError`] instead.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriteReply {
    /// How durable it became: the worst of its blocks and of the change to the folder.
    pub outcome: WriteOutcome,
    /// Distinct servers that have it for sure.
    pub copies: u8,
    /// N: copies required.
    pub target_copies: u8,
    /// Distinct sites among them.
    pub sites: u8,
    /// Bytes of the file; 0 for a change without content.
    pub bytes: u64,
    /// Bytes of new blocks, and of changed files that lie in their folders: 0 = everything was in the pool already.
    pub uploaded_bytes: u64,
    /// The entry was exactly so already.
    pub unchanged: bool,
    /// A copy is on this node, or on a member that proved lately that it has what it says. False: so far the copies are the word of
    /// their holders; `status` says when they were verified.
    #[serde(default = "yes")]
    pub verified: bool,
}

/// What nodes that say nothing of it mean.
fn yes() -> bool {
    true
}

/// Many small changes in one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditsRequest {
    /// Which volume; default [`POOL_VOLUME`].
    #[serde(default = "pool_volume")]
    pub volume: String,
    /// Carried out in order, at most [`super::EDITS_MAX`]; each succeeds or fails by itself.
    pub edits: Vec<EditRequest>,
    /// 16 hexadecimal digits of the client's choice, the same for all requests of one piece of work: of its states history keeps
    /// the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
}

fn pool_volume() -> String {
    POOL_VOLUME.into()
}

/// A small change. Paths are [`EscapedText`] and begin with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum EditRequest {
    /// Makes a folder and its parents, or gives an existing one new attributes.
    Folder {
        /// Where.
        #[schema(value_type = String)]
        path: EscapedText,
        /// Its attributes; none = leave as they are, or default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attrs: Option<EntryAttributes>,
        /// Its extended attributes; they count only if `attrs` are given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        xattrs: Vec<ExtendedAttribute>,
        /// Fail if it exists.
        #[serde(default)]
        fresh: bool,
    },
    /// Writes a small file; its parents are made.
    File {
        /// Where.
        #[schema(value_type = String)]
        path: EscapedText,
        /// Its attributes.
        attrs: EntryAttributes,
        /// Its extended attributes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        xattrs: Vec<ExtendedAttribute>,
        /// 32 hexadecimal digits that the names of one file have in common.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hard_link: Option<String>,
        /// At most [`super::CONTENTS_MAX`] bytes, in base64.
        #[schema(value_type = String)]
        content: SmallContent,
    },
    /// Writes a symbolic link.
    Link {
        /// Where.
        #[schema(value_type = String)]
        path: EscapedText,
        /// What it points at.
        #[schema(value_type = String)]
        target: EscapedText,
        /// Its modification time.
        #[serde(default)]
        mtime_ns: i64,
    },
    /// Removes a file, link or folder.
    Remove {
        /// What.
        #[schema(value_type = String)]
        path: EscapedText,
        /// A folder with everything in it; otherwise only an empty one.
        #[serde(default)]
        recursive: bool,
    },
    /// Moves or renames; replaces a file by a file, never a folder.
    Move {
        /// From.
        #[schema(value_type = String)]
        from: EscapedText,
        /// The new path itself, not a folder to move into.
        #[schema(value_type = String)]
        to: EscapedText,
    },
    /// Puts what an earlier state has at a path here. Nothing is copied.
    Restore {
        /// Which state, as the history lists them.
        state: String,
        /// What of it; `/` = all of it.
        #[schema(value_type = String)]
        from: EscapedText,
        /// The new path itself; its parents are made.
        #[schema(value_type = String)]
        to: EscapedText,
        /// In place of what is there now, if anything is.
        #[serde(default)]
        replace: bool,
    },
}

/// Attributes of a file or folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryAttributes {
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Modification time.
    pub mtime_ns: i64,
}

/// An extended attribute. Its name begins with `user.`, but not with `user.fsdfs.`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendedAttribute {
    /// [`EscapedText`], as paths are.
    #[schema(value_type = String)]
    pub name: EscapedText,
    /// [`EscapedText`], too.
    #[schema(value_type = String)]
    pub value: EscapedText,
}

/// Extended attributes in the form of a query string, for [`super::header::XATTRS`].
pub fn xattrs_text(xattrs: &[ExtendedAttribute]) -> String {
    let text = |bytes: &EscapedText| percent_encode(&bytes.0, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        xattrs.iter().map(|xattr| format!("{}={}", text(&xattr.name), text(&xattr.value))).collect();
    pairs.join("&")
}

/// What became of many small changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditsReply {
    /// Of the commit. `unchanged` if no edit changed anything.
    pub written: WriteReply,
    /// One an edit, in order.
    pub edits: Vec<EditResult>,
}

/// What became of one small change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EditResult {
    /// The tree changed.
    Changed,
    /// It was so already.
    Unchanged,
    /// It was not made.
    Failed(ApiError),
}

/// Where a file has holes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoleListing {
    /// The `ETag` of the content.
    pub tag: String,
    /// Size of the whole file.
    pub size: u64,
    /// In order, those that begin before `until`.
    pub holes: Vec<FileHole>,
    /// So far it was looked; ask again from there if that is not the size.
    pub until: u64,
}

/// Bytes of a file that are zeros and take no space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileHole {
    /// The first of them.
    pub start: u64,
    /// The first behind them.
    pub end: u64,
}

/// A page of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListingPage {
    /// In the order of the bytes of the names.
    pub entries: Vec<ListingEntry>,
    /// More follow: ask again with `after` = the last name.
    pub more: bool,
    /// Newer changes may exist: too few members could be asked.
    pub maybe_stale: bool,
    /// Names of connected members that acknowledged changes which are not shown, because they could not publish them yet: what is
    /// shown may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished_on: Vec<String>,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListingEntry {
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Its name in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_bytes: Option<String>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file or of a link's target.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Modification time.
    pub mtime_ns: i64,
    /// What a link points at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_bytes: Option<String>,
    /// Its extended attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<ExtendedAttribute>,
    /// Entries in which this is equal were names of one file when they were put, and nobody wrote one of them since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_link: Option<String>,
    /// The name it is a conflicting version of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_of: Option<String>,
    /// When it was written into the volume.
    pub written_ms: u64,
    /// Of a small file, in base64, if it was asked for and can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub content: Option<SmallContent>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// Everything about one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatReply {
    /// The entry.
    pub entry: ListingEntry,
    /// Newer changes may exist: too few members could be asked.
    pub maybe_stale: bool,
    /// Names of connected members that acknowledged changes which are not shown, because they could not publish them yet: what is
    /// shown may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished_on: Vec<String>,
    /// Where its blocks are, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<BlockPlacement>,
}

/// Where the blocks of an entry are, as far as the members that are up report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockPlacement {
    /// Blocks of its content; a small file lies in its folder's block, which is meant then.
    pub blocks: u64,
    /// N: copies required.
    pub target_copies: u8,
    /// Copies of the block that has fewest.
    pub copies_min: u8,
    /// Copies of the block that has most.
    pub copies_max: u8,
    /// Sites of the block that is on fewest.
    pub sites_min: u8,
    /// The holders and their parts.
    pub holders: Vec<HolderBlocks>,
}

/// A holder's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderBlocks {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// Blocks that it reports to have stored.
    pub stored_blocks: u64,
    /// Blocks that placement assigns to it.
    pub expected_blocks: u64,
}

impl ListingEntry {
    /// The name's bytes.
    pub fn raw_name(&self) -> Vec<u8> {
        raw_bytes(&self.name, self.name_bytes.as_deref())
    }

    /// The bytes of a link's target.
    pub fn raw_target(&self) -> Option<Vec<u8>> {
        self.target.as_ref().map(|text| raw_bytes(text, self.target_bytes.as_deref()))
    }
}
