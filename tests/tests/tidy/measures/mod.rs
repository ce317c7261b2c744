//! The measures of the code beside their budgets: `cargo test -p fsdfs-tests tidy -- --nocapture` prints them.

mod architecture;
mod budgets;
mod calls;
mod engine;
mod functions;
mod graph;
mod imports;
mod modules;
mod names;
mod source;
mod walls;
mod words;
mod workspace;

use self::budgets::{HOMONYMS, Measured, ONE_WORD_TYPES};
use self::functions::functions;
use self::names::TypeNames;
use self::source::{SourceFile, all_sources};
use self::workspace::Workspace;

/// Of each measure that is not at its goal so many places are printed.
const WORST_SHOWN: usize = 12;

#[test]
fn measures_keep_their_budgets() {
    let files = all_sources();
    let workspace = Workspace::of(&files);
    let names = TypeNames::of(&files);
    let mut measures = engine::measures(&workspace);
    measures.extend(workspace.import_rings());
    measures.extend(walls::measures(&files));
    measures.push(ONE_WORD_TYPES.measured(names.one_word_percent(), names.one_word_places()));
    measures.push(HOMONYMS.measured(names.homonym_percent(), names.homonym_places()));
    measures.push(words::banned_words());
    measures.extend(architecture::measures());
    print(&measures, &files);
    let missed: Vec<&str> = measures.iter().filter(|one| !one.is_allowed()).map(|one| one.budget.name).collect();
    assert!(missed.is_empty(), "budgets that were missed: {}", missed.join(", "));
}

/// The table and, below it, where what is over its goal is worst. One string, as tests beside this one print, too.
fn print(measures: &[Measured], files: &[SourceFile]) {
    let mut text = format!("\n{:<46} {:>9}   {:>10}   {:>9}\n", "measure", "now", "goal", "allowed");
    for measure in measures {
        text += &format!("{}\n", measure.row());
    }
    text += &lengths(files);
    for measure in measures.iter().filter(|measure| !measure.is_at_goal()) {
        text += &format!("\n{}, worst places:\n", measure.budget.name);
        for place in measure.worst.iter().take(WORST_SHOWN) {
            text += &format!("  {place}\n");
        }
        if measure.worst.len() > WORST_SHOWN {
            text += &format!("  and {} more\n", measure.worst.len() - WORST_SHOWN);
        }
    }
    println!("{text}");
}

/// For information: how long functions and files are, without tests.
fn lengths(files: &[SourceFile]) -> String {
    let production = |file: &&SourceFile| !file.is_test();
    let of_functions = functions(files).iter().map(|function| function.lines).collect();
    let of_files = files.iter().filter(production).map(|file| file.lines.len()).collect();
    let row = |what: &str, mut lengths: Vec<usize>| {
        lengths.sort_unstable();
        let at = |percent: usize| lengths[(lengths.len() - 1) * percent / 100];
        format!("{what:<46} {} / {} / {} lines (p50, p90, longest)\n", at(50), at(90), at(100))
    };
    row("functions", of_functions) + &row("files", of_files)
}
