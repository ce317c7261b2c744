//! `fsdfs get`: files and folders out of the store.

mod budget;
mod download;
mod pieces;
mod place;
mod rules;
mod small;
mod sparse;
mod summary;
mod trail;
mod transfer;

use std::path::{Path, PathBuf};

use clap::Args;
use fsdfs_proto::control::StatReply;

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::claims::without_repeats;
use crate::local::write::{ModeMask, OverwritePolicy};
use crate::outcome::{CliResult, problem};
use crate::remote::RemotePath;
use crate::text::escape;
use crate::verbs::at::AtOption;

use budget::GetBudget;
use place::{GetSource, GetTarget};
use rules::GetRules;
pub use summary::DownloadSummary;

/// Fetch files and folders.
///
/// Contents are verified; permission bits (less what your umask takes from all new files, and never setuid, setgid and sticky),
/// times, extended attributes of users, links of both kinds, holes and empty folders come back as they were. Each file is
/// written under a temporary name first, so that it appears whole or not at all.
/// Nothing outside of DEST is ever written, whatever names and links the store or DEST contain.
///
/// Files that exist already are kept: quietly if size and time are the same, else with a message, and the exit code is 2.
/// --force replaces them. Repeating an interrupted get continues it, also inside a large file, of which it checks what is
/// there. Until then the part of a large file stays in its folder as .fsdfs-get-...; unless it is continued, a later get
/// into that folder removes it after a week. What is smaller than 8 MiB is removed by the next get.
///
/// Nothing is begun that does not fit into the free space of DEST by the size that it says it has (less its holes), and no get goes beyond ten
/// million entries: a few blocks can say that they are far more than any disk holds. --any-size fetches it all the same.
///
/// If a connected member has acknowledged changes that cannot be seen here yet, what comes may be incomplete: that is said,
/// and the exit code is 1.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "fsdfs get [OPTIONS] SRC... [DEST]", after_long_help = WHERE)]
pub struct GetCommand {
    /// Replace files that exist and differ.
    #[arg(short, long)]
    force: bool,
    /// Give files and folders all permission bits that they were put with, whatever the umask; still no setuid, setgid, sticky.
    #[arg(short, long)]
    preserve_permissions: bool,
    /// Fetch also what does not seem to fit, and more than ten million entries.
    #[arg(long)]
    any_size: bool,
    #[command(flatten)]
    at: AtOption,
    /// Files and folders to fetch, /PATH; then the local DEST, which may be left out for the current folder.
    #[arg(value_name = "PATH", required = true, value_parser = clap::builder::OsStringValueParser::new())]
    paths: Vec<std::ffi::OsString>,
}

const WHERE: &str = "\
Where things go:
  get /photos       into the current folder
  get /a.txt x      x if that is a new name or a file, x/a.txt if x is a folder
  get /photos x     as with cp: the folder becomes x if there is none yet,
                    else x/photos
  get /photos/ x    as with rsync: the content of photos goes into x,
                    also when repeated
  get /a /b x       into the folder x, which is made if missing
A folder meets its own copy instead of nesting: /photos to ./photos goes into
./photos, also if that exists.";

impl GetCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let (mut sources, dest) = self.split(app)?;
        let api = app.api()?;
        let state = self.at.apply(app, &api, &mut sources).await?;
        let rules = self.rules();
        let sources = look_up(&api, sources).await?;
        let plan = match place::plan(sources, &dest) {
            Ok(plan) => plan,
            Err(what) => return problem(what, format!("what goes where: {}", app.program.command("get --help"))),
        };
        let key = |planned: &GetTarget| (planned.source.path.names.clone(), planned.place.path());
        let (plan, repeats) = without_repeats(plan, key);
        for repeat in repeats {
            app.output.note(&format!("{} was named more than once; it is fetched once", repeat.source.path));
        }
        let again = app.program.command_of(place::repeatable(&plan, &dest, &self.options(state)));
        transfer::run(app, &api, plan, rules, &again).await
    }

    fn rules(&self) -> GetRules {
        GetRules {
            existing: if self.force { OverwritePolicy::Replace } else { OverwritePolicy::Keep },
            mask: if self.preserve_permissions { ModeMask::EXACT } else { ModeMask::of_process() },
            budget: GetBudget::new(self.any_size),
        }
    }

    /// For the command that goes on where this one ends.
    fn options(&self, state: Option<String>) -> Vec<String> {
        let given = [
            (self.force, "--force"),
            (self.preserve_permissions, "--preserve-permissions"),
            (self.any_size, "--any-size"),
        ];
        let given = given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, option)| option.to_owned());
        given.chain(state.map(|state| format!("--at={state}"))).collect()
    }

    fn split(&self, app: &AppContext) -> CliResult<(Vec<RemotePath>, PathBuf)> {
        let (dest, sources) = match self.paths.as_slice() {
            [only] => (Path::new("."), std::slice::from_ref(only)),
            [sources @ .., dest] => (Path::new(dest), sources),
            [] => return problem("nothing to get", app.program.command("get --help")),
        };
        let parse = |source: &std::ffi::OsString| {
            RemotePath::parse(source).or_else(|wrong| {
                let shown = escape::name(source.as_encoded_bytes());
                problem(format!("{shown}: {wrong}"), format!("see what there is: {}", app.program.command("ls")))
            })
        };
        Ok((sources.iter().map(parse).collect::<Result<_, _>>()?, dest.to_owned()))
    }
}

/// Everything must exist before anything is written.
async fn look_up(api: &DaemonApi, paths: Vec<RemotePath>) -> CliResult<Vec<GetSource>> {
    let mut sources = Vec::new();
    for path in paths {
        match api.stat(&path, false).await {
            Ok(stat) => {
                let StatReply { entry, maybe_stale, unpublished_on, .. } = stat;
                sources.push(GetSource { path, entry, maybe_stale, unpublished_on });
            }
            Err(error) => return Err(api.stop_at(&path, &error)),
        }
    }
    Ok(sources)
}
