//! Cuts the power of a real store on a real file system, again and again: `tests/power-cut [CUTS [SEED]]`, as root.
//!
//! A child process runs the store on a loop-mounted ext4 and prints every acknowledgement. At a random one of them the file
//! system is shut down by its own call: from then on nothing reaches the disk, as if the machine had lost its power.
//! Then it is mounted again, the store is opened, and everything that was ever acknowledged must be there.
//!
//! What this cannot show: a drive that forgets what it said was flushed. The loop device's cache is the machine's own.

mod disk;
mod promise;
mod writer;

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use disk::{CutDisk, DiskUnavailable, Flush};
use promise::{Ack, PromisedWrites};

/// Ends the program when this machine cannot run it: no root, no loop devices, no tools. As automake has it.
const CANNOT: u8 = 77;
/// Acknowledgements before a cut at most: some seconds' worth, and with several segments sealed between two cuts.
const ACKS_MAX: u64 = 400;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| args.get(place).and_then(|text| text.parse().ok());
    if let [role, place, ..] = &args[..]
        && role == "write"
    {
        return writer::run(Path::new(place), number(2).unwrap_or(0));
    }
    let (cuts, seed) = (number(0).unwrap_or(50), number(1).unwrap_or_else(|| fastrand::u64(..)));
    println!("seed {seed}");
    match run(cuts, seed) {
        Ok((acknowledged, lost)) => {
            println!("{cuts} cuts, {acknowledged} acknowledged, {lost} lost");
            if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) if error.is::<DiskUnavailable>() => {
            eprintln!("this machine cannot cut a file system: {error:#}");
            CANNOT.into()
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How many records were acknowledged, and how many of them were not there after some cut.
fn run(cuts: u64, seed: u64) -> Result<(usize, usize)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let disk = CutDisk::make()?;
    let mut promised = PromisedWrites::default();
    for cut in 1..=cuts {
        disk.mount()?;
        let flush = if rng.bool() { Flush::Journal } else { Flush::Nothing };
        let heard = cut_while_writing(&disk, rng.u64(1..=ACKS_MAX), flush, rng.u64(..))?;
        heard.iter().for_each(|ack| promised.add(ack));
        disk.unmount()?;
        disk.mount()?;
        let lost = promised.missing(disk.mount_point()).with_context(|| format!("cut {cut}"))?;
        disk.unmount()?;
        println!("cut {cut} ({flush:?}): {} acknowledged, {} in all, {} lost", heard.len(), promised.len(), lost.len());
        if !lost.is_empty() {
            lost.iter().for_each(|what| println!("lost: {what}"));
            return Ok((promised.len(), lost.len()));
        }
    }
    Ok((promised.len(), 0))
}

/// Runs a writer, cuts at its `at`-th line, and returns what it had acknowledged by then.
///
/// What it acknowledges later does not count: while a file system is being shut down, ext4 (Linux 6.18) now and then returns
/// from an `fdatasync` without error although the bytes are gone. (When the power goes there is nobody left to hear it.)
fn cut_while_writing(disk: &CutDisk, at: u64, flush: Flush, seed: u64) -> Result<Vec<Ack>> {
    let cutter = disk.cutter(flush)?;
    let mut writer = Writer::start(disk.mount_point(), seed)?;
    let mut heard = Vec::new();
    for _ in 0..at {
        match writer.lines.next().context("the writer ended before the cut")?? {
            line if line.starts_with("failed") => bail!("before the cut: {line}"),
            line => heard.extend(line.parse::<Ack>()),
        }
    }
    cutter.cut()?;
    Ok(heard)
}

/// The child, which does not outlive its handle.
struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(place: &Path, seed: u64) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("write")
            .arg(place)
            .arg(seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        Ok(Self { child, lines })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
