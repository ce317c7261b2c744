//! How to come to a folder again: an open handle for each of a million folders would be too many, and opening each from the
//! top again would cost the square of its depth.

use std::sync::Arc;

use crate::local::write::{LocalFolder, WriteError};

/// A folder by the way to it. Equal ways are the same `Arc`.
#[derive(Debug)]
pub struct FolderTrail {
    /// Folders above it.
    depth: usize,
    place: TrailPlace,
}

#[derive(Debug)]
enum TrailPlace {
    Root(LocalFolder),
    Below(Arc<FolderTrail>, Vec<u8>),
}

impl FolderTrail {
    /// The destination.
    pub fn root(folder: LocalFolder) -> Arc<Self> {
        Arc::new(Self { depth: 0, place: TrailPlace::Root(folder) })
    }

    /// The folder `name` in another.
    pub fn below(above: &Arc<Self>, name: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { depth: above.depth + 1, place: TrailPlace::Below(Arc::clone(above), name) })
    }
}

/// Open folders from a destination down to the one that was visited last. Who visits folders in the order of a walk, or its
/// reverse, opens each of them once.
#[derive(Debug, Default)]
pub struct OpenTrail(Vec<(Arc<FolderTrail>, LocalFolder)>);

impl OpenTrail {
    /// Opens the folder at the end of a way, from the last folder that it shares with the way before.
    pub fn to(&mut self, trail: &Arc<FolderTrail>) -> Result<LocalFolder, WriteError> {
        let mut missing = Vec::new();
        let mut at = trail;
        while !self.0.get(at.depth).is_some_and(|(open, _)| Arc::ptr_eq(open, at)) {
            missing.push(at);
            match &at.place {
                TrailPlace::Root(_) => break,
                TrailPlace::Below(above, _) => at = above,
            }
        }
        self.0.truncate(trail.depth + 1 - missing.len());
        for step in missing.into_iter().rev() {
            let open = match (&step.place, self.0.last()) {
                (TrailPlace::Below(_, name), Some((_, above))) => above.enter(name)?,
                (TrailPlace::Root(folder), _) => folder.clone(),
                (TrailPlace::Below(..), None) => unreachable!("a way begins at a root"),
            };
            self.0.push((Arc::clone(step), open));
        }
        Ok(self.0.last().expect("a way has at least its root").1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    fn inode(folder: &LocalFolder) -> u64 {
        rustix::fs::fstat(folder).expect("open").st_ino
    }

    #[test]
    fn every_folder_is_found_in_any_order() {
        let temp = tempfile::tempdir().expect("temp");
        let paths = ["", "a", "a/b", "a/b/c", "a/d", "e", "e/b"];
        paths.iter().for_each(|path| fs::create_dir_all(temp.path().join(path)).expect("dirs"));
        let root =
            FolderTrail::root(LocalFolder::open(temp.path(), crate::local::write::ModeMask::EXACT).expect("open"));
        let below = |above: &Arc<FolderTrail>, name: &str| FolderTrail::below(above, name.into());
        let (a, e) = (below(&root, "a"), below(&root, "e"));
        let ab = below(&a, "b");
        let trails = [root.clone(), a.clone(), ab.clone(), below(&ab, "c"), below(&a, "d"), e.clone(), below(&e, "b")];
        let mut way = OpenTrail::default();
        for order in [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 6, 0, 4, 2, 6, 3]] {
            for at in order {
                let found = way.to(&trails[at]).expect("there");
                assert_eq!(inode(&found), fs::metadata(temp.path().join(paths[at])).expect("there").ino(), "{order:?}");
                assert_eq!(way.0.len(), trails[at].depth + 1);
            }
        }
    }

    #[test]
    fn after_a_folder_that_is_gone_the_next_one_is_found() {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir_all(temp.path().join("a/b")).expect("dirs");
        let root =
            FolderTrail::root(LocalFolder::open(temp.path(), crate::local::write::ModeMask::EXACT).expect("open"));
        let (a, gone) = (FolderTrail::below(&root, b"a".into()), FolderTrail::below(&root, b"gone".into()));
        let mut way = OpenTrail::default();
        way.to(&FolderTrail::below(&a, b"b".into())).expect("there");
        assert!(way.to(&FolderTrail::below(&gone, b"b".into())).is_err());
        assert!(way.to(&a).is_ok());
    }
}
