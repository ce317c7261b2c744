//! Finding a member by an address that somebody tells.

use axum::extract::State;
use fsdfs_proto::control::{self, ErrorCode, MeetAnswer, MeetOrder};
use fsdfs_proto::ids::NodeId;

use super::failure::Failure;
use super::{Answer, Context, Json, Shared, convert};
use crate::client::MeetOutcome;
use crate::config;

/// Dials an address without knowing who answers there. What is dialled is known from then on, and the others hear of it.
#[utoipa::path(post, path = control::route::MEET, request_body = MeetOrder,
    responses((status = 200, body = MeetAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn meet(State(context): Shared, Json(order): Json<MeetOrder>) -> Answer<MeetAnswer> {
    let address = config::address(&order.address).map_err(|bad| Failure::bad_request(format!("address {bad}")))?;
    match context.meeter.meet(address.clone()).await {
        MeetOutcome::Met(node) => answer(&context, node, false).await,
        MeetOutcome::Connected(node) => answer(&context, node, true).await,
        MeetOutcome::NoAddress => Err(Failure::new(
            ErrorCode::NotFound,
            format!("{address} cannot be looked up"),
            "check the name, or give a numeric address, such as 192.0.2.1:24007",
        )),
        MeetOutcome::Nobody => Err(Failure::new(
            ErrorCode::Unavailable,
            format!("no member of this pool answers at {address}"),
            "ask the friend what 'fsdfs status' says there under 'reachable at'; the log says more if somebody \
             answered and did not let this node in",
        )),
    }
}

async fn answer(context: &Context, node: NodeId, was_connected: bool) -> Answer<MeetAnswer> {
    let found = context.client.members().await?;
    Ok(Json(MeetAnswer { id: node.to_string(), name: convert::name_of(&found, node.into()), was_connected }))
}
