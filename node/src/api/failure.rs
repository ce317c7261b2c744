//! Every way a request can fail, as status, code, sentence and next step.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fsdfs_core::seam::Refusal;
use fsdfs_core::tree::{EditError, TreeError};
use fsdfs_proto::control::{Code, Error};

use crate::client::ClientError;

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure(pub Error);

impl Failure {
    pub fn new(code: Code, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Error { error: error.into(), hint: hint.into(), code })
    }

    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, error, "see GET /v1/openapi.json for what this request takes")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (status(self.0.code), Json(self.0)).into_response()
    }
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest | Code::BadName => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Exists | Code::NotAFolder | Code::IsAFolder | Code::NotEmpty | Code::PoolInUse => StatusCode::CONFLICT,
        Code::BadRange => StatusCode::RANGE_NOT_SATISFIABLE,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        Code::Unavailable | Code::NotYet | Code::Busy | Code::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        Code::Clock | Code::Twin | Code::Disk | Code::Damaged | Code::TooNew => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Stopping => Self::new(Code::Stopping, text, "start it again with 'fsdfs up'"),
            ClientError::Refused(refusal) => refused(&refusal),
            ClientError::Edit(edit) => Self(edit_error(&edit)),
            ClientError::Tree(tree) => Self(tree_error(&tree)),
            ClientError::NotAFile(_) => {
                Self::new(Code::IsAFolder, text, "list it with 'fsdfs ls', or get it as a folder")
            }
            ClientError::Lost { away } if away.is_empty() => {
                let hint = "no member that may have it is known; 'fsdfs stat PATH' shows where its copies should be";
                Self::new(Code::Unavailable, text, hint)
            }
            ClientError::Lost { away } => {
                let hint = format!(
                    "{} member(s) that may have it are away ('fsdfs members'); try again when one is up",
                    away.len()
                );
                Self::new(Code::Unavailable, text, hint)
            }
            ClientError::Body(_) => Self::new(Code::BadRequest, text, "nothing was changed; send it again"),
            ClientError::Panicked(_) => Self::new(Code::Damaged, text, "this is a bug in fsdfs"),
        }
    }
}

fn refused(refusal: &Refusal) -> Failure {
    let (code, hint) = match refusal {
        Refusal::NoSpace => {
            (Code::NoSpace, "remove files, give more space in config.toml, or invite a member that has some")
        }
        Refusal::NoQuorum { .. } => {
            (Code::Unavailable, "see 'fsdfs members' for who is up; nothing is lost by trying again")
        }
        Refusal::NoKey => (Code::NotYet, "try again when a member that has the key is up ('fsdfs members')"),
        Refusal::HomeFailed => (Code::Disk, "free space on its file system or replace the disk, then restart the node"),
        Refusal::ClockOff(_) => (Code::Clock, "set the clock right ('timedatectl set-ntp true'), then try again"),
        Refusal::NotAllowed => (Code::Forbidden, "ask whoever invited this node for an invitation with more rights"),
        Refusal::NoSuchMember => (Code::NotFound, "see 'fsdfs members' and 'fsdfs invite --list' for names and ids"),
        Refusal::Twin => {
            (Code::Twin, "two machines run from copies of one home folder; keep one, let the other join anew")
        }
        Refusal::NotYet => (Code::NotYet, "see 'fsdfs status'"),
        Refusal::Unreachable { .. } => (Code::Unavailable, "see 'fsdfs members' for who is away"),
        Refusal::BadTree(tree) => return Failure(tree_error(tree)),
        Refusal::Busy => (Code::Busy, "send fewer requests at once"),
    };
    Failure::new(code, refusal.to_string(), hint)
}

/// An edit that does not fit the tree.
pub(super) fn edit_error(error: &EditError) -> Error {
    let (code, hint) = match error {
        EditError::NotFound => (Code::NotFound, "see 'fsdfs ls' for what is there"),
        EditError::NotAFolder => (Code::NotAFolder, "choose another path, or remove the file first"),
        EditError::IsAFolder => (Code::IsAFolder, "choose another name, or remove the folder first"),
        EditError::Exists => (Code::Exists, "choose another name, or remove it first"),
        EditError::NotEmpty => (Code::NotEmpty, "remove its content too: 'fsdfs rm -r'"),
        EditError::IntoItself => (Code::BadRequest, "choose another path"),
        EditError::BadFile => (Code::BadRequest, "a mode is at most 7777 (octal), a link's target 1 to 4,095 bytes"),
        EditError::BadName => (Code::BadName, "rename it first"),
    };
    Error { error: error.to_string(), hint: hint.into(), code }
}

fn tree_error(error: &TreeError) -> Error {
    let (code, hint) = match error {
        TreeError::NotFound => (Code::NotFound, "see 'fsdfs ls' for what is there"),
        TreeError::NotAFolder => (Code::NotAFolder, "ask for the file itself"),
        TreeError::Damaged(_) => {
            (Code::Damaged, "its writer stored it so; remove that file or folder and put it again from another copy")
        }
        TreeError::ReadOnly => (Code::Forbidden, "ask whoever invited this node for an invitation with more rights"),
        TreeError::TooNew => (Code::TooNew, "update fsdfs on this machine"),
    };
    Error { error: error.to_string(), hint: hint.into(), code }
}
