//! `fsdfs cat`: contents to the standard output.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::ErrorCode;
use futures::StreamExt;

use crate::api::Api;
use crate::app::App;
use crate::outcome::{Outcome, Problem, Stop, Verdict};
use crate::remote::RemotePath;
use crate::text::escape::TerminalWriter;
use crate::text::parse::{self, Range};

/// Write files to the standard output.
///
/// Piped output is exactly the file's bytes. On a terminal, characters that could steer it are shown escaped.
#[derive(Args, Clone, Debug)]
pub struct Cat {
    /// Only these bytes: FIRST-LAST (both included), FIRST-, or -COUNT for the end.
    #[arg(long, value_name = "RANGE", value_parser = parse::range, allow_hyphen_values = true)]
    range: Option<Range>,
    /// Files, [VOLUME:]/PATH.
    #[arg(value_name = "PATH", required = true, value_parser = crate::args::remote())]
    paths: Vec<RemotePath>,
}

impl Cat {
    /// Runs the verb.
    pub async fn run(self, app: &App) -> Outcome {
        let api = app.api()?;
        let mut maybe_stale = false;
        for path in &self.paths {
            maybe_stale |= if io::stdout().is_terminal() {
                let mut out = TerminalWriter::new(io::stdout());
                let stale = self.copy(&api, path, &mut out).await?;
                out.finish().map_err(|error| Stop::of_output(&error))?;
                stale
            } else {
                self.copy(&api, path, &mut io::stdout()).await?
            };
        }
        if maybe_stale {
            app.output.note(super::MAYBE_STALE);
        }
        Ok(Verdict::Fine)
    }

    async fn copy(&self, api: &Api, path: &RemotePath, out: &mut (impl Write + Send)) -> Outcome<bool> {
        let told = |error: &ControlError| {
            let Problem { what, next, code } = api.problem(error);
            let next = if code == Some(ErrorCode::BadRange) { "bytes are counted from 0".into() } else { next };
            Stop::from(Problem { what: format!("{path}: {what}"), next, code })
        };
        let Some(range) = self.range_of(api, path).await.map_err(|error| told(&error))? else { return Ok(false) };
        let download = api.download(path, range).await.map_err(|error| told(&error))?;
        let maybe_stale = download.maybe_stale;
        let mut content = download.content();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|error| told(&error))?;
            out.write_all(&piece).map_err(|error| Stop::of_output(&error))?;
        }
        out.flush().map_err(|error| Stop::of_output(&error))?;
        Ok(maybe_stale)
    }

    /// The range as first byte and the byte after the last; none = there is nothing to print.
    async fn range_of(&self, api: &Api, path: &RemotePath) -> Result<Option<Option<(u64, Option<u64>)>>, ControlError> {
        Ok(match self.range {
            None => Some(None),
            Some(Range::From(first, last)) => Some(Some((first, last.map(|last| last.saturating_add(1))))),
            Some(Range::Last(count)) => {
                let size = api.stat(path, false).await?.entry.size;
                (count.min(size) > 0).then(|| Some((size - count.min(size), None)))
            }
        })
    }
}
