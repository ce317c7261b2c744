//! Small files on their way out of the store: their contents came with the page of their folder, so that what is left is to
//! write them, many in one go on a thread of its own.

use bytes::Bytes;

use crate::local::LocalAttributes;
use crate::local::write::{LocalFolder, OverwritePolicy, WriteError};
use crate::remote::RemotePath;

/// Files that are handed to a thread at once: enough to make the hand-over cheap, few enough that all threads have some.
const GROUP: usize = 64;

/// A file whose content is here.
#[derive(Debug)]
pub struct SmallFile {
    pub from: RemotePath,
    pub folder: LocalFolder,
    pub name: Vec<u8>,
    pub content: Bytes,
    pub attrs: LocalAttributes,
}

/// Files that wait for their thread.
#[derive(Debug, Default)]
pub struct SmallFiles(Vec<SmallFile>);

/// What became of one.
#[derive(Debug)]
pub struct Written {
    pub from: RemotePath,
    /// That it has.
    pub bytes: u64,
    pub outcome: Result<(), WriteError>,
}

impl SmallFiles {
    /// One more; those that are to be written now, if they are enough.
    pub fn push(&mut self, file: SmallFile) -> Option<Vec<SmallFile>> {
        self.0.push(file);
        (self.0.len() >= GROUP).then(|| self.take())
    }

    /// Those that are left.
    pub fn take(&mut self) -> Vec<SmallFile> {
        std::mem::take(&mut self.0)
    }
}

/// Writes them one after the other. One that fails keeps no other from being written.
pub fn write_all(files: Vec<SmallFile>, existing: OverwritePolicy) -> Vec<Written> {
    let one = |file: SmallFile| {
        let (bytes, outcome) = (file.content.len() as u64, write(&file, existing));
        Written { from: file.from, bytes, outcome }
    };
    files.into_iter().map(one).collect()
}

fn write(file: &SmallFile, existing: OverwritePolicy) -> Result<(), WriteError> {
    let mut incoming = file.folder.begin(&file.name, file.content.len() as u64)?;
    incoming.write(&file.content)?;
    incoming.publish(file.attrs, existing)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn one_that_is_in_the_way_keeps_no_other_back() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("b"), b"mine").expect("file");
        let folder = LocalFolder::open(temp.path(), crate::local::write::ModeMask::EXACT).expect("open");
        let file = |name: &str| SmallFile {
            from: RemotePath::parse(OsStr::new(&format!("/{name}"))).expect("a path"),
            folder: folder.clone(),
            name: name.into(),
            content: Bytes::copy_from_slice(name.as_bytes()),
            attrs: LocalAttributes { mode: 0o640, mtime_ns: 7 },
        };
        let mut files = SmallFiles::default();
        assert!(["a", "b", "c"].into_iter().all(|name| files.push(file(name)).is_none()));
        let written = write_all(files.take(), OverwritePolicy::Keep);
        let outcomes: Vec<_> =
            written.iter().map(|one| (one.from.to_string(), one.bytes, one.outcome.is_ok())).collect();
        assert_eq!(outcomes, [("/a".into(), 1, true), ("/b".into(), 1, false), ("/c".into(), 1, true)]);
        let content = |name| std::fs::read(temp.path().join(name)).expect("there");
        assert_eq!([content("a"), content("b"), content("c")], [&b"a"[..], b"mine", b"c"]);
        assert!((1..GROUP).all(|_| files.push(file("x")).is_none()));
        assert_eq!(files.push(file("x")).map(|group| group.len()), Some(GROUP));
    }
}
