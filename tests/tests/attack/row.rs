//! What is played: one row for each way to harm a pool.

use anyhow::Result;
use futures::future::BoxFuture;

use crate::party::{AttackParty, AttackRole};
use crate::stage::AttackStage;

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

    /// The same, not held yet: it is listed with the reason, and not played.
    pub const fn open(self, why: &'static str) -> Self {
        Self { open: Some(why), ..self }
    }

    /// One that is played in the long run only.
    pub const fn long(name: &'static str, does: &'static str, roles: &'static [AttackRole], play: AttackPlay) -> Self {
        Self { is_long: true, ..Self::new(name, does, roles, play) }
    }
}
