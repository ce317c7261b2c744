//! Reading a tree as people see it.

use std::sync::Arc;

use super::alias::{self, BlockAlias};
use super::dir::{MergedDirectory, NameSlot};
use super::known::KnownFolder;
use super::source::{BlockSource, MissingOrError, StepResult};
use super::{EntryName, QueryResult, TreeError, TreeItem, TreeItemKind, TreeQuery};

/// Finds what is asked for, beginning at a folder on the way to it, and says in which folder it was found.
pub(super) fn query(
    source: &mut BlockSource,
    from: &KnownFolder,
    query: &TreeQuery,
) -> StepResult<(QueryResult, KnownFolder)> {
    let folder = folder(source, from, query.folder())?;
    let found = match query {
        TreeQuery::Entry { path } => QueryResult::Entry(entry(source, &folder.dir, path.last())?),
        TreeQuery::Way { path } => {
            let entry = Box::new(entry(source, &folder.dir, path.last())?);
            QueryResult::Way { entry, blocks: source.read() }
        }
        TreeQuery::List { after, max, .. } => list(source, &folder.dir, after.as_ref(), *max)?,
        TreeQuery::History => unreachable!("the history of a volume lies in no folder"),
    };
    Ok((found, folder))
}

/// The entry of that name, or the folder itself.
fn entry(source: &mut BlockSource, dir: &MergedDirectory, name: Option<&EntryName>) -> StepResult<TreeItem> {
    let Some(name) = name else { return Ok(shown_dir(EntryName::new(), dir)) };
    let slot = dir.get(source, name)?;
    if let Some(sub) = &slot.dir {
        return Ok(shown_dir(name.clone(), sub));
    }
    let (base, found) = match slot.is_empty() {
        true => alias::find(dir, source, name)?.ok_or_else(not_found)?,
        false => (name.clone(), alias::shown(dir, source, name, &slot)?.swap_remove(0)),
    };
    Ok(shown_file(&base, found))
}

fn folder(source: &mut BlockSource, from: &KnownFolder, path: &[EntryName]) -> StepResult<KnownFolder> {
    debug_assert!(path.starts_with(&from.path), "a known folder lies on the way");
    let mut dir = Arc::clone(&from.dir);
    for name in &path[from.path.len()..] {
        let slot = dir.get(source, name)?.into_owned();
        dir = match slot.dir {
            Some(sub) => sub,
            None if slot.is_empty() && alias::find(&dir, source, name)?.is_none() => return Err(not_found()),
            None => return Err(MissingOrError::Failed(TreeError::NotAFolder)),
        };
    }
    Ok(KnownFolder { path: path.to_vec(), dir })
}

/// All shown names of an entry stand on the same page, behind its own: so the last of them tells where to go on.
fn list(
    source: &mut BlockSource,
    dir: &MergedDirectory,
    after: Option<&EntryName>,
    max: usize,
) -> StepResult<QueryResult> {
    let after = match after {
        Some(after) => alias::find(dir, source, after)?.map(|(base, _)| base).or_else(|| Some(after.clone())),
        None => None,
    };
    let mut page = dir.page(source, after.as_ref(), max.saturating_add(1))?.into_iter();
    let mut entries = Vec::new();
    for (name, slot) in page.by_ref() {
        entries.extend(shown(source, dir, &name, &slot)?);
        if entries.len() >= max {
            break;
        }
    }
    Ok(QueryResult::List { entries, more: page.next().is_some() })
}

fn shown(
    source: &mut BlockSource,
    dir: &MergedDirectory,
    name: &EntryName,
    slot: &NameSlot,
) -> StepResult<Vec<TreeItem>> {
    let sub = slot.dir.iter().map(|sub| shown_dir(name.clone(), sub));
    let files = alias::shown(dir, source, name, slot)?;
    Ok(sub.chain(files.into_iter().map(|file| shown_file(name, file))).collect())
}

fn shown_dir(name: EntryName, dir: &MergedDirectory) -> TreeItem {
    let (attrs, xattrs, time, writer) = dir.attrs();
    // A folder with changes of a merge that nobody has written yet has no block of its own.
    let root = dir.folder.tree.filter(|_| dir.changes.is_empty());
    TreeItem { name, attrs, xattrs: xattrs.to_vec(), kind: TreeItemKind::Dir { root }, conflict_of: None, time, writer }
}

fn shown_file(base: &EntryName, BlockAlias { name, version }: BlockAlias) -> TreeItem {
    let conflict_of = (name != *base).then(|| base.clone());
    let file = version.value;
    let kind = TreeItemKind::File { size: file.size, content: file.content };
    TreeItem {
        name,
        attrs: file.attrs,
        xattrs: version.xattrs,
        kind,
        conflict_of,
        time: version.time,
        writer: version.writer,
    }
}

fn not_found() -> MissingOrError {
    MissingOrError::Failed(TreeError::NotFound)
}
