//! `fsdfs admins`: who may revoke anyone, and who says so.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fsdfs_node::home::parse_root_key;
use fsdfs_proto::control::{AdminChange, AdminListing};
use fsdfs_proto::identity::SecretKey;
use fsdfs_proto::ids::hex;

use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus, problem};
use crate::text::escape;

/// Bytes of a file with a root key at most: 24 words have fewer than 250.
const ROOT_KEY_BYTES_MAX: u64 = 4 << 10;

/// Show the pool's admins; add one, or take one off the list, with the pool's root key.
///
/// An admin may revoke any member that is no admin, and admins behind it on the list; its node begins new keys when a
/// member is revoked. The node that created the pool is the first admin. Keep two at least: if the only admin's node is
/// lost, others can revoke those whom they invited themselves, and nothing else, until the root key names a new one.
#[derive(Args, Clone, Debug)]
pub struct AdminsCommand {
    #[command(subcommand)]
    action: Option<AdminsAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum AdminsAction {
    /// Add a member to the end of the list.
    Add(AdminsArgs),
    /// Take an admin off the list. It stays a member, and what it signed stays valid; it ranks behind all who are on the
    /// list. To take every power from it, revoke it: members revoke NAME --root-key FILE.
    Remove(AdminsArgs),
}

#[derive(Args, Clone, Debug)]
struct AdminsArgs {
    /// Its name, or its id as `members --json` shows it.
    #[arg(value_name = "NAME")]
    member: String,
    /// The file with the pool's root key, or its 24 words; - reads them from the standard input.
    #[arg(long, value_name = "FILE")]
    root_key: PathBuf,
}

impl AdminsCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let (args, add) = match self.action {
            None => {
                let admins = api.client().admins().await.map_err(|error| api.stop(&error))?;
                return app.output.result(&admins, listed(&admins)).map(|()| ExitStatus::Fine);
            }
            Some(AdminsAction::Add(args)) => (args, true),
            Some(AdminsAction::Remove(args)) => (args, false),
        };
        let change = AdminChange { root_key: read_root_key(&args.root_key)?, member: args.member, add };
        let admins = api.client().change_admins(&change).await.map_err(|error| api.stop(&error))?;
        app.output.done(&admins, format!("the admins are now, by rank:\n{}", listed(&admins).trim_end()))?;
        Ok(ExitStatus::Fine)
    }
}

fn listed(admins: &AdminListing) -> String {
    let line = |admin: &fsdfs_proto::control::AdminEntry| {
        format!("{} ({})\n", escape::name(admin.name.as_bytes()), admin.id.get(..8).unwrap_or(&admin.id))
    };
    let lines: String = admins.admins.iter().map(line).collect();
    if lines.is_empty() { "there are no admins\n".into() } else { lines }
}

/// The root key in a file, as digits or words; 64 hexadecimal digits.
pub fn read_root_key(path: &Path) -> CliResult<String> {
    read_key(path, "root key").map(|key| hex(key.as_bytes()))
}

/// A root key or a spare key in a file, as digits or words.
pub fn read_key(path: &Path, what: &str) -> CliResult<SecretKey> {
    // What was typed is in the shell's history and was in the list of processes; it is not repeated here.
    if path.to_str().and_then(parse_root_key).is_some() {
        return problem(
            format!("the {what} itself was given where the name of a file belongs; it is in this shell's history"),
            "remove that line from the history, and give - to type the key when asked",
        );
    }
    let unreadable = |error: io::Error| {
        let shown = escape::name(path.as_os_str().as_encoded_bytes());
        CliError::new(format!("cannot read the {what} from {shown}: {error}"), "name the file that has it")
    };
    let mut text = String::new();
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            crate::output::warn(&format!("Type the 24 words of the {what} in one line, then press Enter:"));
            let mut input = Read::take(io::stdin().lock(), ROOT_KEY_BYTES_MAX);
            io::BufRead::read_line(&mut input, &mut text).map_err(unreadable)?;
        } else {
            io::stdin().take(ROOT_KEY_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        }
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(ROOT_KEY_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    }
    let wrong = || {
        CliError::new(format!("that is no {what}"), "it is 64 hexadecimal digits or 24 words, as 'fsdfs init' gave it")
    };
    Ok(parse_root_key(&text).ok_or_else(wrong)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;
    use fsdfs_proto::control::AdminEntry;

    #[test]
    fn admins_are_listed_by_rank() {
        let entry = |name: &str| AdminEntry { id: "ab".repeat(32), name: name.into() };
        let admins = AdminListing { admins: vec![entry("zoe"), entry("anna\u{1b}")] };
        assert_eq!(listed(&admins), "zoe (abababab)\nanna\\x1b (abababab)\n");
        assert_eq!(listed(&AdminListing { admins: vec![] }), "there are no admins\n");
    }

    #[test]
    fn a_root_key_is_read_from_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{}\n", "5a".repeat(32))).expect("written");
        assert_eq!(read_root_key(&path).ok(), Some("5a".repeat(32)));
        let Err(Exit::Problem(typed)) = read_root_key(Path::new(&"5a".repeat(32))) else { panic!("it is no file") };
        assert!(!typed.to_string().contains("5a5a"), "{typed}");
        std::fs::write(&path, "hello").expect("written");
        assert!(read_root_key(&path).is_err() && read_root_key(&folder.path().join("nope")).is_err());
    }
}
