//! The verbs: each file holds what a verb takes and what it does.

pub mod cat;
pub mod change;
pub mod config;
pub mod demo;
pub mod df;
pub mod down;
pub mod durability;
pub mod get;
pub mod init;
pub mod invite;
pub mod join;
pub mod ls;
pub mod manual;
pub mod members;
pub mod plan;
pub mod put;
pub mod serve;
pub mod service;
pub mod setup;
pub mod stat;
pub mod status;
pub mod troubles;
pub mod up;

/// Said after a read that could not hear a majority of those who would know.
const MAYBE_STALE: &str = "note: most of the other members could not be asked; there may be newer changes";
