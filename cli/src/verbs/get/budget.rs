//! What one get may bring: no more than fits, and no more entries than anybody has. A few blocks of a hostile member can say that
//! they are a file of an exbibyte, or folders in folders without end.

use rustix::fs::fstatvfs;

use crate::local::write::LocalFolder;
use crate::outcome::CliError;
use crate::text::human;

/// The largest home has some million files; at this number the names alone would take gigabytes of memory.
const ENTRIES_MAX: u64 = 10_000_000;

/// How much was begun, and how much may be.
#[derive(Clone, Copy, Debug)]
pub struct GetBudget {
    /// As its user says.
    is_unbounded: bool,
    /// Free in the destination when the get began; none if that is not known.
    free: Option<u64>,
    announced: u64,
    entries: u64,
}

impl GetBudget {
    /// Nothing is begun. `is_unbounded`: nothing is too much.
    pub fn new(is_unbounded: bool) -> Self {
        Self { is_unbounded, free: None, announced: 0, entries: 0 }
    }

    /// Takes in how much is free where the first source goes; all go into one folder, or beside it.
    pub fn measure(&mut self, destination: &LocalFolder) {
        let found = fstatvfs(destination).ok().filter(|found| found.f_blocks > 0);
        self.free = self.free.or(found.map(|found| found.f_bavail.saturating_mul(found.f_frsize)));
    }

    /// One more entry. An error ends the get.
    pub fn add_entry(&mut self) -> Result<(), CliError> {
        self.entries += 1;
        if self.is_unbounded || self.entries <= ENTRIES_MAX {
            return Ok(());
        }
        Err(CliError::new(
            format!("there are more than {ENTRIES_MAX} entries, which no tree of people has"),
            "fetch parts of it; or all of it, if that is what is there, with --any-size",
        ))
    }

    /// Whether a file that takes that much would be one too many.
    pub fn is_too_much(&self, bytes: u64) -> bool {
        !self.is_unbounded && self.free.is_some_and(|free| self.announced.saturating_add(bytes) > free)
    }

    /// One more file, which takes that much: an error ends the get before anything of it is written.
    pub fn add_file(&mut self, bytes: u64) -> Result<(), CliError> {
        let is_too_much = self.is_too_much(bytes);
        self.announced = self.announced.saturating_add(bytes);
        match self.free {
            Some(free) if is_too_much => Err(CliError::new(
                format!(
                    "this does not fit: {} or more are to be fetched, and {} were free here",
                    human::size(self.announced),
                    human::size(free)
                ),
                "free space, or name a folder on another disk; --any-size fetches it all the same, as files with holes take less \
                 than their size",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(is_unbounded: bool) -> GetBudget {
        GetBudget { free: Some(1 << 30), ..GetBudget::new(is_unbounded) }
    }

    #[test]
    fn what_does_not_fit_is_not_begun() {
        let mut some = budget(false);
        assert!(some.add_file(1 << 29).is_ok() && some.add_file(1 << 29).is_ok());
        let problem = some.add_file(1).expect_err("one byte too many");
        assert!(problem.what.contains("1.0 GiB were free"), "{problem}");
        assert!(budget(false).add_file(1 << 60).is_err(), "a file of an exbibyte in five blocks");
        assert!(budget(true).add_file(u64::MAX).is_ok());
        let mut all = budget(true);
        assert!(all.add_file(u64::MAX).is_ok() && all.add_file(u64::MAX).is_ok());
    }

    #[test]
    fn folders_without_end_have_one() {
        let mut endless = budget(false);
        assert!((0..ENTRIES_MAX).all(|_| endless.add_entry().is_ok()));
        assert!(endless.add_entry().is_err());
        let mut meant = GetBudget { entries: ENTRIES_MAX, ..budget(true) };
        assert!(meant.add_entry().is_ok());
    }

    #[test]
    fn the_free_space_is_that_of_the_destination() {
        let temp = tempfile::tempdir().expect("temp");
        let folder = LocalFolder::open(temp.path(), crate::local::write::ModeMask::EXACT).expect("open");
        let mut here = GetBudget::new(false);
        here.measure(&folder);
        assert!(here.free.is_some_and(|free| free > 0), "{here:?}");
        assert!(here.add_file(1 << 62).is_err() && GetBudget::new(false).add_file(1 << 62).is_ok());
    }
}
