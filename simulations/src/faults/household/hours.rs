//! Times of homes, in simulated microseconds.

use crate::world::queue::{Micros, S};

pub const MINUTE: Micros = 60 * S;
pub const HOUR: Micros = 60 * MINUTE;
pub const DAY: Micros = 24 * HOUR;
