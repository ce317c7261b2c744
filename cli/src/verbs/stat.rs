//! `fsdfs stat`: everything about one entry, and where its blocks are.

use clap::Args;
use fsdfs_proto::control::{BlockPlacement, EntryKind, ListingEntry, StatReply as Answer};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::remote::RemotePath;
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::at::AtOption;

/// Show everything about a file or folder: attributes, copies, holders and sites.
///
/// The holders are asked; one that is away counts as not storing a block. The exit code is 1 if any block has fewer copies
/// than required.
#[derive(Args, Clone, Debug)]
pub struct StatCommand {
    #[command(flatten)]
    at: AtOption,
    /// What to look at, /PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl StatCommand {
    /// Runs the verb.
    pub async fn run(mut self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        self.at.apply(app, &api, &mut self.paths).await?;
        let mut verdict = ExitStatus::Fine;
        for path in &self.paths {
            let stat = match api.stat(path, true).await {
                Ok(stat) => stat,
                Err(error) if DaemonApi::ends_all(&error) => return Err(api.stop_at(path, &error)),
                Err(error) => {
                    app.output.failed(&api.problem_at(path, &error));
                    verdict = ExitStatus::Failed;
                    continue;
                }
            };
            app.output.result(&stat, shown(path, &stat))?;
            let is_short =
                stat.placement.as_ref().is_some_and(|placement| placement.copies_min < placement.target_copies);
            verdict = verdict.max(if is_short { ExitStatus::Attention } else { ExitStatus::Fine });
            if stat.maybe_stale {
                app.output.note(super::MAYBE_STALE);
            }
            if !stat.unpublished_on.is_empty() {
                app.output.failed(&super::incomplete(&stat.unpublished_on.iter().cloned().collect()));
                verdict = verdict.max(ExitStatus::Attention);
            }
        }
        Ok(verdict)
    }
}

fn shown(path: &RemotePath, stat: &Answer) -> String {
    let entry = &stat.entry;
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| table.row([key.to_owned(), value]);
    row("path", path.to_string());
    row("kind", kind(entry));
    if entry.kind == EntryKind::File {
        row("size", format!("{} ({} bytes)", human::size(entry.size), entry.size));
    }
    row("mode", format!("{:04o}", entry.mode));
    row("changed", human::time_ns(entry.mtime_ns));
    row("written", human::time_ms(i64::try_from(entry.written_ms).unwrap_or(i64::MAX)));
    if let Some(of) = &entry.conflict_of {
        row(
            "conflict",
            format!("another version of {}; write that name again to resolve it", escape::name(of.as_bytes())),
        );
    }
    if let Some(placement) = &stat.placement {
        row("copies", copies(placement));
    }
    let holders = stat.placement.as_ref().map(holders).unwrap_or_default();
    format!("{table}{holders}")
}

fn kind(entry: &ListingEntry) -> String {
    match entry.kind {
        EntryKind::File => "file".into(),
        EntryKind::Folder => "folder".into(),
        EntryKind::Link => format!("link to {}", escape::name(&entry.raw_target().unwrap_or_default())),
    }
}

fn copies(placement: &BlockPlacement) -> String {
    let BlockPlacement { copies_min: min, copies_max: max, target_copies, sites_min, blocks, .. } = placement;
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let sites = human::count((*sites_min).into(), "site", "sites");
    let blocks = human::count(*blocks, "block", "blocks");
    format!("{range} of {target_copies} required, on at least {sites} ({blocks})")
}

fn holders(placement: &BlockPlacement) -> String {
    let left = ColumnAlign::Left;
    let mut table = TextTable::new(&[
        ("HOLDER", left),
        ("SITE", left),
        ("EXPECTED", ColumnAlign::Right),
        ("STORED", ColumnAlign::Right),
    ]);
    for holder in &placement.holders {
        let (name, site) = (escape::name(holder.name.as_bytes()), escape::name(holder.site.as_bytes()));
        table.row([name, site, holder.expected_blocks.to_string(), holder.stored_blocks.to_string()]);
    }
    if placement.holders.is_empty() { String::new() } else { table.to_string() }
}
