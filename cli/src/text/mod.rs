//! Text between people and the program: what they type becomes checked values, what it shows cannot harm a terminal.

pub mod escape;
pub mod human;
pub mod parse;
pub mod table;
pub mod transfer_line;
