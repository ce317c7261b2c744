//! Commands in hints are typed as they stand there.

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::ClusterNode;

use super::Answer;

/// The commands in a text: from the program's name to the sign that closes them, three blanks, or the end of the line.
pub fn commands(text: &str) -> Vec<String> {
    let name = env!("CARGO_BIN_EXE_fsdfs-under-test");
    let mut commands = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(name) {
            let sign = rest[..at].chars().next_back().filter(|sign| "'`\"".contains(*sign));
            let begun = &rest[at..];
            let end = sign.and_then(|sign| begun.find(sign)).or_else(|| begun.find("   ")).unwrap_or(begun.len());
            // Who speaks stands in front of errors.
            if !begun[name.len()..].starts_with(':') {
                commands.push(begun[..end].trim_end().to_owned());
            }
            rest = &begun[end..];
        }
    }
    commands
}

/// Types what a text says to type: each command is understood, and ends with one of these codes.
pub fn follow(node: &ClusterNode, folder: &std::path::Path, text: &str, codes: &[i32]) -> Result<usize> {
    let commands = commands(text);
    for command in &commands {
        let answer = Answer::paste(node, folder, command)?;
        let (code, said) = (answer.code, answer.stderr + &answer.stdout);
        ensure!(!said.contains("Usage:") || command.ends_with("--help"), "{command} is not understood: {said}");
        ensure!(codes.contains(&code), "{command} ended with {code}: {said}");
    }
    Ok(commands.len())
}

#[test]
fn commands_are_found_in_hints() {
    let name = env!("CARGO_BIN_EXE_fsdfs-under-test");
    let text =
        format!("see '{name} df'; or `{name} --home '/a b' ls`\n  start it: {name} up   stop it: {name} down\nno");
    let expected =
        [format!("{name} df"), format!("{name} --home '/a b' ls"), format!("{name} up"), format!("{name} down")];
    assert_eq!(commands(&text), expected);
}
