//! `fsdfs mkdir`, `mv`, `rm`: small changes, several in one commit.

use clap::Args;
use fsdfs_proto::control::{EditRequest, EditResult, EditsReply, EntryKind, EscapedText};
use serde::Serialize;

use crate::answers::FailedEdit;
use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus, problem};
use crate::output::warn;
use crate::remote::RemotePath;
use crate::text::human;
use crate::verbs::durability::Durability;

/// Create folders, and missing folders above them.
#[derive(Args, Clone, Debug)]
pub struct MkdirCommand {
    /// Accept folders that exist already.
    #[arg(short, long)]
    parents: bool,
    /// Folders to create, [VOLUME:]/PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl MkdirCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let edit = |path: &RemotePath| EditRequest::Folder {
            path: EscapedText(path.bytes()),
            attrs: None,
            fresh: !self.parents,
        };
        let edits = self.paths.iter().map(|path| (path.clone(), edit(path))).collect();
        change(app, edits, "created", "folder", "folders").await
    }
}

/// Move or rename files and folders inside a volume.
///
/// If DEST is an existing folder, or ends with a slash, things move into it; otherwise DEST is the new name. A file
/// replaces a file of the same name; a folder is never replaced.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "fsdfs mv [OPTIONS] SRC... DEST")]
pub struct MvCommand {
    /// What to move, [VOLUME:]/PATH; the last one is where to.
    #[arg(value_names = ["SRC", "DEST"], num_args = 2.., required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl MvCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let Some((dest, sources)) = self.paths.split_last() else { return Ok(ExitStatus::Fine) };
        if let Some(other) = sources.iter().find(|source| source.volume != dest.volume) {
            let (get, put) = (app.program.command("get"), app.program.command("put"));
            return problem(
                format!("{other} and {dest} are in different volumes"),
                format!("copy it: {get} ..., then {put} ..."),
            );
        }
        let api = app.api()?;
        let standing = api.find(dest).await.map_err(|error| api.stop(&error))?;
        let into = dest.slash || standing.is_some_and(|entry| entry.kind == EntryKind::Folder);
        if sources.len() > 1 && !into {
            let mkdir = app.program.command_of(["mkdir".into(), dest.to_os_string()]);
            return problem(
                format!("several sources need a folder as DEST, and {dest} is not one"),
                format!("create it: {mkdir}"),
            );
        }
        let target = |source: &RemotePath| match source.name() {
            Some(name) if into => dest.join(name),
            _ => dest.clone(),
        };
        let edit = |source: &RemotePath| EditRequest::Move {
            from: EscapedText(source.bytes()),
            to: EscapedText(target(source).bytes()),
        };
        let edits = sources.iter().map(|source| (source.clone(), edit(source))).collect();
        change(app, edits, "moved", "entry", "entries").await
    }
}

/// Remove files, links and folders.
///
/// They disappear for every member. Space is not freed yet: there is no garbage collection so far.
#[derive(Args, Clone, Debug)]
pub struct RmCommand {
    /// Folders with everything in them; without it only empty ones.
    #[arg(short, long)]
    recursive: bool,
    /// What to remove, [VOLUME:]/PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl RmCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let edit =
            |path: &RemotePath| EditRequest::Remove { path: EscapedText(path.bytes()), recursive: self.recursive };
        let edits = self.paths.iter().map(|path| (path.clone(), edit(path))).collect();
        change(app, edits, "removed", "entry", "entries").await
    }
}

/// Makes the changes, one commit a volume, and says what became of each.
async fn change(
    app: &AppContext,
    edits: Vec<(RemotePath, EditRequest)>,
    done: &str,
    one: &str,
    many: &str,
) -> CliResult {
    let api = app.api()?;
    let mut durability = Durability::default();
    let mut failed = Vec::new();
    let mut made = 0u64;
    let mut rest = edits.as_slice();
    while let [(first, _), ..] = rest {
        let same =
            rest.iter().take(fsdfs_proto::control::EDITS_MAX).take_while(|(path, _)| path.volume == first.volume);
        let (batch, later) = rest.split_at(same.count());
        let wanted = batch.iter().map(|(_, edit)| edit.clone()).collect();
        let edited = api.edit(&first.volume, wanted).await.map_err(|error| api.stop(&error))?;
        durability.add(&edited.written);
        failed.extend(failures(&api, batch, &edited));
        made += edited.edits.iter().filter(|edit| !matches!(edit, EditResult::Failed(_))).count() as u64;
        rest = later;
    }
    let (text, verdict) = durability.sentence(&app.program);
    if made > 0 || app.output.json {
        app.output.done(
            &ChangeSummary { done: made, failed: &failed, durability },
            format!("{done} {}: {text}", human::count(made, one, many)),
        )?;
    }
    Ok(if failed.is_empty() { verdict } else { ExitStatus::Failed })
}

/// For programs.
#[derive(Serialize)]
pub struct ChangeSummary<'a> {
    /// Changes that were made, or were so already.
    pub done: u64,
    /// Changes that were not made.
    pub failed: &'a [FailedEdit],
    /// How durable they are.
    #[serde(flatten)]
    pub durability: Durability,
}

/// Says why edits were not made.
fn failures(api: &DaemonApi, batch: &[(RemotePath, EditRequest)], edited: &EditsReply) -> Vec<FailedEdit> {
    let results = batch.iter().zip(&edited.edits);
    let failed = results.filter_map(|((path, _), result)| match result {
        EditResult::Failed(error) => Some((path, error)),
        EditResult::Changed | EditResult::Unchanged => None,
    });
    failed
        .map(|(path, error)| {
            let refused = fsdfs_node::control_client::ControlError::Refused(error.clone());
            warn(&format!("{path}: {}", api.problem(&refused)));
            FailedEdit { path: EscapedText(path.bytes()), error: error.error.clone(), code: error.code }
        })
        .collect()
}
