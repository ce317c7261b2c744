//! Holes of files: zeros that no body carries (spec 07-control, **Holes**).

use std::ops::Range;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use fsdfs_proto::control::{self, FileHole, HOLE_BYTES, HOLES_MAX, HoleListing, SPARSE_BYTES_MAX, header};
use http_range_header::{EndPosition, StartPosition, SyntacticallyCorrectRange};

use super::failure::Failure;
use super::query::RequestQuery;
use super::range::entity_tag;
use super::{Answer, Json, Shared};

/// Where a file has holes.
#[utoipa::path(get, path = control::route::HOLES, params(
    ("path" = String, Query), ("from" = Option<u64>, Query, description = "the place to look from"),
    ("volume" = Option<String>, Query), ("state" = Option<String>, Query)),
    responses((status = 200, body = HoleListing), (status = "default", body = control::ApiError)))]
pub(super) async fn list(State(context): Shared, RawQuery(query): RawQuery) -> Answer<HoleListing> {
    let query = RequestQuery::read(query.as_deref(), &["path", "from", "volume", "state"])?;
    let from = query.from()?;
    let file = context.client.open(query.view(&context.client)?, query.path()?).await?;
    let (holes, until) = context.client.holes(&file, from.min(file.size), HOLES_MAX).await?;
    let holes = holes.into_iter().map(|Range { start, end }| FileHole { start, end }).collect();
    Ok(Json(HoleListing { tag: entity_tag(&file.content), size: file.size, holes, until }))
}

/// Those of a file that is written, checked.
pub(super) fn of_header(headers: &HeaderMap) -> Result<Vec<Range<u64>>, Failure> {
    let Some(given) = headers.get(header::HOLES) else { return Ok(Vec::new()) };
    let parsed = given.to_str().ok().and_then(|text| http_range_header::parse_range_header(text).ok());
    let holes: Option<Vec<Range<u64>>> = parsed.and_then(|parsed| parsed.ranges.iter().map(hole).collect());
    let holes = holes.filter(|holes| holes.len() <= HOLES_MAX && holes.is_sorted_by(|one, next| one.end < next.start));
    holes.ok_or_else(|| {
        Failure::bad_request(format!(
            "{} names holes as bytes=FIRST-LAST,..., at most {HOLES_MAX} of them, in order, with data between them, each from a \
             multiple of {HOLE_BYTES} bytes to before another one, and none beyond {SPARSE_BYTES_MAX} bytes",
            header::HOLES
        ))
    })
}

fn hole(range: &SyntacticallyCorrectRange) -> Option<Range<u64>> {
    let (StartPosition::Index(start), EndPosition::Index(last)) = (range.start, range.end) else { return None };
    let end = last.checked_add(1).filter(|end| *end <= SPARSE_BYTES_MAX)?;
    let is_whole = start < end && start.is_multiple_of(HOLE_BYTES) && end.is_multiple_of(HOLE_BYTES);
    is_whole.then_some(start..end)
}

const _: () = assert!(HOLE_BYTES == fsdfs_core::tree::TreeParams::DEFAULT.chunk_bytes as u64, "a hole is whole chunks");

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one hole")]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn holes(text: &str) -> Option<Vec<Range<u64>>> {
        let headers = HeaderMap::from_iter([("fsdfs-holes".parse().expect("a name"), text.parse().expect("text"))]);
        of_header(&headers).ok()
    }

    fn text(holes: &[Range<u64>]) -> String {
        let part = |hole: &Range<u64>| format!("{}-{}", hole.start, hole.end - 1);
        format!("bytes={}", holes.iter().map(part).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn holes_are_whole_apart_and_in_order() {
        assert_eq!(of_header(&HeaderMap::new()).ok(), Some(Vec::new()));
        for fine in [vec![0..MIB], vec![0..3 * MIB, 4 * MIB..1 << 62]] {
            assert_eq!(holes(&text(&fine)), Some(fine));
        }
        for wrong in [
            vec![0..MIB - 1],
            vec![1..MIB],
            vec![0..MIB, MIB..2 * MIB],
            vec![2 * MIB..3 * MIB, 0..MIB],
            vec![0..2 * MIB, MIB..3 * MIB],
            vec![0..(1 << 62) + MIB],
        ] {
            assert_eq!(holes(&text(&wrong)), None, "{wrong:?}");
        }
        for wrong in ["", "0-1048575", "bytes=0-", "bytes=-1048576", "bytes=0-18446744073709551615", "bytes=x-y"] {
            assert_eq!(holes(wrong), None, "{wrong:?}");
        }
        let apart = |count: u64| (0..count).map(|number| 2 * number * MIB..(2 * number + 1) * MIB).collect::<Vec<_>>();
        assert_eq!(holes(&text(&apart(1_024))), Some(apart(1_024)));
        assert_eq!(holes(&text(&apart(1_025))), None);
    }
}
