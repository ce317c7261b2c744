//! What is played: one row for each way to harm a pool.

use anyhow::Result;
use fsdfs_tests::adversary::{Liar, MemberPuppet};
use futures::future::BoxFuture;

use crate::stage::AttackStage;

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

/// Attacks, for some seconds at most. An error is harm that was done.
pub type AttackPlay = for<'a> fn(&'a mut AttackStage, AttackRole) -> BoxFuture<'a, Result<AttackParty>>;

/// A way to harm a pool.
pub struct AttackRow {
    /// A short name, to play one row alone.
    pub name: &'static str,
    /// What is done.
    pub does: &'static str,
    /// Who can try it. The first one does in the short run, all of them in the long one.
    pub roles: &'static [AttackRole],
    pub play: AttackPlay,
    /// Whether it takes too long for the usual tests.
    pub is_long: bool,
    /// Why it is not held yet.
    pub open: Option<&'static str>,
}

impl AttackRow {
    pub const fn new(name: &'static str, does: &'static str, roles: &'static [AttackRole], play: AttackPlay) -> Self {
        Self { name, does, roles, play, is_long: false, open: None }
    }

    /// One that is played in the long run only.
    pub const fn long(name: &'static str, does: &'static str, roles: &'static [AttackRole], play: AttackPlay) -> Self {
        Self { is_long: true, ..Self::new(name, does, roles, play) }
    }
}
