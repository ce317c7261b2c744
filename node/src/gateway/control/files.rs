//! Contents of files, streamed in and out.

use std::io;
use std::ops::Range;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header as http};
use axum::response::{IntoResponse, Response};
use fsdfs_core::seam::{EditReply, VolumeChange};
use fsdfs_core::tree::{self, EditOutcome};
use fsdfs_proto::control::{self, ErrorCode, WriteReply, header};
use futures::{Stream, StreamExt as _, TryStreamExt as _, future, stream};
use tokio::time::timeout;

use super::contents::{inline_bytes, with_blocks};
use super::failure::Failure;
use super::holes::of_header;
use super::query::RequestQuery;
use super::range::{entity_tag, wanted};
use super::tree::single;
use super::{Answer, Context, Json, Shared, convert, xattrs};
use crate::client::{BodyError, OpenFile};

/// What is left of a body that was refused is read, and thrown away, for so long: the answer is on its way, and whoever hears it ends
/// the request.
const UNREAD_FOR: Duration = Duration::from_secs(5);

/// Stores one file. Atomic: a body that breaks off changes nothing.
#[utoipa::path(put, path = control::route::FILES, params(
    ("path" = String, Query, description = "percent-encoded bytes, begins with /"),
    ("mode" = Option<String>, Query, description = "permission bits in octal"),
    ("mtime_ns" = Option<i64>, Query, description = "default: now"),
    ("volume" = Option<String>, Query),
    ("work" = Option<String>, Query, description = "16 hexadecimal digits that all requests of one piece of work share"),
    ("fsdfs-xattrs" = Option<String>, Header, description = "extended attributes, in the form of a query string"),
    ("fsdfs-hard-link" = Option<String>, Header, description = "32 hexadecimal digits that the names of one file share"),
    ("fsdfs-holes" = Option<String>, Header, description = "bytes=FIRST-LAST,...: zeros that the body lacks")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = WriteReply), (status = "default", body = control::ApiError)))]
pub(super) async fn write(
    State(context): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer<WriteReply> {
    let mut body = body.into_data_stream().map_err(|error| BodyError(error.to_string()));
    let answer = stored(&context, query.as_deref(), &headers, body.by_ref()).await;
    if answer.is_err() {
        // Were the connection closed with bytes unread, the sender would hear that it broke, and not why.
        tokio::spawn(timeout(UNREAD_FOR, body.for_each(|_| future::ready(()))));
    }
    answer
}

async fn stored(
    context: &Context,
    query: Option<&str>,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
) -> Answer<WriteReply> {
    let query = RequestQuery::read(query, &["path", "mode", "mtime_ns", "volume", "work"])?;
    let (volume, path) = (query.volume(&context.client)?, query.path()?);
    let attrs = query.attrs(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))?;
    let xattrs = xattrs::of_headers(headers)?;
    let holes = of_header(headers)?;
    let (size, content, mut tally) = context.client.store(volume, body, holes).await?;
    let inline_bytes = inline_bytes(&content);
    let put = tree::TreeEdit::Put { path, file: tree::FileNode { attrs, size, content }, xattrs };
    let change = VolumeChange { edits: vec![put], work: query.work()? };
    let EditReply { outcome, edits } = context.client.edit(volume, change).await?;
    let unchanged = single(edits)? == EditOutcome::Unchanged;
    if !unchanged {
        tally.uploaded_bytes += inline_bytes;
    }
    let commit = convert::written(&outcome, unchanged);
    Ok(Json(WriteReply { bytes: size, ..with_blocks(&commit, &tally) }))
}

/// The content of a file, or a range of it.
#[utoipa::path(get, path = control::route::FILES, params(
    ("path" = String, Query), ("volume" = Option<String>, Query), ("state" = Option<String>, Query),
    ("Range" = Option<String>, Header),
    ("If-Range" = Option<String>, Header, description = "the tag of the content that the range is of")),
    responses((status = 200, description = "the content"), (status = 206, description = "the range"),
        (status = "default", body = control::ApiError)))]
pub(super) async fn read(
    State(context): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = RequestQuery::read(query.as_deref(), &["path", "volume", "state"])?;
    let file = context.client.open(query.view(&context.client)?, query.path()?).await?;
    let tag = entity_tag(&file.content);
    let Ok(wanted) = wanted(&headers, file.size, &tag) else { return Ok(outside(file.size)) };
    let range = wanted.clone().unwrap_or(0..file.size);
    let mut content = Box::pin(context.client.read(&file, range.clone()));
    // The first piece is fetched before anything is promised, so that a lost file is an error and not a broken answer.
    let first = content.next().await.transpose()?;
    let rest = content.map_err(|error| io::Error::other(Failure::from(error).0));
    let body = Body::from_stream(stream::iter(first.map(Ok)).chain(rest));
    let status = if wanted.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut headers = describe(&file, &range, wanted.is_some());
    headers.insert(http::ETAG, HeaderValue::from_str(&tag).expect("digits and a few signs"));
    Ok((status, headers, body).into_response())
}

fn outside(size: u64) -> Response {
    let error = format!("the range lies outside of the file, which has {size} bytes");
    let failure = Failure::new(ErrorCode::BadRange, error, "ask for bytes=FIRST-LAST, counted from 0");
    ([(http::CONTENT_RANGE, format!("bytes */{size}"))], failure).into_response()
}

fn describe(file: &OpenFile, range: &Range<u64>, is_part: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        headers.insert(name, HeaderValue::from_str(&value).expect("digits and a few signs"));
    };
    set(http::CONTENT_TYPE.as_str(), "application/octet-stream".into());
    set(http::ACCEPT_RANGES.as_str(), "bytes".into());
    set(http::CONTENT_LENGTH.as_str(), (range.end - range.start).to_string());
    set(header::SIZE, file.size.to_string());
    set(header::MODE, format!("{:o}", file.attrs.mode));
    set(header::MTIME_NS, file.attrs.mtime_ns.to_string());
    if !file.xattrs.is_empty() {
        set(header::XATTRS, control::xattrs_text(&xattrs::shown(&file.xattrs)));
    }
    if is_part {
        set(http::CONTENT_RANGE.as_str(), format!("bytes {}-{}/{}", range.start, range.end - 1, file.size));
    }
    if file.freshness.maybe_stale {
        set(header::MAYBE_STALE, "true".into());
    }
    if !file.freshness.unpublished_on.is_empty() {
        set(header::MAYBE_INCOMPLETE, "true".into());
    }
    headers
}
