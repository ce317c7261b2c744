//! Who plays an attack, and as what.

use fsdfs_tests::adversary::{Liar, MemberPuppet};

/// As what the adversary comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttackRole {
    /// Invited to store only.
    Storer,
    /// Invited to read and store.
    Reader,
    /// Invited to do everything.
    Full,
    /// Not invited at all: a program or a user of the same machine, or somebody who was a member once.
    Outsider,
}

impl AttackRole {
    pub fn word(self) -> &'static str {
        match self {
            Self::Storer => "storage only",
            Self::Reader => "reader",
            Self::Full => "full",
            Self::Outsider => "outsider",
        }
    }
}

/// Those who take part, so that they are there until they are revoked.
#[derive(Default)]
pub struct AttackParty {
    pub liars: Vec<Liar>,
    pub puppets: Vec<MemberPuppet>,
    /// What was seen, for the table.
    pub note: String,
}
