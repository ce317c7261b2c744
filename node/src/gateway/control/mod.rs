//! The control API (spec 07-control): HTTP on a Unix socket, as thin as possible over [`crate::client::Client`].

mod convert;
mod failure;
mod files;
mod members;
mod node;
mod openapi;
mod placement;
mod plan;
mod query;
mod reachability;
mod socket;
mod tree;

pub use openapi::document;
pub(crate) use socket::serve;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use fsdfs_proto::control::{ErrorCode, REQUEST_BYTES_MAX, route};
use fsdfs_proto::identity::SecretKey;
use fsdfs_proto::ids::PoolId;
use serde::de::DeserializeOwned;

use self::failure::Failure;
use crate::client::Client;
use crate::config::Config;
use crate::metrics::{StoreGauges, TrafficMeter};

/// What the handlers know besides what the engine answers.
pub(crate) struct Context {
    pub client: Client,
    pub home: PathBuf,
    pub config: Config,
    pub pool: PoolId,
    pub pool_name: String,
    pub gate_secret: SecretKey,
    pub store: Arc<dyn StoreGauges>,
    pub traffic: TrafficMeter,
    pub started: Instant,
}

type Shared = axum::extract::State<Arc<Context>>;
type Answer<T> = Result<Json<T>, Failure>;

/// All routes.
pub(crate) fn router(context: Context) -> Router {
    let context = Arc::new(context);
    let guard = axum::middleware::from_fn_with_state(context.clone(), socket::refuse_other_users);
    Router::new()
        .route(route::STATUS, get(node::status))
        .route(route::DF, get(node::df))
        .route(route::PLAN, get(plan::plan))
        .route(route::PLAN_CHANGE, get(plan::what_if))
        .route(route::SHUTDOWN, post(node::shutdown))
        .route(route::JOIN, post(node::join))
        .route(route::OPENAPI, get(openapi::serve))
        .route(route::MEMBERS, get(members::members))
        .route(route::MEMBER, delete(members::revoke))
        .route(route::INVITES, get(members::invites).post(members::invite))
        .route(route::INVITE, delete(members::revoke_invite))
        .route(route::FILES, get(files::read).put(files::write))
        .route(route::ENTRIES, get(tree::list).delete(tree::remove))
        .route(route::ENTRY, get(tree::stat))
        .route(route::EDITS, post(tree::edit))
        .fallback(|| async { Failure::new(ErrorCode::NotFound, "no such resource", "see GET /v1/openapi.json") })
        .method_not_allowed_fallback(|| async { Failure::bad_request("this resource has no such method") })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(guard)
        .with_state(context)
}

/// JSON in and out. A body that does not fit is answered in the API's own form of errors.
struct Json<T>(T);

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // Scripts forget the content type; nothing else than JSON can be meant.
        let body = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Failure::bad_request(rejection.body_text()))?;
        let value = serde_json::from_slice(&body);
        value.map(Self).map_err(|error| Failure::bad_request(format!("the body does not fit this request: {error}")))
    }
}
