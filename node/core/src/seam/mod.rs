//! The seam between deciding and doing: what the engine is told and what it wants done.
//!
//! The daemon carries effects out with sockets, threads and files, the simulator with a seeded world. A disk request and
//! a job carry their reason out and bring it back, so nobody keeps a table of what was asked.

mod command;
mod disk;
mod effect;
mod input;
mod token;

pub use crate::report::{DiskCondition, DiskState};
pub use command::{
    AbsenceChange, Command, Copies, EditReply, GetOutcome, InvitationReply, OpId, PutOutcome, QueryReply, Refusal,
    Reply, RulesChange, VolumeChange,
};
pub use disk::{
    CollectStep, CopyChange, CopyState, DiskCopy, DiskDone, DiskRequest, Lease, LinksDone, PlacedCopy, ReadDone,
    WriteDone,
};
pub use effect::{Effect, TrafficClass};
pub use input::{BlockPayload, Input, Now, PeerEvent, PeerPath};
pub use token::Token;
pub(crate) use token::*;
