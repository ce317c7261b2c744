//! `fsdfs put`: local files and folders into the store.

mod batch;
mod source;
mod special;
mod stdin;
mod summary;
mod transfer;
mod upload;
mod walk;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use clap::builder::OsStringValueParser;
use clap::{Args, ValueEnum};
use fsdfs_proto::control::EntryKind;

use crate::app::AppContext;
use crate::claims::without_repeats;
use crate::local::FollowLinks;
use crate::outcome::{CliError, CliResult, Exit, ExitStatus, problem};
use crate::remote::RemotePath;

use source::PutSource;
pub use summary::UploadSummary;

/// Store files and folders.
///
/// Folders go with everything in them: empty folders, symbolic links (as links, unless they are followed), hard links,
/// permission bits, times, holes and extended attributes of users (up to 4 KiB). Pipes, sockets and devices in them are skipped.
/// Owners, access control lists and other attributes are not kept; how many entries have them is said at the end. A path
/// in the store has at most 256 names; what lies deeper is left out. A file that grows meanwhile, such as a log, is stored
/// as it was when reading began. Content that the pool has already is not sent again, so repeating an interrupted
/// put resumes it. Each file appears whole or not at all.
///
/// Existing files are replaced; nothing is removed.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "fsdfs put [OPTIONS] SRC... DEST", after_long_help = WHERE)]
pub struct PutCommand {
    /// Store what symbolic links point at, of all links or (--follow=sources) of those named as SRC, instead of the links.
    #[arg(
        short = 'L',
        long,
        value_enum,
        value_name = "WHICH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    follow: Option<FollowArg>,
    /// Files and folders, or - for the standard input; the last one is where to: /PATH.
    #[arg(value_names = ["SRC", "DEST"], num_args = 2.., required = true, value_parser = OsStringValueParser::new())]
    paths: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FollowArg {
    /// All links.
    All,
    /// Links that are named as SRC.
    Sources,
}

const WHERE: &str = "\
Where things go:
  put a.txt /x     /x if that is a new name or a file, /x/a.txt if /x is a folder
  put a.txt /x/    /x/a.txt
  put photos /x    as with cp: the folder becomes /x if there is none yet,
                   else /x/photos
  put photos/ /x   as with rsync: the content of photos goes into /x,
                   also when repeated
  put a b c /x     into the folder /x, which is made if missing
  put - /x/log     the standard input
A folder meets its own copy instead of nesting: photos to /x/photos goes into
/x/photos, also if that exists.";

impl PutCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let Some((dest, sources)) = self.paths.split_last() else { return Ok(ExitStatus::Fine) };
        let follow = self.follow.map_or(FollowLinks::Never, FollowLinks::from);
        let dest = dest_of(app, sources, dest, follow)?;
        let sources: Vec<PutSource> = sources.iter().map(|source| PutSource::new(source, follow)).collect();
        let api = app.api()?.for_work();
        let standing = api.find(&dest).await.map_err(|error| api.stop_at(&dest, &error))?.map(|entry| entry.kind);
        let standing = if dest.names.is_empty() { Some(EntryKind::Folder) } else { standing };
        let plan = source::plan(&sources, &dest, standing).map_err(|what| CliError::new(what, help(app)))?;
        let (plan, repeats) = without_repeats(plan, |(source, to)| (source.clone(), to.clone()));
        for (source, _) in repeats {
            app.output.note(&format!("{source} was named more than once; it is stored once"));
        }
        let again = app.program.command_of(source::repeatable(&dest, &plan, follow));
        transfer::run(app, &api, plan, follow, &again).await
    }
}

impl From<FollowArg> for FollowLinks {
    fn from(arg: FollowArg) -> Self {
        match arg {
            FollowArg::All => Self::All,
            FollowArg::Sources => Self::Sources,
        }
    }
}

fn dest_of(app: &AppContext, sources: &[OsString], dest: &OsStr, follow: FollowLinks) -> Result<RemotePath, Exit> {
    RemotePath::parse(dest).or_else(|wrong| {
        let shown = crate::text::escape::name(dest.as_encoded_bytes());
        let put = std::iter::once(OsString::from("put")).chain(source::option(follow)).chain(sources.iter().cloned());
        // What is a file here was meant as a source; anything else as a place.
        let is_here = !dest.as_bytes().starts_with(b"/") && Path::new(dest).symlink_metadata().is_ok();
        let next = if is_here {
            let all = put.chain([dest.to_owned(), "/".into()]);
            format!("into the root: {}", app.program.command_of(all))
        } else {
            let name = dest.as_bytes().iter().copied().skip_while(|byte| *byte == b'/');
            let place = OsString::from_vec(std::iter::once(b'/').chain(name).collect());
            let place = if RemotePath::parse(&place).is_ok() { place } else { "/".into() };
            format!("such as: {}", app.program.command_of(put.chain([place])))
        };
        problem(format!("the last path, {shown}, must be a path in the store: {wrong}"), next)
    })
}

fn help(app: &AppContext) -> String {
    format!("what goes where: {}", app.program.command("put --help"))
}
