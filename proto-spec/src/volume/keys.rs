//! Keys of a volume (spec 02-block §1).
//!
//! ```text
//! D(x, l)     = HKDF-SHA256(ikm = x, salt empty, info = "fsdfs/2/" l 00 volume be32(epoch), 32 bytes)
//! W             the write secret of an epoch, 32 random bytes
//! R           = D(W, "vol-read")            sign seed = D(W, "vol-write-sign")
//! K_seal      = D(W, "vol-seal")            K_salt    = D(W, "vol-commit-salt")
//! K_commit    = D(R, "vol-commit-open")     read check = D(R, "vol-read-check")
//! K_previous  = D(R, "vol-previous")        seals R of the epoch before, for those who were not there
//! ```

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::cipher::{open_key, seal_key};
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
    /// Of other epochs, ascending, to open what was written in them. Several of one number, if several were begun at once.
    others: Arc<[(u32, ReadKeys)]>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// The write secret of an epoch that a node begins. Nobody can tell it who has not the node's key; the nonce makes it
    /// another one if the epoch is begun again.
    pub fn new_secret(node: &SigningKey, volume: VolumeId, epoch: u32, nonce: [u8; 16]) -> Key {
        let info = [label::DERIVE_PREFIX.as_bytes(), label::VOL_EPOCH_SECRET.as_bytes(), &[0], &volume.0].concat();
        expand(Key(node.to_bytes()), &[&info[..], &epoch.to_be_bytes(), &nonce].concat())
    }

    /// The readers' keys of an epoch.
    pub fn from_read_key(volume: VolumeId, epoch: u32, read: Key) -> Self {
        let commit = derive(volume, epoch, read, label::VOL_COMMIT_OPEN);
        Self { volume, epoch, read: ReadKeys { read, commit }, write: None, others: Arc::default() }
    }

    /// The same, which open what was written in the epochs of `others`, too.
    #[must_use]
    pub fn with_others<'a>(self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        let all = others.into_iter().filter(|other| other.volume == self.volume);
        let mut keys: Vec<(u32, ReadKeys)> = all.map(|other| (other.epoch, other.read)).collect();
        keys.retain(|(_, read)| *read != self.read);
        keys.sort_unstable();
        keys.dedup();
        Self { others: keys.into(), ..self }
    }

    /// The same without what it takes to write.
    #[must_use]
    pub fn reading(self) -> Self {
        Self { write: None, ..self }
    }

    /// The read key of the epoch before, sealed for whoever has this epoch's: 48 bytes.
    pub fn seal_previous(&self, previous: &Self) -> Bytes {
        seal_key(self.previous_key(), previous.read.read)
    }

    /// What [`VolumeKeys::seal_previous`] sealed, as keys of the epoch before this one. None if it was not sealed so.
    pub fn open_previous(&self, sealed: &[u8]) -> Option<Self> {
        let read = open_key(self.previous_key(), sealed)?;
        Some(Self::from_read_key(self.volume, self.epoch.checked_sub(1)?, read))
    }

    fn previous_key(&self) -> Key {
        derive(self.volume, self.epoch, self.read.read, label::VOL_PREVIOUS)
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

    /// Keys that open the commits of an epoch, as far as they are here.
    pub(super) fn commit_keys(&self, epoch: u32) -> impl Iterator<Item = Key> {
        let own = (epoch == self.epoch).then_some(self.read.commit);
        let others = self.others.iter().filter(move |(number, _)| *number == epoch);
        own.into_iter().chain(others.map(|(_, read)| read.commit))
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
        (self.volume, self.epoch, self.read.read, secret(self), &self.others)
            == (other.volume, other.epoch, other.read.read, secret(other), &other.others)
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
