//! Earlier states of a volume: which there are, what they have at a path, which are kept.

use axum::extract::{RawQuery, State};
use fsdfs_core::report::MemberList;
use fsdfs_core::seam::EditReply;
use fsdfs_core::tree::{HistoryRung, HistoryState, TreeEdit, TreeError, TreeItemKind, TreePath};
use fsdfs_proto::control::{self, HistoryChange, HistoryKeep, HistoryReply, StateEntry, StateRung, WriteReply};
use fsdfs_proto::ids::Writer;
use fsdfs_proto::volume::HistoryRules;
use futures::StreamExt as _;

use super::query::{self, RequestQuery};
use super::range::entity_tag;
use super::tree::single;
use super::{Answer, Json, Shared, convert};
use crate::client::{Client, ClientError, VolumeView};

/// States that are looked at at once: most of their folders are the same blocks.
const LOOKS_UNDER_WAY: usize = 8;

/// The earlier states of a volume; with a path also what each of them has there.
#[utoipa::path(get, path = control::route::HISTORY, params(
    ("path" = Option<String>, Query, description = "percent-encoded bytes, begins with /"),
    ("volume" = Option<String>, Query)),
    responses((status = 200, body = HistoryReply), (status = "default", body = control::ApiError)))]
pub(super) async fn history(State(context): Shared, RawQuery(query): RawQuery) -> Answer<HistoryReply> {
    let query = RequestQuery::read(query.as_deref(), &["path", "volume"])?;
    let (client, volume, path) = (&context.client, query.volume(&context.client)?, query.path_if_any()?);
    let (found, freshness) = client.history(volume).await?;
    let members = client.members().await?;
    let look = |state: HistoryState| {
        let (path, members) = (path.clone(), &members);
        async move {
            let entry = described(&state, members);
            match path {
                Some(path) => with_entry(client, VolumeView { volume, state: Some(state.id) }, path, entry).await,
                None => Ok(entry),
            }
        }
    };
    let looks = futures::stream::iter(found.states).map(look).buffered(LOOKS_UNDER_WAY);
    let states: Vec<Result<StateEntry, ClientError>> = looks.collect().await;
    Ok(Json(HistoryReply {
        keep: keep(&found.rules),
        states: states.into_iter().collect::<Result<_, _>>()?,
        maybe_stale: freshness.maybe_stale,
        unpublished_on: freshness.unpublished_on,
    }))
}

/// Changes which earlier states are kept, or lists some no more.
#[utoipa::path(post, path = control::route::HISTORY, request_body = HistoryChange,
    responses((status = 200, body = WriteReply), (status = "default", body = control::ApiError)))]
pub(super) async fn change(State(context): Shared, Json(request): Json<HistoryChange>) -> Answer<WriteReply> {
    let volume = query::volume(&context.client, &request.volume)?;
    let rules = request.keep.map(|keep| {
        let HistoryKeep { hourly, six_hourly, daily, monthly } = keep;
        TreeEdit::KeepHistory(HistoryRules { hourly, six_hourly, daily, monthly })
    });
    let dropped = request.drop.iter().map(|state| query::state(state)).collect::<Result<Vec<_>, _>>()?;
    let dropped = Some(dropped).filter(|states| !states.is_empty()).map(TreeEdit::DropStates);
    let edits: Vec<TreeEdit> = rules.into_iter().chain(dropped).collect();
    if edits.is_empty() {
        return Err(super::Failure::bad_request("nothing is to change: name keep, drop, or both"));
    }
    let EditReply { outcome, edits } = context.client.edit(volume, edits).await?;
    let mut unchanged = true;
    for edit in edits {
        unchanged &= single(vec![edit])? == fsdfs_core::tree::EditOutcome::Unchanged;
    }
    Ok(Json(convert::written(&outcome, unchanged)))
}

fn described(state: &HistoryState, members: &MemberList) -> StateEntry {
    let note = state.note;
    StateEntry {
        state: state.id.to_string(),
        time_ms: note.map(|note| note.time.ms),
        by: note.and_then(|note| note.writer).and_then(|writer| writer_name(writer, members)),
        stands: state.stands,
        kept: state.rung.map(rung),
        only_here: state.remembered,
        entry: None,
        tag: None,
        unreadable: false,
    }
}

fn writer_name(writer: Writer, members: &MemberList) -> Option<String> {
    members.members.iter().find(|member| writer.is_of(member.node)).map(|member| member.label.clone())
}

/// With what the state has at a path.
async fn with_entry(
    client: &Client,
    of: VolumeView,
    path: TreePath,
    state: StateEntry,
) -> Result<StateEntry, ClientError> {
    match client.entry(of, path).await {
        Ok((shown, _)) => {
            let tag = Some(tag(&shown.kind));
            Ok(StateEntry { entry: Some(Box::new(convert::entry(&shown))), tag, ..state })
        }
        Err(ClientError::Tree(TreeError::NotFound | TreeError::NotAFolder)) => Ok(state),
        Err(ClientError::Stopping) => Err(ClientError::Stopping),
        // One state that cannot be read keeps none of the others from being shown.
        Err(_) => Ok(StateEntry { unreadable: true, ..state }),
    }
}

fn tag(kind: &TreeItemKind) -> String {
    match kind {
        TreeItemKind::Dir { root } => root.map_or_else(|| "empty".into(), |root| root.id.to_string()),
        TreeItemKind::File { content, .. } => entity_tag(content),
    }
}

fn keep(rules: &HistoryRules) -> HistoryKeep {
    let HistoryRules { hourly, six_hourly, daily, monthly } = *rules;
    HistoryKeep { hourly, six_hourly, daily, monthly }
}

fn rung(rung: HistoryRung) -> StateRung {
    match rung {
        HistoryRung::Hourly => StateRung::Hourly,
        HistoryRung::SixHourly => StateRung::SixHourly,
        HistoryRung::Daily => StateRung::Daily,
        HistoryRung::Monthly => StateRung::Monthly,
    }
}
