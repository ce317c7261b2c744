//! Whether others can reach a node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The way to a node, as far as its router and other members could tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachabilityStatus {
    /// In a word.
    pub kind: ReachabilityKind,
    /// What the router makes of the node's address on the way out.
    #[serde(default)]
    pub translation: AddressTranslation,
    /// The same as a sentence, and what would help.
    pub text: String,
}

/// What a router makes of a node's IPv4 address on the way out, as members at different places see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressTranslation {
    /// Nothing: they see an address of the node's machine.
    None,
    /// All of them see one address and port. Two nodes like that talk directly once another member has introduced them.
    Cone,
    /// They see different ones. Members that cannot be reached talk to this node through others only.
    Symmetric,
    /// Fewer than two members could tell, or a value of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Whether others can reach a node, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReachabilityKind {
    /// Members sent packets to an address of the node from sockets that were never used before, and they came.
    Open,
    /// The router says that it forwards the port; no member could try it yet.
    Mapped,
    /// The router forwards the port, but another one, or the provider's, stands before it.
    SecondRouter,
    /// Members tried the node's addresses, and nothing came.
    Closed,
    /// No one could tell, or a kind of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Asks a node to dial an address without knowing who answers there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeetOrder {
    /// `HOST:PORT`, UDP.
    pub address: String,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeetAnswer {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It was connected before.
    pub was_connected: bool,
}
