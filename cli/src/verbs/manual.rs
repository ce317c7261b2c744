//! `fsdfs completions` and `fsdfs man`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man as Page;
use fsdfs_node::files;

use crate::answers::ManualPages;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, Exit, ExitStatus};
use crate::text::escape;

/// Print shell completions.
#[derive(Args, Clone, Debug)]
#[command(after_help = WHERE)]
pub struct CompletionsCommand {
    /// For which shell.
    shell: Shell,
}

const WHERE: &str = "\
Where they belong:
  bash  ~/.local/share/bash-completion/completions/fsdfs
  zsh   _fsdfs in a folder of $fpath
  fish  ~/.config/fish/completions/fsdfs.fish";

impl CompletionsCommand {
    /// Runs the verb.
    pub fn run(&self, mut command: Command) -> CliResult {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "fsdfs", &mut script);
        io::Write::write_all(&mut io::stdout(), &script).map_err(|error| Exit::of_output(&error))?;
        Ok(ExitStatus::Fine)
    }
}

/// Print the manual page, or write a page for each verb into a folder.
///
/// To read it at once: fsdfs man | man -l -
#[derive(Args, Clone, Debug)]
pub struct ManCommand {
    /// Write fsdfs.1, fsdfs-put.1, ... into this folder instead.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ManCommand {
    /// Runs the verb.
    pub fn run(&self, app: &AppContext, command: &Command) -> CliResult {
        match &self.dir {
            None => {
                let page = page(command).map_err(|error| Exit::of_output(&error))?;
                io::Write::write_all(&mut io::stdout(), &page).map_err(|error| Exit::of_output(&error))?;
            }
            Some(dir) => {
                let shown = escape::name(dir.as_os_str().as_encoded_bytes());
                write_all(command, dir).map_err(|error| {
                    CliError::new(format!("cannot write manual pages into {shown}: {error}"), "name another folder")
                })?;
                let pages = ManualPages { dir: dir.to_string_lossy().into_owned() };
                app.output.done(&pages, format!("wrote the manual pages into {shown}"))?;
            }
        }
        Ok(ExitStatus::Fine)
    }
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Page::new(command.clone()).render(&mut page)?;
    Ok(page)
}

/// Writes a page for the program and one for each verb. In a folder that all may write to, no link that somebody laid there is
/// followed: pages are made elsewhere, and take their names by renaming.
pub fn write_all(command: &Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let made = tempfile::tempdir()?;
    clap_mangen::generate_to(command.clone(), made.path())?;
    for page in std::fs::read_dir(made.path())? {
        let page = page?;
        let written = files::publish(&dir.join(page.file_name()), &std::fs::read(page.path())?, 0o644);
        written.map_err(|error| error.source)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_not_written_through_links() {
        let temp = tempfile::tempdir().expect("temp");
        let (elsewhere, pages) = (temp.path().join("elsewhere"), temp.path().join("pages"));
        std::fs::create_dir(&pages).expect("made");
        std::fs::write(&elsewhere, "mine").expect("written");
        std::os::unix::fs::symlink(&elsewhere, pages.join("fsdfs.1")).expect("linked");
        write_all(&crate::args::command(), &pages).expect("written");
        assert_eq!(std::fs::read(&elsewhere).expect("there"), b"mine");
        assert!(std::fs::symlink_metadata(pages.join("fsdfs.1")).expect("there").is_file());
    }
}
