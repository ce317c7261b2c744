//! The control API (spec 07-control): HTTP on a Unix socket, as thin as possible over [`crate::client::Client`].

mod absence;
mod admins;
mod bandwidth;
mod contents;
mod context;
mod convert;
mod disks;
mod drain;
mod failure;
mod files;
mod history;
mod holes;
mod json;
mod meet;
mod members;
mod node;
mod openapi;
mod placement;
mod plan;
mod query;
mod range;
mod reachability;
mod root_key;
mod safety;
mod socket;
mod tree;
mod xattrs;

pub(crate) use context::Context;
pub use openapi::document;
pub(crate) use socket::serve;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use fsdfs_proto::control::{ErrorCode, REQUEST_BYTES_MAX, route};

use self::context::Shared;
use self::failure::Failure;
use self::json::{Answer, Json};

/// All routes.
pub(crate) fn router(context: Context) -> Router {
    let context = Arc::new(context);
    let guard = axum::middleware::from_fn_with_state(context.clone(), socket::refuse_other_users);
    Router::new()
        .route(route::STATUS, get(node::status))
        .route(route::DF, get(node::df))
        .route(route::DISKS, get(disks::disks).post(disks::begin))
        .route(route::DISK_SPACE, get(disks::space))
        .route(route::DISK_DRAIN, get(disks::drained).post(disks::drain))
        .route(route::PLAN, get(plan::plan))
        .route(route::PLAN_CHANGE, get(plan::what_if))
        .route(route::SHUTDOWN, post(node::shutdown))
        .route(route::JOIN, post(node::join))
        .route(route::MEET, post(meet::meet))
        .route(route::OPENAPI, get(openapi::serve))
        .route(route::MEMBERS, get(members::members))
        .route(route::MEMBER, delete(members::revoke).post(members::vouch))
        .route(route::MEMBER_REVOCATION, post(members::revoke_with_root_key))
        .route(route::MEMBER_REMOVAL, post(members::remove))
        .route(route::DRAIN, get(drain::drain).post(drain::change))
        .route(route::ADMINS, get(admins::admins).post(admins::change))
        .route(route::ROOT_KEY, get(root_key::root_key).post(root_key::replace))
        .route(route::RULES, get(root_key::rules).post(root_key::change_rules))
        .route(route::ABSENCE, get(absence::absence).post(absence::change))
        .route(route::BANDWIDTH, get(bandwidth::bandwidth).post(bandwidth::change))
        .route(route::INVITES, get(members::invites).post(members::invite))
        .route(route::INVITE, delete(members::revoke_invite))
        .route(route::FILES, get(files::read).put(files::write))
        .route(route::HOLES, get(holes::list))
        .route(route::ENTRIES, get(tree::list).delete(tree::remove))
        .route(route::ENTRY, get(tree::stat))
        .route(route::SAFE, get(safety::safe))
        .route(route::SAFE_PROOF, get(safety::prove))
        .route(route::EDITS, post(tree::edit))
        .route(route::HISTORY, get(history::history).post(history::change))
        .fallback(|| async { Failure::new(ErrorCode::NotFound, "no such resource", "see GET /v1/openapi.json") })
        .method_not_allowed_fallback(|| async { Failure::bad_request("this resource has no such method") })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(guard)
        .with_state(context)
}
