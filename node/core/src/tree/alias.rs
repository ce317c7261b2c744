//! Names that are shown but not stored: several versions of one name, and a file beside a folder (spec 05-volume §8).
//!
//! They are never written as entries by a merge: two nodes that merge the same heads would each make some, and writing
//! one would count as an operation on it. In random histories that variant lost content thousands of times.

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{EntryVersion, FileNode, NAME_BYTES_MAX};

use super::EntryName;
use super::dir::{MergedDirectory, NameSlot};
use super::source::{BlockSource, StepResult};

/// The name of a file that stands beside a folder of its name carries this.
const BESIDE: &str = " (file)";
const CONFLICT: &str = " (conflict ";
/// A longer ending is not taken for a file type.
const EXTENSION_BYTES_MAX: usize = 32;
/// Entries with the same long beginning that are searched for a shortened name.
const SEARCH_MAX: usize = 1024;

/// A version under the name it is shown by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockAlias {
    pub name: EntryName,
    pub version: EntryVersion<FileNode>,
}

/// The versions of a name as shown, the newest first. The newest keeps the name unless a folder has it.
pub(super) fn shown(
    dir: &MergedDirectory,
    source: &mut BlockSource,
    name: &EntryName,
    slot: &NameSlot,
) -> StepResult<Vec<BlockAlias>> {
    let mut aliases: Vec<BlockAlias> = Vec::new();
    for version in slot.versions.iter().rev() {
        let keeps = aliases.is_empty() && slot.dir.is_none();
        let shown = if keeps { name.clone() } else { free(dir, source, name, version, &aliases)? };
        aliases.push(BlockAlias { name: shown, version: version.clone() });
    }
    Ok(aliases)
}

/// The first name for a version that no stored entry and no other version has.
fn free(
    dir: &MergedDirectory,
    source: &mut BlockSource,
    name: &EntryName,
    version: &EntryVersion<FileNode>,
    taken: &[BlockAlias],
) -> StepResult<EntryName> {
    let mut number = 1;
    loop {
        let marker = if taken.is_empty() { numbered(BESIDE, number) } else { conflict(version, number) };
        let candidate = marked(name, &marker);
        let used = taken.iter().any(|alias| alias.name == candidate);
        if !used && dir.get(source, &candidate)?.is_empty() {
            return Ok(candidate);
        }
        number += 1;
    }
}

/// The stored name behind a shown one, and which of its versions is meant. None if nothing is shown by that name.
pub(super) fn find(
    dir: &MergedDirectory,
    source: &mut BlockSource,
    name: &EntryName,
) -> StepResult<Option<(EntryName, BlockAlias)>> {
    for base in candidates(dir, source, name)? {
        let slot = dir.get(source, &base)?;
        let aliases = shown(dir, source, &base, &slot)?;
        if let Some(alias) = aliases.into_iter().find(|alias| alias.name == *name && alias.name != base) {
            return Ok(Some((base, alias)));
        }
    }
    Ok(None)
}

fn candidates(dir: &MergedDirectory, source: &mut BlockSource, name: &EntryName) -> StepResult<Vec<EntryName>> {
    let Some((stem, rest)) = split_marker(name) else { return Ok(Vec::new()) };
    let Some(end) = rest.iter().position(|byte| *byte == b')') else { return Ok(Vec::new()) };
    if !rest[..end].contains(&b'~') {
        return Ok(vec![[stem, &rest[end + 1..]].concat().into()]);
    }
    // Shortened: the stem is only the beginning of the stored name.
    let from = EntryName::copy_from_slice(stem);
    let page = dir.page(source, Some(&from), SEARCH_MAX)?;
    Ok(page.into_iter().map(|(name, _)| name).take_while(|name| name.starts_with(stem)).collect())
}

fn split_marker(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = |marker: &str| name.windows(marker.len()).rposition(|part| part == marker.as_bytes());
    // A numbered " (file 2)" begins like " (file)".
    let at = at(CONFLICT).max(at(&BESIDE[..BESIDE.len() - 1]))?;
    (at > 0).then(|| name.split_at(at))
}

/// `stem`, marker, `.ext`, cut to the length of a name. What is cut away is replaced by a hash of it, so that long names
/// stay distinct.
fn marked(name: &EntryName, marker: &str) -> EntryName {
    let (stem, extension) = split_extension(name);
    if name.len() + marker.len() <= NAME_BYTES_MAX {
        return [stem, marker.as_bytes(), extension].concat().into();
    }
    let marker = format!("{} ~{})", &marker[..marker.len() - 1], BlockId::of(name).short());
    let room = NAME_BYTES_MAX - marker.len() - extension.len();
    let is_cut = |at: &usize| std::str::from_utf8(stem).map_or(true, |stem| stem.is_char_boundary(*at));
    let kept = (0..=room).rev().find(is_cut).unwrap_or_default();
    [&stem[..kept], marker.as_bytes(), extension].concat().into()
}

fn split_extension(name: &[u8]) -> (&[u8], &[u8]) {
    let dot =
        name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX);
    name.split_at(dot.unwrap_or(name.len()))
}

fn conflict(version: &EntryVersion<FileNode>, number: u32) -> String {
    numbered(&format!("{CONFLICT}{} {})", version.writer.short(), date(version.time)), number)
}

fn numbered(marker: &str, number: u32) -> String {
    if number == 1 { marker.into() } else { format!("{} {number})", &marker[..marker.len() - 1]) }
}

/// In UTC, without colons, which other systems do not take in names.
fn date(time: Hlc) -> String {
    let stamp = i64::try_from(time.ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| format!("{} ms", time.ms), |stamp| stamp.strftime("%Y-%m-%d %H.%M.%S").to_string())
}
