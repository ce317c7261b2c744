//! Folders: list, look, change.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use bytes::Bytes;
use fsdfs_core::seam::{EditReply, VolumeChange};
use fsdfs_core::tree::{self, EditOutcome, FileContent, FileNode};
use fsdfs_proto::control::{
    self, CONTENTS_MAX, EDITS_MAX, EditResult, EditsReply, EditsRequest, ErrorCode, ListingPage, PAGE_MAX, StatReply,
    WriteReply,
};
use fsdfs_proto::ids::VolumeId;
use futures::{StreamExt as _, TryStreamExt as _};

use super::contents::{self, with_blocks};
use super::failure::Failure;
use super::query::{self, RequestQuery};
use super::{Answer, Context, Json, Shared, convert, placement, xattrs};
use crate::client::{Client, Freshness, UploadSummary};
use crate::gateway::words::refusal::edit_error;

/// Contents of one request that are stored at once: their blocks share syncs. As many as may be under way to one peer; they take
/// memory for their sizes.
const STORES_UNDER_WAY: usize = fsdfs_core::limits::STORES_UNDER_WAY_MAX;
/// Permission bits of links: they have none of their own.
const LINK_MODE: u32 = 0o777;

/// A page of a folder.
#[utoipa::path(get, path = control::route::ENTRIES, params(
    ("path" = String, Query, description = "percent-encoded bytes, begins with /"),
    ("after" = Option<String>, Query, description = "last name of the page before"),
    ("max" = Option<usize>, Query, description = "entries at most"),
    ("contents" = Option<u64>, Query, description = "with the contents of files up to this size"),
    ("volume" = Option<String>, Query),
    ("state" = Option<String>, Query, description = "the earlier state to read, as GET /v1/history lists them")), responses((status = 200, body = ListingPage), (status = "default", body = control::ApiError)))]
pub(super) async fn list(State(context): Shared, RawQuery(query): RawQuery) -> Answer<ListingPage> {
    let query = RequestQuery::read(query.as_deref(), &["path", "after", "max", "contents", "volume", "state"])?;
    let (of, path, after) = (query.view(&context.client)?, query.path()?, query.after()?);
    let (items, more, freshness) = context.client.list(of, path, after, query.max(PAGE_MAX)?).await?;
    let Freshness { maybe_stale, unpublished_on } = freshness;
    Ok(Json(match query.contents()? {
        None => {
            let entries = items.iter().map(convert::entry).collect();
            ListingPage { entries, more, maybe_stale, unpublished_on }
        }
        Some(max) => {
            let (entries, is_cut) = contents::entries(&context.client, of.volume, items, max).await;
            ListingPage { entries, more: more || is_cut, maybe_stale, unpublished_on }
        }
    }))
}

/// Everything about one entry; with blocks=true also where its blocks are.
#[utoipa::path(get, path = control::route::ENTRY, params(
    ("path" = String, Query), ("blocks" = Option<bool>, Query), ("volume" = Option<String>, Query),
    ("state" = Option<String>, Query)),
    responses((status = 200, body = StatReply), (status = "default", body = control::ApiError)))]
pub(super) async fn stat(State(context): Shared, RawQuery(query): RawQuery) -> Answer<StatReply> {
    let query = RequestQuery::read(query.as_deref(), &["path", "blocks", "volume", "state"])?;
    let (of, path) = (query.view(&context.client)?, query.path()?);
    let (shown, Freshness { maybe_stale, unpublished_on }) = context.client.entry(of, path.clone()).await?;
    let placement = match query.blocks()? {
        true => Some(placement::of(&context.client, of, path, &shown).await?),
        false => None,
    };
    Ok(Json(StatReply { entry: convert::entry(&shown), maybe_stale, unpublished_on, placement }))
}

/// Removes a file, link or folder.
#[utoipa::path(delete, path = control::route::ENTRIES, params(
    ("path" = String, Query), ("recursive" = Option<bool>, Query), ("volume" = Option<String>, Query)),
    responses((status = 200, body = WriteReply), (status = "default", body = control::ApiError)))]
pub(super) async fn remove(State(context): Shared, RawQuery(query): RawQuery) -> Answer<WriteReply> {
    let query = RequestQuery::read(query.as_deref(), &["path", "recursive", "volume"])?;
    let edit = tree::TreeEdit::Remove { path: query.path()?, recursive: query.recursive()? };
    let reply = context.client.edit(query.volume(&context.client)?, vec![edit]).await;
    let EditReply { outcome, edits } = reply.map_err(|error| of_removals(error.into(), true))?;
    let unchanged = single(edits)? == EditOutcome::Unchanged;
    Ok(Json(convert::written(&outcome, unchanged)))
}

/// Who removes because there is no room is not told to make some.
fn of_removals(Failure(error): Failure, only_removes: bool) -> Failure {
    if !only_removes || error.code != ErrorCode::NoSpace {
        return Failure(error);
    }
    let hint = "what full servers keep for removals is used up; it goes further when whole folders, or many names, are removed by \
                one command. Offer more space in config.toml, or invite a member with storage";
    Failure::new(error.code, "no reachable server has room left, not even to remove names", hint)
}

/// Many small changes in one commit, in order; each succeeds or fails by itself.
#[utoipa::path(post, path = control::route::EDITS, request_body = EditsRequest,
    responses((status = 200, body = EditsReply), (status = "default", body = control::ApiError)))]
pub(super) async fn edit(State(context): State<Arc<Context>>, Json(request): Json<EditsRequest>) -> Answer<EditsReply> {
    if request.edits.len() > EDITS_MAX {
        return Err(Failure::bad_request(format!("at most {EDITS_MAX} edits in one request; send several")));
    }
    let volume = query::volume(&context.client, &request.volume)?;
    let work = request.work.as_deref().map(query::work).transpose()?;
    // Contents become durable before the commit that names them; one that does not fails alone.
    // Those behind it let a file wait a moment for its sync: hundreds share one. The last one with a block waits for nobody.
    let last = request.edits.iter().rposition(has_block);
    let edits =
        request.edits.into_iter().enumerate().map(|(place, edit)| (edit, last.is_some_and(|last| place < last)));
    let stored = futures::stream::iter(edits).map(|edit| stored(&context.client, volume, edit));
    let stored: Vec<_> = stored.buffered(STORES_UNDER_WAY).try_collect().await?;
    let mut summary = UploadSummary::default();
    let mut bytes = 0;
    let mut inline = Vec::with_capacity(stored.len());
    let (mut edits, mut failed) = (Vec::with_capacity(stored.len()), Vec::new());
    for (place, edit) in stored.into_iter().enumerate() {
        match edit {
            Ok((edit, uploaded)) => {
                bytes += content_bytes(&edit);
                inline.push(inline_content_bytes(&edit));
                summary.merge(uploaded);
                edits.push(edit);
            }
            Err(failure) => failed.push((place, failure)),
        }
    }
    let only_removes = edits.iter().all(|edit| matches!(edit, tree::TreeEdit::Remove { .. }));
    let reply = context.client.edit(volume, VolumeChange { edits, work }).await;
    let EditReply { outcome, edits } = reply.map_err(|error| of_removals(error.into(), only_removes))?;
    let unchanged = !edits.contains(&Ok(EditOutcome::Changed));
    // What lies in the folders is new where they changed.
    let changed = edits.iter().zip(inline).filter(|(outcome, _)| **outcome == Ok(EditOutcome::Changed));
    summary.uploaded_bytes += changed.map(|(_, bytes)| bytes).sum::<u64>();
    let results = edits.into_iter().map(|result| match result {
        Ok(EditOutcome::Changed) => EditResult::Changed,
        Ok(EditOutcome::Unchanged) => EditResult::Unchanged,
        Err(error) => EditResult::Failed(edit_error(&error)),
    });
    let mut results: Vec<EditResult> = results.collect();
    // In ascending order, so each comes to stand where it was asked for.
    failed.into_iter().for_each(|(place, Failure(error))| results.insert(place, EditResult::Failed(error)));
    let written = with_blocks(&convert::written(&outcome, unchanged), &summary);
    Ok(Json(EditsReply { edits: results, written: WriteReply { bytes, ..written } }))
}

/// The change that an edit stands for. What is wrong with the request itself is a failure of all of it; a file that
/// cannot be stored is one of its own.
async fn stored(
    client: &Client,
    volume: VolumeId,
    (edit, more): (control::EditRequest, bool),
) -> Result<Result<(tree::TreeEdit, UploadSummary), Failure>, Failure> {
    let control::EditRequest::File { path, attrs, xattrs, hard_link, content } = edit else {
        let edit = checked(edit)?;
        if let tree::TreeEdit::Restore { state, from, .. } = &edit
            && let Err(error) = client.renew_state(volume, *state, from.clone()).await
        {
            return Ok(Err(error.into()));
        }
        return Ok(Ok((edit, UploadSummary::default())));
    };
    if content.0.len() > CONTENTS_MAX {
        return Err(Failure::bad_request(format!("a file in an edit has at most {CONTENTS_MAX} bytes; put it alone")));
    }
    let attrs = checked_attrs(attrs)?;
    let xattrs = xattrs::of_file(xattrs, hard_link.as_deref())?;
    let path = match query::path(&path.0) {
        Ok(path) => path,
        Err(failure) => return Ok(Err(failure)),
    };
    Ok(match client.store_small(volume, content.0, more).await {
        Ok((size, content, uploaded)) => {
            Ok((tree::TreeEdit::Put { path, file: FileNode { attrs, size, content }, xattrs }, uploaded))
        }
        Err(error) => Err(error.into()),
    })
}

/// Whether its content is too large to lie in its folder.
fn has_block(edit: &control::EditRequest) -> bool {
    matches!(edit, control::EditRequest::File { content, .. } if content.0.len() > tree::TreeParams::DEFAULT.inline_bytes)
}

/// Of files; links have none.
fn content_bytes(edit: &tree::TreeEdit) -> u64 {
    match edit {
        tree::TreeEdit::Put { file: FileNode { content: FileContent::Symlink(_), .. }, .. } => 0,
        tree::TreeEdit::Put { file, .. } => file.size,
        _ => 0,
    }
}

/// Of a file whose content goes with its folder.
fn inline_content_bytes(edit: &tree::TreeEdit) -> u64 {
    match edit {
        tree::TreeEdit::Put { file, .. } => contents::inline_bytes(&file.content),
        _ => 0,
    }
}

/// The outcome of the only edit of a commit.
pub(super) fn single(edits: Vec<Result<EditOutcome, tree::EditError>>) -> Result<EditOutcome, Failure> {
    let only = edits.into_iter().next().expect("the engine answers one outcome an edit");
    only.map_err(|error| Failure(edit_error(&error)))
}

fn checked(edit: control::EditRequest) -> Result<tree::TreeEdit, Failure> {
    Ok(match edit {
        control::EditRequest::Folder { path, attrs, xattrs, fresh } => tree::TreeEdit::MakeDir {
            path: query::path(&path.0)?,
            attrs: attrs.map(checked_attrs).transpose()?,
            xattrs: xattrs::checked(xattrs)?,
            fresh,
        },
        control::EditRequest::File { .. } => unreachable!("a file's content is stored first"),
        control::EditRequest::Link { path, target, mtime_ns } => {
            let target = Bytes::from(target.0);
            if !(1..=4095).contains(&target.len()) || target.contains(&0) {
                return Err(Failure::bad_request("a link's target has 1 to 4,095 bytes without NUL"));
            }
            let attrs = tree::FileAttributes { mode: LINK_MODE, mtime_ns };
            let file = FileNode { attrs, size: target.len() as u64, content: FileContent::Symlink(target) };
            tree::TreeEdit::Put { path: query::path(&path.0)?, file, xattrs: Vec::new() }
        }
        control::EditRequest::Remove { path, recursive } => {
            tree::TreeEdit::Remove { path: query::path(&path.0)?, recursive }
        }
        control::EditRequest::Move { from, to } => {
            tree::TreeEdit::Move { from: query::path(&from.0)?, to: query::path(&to.0)? }
        }
        control::EditRequest::Restore { state, from, to, replace } => {
            let (state, from, to) = (query::state(&state)?, query::path(&from.0)?, query::path(&to.0)?);
            tree::TreeEdit::Restore { state, from, to, replace }
        }
    })
}

fn checked_attrs(attrs: control::EntryAttributes) -> Result<tree::FileAttributes, Failure> {
    if attrs.mode > 0o7777 {
        return Err(Failure::bad_request(format!("mode {} is more than 4095 (octal 7777)", attrs.mode)));
    }
    Ok(tree::FileAttributes { mode: attrs.mode, mtime_ns: attrs.mtime_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_removes_for_lack_of_room_is_told_what_helps() {
        let full = || Failure::new(ErrorCode::NoSpace, "no room", "make some");
        let Failure(other) = of_removals(full(), false);
        assert_eq!((other.code, other.hint.as_str()), (ErrorCode::NoSpace, "make some"));
        let Failure(removal) = of_removals(full(), true);
        assert!(removal.code == ErrorCode::NoSpace && removal.hint.contains("many names"), "{removal:?}");
        let Failure(busy) = of_removals(Failure::new(ErrorCode::Busy, "busy", "wait"), true);
        assert_eq!(busy.hint, "wait");
    }
}
