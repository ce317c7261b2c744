//! `config.toml` of a home folder: what the owner decided about this node. Raw as typed, then checked; the rest of the
//! program never parses again.

mod bandwidth;
mod checked;
mod filter;
mod hours;
mod live;
mod load;
mod raw;
mod values;

pub use bandwidth::{
    BandwidthChange, BandwidthInForce, BandwidthLimits, BandwidthPlan, BandwidthSetting, SettingSource,
};
pub use checked::{
    Config, ConfigError, CongestionControl, Log, LogFormat, Storage, TEST_HOUR_ENV, TEST_SCRUB_ENV, TEST_UNIT_ENV,
    UNIT_BYTES, default_quota, default_storage, hour_ms, unit_bytes,
};
pub use filter::log_filter;
pub use hours::HourRule;
pub use live::LiveBandwidth;
pub use raw::RawConfig;
pub(crate) use raw::RawStorage;
pub use values::{BadValue, StorageArg, address, listen, percent, rate, rate_of_bytes, size, storage_arg};
