//! The whole get: folders are walked depth first, a bounded number of files is on its way, small files come with the pages of
//! their folders; links come after all files, folders get their attributes last.

mod finish;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{ExtendedAttribute, ListingEntry};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use crate::api::DaemonApi;
use crate::app::{AppContext, or_interrupted};
use crate::claims::{NameClaims, NamePath};
use crate::local::write::{LocalFolder, ModeMask, OverwritePolicy};
use crate::local::{LocalAttributes, incoming};
use crate::outcome::{CliError, CliResult, Exit, ExitStatus};
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::text::human;
use crate::verbs::get::budget::GetBudget;
use crate::verbs::get::download;
use crate::verbs::get::pieces::{DownloadError, DownloadedFile};
use crate::verbs::get::place::GetTarget;
use crate::verbs::get::rules::GetRules;
use crate::verbs::get::small::{self, SmallFile, SmallFiles, Written};
use crate::verbs::get::sparse::SparseFile;
use crate::verbs::get::summary::DownloadSummary;
use crate::verbs::get::trail::FolderTrail;

/// Slots for files on their way: eight large ones or 32 small ones, of which each is little more than a round trip.
const SLOTS: usize = 32;
const SLOTS_LARGE: u32 = 4;
/// Threads that write small files.
const WRITERS: usize = 4;
/// From here on a file is large.
const LARGE_BYTES: u64 = 1 << 20;

/// Fetches everything that was planned and says how it went. `again` is the command that does it once more.
pub async fn run(app: &AppContext, api: &DaemonApi, plan: Vec<GetTarget>, rules: GetRules, again: &str) -> CliResult {
    let progress = TransferProgress::new(app.output);
    let mut transfer = DownloadRun::new(api.clone(), progress.clone(), rules, &plan);
    let work = transfer.fetch(&plan);
    let ended = or_interrupted(work, &format!("what was fetched stays; continue with: {again}")).await;
    progress.finish();
    match ended {
        Ok(()) => transfer.report(app, again),
        Err(stop) => {
            let came = human::count(transfer.summary.files, "file was", "files were");
            Err(stop.before_that(&format!("{came} fetched before that"), again))
        }
    }
}

/// A folder that waits to be walked.
struct PendingFolder {
    from: RemotePath,
    /// An open handle on the folder above it, or on itself if it is the destination.
    at: LocalFolder,
    /// Its name in there; none = it is the destination itself.
    name: Option<Vec<u8>>,
    /// The way to `at`.
    trail: Arc<FolderTrail>,
    /// What it gets when everything in it is written; none = it is left as it is.
    attrs: Option<FolderAttributes>,
    depth: usize,
}

/// What is done when all files are written.
struct FinalStep {
    from: RemotePath,
    /// The folder that it is about.
    trail: Arc<FolderTrail>,
    what: FinalAction,
}

/// One more name of a file.
struct FurtherName {
    from: RemotePath,
    /// Where.
    trail: Arc<FolderTrail>,
    name: Vec<u8>,
    /// Its first name, and where that is.
    first: (Arc<FolderTrail>, Vec<u8>),
    size: u64,
}

enum FinalAction {
    Link { name: Vec<u8>, target: Vec<u8>, mtime_ns: i64 },
    LocalAttributes(LocalAttributes, Vec<ExtendedAttribute>),
}

struct DownloadRun {
    api: DaemonApi,
    progress: TransferProgress,
    existing: OverwritePolicy,
    mask: ModeMask,
    budget: GetBudget,
    slots: Arc<Semaphore>,
    downloads: JoinSet<(RemotePath, Result<DownloadedFile, DownloadError>)>,
    /// Came with the page of their folder.
    small: SmallFiles,
    /// Those of them that are being written.
    writing: JoinSet<Vec<Written>>,
    /// The first names of files with several.
    first_names: BTreeMap<String, (Arc<FolderTrail>, Vec<u8>)>,
    /// Further names, which are linked when all files are here.
    further_names: Vec<FurtherName>,
    last: Vec<FinalStep>,
    claims: NameClaims,
    /// The names of the source that is being walked, and its place: what lies below it gets a place below.
    walked: (usize, NamePath),
    summary: DownloadSummary,
}

impl DownloadRun {
    fn new(api: DaemonApi, progress: TransferProgress, rules: GetRules, plan: &[GetTarget]) -> Self {
        let GetRules { existing, mask, budget } = rules;
        Self {
            api,
            claims: NameClaims::new(plan.iter().map(|planned| planned.place.path()).collect()),
            walked: (0, NamePath::new()),
            progress,
            existing,
            mask,
            budget,
            slots: Arc::new(Semaphore::new(SLOTS)),
            downloads: JoinSet::new(),
            small: SmallFiles::default(),
            writing: JoinSet::new(),
            first_names: BTreeMap::new(),
            further_names: Vec::new(),
            last: Vec::new(),
            summary: DownloadSummary::default(),
        }
    }

    async fn fetch(&mut self, plan: &[GetTarget]) -> CliResult<()> {
        for planned in plan {
            self.summary.maybe_stale |= planned.source.maybe_stale;
            self.summary.unpublished_on.extend(planned.source.unpublished_on.iter().cloned());
            self.begin(planned).await?;
        }
        self.progress.counted();
        self.join_all().await?;
        self.link_names().await?;
        self.join_all().await?;
        self.finish()
    }

    async fn join_all(&mut self) -> CliResult<()> {
        let left = self.small.take();
        self.write(left).await?;
        while let Some(done) = self.writing.join_next().await {
            self.written(done).await?;
        }
        while let Some(done) = self.downloads.join_next().await {
            self.joined(done).await?;
        }
        Ok(())
    }

    async fn download(&mut self, from: RemotePath, at: LocalFolder, name: Vec<u8>, size: u64) -> CliResult<()> {
        let bytes = self.bytes_to_come(&from, size.saturating_sub(at.begun_bytes(&name))).await;
        self.budget.add_file(bytes)?;
        let slots = if size >= LARGE_BYTES { SLOTS_LARGE } else { 1 };
        let permit = Arc::clone(&self.slots).acquire_many_owned(slots).await.expect("the semaphore is never closed");
        while let Some(done) = self.downloads.try_join_next() {
            self.joined(done).await?;
        }
        self.progress.show(from.to_string());
        let (api, progress, existing) = (self.api.clone(), self.progress.clone(), self.existing);
        self.downloads.spawn(async move {
            let _permit = permit;
            let got = download::file(&api, &from, size, (&at, &name), existing, &progress).await;
            progress.correct(size, got.as_ref().map_or(0, |got| got.bytes));
            (from, got)
        });
        Ok(())
    }

    /// A file that does not fit by its size may do so without its holes. What cannot be asked now is found out later.
    async fn bytes_to_come(&self, from: &RemotePath, bytes: u64) -> u64 {
        if bytes < incoming::LARGE_BYTES || !self.budget.is_too_much(bytes) {
            return bytes;
        }
        let sparse = SparseFile::look(&self.api, from).await.ok().flatten();
        sparse.map_or(bytes, |sparse| sparse.data_bytes().min(bytes))
    }

    /// Gives some small files to a thread; waits for one if all are busy.
    async fn write(&mut self, group: Vec<SmallFile>) -> CliResult<()> {
        while self.writing.len() >= WRITERS
            && let Some(done) = self.writing.join_next().await
        {
            self.written(done).await?;
        }
        if let Some(last) = group.last() {
            self.progress.show(last.from.to_string());
            let existing = self.existing;
            self.writing.spawn_blocking(move || small::write_all(group, existing));
        }
        Ok(())
    }

    async fn written(&mut self, done: Result<Vec<Written>, JoinError>) -> CliResult<()> {
        for Written { from, bytes, outcome } in done.map_err(|error| bug(&error))? {
            match outcome {
                Ok(()) => {
                    self.summary.files += 1;
                    self.summary.bytes += bytes;
                    self.progress.advance(bytes);
                }
                Err(error) => {
                    self.progress.unexpect(bytes);
                    self.failed(&from, &error.into()).await?;
                }
            }
        }
        Ok(())
    }

    async fn joined(
        &mut self,
        done: Result<(RemotePath, Result<DownloadedFile, DownloadError>), JoinError>,
    ) -> CliResult<()> {
        match done {
            Ok((_, Ok(file))) => {
                self.summary.files += 1;
                self.summary.bytes += file.bytes;
                self.summary.without_xattrs += u64::from(!file.has_xattrs);
                Ok(())
            }
            Ok((from, Err(error))) => self.failed(&from, &error).await,
            Err(error) => Err(bug(&error)),
        }
    }

    /// One thing was not fetched; if nothing else would be either, the get ends.
    async fn failed(&mut self, from: &RemotePath, error: &DownloadError) -> CliResult<()> {
        let why = match error {
            DownloadError::Write(write) if write.is_final() => {
                return Err(CliError::new(format!("cannot write here: {write}"), write.way_out()).into());
            }
            DownloadError::Control(control) => {
                self.check_daemon(control).await?;
                self.api.problem_about(from, control)
            }
            other => other.to_string().into(),
        };
        self.summary.failed.add(&self.progress, from.to_string(), why);
        Ok(())
    }

    /// Content that breaks off may mean that a block is out of reach now, or that the daemon itself is gone.
    async fn check_daemon(&self, error: &ControlError) -> CliResult<()> {
        if DaemonApi::is_final(error) {
            return Err(self.api.stop(error));
        }
        match error {
            ControlError::Broken(_) => {
                self.api.client().status().await.map(drop).map_err(|error| self.api.stop(&error))
            }
            _ => Ok(()),
        }
    }

    fn report(self, app: &AppContext, again: &str) -> CliResult {
        if self.summary.maybe_stale {
            app.output.note(crate::verbs::MAYBE_STALE);
        }
        if self.summary.without_xattrs > 0 {
            let entries = human::count(self.summary.without_xattrs, "entry", "entries");
            app.output.note(&format!(
                "{entries} came without some extended attributes, which this file system does not take"
            ));
        }
        app.output.done(&self.summary, self.summary.sentence())?;
        let is_complete = self.summary.unpublished_on.is_empty();
        if !is_complete {
            app.output.failed(&crate::verbs::incomplete(&self.summary.unpublished_on));
        }
        if self.summary.failed.is_empty() {
            return Ok(if is_complete { ExitStatus::Fine } else { ExitStatus::Attention });
        }
        app.output.failed(&self.summary.failed.end("fetched", again));
        Ok(ExitStatus::Failed)
    }
}

fn bug(error: &JoinError) -> Exit {
    CliError::new(format!("a download failed: {error}"), "this is a bug in fsdfs; report it").into()
}

/// Of a folder, for when everything in it is written.
type FolderAttributes = (LocalAttributes, Vec<ExtendedAttribute>);

fn attrs_of(entry: &ListingEntry) -> LocalAttributes {
    LocalAttributes { mode: entry.mode, mtime_ns: entry.mtime_ns }
}
