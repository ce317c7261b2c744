//! Finding peers: names looked up, where members were, and which search goes on for how long. What is dialled and asked is the
//! transport's.

mod book;
pub(super) mod book_file;
pub(super) mod dial_budget;
pub(super) mod resolve;
pub(super) mod searches;
