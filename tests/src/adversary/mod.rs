//! Members that are no honest nodes: they pass the gate with a real ticket and then say what they like.
//!
//! [`Liar`] is an identity that can come in, [`Link`] a connection by hand. A [`MemberPuppet`] holds a link and answers on it as
//! told, so that it stays a member that others believe to be up. What it says beyond that is made by [`forge`].

pub mod forge;
mod link;
pub mod muxer;
mod puppet;

pub use self::link::{Liar, Link, MemberDoor, frame_of, node_of, random_seed};
pub use self::puppet::{MemberPuppet, PuppetManners};
