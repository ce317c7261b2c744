//! How a member is named: by its id, or by a name that other members chose and that need not be unique.

use std::borrow::Cow;
use std::convert::Infallible;
use std::str::FromStr;

/// Stands before a name that could be taken for an id, or for a name with this word before it.
const NAME_MARK: &str = "name:";
/// Digits of an id that name a member: fewer could be a word.
pub const ID_DIGITS_MIN: usize = 8;
/// Digits of a whole id.
const ID_DIGITS: usize = 64;

/// What a person or program wrote to name a member. Whatever a member is called, a whole id names no other.
///
/// ```
/// use fsdfs_proto::control::MemberRef;
///
/// let named: MemberRef = "name:deadbeef".parse().expect("any text is read");
/// assert!(named.means("ab12", "deadbeef"));
/// let by_id: MemberRef = "deadbeef".parse().expect("any text is read");
/// assert!(!by_id.means("ab12", "deadbeef") && by_id.means("deadbeef01", "bob"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberRef {
    /// The id, or its beginning: 8 to 64 hexadecimal digits, in small letters.
    Id(String),
    /// The name.
    Name(String),
}

impl FromStr for MemberRef {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix(NAME_MARK) {
            Some(name) => Self::Name(name.to_owned()),
            None if looks_like_id(text) => Self::Id(text.to_ascii_lowercase()),
            None => Self::Name(text.to_owned()),
        })
    }
}

impl MemberRef {
    /// Whether the member with this id and name is meant.
    pub fn means(&self, id: &str, name: &str) -> bool {
        match self {
            Self::Id(digits) => id.starts_with(digits),
            Self::Name(wanted) => name == wanted,
        }
    }
}

/// A member's name as shown and typed: one that could be taken for an id stands behind `name:`.
pub fn typed_name(name: &str) -> Cow<'_, str> {
    if looks_like_id(name) || name.starts_with(NAME_MARK) {
        Cow::Owned(format!("{NAME_MARK}{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

fn looks_like_id(text: &str) -> bool {
    (ID_DIGITS_MIN..=ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn means(text: &str, id: &str, name: &str) -> bool {
        text.parse::<MemberRef>().expect("any text is read").means(id, name)
    }

    #[test]
    fn an_id_is_an_id_whatever_members_call_themselves() {
        let (one, other) = ("ab".repeat(32), "cd".repeat(32));
        // Two members that bear each other's id as name.
        assert!(means(&one, &one, &other) && !means(&one, &other, &one));
        assert!(means(&one[..8], &one, "x") && !means(&one[..8], &other, &one[..8]));
        assert!(means(&one.to_uppercase(), &one, "x"));
        assert!(!means(&one[..7], &one, "x"), "seven digits are a name");
        assert!(means("abcdef0", &other, "abcdef0"));
        assert!(means("name:abcdef01", &other, "abcdef01") && !means("abcdef01", &other, "abcdef01"));
    }

    proptest! {
        #[test]
        fn what_is_shown_means_that_member(name in "[a-f0-9:name]{0,70}", id in "[0-9a-f]{64}") {
            let typed = typed_name(&name);
            prop_assert!(means(&typed, &id, &name));
            prop_assert!(!means(&typed, &name, &id) || name == id);
        }
    }
}
