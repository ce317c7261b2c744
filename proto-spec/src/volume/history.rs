//! Earlier states that commits list (spec 05-volume §6, "Earlier states").
//!
//! ```text
//! user.fsdfs.history = [hourly, six-hourly, daily, monthly]       of the root's attributes
//! ```

use serde::{Deserialize, Serialize};

use super::entry::{XATTR_RESERVED, Xattr};
use crate::codec::{self, CanonicalCodec, FormatError, bound};

/// Earlier states that a commit lists at most: 41 bytes each, 4 KiB together.
pub const STATES_MAX: usize = 96;
/// The attribute of a volume's root that says which earlier states are kept.
pub const XATTR_HISTORY: &[u8] = b"user.fsdfs.history";

/// What a commit of a longer piece of work says before its number.
const WORK: &str = "work ";

/// How many earlier states of each kind are kept, counted back from now: the newest of each hour, of each six hours, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRules {
    /// Hours.
    pub hourly: u16,
    /// Times six hours.
    pub six_hourly: u16,
    /// Days.
    pub daily: u16,
    /// Times thirty days.
    pub monthly: u16,
}

impl HistoryRules {
    /// Those of a volume that says nothing: an hour for a day, six hours for a week, a day for thirty.
    pub const DEFAULT: Self = Self { hourly: 24, six_hourly: 28, daily: 30, monthly: 0 };

    /// States that they keep at most.
    pub fn states(&self) -> usize {
        [self.hourly, self.six_hourly, self.daily, self.monthly].into_iter().map(usize::from).sum()
    }

    /// What the attributes of a volume's root say; a text that cannot be read says nothing.
    pub fn of_root(xattrs: &[Xattr]) -> Self {
        let found = xattrs.iter().find(|xattr| *xattr.name == *XATTR_HISTORY);
        found.and_then(|xattr| codec::decode(&xattr.value).ok()).unwrap_or(Self::DEFAULT)
    }

    /// As an attribute of the root.
    pub fn xattr(&self) -> Xattr {
        Xattr { name: XATTR_HISTORY.into(), value: codec::encode(self).into() }
    }
}

impl CanonicalCodec for HistoryRules {
    fn check(&self) -> Result<(), FormatError> {
        bound(self.states() <= STATES_MAX, "the earlier states that a volume keeps")
    }
}

/// Whether an attribute is the store's own.
pub fn is_reserved_xattr(xattr: &Xattr) -> bool {
    xattr.name.starts_with(XATTR_RESERVED)
}

/// The message of a commit that is part of a longer piece of work.
pub fn work_message(work: u64) -> String {
    format!("{WORK}{work:016x}")
}

/// Of which piece of work a commit with this message is.
pub fn work_of(message: &str) -> Option<u64> {
    let digits = message.strip_prefix(WORK).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|work| work_message(*work) == message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_in_an_attribute_and_nonsense_in_it_says_nothing() {
        let rules = HistoryRules { monthly: 12, ..HistoryRules::DEFAULT };
        assert_eq!(HistoryRules::of_root(&[rules.xattr()]), rules);
        let wrong = Xattr { value: (&b"24 28"[..]).into(), ..rules.xattr() };
        let too_many = HistoryRules { hourly: 97, six_hourly: 0, daily: 0, monthly: 0 };
        for xattrs in [vec![], vec![wrong], vec![too_many.xattr()]] {
            assert_eq!(HistoryRules::of_root(&xattrs), HistoryRules::DEFAULT);
        }
        assert_eq!(HistoryRules::DEFAULT.xattr().value[..], *b"\x94\x18\x1c\x1e\x00", "others read it");
        assert!(is_reserved_xattr(&rules.xattr()) && HistoryRules::DEFAULT.states() <= STATES_MAX);
    }

    #[test]
    fn a_message_names_one_piece_of_work() {
        for work in [0, 7, u64::MAX] {
            assert_eq!(work_of(&work_message(work)), Some(work));
        }
        assert_eq!(work_message(0xab), "work 00000000000000ab");
        for other in ["", "work ", "work 7", "work 000000000000000G", "work 00000000000000AB", "work +00000000000000b"]
        {
            assert_eq!(work_of(other), None, "{other}");
        }
    }
}
