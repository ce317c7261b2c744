//! What the documents promise is there.

use clap::error::ErrorKind;

use super::{files_ending, read, root, shown};

#[test]
fn links_lead_somewhere() {
    for path in files_ending(&[".md"]) {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let to = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(to.exists(), "{}: there is no {target}", shown(&path));
            assert!(
                heading.is_empty() || anchors(&read(&to)).contains(&heading.to_owned()),
                "{}: {target}",
                shown(&path)
            );
        }
    }
}

/// The names of a document's headings as links use them.
fn anchors(text: &str) -> Vec<String> {
    let keep = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(keep)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn changes_pass_the_test_command_of_the_readme() {
    let (readme, ci) = (read(&root().join("README.md")), read(&root().join(".ci/run")));
    let command = ci.lines().find_map(|line| line.strip_prefix("step cargo test")).expect("every change is tested");
    let commands = shell_lines(&readme);
    assert!(commands.contains(&format!("cargo test{command}")), "the README does not say cargo test{command}");
}

/// What a reader types: the lines of fenced `sh` blocks without their comments.
fn shell_lines(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let code = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    blocks.flat_map(str::lines).map(code).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// And what he may type: code between backticks within a line.
fn inline_code(text: &str) -> Vec<String> {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn commands_of_the_readme_exist() {
    let readme = read(&root().join("README.md"));
    let typed = shell_lines(&readme).into_iter().chain(inline_code(&readme)).map(|line| own_command(&line));
    let typed: Vec<String> = typed.filter(|line| line.starts_with("fsdfs ")).collect();
    assert!(typed.len() > 5, "only {typed:?} were found in the README");
    let wrong: Vec<String> = typed.iter().filter_map(|line| complaint(line)).collect();
    assert!(wrong.is_empty(), "the README names what the program does not know:\n{}", wrong.join("\n"));
}

/// From the source folder the program is called through cargo.
fn own_command(line: &str) -> String {
    line.strip_prefix("cargo run --release -- ").map_or_else(|| line.to_owned(), |rest| format!("fsdfs {rest}"))
}

fn complaint(line: &str) -> Option<String> {
    let error = fsdfs::command().try_get_matches_from(line.split_whitespace()).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        // A sentence may name a command without saying what it is applied to.
        ErrorKind::MissingRequiredArgument => None,
        _ => Some(format!("{line}: {}", error.to_string().lines().next().unwrap_or_default())),
    }
}
