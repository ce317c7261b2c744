//! Folders that queries came to lately. A walk through a tree asks for one folder after the other; without them each question
//! would go through all the folders above it again, and a walk to depth n would cost the square of n.

use std::collections::BTreeMap;
use std::sync::Arc;

use fsdfs_proto::ids::{FactId, VolumeId};

use super::EntryName;
use super::dir::MergedDirectory;
use super::operation::TreePath;

/// Kept at most: the ancestors of one place in the deepest tree, and some.
const FOLDERS_MAX: usize = 512;

/// A folder, and where it lies in the merged view of the heads that it was found in.
#[derive(Clone, Debug)]
pub struct KnownFolder {
    pub(super) path: TreePath,
    pub(super) dir: Arc<MergedDirectory>,
}

impl KnownFolder {
    /// The root of a merged view.
    pub(super) fn root(dir: MergedDirectory) -> Self {
        Self { path: TreePath::new(), dir: Arc::new(dir) }
    }
}

/// Folders of one set of heads, the most recently used.
#[derive(Debug, Default)]
pub struct KnownFolders {
    /// Ids in the order in which the heads are kept. Folders of other heads are never handed out.
    heads: Option<(VolumeId, Vec<FactId>)>,
    /// With the number of their last use.
    folders: BTreeMap<TreePath, (u64, KnownFolder)>,
    uses: u64,
}

impl KnownFolders {
    /// The folder that is nearest to the end of a path. Forgets all if the heads are other ones.
    pub fn nearest(&mut self, volume: VolumeId, heads: &[FactId], path: &[EntryName]) -> Option<KnownFolder> {
        if self.heads.as_ref().is_none_or(|(of, ids)| *of != volume || ids != heads) {
            *self = Self { heads: Some((volume, heads.to_vec())), ..Self::default() };
        }
        let at = (0..=path.len()).rev().find(|at| self.folders.contains_key(&path[..*at]))?;
        self.uses += 1;
        let (used, known) = self.folders.get_mut(&path[..at])?;
        *used = self.uses;
        debug_assert!(path.starts_with(&known.path), "it lies on the way");
        Some(known.clone())
    }

    /// Takes in what a query of these heads found.
    pub fn keep(&mut self, volume: VolumeId, heads: &[FactId], known: KnownFolder) {
        if self.heads.as_ref().is_none_or(|(of, ids)| *of != volume || ids != heads) {
            return;
        }
        self.uses += 1;
        self.folders.insert(known.path.clone(), (self.uses, known));
        if self.folders.len() > FOLDERS_MAX {
            // Seldom: the older half goes at once.
            let mut used: Vec<u64> = self.folders.values().map(|(used, _)| *used).collect();
            let middle = used.len() / 2;
            let (_, middle, _) = used.select_nth_unstable(middle);
            let middle = *middle;
            self.folders.retain(|_, (used, _)| *used >= middle);
        }
        debug_assert!(self.folders.len() <= FOLDERS_MAX, "half of them went");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const VOLUME: VolumeId = VolumeId([1; 32]);
    const HEADS: [FactId; 1] = [FactId([2; 32])];

    fn path(text: &str) -> TreePath {
        text.split('/').filter(|name| !name.is_empty()).map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
    }

    fn known(text: &str) -> KnownFolder {
        KnownFolder { path: path(text), ..KnownFolder::root(MergedDirectory::default()) }
    }

    fn nearest(folders: &mut KnownFolders, text: &str) -> Option<TreePath> {
        folders.nearest(VOLUME, &HEADS, &path(text)).map(|known| known.path)
    }

    #[test]
    fn the_nearest_folder_on_the_way_is_found() {
        let mut folders = KnownFolders::default();
        assert_eq!(nearest(&mut folders, "a/b"), None);
        for text in ["", "a", "a/b/c", "x"] {
            folders.keep(VOLUME, &HEADS, known(text));
        }
        for (text, expected) in [("a/b", "a"), ("a/b/c", "a/b/c"), ("a/b/c/d/e", "a/b/c"), ("ab", ""), ("", "")] {
            assert_eq!(nearest(&mut folders, text), Some(path(expected)), "{text}");
        }
    }

    #[test]
    fn folders_of_other_heads_are_forgotten() {
        let mut folders = KnownFolders::default();
        nearest(&mut folders, "a");
        folders.keep(VOLUME, &[FactId([3; 32])], known("a"));
        assert_eq!(nearest(&mut folders, "a"), None, "a query that began before the change");
        folders.keep(VOLUME, &HEADS, known("a"));
        assert_eq!(nearest(&mut folders, "a"), Some(path("a")));
        assert!(folders.nearest(VOLUME, &[FactId([3; 32])], &path("a")).is_none());
        assert!(folders.nearest(VolumeId([9; 32]), &HEADS, &path("a")).is_none());
    }

    #[test]
    fn they_are_bounded_and_the_longest_unused_go() {
        let mut folders = KnownFolders::default();
        nearest(&mut folders, "");
        folders.keep(VOLUME, &HEADS, known("kept"));
        for number in 0..3 * FOLDERS_MAX {
            folders.keep(VOLUME, &HEADS, known(&number.to_string()));
            assert_eq!(nearest(&mut folders, "kept/x"), Some(path("kept")));
        }
        assert!(folders.folders.len() <= FOLDERS_MAX);
    }
}
