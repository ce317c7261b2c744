//! The whole put: one thread walks the sources, a bounded number of files is on its way, small things go in batches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{self, EditRequest, EditResult, EscapedText};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::api::DaemonApi;
use crate::app::{AppContext, or_interrupted};
use crate::claims::{ClaimOutcome, NameClaims};
use crate::local::scan::{FoundEntry, FoundKind, OwnFolders, SkipReason, SkippedEntry, SourceFile, own_folder};
use crate::local::{FollowLinks, LocalAttributes};
use crate::outcome::{CliError, CliResult, ExitStatus};
use crate::program::ProgramName;
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::text::{escape, human};
use crate::verbs::put::source::{PutSource, PutTarget};
use crate::verbs::put::special::{self, LinkedKind};
use crate::verbs::put::summary::{UploadSummary, place};
use crate::verbs::put::upload::{self, StoredFile, UploadError};
use crate::verbs::put::walk::ScanItem;
use crate::verbs::put::{stdin, walk};

/// Slots for files on their way: eight large files, or 32 middling, or 128 small ones. Small ones wait for the commit that
/// they share, and every commit costs a round trip and a sync on several machines: the more share one the better.
const SLOTS: usize = 128;

/// Slots of one file.
fn slots(bytes: u64) -> u32 {
    match bytes {
        0..=0xffff => 1,
        0x1_0000..=0xf_ffff => 4,
        _ => 16,
    }
}

/// Folders and links of one request: few enough that none waits long for the commit.
const BATCH_EDITS: usize = 500;
/// Bytes of paths of one request; escaped they may triple, which must stay under the API's 32 MiB.
const BATCH_BYTES: usize = 4 << 20;

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
    let mut transfer = UploadRun::new(app, api.clone(), progress.clone(), &plan);
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
    program: ProgramName,
    progress: TransferProgress,
    claims: NameClaims,
    slots: Arc<Semaphore>,
    uploads: JoinSet<(PathBuf, Result<StoredFile, UploadError>)>,
    batch: Vec<(PathBuf, EditRequest)>,
    batch_bytes: usize,
    summary: UploadSummary,
}

impl UploadRun {
    fn new(app: &AppContext, api: DaemonApi, progress: TransferProgress, plan: &[PutTarget]) -> Self {
        Self {
            api,
            program: app.program.clone(),
            progress,
            claims: NameClaims::new(plan.iter().map(|(_, to)| to.names.clone()).collect()),
            slots: Arc::new(Semaphore::new(SLOTS)),
            uploads: JoinSet::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            summary: UploadSummary::default(),
        }
    }

    async fn store(&mut self, plan: &[PutTarget], own: OwnFolders, follow: FollowLinks) -> CliResult<()> {
        if self.progress.is_shown() {
            walk::count(plan, own.clone(), follow, self.progress.clone());
        }
        let mut found = walk::walk(plan, own, follow);
        while let Some(item) = found.recv().await {
            self.take(item).await?;
        }
        for (_, to) in plan.iter().filter(|(source, _)| *source == PutSource::Stdin) {
            let sent = stdin::store(&self.api, to, &self.progress).await;
            self.uploaded(Path::new("-"), sent)?;
        }
        self.flush(&to_volume(plan)).await?;
        while let Some(done) = self.uploads.join_next().await {
            self.joined(done)?;
        }
        Ok(())
    }

    async fn take(&mut self, item: ScanItem) -> CliResult<()> {
        let ScanItem { from, to, is_source, found } = item;
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
        let to = &to;
        let path = EscapedText(to.bytes());
        match found.what {
            FoundKind::File(open) => self.upload(from, to.clone(), open, found.attrs).await,
            FoundKind::Folder => {
                let attrs = Some(control::EntryAttributes { mode: found.attrs.mode, mtime_ns: found.attrs.mtime_ns });
                // The root of a volume has no attributes of its own.
                if to.names.is_empty() {
                    Ok(())
                } else {
                    self.edit(to, from, EditRequest::Folder { path, attrs, fresh: false }).await
                }
            }
            FoundKind::Link(target) => {
                let edit = EditRequest::Link { path, target: EscapedText(target), mtime_ns: found.attrs.mtime_ns };
                self.edit(to, from, edit).await
            }
        }
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
                self.summary.failed.add(&self.progress, shown(from), taken.sentence(&to.to_string()));
                false
            }
        }
    }

    /// A pipe, socket or device that was named as a source.
    fn special(&mut self, from: &Path, to: &RemotePath, kind: &str) {
        let why = special::problem(&self.program, from, to, kind);
        self.summary.failed.add(&self.progress, shown(from), why);
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
            SkipReason::Special(_) | SkipReason::OwnData => {
                self.summary.skipped += 1;
                self.progress.note(&skipped.to_string());
            }
            SkipReason::Unreadable(_) | SkipReason::Dangling | SkipReason::Loop => {
                self.summary.failed.add(&self.progress, escape::name(&skipped.shown), skipped.why.to_string());
            }
        }
    }

    async fn upload(
        &mut self,
        from: PathBuf,
        to: RemotePath,
        open: SourceFile,
        attrs: LocalAttributes,
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

    fn joined(
        &mut self,
        done: Result<(PathBuf, Result<StoredFile, UploadError>), tokio::task::JoinError>,
    ) -> CliResult<()> {
        match done {
            Ok((from, sent)) => self.uploaded(&from, sent),
            Err(error) => {
                Err(CliError::new(format!("an upload failed: {error}"), "this is a bug in fsdfs; report it").into())
            }
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

    async fn edit(&mut self, to: &RemotePath, from: PathBuf, edit: EditRequest) -> CliResult<()> {
        self.batch_bytes += to.names.iter().map(|name| name.len() + 1).sum::<usize>() + link_bytes(&edit);
        self.batch.push((from, edit));
        if self.batch.len() >= BATCH_EDITS || self.batch_bytes >= BATCH_BYTES {
            self.flush(&to.volume).await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self, volume: &str) -> CliResult<()> {
        let (sources, edits): (Vec<PathBuf>, Vec<EditRequest>) = std::mem::take(&mut self.batch).into_iter().unzip();
        self.batch_bytes = 0;
        if edits.is_empty() {
            return Ok(());
        }
        let are_links: Vec<bool> = edits.iter().map(|edit| matches!(edit, EditRequest::Link { .. })).collect();
        let edited = self.api.edit(volume, edits).await.map_err(|error| self.api.stop(&error))?;
        // Where nothing was done nothing was stored either.
        if edited.edits.iter().any(|result| !matches!(result, EditResult::Failed(_))) {
            self.summary.add(&edited.written);
        }
        for ((from, is_link), result) in sources.iter().zip(are_links).zip(edited.edits) {
            match result {
                EditResult::Failed(error) => self.refused(from, &ControlError::Refused(error))?,
                EditResult::Changed | EditResult::Unchanged if is_link => self.summary.links += 1,
                EditResult::Changed | EditResult::Unchanged => self.summary.folders += 1,
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
        if summary.failed.is_empty() {
            return Ok(verdict);
        }
        let again = format!("once that is resolved: {again}");
        app.output.failed(&CliError::new(summary.failed.sentence("stored"), again));
        Ok(ExitStatus::Failed)
    }
}

fn to_volume(plan: &[PutTarget]) -> String {
    plan.first().map_or_else(|| control::POOL_VOLUME.to_owned(), |(_, to)| to.volume.clone())
}

fn link_bytes(edit: &EditRequest) -> usize {
    if let EditRequest::Link { target, .. } = edit { target.0.len() } else { 0 }
}

fn shown(path: &Path) -> String {
    escape::name(path.as_os_str().as_encoded_bytes())
}
