//! Tells a copied or restored home folder from the original.
//!
//! Sequence numbers must never be used twice. A folder that was copied to another machine, or restored from a backup, may
//! be behind; then a new incarnation is drawn. A machine restored whole, disks and all, does not show here: its peers tell.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fsdfs_proto::ids::Instance as InstanceId;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::error::HomeError;
use crate::files::{self, FileError, SECRET, at};
use crate::random;

/// Which copy of a home folder this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Random, drawn when the folder came to this place: tells twins apart.
    pub id: InstanceId,
    /// The folder came here since it was last used.
    pub is_copy: bool,
    folder: PathBuf,
}

/// `instance.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceFile {
    instance: InstanceId,
    place: String,
}

impl Instance {
    /// A new one, for a folder that is being made.
    pub(super) fn make(folder: &Path) -> Result<(), FileError> {
        Self { id: InstanceId(random::bytes()), is_copy: false, folder: folder.to_owned() }.remember_place()
    }

    pub(super) fn load(folder: &Path) -> Result<Self, HomeError> {
        let file = files::read_text(&folder.join("instance.toml"));
        // A file that is missing or damaged says nothing: the safe reading is that this is a copy.
        let known = file.ok().and_then(|text| toml::from_str::<InstanceFile>(&text).ok());
        let place = place(folder)?;
        Ok(match known.filter(|known| known.place == place) {
            Some(known) => Self { id: known.instance, is_copy: false, folder: folder.to_owned() },
            None => Self { id: InstanceId(random::bytes()), is_copy: true, folder: folder.to_owned() },
        })
    }

    /// Remembers that the folder is used here. To be done once the new incarnation is durable.
    pub fn remember_place(&self) -> Result<(), FileError> {
        let file = InstanceFile { instance: self.id, place: place(&self.folder)? };
        let text = toml::to_string(&file).expect("two texts");
        files::publish(&self.folder.join("instance.toml"), text.as_bytes(), SECRET)
    }
}

/// Machine and folder. A copy of a folder has another inode, a moved disk another machine.
fn place(folder: &Path) -> Result<String, FileError> {
    let inode = std::fs::metadata(folder).map_err(at("examine", folder))?.ino();
    // Missing in some containers; then only copies within the file system's sight are noticed.
    let machine = files::read_system_text(Path::new("/etc/machine-id")).unwrap_or_default();
    let hash = sha2::Sha256::digest(format!("fsdfs {} {inode}", machine.trim()));
    Ok(fsdfs_proto::ids::hex(&hash[..16]))
}
