//! Callers that put, read, move and remove files through all nodes, and tell the model what they were answered.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::command::{CommandCaller, CommandResult};
use super::content;
use super::log::ChaosLog;
use super::model::{ChaosModel, ModelChange, OperationEnd};

/// Folders, each with [`FILES`] names that callers take turns at.
const FOLDERS: usize = 4;
const FILES: usize = 12;
/// Names that callers write without regard to each other.
const SHARED: usize = 3;
/// Answers after which it is sure that nothing was changed.
const REFUSED: [&str; 9] =
    ["bad_request", "not_found", "exists", "not_a_folder", "is_a_folder", "not_empty", "not_yet", "busy", "forbidden"];

/// What all callers share.
pub struct ChaosWork<'a> {
    /// One for each node.
    pub callers: &'a [CommandCaller],
    /// What was promised.
    pub model: &'a Mutex<ChaosModel>,
    /// The names of the folders as they are now.
    pub folders: &'a Mutex<Vec<String>>,
    /// Where to tell.
    pub log: &'a ChaosLog,
    /// Set when they should end.
    pub stop: &'a AtomicBool,
    /// Bytes of a file at most.
    pub bytes_max: usize,
    /// Between two commands of a caller, at most.
    pub pause_ms_max: u64,
    /// A folder for the callers' files.
    pub scratch: &'a Path,
}

/// The folders at first.
pub fn folders() -> Vec<String> {
    (0..FOLDERS).map(|at| format!("/d{at}")).collect()
}

/// A model that knows which names are shared.
pub fn model(seed: u64) -> ChaosModel {
    let mut model = ChaosModel::new(seed);
    for at in 0..SHARED {
        model.share(&format!("/shared/s{at}"));
    }
    model
}

/// One caller: what it does next is drawn from its own seed.
pub struct ChaosWorker<'a> {
    work: &'a ChaosWork<'a>,
    rng: fastrand::Rng,
    scratch: PathBuf,
    moves: usize,
    name: usize,
}

impl<'a> ChaosWorker<'a> {
    /// `name` tells it from the others.
    pub fn new(work: &'a ChaosWork<'a>, name: usize, seed: u64) -> Self {
        let scratch = work.scratch.join(format!("caller{name}"));
        Self { work, rng: fastrand::Rng::with_seed(seed), scratch, moves: 0, name }
    }

    /// Works until it is told to stop.
    pub fn run(mut self) -> Result<()> {
        while !self.work.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(self.rng.u64(..=self.work.pause_ms_max)));
            let caller = &self.work.callers[self.rng.usize(..self.work.callers.len())];
            match self.rng.u8(..100) {
                0..40 => self.put(caller)?,
                40..48 => self.remove(caller)?,
                48..56 => self.rename(caller)?,
                56..58 => self.move_folder(caller)?,
                58..82 => self.read(caller)?,
                82..96 => self.read_range(caller)?,
                _ => drop(caller.call(&self.scratch, ["ls", "/"])?),
            }
        }
        Ok(())
    }

    fn model(&self) -> MutexGuard<'a, ChaosModel> {
        self.work.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&mut self) -> (usize, String) {
        let folders = self.work.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.rng.usize(..folders.len());
        (at, folders[at].clone())
    }

    fn path(&mut self) -> String {
        if self.rng.u8(..10) == 0 {
            return format!("/shared/s{}", self.rng.usize(..SHARED));
        }
        let (_, folder) = self.folder();
        format!("{folder}/f{}", self.rng.usize(..FILES))
    }

    /// Most files fit into their folder's block, some into one of their own, a few need many.
    fn len(&mut self) -> usize {
        let most = match self.rng.u8(..10) {
            0..5 => 2_000,
            5..7 => 16_000,
            7..9 => 300_000,
            _ => self.work.bytes_max,
        };
        self.rng.usize(16..most.clamp(17, self.work.bytes_max))
    }

    fn put(&mut self, caller: &CommandCaller) -> Result<()> {
        let (path, len) = (self.path(), self.len());
        let Some(locked) = self.model().lock(&[&path]) else { return Ok(()) };
        let change = self.model().begin_put(caller.node, &path, len);
        let token = change.token.context("a put has a token")?;
        let source = self.scratch.with_extension("source");
        std::fs::write(&source, content::make(token, len))?;
        let ended = caller.call(&self.scratch, ["put".as_ref(), source.as_os_str(), path.as_ref()])?;
        self.end(&change, &ended, &locked, &format!("put write {token} at {path}"));
        Ok(())
    }

    fn remove(&mut self, caller: &CommandCaller) -> Result<()> {
        let path = self.path();
        let Some(locked) = self.model().lock(&[&path]) else { return Ok(()) };
        let change = self.model().begin_remove(caller.node, &path);
        let ended = caller.call(&self.scratch, ["rm", &path])?;
        self.end(&change, &ended, &locked, &format!("removed {path}"));
        Ok(())
    }

    fn rename(&mut self, caller: &CommandCaller) -> Result<()> {
        let (from, to) = (self.path(), self.path());
        if from == to || from.starts_with("/shared") || to.starts_with("/shared") {
            return Ok(());
        }
        let Some(locked) = self.model().lock(&[&from, &to]) else { return Ok(()) };
        let change = self.model().begin_move(caller.node, &from, &to);
        let ended = caller.call(&self.scratch, ["mv", &from, &to])?;
        self.end(&change, &ended, &locked, &format!("moved {from} to {to}"));
        Ok(())
    }

    /// Without regard to who works in it.
    fn move_folder(&mut self, caller: &CommandCaller) -> Result<()> {
        let (at, from) = self.folder();
        let Some(locked) = self.model().lock(&[&from]) else { return Ok(()) };
        self.moves += 1;
        let to = format!("/d{at}-{}-{}-{}", self.name, self.moves, self.rng.u16(..));
        let change = self.model().begin_move(caller.node, &from, &to);
        let ended = caller.call(&self.scratch, ["mv", &from, &to])?;
        if self.end(&change, &ended, &locked, &format!("moved {from} to {to}")) {
            self.work.folders.lock().unwrap_or_else(PoisonError::into_inner)[at] = to;
        }
        Ok(())
    }

    /// Tells the model; whether it was acknowledged.
    fn end(&self, change: &ModelChange, ended: &CommandResult, locked: &[String], what: &str) -> bool {
        let end = end_of(ended);
        self.model().end(change, end);
        self.model().unlock(locked);
        if end != OperationEnd::Refused {
            self.work.log.say(format!("node{} {what}: {end:?}", change.node()));
        }
        matches!(end, OperationEnd::Acknowledged(_))
    }

    fn read(&mut self, caller: &CommandCaller) -> Result<()> {
        let path = self.path();
        let least = self.model().begin_read(caller.node, &path);
        let ended = caller.call(&self.scratch, ["cat", &path])?;
        let got = match ended {
            ended if ended.is_fine() => match content::token_of(&ended.out) {
                Ok(token) => Some(token),
                Err(error) => {
                    self.work.log.wrong(format!("node{} reads {path}: {error}", caller.node));
                    return Ok(());
                }
            },
            ended if ended.has_code(&["not_found"]) => None,
            // Not readable at this moment.
            _ => return Ok(()),
        };
        let judged = self.model().end_read(caller.node, &path, least, got);
        judged.unwrap_or_else(|wrong| self.work.log.wrong(wrong));
        Ok(())
    }

    fn read_range(&mut self, caller: &CommandCaller) -> Result<()> {
        let path = self.path();
        let magnitude = self.rng.u32(4..20);
        let from = self.rng.usize(..1 << magnitude);
        let to = from + self.rng.usize(1..100_000);
        let range = format!("{from}-{}", to - 1);
        let ended = caller.call(&self.scratch, ["cat", "--range", &range, &path])?;
        // Taken after the read: everything that it may have seen is known by now.
        let candidates = self.model().candidates(&path);
        let is_part = |(token, len): &(u64, usize)| {
            content::make(*token, *len).get(from..to.min(*len)).is_some_and(|part| part == ended.out)
        };
        if ended.is_fine() && !candidates.iter().any(is_part) {
            let len = ended.out.len();
            self.work.log.wrong(format!("node{} reads bytes {range} of {path}: {len} that nobody stored", caller.node));
        }
        Ok(())
    }
}

fn end_of(ended: &CommandResult) -> OperationEnd {
    let answer: serde_json::Value = serde_json::from_slice(&ended.out).unwrap_or_default();
    match answer["copies"].as_u64() {
        Some(copies) if ended.is_fine() => OperationEnd::Acknowledged(copies),
        // Nothing was wrong and nothing changed.
        None if ended.is_fine() => OperationEnd::Refused,
        _ if ended.found_nobody() || ended.has_code(&REFUSED) => OperationEnd::Refused,
        _ => OperationEnd::Unknown,
    }
}
