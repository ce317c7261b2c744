//! The rows, by what they harm.

mod blocks;
mod doors;
mod facts;
mod floods;
mod machine;
mod removed;
mod strangers;
mod trees;

use crate::row::AttackRow;

pub const ALL: &[&[AttackRow]] =
    &[trees::ROWS, facts::ROWS, blocks::ROWS, doors::ROWS, removed::ROWS, strangers::ROWS, machine::ROWS, floods::ROWS];
