//! The fsdfs node: carries out what the engine decides, with sockets, disks and threads.
//!
//! The order in which to read it:
//!
//! 1. [`daemon`]: puts a node together and runs its loop: it waits for an input, hands it to the engine and starts the effects.
//! 2. [`home`] and [`config`]: keys, certificates and log of one node, and what its owner decided.
//! 3. [`store`]: blocks and facts on disks; begin with `disk/appender`, where one sync makes many records durable.
//! 4. [`net`]: how nodes find each other, let each other in and exchange messages and blocks.
//! 5. [`client`]: cuts files into blocks, seals them and gives them to the engine; reads and opens them again.
//! 6. [`gateway`]: the control API over the client, and the sentences in which it speaks; [`control_client`] is its other end.
//!
//! The rest is small: [`files`] writes one file durably, [`crypto_pool`] lends threads for hashing and sealing, [`metrics`] counts,
//! [`clock`] and `random` read the system, [`allocator`] gives memory back.

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
pub mod signals;
pub mod store;
