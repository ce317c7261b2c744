//! The rows, by what they harm.

mod blocks;
mod doors;
mod facts;
mod machine;
mod trees;

use crate::row::AttackRow;

pub const ALL: &[&[AttackRow]] = &[trees::ROWS, facts::ROWS, blocks::ROWS, doors::ROWS, machine::ROWS];
