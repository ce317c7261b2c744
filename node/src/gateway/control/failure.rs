//! Every way a request can fail, as status, code, sentence and next step.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fsdfs_core::seam::Refusal;
use fsdfs_core::tree::{EditError, TreeError};
use fsdfs_proto::control::{ApiError, ErrorCode};

use crate::client::ClientError;

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
        ErrorCode::Clock | ErrorCode::Twin | ErrorCode::Disk | ErrorCode::Damaged | ErrorCode::TooNew => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Stopping => Self::new(ErrorCode::Stopping, text, "start it again with 'fsdfs up'"),
            ClientError::Refused(refusal) => refused(&refusal),
            ClientError::Edit(edit) => Self(edit_error(&edit)),
            ClientError::Tree(tree) => Self(tree_error(&tree)),
            ClientError::NotAFile(_) => {
                Self::new(ErrorCode::IsAFolder, text, "list it with 'fsdfs ls', or get it as a folder")
            }
            ClientError::Lost { away } if away.is_empty() => {
                let hint = "no member that may have it is known; 'fsdfs stat PATH' shows where its copies should be";
                Self::new(ErrorCode::Unavailable, text, hint)
            }
            ClientError::Lost { away } => {
                let hint = format!(
                    "{} member(s) that may have it are away ('fsdfs members'); try again when one is up",
                    away.len()
                );
                Self::new(ErrorCode::Unavailable, text, hint)
            }
            ClientError::Body(_) => Self::new(ErrorCode::BadRequest, text, "nothing was changed; send it again"),
            ClientError::Panicked(_) => Self::new(ErrorCode::Damaged, text, "this is a bug in fsdfs"),
        }
    }
}

fn refused(refusal: &Refusal) -> Failure {
    let (code, hint) = match refusal {
        Refusal::NoSpace => {
            (ErrorCode::NoSpace, "remove files, give more space in config.toml, or invite a member that has some")
        }
        Refusal::NoQuorum { .. } => {
            (ErrorCode::Unavailable, "see 'fsdfs members' for who is up; nothing is lost by trying again")
        }
        Refusal::NoKey => (ErrorCode::NotYet, "try again when a member that has the key is up ('fsdfs members')"),
        Refusal::HomeFailed => {
            (ErrorCode::Disk, "free space on its file system or replace the disk, then restart the node")
        }
        Refusal::ClockOff(_) => (ErrorCode::Clock, "set the clock right ('timedatectl set-ntp true'), then try again"),
        Refusal::NotAllowed => {
            (ErrorCode::Forbidden, "ask whoever invited this node for an invitation with more rights")
        }
        Refusal::NoSuchMember => {
            (ErrorCode::NotFound, "see 'fsdfs members' and 'fsdfs invite --list' for names and ids")
        }
        Refusal::DuplicateIdentity => {
            (ErrorCode::Twin, "two machines run from copies of one home folder; keep one, let the other join anew")
        }
        Refusal::NotYet => (ErrorCode::NotYet, "see 'fsdfs status'"),
        Refusal::Unreachable { .. } => (ErrorCode::Unavailable, "see 'fsdfs members' for who is away"),
        Refusal::BadTree(tree) => return Failure(tree_error(tree)),
        Refusal::Busy => (ErrorCode::Busy, "send fewer requests at once"),
    };
    Failure::new(code, refusal.to_string(), hint)
}

/// An edit that does not fit the tree.
pub(super) fn edit_error(error: &EditError) -> ApiError {
    let (code, hint) = match error {
        EditError::NotFound => (ErrorCode::NotFound, "see 'fsdfs ls' for what is there"),
        EditError::NotAFolder => (ErrorCode::NotAFolder, "choose another path, or remove the file first"),
        EditError::IsAFolder => (ErrorCode::IsAFolder, "choose another name, or remove the folder first"),
        EditError::Exists => (ErrorCode::Exists, "choose another name, or remove it first"),
        EditError::NotEmpty => (ErrorCode::NotEmpty, "remove its content too: 'fsdfs rm -r'"),
        EditError::IntoItself => (ErrorCode::BadRequest, "choose another path"),
        EditError::BadFile => {
            (ErrorCode::BadRequest, "a mode is at most 7777 (octal), a link's target 1 to 4,095 bytes")
        }
        EditError::BadName => (ErrorCode::BadName, "rename it first"),
    };
    ApiError { error: error.to_string(), hint: hint.into(), code }
}

fn tree_error(error: &TreeError) -> ApiError {
    let (code, hint) = match error {
        TreeError::NotFound => (ErrorCode::NotFound, "see 'fsdfs ls' for what is there"),
        TreeError::NotAFolder => (ErrorCode::NotAFolder, "ask for the file itself"),
        TreeError::Damaged(_) => (
            ErrorCode::Damaged,
            "its writer stored it so; remove that file or folder and put it again from another copy",
        ),
        TreeError::ReadOnly => {
            (ErrorCode::Forbidden, "ask whoever invited this node for an invitation with more rights")
        }
        TreeError::TooNew => (ErrorCode::TooNew, "update fsdfs on this machine"),
    };
    ApiError { error: error.to_string(), hint: hint.into(), code }
}
