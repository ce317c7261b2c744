//! The help of every command, short and long.

use clap::Command;

/// Columns, whatever terminal the tests run in.
const WIDTH: usize = 100;

/// By file name, such as `fsdfs-config-check.txt`.
pub(super) fn texts() -> Vec<(String, String)> {
    let mut root = crate::command().term_width(WIDTH);
    root.build();
    let mut texts = Vec::new();
    add(&root, &[], &mut texts);
    texts
}

fn add(command: &Command, above: &[&str], texts: &mut Vec<(String, String)>) {
    let path: Vec<&str> = above.iter().copied().chain([command.get_name()]).collect();
    let (short, long) = (command.clone().render_help(), command.clone().render_long_help());
    let typed = path.join(" ");
    texts.push((format!("{}.txt", path.join("-")), format!("$ {typed} -h\n{short}\n$ {typed} --help\n{long}")));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        add(inner, &path, texts);
    }
}

#[test]
fn snapshots_of_every_help_text() {
    super::check_snapshots("help", &texts());
}
