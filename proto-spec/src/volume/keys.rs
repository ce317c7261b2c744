//! Keys of a volume (spec 02-block §1).
//!
//! ```text
//! D(x, l)     = HKDF-SHA256(ikm = x, salt empty, info = "fsdfs/2/" l 00 volume be32(epoch), 32 bytes)
//! W             the write secret of an epoch, 32 random bytes
//! R           = D(W, "vol-read")            sign seed = D(W, "vol-write-sign")
//! K_seal      = D(W, "vol-seal")            K_salt    = D(W, "vol-commit-salt")
//! K_commit    = D(R, "vol-commit-open")     read check = D(R, "vol-read-check")
//! ```

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::SigningKey;

use crate::ids::{Key, PublicKey, VolumeId};
use crate::label::key as label;

/// The keys of one epoch of a volume, as far as this node holds them.
#[derive(Clone)]
pub struct VolumeKeys {
    /// Which volume.
    pub volume: VolumeId,
    /// Which epoch.
    pub epoch: u32,
    read: ReadKeys,
    write: Option<WriteKeys>,
}

#[derive(Clone)]
struct ReadKeys {
    read: Key,
    commit: Key,
}

/// What only writers hold. Readers cannot test guesses of a plaintext, for block keys come from a writers' key.
#[derive(Clone)]
pub struct WriteKeys(Arc<WriteSecrets>);

struct WriteSecrets {
    volume: VolumeId,
    epoch: u32,
    secret: Key,
    seal: Key,
    salt: Key,
    commit: Key,
    sign: SigningKey,
}

impl VolumeKeys {
    /// All keys of an epoch, from its write secret.
    pub fn from_write_secret(volume: VolumeId, epoch: u32, secret: Key) -> Self {
        let derive = |name| derive(volume, epoch, secret, name);
        let mut keys = Self::from_read_key(volume, epoch, derive(label::VOL_READ));
        keys.write = Some(WriteKeys(Arc::new(WriteSecrets {
            volume,
            epoch,
            secret,
            seal: derive(label::VOL_SEAL),
            salt: derive(label::VOL_COMMIT_SALT),
            commit: keys.read.commit,
            sign: SigningKey::from_bytes(&derive(label::VOL_WRITE_SIGN).0),
        })));
        keys
    }

    /// The readers' keys of an epoch.
    pub fn from_read_key(volume: VolumeId, epoch: u32, read: Key) -> Self {
        let commit = derive(volume, epoch, read, label::VOL_COMMIT_OPEN);
        Self { volume, epoch, read: ReadKeys { read, commit }, write: None }
    }

    /// What a writer needs; none if only a read key was given.
    pub fn writer(&self) -> Option<&WriteKeys> {
        self.write.as_ref()
    }

    /// The read capability of the epoch.
    pub fn read_key(&self) -> Key {
        self.read.read
    }

    /// Public value in the signed epoch that tells whether a received capability is the right one.
    pub fn read_check(&self) -> Key {
        derive(self.volume, self.epoch, self.read.read, label::VOL_READ_CHECK)
    }

    pub(super) fn commit_key(&self) -> Key {
        self.read.commit
    }
}

impl WriteKeys {
    /// Which volume.
    pub fn volume(&self) -> VolumeId {
        self.0.volume
    }

    /// Which epoch.
    pub fn epoch(&self) -> u32 {
        self.0.epoch
    }

    /// The write secret everything else is derived from: what a capability string carries.
    pub fn secret(&self) -> Key {
        self.0.secret
    }

    /// Signs heads.
    pub fn signing_key(&self) -> &SigningKey {
        &self.0.sign
    }

    /// Verifies heads; stands in the signed epoch.
    pub fn write_pk(&self) -> PublicKey {
        PublicKey(self.0.sign.verifying_key().to_bytes())
    }

    pub(super) fn seal_key(&self) -> Key {
        self.0.seal
    }

    pub(super) fn salt_key(&self) -> Key {
        self.0.salt
    }

    pub(super) fn commit_key(&self) -> Key {
        self.0.commit
    }
}

impl PartialEq for VolumeKeys {
    fn eq(&self, other: &Self) -> bool {
        let secret = |keys: &Self| keys.write.as_ref().map(|write| write.0.secret);
        (self.volume, self.epoch, self.read.read, secret(self))
            == (other.volume, other.epoch, other.read.read, secret(other))
    }
}

impl Eq for VolumeKeys {}

/// Shows no key.
impl fmt::Debug for VolumeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.write.is_some() { "write" } else { "read" };
        write!(f, "VolumeKeys({}, epoch {}, {level})", self.volume.short(), self.epoch)
    }
}

fn derive(volume: VolumeId, epoch: u32, from: Key, name: &str) -> Key {
    let info = [label::DERIVE_PREFIX.as_bytes(), name.as_bytes(), &[0], &volume.0, &epoch.to_be_bytes()].concat();
    expand(from, &info)
}

pub(super) fn expand(from: Key, info: &[u8]) -> Key {
    let mut key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(None, &from.0)
        .expand(info, &mut key)
        .expect("32 bytes are less than HKDF's limit of 8,160");
    Key(key)
}
