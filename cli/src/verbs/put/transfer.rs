//! The whole put: one thread walks the sources, a bounded number of files is on its way, small things go in batches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fsdfs_node::control_client::{ControlError, FurtherAttributes};
use fsdfs_proto::control::{self, EditRequest, EditResult, EditsReply, EscapedText, SmallContent};
use fsdfs_proto::ids::BlockId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout_at;

use crate::api::DaemonApi;
use crate::app::{AppContext, or_interrupted};
use crate::claims::{ClaimOutcome, NameClaims};
use crate::local::scan::{FoundEntry, FoundKind, OwnFolders, SkipReason, SkippedEntry, SourceFile, own_folder};
use crate::local::{FollowLinks, LocalAttributes};
use crate::outcome::{CliError, CliResult, Exit, ExitStatus};
use crate::program::ProgramName;
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::text::{escape, human};
use crate::verbs::put::batch::EditBatch;
use crate::verbs::put::source::{PutSource, PutTarget};
use crate::verbs::put::special::{self, LinkedKind};
use crate::verbs::put::summary::{UploadSummary, place};
use crate::verbs::put::upload::{self, StoredFile, UploadError};
use crate::verbs::put::walk::ScanItem;
use crate::verbs::put::{stdin, walk};

/// Slots for files that have a request of their own: eight large ones or 32 middling ones. (Small ones go in batches.)
const SLOTS: usize = 32;

/// Slots of one file.
fn slots(bytes: u64) -> u32 {
    if bytes < 1 << 20 { 1 } else { 4 }
}

/// Stores everything that was planned and says how it went. `again` is the command that does it once more.
pub async fn run(
    app: &AppContext,
    api: &DaemonApi,
    plan: Vec<PutTarget>,
    follow: FollowLinks,
    again: &str,
) -> CliResult {
    let status = api.patiently(|| api.client().status()).await.map_err(|error| api.stop(&error))?;
    let disks = status.disks.iter().filter_map(|disk| disk.path.as_deref()).map(Path::new);
    let own: OwnFolders = disks.chain([app.home.dir()]).filter_map(own_folder).collect();
    let progress = TransferProgress::new(app.output);
    let mut transfer = UploadRun::new(app, api.clone(), status.node.clone(), progress.clone(), &plan);
    let work = transfer.store(&plan, own, follow);
    let ended = or_interrupted(work, &format!("what was stored stays; continue with: {again}")).await;
    progress.finish();
    match ended {
        Ok(()) => transfer.report(app, &plan, again),
        Err(stop) => {
            let stored = human::count(transfer.summary.files, "file was", "files were");
            Err(stop.before_that(&format!("{stored} stored before that"), again))
        }
    }
}

struct UploadRun {
    api: DaemonApi,
    /// Whose numbers of files these are.
    machine: String,
    program: ProgramName,
    progress: TransferProgress,
    claims: NameClaims,
    slots: Arc<Semaphore>,
    uploads: JoinSet<(PathBuf, Result<StoredFile, UploadError>)>,
    /// Waits for its request.
    batch: EditBatch,
    /// On its way, one at a time: the next one goes on from the commit that this one becomes.
    committing: JoinSet<CommittedBatch>,
    summary: UploadSummary,
}

/// A request that is over.
struct CommittedBatch {
    sources: Vec<PathBuf>,
    kinds: Vec<ItemKind>,
    edited: Result<EditsReply, ControlError>,
    took: Duration,
}

/// What the summary counts.
#[derive(Clone, Copy)]
enum ItemKind {
    /// With its bytes.
    File(u64),
    Folder,
    Link,
}

impl ItemKind {
    fn of(edit: &EditRequest) -> Self {
        match edit {
            EditRequest::File { content, .. } => Self::File(content.0.len() as u64),
            EditRequest::Link { .. } => Self::Link,
            _ => Self::Folder,
        }
    }
}

impl UploadRun {
    fn new(app: &AppContext, api: DaemonApi, machine: String, progress: TransferProgress, plan: &[PutTarget]) -> Self {
        Self {
            api,
            machine,
            program: app.program.clone(),
            progress,
            claims: NameClaims::new(plan.iter().map(|(_, to)| to.names.clone()).collect()),
            slots: Arc::new(Semaphore::new(SLOTS)),
            uploads: JoinSet::new(),
            batch: EditBatch::default(),
            committing: JoinSet::new(),
            summary: UploadSummary::default(),
        }
    }

    async fn store(&mut self, plan: &[PutTarget], own: OwnFolders, follow: FollowLinks) -> CliResult<()> {
        if self.progress.is_shown() {
            walk::count(plan, own.clone(), follow, self.progress.clone());
        }
        let volume = to_volume(plan);
        let mut found = walk::walk(plan, own, follow);
        loop {
            let next = match self.batch.deadline() {
                Some(deadline) => timeout_at(deadline.into(), found.recv()).await,
                None => Ok(found.recv().await),
            };
            match next {
                Ok(Some(item)) => self.take(item).await?,
                Ok(None) => break,
                // Nothing was found for a while.
                Err(_) => {}
            }
            if self.batch.is_full() || self.batch.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                self.flush(&volume).await?;
            }
        }
        for (_, to) in plan.iter().filter(|(source, _)| *source == PutSource::Stdin) {
            let sent = stdin::store(&self.api, to, &self.progress).await;
            self.uploaded(Path::new("-"), sent)?;
        }
        self.flush(&volume).await?;
        self.committed().await?;
        while let Some(done) = self.uploads.join_next().await {
            self.joined(done)?;
        }
        Ok(())
    }

    async fn take(&mut self, item: ScanItem) -> CliResult<()> {
        let ScanItem { from, to, is_source, found, content } = item;
        let found = match found {
            Ok(found) => found,
            Err(SkippedEntry { why: SkipReason::Special(kind), .. }) if is_source => {
                self.special(&from, &to, kind);
                return Ok(());
            }
            Err(skipped) => {
                self.skipped(&skipped);
                return Ok(());
            }
        };
        if !self.claim(&from, &to, &found) {
            return Ok(());
        }
        if is_source && matches!(found.what, FoundKind::Link(_)) && !self.keeps_link(&from, &to) {
            return Ok(());
        }
        let path = EscapedText(to.bytes());
        self.summary.not_kept.add(found.not_kept);
        let attrs = control::EntryAttributes { mode: found.attrs.mode, mtime_ns: found.attrs.mtime_ns };
        let xattrs = found.xattrs;
        let edit = match (found.what, content) {
            (FoundKind::File(open), content) => {
                let hard_link = open.shared_inode.map(|inode| self.link_id(inode));
                let Some(content) = content else {
                    let further = FurtherAttributes { xattrs, hard_link, holes: Vec::new() };
                    return self.upload(from, to, open, (found.attrs, further)).await;
                };
                self.progress.show(shown(&from));
                EditRequest::File { path, attrs, xattrs, hard_link, content: SmallContent(content) }
            }
            // The root of a volume has no attributes of its own.
            (FoundKind::Folder, _) if to.names.is_empty() => return Ok(()),
            (FoundKind::Folder, _) => EditRequest::Folder { path, attrs: Some(attrs), xattrs, fresh: false },
            (FoundKind::Link(target), _) => {
                EditRequest::Link { path, target: EscapedText(target), mtime_ns: attrs.mtime_ns }
            }
        };
        self.batch.push(from, edit, Instant::now());
        Ok(())
    }

    /// Whether the name is free of other sources of this command; if not, that is said.
    fn claim(&mut self, from: &Path, to: &RemotePath, found: &FoundEntry) -> bool {
        if !self.claims.are_needed() {
            return true;
        }
        let is_folder = matches!(found.what, FoundKind::Folder);
        let outcome = self.claims.claim(&to.names, &shown(from), is_folder);
        if outcome != ClaimOutcome::Granted
            && let FoundKind::File(open) = &found.what
        {
            self.progress.unexpect(open.size);
        }
        match outcome {
            ClaimOutcome::Granted => true,
            ClaimOutcome::Repeated => is_folder,
            ClaimOutcome::Taken(taken) => {
                self.summary.failed.add_lasting(&self.progress, shown(from), taken.sentence(&to.to_string()));
                false
            }
        }
    }

    /// A pipe, socket or device that was named as a source.
    fn special(&mut self, from: &Path, to: &RemotePath, kind: &str) {
        let why = special::problem(&self.program, from, to, kind);
        self.summary.failed.add_lasting(&self.progress, shown(from), why);
    }

    /// A symlink that was named as a source and is not followed: what its owner may not expect is said. Whether it is stored.
    fn keeps_link(&mut self, from: &Path, to: &RemotePath) -> bool {
        match special::linked(from) {
            LinkedKind::Special(kind) => {
                self.special(from, to, kind);
                return false;
            }
            kind => self.progress.note(&special::link_note(&self.program, from, to, kind)),
        }
        self.summary.source_links += 1;
        true
    }

    fn skipped(&mut self, skipped: &SkippedEntry) {
        match &skipped.why {
            SkipReason::Special(_) | SkipReason::OwnData | SkipReason::Unfinished => {
                self.summary.skipped += 1;
                self.progress.note(&skipped.to_string());
            }
            SkipReason::TooDeep => {
                let path = shortened(&escape::name(&skipped.shown));
                let before = self.summary.too_deep;
                self.summary.too_deep += 1;
                self.summary.failed.add_alike(&self.progress, before, path, skipped.why.to_string());
            }
            SkipReason::Unreadable(_) | SkipReason::Dangling | SkipReason::Loop => {
                self.summary.failed.add(&self.progress, escape::name(&skipped.shown), skipped.why.to_string());
            }
        }
    }

    /// The same for all names of a file, in every put from this machine: so putting them again changes nothing.
    fn link_id(&self, inode: u64) -> String {
        let id = BlockId::of(&[self.machine.as_bytes(), &inode.to_be_bytes()].concat());
        id.to_string()[..32].to_owned()
    }

    async fn upload(
        &mut self,
        from: PathBuf,
        to: RemotePath,
        open: SourceFile,
        attrs: (LocalAttributes, FurtherAttributes),
    ) -> CliResult<()> {
        let permit =
            Arc::clone(&self.slots).acquire_many_owned(slots(open.size)).await.expect("the semaphore is never closed");
        while let Some(done) = self.uploads.try_join_next() {
            self.joined(done)?;
        }
        self.progress.show(shown(&from));
        let (api, progress) = (self.api.clone(), self.progress.clone());
        self.uploads.spawn(async move {
            let _permit: OwnedSemaphorePermit = permit;
            let sent = upload::file(&api, open, attrs, &to, &progress).await;
            (from, sent)
        });
        Ok(())
    }

    fn joined(&mut self, done: Result<(PathBuf, Result<StoredFile, UploadError>), JoinError>) -> CliResult<()> {
        match done {
            Ok((from, sent)) => self.uploaded(&from, sent),
            Err(error) => Err(bug(&error)),
        }
    }

    fn uploaded(&mut self, from: &Path, sent: Result<StoredFile, UploadError>) -> CliResult<()> {
        match sent {
            Ok(StoredFile { written, grew }) => {
                if grew {
                    let size = human::size(written.bytes);
                    let note =
                        format!("{} grew meanwhile: its first {size} were stored, as it was before", shown(from));
                    self.progress.note(&note);
                }
                self.summary.files += 1;
                self.summary.bytes += written.bytes;
                self.summary.add(&written);
            }
            Err(UploadError::Control(error)) => self.refused(from, &error)?,
            Err(error) => self.summary.failed.add(&self.progress, shown(from), error.to_string()),
        }
        Ok(())
    }

    /// One thing was refused; if everything else would be, too, the put ends.
    fn refused(&mut self, from: &Path, error: &ControlError) -> CliResult<()> {
        if DaemonApi::is_final(error) {
            return Err(self.api.stop(error));
        }
        self.summary.failed.add(&self.progress, shown(from), self.api.problem(error));
        Ok(())
    }

    /// Sends the batch when the one before it is committed. Meanwhile the next one is filled.
    async fn flush(&mut self, volume: &str) -> CliResult<()> {
        self.committed().await?;
        let items = self.batch.take();
        if items.is_empty() {
            return Ok(());
        }
        let (api, volume) = (self.api.clone(), volume.to_owned());
        self.committing.spawn(async move {
            let begun = Instant::now();
            let kinds = items.iter().map(|item| ItemKind::of(&item.edit)).collect();
            let (sources, edits): (Vec<PathBuf>, Vec<EditRequest>) =
                items.into_iter().map(|item| (item.from, item.edit)).unzip();
            let edited = api.edit(&volume, edits).await;
            CommittedBatch { sources, kinds, edited, took: begun.elapsed() }
        });
        Ok(())
    }

    /// Waits for the batch that is on its way, if there is one.
    async fn committed(&mut self) -> CliResult<()> {
        let Some(committed) = self.committing.join_next().await else { return Ok(()) };
        let CommittedBatch { sources, kinds, edited, took } = committed.map_err(|error| bug(&error))?;
        let edited = edited.map_err(|error| self.api.stop(&error))?;
        self.batch.committed(took);
        // Where nothing was done nothing was stored either.
        if edited.edits.iter().any(|result| !matches!(result, EditResult::Failed(_))) {
            self.summary.add(&edited.written);
        }
        for ((from, kind), result) in sources.iter().zip(kinds).zip(edited.edits) {
            match (result, kind) {
                (EditResult::Failed(error), kind) => {
                    if let ItemKind::File(bytes) = kind {
                        self.progress.unexpect(bytes);
                    }
                    self.refused(from, &ControlError::Refused(error))?;
                }
                (_, ItemKind::File(bytes)) => {
                    self.summary.files += 1;
                    self.summary.bytes += bytes;
                    self.progress.advance(bytes);
                }
                (_, ItemKind::Link) => self.summary.links += 1,
                (_, ItemKind::Folder) => self.summary.folders += 1,
            }
        }
        Ok(())
    }

    /// The last line: copies and sites reached, or what is missing and that it will be completed.
    fn report(self, app: &AppContext, plan: &[PutTarget], again: &str) -> CliResult {
        let summary = &self.summary;
        let (safety, verdict) = summary.durability.sentence(&app.program);
        if summary.files + summary.folders + summary.links > 0 || app.output.json {
            app.output.done(summary, format!("{} {}: {safety}", summary.sentence(), place(plan)))?;
        }
        if let Some(not_kept) = summary.not_kept.sentence() {
            app.output.note(&not_kept);
        }
        if summary.failed.is_empty() {
            return Ok(verdict);
        }
        app.output.failed(&summary.failed.end("stored", again));
        Ok(ExitStatus::Failed)
    }
}

fn to_volume(plan: &[PutTarget]) -> String {
    plan.first().map_or_else(|| control::POOL_VOLUME.to_owned(), |(_, to)| to.volume.clone())
}

fn bug(error: &JoinError) -> Exit {
    CliError::new(format!("an upload failed: {error}"), "this is a bug in fsdfs; report it").into()
}

/// A path of hundreds of names says no more than its ends do.
fn shortened(path: &str) -> String {
    let (ends, characters) = (40, path.chars().count());
    if characters <= 3 * ends {
        return path.to_owned();
    }
    let (head, tail): (String, String) =
        (path.chars().take(ends).collect(), path.chars().skip(characters - ends).collect());
    format!("{head}...{tail}")
}

fn shown(path: &Path) -> String {
    escape::name(path.as_os_str().as_encoded_bytes())
}
