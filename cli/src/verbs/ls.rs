//! `fsdfs ls`: what is in a folder.

use std::collections::BTreeSet;

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{EntryKind, ErrorCode, ListingEntry};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::output::OutputMode;
use crate::remote::RemotePath;
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::at::AtOption;

/// List folders of the pool.
///
/// Folders end with a slash. Names are shown so that they cannot harm a terminal: control characters and bytes that are
/// not UTF-8 appear as \n, \x1b, \xff. With --json each entry is one line; a name that is not UTF-8 comes in base64 as
/// `name_bytes`, too.
///
/// The exit code is 1 if a connected member has acknowledged changes that cannot be seen here yet.
#[derive(Args, Clone, Debug)]
pub struct LsCommand {
    /// Show mode, size, time of last change, and where links point.
    #[arg(short, long)]
    long: bool,
    #[command(flatten)]
    at: AtOption,
    /// Folders or files, /PATH.
    #[arg(value_name = "PATH", default_value = "/", value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl LsCommand {
    /// Runs the verb.
    pub async fn run(mut self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        self.at.apply(app, &api, &mut self.paths).await?;
        let mut verdict = ExitStatus::Fine;
        let (mut maybe_stale, mut unpublished_on) = (false, BTreeSet::new());
        for path in &self.paths {
            if self.paths.len() > 1 && !app.output.json {
                app.output.result(&(), format!("{path}:\n"))?;
            }
            match self.list(&api, app.output, path).await? {
                Ok((stale, unseen)) => {
                    maybe_stale |= stale;
                    unpublished_on.extend(unseen);
                }
                Err(error) if DaemonApi::ends_all(&error) => {
                    return Err(api.stop_at(path, &error));
                }
                Err(error) => {
                    app.output.failed(&api.problem_at(path, &error));
                    verdict = ExitStatus::Failed;
                }
            }
        }
        if maybe_stale {
            app.output.note(super::MAYBE_STALE);
        }
        if !unpublished_on.is_empty() {
            app.output.failed(&super::incomplete(&unpublished_on));
            verdict = verdict.max(ExitStatus::Attention);
        }
        Ok(verdict)
    }

    /// Prints a folder page by page, or a file; tells whether newer changes may exist, and who has some that are not shown.
    async fn list(
        &self,
        api: &DaemonApi,
        output: OutputMode,
        path: &RemotePath,
    ) -> CliResult<Result<(bool, Vec<String>), ControlError>> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = match api.list(path, after.as_deref()).await {
                Ok(page) => page,
                Err(error) if error.code() == Some(ErrorCode::NotAFolder) && after.is_none() => {
                    return self.one(api, output, path).await;
                }
                Err(error) => return Ok(Err(error)),
            };
            self.print(output, &page.entries)?;
            match page.entries.last() {
                Some(last) if page.more => after = Some(last.raw_name()),
                _ => return Ok(Ok((page.maybe_stale, page.unpublished_on))),
            }
        }
    }

    async fn one(
        &self,
        api: &DaemonApi,
        output: OutputMode,
        path: &RemotePath,
    ) -> CliResult<Result<(bool, Vec<String>), ControlError>> {
        match api.stat(path, false).await {
            Ok(stat) => self.print(output, &[stat.entry]).map(|()| Ok((stat.maybe_stale, stat.unpublished_on))),
            Err(error) => Ok(Err(error)),
        }
    }

    fn print(&self, output: OutputMode, entries: &[ListingEntry]) -> CliResult<()> {
        if output.json {
            return entries.iter().try_for_each(|entry| output.json_line(entry));
        }
        let text = if self.long { long(entries) } else { entries.iter().map(|entry| shown(entry) + "\n").collect() };
        output.result(&(), text)
    }
}

fn shown(entry: &ListingEntry) -> String {
    let slash = if entry.kind == EntryKind::Folder { "/" } else { "" };
    escape::name(&entry.raw_name()) + slash
}

fn long(entries: &[ListingEntry]) -> String {
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Right, ColumnAlign::Left, ColumnAlign::Left]);
    for entry in entries {
        let (kind, size) = match entry.kind {
            EntryKind::File => ('-', human::size(entry.size)),
            EntryKind::Folder => ('d', String::new()),
            EntryKind::Link => ('l', String::new()),
        };
        let target = entry.raw_target().map(|target| format!(" -> {}", escape::name(&target))).unwrap_or_default();
        let conflict = entry.conflict_of.as_deref();
        let conflict =
            conflict.map(|of| format!("   (another version of {})", escape::name(of.as_bytes()))).unwrap_or_default();
        let name = shown(entry) + &target + &conflict;
        table.row([human::mode(kind, entry.mode), size, human::time_ns(entry.mtime_ns), name]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: EntryKind, size: u64) -> ListingEntry {
        let (name, name_bytes) = fsdfs_proto::control::text_and_bytes(name);
        ListingEntry {
            name,
            name_bytes,
            kind,
            size,
            mode: 0o644,
            mtime_ns: 0,
            target: (kind == EntryKind::Link).then(|| "there".into()),
            target_bytes: None,
            xattrs: Vec::new(),
            hard_link: None,
            conflict_of: None,
            written_ms: 0,
            content: None,
        }
    }

    #[test]
    fn a_long_list_lines_up_and_is_harmless() {
        let mut other = entry(b"b (conflict 12 2026-01-01)", EntryKind::File, 1 << 20);
        other.conflict_of = Some("b".into());
        let entries = [entry(b"a\xff", EntryKind::Folder, 0), entry(b"l\x1b[2J", EntryKind::Link, 5), other];
        let lines: Vec<String> = long(&entries)
            .lines()
            .map(|line| {
                let (head, name) = line.split_at(line.rfind(":0").expect("a time") + 3);
                format!("{}|{name}", &head[..10])
            })
            .collect();
        assert_eq!(
            lines,
            [
                "drw-r--r--|  a\\xff/",
                "lrw-r--r--|  l\\x1b[2J -> there",
                "-rw-r--r--|  b (conflict 12 2026-01-01)   (another version of b)"
            ]
        );
    }
}
