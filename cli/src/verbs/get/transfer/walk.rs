//! What there is to fetch: folders are walked depth first and made on the way, files begin as they are found.

use std::path::Path;
use std::sync::Arc;

use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{EntryKind, ListingEntry, ListingPage, SmallContent};
use tokio::task::JoinHandle;

use super::{DownloadRun, FinalAction, FinalStep, FurtherName, PendingFolder, attrs_of, bug};
use crate::claims::{ClaimOutcome, NamePath};
use crate::local::unfinished::is_unfinished;
use crate::local::write::{self, ExistingEntry, LocalFolder, ModeMask, OverwritePolicy, WriteError};
use crate::outcome::{CliError, CliResult, Exit};
use crate::remote::RemotePath;
use crate::text::escape;
use crate::verbs::get::pieces::DownloadError;
use crate::verbs::get::place::{GetTarget, LocalPlace};
use crate::verbs::get::small::SmallFile;
use crate::verbs::get::trail::FolderTrail;

/// Deeper folders are left out: each level costs an open handle.
const DEPTH_MAX: usize = 1_000;

impl DownloadRun {
    pub(super) async fn begin(&mut self, planned: &GetTarget) -> CliResult<()> {
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
}

/// The destination, made if missing.
fn open(folder: &Path, mask: ModeMask) -> Result<LocalFolder, Exit> {
    let opened = std::fs::create_dir_all(folder).and_then(|()| LocalFolder::open(folder, mask));
    opened.map_err(|error| {
        let shown = escape::name(folder.as_os_str().as_encoded_bytes());
        CliError::new(format!("cannot write into {shown}: {error}"), write::folder_way_out(&error)).into()
    })
}
