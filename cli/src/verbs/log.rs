//! `fsdfs log`: how a volume, or a path in it, was at earlier times.

use clap::Args;
use fsdfs_proto::control::{EntryKind, HistoryReply, ListingEntry, StateEntry};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::remote::RemotePath;
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::at;

/// Show the earlier states of the pool, or of one file or folder.
///
/// Without PATH: the states that can be read, the newest first. With PATH: what they have there, one line for as long as it
/// was the same. Not every state is kept: of each hour of the last day the last one, of each six hours of the last week, of
/// each day of the last thirty, unless `fsdfs snapshots keep` says otherwise. What was written and removed between two
/// states that are kept is not shown.
///
/// A TIME of the list, or the state itself, is what --at of ls, cat, get, stat and restore takes.
#[derive(Args, Clone, Debug)]
pub struct LogCommand {
    /// A file or folder, /PATH.
    #[arg(value_name = "PATH", value_parser = crate::remote::remote())]
    path: Option<RemotePath>,
}

impl LogCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let volume = self.path.as_ref().map_or(crate::remote::DEFAULT_VOLUME, |path| &path.volume);
        let found = api.history(volume, self.path.as_ref()).await;
        let history = found.map_err(|error| match &self.path {
            Some(path) => api.stop_at(path, &error),
            None => api.stop(&error),
        })?;
        let text = match &self.path {
            None => states(&history.states),
            Some(path) => {
                let spans = spans(&history.states);
                if spans.iter().all(|span| matches!(span.what, PastEntry::Nothing)) {
                    return crate::outcome::problem(
                        format!("{path}: no state that is kept has it"),
                        format!("see what is kept: {}", app.program.command("snapshots")),
                    );
                }
                let undelete = app.program.command_of(["undelete".into(), path.to_os_string()]);
                table(&spans) + &hint(&spans, &undelete)
            }
        };
        app.output.result(&history, text)?;
        Ok(freshness(app, &history))
    }
}

/// Says what may be missing in a history.
pub fn freshness(app: &AppContext, history: &HistoryReply) -> ExitStatus {
    if history.maybe_stale {
        app.output.note(super::MAYBE_STALE);
    }
    if history.unpublished_on.is_empty() {
        return ExitStatus::Fine;
    }
    app.output.failed(&super::incomplete(&history.unpublished_on.iter().cloned().collect()));
    ExitStatus::Attention
}

fn states(states: &[StateEntry]) -> String {
    let left = ColumnAlign::Left;
    let mut table = TextTable::new(&[("TIME", left), ("BY", left), ("STATE", left)]);
    for state in states {
        table.row([when(state), by(state), at::short(&state.state).to_owned()]);
    }
    table.to_string()
}

/// When a state was made; of one that stands, that too.
pub fn when(state: &StateEntry) -> String {
    if state.stands { format!("{} (now)", at::time(state)) } else { at::time(state) }
}

/// Who made it.
pub fn by(state: &StateEntry) -> String {
    state.by.as_ref().map_or_else(|| "-".into(), |by| escape::name(by.as_bytes()))
}

/// What a path was in some states in a row.
struct PastSpan<'a> {
    newest: &'a StateEntry,
    oldest: &'a StateEntry,
    what: PastEntry<'a>,
}

enum PastEntry<'a> {
    Nothing,
    Unreadable,
    There(&'a ListingEntry),
}

/// Neighbours that are the same are one, the newest first.
fn spans(states: &[StateEntry]) -> Vec<PastSpan<'_>> {
    let mut spans: Vec<PastSpan> = Vec::new();
    for state in states {
        let is_same = |last: &StateEntry| identity(last) == identity(state);
        match spans.last_mut().filter(|span| is_same(span.oldest)) {
            Some(span) => span.oldest = state,
            None => {
                let what = match &state.entry {
                    Some(entry) => PastEntry::There(entry),
                    None if state.unreadable => PastEntry::Unreadable,
                    None => PastEntry::Nothing,
                };
                spans.push(PastSpan { newest: state, oldest: state, what });
            }
        }
    }
    spans
}

/// Whether it can be read, its content, and its attributes.
type EntryIdentity<'a> = (bool, Option<&'a str>, Option<(EntryKind, u32, i64)>);

/// Equal for equal content and attributes.
fn identity(state: &StateEntry) -> EntryIdentity<'_> {
    let entry = state.entry.as_ref().map(|entry| (entry.kind, entry.mode, entry.mtime_ns));
    (state.unreadable, state.tag.as_deref(), entry)
}

fn table(spans: &[PastSpan]) -> String {
    let (left, right) = (ColumnAlign::Left, ColumnAlign::Right);
    let columns = [("FROM", left), ("TO", left), ("SIZE", right), ("CHANGED", left), ("BY", left), ("STATE", left)];
    let mut table = TextTable::new(&columns);
    for PastSpan { newest, oldest, what } in spans {
        let to = if newest.stands { "now".into() } else { at::time(newest) };
        let (size, changed) = match what {
            PastEntry::Nothing => ("not there".into(), String::new()),
            PastEntry::Unreadable => ("cannot be read now".into(), String::new()),
            PastEntry::There(entry) => (size(entry), human::time_ns(entry.mtime_ns)),
        };
        table.row([at::time(oldest), to, size, changed, by(oldest), at::short(&newest.state).to_owned()]);
    }
    table.to_string()
}

fn size(entry: &ListingEntry) -> String {
    match entry.kind {
        EntryKind::File => human::size(entry.size),
        EntryKind::Folder => "folder".into(),
        EntryKind::Link => "link".into(),
    }
}

/// How what is gone comes back.
fn hint(spans: &[PastSpan], undelete: &str) -> String {
    match spans {
        [PastSpan { newest, what: PastEntry::Nothing, .. }, ..] if newest.stands => {
            format!("it is not there now; bring it back: {undelete}\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn state(number: u8, entry: Option<(EntryKind, u64)>) -> StateEntry {
        let entry = entry.map(|(kind, size)| ListingEntry {
            name: "a".into(),
            name_bytes: None,
            kind,
            size,
            mode: 0o644,
            mtime_ns: 0,
            target: None,
            target_bytes: None,
            xattrs: Vec::new(),
            hard_link: None,
            conflict_of: None,
            written_ms: 0,
            content: None,
        });
        StateEntry {
            state: format!("{number:02}").repeat(32),
            time_ms: Some(u64::from(number) * 3_600_000),
            by: Some("anna".into()),
            stands: false,
            kept: None,
            only_here: false,
            tag: entry.as_ref().map(|entry| entry.size.to_string()),
            entry: entry.map(Box::new),
            unreadable: false,
        }
    }

    #[test]
    fn what_stayed_the_same_is_one_line() {
        let file = |size| Some((EntryKind::File, size));
        let mut all = vec![state(9, None), state(8, file(2)), state(7, file(2)), state(6, file(1)), state(5, None)];
        all[0].stands = true;
        let spans = spans(&all);
        let lines: Vec<String> =
            spans.iter().map(|span| format!("{}-{}", &span.oldest.state[..2], &span.newest.state[..2])).collect();
        assert_eq!(lines, ["09-09", "07-08", "06-06", "05-05"]);
        let text = table(&spans);
        assert!(text.lines().nth(1).is_some_and(|line| line.contains("now") && line.contains("not there")), "{text}");
        assert!(text.lines().nth(2).is_some_and(|line| line.contains("2 B") && line.contains("08080808")), "{text}");
        assert!(hint(&spans, "fsdfs undelete /a").ends_with("fsdfs undelete /a\n"));
        assert!(hint(&spans[1..], "").is_empty());
    }
}
