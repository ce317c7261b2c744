//! What the benches and the counts of instructions share: maps, and the plain loop to compare with.

pub mod maps;
pub mod straw2;
