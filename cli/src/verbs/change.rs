//! `fsdfs mkdir`, `mv`, `rm`: small changes, several in one commit.

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{EditRequest, EditResult, EditsReply, EntryKind, ErrorCode, EscapedText};
use serde::Serialize;

use crate::answers::FailedEdit;
use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::claims::{ClaimOutcome, NameClaims, without_repeats};
use crate::outcome::{CliError, CliResult, ExitStatus, problem};
use crate::remote::RemotePath;
use crate::text::human;
use crate::verbs::durability::Durability;

/// Create folders, and missing folders above them.
#[derive(Args, Clone, Debug)]
pub struct MkdirCommand {
    /// Accept folders that exist already.
    #[arg(short, long)]
    parents: bool,
    /// Folders to create, /PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl MkdirCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let edit = |path: &RemotePath| EditRequest::Folder {
            path: EscapedText(path.bytes()),
            attrs: None,
            xattrs: Vec::new(),
            fresh: !self.parents,
        };
        let edits = self.paths.iter().map(|path| (path.clone(), edit(path))).collect();
        change(app, edits, Vec::new(), ("created", "folder", "folders")).await
    }
}

/// Move or rename files and folders inside a volume.
///
/// If DEST is an existing folder, or ends with a slash, things move into it; otherwise DEST is the new name. A file
/// replaces a file of the same name; a folder is never replaced.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "fsdfs mv [OPTIONS] SRC... DEST")]
pub struct MvCommand {
    /// What to move, /PATH; the last one is where to.
    #[arg(value_names = ["SRC", "DEST"], num_args = 2.., required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl MvCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let Some((dest, sources)) = self.paths.split_last() else { return Ok(ExitStatus::Fine) };
        let api = app.api()?;
        let standing = api.find(dest).await.map_err(|error| api.stop_at(dest, &error))?;
        if let Some(other) = sources.iter().find(|source| source.volume != dest.volume) {
            // One of them may not exist.
            for path in [dest, other] {
                let root = RemotePath { names: Vec::new(), slash: true, ..path.clone() };
                api.stat(&root, false).await.map_err(|error| api.stop_at(path, &error))?;
            }
            return problem(format!("{other} and {dest} are in different volumes"), "get it, then put it there");
        }
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
        let moves = sources.iter().map(|source| (source.clone(), target(source))).collect();
        let (moves, repeats) = without_repeats(moves, |planned: &(RemotePath, RemotePath)| planned.clone());
        for (source, _) in repeats {
            app.output.note(&format!("{source} was named more than once; it is moved once"));
        }
        let (moves, refused) = one_source_a_name(moves);
        let edit = |(from, to): (RemotePath, RemotePath)| {
            let edit = EditRequest::Move { from: EscapedText(from.bytes()), to: EscapedText(to.bytes()) };
            (from, edit)
        };
        change(app, moves.into_iter().map(edit).collect(), refused, ("moved", "entry", "entries")).await
    }
}

/// Moves, each from a path to another.
type Moves = Vec<(RemotePath, RemotePath)>;

/// Of moves to one name the first; and why the others are not made. What has its name already keeps it.
fn one_source_a_name(moves: Moves) -> (Moves, Vec<(RemotePath, CliError)>) {
    let mut claims = NameClaims::new(moves.iter().map(|(_, to)| to.names.clone()).collect());
    for (from, to) in moves.iter().filter(|(from, to)| from.names == to.names) {
        claims.claim(&to.names, &from.to_string(), false);
    }
    let (mut made, mut refused) = (Moves::new(), Vec::new());
    for (from, to) in moves {
        match claims.claim(&to.names, &from.to_string(), false) {
            ClaimOutcome::Granted | ClaimOutcome::Repeated => made.push((from, to)),
            ClaimOutcome::Taken(taken) => {
                let code = Some(ErrorCode::Exists);
                refused.push((from, CliError { code, ..taken.sentence(&to.to_string()).into() }));
            }
        }
    }
    (made, refused)
}

/// Remove files, links and folders.
///
/// They disappear for every member. Space is not freed yet: there is no garbage collection so far. On a full pool, remove many
/// names by one command: each takes some of what servers keep for removals.
#[derive(Args, Clone, Debug)]
pub struct RmCommand {
    /// Folders with everything in them; without it only empty ones.
    #[arg(short, long)]
    recursive: bool,
    /// What to remove, /PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl RmCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let edit =
            |path: &RemotePath| EditRequest::Remove { path: EscapedText(path.bytes()), recursive: self.recursive };
        let edits = self.paths.iter().map(|path| (path.clone(), edit(path))).collect();
        change(app, edits, Vec::new(), ("removed", "entry", "entries")).await
    }
}

/// Makes the changes, one commit a volume, and says what became of each. `refused` are not even tried; `words` say what
/// is done to one and to many.
pub async fn change(
    app: &AppContext,
    edits: Vec<(RemotePath, EditRequest)>,
    refused: Vec<(RemotePath, CliError)>,
    words: (&str, &str, &str),
) -> CliResult {
    let (done, one, many) = words;
    let api = app.api()?.for_work();
    let mut durability = Durability::default();
    let mut failed: Vec<FailedEdit> = refused.iter().map(|(path, problem)| not_made(app, path, problem)).collect();
    let mut made = 0u64;
    let mut rest = edits.as_slice();
    while let [(first, _), ..] = rest {
        let same =
            rest.iter().take(fsdfs_proto::control::EDITS_MAX).take_while(|(path, _)| path.volume == first.volume);
        let (batch, later) = rest.split_at(same.count());
        let wanted = batch.iter().map(|(_, edit)| edit.clone()).collect();
        let edited = api.edit(&first.volume, wanted).await.map_err(|error| match made {
            0 => api.stop(&error),
            _ => api.stop(&error).after(&format!("{} {done} before that", human::count(made, one, many))),
        })?;
        failed.extend(failures(app, &api, batch, &edited));
        let of_batch = edited.edits.iter().filter(|edit| !matches!(edit, EditResult::Failed(_))).count() as u64;
        // Where nothing was done nothing was stored either.
        if of_batch > 0 {
            durability.add(&edited.written);
        }
        made += of_batch;
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

/// How something comes back although another is there.
const IN_THE_WAY: &str = "to have it under another name: --to DEST   in place of what is there now: --replace";

/// Says why an edit was not made.
fn not_made(app: &AppContext, path: &RemotePath, problem: &CliError) -> FailedEdit {
    let CliError { what, next, code } = problem.clone();
    app.output.failed(&CliError { what: format!("{path}: {what}"), next, code });
    FailedEdit { path: EscapedText(path.bytes()), error: what, code: code.unwrap_or(ErrorCode::Other) }
}

/// The same of those that the daemon refused.
fn failures(
    app: &AppContext,
    api: &DaemonApi,
    batch: &[(RemotePath, EditRequest)],
    edited: &EditsReply,
) -> Vec<FailedEdit> {
    let results = batch.iter().zip(&edited.edits);
    let failed = results.filter_map(|((path, edit), result)| match result {
        EditResult::Failed(error) => Some((path, edit, error)),
        EditResult::Changed | EditResult::Unchanged => None,
    });
    failed
        .map(|(path, edit, error)| {
            let refused = ControlError::Refused(error.clone());
            let CliError { next, code, .. } = api.problem_at(path, &refused);
            let is_in_the_way = code == Some(ErrorCode::Exists) && matches!(edit, EditRequest::Restore { .. });
            let next = if is_in_the_way { IN_THE_WAY.to_owned() } else { next };
            not_made(app, path, &CliError { what: error.error.clone(), next, code })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(OsStr::new(text)).expect("a path")
    }

    #[track_caller]
    fn check(moves: &[(&str, &str)], made: &[&str], refused: &[&str]) {
        let moves = moves.iter().map(|(from, to)| (path(from), path(to))).collect();
        let (kept, left) = one_source_a_name(moves);
        assert_eq!(kept.iter().map(|(from, _)| from.to_string()).collect::<Vec<_>>(), made);
        let texts: Vec<String> = left.iter().map(|(from, problem)| format!("{from}: {}", problem.what)).collect();
        assert_eq!(texts.len(), refused.len(), "{texts:?}");
        assert!(texts.iter().zip(refused).all(|(text, start)| text.starts_with(start)), "{texts:?}");
        assert!(left.iter().all(|(_, problem)| problem.code == Some(ErrorCode::Exists)));
    }

    #[test]
    fn of_moves_to_one_name_the_first_is_made() {
        check(&[("/a/f", "/c/f"), ("/b/g", "/c/g")], &["/a/f", "/b/g"], &[]);
        check(&[("/a/f", "/c/f"), ("/b/f", "/c/f")], &["/a/f"], &["/b/f: /a/f becomes /c/f already"]);
        // What stands there is a source itself: it keeps its name.
        check(&[("/a/f", "/c/f"), ("/c/f", "/c/f")], &["/c/f"], &["/a/f: /c/f becomes /c/f already"]);
    }
}
