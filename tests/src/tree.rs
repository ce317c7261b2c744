//! File trees for tests: made from a seed, compared bit by bit.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// Writes `bytes` pseudo-random bytes.
pub fn random_file(path: &Path, bytes: u64, seed: u64) -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut file = std::io::BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut chunk = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(chunk.len() as u64);
        let part = &mut chunk[..usize::try_from(now)?];
        rng.fill(part);
        file.write_all(part)?;
        left -= now;
    }
    Ok(file.into_inner()?.sync_data()?)
}

/// `count` files of 0 B to 64 KiB in some folders, and everything that makes file trees hard.
pub fn hard_tree(root: &Path, count: usize, seed: u64) -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    for index in 0..count {
        let folder = root.join(format!("d{}", index % 37));
        fs::create_dir_all(&folder)?;
        let bytes = match index % 5 {
            0 => 0,
            1 => rng.u64(1..100),
            2 => rng.u64(100..17_000),
            _ => rng.u64(0..=65_536),
        };
        random_file(&folder.join(format!("file {index}")), bytes, rng.u64(..))?;
    }
    odd_names(root)?;
    hundred_deep(root)?;
    fs::create_dir_all(root.join("empty/also empty"))?;
    symlink("d0/file 0", root.join("link"))?;
    symlink("/nowhere/at all", root.join("dangling"))?;
    symlink("..", root.join("empty/up"))?;
    odd_attributes(root)
}

fn odd_names(root: &Path) -> Result<()> {
    let folder = root.join("odd names");
    fs::create_dir_all(&folder)?;
    let long = vec![b'x'; 255];
    let names: [&[u8]; 12] = [
        b"with space",
        b"quote'double\"",
        b"new\nline",
        b"tab\tand\x1b[31mred",
        b"not\xff\xfeutf8",
        &long,
        b"-rf",
        b"*",
        b"back\\slash",
        b".hidden",
        b"...",
        "ünïcödé \u{202e}rtl".as_bytes(),
    ];
    for name in names {
        fs::write(folder.join(OsStr::from_bytes(name)), name)?;
    }
    Ok(fs::create_dir_all(folder.join(OsString::from_vec(b"dir\xff\n".to_vec())))?)
}

fn hundred_deep(root: &Path) -> Result<()> {
    let deep: PathBuf = (0..100).map(|level| format!("l{level}")).collect();
    fs::create_dir_all(root.join(&deep))?;
    Ok(fs::write(root.join(deep).join("at the bottom"), b"hello")?)
}

fn odd_attributes(root: &Path) -> Result<()> {
    let file = root.join("d0/file 0");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400))?;
    set_mtime(&file, 1_000_000_000, 123_456_789)?;
    fs::write(root.join("script"), b"#!/bin/sh\n")?;
    fs::set_permissions(root.join("script"), fs::Permissions::from_mode(0o755))?;
    set_mtime(&root.join("script"), -1_000, 5)?;
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o711))?;
    set_mtime(&root.join("empty"), 1_600_000_000, 999_999_999)
}

fn set_mtime(path: &Path, tv_sec: i64, tv_nsec: i64) -> Result<()> {
    let time = Timespec { tv_sec, tv_nsec };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?)
}

/// What a comparison looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SeenFile {
    kind: &'static str,
    mode: u32,
    mtime: (i64, i64),
    size: u64,
    target: Option<PathBuf>,
}

/// Fails unless both trees have the same names, kinds, modes, times, link targets and bytes. The roots' own names do not count.
pub fn assert_equal(one: &Path, other: &Path) -> Result<()> {
    let (left, right) = (survey(one)?, survey(other)?);
    for (path, seen) in &left {
        let there = right.get(path);
        ensure!(there == Some(seen), "{path:?} differs: {seen:?} against {there:?}");
        if seen.kind == "file" {
            ensure!(same_bytes(&one.join(path), &other.join(path))?, "{path:?} differs in its bytes");
        }
    }
    let extra: Vec<_> = right.keys().filter(|path| !left.contains_key(*path)).collect();
    ensure!(extra.is_empty(), "only in {}: {extra:?}", other.display());
    Ok(())
}

fn survey(root: &Path) -> Result<BTreeMap<PathBuf, SeenFile>> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full)?;
        let is_link = meta.is_symlink();
        let kind = if is_link {
            "link"
        } else if meta.is_dir() {
            "folder"
        } else {
            "file"
        };
        if meta.is_dir() {
            for entry in fs::read_dir(&full)? {
                todo.push(path.join(entry?.file_name()));
            }
        }
        // A link's mode means nothing; folders' sizes are the file system's own.
        let mode = if is_link { 0 } else { meta.mode() & 0o7777 };
        let size = if kind == "file" { meta.len() } else { 0 };
        let mtime = if is_link { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) };
        let target = if is_link { Some(fs::read_link(&full)?) } else { None };
        seen.insert(path, SeenFile { kind, mode, mtime, size, target });
    }
    Ok(seen)
}

/// Whether two files have the same bytes.
pub fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let (mut left, mut right) = (File::open(one)?, File::open(other)?);
    let (mut a, mut b) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let read = left.read(&mut a)?;
        if read == 0 {
            return Ok(right.read(&mut b)? == 0);
        }
        right.read_exact(&mut b[..read]).ok();
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}
