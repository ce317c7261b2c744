//! Paths in the store: `[VOLUME:]/path`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::builder::{OsStringValueParser, TypedValueParser};

use fsdfs_node::control_client::VolumeName;

use crate::text::escape;

/// The volume that every member shares.
pub const DEFAULT_VOLUME: &str = "pool";

/// Bytes a name may have.
const NAME_BYTES_MAX: usize = 255;

/// Parses `[VOLUME:]/PATH` on the command line.
pub fn remote() -> impl TypedValueParser<Value = RemotePath> {
    OsStringValueParser::new().try_map(|text| RemotePath::parse(&text))
}

/// Where something is in the store. Its names can be stored and cannot climb out of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemotePath {
    /// Which tree.
    pub volume: String,
    /// From its root; empty = the root itself.
    pub names: Vec<Vec<u8>>,
    /// Whether it was written with a slash at its end: a folder is meant.
    pub slash: bool,
    /// In which earlier state, by its whole id; none = as it is now.
    pub state: Option<String>,
}

impl RemotePath {
    /// Reads what a person typed.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (volume, path) = split_volume(bytes)?;
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(check_name);
        Ok(Self { volume, names: names.collect::<Result<_, _>>()?, slash: path.ends_with(b"/"), state: None })
    }

    /// The path of `name` in this folder.
    pub fn join(&self, name: &[u8]) -> Self {
        let mut names = self.names.clone();
        names.push(name.to_vec());
        Self { names, slash: false, ..self.clone() }
    }

    /// The path of what these names lead to from here.
    pub fn join_all<'a>(&self, more: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let names = self.names.iter().cloned().chain(more.into_iter().map(<[u8]>::to_vec)).collect();
        Self { names, slash: false, ..self.clone() }
    }

    /// The last name; none for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.names.last().map(Vec::as_slice)
    }

    /// The tree that it leads into.
    pub fn tree(&self) -> VolumeName<'_> {
        VolumeName { volume: &self.volume, state: self.state.as_deref() }
    }

    /// The path as bytes, without the volume: `/a/b`.
    pub fn bytes(&self) -> Vec<u8> {
        if self.names.is_empty() {
            return b"/".to_vec();
        }
        self.names.iter().flat_map(|name| std::iter::once(b'/').chain(name.iter().copied())).collect()
    }

    /// As a person would type it.
    pub fn to_os_string(&self) -> OsString {
        let mut text =
            if self.volume == DEFAULT_VOLUME { Vec::new() } else { format!("{}:", self.volume).into_bytes() };
        text.extend(self.bytes());
        OsString::from_vec(text)
    }
}

/// For people: harmless on a terminal.
impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::name(self.to_os_string().as_bytes()))
    }
}

/// A volume's name has no slash, so only a colon before the first slash can end one.
fn split_volume(bytes: &[u8]) -> Result<(String, &[u8]), String> {
    if bytes.starts_with(b"/") {
        return Ok((DEFAULT_VOLUME.to_owned(), bytes));
    }
    let slash = bytes.iter().position(|byte| *byte == b'/');
    let (volume, path) = match slash {
        Some(slash) if slash > 1 && bytes[slash - 1] == b':' => (&bytes[..slash - 1], &bytes[slash..]),
        _ => return Err(format!("a path in the store begins with a slash: /{}", escape::name(bytes))),
    };
    let text =
        std::str::from_utf8(volume).ok().filter(|text| super::text::parse::label(text).is_ok() && !text.contains(':'));
    Ok((text.ok_or("a volume's name is 1 to 64 bytes of text without ':'")?.to_owned(), path))
}

fn check_name(name: &[u8]) -> Result<Vec<u8>, String> {
    if name == b"." || name == b".." {
        return Err("'.' and '..' mean nothing in the store; write the whole path".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("a name has at most {NAME_BYTES_MAX} bytes; this one has {}", name.len()));
    }
    if name.contains(&0) {
        return Err("a name cannot have a NUL byte".into());
    }
    Ok(name.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, volume: &str, names: &[&str], slash: bool) {
        let names = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        assert_eq!(
            RemotePath::parse(OsStr::new(text)),
            Ok(RemotePath { volume: volume.into(), names, slash, state: None }),
            "{text:?}"
        );
    }

    #[test]
    fn paths() {
        check("/", "pool", &[], true);
        check("/a/b", "pool", &["a", "b"], false);
        check("//a///b/", "pool", &["a", "b"], true);
        check("pool:/a", "pool", &["a"], false);
        check("anna:/x:/y", "anna", &["x:", "y"], false);
        check("/a:b", "pool", &["a:b"], false);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["", "a", "a/b", "a:b", ":/a", "a:b:/c", "/a/../b", "/.", "C:\\x", &format!("/{}", "n".repeat(256))]
        {
            assert!(RemotePath::parse(OsStr::new(bad)).is_err(), "{bad:?}");
        }
        let error = RemotePath::parse(OsStr::new("photos")).expect_err("no slash");
        assert_eq!(error, "a path in the store begins with a slash: /photos");
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(names in proptest::collection::vec("[^/\0]{1,20}", 0..5)) {
            prop_assume!(names.iter().all(|name| name != "." && name != ".."));
            let path = RemotePath { volume: "pool".into(), names: names.iter().map(|name| name.clone().into_bytes()).collect(), slash: names.is_empty(), state: None };
            prop_assert_eq!(RemotePath::parse(&path.to_os_string()), Ok(path));
        }

        #[test]
        fn any_bytes_are_a_path_or_an_error(bytes: Vec<u8>) {
            if let Ok(path) = RemotePath::parse(OsStr::from_bytes(&bytes)) {
                prop_assert!(path.names.iter().all(|name| !name.is_empty() && !name.contains(&b'/') && name != b".."));
            }
        }
    }
}
