//! `fsdfs cat`: contents to the standard output.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};

use clap::Args;
use fsdfs_node::control_client::{ControlError, DownloadRange};
use fsdfs_proto::control::ErrorCode;
use futures::StreamExt;

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, Exit, ExitStatus};
use crate::remote::RemotePath;
use crate::text::escape::TerminalWriter;
use crate::text::parse::{self, ByteRangeArg};
use crate::verbs::at::AtOption;

/// Write files to the standard output.
///
/// Piped output is exactly the file's bytes. On a terminal, characters that could steer it are shown escaped.
#[derive(Args, Clone, Debug)]
pub struct CatCommand {
    /// Only these bytes: FIRST-LAST (both included), FIRST-, or -COUNT for the end.
    #[arg(long, value_name = "RANGE", value_parser = parse::range, allow_hyphen_values = true)]
    range: Option<ByteRangeArg>,
    #[command(flatten)]
    at: AtOption,
    /// Files, /PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::remote::remote())]
    paths: Vec<RemotePath>,
}

impl CatCommand {
    /// Runs the verb.
    pub async fn run(mut self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        self.at.apply(app, &api, &mut self.paths).await?;
        let (mut maybe_stale, mut maybe_incomplete) = (false, false);
        let mut verdict = ExitStatus::Fine;
        for path in &self.paths {
            let printed = if io::stdout().is_terminal() {
                let mut out = TerminalWriter::new(io::stdout());
                let printed = self.copy(&api, path, &mut out).await?;
                out.finish().map_err(|error| Exit::of_output(&error))?;
                printed
            } else {
                self.copy(&api, path, &mut io::stdout()).await?
            };
            match printed {
                Ok((stale, incomplete)) => {
                    maybe_stale |= stale;
                    maybe_incomplete |= incomplete;
                }
                Err(error) if DaemonApi::ends_all(&error) => return Err(api.stop_at(path, &error)),
                Err(error) => {
                    app.output.failed(&problem(&api, path, &error));
                    verdict = ExitStatus::Failed;
                }
            }
        }
        if maybe_stale {
            app.output.note(super::MAYBE_STALE);
        }
        if maybe_incomplete {
            app.output.failed(&super::incomplete(&BTreeSet::new()));
            return Ok(verdict.max(ExitStatus::Attention));
        }
        Ok(verdict)
    }

    /// Writes one file; tells whether newer changes may exist, and whether what was read may lack some.
    async fn copy(
        &self,
        api: &DaemonApi,
        path: &RemotePath,
        out: &mut (impl Write + Send),
    ) -> CliResult<Result<(bool, bool), ControlError>> {
        let range = self.range.map_or(DownloadRange::Whole, wanted);
        let download = match api.download(path, &range).await {
            Ok(download) => download,
            Err(error) => return Ok(Err(error)),
        };
        let (maybe_stale, maybe_incomplete) = (download.maybe_stale, download.maybe_incomplete);
        let mut content = download.content();
        while let Some(piece) = content.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Err(error)),
            };
            out.write_all(&piece).map_err(|error| Exit::of_output(&error))?;
        }
        out.flush().map_err(|error| Exit::of_output(&error))?;
        Ok(Ok((maybe_stale, maybe_incomplete)))
    }
}

fn problem(api: &DaemonApi, path: &RemotePath, error: &ControlError) -> CliError {
    let CliError { what, next, code } = api.problem_at(path, error);
    let next = if code == Some(ErrorCode::BadRange) { "bytes are counted from 0".into() } else { next };
    CliError { what, next, code }
}

fn wanted(typed: ByteRangeArg) -> DownloadRange {
    match typed {
        ByteRangeArg::From(first, last) => DownloadRange::From(first, last.map(|last| last.saturating_add(1))),
        ByteRangeArg::Last(count) => DownloadRange::Last(count),
    }
}
