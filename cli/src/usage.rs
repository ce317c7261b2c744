//! What is wrong with a command line, for programs: as every other problem, with a hint that can be typed.

use std::ffi::OsString;

use clap::Command;
use clap::error::ErrorKind;
use fsdfs_proto::control::ErrorCode;

use crate::outcome::CliError;
use crate::program::ProgramName;

/// Whether results and errors are to be JSON, of a line that could not be read.
pub fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

/// What is wrong, in one paragraph, and where to read on.
pub fn problem(program: &ProgramName, command: &Command, args: &[OsString], error: &clap::Error) -> CliError {
    let verb = verb(command, args);
    let what = match error.kind() {
        // Its text is the help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "a command is missing".to_owned()
        }
        _ => first_paragraph(&error.to_string()),
    };
    let help = program.command_of(verb.iter().copied().chain(["--help"]));
    CliError { code: Some(ErrorCode::BadRequest), ..CliError::new(what, format!("what can be typed: {help}")) }
}

fn first_paragraph(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The names of the verb, and of the verb in it, that these arguments begin with.
fn verb<'a>(command: &'a Command, args: &[OsString]) -> Vec<&'a str> {
    let takes_value = |text: &str| {
        let name = text.strip_prefix("--").filter(|name| !name.contains('='));
        command
            .get_arguments()
            .any(|arg| arg.get_long().is_some() && arg.get_long() == name && arg.get_action().takes_values())
    };
    let (mut at, mut names) = (command, Vec::new());
    let mut words = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    while let Some(word) = words.next() {
        if takes_value(&word) {
            words.next();
        } else if let Some(inner) = at.find_subcommand(word.as_ref()) {
            names.push(inner.get_name());
            at = inner;
        } else if !word.starts_with('-') || word == "--" {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, json: bool, what: &str, help: &str) {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let command = crate::command();
        let error = command.clone().try_get_matches_from(&args).expect_err(line);
        let problem = problem(&ProgramName::for_tests(), &command, &args, &error);
        assert!(problem.what.contains(what) && !problem.what.contains('\n'), "{line}: {problem}");
        assert_eq!(problem.next, format!("what can be typed: {help}"), "{line}");
        assert_eq!((wants_json(&args), problem.code), (json, Some(ErrorCode::BadRequest)), "{line}");
    }

    #[test]
    fn a_wrong_line_is_a_problem_like_others() {
        check("fsdfs --json put a", true, "required", "fsdfs put --help");
        check("fsdfs put a --json", true, "required", "fsdfs put --help");
        check("fsdfs --json", true, "a command is missing", "fsdfs --help");
        check("fsdfs config --json", true, "a command is missing", "fsdfs config --help");
        check("fsdfs nope", false, "unrecognized subcommand 'nope'", "fsdfs --help");
        check("fsdfs --home put ls nope", false, "a path in the store begins with a slash", "fsdfs ls --help");
        check("fsdfs --json members revoke", true, "required", "fsdfs members revoke --help");
        check("fsdfs plan copies 0 --json", true, "0", "fsdfs plan copies --help");
        check("fsdfs cat --range=x /a -- --json", false, "a range is", "fsdfs cat --help");
        check("fsdfs --colour ls", false, "--colour", "fsdfs ls --help");
    }
}
