//! What the machine does without fsdfs, measured in the same run: each when it is first asked for, so close to its figure.

mod disk;
mod http;
mod moved;
mod quic;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use fsdfs_proto::ids::{Key, VolumeId};
use fsdfs_proto::volume::{VolumeKeys, seal_data};
use tokio::runtime::Runtime;

use self::moved::Moved;
use super::report::Row;
use super::source::{DataSource, PIECE};
use super::usage;

/// Measured once each.
#[derive(Default)]
struct FloorCells {
    hash: OnceCell<Moved>,
    seal: OnceCell<Moved>,
    write: OnceCell<Moved>,
    copy: OnceCell<Moved>,
    quic: OnceCell<Moved>,
    fetch_ms: OnceCell<f64>,
    http_up: OnceCell<Moved>,
    http_down: OnceCell<Moved>,
    requests: OnceCell<http::Requests>,
    syncs_per_s: OnceCell<f64>,
    files_per_s: OnceCell<f64>,
}

/// All floors.
pub struct FloorTable {
    runtime: Runtime,
    folder: PathBuf,
    bytes: u64,
    cells: FloorCells,
}

impl FloorTable {
    /// For figures of this many bytes; files go into `folder`.
    pub fn new(folder: &Path, bytes: u64) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        std::fs::create_dir_all(folder)?;
        Ok(Self { runtime, folder: folder.to_owned(), bytes, cells: FloorCells::default() })
    }

    /// Reading a file and hashing it with SHA-256, one thread.
    pub fn hash(&self) -> Result<Moved> {
        once(&self.cells.hash, || disk::read_and_hash(&self.folder, self.bytes))
    }

    /// Sealing a file's chunks, which hashes them too, one thread.
    pub fn seal(&self) -> Result<Moved> {
        once(&self.cells.seal, || {
            let keys = VolumeKeys::from_write_secret(VolumeId([1; 32]), 1, Key([2; 32]));
            let source = DataSource::new(3);
            self.timed(usage::own_cpu_s, || {
                for piece in 0..self.bytes / PIECE as u64 {
                    seal_data(keys.writer().expect("made with a write secret"), &source.piece(piece));
                }
                Ok(())
            })
        })
    }

    /// Writing a file, with an `fdatasync` for each commit of the store; one of three, because memory that the page cache
    /// takes for the first time costs more than what a removed file has just left.
    pub fn write(&self) -> Result<Moved> {
        once(&self.cells.write, || {
            let all = self.timed(usage::own_cpu_s, || disk::write(&self.folder, self.bytes))?;
            Ok(Moved { s: all.s / disk::FILES as f64, cpu_s: all.cpu_s / disk::FILES as f64, ..all })
        })
    }

    /// Copying a file, with one `fdatasync` at its end.
    pub fn copy(&self) -> Result<Moved> {
        once(&self.cells.copy, || disk::copy(&self.folder, self.bytes))
    }

    /// One QUIC stream, hashed by the receiver; the CPU of both ends.
    pub fn quic(&self) -> Result<Moved> {
        once(&self.cells.quic, || self.timed(usage::own_cpu_s, || self.runtime.block_on(quic::bulk(self.bytes))))
    }

    /// Median of asking for a block over QUIC, receiving and hashing it.
    pub fn fetch_ms(&self) -> Result<f64> {
        once(&self.cells.fetch_ms, || self.runtime.block_on(quic::fetch_ms()))
    }

    /// A body into a server that drops it, over a Unix socket; the CPU of the server.
    pub fn http_up(&self) -> Result<Moved> {
        once(&self.cells.http_up, || {
            let server = http::Server::start(&self.folder)?;
            self.timed(http::Server::cpu_s, || self.runtime.block_on(server.up(self.bytes)))
        })
    }

    /// A body out of a server; the CPU of the server.
    pub fn http_down(&self) -> Result<Moved> {
        once(&self.cells.http_down, || {
            let server = http::Server::start(&self.folder)?;
            self.timed(http::Server::cpu_s, || self.runtime.block_on(server.down(self.bytes)))
        })
    }

    /// Requests whose answer is 4 KiB.
    pub fn requests(&self) -> Result<http::Requests> {
        once(&self.cells.requests, || {
            let server = http::Server::start(&self.folder)?;
            self.runtime.block_on(server.requests())
        })
    }

    /// Appending 4 KiB and `fdatasync`, one after the other.
    pub fn syncs_per_s(&self) -> Result<f64> {
        once(&self.cells.syncs_per_s, || disk::syncs_per_s(&self.folder))
    }

    /// Small files, each written under a temporary name and renamed, without a sync.
    pub fn files_per_s(&self) -> Result<f64> {
        once(&self.cells.files_per_s, || disk::files_per_s(&self.folder))
    }

    /// Those that were measured.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let FloorCells { hash, seal, write, copy, quic, http_up, http_down, .. } = &self.cells;
        let named = [
            (hash, "floor: read + SHA-256", "floor: read + SHA-256, CPU"),
            (seal, "floor: seal, which hashes", "floor: seal, which hashes, CPU"),
            (write, "floor: write + fdatasync", "floor: write + fdatasync, CPU"),
            (copy, "floor: cp + fdatasync", "floor: cp + fdatasync, CPU"),
            (quic, "floor: raw QUIC + SHA-256", "floor: raw QUIC + SHA-256, CPU"),
            (http_up, "floor: HTTP in", "floor: HTTP in, CPU of the server"),
            (http_down, "floor: HTTP out", "floor: HTTP out, CPU of the server"),
        ];
        named.into_iter().filter_map(|(cell, speed, cpu)| Some((cell.get()?, speed, cpu))).flat_map(
            |(moved, speed, cpu)| {
                let speed = Row::new(speed, moved.mib_per_s(), "MiB/s");
                [speed, Row::new(cpu, moved.cpu_s_per_gib(), "s/GiB")]
            },
        )
    }

    fn timed(&self, cpu: fn() -> Result<f64>, work: impl FnOnce() -> Result<()>) -> Result<Moved> {
        let (begun, before) = (Instant::now(), cpu()?);
        work()?;
        Ok(Moved { mib: self.bytes as f64 / PIECE as f64, s: begun.elapsed().as_secs_f64(), cpu_s: cpu()? - before })
    }
}

fn once<T: Copy>(cell: &OnceCell<T>, measure: impl FnOnce() -> Result<T>) -> Result<T> {
    if let Some(known) = cell.get() {
        return Ok(*known);
    }
    let measured = measure()?;
    Ok(*cell.get_or_init(|| measured))
}
