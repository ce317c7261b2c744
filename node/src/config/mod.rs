//! `config.toml` of a home folder: what the owner decided about this node. Raw as typed, then checked; the rest of the
//! program never parses again.

mod checked;
mod filter;
mod load;
mod raw;
mod values;

pub use checked::{
    Config, ConfigError, Log, LogFormat, Storage, TEST_UNIT_ENV, UNIT_BYTES, default_quota, default_storage, unit_bytes,
};
pub use filter::log_filter;
pub use raw::RawConfig;
pub(crate) use raw::RawStorage;
pub use values::{BadValue, StorageArg, address, listen, size, storage_arg};
