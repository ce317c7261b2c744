//! What stands in query strings, checked.

use bytes::Bytes;
use fsdfs_core::tree::{EntryName, FileAttributes, TreePath};
use fsdfs_proto::control::{CONTENTS_MAX, ErrorCode, EscapedText, PATH_BYTES_MAX, POOL_VOLUME, parameters};
use fsdfs_proto::ids::{BlockId, VolumeId};

use super::failure::Failure;
use crate::client::{Client, VolumeView};

/// A permission mode unless one is given.
const FILE_MODE: u32 = 0o644;

/// The parameters of one request. An unknown one is refused, so that a misspelt one is noticed.
#[derive(Debug, Default)]
pub(super) struct RequestQuery {
    path: Option<Vec<u8>>,
    volume: Option<Vec<u8>>,
    state: Option<Vec<u8>>,
    work: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
    from: Option<Vec<u8>>,
    max: Option<Vec<u8>>,
    contents: Option<Vec<u8>>,
    mode: Option<Vec<u8>>,
    mtime_ns: Option<Vec<u8>>,
    recursive: Option<Vec<u8>>,
    all: Option<Vec<u8>>,
    blocks: Option<Vec<u8>>,
    reason: Option<Vec<u8>>,
    with_invited: Option<Vec<u8>>,
    add: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
    site: Option<Vec<u8>>,
    remove: Option<Vec<u8>>,
    drain: Option<Vec<u8>>,
    copies: Option<Vec<u8>>,
}

/// A change of the pool, as it was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChangeRequest {
    Add { name: String, bytes: u64, site: Option<String> },
    Remove(String),
    Drain(String),
    Copies(u8),
}

impl RequestQuery {
    /// Reads a query string that may have these parameters.
    pub fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self, Failure> {
        let mut found = Self::default();
        for (name, value) in parameters(query.unwrap_or_default()) {
            if !allowed.contains(&name.as_str()) {
                let list = allowed.join(", ");
                return Err(Failure::bad_request(format!("parameter {name:?} is unknown here; known are: {list}")));
            }
            let place = match name.as_str() {
                "path" => &mut found.path,
                "volume" => &mut found.volume,
                "state" => &mut found.state,
                "work" => &mut found.work,
                "after" => &mut found.after,
                "from" => &mut found.from,
                "max" => &mut found.max,
                "contents" => &mut found.contents,
                "mode" => &mut found.mode,
                "mtime_ns" => &mut found.mtime_ns,
                "recursive" => &mut found.recursive,
                "all" => &mut found.all,
                "blocks" => &mut found.blocks,
                "add" => &mut found.add,
                "bytes" => &mut found.bytes,
                "site" => &mut found.site,
                "remove" => &mut found.remove,
                "drain" => &mut found.drain,
                "copies" => &mut found.copies,
                "with_invited" => &mut found.with_invited,
                _ => &mut found.reason,
            };
            if place.replace(value).is_some() {
                return Err(Failure::bad_request(format!("parameter {name:?} is given twice")));
            }
        }
        Ok(found)
    }

    pub fn path(&self) -> Result<TreePath, Failure> {
        path(self.path.as_deref().ok_or_else(|| Failure::bad_request("the parameter path is missing"))?)
    }

    /// The path, where it may be left out.
    pub fn path_if_any(&self) -> Result<Option<TreePath>, Failure> {
        self.path.as_deref().map(path).transpose()
    }

    pub fn volume(&self, client: &Client) -> Result<VolumeId, Failure> {
        volume(client, &text("volume", self.volume.as_deref())?.unwrap_or_else(|| POOL_VOLUME.into()))
    }

    /// The volume, or the earlier state of it that is named.
    pub fn view(&self, client: &Client) -> Result<VolumeView, Failure> {
        let state = text("state", self.state.as_deref())?.map(|digits| state(&digits)).transpose()?;
        Ok(VolumeView { volume: self.volume(client)?, state })
    }

    /// The piece of work that the request is part of.
    pub fn work(&self) -> Result<Option<u64>, Failure> {
        text("work", self.work.as_deref())?.map(|digits| work(&digits)).transpose()
    }

    pub fn after(&self) -> Result<Option<EntryName>, Failure> {
        self.after.as_ref().map(|name| checked_name(Bytes::copy_from_slice(name))).transpose()
    }

    /// A place in a file; its beginning unless given.
    pub fn from(&self) -> Result<u64, Failure> {
        Ok(number("from", self.from.as_deref(), |text| text.parse().ok())?.unwrap_or(0))
    }

    pub fn max(&self, most: usize) -> Result<usize, Failure> {
        let max = number("max", self.max.as_deref(), |text| text.parse().ok())?.unwrap_or(most);
        if max == 0 { Err(Failure::bad_request("max is at least 1")) } else { Ok(max.min(most)) }
    }

    /// Files of so many bytes at most go along with their entries; without the parameter, none.
    pub fn contents(&self) -> Result<Option<u64>, Failure> {
        let contents = self.contents.as_deref().map(|text| number("contents", Some(text), |text| text.parse().ok()));
        Ok(contents.transpose()?.flatten().map(|bytes: u64| bytes.min(CONTENTS_MAX as u64)))
    }

    /// Mode (octal) and time of a file; the time is `now_ns` unless given.
    pub fn attrs(&self, now_ns: i64) -> Result<FileAttributes, Failure> {
        let octal = |text: &str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
        Ok(FileAttributes {
            mode: number("mode", self.mode.as_deref(), octal)?.unwrap_or(FILE_MODE),
            mtime_ns: number("mtime_ns", self.mtime_ns.as_deref(), |text| text.parse().ok())?.unwrap_or(now_ns),
        })
    }

    pub fn recursive(&self) -> Result<bool, Failure> {
        Ok(number("recursive", self.recursive.as_deref(), |text| text.parse().ok())?.unwrap_or(false))
    }

    pub fn all(&self) -> Result<bool, Failure> {
        Ok(number("all", self.all.as_deref(), |text| text.parse().ok())?.unwrap_or(false))
    }

    pub fn blocks(&self) -> Result<bool, Failure> {
        Ok(number("blocks", self.blocks.as_deref(), |text| text.parse().ok())?.unwrap_or(false))
    }

    /// The change to plan: exactly one.
    pub fn change_request(&self) -> Result<ChangeRequest, Failure> {
        let named = |name, value: &Option<Vec<u8>>| text(name, value.as_deref());
        let (add, remove, drain) =
            (named("add", &self.add)?, named("remove", &self.remove)?, named("drain", &self.drain)?);
        let copies = number("copies", self.copies.as_deref(), |text| text.parse().ok())?;
        let bytes = number("bytes", self.bytes.as_deref(), |text| text.parse().ok())?;
        let site = named("site", &self.site)?;
        match (add, remove, drain, copies, bytes) {
            (Some(name), None, None, None, Some(bytes)) => Ok(ChangeRequest::Add { name, bytes, site }),
            (None, Some(name), None, None, None) if site.is_none() => Ok(ChangeRequest::Remove(name)),
            (None, None, Some(name), None, None) if site.is_none() => Ok(ChangeRequest::Drain(name)),
            (None, None, None, Some(copies), None) if site.is_none() => Ok(ChangeRequest::Copies(copies)),
            _ => Err(Failure::bad_request(
                "one of add (with bytes and perhaps site), remove, drain and copies is needed",
            )),
        }
    }

    pub fn with_invited(&self) -> Result<bool, Failure> {
        Ok(number("with_invited", self.with_invited.as_deref(), |text| text.parse().ok())?.unwrap_or(false))
    }

    pub fn reason(&self) -> Result<String, Failure> {
        let reason = text("reason", self.reason.as_deref())?.unwrap_or_default();
        if reason.len() > 200 { Err(Failure::bad_request("a reason has at most 200 bytes")) } else { Ok(reason) }
    }
}

fn text(name: &str, value: Option<&[u8]>) -> Result<Option<String>, Failure> {
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    value.map(read).transpose().map_err(|_| Failure::bad_request(format!("parameter {name:?} is not UTF-8")))
}

fn number<T>(name: &str, value: Option<&[u8]>, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let Some(value) = text(name, value)? else { return Ok(None) };
    let wrong = || Failure::bad_request(format!("{value:?} is not a value for parameter {name:?}"));
    parse(&value).ok_or_else(wrong).map(Some)
}

/// The volume of that name. Other volumes than the pool's come with `volume create`.
pub(super) fn volume(client: &Client, name: &str) -> Result<VolumeId, Failure> {
    if name == POOL_VOLUME {
        return Ok(client.pool_volume());
    }
    let error = format!("there is no volume {name:?}");
    Err(Failure::new(
        ErrorCode::NotFound,
        error,
        "the shared volume is called 'pool'; it is meant if no volume is named",
    ))
}

/// An earlier state, by the whole id of its commit.
pub(super) fn state(digits: &str) -> Result<BlockId, Failure> {
    let wrong = || {
        Failure::bad_request(format!(
            "{digits:?} is no state: a state has 64 hexadecimal digits, as GET /v1/history lists"
        ))
    };
    digits.parse().map_err(|_| wrong())
}

/// What all requests of one piece of work share.
pub(super) fn work(digits: &str) -> Result<u64, Failure> {
    let is_whole = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let work = Some(digits).filter(|_| is_whole).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    work.ok_or_else(|| Failure::bad_request("a piece of work is named by 16 hexadecimal digits"))
}

/// `/a/b` as names. The root is `/`; doubled slashes and one at the end are ignored, as in every shell.
pub(super) fn path(bytes: &[u8]) -> Result<TreePath, Failure> {
    let shown = || EscapedText(bytes.iter().copied().take(200).collect());
    if bytes.len() > PATH_BYTES_MAX {
        return Err(Failure::bad_request(format!(
            "a path has at most {PATH_BYTES_MAX} bytes; this one begins {}",
            shown()
        )));
    }
    let Some(names) = bytes.strip_prefix(b"/") else {
        return Err(Failure::bad_request(format!("a path begins with '/': {}", shown())));
    };
    let parts = names.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    parts.map(|name| checked_name(Bytes::copy_from_slice(name))).collect()
}

/// The rule of spec 05-volume, checked before anything is stored.
fn checked_name(name: EntryName) -> Result<EntryName, Failure> {
    let fits = (1..=255).contains(&name.len())
        && !name.contains(&0)
        && !name.contains(&b'/')
        && &name[..] != b"."
        && &name[..] != b"..";
    let error = || {
        let shown = EscapedText(name.iter().copied().take(300).collect());
        format!("the name {shown} cannot be stored: a name is 1 to 255 bytes without '/' and NUL, and not '.' or '..'")
    };
    if fits { Ok(name) } else { Err(Failure::new(ErrorCode::BadName, error(), "rename it first")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let names = |bytes: &[u8]| path(bytes).map_err(|Failure(error)| error.code);
        let expect = |list: &[&[u8]]| Ok(list.iter().map(|name| Bytes::copy_from_slice(name)).collect::<Vec<_>>());
        assert_eq!(names(b"/"), expect(&[]));
        assert_eq!(names(b"//a//b\xff/"), expect(&[b"a", b"b\xff"]));
        assert_eq!(names(&[b"/".as_slice(), &[b'x'; 255]].concat()), expect(&[&[b'x'; 255]]));
        for wrong in [&b"/a/../b"[..], b"/.", b"/\0", &[b"/".as_slice(), &[b'x'; 256]].concat()] {
            assert_eq!(names(wrong), Err(ErrorCode::BadName), "{wrong:?}");
        }
        for wrong in [&b""[..], b"a", &[b'/'; PATH_BYTES_MAX + 1]] {
            assert_eq!(names(wrong), Err(ErrorCode::BadRequest));
        }
    }

    #[test]
    fn a_plan_is_for_one_change() {
        let change = |query: &str| {
            let known = ["add", "bytes", "site", "remove", "drain", "copies"];
            RequestQuery::read(Some(query), &known)
                .and_then(|query| query.change_request())
                .map_err(|Failure(error)| error.code)
        };
        let add = |site| Ok(ChangeRequest::Add { name: "erin".into(), bytes: 7, site });
        assert_eq!(change("add=erin&bytes=7"), add(None));
        assert_eq!(change("add=erin&bytes=7&site=hill"), add(Some("hill".into())));
        assert_eq!(change("remove=a%20b"), Ok(ChangeRequest::Remove("a b".into())));
        assert_eq!(change("drain=anna"), Ok(ChangeRequest::Drain("anna".into())));
        assert_eq!(change("copies=4"), Ok(ChangeRequest::Copies(4)));
        for wrong in [
            "",
            "add=erin",
            "bytes=7",
            "remove=a&drain=a",
            "copies=4&site=x",
            "copies=-1",
            "copies=256",
            "add=e&bytes=x",
        ] {
            assert_eq!(change(wrong), Err(ErrorCode::BadRequest), "{wrong:?}");
        }
    }

    #[test]
    fn parameters_are_known_once_and_right() {
        let read = |query: &str| RequestQuery::read(Some(query), &["path", "mode", "max"]);
        assert!(read("path=/a&size=3").is_err(), "unknown");
        assert!(read("path=/a&path=/b").is_err(), "twice");
        let query = read("mode=8&max=0").expect("known");
        assert!(query.attrs(0).is_err() && query.max(9).is_err() && query.path().is_err());
        let query = read("mode=4755&max=99").expect("known");
        assert_eq!(query.attrs(7).map(|attrs| (attrs.mode, attrs.mtime_ns)).ok(), Some((0o4755, 7)));
        assert_eq!(query.max(9).ok(), Some(9));
    }
}
