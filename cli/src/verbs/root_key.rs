//! `fsdfs root-key`: which root key counts, and the next one in its place.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use fsdfs_node::home::write_root_key;
use fsdfs_proto::control::{RootKeyAnswer, RootKeyReplacement, RootStatement};
use fsdfs_proto::identity::{ROOT_KEYS_MAX, SecretKey, root_key};
use fsdfs_proto::ids::hex;

use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus, problem};
use crate::text::escape;
use crate::verbs::{admins, setup};

/// Digits of a statement's id that are shown, and are enough to name it.
const ID_DIGITS: usize = 8;

/// Show which root key of the pool counts and what root keys signed; put the next one in its place.
///
/// A pool is made with a root key, for use, and a spare key, from which the next root keys are made. Keep them apart from each
/// other: who has the spare key alone can take the root key's place.
#[derive(Args, Clone, Debug)]
pub struct RootKeyCommand {
    #[command(subcommand)]
    action: Option<RootKeyAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum RootKeyAction {
    /// Put the next root key in the place of one that was lost or stolen.
    ///
    /// From then on everybody accepts what the new one signs, and nothing new of the old one, whatever a thief signs with it and
    /// no matter which node hears it first. What the old one signed up to now stays valid, as this node knows it, but for what --without
    /// names. Members, tickets, files and the pool's id stay. Do it on any member's node that is connected to others.
    Replace(ReplaceArgs),
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("place").required(true))]
struct ReplaceArgs {
    /// The file with the pool's spare key, or its 24 words; - reads them from the standard input. The node never gets it.
    #[arg(long, value_name = "FILE")]
    spare_key: PathBuf,
    /// Write the new root key to this file, which must not exist.
    #[arg(long, value_name = "FILE", group = "place")]
    new_root_key: Option<PathBuf>,
    /// Show the new root key as 24 words to be written on paper, and store it nowhere.
    #[arg(long, group = "place")]
    words: bool,
    /// A statement of an earlier root key that is to be void, by at least 8 digits of its id: what a thief signed.
    #[arg(long, value_name = "ID")]
    without: Vec<String>,
}

impl RootKeyCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let before = api.client().root_key().await.map_err(|error| api.stop(&error))?;
        let Some(RootKeyAction::Replace(args)) = self.action else {
            return app.output.result(&before, shown(&before)).map(|()| ExitStatus::Fine);
        };
        let without = args.without.iter().map(|id| the_statement(&before, id)).collect::<CliResult<Vec<String>>>()?;
        let next = before.number.saturating_add(1);
        if before.number == 0 || usize::from(next) > ROOT_KEYS_MAX {
            return problem("this pool has no further root key", "create a new pool, and move the files there");
        }
        let key = root_key(&admins::read_key(&args.spare_key, "spare key")?, next);
        if let Some(file) = &args.new_root_key {
            // Before it counts: a pool whose root key is lost has to use up the next one.
            write_root_key(file, &key).map_err(|error| {
                CliError::new(error.to_string(), "name a file that does not exist, in a folder that does")
            })?;
        }
        let new = RootKeyReplacement { root_key: hex(key.as_bytes()), without };
        let replaced = api.client().replace_root_key(&new).await.inspect_err(|_| {
            // It counts nowhere.
            args.new_root_key.iter().for_each(|file| drop(std::fs::remove_file(file)));
        });
        let replaced = replaced.map_err(|error| api.stop(&error))?;
        app.output.done(&replaced, done(&replaced, &args, &key)).map(|()| ExitStatus::Fine)
    }
}

fn done(replaced: &RootKeyAnswer, args: &ReplaceArgs, key: &SecretKey) -> String {
    let place = match &args.new_root_key {
        Some(file) => format!("it is in {}; keep it safe", escape::name(file.as_os_str().as_encoded_bytes())),
        None => format!("write these words down, they are stored nowhere:\n{}", setup::numbered_words(key).trim_end()),
    };
    format!("root key {} of the pool counts from now on, and no earlier one; {place}", replaced.number)
}

/// A whole id, from the beginning of one.
fn the_statement(known: &RootKeyAnswer, wanted: &str) -> CliResult<String> {
    let fits = |it: &&RootStatement| wanted.len() >= ID_DIGITS && it.id.starts_with(&wanted.to_lowercase());
    let mut found = known.statements.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.id.clone()),
        _ => problem(
            format!("no statement of a root key has the id '{}'", escape::name(wanted.as_bytes())),
            "'fsdfs root-key' shows them; give at least 8 digits",
        ),
    }
}

fn shown(roots: &RootKeyAnswer) -> String {
    let mut text = match roots.number {
        0 => "this pool has one root key and no spare ones\n".to_owned(),
        number => format!("root key {number} counts ({}); {} can still follow\n", short(&roots.key), roots.left),
    };
    if roots.copied {
        text += "! it signed two statements that contradict each other: somebody else has it, too; replace it\n";
    }
    text += "signed by root keys, and valid:\n";
    for statement in &roots.statements {
        text += &format!("  {}  {}\n", short(&statement.id), escape::name(statement.text.as_bytes()));
    }
    text
}

fn short(id: &str) -> &str {
    id.get(..ID_DIGITS).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots() -> RootKeyAnswer {
        let statement = |id: &str, text: &str| RootStatement { id: id.repeat(32), text: text.into() };
        RootKeyAnswer {
            number: 2,
            key: "cd".repeat(32),
            left: 14,
            copied: false,
            statements: vec![statement("ab", "certificate of anna"), statement("ef", "revocation of bob\u{1b}")],
        }
    }

    #[test]
    fn statements_are_shown_with_what_names_them() {
        assert_eq!(
            shown(&roots()),
            "root key 2 counts (cdcdcdcd); 14 can still follow\nsigned by root keys, and valid:\n  \
             abababab  certificate of anna\n  efefefef  revocation of bob\\x1b\n"
        );
        assert!(shown(&RootKeyAnswer { copied: true, ..roots() }).contains("! it signed two"));
    }

    #[test]
    fn a_statement_is_named_by_eight_digits() {
        assert_eq!(the_statement(&roots(), "ABABABAB").ok(), Some("ab".repeat(32)));
        for wrong in ["abab", "00000000", ""] {
            assert!(the_statement(&roots(), wrong).is_err(), "{wrong}");
        }
    }
}
