//! Progress on a terminal: bytes, rate, remaining time. Nothing when piped.
//!
//! What is shown as total is what the transfer will have moved: what is expected is counted once for each file, and what
//! turns out otherwise (a file that failed, or had another size) is corrected.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::outcome::CliError;
use crate::output::OutputMode;
use crate::text::transfer_line::{TransferState, TransferTotal, transfer_line};

/// Of a terminal that does not say.
const COLUMNS: usize = 80;

/// How far a transfer is. Clones are the same bar.
#[derive(Clone, Debug)]
pub struct TransferProgress {
    bar: ProgressBar,
    counts: Arc<TransferCounts>,
    output: OutputMode,
}

/// What the line is made of.
#[derive(Debug, Default)]
struct TransferCounts {
    done: AtomicU64,
    /// Below zero for a moment, when a file fails before it is counted.
    expected: AtomicI64,
    is_counted: AtomicBool,
    has_unknown: AtomicBool,
    what: Mutex<String>,
}

impl TransferCounts {
    fn total(&self) -> TransferTotal {
        let expected = u64::try_from(self.expected.load(Ordering::Acquire)).unwrap_or(0);
        let total = expected.max(self.done.load(Ordering::Acquire));
        match (self.has_unknown.load(Ordering::Acquire), self.is_counted.load(Ordering::Acquire)) {
            (true, _) => TransferTotal::Unknown,
            (false, true) => TransferTotal::Exactly(total),
            (false, false) => TransferTotal::AtLeast(total),
        }
    }

    fn line(&self, bytes_per_s: f64, columns: usize) -> String {
        let what = self.what.lock().map(|what| what.clone()).unwrap_or_default();
        let done = self.done.load(Ordering::Acquire);
        transfer_line(TransferState { done, total: self.total(), bytes_per_s, what: &what }, columns)
    }
}

impl TransferProgress {
    /// Starts a bar whose total is being counted.
    pub fn new(output: OutputMode) -> Self {
        let target = if output.shows_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let counts = Arc::new(TransferCounts::default());
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style(&counts));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, counts, output }
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Whether the transfer is over.
    pub fn is_finished(&self) -> bool {
        self.bar.is_finished()
    }

    /// More bytes are known to come.
    pub fn expect(&self, bytes: u64) {
        self.counts.expected.fetch_add(signed(bytes), Ordering::AcqRel);
    }

    /// Bytes that were expected do not come: their file failed, or is shorter.
    pub fn unexpect(&self, bytes: u64) {
        self.counts.expected.fetch_sub(signed(bytes), Ordering::AcqRel);
    }

    /// A file of which `expected` bytes were expected had `actual` bytes.
    pub fn correct(&self, expected: u64, actual: u64) {
        self.unexpect(expected);
        self.expect(actual);
    }

    /// All that is to come was counted: the total is what was expected.
    pub fn counted(&self) {
        self.counts.is_counted.store(true, Ordering::Release);
    }

    /// There is a source whose end cannot be known before it comes.
    pub fn expect_unknown(&self) {
        self.counts.has_unknown.store(true, Ordering::Release);
    }

    /// Bytes went through.
    pub fn advance(&self, bytes: u64) {
        self.counts.done.fetch_add(bytes, Ordering::AcqRel);
        // For the rate only.
        self.bar.inc(bytes);
    }

    /// Bytes turned out not to count: their file starts again.
    pub fn take_back(&self, bytes: u64) {
        let less = |done: u64| Some(done.saturating_sub(bytes));
        let _ = self.counts.done.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        self.bar.set_position(self.bar.position().saturating_sub(bytes));
    }

    /// A file that begins.
    pub fn file(&self) -> FileProgress {
        FileProgress { progress: self.clone(), bytes: 0 }
    }

    /// What is under way.
    pub fn show(&self, what: String) {
        if let Ok(mut shown) = self.counts.what.lock() {
            *shown = what;
        }
    }

    /// Says something above the bar.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| self.output.note(text));
    }

    /// Says above the bar what was not done.
    pub fn failed(&self, problem: &CliError) {
        self.bar.suspend(|| self.output.failed(problem));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many of some things are through, of work that the daemon does.
#[derive(Debug)]
pub struct CountProgress {
    bar: ProgressBar,
    what: &'static str,
}

impl CountProgress {
    /// Nothing is shown before it is known how many there are.
    pub fn new(output: OutputMode, what: &'static str) -> Self {
        let target = if output.shows_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg}").expect("one key, which is known");
        Self { bar: ProgressBar::with_draw_target(None, target).with_style(style), what }
    }

    /// So many are.
    pub fn show(&self, done: u64, of: u64) {
        self.bar.set_message(format!("{done} of {of} {}", self.what));
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes of one file. Unless they are kept they turn out not to count.
#[derive(Debug)]
pub struct FileProgress {
    progress: TransferProgress,
    bytes: u64,
}

impl FileProgress {
    /// Bytes went through.
    pub fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.progress.advance(bytes);
    }

    /// The file is complete.
    pub fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for FileProgress {
    fn drop(&mut self) {
        self.progress.take_back(self.bytes);
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn style(counts: &Arc<TransferCounts>) -> ProgressStyle {
    let counts = Arc::clone(counts);
    let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A line that cannot be written into memory is not shown.
        let _ = out.write_str(&counts.line(state.per_sec(), columns()));
    };
    ProgressStyle::with_template("{line}").expect("one key, which is given").with_key("line", line)
}

/// Of the terminal as it is now: its window may have been resized.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden() -> TransferProgress {
        TransferProgress::new(OutputMode { json: true, quiet: false })
    }

    #[test]
    fn a_bar_counts_even_when_hidden() {
        let progress = hidden();
        progress.expect(10);
        progress.advance(7);
        progress.take_back(3);
        assert_eq!(progress.counts.done.load(Ordering::Acquire), 4);
        assert_eq!(progress.counts.total(), TransferTotal::AtLeast(10));
        assert!(!progress.is_shown());
        progress.finish();
    }

    #[test]
    fn totals_are_what_will_have_gone_through() {
        let progress = hidden();
        progress.expect(10);
        progress.expect(5);
        progress.counted();
        progress.advance(10);
        let mut failing = progress.file();
        failing.advance(3);
        drop(failing);
        // One file fails, another has more than was said.
        progress.unexpect(5);
        assert_eq!(progress.counts.total(), TransferTotal::Exactly(10));
        progress.advance(2);
        assert_eq!(progress.counts.total(), TransferTotal::Exactly(12), "never less than what came");
        progress.correct(10, 12);
        assert_eq!(progress.counts.total(), TransferTotal::Exactly(12));
        progress.expect_unknown();
        assert_eq!(progress.counts.total(), TransferTotal::Unknown);
    }

    #[test]
    fn what_fails_before_it_is_counted_makes_no_total() {
        let progress = hidden();
        progress.unexpect(5);
        assert_eq!(progress.counts.total(), TransferTotal::AtLeast(0));
        progress.expect(5);
        progress.expect(1);
        assert_eq!(progress.counts.total(), TransferTotal::AtLeast(1));
    }
}
