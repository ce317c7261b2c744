//! The home folder: keys, identity, log and configuration of one node.
//!
//! ```text
//! config.toml               what the owner decides
//! lock                      held by whoever works on this folder
//! run/control.sock          the control API
//! pool/node.key             seed of the node's key
//! pool/pool-root.key        seed of the pool's root key, only where the pool was founded: to be moved to a safe place
//! pool/pool.toml            pool, gate secret, certificates, where to turn to first
//! pool/instance.toml        which folder on which machine this is: tells a copy from the original
//! pool/facts/               the fact log, and which disks there are
//! blocks/                   the default storage folder
//! ```
//!
//! All of it is its user's alone, and no symbolic link in it is followed: see `ownership`.
//!
//! `pool/` appears by one rename, so a node that was killed while it was made has either no pool or a whole one.

mod control_socket;
mod error;
mod folder;
mod identity;
mod instance;
mod ownership;
mod replace;
mod root_key;
mod setup;
pub(crate) mod socket_path;
#[cfg(test)]
mod tests;

pub use control_socket::{ControlSocket, SocketError};
pub use error::{HOME_ENV, HomeError, HomeFault};
pub use folder::{CreatedPool, Home, HomeBefore, LockedHome};
pub use identity::Identity;
pub use instance::Instance;
pub use replace::kept_aside_in;
pub use root_key::{
    ROOT_KEY_FILE, SPARE_KEY_FILE, parse as parse_root_key, words as root_key_words, write_new as write_root_key,
};
pub use setup::{RootKeyPlace, Setup};
pub use socket_path::socket_path;
