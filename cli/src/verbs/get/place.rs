//! Which source goes where.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use fsdfs_proto::control::{EntryKind, ListingEntry};

use crate::claims::NamePath;
use crate::remote::RemotePath;

/// What is fetched.
#[derive(Clone, Debug)]
pub struct GetSource {
    /// As typed.
    pub path: RemotePath,
    /// What it is.
    pub entry: ListingEntry,
    /// Newer changes may exist.
    pub maybe_stale: bool,
    /// Members that acknowledged changes which are not shown.
    pub unpublished_on: Vec<String>,
}

/// A source and its place.
#[derive(Clone, Debug)]
pub struct GetTarget {
    /// What.
    pub source: GetSource,
    /// Where.
    pub place: LocalPlace,
}

/// A place on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalPlace {
    /// Under this name in that folder, which is made if missing.
    As {
        /// The folder; the user's own word, so symlinks in it are followed.
        folder: PathBuf,
        /// The name in it.
        name: Vec<u8>,
    },
    /// The content of a source folder, in this folder that exists or is made.
    Into {
        /// The folder.
        folder: PathBuf,
    },
}

impl LocalPlace {
    /// The names of the folder, and the name in it.
    pub fn path(&self) -> NamePath {
        let (folder, name) = match self {
            Self::As { folder, name } => (folder, Some(name.clone())),
            Self::Into { folder } => (folder, None),
        };
        let names = folder.components().filter(|part| *part != Component::CurDir);
        names.map(|part| part.as_os_str().as_bytes().to_vec()).chain(name).collect()
    }
}

/// Decides where each source goes.
pub fn plan(sources: Vec<GetSource>, dest: &Path) -> Result<Vec<GetTarget>, String> {
    let several = sources.len() > 1;
    let slash = dest.as_os_str().as_bytes().ends_with(b"/");
    let shown = crate::text::escape::name(dest.as_os_str().as_bytes());
    // Without the slash, which would hide a file of that name.
    let dest = dest.components().as_path();
    if dest.exists() && !dest.is_dir() && (several || slash) {
        return Err(format!("{shown} is a file, so nothing can go into it"));
    }
    let into = dest.is_dir() || slash || several;
    sources.into_iter().map(|source| Ok(GetTarget { place: place(&source, dest, into, several)?, source })).collect()
}

fn place(source: &GetSource, dest: &Path, into: bool, several: bool) -> Result<LocalPlace, String> {
    let is_folder = source.entry.kind == EntryKind::Folder;
    let shown = crate::text::escape::name(dest.as_os_str().as_bytes());
    if is_folder && dest.exists() && !dest.is_dir() {
        return Err(format!("{shown} is a file, and a folder does not replace it"));
    }
    if source.path.slash && !is_folder {
        return Err(format!("{} is not a folder; leave the slash at its end out", source.path));
    }
    let whole = LocalPlace::Into { folder: dest.to_owned() };
    let Some(name) = source.path.name().filter(|_| !source.path.slash) else { return Ok(whole) };
    // What a folder was got as before is what it is got as again.
    let is_copy = is_folder && !several && dest.is_dir() && dest.file_name() == Some(OsStr::from_bytes(name));
    if is_copy {
        return Ok(whole);
    }
    if into {
        return Ok(LocalPlace::As { folder: dest.to_owned(), name: name.to_vec() });
    }
    let own = dest.file_name().ok_or_else(|| format!("{shown} does not name a file or folder"))?;
    let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(LocalPlace::As { folder: parent.to_owned(), name: own.as_bytes().to_vec() })
}

/// The words of a command that does the same once more: a folder that became DEST is named with a slash, so that it does
/// not become DEST/NAME the next time.
pub fn repeatable(plan: &[GetTarget], dest: &Path, options: &[String]) -> Vec<OsString> {
    let mut words = vec![OsString::from("get")];
    words.extend(options.iter().map(OsString::from));
    words.extend(plan.iter().map(|planned| {
        let mut typed = planned.source.path.to_os_string();
        let became_dest = matches!(&planned.place, LocalPlace::As { folder, .. } if folder != dest);
        let is_folder = planned.source.entry.kind == EntryKind::Folder && planned.source.path.name().is_some();
        if is_folder && (planned.source.path.slash || became_dest) {
            typed.push("/");
        }
        typed
    }));
    words.push(dest.into());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, kind: EntryKind) -> GetSource {
        let entry = ListingEntry {
            name: String::new(),
            name_bytes: None,
            kind,
            size: 0,
            mode: 0o644,
            mtime_ns: 0,
            target: None,
            target_bytes: None,
            xattrs: Vec::new(),
            hard_link: None,
            conflict_of: None,
            written_ms: 0,
            content: None,
        };
        GetSource {
            path: RemotePath::parse(OsStr::new(path)).expect("a path"),
            entry,
            maybe_stale: false,
            unpublished_on: Vec::new(),
        }
    }

    struct GetCase {
        temp: tempfile::TempDir,
    }

    impl GetCase {
        fn new() -> Self {
            let temp = tempfile::tempdir().expect("temp");
            std::fs::create_dir_all(temp.path().join("folder/photos")).expect("dir");
            std::fs::write(temp.path().join("file"), b"a").expect("file");
            Self { temp }
        }

        /// Places below the temporary folder, as `folder|name` or `folder/*`; and the repeated command.
        fn plan(&self, sources: &[(&str, EntryKind)], dest: &str) -> Result<(Vec<String>, String), String> {
            let root = self.temp.path().display().to_string();
            let dest = PathBuf::from(format!("{root}/{dest}"));
            let plan = plan(sources.iter().map(|(path, kind)| source(path, *kind)).collect(), &dest)?;
            let text = |place: &LocalPlace| match place {
                LocalPlace::As { folder, name } => format!("{}|{}", folder.display(), String::from_utf8_lossy(name)),
                LocalPlace::Into { folder } => format!("{}/*", folder.display()),
            };
            let places = plan.iter().map(|planned| text(&planned.place).replace(&root, ".")).collect();
            let words = repeatable(&plan, &dest, &[]);
            let words: Vec<String> =
                words.into_iter().map(|word| word.into_string().expect("text").replace(&root, ".")).collect();
            Ok((places, words.join(" ")))
        }

        #[track_caller]
        fn check(&self, sources: &[(&str, EntryKind)], dest: &str, places: &[&str], again: &str) {
            let places = places.iter().map(|place| (*place).to_owned()).collect();
            assert_eq!(self.plan(sources, dest), Ok((places, again.to_owned())));
        }
    }

    #[test]
    fn where_things_go() {
        let case = GetCase::new();
        let (file, photos, slash) =
            (("/d/a", EntryKind::File), ("/d/photos", EntryKind::Folder), ("/d/photos/", EntryKind::Folder));
        case.check(&[file], "new", &[".|new"], "get /d/a ./new");
        case.check(&[file], "file", &[".|file"], "get /d/a ./file");
        case.check(&[file], "folder", &["./folder|a"], "get /d/a ./folder");
        case.check(&[file], "new/", &["./new|a"], "get /d/a ./new/");
        case.check(&[photos], "new", &[".|new"], "get /d/photos/ ./new");
        case.check(&[photos], "folder", &["./folder|photos"], "get /d/photos ./folder");
        case.check(&[photos], "folder/photos", &["./folder/photos/*"], "get /d/photos ./folder/photos");
        case.check(&[slash], "folder", &["./folder/*"], "get /d/photos/ ./folder");
        case.check(&[slash], "new", &["./new/*"], "get /d/photos/ ./new");
        case.check(&[("/", EntryKind::Folder)], "new", &["./new/*"], "get / ./new");
        case.check(&[file, photos], "new", &["./new|a", "./new|photos"], "get /d/a /d/photos ./new");
    }

    #[test]
    fn what_cannot_be() {
        let case = GetCase::new();
        let (file, photos) = (("/a", EntryKind::File), ("/photos", EntryKind::Folder));
        assert!(case.plan(&[photos], "file").is_err());
        assert!(case.plan(&[file, photos], "file").is_err());
        assert!(case.plan(&[file], "file/").is_err());
        assert!(case.plan(&[("/a/", EntryKind::File)], "new").is_err());
        assert!(case.plan(&[file], "..").is_ok());
    }
}
