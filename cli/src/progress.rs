//! Progress on a terminal: bytes, rate, remaining time. Nothing when piped.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{OutputMode, warn};

/// How far a transfer is. Clones are the same bar.
#[derive(Clone, Debug)]
pub struct TransferProgress {
    bar: ProgressBar,
    output: OutputMode,
}

impl TransferProgress {
    /// Starts a bar whose total may still grow.
    pub fn new(output: OutputMode) -> Self {
        let target = if output.shows_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, output }
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
        self.bar.inc_length(bytes);
    }

    /// Bytes went through.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Bytes turned out not to count: their file starts again.
    pub fn take_back(&self, bytes: u64) {
        self.bar.set_position(self.bar.position().saturating_sub(bytes));
    }

    /// What is under way.
    pub fn show(&self, what: String) {
        self.bar.set_message(what);
    }

    /// Says something above the bar.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| self.output.note(text));
    }

    /// Says above the bar what was not done.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| warn(text));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    let template = "{bytes:>11} of {total_bytes:<11} {wide_bar} {binary_bytes_per_sec:>13} {eta:>4} left  {msg:.dim}";
    ProgressStyle::with_template(template).expect("the template above is valid; a test draws it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_counts_even_when_hidden() {
        let progress = TransferProgress::new(OutputMode { json: true, quiet: false });
        progress.expect(10);
        progress.advance(7);
        progress.take_back(3);
        assert_eq!((progress.bar.position(), progress.bar.length()), (4, Some(10)));
        assert!(!progress.is_shown());
        progress.finish();
    }
}
