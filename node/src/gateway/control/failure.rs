//! Every way a request can fail, as status, code, sentence and next step.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fsdfs_proto::control::{ApiError, ErrorCode};

use crate::client::{ClientError, StoreError};
use crate::gateway::words::refusal::{edit_error, refused, tree_error};
use crate::gateway::words::unpublished;

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure(pub ApiError);

impl Failure {
    pub fn new(code: ErrorCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(ApiError { error: error.into(), hint: hint.into(), code })
    }

    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, error, "see GET /v1/openapi.json for what this request takes")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (status(self.0.code), Json(self.0)).into_response()
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest | ErrorCode::BadName => StatusCode::BAD_REQUEST,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Exists
        | ErrorCode::NotAFolder
        | ErrorCode::IsAFolder
        | ErrorCode::NotEmpty
        | ErrorCode::PoolInUse => StatusCode::CONFLICT,
        ErrorCode::BadRange => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Unavailable | ErrorCode::NotYet | ErrorCode::Busy | ErrorCode::Stopping => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::Clock
        | ErrorCode::DuplicateIdentity
        | ErrorCode::Disk
        | ErrorCode::Damaged
        | ErrorCode::TooNew
        | ErrorCode::Other => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Stopping => {
                Self::new(ErrorCode::Stopping, "this node is stopping", "start it again with 'fsdfs up'")
            }
            ClientError::Refused(refusal) => Self(refused(&refusal)),
            ClientError::Edit(edit) => Self(edit_error(&edit)),
            ClientError::Tree(tree) => Self(tree_error(&tree)),
            ClientError::NotShown { unpublished_on } => Self::new(
                ErrorCode::NotFound,
                "no such file or folder",
                format!("this may be incomplete: {}; look again in a moment", unpublished(&unpublished_on)),
            ),
            ClientError::NotAFile(kind) => Self::new(
                ErrorCode::IsAFolder,
                format!("it is {kind}, not a file"),
                "list it with 'fsdfs ls PATH', or get it with 'fsdfs get PATH'",
            ),
            ClientError::Lost { away } => Self::new(
                ErrorCode::Unavailable,
                "part of the file is on no member that is up now",
                match away.len() {
                    0 => "no member is known to hold it; 'fsdfs stat PATH' shows where its copies should be".into(),
                    1 => "1 member that may hold it is away ('fsdfs members'); try again when it is up".into(),
                    more => {
                        format!("{more} members that may hold it are away ('fsdfs members'); try again when one is up")
                    }
                },
            ),
            ClientError::Body(body) => Self::new(
                ErrorCode::BadRequest,
                format!("the content ended early: {body}"),
                "nothing was changed; send it again",
            ),
            ClientError::Disk(error) => {
                let code = match error {
                    StoreError::NotConfigured { .. } => ErrorCode::NotFound,
                    StoreError::StillThere { .. }
                    | StoreError::ForeignPool { .. }
                    | StoreError::ForeignOwner { .. }
                    | StoreError::InUse { .. } => ErrorCode::Exists,
                    StoreError::NoSuperblock { .. } => ErrorCode::NotEmpty,
                    _ => ErrorCode::Disk,
                };
                Self::new(code, error.to_string(), "nothing was changed; 'fsdfs disk' shows the disks of this node")
            }
            ClientError::Panicked(panicked) => {
                Self::new(ErrorCode::Damaged, panicked.to_string(), "this is a bug in fsdfs; report it")
            }
        }
    }
}
