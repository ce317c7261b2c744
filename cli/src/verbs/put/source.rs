//! Which source goes where.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fsdfs_proto::control::EntryKind;

use crate::local::FollowLinks;
use crate::remote::RemotePath;
use crate::text::escape;

/// A source as typed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PutSource {
    /// `-`.
    Stdin,
    /// A file, folder or link, which keeps its name.
    Named {
        /// Where it is.
        path: PathBuf,
        /// Its last name.
        name: Vec<u8>,
        /// Whether it is a folder; of a link that is followed, what it points at.
        is_folder: bool,
    },
    /// What is in a folder: written with a slash at its end, or `.`, `..`.
    Content {
        /// The folder.
        path: PathBuf,
    },
}

/// For people.
impl fmt::Display for PutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("the standard input"),
            Self::Named { path, .. } | Self::Content { path } => {
                f.write_str(&escape::name(path.as_os_str().as_bytes()))
            }
        }
    }
}

impl PutSource {
    /// Reads what a person typed.
    pub fn new(typed: &OsStr, follow: FollowLinks) -> Self {
        let bytes = typed.as_bytes();
        // In a command that is printed it must not look like an option.
        let path = if bytes.starts_with(b"-") { Path::new(".").join(typed) } else { PathBuf::from(typed) };
        let is_dots = bytes == b"." || bytes.ends_with(b"/.");
        match path.file_name() {
            _ if bytes == b"-" => Self::Stdin,
            Some(name) if !bytes.ends_with(b"/") && !is_dots => {
                let look = if follow == FollowLinks::Never { std::fs::symlink_metadata } else { std::fs::metadata };
                let is_folder = look(&path).is_ok_and(|meta| meta.is_dir());
                Self::Named { name: name.as_bytes().to_vec(), path, is_folder }
            }
            _ => Self::Content { path },
        }
    }

    fn is_folder(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::Named { is_folder, .. } => *is_folder,
            Self::Content { .. } => true,
        }
    }
}

/// A source and the path that it gets.
pub type PutTarget = (PutSource, RemotePath);

/// Decides where each source goes; `standing` is what stands at `dest` now.
pub fn plan(sources: &[PutSource], dest: &RemotePath, standing: Option<EntryKind>) -> Result<Vec<PutTarget>, String> {
    let is_folder = standing == Some(EntryKind::Folder);
    let into = is_folder || dest.slash || sources.len() > 1;
    if into && matches!(standing, Some(EntryKind::File | EntryKind::Link)) {
        return Err(format!("{dest} is a file, so nothing can go into it"));
    }
    let stays = |name: &[u8], source: &PutSource| {
        !dest.slash && sources.len() == 1 && dest.name() == Some(name) && source.is_folder()
    };
    sources
        .iter()
        .map(|source| match source {
            PutSource::Stdin if into => {
                Err(format!("the standard input has no name; give one: {dest}/NAME").replace("//", "/"))
            }
            PutSource::Stdin => Ok((source.clone(), dest.clone())),
            PutSource::Content { .. } if standing.is_some_and(|kind| kind != EntryKind::Folder) => {
                Err(format!("{dest} is a file, so nothing can go into it"))
            }
            PutSource::Content { .. } => Ok((source.clone(), dest.clone())),
            PutSource::Named { name, .. } if into && !(is_folder && stays(name, source)) => {
                Ok((source.clone(), dest.join(check(name)?)))
            }
            PutSource::Named { .. } if source.is_folder() && standing.is_some() && !is_folder => {
                Err(format!("{dest} is a file, and a folder does not replace it"))
            }
            PutSource::Named { .. } => Ok((source.clone(), dest.clone())),
        })
        .collect()
}

/// How it is typed which links are followed.
pub fn option(follow: FollowLinks) -> Option<OsString> {
    match follow {
        FollowLinks::Never => None,
        FollowLinks::Sources => Some("--follow=sources".into()),
        FollowLinks::All => Some("-L".into()),
    }
}

/// The words of a command that does the same once more, wherever the first one stopped: a folder that became `dest` is
/// named with a slash, so that it does not become `dest/name` the next time.
pub fn repeatable(dest: &RemotePath, plan: &[PutTarget], follow: FollowLinks) -> Vec<OsString> {
    let again = |(source, target): &PutTarget| match source {
        PutSource::Stdin => OsString::from("-"),
        PutSource::Named { path, .. } if source.is_folder() && target.names == dest.names => with_slash(path),
        PutSource::Named { path, .. } | PutSource::Content { path } => path.clone().into_os_string(),
    };
    let mut words = vec![OsString::from("put")];
    words.extend(option(follow));
    words.extend(plan.iter().map(again));
    let mut to = dest.to_os_string();
    if dest.slash && !dest.names.is_empty() {
        to.push("/");
    }
    words.push(to);
    words
}

fn with_slash(path: &Path) -> OsString {
    let mut path = path.as_os_str().to_owned();
    path.push("/");
    path
}

/// A name of this machine can be any; one of the store cannot be longer than 255 bytes.
fn check(name: &[u8]) -> Result<&[u8], String> {
    if name.len() <= 255 { Ok(name) } else { Err(format!("the name {} is too long", escape::name(name))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PutCase {
        temp: tempfile::TempDir,
    }

    impl PutCase {
        fn new() -> Self {
            let temp = tempfile::tempdir().expect("temp");
            std::fs::create_dir(temp.path().join("photos")).expect("dir");
            std::fs::write(temp.path().join("a.txt"), b"a").expect("file");
            Self { temp }
        }

        /// Where sources go, or why not; and how the command is repeated.
        fn plan(&self, sources: &[&str], dest: &str, standing: Option<EntryKind>) -> Result<Vec<String>, String> {
            let sources: Vec<PutSource> = sources
                .iter()
                .map(|name| {
                    if *name == "-" {
                        PutSource::Stdin
                    } else {
                        PutSource::new(
                            OsStr::new(&format!("{}/{name}", self.temp.path().display())),
                            FollowLinks::Never,
                        )
                    }
                })
                .collect();
            let dest = RemotePath::parse(OsStr::new(dest)).expect("a path");
            Ok(plan(&sources, &dest, standing)?.iter().map(|(_, target)| target.to_string()).collect())
        }

        #[track_caller]
        fn check(&self, sources: &[&str], dest: &str, standing: Option<EntryKind>, expected: &[&str]) {
            assert_eq!(
                self.plan(sources, dest, standing),
                Ok(expected.iter().map(|path| (*path).to_owned()).collect())
            );
        }
    }

    const FOLDER: Option<EntryKind> = Some(EntryKind::Folder);
    const FILE: Option<EntryKind> = Some(EntryKind::File);

    #[test]
    fn where_things_go() {
        let case = PutCase::new();
        case.check(&["a.txt"], "/x", None, &["/x"]);
        case.check(&["a.txt"], "/x", FILE, &["/x"]);
        case.check(&["a.txt"], "/x", FOLDER, &["/x/a.txt"]);
        case.check(&["a.txt"], "/x/", None, &["/x/a.txt"]);
        case.check(&["photos"], "/x", None, &["/x"]);
        case.check(&["photos"], "/x", FOLDER, &["/x/photos"]);
        case.check(&["photos"], "/", FOLDER, &["/photos"]);
        case.check(&["photos/"], "/x", None, &["/x"]);
        case.check(&["photos/"], "/x", FOLDER, &["/x"]);
        case.check(&["photos/."], "/x", FOLDER, &["/x"]);
        case.check(&["a.txt", "photos", "photos/"], "/x", None, &["/x/a.txt", "/x/photos", "/x"]);
        case.check(&["-"], "/x", FILE, &["/x"]);
    }

    #[test]
    fn a_folder_meets_its_own_copy() {
        let case = PutCase::new();
        case.check(&["photos"], "/x/photos", FOLDER, &["/x/photos"]);
        case.check(&["photos"], "/x/photos/", FOLDER, &["/x/photos/photos"]);
        case.check(&["a.txt"], "/a.txt", FOLDER, &["/a.txt/a.txt"]);
    }

    #[test]
    fn what_cannot_be() {
        let case = PutCase::new();
        assert!(case.plan(&["a.txt", "photos"], "/x", FILE).is_err());
        assert!(case.plan(&["a.txt"], "/x/", FILE).is_err());
        assert!(case.plan(&["photos"], "/x", FILE).is_err());
        assert!(case.plan(&["photos/"], "/x", FILE).is_err());
        assert_eq!(case.plan(&["-"], "/", FOLDER), Err("the standard input has no name; give one: /NAME".into()));
    }

    #[test]
    fn the_repeated_command_does_not_nest() {
        let case = PutCase::new();
        let path = case.temp.path().join("photos");
        let sources = [PutSource::new(path.as_os_str(), FollowLinks::Never)];
        let dest = RemotePath::parse(OsStr::new("/x")).expect("a path");
        let words = |standing| repeatable(&dest, &plan(&sources, &dest, standing).expect("a plan"), FollowLinks::Never);
        assert_eq!(words(None), [OsString::from("put"), with_slash(&path), "/x".into()]);
        assert_eq!(words(FOLDER), [OsString::from("put"), path.clone().into(), "/x".into()]);
    }

    #[test]
    fn a_followed_link_to_a_folder_is_a_folder_also_when_repeated() {
        let case = PutCase::new();
        let link = case.temp.path().join("link");
        std::os::unix::fs::symlink("photos", &link).expect("link");
        let dest = RemotePath::parse(OsStr::new("/x")).expect("a path");
        for (follow, is_folder, again) in [
            (FollowLinks::Never, false, vec!["put".into(), link.clone().into_os_string(), "/x".into()]),
            (FollowLinks::All, true, vec!["put".into(), "-L".into(), with_slash(&link), "/x".into()]),
            (FollowLinks::Sources, true, vec!["put".into(), "--follow=sources".into(), with_slash(&link), "/x".into()]),
        ] {
            let source = PutSource::new(link.as_os_str(), follow);
            assert_eq!(source.is_folder(), is_folder);
            let plan = plan(&[source], &dest, None).expect("a plan");
            assert_eq!(repeatable(&dest, &plan, follow), again);
        }
    }

    #[test]
    fn a_name_that_looks_like_an_option_is_a_path() {
        let source = PutSource::new(OsStr::new("-x"), FollowLinks::Never);
        let expected = PutSource::Named { path: "./-x".into(), name: b"-x".to_vec(), is_folder: false };
        assert_eq!(source, expected);
    }
}
