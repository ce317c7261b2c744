//! The whole get: folders are walked depth first, a bounded number of files is on its way, small files come with the pages of
//! their folders; links come after all files, folders get their attributes last.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{EntryKind, ExtendedAttribute, ListingEntry, ListingPage, SmallContent};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::api::DaemonApi;
use crate::app::{AppContext, or_interrupted};
use crate::claims::{ClaimOutcome, NameClaims, NamePath};
use crate::local::LocalAttributes;
use crate::local::unfinished::is_unfinished;
use crate::local::write::{self, ExistingEntry, LocalFolder, ModeMask, OverwritePolicy, WriteError};
use crate::outcome::{CliError, CliResult, Exit, ExitStatus};
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::text::{escape, human};
use crate::verbs::get::budget::GetBudget;
use crate::verbs::get::download::{self, DownloadError, DownloadedFile};
use crate::verbs::get::place::{GetTarget, LocalPlace};
use crate::verbs::get::rules::GetRules;
use crate::verbs::get::small::{self, SmallFile, SmallFiles, Written};
use crate::verbs::get::summary::DownloadSummary;
use crate::verbs::get::trail::{FolderTrail, OpenTrail};

/// Slots for files on their way: eight large ones or 32 small ones, of which each is little more than a round trip.
const SLOTS: usize = 32;
const SLOTS_LARGE: u32 = 4;
/// Threads that write small files.
const WRITERS: usize = 4;
/// From here on a file is large.
const LARGE_BYTES: u64 = 1 << 20;
/// Deeper folders are left out: each level costs an open handle.
const DEPTH_MAX: usize = 1_000;

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

    /// Gives files their further names. What cannot be linked is fetched like any other file.
    async fn link_names(&mut self) -> CliResult<()> {
        let (mut way, mut first_way) = (OpenTrail::default(), OpenTrail::default());
        for FurtherName { from, trail, name, first, size } in std::mem::take(&mut self.further_names) {
            let open = |way: &mut OpenTrail, first_way: &mut OpenTrail| Ok((way.to(&trail)?, first_way.to(&first.0)?));
            let opened: Result<_, WriteError> = open(&mut way, &mut first_way);
            let linked = match &opened {
                Ok((at, first_at)) => at.link_again(&name, (first_at, &first.1), self.existing),
                Err(_) => Ok(false),
            };
            match (linked, opened) {
                (Ok(true), _) => {
                    self.summary.files += 1;
                    self.progress.advance(size);
                }
                (Ok(false), Ok((at, _))) => self.download(from, at, name, size).await?,
                (Ok(false), Err(error)) | (Err(error), _) => self.failed(&from, &error.into()).await?,
            }
        }
        Ok(())
    }

    async fn begin(&mut self, planned: &GetTarget) -> CliResult<()> {
        let (from, entry) = (&planned.source.path, &planned.source.entry);
        self.walked = (from.names.len(), planned.place.path());
        self.expect(entry);
        let (folder, name) = match &planned.place {
            LocalPlace::As { folder, name } => (folder, Some(name.clone())),
            LocalPlace::Into { folder } => (folder, None),
        };
        let is_new = !folder.exists();
        let at = open(folder, self.mask)?;
        self.budget.measure(&at);
        self.budget.add_entry()?;
        if !is_new {
            at.sweep();
        }
        let trail = FolderTrail::root(at.clone());
        match (name, entry.kind) {
            (Some(name), EntryKind::File | EntryKind::Link) => self.take(from.clone(), &at, &trail, name, entry).await,
            (name, _) => {
                let attrs = (name.is_some() || is_new)
                    .then(|| (attrs_of(entry), entry.xattrs.clone()))
                    .filter(|_| from.name().is_some());
                self.walk(PendingFolder { from: from.clone(), at, name, trail, attrs, depth: 0 }).await
            }
        }
    }

    async fn walk(&mut self, top: PendingFolder) -> CliResult<()> {
        let mut pending = vec![top];
        while let Some(folder) = pending.pop() {
            let from = folder.from.clone();
            if !self.claim(&from, true) {
                continue;
            }
            match self.enter(folder) {
                Ok(entered) => self.list(entered, &mut pending).await?,
                Err(error) => self.failed(&from, &DownloadError::Write(error)).await?,
            }
        }
        Ok(())
    }

    /// Whether the place of this entry is free of other sources of this command; if not, that is said.
    fn claim(&mut self, from: &RemotePath, is_folder: bool) -> bool {
        if !self.claims.are_needed() {
            return true;
        }
        let (depth, place) = &self.walked;
        let below = from.names.iter().skip(*depth).cloned();
        let place: NamePath = place.iter().cloned().chain(below).collect();
        match self.claims.claim(&place, &from.to_string(), is_folder) {
            ClaimOutcome::Granted => true,
            ClaimOutcome::Repeated => is_folder,
            ClaimOutcome::Taken(taken) => {
                let name = place.iter().map(|name| escape::name(name)).collect::<Vec<_>>().join("/");
                self.summary.failed.add_lasting(&self.progress, from.to_string(), taken.sentence(&name));
                false
            }
        }
    }

    fn enter(&mut self, pending: PendingFolder) -> Result<PendingFolder, WriteError> {
        let PendingFolder { from, at, name, trail, attrs, depth } = pending;
        let (at, trail) = match name {
            None => (at, trail),
            Some(name) => {
                let (at, is_new) = at.make(&name)?;
                if !is_new {
                    at.sweep();
                }
                (at, FolderTrail::below(&trail, name))
            }
        };
        self.summary.folders += 1;
        if let Some((attrs, xattrs)) = attrs {
            self.last.push(FinalStep {
                from: from.clone(),
                trail: Arc::clone(&trail),
                what: FinalAction::LocalAttributes(attrs, xattrs),
            });
        }
        Ok(PendingFolder { from, at, name: None, trail, attrs: None, depth })
    }

    async fn list(&mut self, folder: PendingFolder, pending: &mut Vec<PendingFolder>) -> CliResult<()> {
        let mut next = Some(self.page(&folder.from, None));
        while let Some(page) = next.take() {
            let page = match page.await.map_err(|error| bug(&error))? {
                Ok(page) => page,
                Err(error) => return self.failed(&folder.from, &error.into()).await,
            };
            // On its way while this one is written.
            next = page.entries.last().filter(|_| page.more).map(|last| self.page(&folder.from, Some(last.raw_name())));
            self.summary.maybe_stale |= page.maybe_stale;
            self.summary.unpublished_on.extend(page.unpublished_on.iter().cloned());
            for entry in &page.entries {
                self.expect(entry);
            }
            for entry in &page.entries {
                self.child(&folder, entry, pending).await?;
            }
        }
        Ok(())
    }

    fn page(&self, from: &RemotePath, after: Option<Vec<u8>>) -> JoinHandle<Result<ListingPage, ControlError>> {
        let (api, from) = (self.api.clone(), from.clone());
        tokio::spawn(async move { api.list_with_contents(&from, after.as_deref()).await })
    }

    fn expect(&self, entry: &ListingEntry) {
        if entry.kind == EntryKind::File {
            self.progress.expect(entry.size);
        }
    }

    /// It does not come.
    fn forget(&self, entry: &ListingEntry) {
        if entry.kind == EntryKind::File {
            self.progress.unexpect(entry.size);
        }
    }

    async fn child(
        &mut self,
        folder: &PendingFolder,
        entry: &ListingEntry,
        pending: &mut Vec<PendingFolder>,
    ) -> CliResult<()> {
        self.budget.add_entry()?;
        let name = entry.raw_name();
        let from = folder.from.join(&name);
        if is_unfinished(&name) {
            self.forget(entry);
            self.progress.note(&format!("{from}: left out: a file that an interrupted get left behind was stored"));
            return Ok(());
        }
        if entry.kind != EntryKind::Folder {
            return self.take(from, &folder.at, &folder.trail, name, entry).await;
        }
        if folder.depth >= DEPTH_MAX {
            let why = format!("left out: it lies more than {DEPTH_MAX} folders deep");
            self.summary.failed.add(&self.progress, from.to_string(), why);
            return Ok(());
        }
        let (at, trail) = (folder.at.clone(), Arc::clone(&folder.trail));
        pending.push(PendingFolder {
            from,
            at,
            name: Some(name),
            trail,
            attrs: Some((attrs_of(entry), entry.xattrs.clone())),
            depth: folder.depth + 1,
        });
        Ok(())
    }

    /// A file or a link.
    async fn take(
        &mut self,
        from: RemotePath,
        at: &LocalFolder,
        trail: &Arc<FolderTrail>,
        name: Vec<u8>,
        entry: &ListingEntry,
    ) -> CliResult<()> {
        if !self.claim(&from, false) {
            self.forget(entry);
            return Ok(());
        }
        if entry.kind == EntryKind::Link {
            let target = entry.raw_target().unwrap_or_default();
            let what = FinalAction::Link { name, target, mtime_ns: entry.mtime_ns };
            self.last.push(FinalStep { from, trail: Arc::clone(trail), what });
            return Ok(());
        }
        match at.standing(&name, entry.size, attrs_of(entry)) {
            Ok(ExistingEntry::Same) => {
                self.summary.same += 1;
                self.summary.without_xattrs += u64::from(!at.set_xattrs_of(&name, &entry.xattrs));
                self.note_first(entry, trail, &name);
                self.progress.advance(entry.size);
                Ok(())
            }
            Ok(ExistingEntry::Other) if self.existing == OverwritePolicy::Keep => {
                self.forget(entry);
                self.failed(&from, &WriteError::Kept.into()).await
            }
            Ok(ExistingEntry::Blocked(what)) => {
                self.forget(entry);
                self.failed(&from, &WriteError::InTheWay(what).into()).await
            }
            Ok(ExistingEntry::Free | ExistingEntry::Other) => {
                if let Some(first) = entry.hard_link.as_ref().and_then(|id| self.first_names.get(id)).cloned() {
                    let trail = Arc::clone(trail);
                    self.further_names.push(FurtherName { from, trail, name, first, size: entry.size });
                    return Ok(());
                }
                self.note_first(entry, trail, &name);
                match &entry.content {
                    // Extended attributes stand with the file itself.
                    Some(SmallContent(content)) if entry.xattrs.is_empty() => {
                        self.budget.add_file(entry.size)?;
                        let (folder, content, attrs) = (at.clone(), content.clone(), attrs_of(entry));
                        match self.small.push(SmallFile { from, folder, name, content, attrs }) {
                            Some(group) => self.write(group).await,
                            None => Ok(()),
                        }
                    }
                    _ => self.download(from, at.clone(), name, entry.size).await,
                }
            }
            Err(error) => {
                self.forget(entry);
                self.failed(&from, &error.into()).await
            }
        }
    }

    /// Files with several names are remembered by their first one.
    fn note_first(&mut self, entry: &ListingEntry, trail: &Arc<FolderTrail>, name: &[u8]) {
        if let Some(id) = &entry.hard_link {
            self.first_names.entry(id.clone()).or_insert_with(|| (Arc::clone(trail), name.to_vec()));
        }
    }

    async fn download(&mut self, from: RemotePath, at: LocalFolder, name: Vec<u8>, size: u64) -> CliResult<()> {
        self.budget.add_file(size.saturating_sub(at.begun_bytes(&name)))?;
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

    /// Links, and attributes of folders, in the reverse order of finding: a folder that may not be entered any more
    /// comes after everything in it.
    fn finish(&mut self) -> CliResult<()> {
        let (links, folders): (Vec<FinalStep>, Vec<FinalStep>) =
            std::mem::take(&mut self.last).into_iter().partition(|last| matches!(last.what, FinalAction::Link { .. }));
        let mut way = OpenTrail::default();
        for last in links.iter().chain(folders.iter().rev()) {
            if let Err(error) = self.finish_one(&mut way, last) {
                if error.is_final() {
                    return Err(CliError::new(format!("cannot write here: {error}"), error.way_out()).into());
                }
                self.summary.failed.add(&self.progress, last.from.to_string(), error.to_string());
            }
        }
        Ok(())
    }

    fn finish_one(&mut self, way: &mut OpenTrail, last: &FinalStep) -> Result<(), WriteError> {
        let folder = way.to(&last.trail)?;
        match &last.what {
            FinalAction::LocalAttributes(attrs, xattrs) => {
                self.summary.without_xattrs += u64::from(!folder.set_xattrs(xattrs));
                folder.finish(*attrs)
            }
            FinalAction::Link { name, target, mtime_ns } => {
                let made = folder.link(name, target, *mtime_ns, self.existing)?;
                *if made { &mut self.summary.links } else { &mut self.summary.same } += 1;
                Ok(())
            }
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

/// The destination, made if missing.
fn open(folder: &Path, mask: ModeMask) -> Result<LocalFolder, Exit> {
    let opened = std::fs::create_dir_all(folder).and_then(|()| LocalFolder::open(folder, mask));
    opened.map_err(|error| {
        let shown = escape::name(folder.as_os_str().as_encoded_bytes());
        CliError::new(format!("cannot write into {shown}: {error}"), write::folder_way_out(&error)).into()
    })
}
