//! Which bytes of a file a request asks for (RFC 9110 §14), and the tag that tells two contents apart.

use std::ops::Range;

use axum::http::{HeaderMap, header};
use fsdfs_core::tree::FileContent;
use fsdfs_proto::codec;
use fsdfs_proto::ids::BlockId;
use http_range_header::{EndPosition, StartPosition, SyntacticallyCorrectRange};

/// The range lies outside of the file, or cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangeOutside;

/// The one range that is asked for; none = the whole file. Several ranges mean the whole file, as HTTP allows, and so do
/// units that are not bytes and a part of another content than the one of this tag.
pub(super) fn wanted(headers: &HeaderMap, size: u64, tag: &str) -> Result<Option<Range<u64>>, RangeOutside> {
    let Some(range) = headers.get(header::RANGE) else { return Ok(None) };
    let text = range.to_str().map_err(|_| RangeOutside)?;
    let is_of_other = headers.get(header::IF_RANGE).is_some_and(|wanted| wanted.as_bytes() != tag.as_bytes());
    if is_of_other || !text.starts_with("bytes=") {
        return Ok(None);
    }
    let parsed = http_range_header::parse_range_header(text).map_err(|_| RangeOutside)?;
    let ranges: Vec<_> = parsed.ranges.iter().map(|range| within(range, size)).collect();
    match ranges[..] {
        [only] => only.map(|range| range.map(|(first, end)| first..end)),
        _ if ranges.iter().all(Result::is_err) => Err(RangeOutside),
        _ => Ok(None),
    }
}

/// First byte and the byte after the last, at least one byte; none = all there is, which HTTP cannot call a part if it is
/// nothing.
fn within(range: &SyntacticallyCorrectRange, size: u64) -> Result<Option<(u64, u64)>, RangeOutside> {
    let (first, last) = match (range.start, range.end) {
        (StartPosition::FromLast(_), _) if size == 0 => return Ok(None),
        (StartPosition::FromLast(count), _) => (size.saturating_sub(count), u64::MAX),
        (StartPosition::Index(first), EndPosition::LastByte) => (first, u64::MAX),
        (StartPosition::Index(first), EndPosition::Index(last)) => (first, last),
    };
    let is_part = first <= last && first < size;
    is_part.then(|| Some((first, last.saturating_add(1).min(size)))).ok_or(RangeOutside)
}

/// Equal for equal contents, within the lifetime of a volume's keys; different for different ones. With a dash, which tells
/// programs that it is no MD5 sum of the content.
pub(super) fn entity_tag(content: &FileContent) -> String {
    let digest = BlockId::of(&codec::encode(content)).to_string();
    format!("\"{}-1\"", &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 1 << 20;
    const TAG: &str = "\"a-1\"";

    fn ask(range: &str, size: u64) -> Result<Option<Range<u64>>, RangeOutside> {
        let headers = HeaderMap::from_iter([(header::RANGE, range.parse().expect("text"))]);
        wanted(&headers, size, TAG)
    }

    #[test]
    fn every_range_of_every_size_at_an_edge() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1] {
            let edges = [0, 1, 2, CHUNK - 2, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2, u64::MAX - 1, u64::MAX];
            for first in edges {
                let is_there = first < size;
                let rest = if is_there { Ok(Some(first..size)) } else { Err(RangeOutside) };
                assert_eq!(ask(&format!("bytes={first}-"), size), rest, "{first}- of {size}");
                for last in edges {
                    let part = Ok(Some(first..last.saturating_add(1).min(size)));
                    let expected = if is_there && first <= last { part } else { Err(RangeOutside) };
                    assert_eq!(ask(&format!("bytes={first}-{last}"), size), expected, "{first}-{last} of {size}");
                }
            }
            for count in edges.into_iter().filter(|count| *count > 0) {
                let expected = if size == 0 { None } else { Some(size.saturating_sub(count)..size) };
                assert_eq!(ask(&format!("bytes=-{count}"), size), Ok(expected), "-{count} of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_single_range_of_bytes() {
        for whole in ["bytes=0-0,2-3", "bytes=0-0,9-", "lines=1-2"] {
            assert_eq!(ask(whole, 5), Ok(None), "{whole}");
        }
        for outside in ["bytes=5-9,7-", "bytes=", "bytes=-", "bytes=-0", "bytes=x-", "bytes=1"] {
            assert_eq!(ask(outside, 5), Err(RangeOutside), "{outside}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 5, TAG), Ok(None));
    }

    #[test]
    fn the_rest_of_another_content_is_the_whole_of_this_one() {
        let ask = |tag: &str| {
            let headers = [(header::RANGE, "bytes=2-"), (header::IF_RANGE, tag)];
            let headers = headers.into_iter().map(|(name, value)| (name, value.parse().expect("text")));
            wanted(&headers.collect(), 5, TAG)
        };
        assert_eq!(ask(TAG), Ok(Some(2..5)));
        assert_eq!(ask("\"b-1\""), Ok(None));
    }

    #[test]
    fn tags_tell_contents_apart() {
        let tag = |content: &'static str| entity_tag(&FileContent::Inline(content.into()));
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
        assert_eq!((tag("a").len(), tag("a").matches('"').count()), (36, 2));
    }
}
