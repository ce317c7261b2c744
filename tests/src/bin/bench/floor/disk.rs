//! Files, as any program would use them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use super::moved::Moved;
use crate::source::{DataSource, PIECE};
use crate::usage;

/// The store commits at most this many pieces at once.
const PIECES_PER_SYNC: u64 = 32;
const SYNCS: u32 = 500;
const SMALL_FILES: u32 = 20_000;
/// As many as a put has copies.
pub const FILES: usize = 3;

/// A warm file: it was just written.
pub fn read_and_hash(folder: &Path, bytes: u64) -> Result<Moved> {
    with_file(folder, bytes, |path| {
        let (mut file, mut buffer, mut hash) = (File::open(path)?, vec![0; PIECE], Sha256::new());
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        std::hint::black_box(hash.finalize());
        Ok(())
    })
}

pub fn copy(folder: &Path, bytes: u64) -> Result<Moved> {
    let to = folder.join("copied");
    let moved = with_file(folder, bytes, |path| {
        fs::copy(path, &to)?;
        Ok(File::open(&to)?.sync_data()?)
    });
    fs::remove_file(&to)?;
    moved
}

/// [`FILES`] of them.
pub fn write(folder: &Path, bytes: u64) -> Result<()> {
    let paths = [0; FILES].map(|_| folder.join(format!("written {}", fastrand::u64(..))));
    let source = DataSource::new(5);
    for path in &paths {
        let mut file = File::create(path)?;
        for number in 0..bytes / PIECE as u64 {
            file.write_all(&source.piece(number))?;
            if (number + 1) % PIECES_PER_SYNC == 0 {
                file.sync_data()?;
            }
        }
        file.sync_data()?;
    }
    Ok(paths.iter().try_for_each(fs::remove_file)?)
}

pub fn syncs_per_s(folder: &Path) -> Result<f64> {
    let path = folder.join("synced");
    let mut file = File::create(&path)?;
    let begun = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    let per_s = f64::from(SYNCS) / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(per_s)
}

/// Files of a few KiB that get their name when they are written, one after the other.
pub fn files_per_s(folder: &Path) -> Result<f64> {
    let dir = folder.join("many files");
    fs::create_dir(&dir)?;
    let begun = Instant::now();
    for number in 0..SMALL_FILES {
        let temporary = dir.join(format!(".new {number}"));
        File::create_new(&temporary)?.write_all(&[7; 1_500])?;
        fs::rename(temporary, dir.join(number.to_string()))?;
    }
    let per_s = f64::from(SMALL_FILES) / begun.elapsed().as_secs_f64();
    fs::remove_dir_all(dir)?;
    Ok(per_s)
}

/// Times `work` on a file that exists before.
fn with_file(folder: &Path, bytes: u64, work: impl FnOnce(&PathBuf) -> Result<()>) -> Result<Moved> {
    let (path, source) = (folder.join("source"), DataSource::new(4));
    let mut file = File::create(&path)?;
    (0..bytes / PIECE as u64).try_for_each(|number| file.write_all(&source.piece(number)))?;
    file.sync_data()?;
    let (begun, before) = (Instant::now(), usage::own_cpu_s()?);
    work(&path)?;
    let (s, cpu_s) = (begun.elapsed().as_secs_f64(), usage::own_cpu_s()? - before);
    fs::remove_file(&path)?;
    Ok(Moved { mib: bytes as f64 / PIECE as f64, s, cpu_s })
}
