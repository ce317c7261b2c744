//! An ext4 in a file, and how to cut it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Length of the image: sparse, so it takes what is written to it.
const IMAGE_BYTES: u64 = 4 << 30;
/// `EXT4_IOC_SHUTDOWN`, which is `_IOR('X', 125, __u32)`, as soon as it is told to. In a script, because an ioctl is unsafe
/// in Rust; told, because starting Python takes longer than many a commit.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
place = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
if sys.stdin.readline():
    fcntl.ioctl(place, 0x8004587d, struct.pack('I', int(sys.argv[2])))";

/// The machine lacks something. Nothing was changed.
#[derive(Debug)]
pub struct DiskUnavailable(String);

impl std::fmt::Display for DiskUnavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DiskUnavailable {}

/// What still reaches the disk when the power goes.
#[derive(Clone, Copy, Debug)]
pub enum Flush {
    /// Names and lengths that the journal has gathered, but no data: files may be long and empty.
    Journal = 1,
    /// Nothing.
    Nothing = 2,
}

/// A process that holds the file system open and waits for a word.
pub struct PowerCutter(Child);

impl PowerCutter {
    /// Once this has begun every write and every sync fails, and what is not durable never will be.
    pub fn cut(mut self) -> Result<()> {
        // Whether the word arrives shows in how the process ends.
        let _ = self.0.stdin.take().map(|mut word| word.write_all(b"\n"));
        succeeded("the shutdown call", &self.0.wait_with_output()?)
    }
}

/// The image and where it is mounted; both go with it.
pub struct CutDisk {
    folder: tempfile::TempDir,
    mount_point: PathBuf,
}

impl CutDisk {
    /// Makes the file system, and sees whether it can be mounted and cut here.
    pub fn make() -> Result<Self> {
        let unable = |error: anyhow::Error| DiskUnavailable(format!("{error:#}"));
        let folder = tempfile::tempdir()?;
        let disk = Self { mount_point: folder.path().join("mnt"), folder };
        fs::create_dir(&disk.mount_point)?;
        fs::File::create(disk.image())?.set_len(IMAGE_BYTES)?;
        tool("mkfs.ext4", [OsStr::new("-q"), disk.image().as_ref()]).map_err(unable)?;
        disk.mount().map_err(unable)?;
        disk.cutter(Flush::Nothing).and_then(PowerCutter::cut).map_err(unable)?;
        disk.unmount().map_err(unable)?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Mounts it; what a cut left half done is finished from the journal.
    pub fn mount(&self) -> Result<()> {
        tool(
            "mount",
            [
                OsStr::new("-t"),
                "ext4".as_ref(),
                "-o".as_ref(),
                "loop".as_ref(),
                self.image().as_ref(),
                self.mount_point.as_ref(),
            ],
        )
    }

    /// Takes it away; nobody uses it any more.
    pub fn unmount(&self) -> Result<()> {
        tool("umount", [&self.mount_point])
    }

    /// Gets everything ready for a cut.
    pub fn cutter(&self, flush: Flush) -> Result<PowerCutter> {
        let mut helper = Command::new("python3")
            .args([OsStr::new("-c"), SHUTDOWN.as_ref(), self.mount_point.as_ref()])
            .arg((flush as u32).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("python3 does not run")?;
        let mut ready = String::new();
        BufReader::new(helper.stdout.take().context("its output is piped")?).read_line(&mut ready)?;
        Ok(PowerCutter(helper))
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn is_mounted(&self) -> bool {
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
        device(&self.mount_point) != device(self.folder.path())
    }
}

impl Drop for CutDisk {
    fn drop(&mut self) {
        if self.is_mounted()
            && let Err(error) = self.unmount()
        {
            eprintln!("{} stays mounted: {error:#}", self.mount_point.display());
        }
    }
}

fn tool<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Result<()> {
    let run = Command::new(name).args(args).output().with_context(|| format!("{name} does not run"))?;
    succeeded(name, &run)
}

fn succeeded(name: &str, run: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "{name}: {}", said.trim().lines().last().unwrap_or("it failed"));
    Ok(())
}
