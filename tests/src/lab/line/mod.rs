//! Lines between a home and the internet: what they do to packets ([`model`]), on real packets ([`emulator`]), and what a
//! member does to them that relays badly ([`tampering`]).

pub mod emulator;
pub mod model;
pub mod tampering;
