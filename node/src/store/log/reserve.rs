//! Space that the log in the home folder keeps for when there is none: on a node whose file system others filled up, nobody
//! could remove anything any more.

use std::io;
use std::path::Path;

use crate::store::fs::{FileSystem, publish};

const NAME: &str = "reserve";
/// Some thousand heads.
const BYTES: usize = 1 << 20;
/// It is made only where it is not the last that is left.
const FREE_BYTES_MIN: u64 = 16 * BYTES as u64;

/// Makes it, if it is not there and there is room. Whether it is there.
pub(super) fn keep(file_system: &dyn FileSystem, dir: &Path) -> io::Result<bool> {
    let is_there = file_system.list(dir)?.iter().any(|(name, len)| name == NAME && *len == BYTES as u64);
    if !is_there && file_system.free_bytes(dir)? >= FREE_BYTES_MIN {
        publish(file_system, dir, NAME, &vec![0; BYTES])?;
        return Ok(true);
    }
    Ok(is_there)
}

/// Lets it go. Whether there was one.
pub(super) fn give_way(file_system: &dyn FileSystem, dir: &Path) -> bool {
    file_system.remove(&dir.join(NAME)).is_ok()
}
