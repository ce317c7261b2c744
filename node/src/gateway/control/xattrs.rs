//! Extended attributes as requests and answers tell of them; those of the store itself have forms of their own there.

use axum::http::HeaderMap;
use bytes::Bytes;
use fsdfs_core::tree::{FileAttributes, FileContent};
use fsdfs_proto::codec;
use fsdfs_proto::control::{EscapedText, ExtendedAttribute, header, pairs};
use fsdfs_proto::ids::{BlockId, unhex};
use fsdfs_proto::volume::{XATTR_HARD_LINK, XATTR_RESERVED, Xattr, check_xattrs};

use super::failure::Failure;

/// Those of a request, checked and in order.
pub(super) fn checked(given: Vec<ExtendedAttribute>) -> Result<Vec<Xattr>, Failure> {
    let given = given.into_iter().map(|ExtendedAttribute { name, value }| (name.0, value.0));
    let mut xattrs: Vec<Xattr> =
        given.map(|(name, value)| Xattr { name: Bytes::from(name), value: Bytes::from(value) }).collect();
    xattrs.sort();
    let is_reserved = xattrs.iter().any(|xattr| xattr.name.starts_with(XATTR_RESERVED));
    if is_reserved || check_xattrs(&xattrs).is_err() {
        return Err(Failure::bad_request(
            "extended attributes begin with 'user.' but not 'user.fsdfs.', have names of at most 255 bytes, each once, and \
             take at most 4,096 bytes together, 8 for each included",
        ));
    }
    Ok(xattrs)
}

/// Those in the headers of a file's content.
pub(super) fn of_headers(headers: &HeaderMap) -> Result<Vec<Xattr>, Failure> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let given = pairs(text(header::XATTRS).unwrap_or_default());
    let given = given.map(|(name, value)| ExtendedAttribute { name: EscapedText(name), value: EscapedText(value) });
    of_file(given.collect(), text(header::HARD_LINK))
}

/// Those of a file, which may have several names.
pub(super) fn of_file(given: Vec<ExtendedAttribute>, hard_link: Option<&str>) -> Result<Vec<Xattr>, Failure> {
    let mut xattrs = checked(given)?;
    if let Some(id) = hard_link {
        let wrong = || Failure::bad_request("the id of a file with several names is 32 hexadecimal digits");
        let id: [u8; 16] = unhex(id).ok_or_else(wrong)?;
        xattrs.push(Xattr { name: Bytes::from_static(XATTR_HARD_LINK), value: Bytes::copy_from_slice(&id) });
        xattrs.sort();
    }
    Ok(xattrs)
}

/// Those that users gave.
pub(super) fn shown(xattrs: &[Xattr]) -> Vec<ExtendedAttribute> {
    let given = xattrs.iter().filter(|xattr| !xattr.name.starts_with(XATTR_RESERVED));
    let text = |bytes: &Bytes| EscapedText(bytes.to_vec());
    given.map(|xattr| ExtendedAttribute { name: text(&xattr.name), value: text(&xattr.value) }).collect()
}

/// Equal for the names of one file as long as nobody wrote another content or other attributes under one of them; none if it
/// had one name only.
pub(super) fn hard_link(xattrs: &[Xattr], content: &FileContent, attrs: FileAttributes) -> Option<String> {
    let mark = xattrs.iter().find(|xattr| xattr.name == XATTR_HARD_LINK)?;
    let of = codec::encode(&(&mark.value, content, attrs, xattrs));
    Some(BlockId::of(&of).to_string()[..32].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &[u8]) -> ExtendedAttribute {
        ExtendedAttribute { name: EscapedText(name.into()), value: EscapedText(value.to_vec()) }
    }

    fn headers(xattrs: &str, link: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::XATTRS, xattrs.parse().expect("text"));
        link.map(|link| headers.insert(header::HARD_LINK, link.parse().expect("text")));
        headers
    }

    #[test]
    fn what_was_given_comes_back() {
        let all = [given("user.a", b"1"), given("user.b\u{e9} &=", b"\0\xff+%")];
        let text = fsdfs_proto::control::xattrs_text(&all);
        let read = of_headers(&headers(&text, Some(&"ab".repeat(16)))).expect("fine");
        assert_eq!(read.len(), 3);
        assert_eq!(shown(&read), all);
    }

    #[test]
    fn names_of_one_file_are_told_by_mark_content_and_attributes() {
        let attrs = FileAttributes { mode: 0o644, mtime_ns: 7 };
        let content = FileContent::Inline("a".into());
        let marked = |id: &str| of_headers(&headers("user.x=1", Some(&id.repeat(16)))).expect("fine");
        let link = |id, attrs| hard_link(&marked(id), &content, attrs);
        assert_eq!(link("ab", attrs), link("ab", attrs));
        assert_ne!(link("ab", attrs), link("cd", attrs));
        assert_ne!(link("ab", attrs), link("ab", FileAttributes { mode: 0o600, ..attrs }));
        assert_ne!(link("ab", attrs), hard_link(&marked("ab"), &FileContent::Inline("b".into()), attrs));
        assert_eq!(hard_link(&checked(vec![given("user.x", b"1")]).expect("fine"), &content, attrs), None);
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let long = format!("user.{}", "x".repeat(251));
        for bad in [
            vec![given("trusted.x", b"")],
            vec![given("user.fsdfs.hardlink", &[7; 16])],
            vec![given("user.a", b"1"), given("user.a", b"2")],
            vec![given("user.a", &[0; 4_096])],
            vec![given(&long, b"")],
        ] {
            assert!(checked(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(of_headers(&headers("", Some("abc"))).is_err());
        assert!(checked(Vec::new()).expect("fine").is_empty());
    }
}
