//! Real daemons as processes on loopback, driven by the command line as a user would.
//!
//! [`cluster`] starts, kills and asks nodes; [`tree`] makes and compares file trees; [`scenario`] holds what must be shown, at
//! any size: small in `cargo test`, full in the `acceptance` binary; [`chaos`] breaks nodes at random under a random load;
//! [`adversary`] is a member that lies; [`lab`] puts nodes into homes with routers and lines.

pub mod adversary;
pub mod chaos;
pub mod cluster;
pub mod lab;
pub mod scenario;
pub mod tree;
