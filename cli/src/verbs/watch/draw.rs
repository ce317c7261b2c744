//! What `watch` shows, as lines that fit a screen of any size. Pure: time and time zone come in.

use fsdfs_proto::control::{MemberEntry, MemberPresence, MemberShare, NodeStatus, SpeedLimit};
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::history::WatchHistory;
use crate::text::{escape, human};
use crate::verbs::members;
use crate::verbs::status::{NodeState, absence, attention, copies, meaning, moved, storage, up_of};

/// Columns that a name takes at most: names have up to 64 bytes.
const NAME_COLUMNS_MAX: usize = 16;
/// Below so many columns the space of the members is left out, so that their state can be read.
const COLUMNS_WITH_SPACE: usize = 60;
/// Lines that warnings and events have even if there are many members.
const LINES_KEPT: usize = 3;

/// Everything that a picture is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchView<'a> {
    pub(super) history: &'a WatchHistory,
    /// Time of day, as shown.
    pub(super) clock: &'a str,
    /// For so long the node has not answered, if that is longer than usual.
    pub(super) silent_s: Option<u64>,
    /// What to press, where there is a keyboard.
    pub(super) keys: &'static str,
    pub(super) zone: &'a TimeZone,
}

/// Fills a screen.
pub(super) fn draw(view: &WatchView<'_>, area: Rect, buffer: &mut Buffer) {
    let lines = lines(view, area.width.into(), area.height.into());
    Paragraph::new(lines).render(area, buffer);
}

/// The same without colours, as long as it takes.
pub(super) fn plain(view: &WatchView<'_>, columns: usize) -> String {
    let lines = lines(view, columns, usize::MAX);
    lines.iter().map(|line| format!("{}\n", line.to_string().trim_end())).collect()
}

/// At most so many, each at most so wide.
fn lines(view: &WatchView<'_>, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let status = &view.history.last().status;
    let (events, warnings) = (view.history.events().len(), status.attention.len());
    let facts = if rows < 16 { 2 } else { 4 };
    let everyone = shown_members(view).len();
    // Blank lines stand between the sections where all of them have their lines.
    let wanted = 2 + facts + 1 + everyone + warnings + usize::from(events > 0) + events.min(LINES_KEPT);
    let gap = usize::from(wanted.saturating_add(3) <= rows);

    let mut lines = vec![title(view, columns), state(view, columns)];
    let left = |lines: &Vec<Line<'_>>| rows.saturating_sub(lines.len());
    let kept = warnings.min(LINES_KEPT) + if events > 0 { 1 + events.min(LINES_KEPT) } else { 0 };
    blank(&mut lines, gap);
    let of_members = left(&lines).saturating_sub(facts + kept).max(2);
    lines.extend(member_table(view, columns, of_members));
    blank(&mut lines, gap);
    lines.extend(figures(view, columns).into_iter().take(facts));
    blank(&mut lines, gap.min(warnings));
    let of_warnings = left(&lines).saturating_sub(if events > 0 { 1 + events.min(LINES_KEPT) } else { 0 });
    lines.extend(attentions(status, columns, of_warnings.max(1)));
    if events > 0 {
        blank(&mut lines, gap);
        lines.push(Line::from("LAST").dim());
        let shown = view.history.events().take(left(&lines));
        lines.extend(
            shown
                .map(|event| Line::from(cut(&format!("{}  {}", event.clock, event.text), columns)))
                .collect::<Vec<_>>(),
        );
    }
    lines.truncate(rows);
    lines
}

fn blank(lines: &mut Vec<Line<'_>>, count: usize) {
    lines.extend(std::iter::repeat_n(Line::default(), count));
}

/// Which node of which pool; how many are up; on the right the time.
fn title(view: &WatchView<'_>, columns: usize) -> Line<'static> {
    let sample = view.history.last();
    let (up, all) = up_of(&sample.members);
    let name = |text: &str| escape::name(text.as_bytes());
    let left = format!("{} in {}  {up} of {all} up", name(&sample.status.name), name(&sample.status.pool_name));
    let right = if view.keys.is_empty() { view.clock.to_owned() } else { format!("{}  {}", view.clock, view.keys) };
    let left = cut(&left, columns.saturating_sub(right.width() + 2));
    let space = columns.saturating_sub(left.width() + right.width());
    Line::from(vec![Span::from(left).bold(), Span::from(" ".repeat(space)), Span::from(cut(&right, columns)).dim()])
}

fn state(view: &WatchView<'_>, columns: usize) -> Line<'static> {
    if let Some(seconds) = view.silent_s {
        let text = format!("the node has not answered for {}; this is what it said before", human::span(seconds));
        return Line::from(cut(&text, columns)).style(Style::new().fg(Color::Red));
    }
    let status = &view.history.last().status;
    let state = NodeState::of(status);
    let colour = match state {
        NodeState::Healthy => Color::Green,
        NodeState::Mending | NodeState::NeedsAttention => Color::Yellow,
        NodeState::AtRisk => Color::Red,
    };
    let word = cut(state.word(), columns);
    let rest = cut(&format!(": {}", meaning(status)), columns.saturating_sub(word.width()));
    Line::from(vec![Span::from(word).fg(colour).bold(), Span::from(rest)])
}

/// Those who were revoked are no members any more.
fn shown_members<'a>(view: &WatchView<'a>) -> Vec<&'a MemberEntry> {
    let all = &view.history.last().members.members;
    all.iter().filter(|member| member.presence != MemberPresence::Revoked).collect()
}

/// In the order of the names; if there are too many for the rows, those who are not up come first.
fn member_table(view: &WatchView<'_>, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let mut everyone = shown_members(view);
    let all = &view.history.last().members.members;
    let names: Vec<usize> = everyone.iter().map(|member| members::name_among(member, all).width()).collect();
    let name_columns = names.into_iter().max().unwrap_or(0).clamp("MEMBER".len(), NAME_COLUMNS_MAX);
    let spaces: Vec<String> = everyone.iter().map(|member| space(view, member)).collect();
    let of_space = spaces.iter().map(|space| space.width()).max().unwrap_or(0).max("USED".len());
    let space_columns = if columns < COLUMNS_WITH_SPACE { 0 } else { of_space + 2 };
    let state_columns = columns.saturating_sub(name_columns + 2 + space_columns);
    let row = |name: &str, state: &str, space: &str| {
        let mut text = format!("{}  {}", fill(name, name_columns), fill(state, state_columns));
        if space_columns > 0 {
            text += &format!("{}{space}", " ".repeat(space_columns - space.width()));
        }
        cut(text.trim_end(), columns)
    };
    let mut lines = vec![Line::from(row("MEMBER", "STATE", "USED")).dim()];
    let has_all = everyone.len() < rows;
    let shown = if has_all { everyone.len() } else { rows.saturating_sub(2) };
    if !has_all {
        everyone.sort_by_key(|member| member.presence == MemberPresence::Up);
    }
    for member in everyone.iter().take(shown) {
        let name = members::name_among(member, all);
        let text = row(&name, &presence(member, view.zone), &space(view, member));
        lines.push(Line::from(text).style(match member.presence {
            MemberPresence::Up => Style::new(),
            MemberPresence::Away if member.away.is_some_and(|away| !away.overdue && away.until_ms.is_some()) => {
                Style::new().dim()
            }
            _ => Style::new().fg(Color::Yellow),
        }));
    }
    if let more @ 1.. = everyone.len() - shown {
        lines.push(Line::from(cut(&format!("and {}", human::count(more as u64, "other", "others")), columns)).dim());
    }
    lines
}

fn presence(member: &MemberEntry, zone: &TimeZone) -> String {
    match member.presence {
        MemberPresence::Up if member.me => "up (this node)".into(),
        MemberPresence::Up if !member.connected => "up, not connected to this node".into(),
        MemberPresence::Up => {
            let via = member.via.as_ref().map_or(String::new(), |via| format!(" via {}", escape::name(via.as_bytes())));
            let rtt = member.rtt_ms.map_or(String::new(), |ms| format!(", {ms} ms"));
            format!("up{via}{rtt}")
        }
        MemberPresence::Away | MemberPresence::Departed => absence(member, zone),
        MemberPresence::Removed if member.connected || member.me => "leaving".into(),
        MemberPresence::Removed => "removed".into(),
        MemberPresence::Revoked => "revoked".into(),
        MemberPresence::Other => "unknown".into(),
    }
}

/// What a member has used of what it offers, as it last said: `1.5 of 4.0 TiB`.
fn space(view: &WatchView<'_>, member: &MemberEntry) -> String {
    let space = &view.history.last().space;
    let of = |shares: &[MemberShare]| shares.iter().find(|share| share.id == member.id).map(|share| share.bytes);
    let used = of(&space.offers).zip(of(&space.free)).map(|(offered, left)| human::size(offered.saturating_sub(left)));
    let offered = human::size(member.counted_bytes);
    match (used, member.counted_bytes) {
        (_, 0) => String::new(),
        (None, _) => format!("? of {offered}"),
        (Some(used), _) => match (used.split_once(' '), offered.split_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {offered}"),
            _ => format!("{used} of {offered}"),
        },
    }
}

/// Copies, repair, line and disks, the most important first.
fn figures(view: &WatchView<'_>, columns: usize) -> Vec<Line<'static>> {
    let sample = view.history.last();
    let bandwidth = &sample.bandwidth;
    let rates = view.history.rates();
    let speed = |rate: Option<u64>| rate.map_or("...".into(), |rate| format!("{}/s", human::size(rate)));
    let may = match bandwidth.repair_bytes_per_s {
        0 => "may send nothing now".to_owned(),
        bytes => format!("may send {}", human::speed(bytes)),
    };
    let repair = format!(
        "{} in, {} out; {may}; {}",
        speed(rates.map(|rates| rates.repair_in)),
        speed(rates.map(|rates| rates.repair_out)),
        moved(&sample.status)
    );
    let limit = |limit: &SpeedLimit| match limit.bytes_per_s {
        0 => "no limit".to_owned(),
        bytes => human::speed(bytes),
    };
    let queue = bandwidth.queueing_ms.map_or(String::new(), |ms| format!("; queue of {ms} ms"));
    let metered = if bandwidth.metered.metered { "; metered" } else { "" };
    let line = format!(
        "{} in ({}), {} out ({}){queue}{metered}",
        speed(rates.map(|rates| rates.blocks_in)),
        limit(&bandwidth.download),
        speed(rates.map(|rates| rates.blocks_out)),
        limit(&bandwidth.upload)
    );
    let row = |key: &'static str, value: String| {
        Line::from(vec![
            Span::from(cut(&format!("{key:<9}"), columns)).dim(),
            Span::from(cut(&value, columns.saturating_sub(9))),
        ])
    };
    vec![
        row("copies", copies(&sample.status)),
        row("repair", repair),
        row("line", line),
        row("storage", storage(&sample.status)),
    ]
}

fn attentions(status: &NodeStatus, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let all = &status.attention;
    let shown = if all.len() <= rows { all.len() } else { rows.saturating_sub(1) };
    let mut texts: Vec<String> = all.iter().take(shown).map(|item| format!("! {}", attention(item))).collect();
    if let more @ 1.. = all.len() - shown {
        texts.push(format!("! and {}: see 'fsdfs status'", human::count(more as u64, "other thing", "other things")));
    }
    texts.into_iter().map(|text| Line::from(cut(&text, columns)).fg(Color::Yellow)).collect()
}

/// The beginning of a text, with a mark if there is more.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let kept = text.chars().take_while(|char| {
        let width = char.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    });
    let kept: String = kept.collect();
    if columns == 0 { String::new() } else { kept + "\u{2026}" }
}

fn fill(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let space = " ".repeat(columns.saturating_sub(text.width()));
    text + &space
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_columns_and_not_to_bytes() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab\u{2026}");
        assert_eq!(cut("\u{65e5}\u{672c}", 3), "\u{65e5}\u{2026}");
        assert_eq!((cut("abc", 1), cut("abc", 0)), ("\u{2026}".into(), String::new()));
        assert_eq!(fill("\u{65e5}", 4), "\u{65e5}  ");
    }
}
