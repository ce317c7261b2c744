//! What is said on the standard error whatever the output mode.

use std::io::{self, Write as _};

use crate::text::escape;

/// Something that was not done: said even when quiet.
pub fn warn(text: &str) {
    // There is no other place to report to if this fails.
    let _ = io::stderr().lock().write_all(format!("{}\n", escape::line(text)).as_bytes());
}
