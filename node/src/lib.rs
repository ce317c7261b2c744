//! The fsdfs node: carries out what the engine decides, with sockets, disks and threads.

pub mod allocator;
pub mod client;
pub mod clock;
pub mod config;
pub mod control_client;
pub mod crypto_pool;
pub mod daemon;
pub mod files;
pub mod gateway;
pub mod home;
pub mod metrics;
pub mod net;
mod random;
pub mod store;

// The sentences are the gateways'; the rest of the crate may still ask for them by their old path.
pub(crate) use gateway::words;
