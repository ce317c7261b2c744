//! A small file system of its own for one disk, which leaves room on it for what is not the node's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// More than the quota of a node, all of it holes.
const BYTES: u64 = 10 << 30;

/// Mounted until it is dropped.
pub struct MountedPool {
    path: PathBuf,
}

impl MountedPool {
    /// Makes a file system in a file, mounts it, and puts the storage folder `blocks` onto it.
    pub fn new(blocks: &Path) -> Result<Self> {
        let (image, path) = (blocks.with_extension("image"), blocks.with_extension("mount"));
        fs::create_dir_all(&path)?;
        fs::File::create(&image)?.set_len(BYTES)?;
        command(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        command(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&path))?;
        let mount = Self { path };
        fs::create_dir(mount.path.join("blocks"))?;
        symlink(mount.path.join("blocks"), blocks)?;
        Ok(mount)
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MountedPool {
    fn drop(&mut self) {
        // Lazily: processes that still use it may go on. Nothing else can be done with an error here.
        let _ = command(Command::new("umount").arg("-l").arg(&self.path));
    }
}

fn command(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
