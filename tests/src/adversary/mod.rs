//! Members that are no honest nodes: they pass the gate with a real ticket and then say what they like.
//!
//! [`Liar`] is an identity that can come in, [`Link`] a connection by hand. A [`MemberPuppet`] holds a link and answers on it as
//! told, so that it stays a member that others believe to be up. What it says beyond that is made by [`forge`].

mod fake_daemon;
pub mod forge;
mod half_open;
mod link;
pub mod old_build;
mod puppet;
pub mod quic;

pub use self::fake_daemon::{FakeDaemon, NOBODY};
pub use self::half_open::{first_words, half_open};
pub use self::link::{Liar, Link, MemberDoor, frame_of, node_of, random_seed};
pub use self::puppet::{MemberPuppet, PuppetManners};
