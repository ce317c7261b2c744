//! Reading a tree as people see it.

use std::borrow::Cow;

use super::alias::{self, Alias};
use super::dir::{Dir, Slot};
use super::source::{Source, Step, Stop};
use super::{Found, Look, Name, Shown, ShownKind, TreeError};

/// Finds what is asked for below a root.
pub(super) fn look(source: &mut Source, root: &Dir, look: &Look) -> Step<Found> {
    match look {
        Look::Entry { path } => entry(source, root, path).map(Found::Entry),
        Look::List { path, after, max } => {
            let dir = folder(source, root, path)?;
            list(source, &dir, after.as_ref(), *max)
        }
    }
}

fn entry(source: &mut Source, root: &Dir, path: &[Name]) -> Step<Shown> {
    let Some((name, parents)) = path.split_last() else { return Ok(shown_dir(Name::new(), root)) };
    let dir = folder(source, root, parents)?;
    let slot = dir.get(source, name)?;
    if let Some(sub) = &slot.dir {
        return Ok(shown_dir(name.clone(), sub));
    }
    let (base, found) = match slot.is_empty() {
        true => alias::find(&dir, source, name)?.ok_or_else(not_found)?,
        false => (name.clone(), alias::shown(&dir, source, name, &slot)?.swap_remove(0)),
    };
    Ok(shown_file(&base, found))
}

fn folder<'d>(source: &mut Source, root: &'d Dir, path: &[Name]) -> Step<Cow<'d, Dir>> {
    let mut dir = Cow::Borrowed(root);
    for name in path {
        let slot = dir.get(source, name)?.into_owned();
        dir = match slot.dir {
            Some(sub) => Cow::Owned(*sub),
            None if slot.is_empty() && alias::find(&dir, source, name)?.is_none() => return Err(not_found()),
            None => return Err(Stop::Failed(TreeError::NotAFolder)),
        };
    }
    Ok(dir)
}

/// All shown names of an entry stand on the same page, behind its own: so the last of them tells where to go on.
fn list(source: &mut Source, dir: &Dir, after: Option<&Name>, max: usize) -> Step<Found> {
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
    Ok(Found::List { entries, more: page.next().is_some() })
}

fn shown(source: &mut Source, dir: &Dir, name: &Name, slot: &Slot) -> Step<Vec<Shown>> {
    let sub = slot.dir.iter().map(|sub| shown_dir(name.clone(), sub));
    let files = alias::shown(dir, source, name, slot)?;
    Ok(sub.chain(files.into_iter().map(|file| shown_file(name, file))).collect())
}

fn shown_dir(name: Name, dir: &Dir) -> Shown {
    let (attrs, time, writer) = dir.attrs();
    // A folder with changes of a merge that nobody has written yet has no block of its own.
    let root = dir.folder.tree.filter(|_| dir.changes.is_empty());
    Shown { name, attrs, kind: ShownKind::Dir { root }, conflict_of: None, time, writer }
}

fn shown_file(base: &Name, Alias { name, version }: Alias) -> Shown {
    let conflict_of = (name != *base).then(|| base.clone());
    let file = version.value;
    let kind = ShownKind::File { size: file.size, content: file.content };
    Shown { name, attrs: file.attrs, kind, conflict_of, time: version.time, writer: version.writer }
}

fn not_found() -> Stop {
    Stop::Failed(TreeError::NotFound)
}
