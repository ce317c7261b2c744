//! Every command that the program tells its user to type is one that it understands.

use std::fs;

use clap::Parser as _;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::words::{literals, sources, workspace};
use crate::args::CommandLine;

/// Words in a text that stand for what its reader fills in.
const FILLED_IN: &[(&str, &str)] = &[
    ("TICKET", "fsdfs-ticket-1:x"),
    ("DIR", "/tmp/x"),
    ("PATH", "/x"),
    ("NAME", "anna"),
    ("FILE", "x"),
    ("SIZE", "20TB"),
];

/// The commands in a text that names them as 'fsdfs VERB ...'.
fn quoted(text: &str) -> Vec<String> {
    let begun = text.match_indices("'fsdfs ").map(|(at, _)| &text[at + 1..]);
    begun.filter_map(|rest| Some(rest.split_once('\'')?.0.to_owned())).collect()
}

/// The commands that the sources hand to `ProgramName::command`.
fn handed_over(tokens: TokenStream) -> Vec<String> {
    let mut commands = Vec::new();
    let mut is_call = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let text = group.stream().to_string();
                if is_call && group.delimiter() == Delimiter::Parenthesis && text.starts_with('"') {
                    commands.push(format!("fsdfs {}", text.trim_matches('"')));
                }
                commands.extend(handed_over(group.stream()));
                is_call = false;
            }
            TokenTree::Ident(word) => is_call = word == "command",
            TokenTree::Punct(_) | TokenTree::Literal(_) => is_call = false,
        }
    }
    commands
}

fn check(command: &str) -> Result<(), String> {
    let words = command.split_whitespace().map(|word| {
        let filled = FILLED_IN.iter().find(|(name, _)| *name == word);
        filled.map_or(word, |(_, value)| value)
    });
    match CommandLine::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(error) if !error.use_stderr() => Ok(()),
        Err(error) => Err(format!("{command}: {}", error.to_string().lines().next().unwrap_or_default())),
    }
}

#[test]
fn every_command_in_a_hint_is_understood() {
    let mut commands = Vec::new();
    for folder in ["cli/src", "node/src"] {
        for source in sources(&workspace().join(folder)) {
            let text = fs::read_to_string(&source).expect("a source file");
            let tokens: TokenStream = text.parse().expect("it compiles");
            commands.extend(literals(tokens.clone()).iter().flat_map(|literal| quoted(literal)));
            if folder == "cli/src" {
                commands.extend(handed_over(tokens));
            }
        }
    }
    commands.retain(|command| !command.contains('{'));
    assert!(commands.len() > 40, "they are found: {commands:?}");
    let wrong: Vec<String> = commands.iter().filter_map(|command| check(command).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_are_found_in_texts() {
    assert_eq!(quoted("it's full: see 'fsdfs df', or 'fsdfs ls PATH'"), ["fsdfs df", "fsdfs ls PATH"]);
    let tokens = "program.command(\"invite --list\"); command(); program.command(&x)".parse().expect("tokens");
    assert_eq!(handed_over(tokens), ["fsdfs invite --list"]);
    assert!(check("fsdfs rm -r PATH").is_ok() && check("fsdfs rm -r").is_err() && check("fsdfs get").is_err());
    assert!(check("fsdfs --home DIR --home DIR up").is_err());
}

/// Commands in help texts begin a line, or stand behind words of explanation.
#[test]
fn commands_in_help_texts_are_understood() {
    let mut checked = 0;
    for (name, text) in super::help::texts() {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("fsdfs ") || line.starts_with("put ") || line.starts_with("get "));
        // An explanation follows behind at least two blanks.
        let commands = lines.filter_map(|line| line.split_once("  ").map(|(command, _)| command.trim().to_owned()));
        for command in commands.filter(|command| !command.contains(['[', '<', '|']) && !command.contains("--help")) {
            // A verb alone stands in the list of verbs.
            if command == "put" || command == "get" {
                continue;
            }
            let command = if command.starts_with("fsdfs ") { command } else { format!("fsdfs {command}") };
            checked += 1;
            assert_eq!(check(&command), Ok(()), "{name}");
        }
    }
    assert!(checked > 15, "{checked} were found");
}
