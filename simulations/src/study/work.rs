//! Work on all cores, with a bar that shows how far it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// How a study works: from which seed, how thoroughly, and who watches.
pub struct StudyWork {
    /// Decides every figure.
    pub seed: u64,
    /// Samples are divided by this. 1 but in tests.
    divided_by: u64,
    bar: ProgressBar,
}

impl StudyWork {
    /// In full, with a bar on the terminal.
    pub fn new(seed: u64, name: &str) -> Self {
        let style = ProgressStyle::with_template("{prefix:12} {bar:40} {pos}/{len} {msg}").expect("a fixed template");
        Self { seed, divided_by: 1, bar: ProgressBar::new(0).with_style(style).with_prefix(name.to_owned()) }
    }

    /// A thousandth of the work, unseen: enough to see that a study runs.
    #[cfg(test)]
    pub fn tiny(seed: u64) -> Self {
        Self { seed, divided_by: 1000, bar: ProgressBar::hidden() }
    }

    /// How many samples to take where `full` are wanted.
    pub fn samples(&self, full: u64) -> u64 {
        (full / self.divided_by).max(20)
    }

    /// `one` of each item, in the order of the items, whoever is done first.
    pub fn map<I: Sync, R: Send>(&self, what: &'static str, items: &[I], one: impl Fn(&I) -> R + Sync) -> Vec<R> {
        self.bar.set_message(what);
        self.bar.inc_length(items.len() as u64);
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
        let worker = || {
            while let Some((nr, item)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|nr| Some((nr, items.get(nr)?)))
            {
                let result = one(item);
                done.lock().expect("nobody panics while holding it").push((nr, result));
                self.bar.inc(1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
                scope.spawn(worker);
            }
        });
        let mut done = done.into_inner().expect("all workers ended");
        done.sort_by_key(|(nr, _)| *nr);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

impl Drop for StudyWork {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<u64> = (0..200).collect();
        assert_eq!(
            StudyWork::tiny(1).map("", &items, |item| item * 2),
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
    }
}
