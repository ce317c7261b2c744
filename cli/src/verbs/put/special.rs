//! Sources that are no file or folder: pipes, sockets and devices, and links to anything.

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::outcome::CliError;
use crate::program::{ProgramName, quote};
use crate::remote::RemotePath;
use crate::text::escape;

/// What a link points at in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkedKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A pipe, socket or device.
    Special(&'static str),
    /// Nothing that can be reached.
    Nothing,
}

/// Follows a link.
pub fn linked(link: &Path) -> LinkedKind {
    let Ok(meta) = std::fs::metadata(link) else { return LinkedKind::Nothing };
    match meta.file_type() {
        kind if kind.is_file() => LinkedKind::File,
        kind if kind.is_dir() => LinkedKind::Folder,
        kind if kind.is_fifo() => LinkedKind::Special("a pipe"),
        kind if kind.is_socket() => LinkedKind::Special("a socket"),
        _ => LinkedKind::Special("a device"),
    }
}

/// Why a pipe, socket or device is not stored, and how to store what comes from it.
pub fn problem(program: &ProgramName, from: &Path, to: &RemotePath, kind: &str) -> CliError {
    let what = format!("it is {kind}, not a file");
    if kind == "a socket" {
        return format!("{what}, and has no content").into();
    }
    let put = program.command_of(["put".into(), "-".into(), to.to_os_string()]);
    // What a shell opened for this one command is gone afterwards.
    if from.starts_with("/dev/fd") || from.starts_with("/proc/self/fd") {
        return CliError::new(what, format!("store what a command prints: COMMAND | {put}"));
    }
    CliError::new(what, format!("store what comes from it: {put} < {}", quote(from.as_os_str())))
}

/// What is said about a link that is stored as a link, and how to store what it points at instead.
pub fn link_note(program: &ProgramName, link: &Path, to: &RemotePath, kind: LinkedKind) -> String {
    let shown = escape::name(link.as_os_str().as_encoded_bytes());
    let put: [OsString; 4] = ["put".into(), "-L".into(), link.into(), to.to_os_string()];
    let put = program.command_of(put);
    match kind {
        LinkedKind::Nothing | LinkedKind::Special(_) => {
            format!("note: {shown} is a symbolic link to something that does not exist; it is stored as a link")
        }
        LinkedKind::File => {
            format!("note: {shown} is a symbolic link, and stored as one; store the file itself: {put}")
        }
        // A folder does not take the place of a link.
        LinkedKind::Folder => {
            let rm = program.command_of(["rm".into(), to.to_os_string()]);
            // Not `&&`: fewer copies than wanted are an exit code other than 0.
            format!("note: {shown} is a symbolic link, and stored as one; store the folder itself: {rm}; {put}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_link_points_at() {
        let temp = tempfile::tempdir().expect("temp");
        let path = |name: &str| temp.path().join(name);
        std::fs::create_dir(path("folder")).expect("dir");
        std::fs::write(path("file"), b"x").expect("file");
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("fifo");
        for (target, kind) in [
            ("folder", LinkedKind::Folder),
            ("file", LinkedKind::File),
            ("pipe", LinkedKind::Special("a pipe")),
            ("/dev/null", LinkedKind::Special("a device")),
            ("gone", LinkedKind::Nothing),
        ] {
            let link = path(&format!("to {}", target.trim_start_matches("/dev/")));
            symlink(target, &link).expect("link");
            assert_eq!(linked(&link), kind, "{target}");
        }
    }

    #[test]
    fn every_text_names_a_whole_command() {
        let program = ProgramName::for_tests();
        let to = RemotePath::parse(OsStr::new("/x/a b")).expect("a path");
        assert_eq!(
            problem(&program, Path::new("a b"), &to, "a pipe").to_string(),
            "it is a pipe, not a file\n  store what comes from it: fsdfs put - '/x/a b' < 'a b'"
        );
        assert_eq!(
            problem(&program, Path::new("/dev/fd/63"), &to, "a pipe").next,
            "store what a command prints: COMMAND | fsdfs put - '/x/a b'"
        );
        assert!(
            link_note(&program, Path::new("a b"), &to, LinkedKind::Folder)
                .ends_with(": fsdfs rm '/x/a b'; fsdfs put -L 'a b' '/x/a b'")
        );
        assert!(link_note(&program, Path::new("a"), &to, LinkedKind::File).ends_with(": fsdfs put -L a '/x/a b'"));
    }
}
