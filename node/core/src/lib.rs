//! The decisions of fsdfs: members, placement, put, get, repair, trees. Pure: no clock, no unseeded randomness, no files,
//! sockets or threads, ordered maps only. The daemon and the simulator run the same code.
//!
//! The order in which to read it:
//!
//! 1. [`seam`]: what the engine is given ([`seam::Input`]) and what it wants done ([`seam::Effect`]).
//! 2. [`facts`]: the set of statements that all members keep, and who is a member by it.
//! 3. [`placement`]: which servers hold a block, as a function of the cluster map alone.
//! 4. [`engine`]: one call, [`engine::Engine::handle`], routed to machines on five floors. Read `blocks/put` first, then `blocks/get`,
//!    `blocks/repair` and `volume/commit`.
//! 5. [`tree`]: jobs that read, edit and merge encrypted trees with the blocks that the engine brings.
//! 6. [`plan`]: what a pool holds, can lose, and would move.
//!
//! [`limits`] has every bound with its reason; [`report`] is what owners are shown.

pub mod engine;
pub mod facts;
pub mod limits;
pub mod placement;
pub mod plan;
pub mod report;
pub mod seam;
pub mod tree;
