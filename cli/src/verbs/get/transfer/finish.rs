//! What comes when all files are written: further names of files, links, and the attributes of folders.

use super::{DownloadRun, FinalAction, FinalStep, FurtherName};
use crate::local::write::WriteError;
use crate::outcome::{CliError, CliResult};
use crate::verbs::get::trail::OpenTrail;

impl DownloadRun {
    /// Gives files their further names. What cannot be linked is fetched like any other file.
    pub(super) async fn link_names(&mut self) -> CliResult<()> {
        let (mut way, mut first_way) = (OpenTrail::default(), OpenTrail::default());
        for FurtherName { from, trail, name, first, size } in std::mem::take(&mut self.further_names) {
            let open = |way: &mut OpenTrail, first_way: &mut OpenTrail| Ok((way.to(&trail)?, first_way.to(&first.0)?));
            let opened: Result<_, WriteError> = open(&mut way, &mut first_way);
            let linked = match &opened {
                Ok((at, first_at)) => at.link_again(&name, (first_at, &first.1), self.existing),
                Err(_) => Ok(false),
            };
            match (linked, opened) {
                (Ok(true), _) => {
                    self.summary.files += 1;
                    self.progress.advance(size);
                }
                (Ok(false), Ok((at, _))) => self.download(from, at, name, size).await?,
                (Ok(false), Err(error)) | (Err(error), _) => self.failed(&from, &error.into()).await?,
            }
        }
        Ok(())
    }

    /// Links, and attributes of folders, in the reverse order of finding: a folder that may not be entered any more
    /// comes after everything in it.
    pub(super) fn finish(&mut self) -> CliResult<()> {
        let (links, folders): (Vec<FinalStep>, Vec<FinalStep>) =
            std::mem::take(&mut self.last).into_iter().partition(|last| matches!(last.what, FinalAction::Link { .. }));
        let mut way = OpenTrail::default();
        for last in links.iter().chain(folders.iter().rev()) {
            if let Err(error) = self.finish_one(&mut way, last) {
                if error.is_final() {
                    return Err(CliError::new(format!("cannot write here: {error}"), error.way_out()).into());
                }
                self.summary.failed.add(&self.progress, last.from.to_string(), error.to_string());
            }
        }
        Ok(())
    }

    fn finish_one(&mut self, way: &mut OpenTrail, last: &FinalStep) -> Result<(), WriteError> {
        let folder = way.to(&last.trail)?;
        match &last.what {
            FinalAction::LocalAttributes(attrs, xattrs) => {
                self.summary.without_xattrs += u64::from(!folder.set_xattrs(xattrs));
                folder.finish(*attrs)
            }
            FinalAction::Link { name, target, mtime_ns } => {
                let made = folder.link(name, target, *mtime_ns, self.existing)?;
                *if made { &mut self.summary.links } else { &mut self.summary.same } += 1;
                Ok(())
            }
        }
    }
}
