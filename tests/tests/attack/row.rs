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
    /// Whether it measures, so that nothing may be played beside it.
    pub is_alone: bool,
}

impl AttackRow {
    pub const fn new(name: &'static str, does: &'static str, roles: &'static [AttackRole], play: AttackPlay) -> Self {
        Self { name, does, roles, play, is_long: false, is_alone: false }
    }

    /// One that is played in the long run only.
    pub const fn long(name: &'static str, does: &'static str, roles: &'static [AttackRole], play: AttackPlay) -> Self {
        Self { is_long: true, ..Self::new(name, does, roles, play) }
    }

    /// One that measures, in the long run only.
    pub const fn alone(name: &'static str, does: &'static str, roles: &'static [AttackRole], play: AttackPlay) -> Self {
        Self { is_alone: true, ..Self::long(name, does, roles, play) }
    }
}
