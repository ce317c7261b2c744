//! The decisions of fsdfs: members, placement, put, get, top-up, trees. Pure: no clock, no unseeded randomness, no files,
//! sockets or threads, ordered maps only. The daemon and the simulator run the same code.

pub mod engine;
pub mod facts;
pub mod limits;
pub mod placement;
pub mod plan;
pub mod report;
pub mod seam;
pub mod tree;
