//! One line about a transfer that is under way, for a terminal of any width. What does not fit is left out, the least
//! important first: what is under way, the bar, the time left, the rate.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::human;

/// Columns of a bar: fewer show nothing, more say nothing new.
const BAR_COLUMNS_MIN: usize = 10;
const BAR_COLUMNS_MAX: usize = 40;
/// Columns below which a path says nothing.
const NAME_COLUMNS_MIN: usize = 12;
/// Between two parts.
const GAP: usize = 2;

/// Bytes that the whole transfer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferTotal {
    /// All of it was counted.
    Exactly(u64),
    /// Counting goes on.
    AtLeast(u64),
    /// The source does not say.
    Unknown,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug)]
pub struct TransferState<'a> {
    /// Bytes that went through.
    pub done: u64,
    /// Bytes that will have.
    pub total: TransferTotal,
    /// Of late.
    pub bytes_per_s: f64,
    /// What is under way, harmless on a terminal.
    pub what: &'a str,
}

/// The line, at most `columns` wide.
pub fn transfer_line(state: TransferState<'_>, columns: usize) -> String {
    let mut line = amount(state, columns);
    for part in [rate(state), time_left(state)].into_iter().flatten() {
        if line.width() + GAP + part.width() <= columns {
            line += &format!("  {part}");
        }
    }
    let free = |line: &str| columns.saturating_sub(line.width() + GAP);
    if let Some(permille) = permille(state)
        && free(&line) >= BAR_COLUMNS_MIN
    {
        line += &format!("  {}", bar(permille, (free(&line) / 2).clamp(BAR_COLUMNS_MIN, BAR_COLUMNS_MAX)));
    }
    if free(&line) >= NAME_COLUMNS_MIN && !state.what.is_empty() {
        line += &format!("  {}", end_of(state.what, free(&line)));
    }
    line
}

/// The longest form that fits: both numbers, the share, or as much of the number as there is space for.
fn amount(state: TransferState<'_>, columns: usize) -> String {
    let done = human::size(state.done);
    let forms = match state.total {
        TransferTotal::Exactly(total) => vec![
            format!("{done:>11} of {:<11}", human::size(total)),
            format!("{done} of {}", human::size(total)),
            format!("{} %", permille(state).unwrap_or(0) / 10),
        ],
        TransferTotal::AtLeast(total @ 1..) => vec![
            format!("{done:>11} of {:<11}", human::size(total) + "+"),
            format!("{done} of {}+", human::size(total)),
            done,
        ],
        TransferTotal::AtLeast(0) | TransferTotal::Unknown => vec![format!("{done:>11}"), done],
    };
    // The padded form keeps the columns in place, where that costs nothing else.
    let wide = usize::from(columns < 60 && forms.len() > 1);
    let fits = forms.iter().skip(wide).find(|form| form.width() <= columns);
    fits.cloned().unwrap_or_else(|| forms.last().map(|form| form.chars().take(columns).collect()).unwrap_or_default())
}

fn rate(state: TransferState<'_>) -> Option<String> {
    let is_known = state.bytes_per_s.is_finite() && state.bytes_per_s >= 1.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite and positive; a rate needs no more"
    )]
    is_known.then(|| format!("{:>9}/s", human::size(state.bytes_per_s as u64)))
}

fn time_left(state: TransferState<'_>) -> Option<String> {
    let TransferTotal::Exactly(total) = state.total else { return None };
    let seconds = total.saturating_sub(state.done) as f64 / state.bytes_per_s;
    let is_known = seconds.is_finite() && state.bytes_per_s >= 1.0 && seconds < 100.0 * 86_400.0;
    is_known.then(|| format!("{} left", human::span(Duration::from_secs_f64(seconds.max(0.0)).as_secs())))
}

fn permille(state: TransferState<'_>) -> Option<u64> {
    match state.total {
        TransferTotal::Exactly(total) | TransferTotal::AtLeast(total) if total > 0 => {
            let share = u128::from(state.done) * 1_000 / u128::from(total);
            Some(u64::try_from(share.min(1_000)).expect("at most 1,000"))
        }
        TransferTotal::Exactly(_) | TransferTotal::AtLeast(_) | TransferTotal::Unknown => None,
    }
}

fn bar(permille: u64, columns: usize) -> String {
    let full = usize::try_from(permille).expect("at most 1,000") * columns / 1_000;
    "\u{2588}".repeat(full) + &"\u{2591}".repeat(columns - full)
}

/// The end of a text, which says more about a path than its beginning.
fn end_of(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let kept = text.chars().rev().take_while(|char| {
        let width = char.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    });
    let end: String = kept.collect::<Vec<_>>().into_iter().rev().collect();
    format!("\u{2026}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: &str =
        "/Pictures/2026/\u{65e5}\u{672c}\u{8a9e}/a very long name of a photo from a summer by the sea.jpg";

    fn states() -> Vec<TransferState<'static>> {
        let totals = [
            TransferTotal::Exactly(120 << 20),
            TransferTotal::Exactly(0),
            TransferTotal::AtLeast(120 << 20),
            TransferTotal::Unknown,
            TransferTotal::Exactly(u64::MAX),
        ];
        let rates = [0.0, f64::NAN, f64::INFINITY, 0.1, 5e6, 1e30];
        let state = |total, bytes_per_s, what| TransferState { done: 53 << 20, total, bytes_per_s, what };
        let of_total = |total| rates.iter().flat_map(move |rate| [state(total, *rate, ""), state(total, *rate, WHAT)]);
        totals.into_iter().flat_map(of_total).collect()
    }

    #[test]
    fn a_line_fits_every_width() {
        for state in states() {
            for columns in 1..=250 {
                let line = transfer_line(state, columns);
                assert!(line.width() <= columns && !line.contains('\n'), "{columns}: {line:?} of {state:?}");
            }
        }
    }

    #[test]
    fn both_numbers_stand_there_from_thirty_columns_on() {
        let state =
            TransferState { done: 53 << 20, total: TransferTotal::Exactly(120 << 20), bytes_per_s: 5e6, what: WHAT };
        for columns in 30..=250 {
            let line = transfer_line(state, columns);
            assert!(line.contains("53.0 MiB of 120.0 MiB"), "{columns}: {line:?}");
        }
        assert_eq!(transfer_line(state, 10), "44 %");
        assert_eq!(transfer_line(state, 40).trim(), "53.0 MiB of 120.0 MiB    4.8 MiB/s");
    }

    #[test]
    fn a_total_that_is_not_known_is_not_made_up() {
        let state = |total| TransferState { done: 53 << 20, total, bytes_per_s: 5e6, what: "" };
        let unknown = transfer_line(state(TransferTotal::Unknown), 80);
        assert!(!unknown.contains(" of ") && !unknown.contains("left") && !unknown.contains('\u{2588}'), "{unknown}");
        let counting = transfer_line(state(TransferTotal::AtLeast(120 << 20)), 80);
        assert!(counting.contains("53.0 MiB of 120.0 MiB+") && !counting.contains("left"), "{counting}");
    }

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        let line = |done| {
            let state = TransferState { done, total: TransferTotal::Exactly(1_000), bytes_per_s: 0.0, what: "" };
            transfer_line(state, 100)
        };
        assert!(line(999).contains('\u{2591}') && !line(1_000).contains('\u{2591}'));
    }

    #[test]
    fn the_end_of_a_long_name_is_shown() {
        assert_eq!(end_of("abc", 3), "abc");
        assert_eq!(end_of("abcdef", 4), "\u{2026}def");
        assert_eq!(end_of("\u{65e5}\u{672c}", 3), "\u{2026}\u{672c}");
        assert_eq!(end_of("\u{65e5}\u{672c}", 2), "\u{2026}");
    }
}
