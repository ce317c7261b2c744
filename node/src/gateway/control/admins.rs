//! The pool's admins. Only the root key names them; it comes with the request and is kept nowhere.

use axum::extract::State;
use fsdfs_core::report::MemberList;
use fsdfs_proto::control::{self, AdminChange, AdminEntry, AdminListing};
use fsdfs_proto::ids::NodeId;

use super::members::{root_key, the_member};
use super::{Answer, Json, Shared, convert};

/// The admins, by rank.
#[utoipa::path(get, path = control::route::ADMINS,
    responses((status = 200, body = AdminListing), (status = "default", body = control::ApiError)))]
pub(super) async fn admins(State(context): Shared) -> Answer<AdminListing> {
    let found = context.client.members().await?;
    Ok(Json(listing(&found, &found.admins)))
}

/// Adds an admin, or takes one off the list.
#[utoipa::path(post, path = control::route::ADMINS, request_body = AdminChange,
    responses((status = 200, body = AdminListing), (status = "default", body = control::ApiError)))]
pub(super) async fn change(State(context): Shared, Json(change): Json<AdminChange>) -> Answer<AdminListing> {
    let root = root_key(&change.root_key)?;
    let found = context.client.members().await?;
    let member = the_member(&found, &change.member)?.node;
    let admins = context.client.name_admins(root, member, change.add).await?;
    Ok(Json(listing(&found, &admins)))
}

fn listing(found: &MemberList, admins: &[NodeId]) -> AdminListing {
    let entry = |node: &NodeId| AdminEntry { id: node.to_string(), name: convert::name_of(found, (*node).into()) };
    AdminListing { admins: admins.iter().map(entry).collect() }
}
