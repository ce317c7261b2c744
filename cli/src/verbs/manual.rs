//! `fsdfs completions` and `fsdfs man`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use crate::app::App;
use crate::outcome::{Outcome, Problem, Stop, Verdict};
use crate::text::escape;

/// Print shell completions.
#[derive(Args, Clone, Debug)]
#[command(after_help = WHERE)]
pub struct Completions {
    /// For which shell.
    shell: Shell,
}

const WHERE: &str = "\
Where they belong:
  bash  ~/.local/share/bash-completion/completions/fsdfs
  zsh   _fsdfs in a folder of $fpath
  fish  ~/.config/fish/completions/fsdfs.fish";

impl Completions {
    /// Runs the verb.
    pub fn run(&self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command(), "fsdfs", &mut script);
        io::Write::write_all(&mut io::stdout(), &script).map_err(|error| Stop::of_output(&error))?;
        Ok(Verdict::Fine)
    }
}

/// Print the manual page, or write a page for each verb into a folder.
///
/// To read it at once: fsdfs man | man -l -
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// Write fsdfs.1, fsdfs-put.1, ... into this folder instead.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Runs the verb.
    pub fn run(&self, app: &App) -> Outcome {
        match &self.dir {
            None => {
                let page = page(&crate::command()).map_err(|error| Stop::of_output(&error))?;
                io::Write::write_all(&mut io::stdout(), &page).map_err(|error| Stop::of_output(&error))?;
            }
            Some(dir) => {
                let shown = escape::name(dir.as_os_str().as_encoded_bytes());
                write_all(dir).map_err(|error| {
                    Problem::new(format!("cannot write manual pages into {shown}: {error}"), "name another folder")
                })?;
                app.output.done(&shown, format!("wrote the manual pages into {shown}"))?;
            }
        }
        Ok(Verdict::Fine)
    }
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Page::new(command.clone()).render(&mut page)?;
    Ok(page)
}

fn write_all(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(crate::command(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page() {
        let temp = tempfile::tempdir().expect("temp");
        write_all(temp.path()).expect("written");
        for verb in crate::command().get_subcommands() {
            assert!(temp.path().join(format!("fsdfs-{}.1", verb.get_name())).exists(), "{}", verb.get_name());
        }
        let put = std::fs::read_to_string(temp.path().join("fsdfs-put.1")).expect("there");
        assert!(put.contains("fsdfs\\-put") && put.contains("rsync"), "{put}");
    }
}
