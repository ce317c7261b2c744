//! The handle through which gateways use the node: commands to the engine, and files as streams of bytes.
//!
//! Nothing here decides where a block lies or what a tree becomes; it cuts, seals, opens and counts.

mod error;
mod get;
mod handle;
mod lease;
mod manifests;
mod memory;
mod put;
mod request;
mod safety;

pub use crate::net::{
    AddressTranslation, GateAnswersWatch, HandshakeRejected, MappingProtocol, MappingState, MeetOutcome, Meeter,
    PathMeter, ProvenReach, ReachMeter, ReachReport, Reachability,
};
pub use crate::store::{BegunDisk, StoreError};
pub use error::{BodyError, ClientError};
pub use get::OpenFile;
pub use handle::{Client, Freshness, NewRules, VolumeView};
pub use put::UploadSummary;
pub(crate) use request::{ClientRequest, Lifecycle, VolumeState};
pub use safety::{BlocksBelow, PROOF_SAMPLE, SAFETY_SAMPLE, SafetyFound};
