//! Bits that a program must understand before it reads or writes (spec 05-volume §2).

use serde::{Deserialize, Serialize};

use crate::codec::FormatError;

/// Features used by a structure. The lower 16 bits must be understood to read it, the upper 16 to write to the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryFlags(pub u32);

impl EntryFlags {
    /// No feature beyond the first version.
    pub const NONE: Self = Self(0);
    /// What this program understands.
    const KNOWN: u32 = 0;
    const TO_READ: u32 = 0xffff;

    /// `Err` if this program is too old to read it.
    pub fn readable(self, what: &'static str) -> Result<(), FormatError> {
        self.within(what, Self::TO_READ)
    }

    /// `Err` if this program is too old to write on top of it.
    pub fn writable(self, what: &'static str) -> Result<(), FormatError> {
        self.within(what, u32::MAX)
    }

    fn within(self, what: &'static str, mask: u32) -> Result<(), FormatError> {
        let unknown = self.0 & mask & !Self::KNOWN;
        if unknown == 0 { Ok(()) } else { Err(FormatError::TooNew { what, version: unknown }) }
    }
}
