//! Admins, and what the pool's root key signs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The pool's admins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminListing {
    /// By rank: each may revoke those behind it and all who are no admins.
    pub admins: Vec<AdminEntry>,
}

/// An admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminEntry {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Adds an admin, or takes one off the list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminChange {
    /// The pool's root key, 64 hexadecimal digits. A secret: the node uses it for this one statement and keeps it nowhere.
    pub root_key: String,
    /// A member, by name or id.
    pub member: String,
    /// Whether it is added.
    pub add: bool,
}

/// Revokes a member with the pool's root key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RootRevocation {
    /// As in [`AdminChange`].
    pub root_key: String,
    /// Those whom it invited are revoked, too.
    #[serde(default)]
    pub with_invited: bool,
    /// For the others, at most 200 bytes.
    #[serde(default)]
    pub reason: String,
}

/// The pool's root keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RootKeyAnswer {
    /// The number of the one that counts, from 1; 0 in a pool without spare ones.
    pub number: u8,
    /// Its public half in hexadecimal.
    pub key: String,
    /// How many can still take its place.
    pub left: usize,
    /// It signed two statements that contradict each other: somebody else has it, too.
    pub copied: bool,
    /// What root keys signed up to now and what is valid.
    pub statements: Vec<RootStatement>,
}

/// A statement of a root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RootStatement {
    /// Its id in hexadecimal.
    pub id: String,
    /// What it says, for people.
    pub text: String,
}

/// Puts a later root key in the place of the one that counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RootKeyReplacement {
    /// The later one, made from the spare key, 64 hexadecimal digits. A secret: the node uses it for this one statement and keeps
    /// it nowhere.
    pub root_key: String,
    /// Ids of what earlier ones signed and what is to be void.
    #[serde(default)]
    pub without: Vec<String>,
}

/// The pool's rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolRulesAnswer {
    /// Copies of new files.
    pub copies: u8,
    /// Bytes of storage that any member is believed at most; 0 = no limit but its invitation's.
    pub up_to_bytes: u64,
    /// Bytes that one member may use of all disks together, copies counted; 0 = no limit.
    pub member_budget_bytes: u64,
}

/// Changes the pool's rules; what is not named stays.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesChange {
    /// As in [`AdminChange`]; without it the node has to be an admin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_key: Option<String>,
    /// Copies of new files, 1 to 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<u8>,
    /// See [`PoolRulesAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_bytes: Option<u64>,
    /// See [`PoolRulesAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_budget_bytes: Option<u64>,
}
