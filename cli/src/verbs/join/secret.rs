//! A ticket on its way into the program, which must not be seen by anybody else on this machine.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fsdfs_proto::identity::Ticket;
use rustix::fs::{FileType, MemfdFlags, fstat, ftruncate, memfd_create};

use crate::outcome::{CliError, CliResult};
use crate::output::OutputMode;
use crate::text::escape;

/// Characters of a pasted ticket at most, with line breaks: the longest has about 12,000.
const TICKET_BYTES_MAX: u64 = 64 << 10;

/// Where the ticket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TicketSource<'a> {
    /// The command line.
    Argument(&'a str),
    /// The standard input.
    Input,
    /// A file.
    File(&'a Path),
}

pub(super) fn parse(text: &str) -> Result<Ticket, CliError> {
    text.trim().parse().map_err(|error| {
        CliError::new(
            format!("this ticket cannot be used: {error}"),
            "copy the whole line that a member was given when it created the ticket (fsdfs invite)",
        )
    })
}

pub(super) fn read(source: TicketSource<'_>, output: OutputMode) -> CliResult<String> {
    let read = match source {
        TicketSource::Argument(ticket) => return Ok(ticket.to_owned()),
        TicketSource::Input if io::stdin().is_terminal() => pasted(),
        TicketSource::Input => handed_over(),
        TicketSource::File(path) => of_file(path, output),
    };
    read.map_err(|error| match source {
        TicketSource::File(path) => {
            let shown = escape::name(path.as_os_str().as_encoded_bytes());
            CliError::new(format!("cannot read the ticket from {shown}: {error}"), "").into()
        }
        _ => {
            let what = format!("cannot read the ticket from the standard input: {error}");
            CliError::new(what, "write it to a file that only you can read, and give that with --ticket-file").into()
        }
    })
}

fn pasted() -> io::Result<String> {
    crate::output::warn("Paste the ticket, then press Enter:");
    let mut line = String::new();
    io::BufRead::read_line(&mut Read::take(io::stdin().lock(), TICKET_BYTES_MAX), &mut line).map(|_| line)
}

fn handed_over() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().take(TICKET_BYTES_MAX).read_to_string(&mut text)?;
    // A file without a name is the one that this program handed itself. As the standard input it stays open.
    let is_ours = |found: &rustix::fs::Stat| {
        found.st_nlink == 0 && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
    };
    if fstat(io::stdin()).as_ref().is_ok_and(is_ours) {
        // A shell's here-document may be one, too, which cannot be written to.
        let _ = ftruncate(io::stdin(), 0);
    }
    Ok(text)
}

fn of_file(path: &Path, output: OutputMode) -> io::Result<String> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.permissions().mode() & 0o077 != 0 {
        let shown = escape::name(path.as_os_str().as_encoded_bytes());
        output.note(&format!("other users of this machine may read the ticket in {shown}: remove it afterwards"));
    }
    let mut text = String::new();
    file.take(TICKET_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Runs this program again in this process, with the ticket on the standard input. Comes back only if it cannot.
pub(super) fn begin_again(args: &[OsString], ticket: &str) -> CliError {
    let error = match input_of(ticket) {
        Ok(input) => Command::new(this_program())
            .arg0(args.first().map_or(OsStr::new("fsdfs"), OsString::as_os_str))
            .args(without(args, ticket))
            .stdin(Stdio::from(input))
            .exec(),
        Err(error) => error,
    };
    CliError::new(
        format!("cannot keep the ticket out of the list of processes: {error}"),
        "join with - instead of the ticket, and paste it when asked",
    )
}

/// The arguments behind the program's name, with the ticket's place taken by a dash.
fn without<'a>(args: &'a [OsString], ticket: &'a str) -> impl Iterator<Item = &'a OsStr> {
    args.iter().skip(1).map(move |arg| if *arg == *ticket { OsStr::new("-") } else { arg.as_os_str() })
}

/// A file in memory, which has no name and is gone with the last process that has it open.
fn input_of(ticket: &str) -> io::Result<File> {
    let mut input = File::from(memfd_create("ticket", MemfdFlags::CLOEXEC)?);
    input.write_all(ticket.as_bytes())?;
    input.rewind()?;
    Ok(input)
}

/// Its path, by which it is known in the list of processes; or, if it was replaced meanwhile, the file that runs.
fn this_program() -> PathBuf {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ticket_is_refused() {
        for text in ["", "hello", "fsdfs-ticket-1:", "fsdfs-ticket-1:AAAA", "fsdfs-cap-1:AAAA"] {
            let problem = parse(text).expect_err(text);
            assert!(problem.what.starts_with("this ticket cannot be used: ") && !problem.next.is_empty(), "{problem}");
        }
    }

    #[test]
    fn nothing_of_the_ticket_is_left_in_the_arguments() {
        let ticket = "fsdfs-ticket-1:AAAA";
        let line = |words: &[&str]| -> Vec<String> {
            let args: Vec<OsString> = words.iter().map(OsString::from).collect();
            without(&args, ticket).map(|arg| arg.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(
            line(&["fsdfs", "--home", "/h", "join", ticket, "--name", "bob"]),
            ["--home", "/h", "join", "-", "--name", "bob"]
        );
        assert_eq!(line(&["fsdfs", "join", "--", ticket]), ["join", "--", "-"]);
    }

    #[test]
    fn a_ticket_that_is_handed_over_is_read_from_the_beginning() {
        let mut text = String::new();
        input_of("secret").expect("made").read_to_string(&mut text).expect("read");
        assert_eq!(text, "secret");
    }

    #[test]
    fn a_ticket_comes_out_of_a_file() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("ticket");
        std::fs::write(&path, "fsdfs-ticket-1:AAAA\n").expect("written");
        let read = |path: &Path| read(TicketSource::File(path), OutputMode::default());
        assert_eq!(read(&path).expect("read"), "fsdfs-ticket-1:AAAA\n");
        assert!(read(&temp.path().join("other")).is_err());
    }
}
