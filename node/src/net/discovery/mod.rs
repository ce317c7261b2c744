//! Finding peers: names looked up, and which search goes on for how long. What is dialled and asked is the transport's.

pub(super) mod resolve;
pub(super) mod searches;
