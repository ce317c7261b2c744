//! `fsdfs restore`, `fsdfs undelete`: bring back what earlier states have.

use clap::Args;
use fsdfs_proto::control::{EditRequest, ErrorCode, EscapedText, StateEntry};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::claims::without_repeats;
use crate::outcome::{CliError, CliResult, problem};
use crate::remote::RemotePath;
use crate::text::parse::{self, PastTime};
use crate::verbs::at;
use crate::verbs::change::change;

/// Bring files and folders back as they were at an earlier time.
///
/// Nothing is copied or sent, however much it is: the pool has it still. Names, permission bits, times and contents are
/// those of that time. All PATHs come back in one step, or each says why not. What is at a PATH now is kept, and the command
/// fails there, unless --replace ends it: then only the history has it.
///
/// `fsdfs log PATH` shows how it was when.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "fsdfs restore --at TIME [OPTIONS] PATH...")]
pub struct RestoreCommand {
    /// As it was then: in the newest state that is kept of that time or before. TIME is a span, such as 3days, a date
    /// (2026-11-24, as it began), 2026-11-24T18:00, or a state as `fsdfs snapshots` shows it.
    #[arg(long, value_name = "TIME", required = true, value_parser = parse::past)]
    at: PastTime,
    /// Under this name, /PATH, and not where it was. Folders above it are made.
    #[arg(long, value_name = "DEST", value_parser = crate::remote::remote())]
    to: Option<RemotePath>,
    /// In place of what is there now. Of a folder, what came into it since is gone, too.
    #[arg(long)]
    replace: bool,
    /// What to bring back, /PATH; / is all of it, which needs --to.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl RestoreCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let (paths, _) = without_repeats(self.paths, Clone::clone);
        if self.to.is_some() && paths.len() > 1 {
            return problem("--to names one file or folder, and several are to come back", "restore them one by one");
        }
        let api = app.api()?;
        let mut edits = Vec::with_capacity(paths.len());
        for path in paths {
            let to = self.to.as_ref().unwrap_or(&path);
            if to.volume != path.volume {
                return problem(
                    format!("{path} and {to} are in different volumes"),
                    "get it with --at, then put it there",
                );
            }
            if to.names.is_empty() {
                let next = "name the files and folders, or where all of it is to be: --to DEST";
                return problem("the root itself cannot be replaced", next);
            }
            let found = at::state_at(app, &api, &path.volume, &self.at).await?.ok_or_else(at::is_now)?;
            edits.push((path.clone(), edit(&found, &path, to, self.replace)));
        }
        change(app, edits, Vec::new(), ("restored", "entry", "entries")).await
    }
}

/// Bring removed files and folders back from the newest state that has them.
///
/// With their names, permission bits, times and contents, and with the folders above them if those are gone, too. What is
/// there now is left alone. A file that was written and removed between two states that are kept cannot be brought back.
#[derive(Args, Clone, Debug)]
pub struct UndeleteCommand {
    /// What to bring back, /PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl UndeleteCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let (paths, _) = without_repeats(self.paths, Clone::clone);
        let api = app.api()?;
        let (mut edits, mut refused) = (Vec::new(), Vec::new());
        for path in paths {
            match newest_with(app, &api, &path).await? {
                Ok(state) => {
                    app.output.note(&format!("{path}: as of {}", at::time(&state)));
                    edits.push((path.clone(), edit(&state, &path, &path, false)));
                }
                Err(why) => refused.push((path, why)),
            }
        }
        change(app, edits, refused, ("brought back", "entry", "entries")).await
    }
}

/// The newest state that has something there.
async fn newest_with(app: &AppContext, api: &DaemonApi, path: &RemotePath) -> CliResult<Result<StateEntry, CliError>> {
    let history = match api.history(&path.volume, Some(path)).await {
        Ok(history) => history,
        Err(error) if DaemonApi::ends_all(&error) => return Err(api.stop_at(path, &error)),
        Err(error) => return Ok(Err(api.problem_about(path, &error))),
    };
    let is_there = history.states.iter().any(|state| state.stands && state.entry.is_some());
    if is_there || path.names.is_empty() {
        let code = Some(ErrorCode::Exists);
        let log = app.program.command_of(["log".into(), path.to_os_string()]);
        return Ok(Err(CliError { code, ..CliError::new("it is there now", format!("see how it was: {log}")) }));
    }
    let unreadable = history.states.iter().filter(|state| state.unreadable || state.time_ms.is_none()).count();
    let found = history.states.into_iter().find(|state| state.entry.is_some());
    Ok(found.ok_or_else(|| {
        let next = match unreadable {
            0 => format!("see which states are kept: {}", app.program.command("snapshots")),
            some => format!("{some} states cannot be read now; try again when more members are up"),
        };
        CliError { code: Some(ErrorCode::NotFound), ..CliError::new("no state that is kept has it", next) }
    }))
}

fn edit(state: &StateEntry, from: &RemotePath, to: &RemotePath, replace: bool) -> EditRequest {
    let (from, to) = (EscapedText(from.bytes()), EscapedText(to.bytes()));
    EditRequest::Restore { state: state.state.clone(), from, to, replace }
}
