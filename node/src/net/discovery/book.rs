//! The address book: where members were, so that they are found again after all that is said on cards has become wrong.
//!
//! Pure, and disposable: who loses it asks others.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fsdfs_proto::ids::NodeId;
use serde::{Deserialize, Serialize};

/// Of one member.
const ADDRESSES_MAX: usize = 16;
/// Members in it; those that were met the longest ago go first.
const MEMBERS_MAX: usize = 1_024;
/// An address that did not work for so long belongs to somebody else by now.
const AGE_S_MAX: u64 = 90 * 86_400;
/// A time that is not news is not written down anew.
const TIME_STEP_S: u64 = 600;

/// What is written down of an address. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BookEntry {
    address: SocketAddr,
    /// When the member was last there; 0 = it never was.
    worked_s: u64,
    /// When its card last said so; 0 = it never did.
    named_s: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressBook {
    members: BTreeMap<NodeId, Vec<BookEntry>>,
    #[serde(skip)]
    is_changed: bool,
}

impl AddressBook {
    /// As it was written; none if that cannot be read.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut book: Self = serde_json::from_str(text).ok()?;
        book.members.values_mut().for_each(|entries| entries.truncate(ADDRESSES_MAX));
        while book.members.len() > MEMBERS_MAX {
            book.members.pop_last();
        }
        Some(book)
    }

    /// What is to be written, if anything is new since the last time.
    pub(crate) fn take_text(&mut self) -> Option<String> {
        let is_changed = std::mem::take(&mut self.is_changed);
        is_changed.then(|| serde_json::to_string_pretty(self).expect("plain data"))
    }

    /// The member was found there.
    pub(crate) fn note_worked(&mut self, node: NodeId, address: SocketAddr, now_s: u64) {
        self.note(node, address, now_s, |entry| &mut entry.worked_s);
    }

    /// The member's card says so.
    pub(crate) fn note_named(&mut self, node: NodeId, address: SocketAddr, now_s: u64) {
        self.note(node, address, now_s, |entry| &mut entry.named_s);
    }

    /// Where the member may be: where it was last, first.
    pub(crate) fn addresses(&self, node: NodeId) -> impl Iterator<Item = SocketAddr> {
        self.members.get(&node).into_iter().flatten().map(|entry| entry.address)
    }

    fn note(&mut self, node: NodeId, address: SocketAddr, now_s: u64, time: fn(&mut BookEntry) -> &mut u64) {
        if !self.members.contains_key(&node) && self.members.len() >= MEMBERS_MAX {
            self.forget_the_oldest();
        }
        let entries = self.members.entry(node).or_default();
        let place = entries.iter().position(|entry| entry.address == address).unwrap_or_else(|| {
            entries.push(BookEntry { address, worked_s: 0, named_s: 0 });
            entries.len() - 1
        });
        let time = time(&mut entries[place]);
        // Clocks go backwards, too.
        if time.abs_diff(now_s) < TIME_STEP_S {
            return;
        }
        *time = now_s;
        entries.retain(|entry| entry.worked_s.max(entry.named_s) + AGE_S_MAX > now_s);
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.worked_s, entry.named_s)));
        entries.truncate(ADDRESSES_MAX);
        self.is_changed = true;
    }

    fn forget_the_oldest(&mut self) {
        let last = |entries: &Vec<BookEntry>| entries.iter().map(|entry| entry.worked_s).max();
        let oldest = self.members.iter().min_by_key(|(_, entries)| last(entries)).map(|(node, _)| *node);
        if let Some(oldest) = oldest {
            self.members.remove(&oldest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const DAY_S: u64 = 86_400;

    fn node(number: u16) -> NodeId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn ports(book: &AddressBook, node: NodeId) -> Vec<u16> {
        book.addresses(node).map(|address| address.port()).collect()
    }

    #[test]
    fn where_a_member_was_last_goes_first() {
        let mut book = AddressBook::default();
        book.note_named(node(1), at(9), DAY_S);
        book.note_worked(node(1), at(1), DAY_S);
        book.note_worked(node(1), at(2), 2 * DAY_S);
        book.note_named(node(1), at(3), 3 * DAY_S);
        assert_eq!(ports(&book, node(1)), [2, 1, 3, 9]);
        book.note_worked(node(1), at(1), 4 * DAY_S);
        assert_eq!(ports(&book, node(1)), [1, 2, 3, 9]);
        assert!(ports(&book, node(2)).is_empty());
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let mut book = AddressBook::default();
        for port in 1..=40 {
            book.note_worked(node(1), at(port), DAY_S * u64::from(port));
        }
        assert_eq!(ports(&book, node(1)), (25..=40).rev().collect::<Vec<_>>());
        book.note_worked(node(1), at(99), DAY_S * 125);
        assert_eq!(ports(&book, node(1)), [vec![99], (36..=40).rev().collect()].concat());
        for number in 2..=1_100 {
            book.note_worked(node(number), at(1), DAY_S * 200 + u64::from(number));
        }
        assert_eq!(book.members.len(), MEMBERS_MAX);
        assert!(ports(&book, node(1)).is_empty() && !ports(&book, node(1_100)).is_empty());
    }

    #[test]
    fn it_comes_back_as_it_was_written_and_only_news_are() {
        let mut book = AddressBook::default();
        assert_eq!(book.take_text(), None);
        book.note_worked(node(1), at(1), DAY_S);
        let text = book.take_text().unwrap();
        assert_eq!(AddressBook::read(&text).unwrap(), book);
        book.note_worked(node(1), at(1), DAY_S + 1);
        assert_eq!(book.take_text(), None, "a second later is no news");
        assert!(["", "{}", "no JSON", r#"{"members":{"12":[]}}"#].iter().all(|text| AddressBook::read(text).is_none()));
    }
}
