//! Wrong clocks, with libfaketime: nothing else gives one process another time of day.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Seconds; beyond ten minutes a node refuses to write.
const OFF_S_MAX: i32 = 900;

/// `$LIBFAKETIME`, or where distributions put it.
pub fn library() -> Option<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu", "."]
        .map(|arch| Path::new("/usr/lib").join(arch).join("faketime/libfaketimeMT.so.1"));
    std::env::var_os("LIBFAKETIME").map(PathBuf::from).into_iter().chain(places).find(|path| path.is_file())
}

/// What a process needs in its environment to be off by some time. Its timers go on as they should.
pub fn wrong(rng: &mut fastrand::Rng) -> Option<[(&'static str, OsString); 3]> {
    let off = format!("{:+}s", rng.i32(-OFF_S_MAX..=OFF_S_MAX));
    Some([("LD_PRELOAD", library()?.into()), ("FAKETIME", off.into()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into())])
}
