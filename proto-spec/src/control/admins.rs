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
