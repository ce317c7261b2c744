//! `config.toml`, as its owner typed it.

use std::path::Path;

use fsdfs_node::config::{RawConfig, UNIT_BYTES};

/// The file, read and checked.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (home, file) = (Path::new("/home/of/nobody"), Path::new("config.toml"));
    if let Ok(raw) = RawConfig::parse(file, text) {
        let _ = raw.check(home, file, text, UNIT_BYTES);
    }
}
