//! Capabilities: keys to a volume, in one string (spec 01-identity §9).

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SecretKey;
use super::armour::{self, StringKind, TextError};
use crate::codec::{CanonicalCodec, FormatError, bound};
use crate::ids::{PoolId, VolumeId};
use crate::u8_enum;

u8_enum! {
    /// What a capability lets its holder do.
    pub enum CapabilityLevel {
        /// Read the volume: its secret is the epoch's read capability.
        1 => Read,
        /// Read and write: its secret is the epoch's write secret.
        2 => Write,
        /// Also name new epochs: it carries the seed of the volume's owner key.
        3 => Manage,
    }
}

/// `[pool id, volume, level, epoch, secret, owner seed?]`. Whoever has the string has the right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// The pool in which the volume is stored.
    pub pool: PoolId,
    /// Which volume.
    pub volume: VolumeId,
    /// How far it goes.
    pub level: CapabilityLevel,
    /// Epoch of the secret.
    pub epoch: u32,
    /// Read capability or write secret of the epoch.
    pub secret: SecretKey,
    /// Seed of the owner's key; with [`CapabilityLevel::Manage`] only.
    pub owner_seed: Option<SecretKey>,
}

impl CanonicalCodec for Capability {
    fn check(&self) -> Result<(), FormatError> {
        bound(self.epoch >= 1, "the epoch of a capability")?;
        bound((self.level == CapabilityLevel::Manage) == self.owner_seed.is_some(), "the owner seed of a capability")
    }
}

impl Capability {
    /// The string. It is as secret as the key in it, so it wipes itself.
    pub fn text(&self) -> Zeroizing<String> {
        armour::write(StringKind::Capability, self)
    }
}

impl FromStr for Capability {
    type Err = TextError;

    /// Reads what somebody pasted. Whether the secret is the epoch's is for the volume's keys to say.
    fn from_str(pasted: &str) -> Result<Self, TextError> {
        armour::read(StringKind::Capability, pasted)
    }
}
