//! Extended attributes of this machine's files: those of users are kept, of others it is only told that they are there.

use std::os::fd::AsFd;

use fsdfs_proto::control::{EscapedText, ExtendedAttribute};
use fsdfs_proto::volume::{NAME_BYTES_MAX, XATTR_BYTES_MAX, XATTR_OVERHEAD_BYTES, XATTR_RESERVED};
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, flistxattr_query, fsetxattr};
use rustix::io::Errno;
use serde::Serialize;

/// Bytes of a value at most, as Linux has it.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of all names of a file at most, as Linux has it.
const NAMES_BYTES_MAX: usize = 64 << 10;

/// What a put left behind of the entries that it stored: how many of them had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotKept {
    /// Belong to somebody else than who put them.
    pub owners: u64,
    /// Have an access control list.
    pub access_control_lists: u64,
    /// Have more attributes of users than an entry can.
    pub large_attributes: u64,
    /// Have other attributes, such as capabilities.
    pub other_attributes: u64,
}

impl NotKept {
    /// Adds what others had.
    pub fn add(&mut self, other: Self) {
        let Self { owners, access_control_lists, large_attributes, other_attributes } = other;
        self.owners += owners;
        self.access_control_lists += access_control_lists;
        self.large_attributes += large_attributes;
        self.other_attributes += other_attributes;
    }

    /// `owner of 2 entries, access control list of 1`; none if all was kept.
    pub fn sentence(&self) -> Option<String> {
        let parts = [
            ("owner and group", self.owners),
            ("access control list", self.access_control_lists),
            ("user attributes beyond 4 KiB", self.large_attributes),
            ("other extended attributes", self.other_attributes),
        ];
        let of = |count| crate::text::human::count(count, "entry", "entries");
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|part| part.1 > 0)
            .map(|(what, count)| format!("{what} of {}", of(count)))
            .collect();
        (!parts.is_empty()).then(|| format!("not kept: {}", crate::text::human::list(&parts)))
    }
}

/// The attributes of an open file or folder. A file system without any has none.
pub fn read(fd: impl AsFd) -> (Vec<ExtendedAttribute>, NotKept) {
    let fd = fd.as_fd();
    let (mut kept, mut lost) = (Vec::new(), NotKept::default());
    // Most files have none, and no memory is asked for.
    if flistxattr_query(fd).unwrap_or(0) == 0 {
        return (kept, lost);
    }
    let mut names = vec![0; NAMES_BYTES_MAX];
    let length = flistxattr(fd, &mut names[..]).unwrap_or(0);
    let mut names: Vec<&[u8]> = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut bytes = XATTR_RESERVED_BYTES;
    for name in names {
        match kind(name) {
            AttributeKind::User => match value(fd, name) {
                Some(value) if bytes + name.len() + value.len() + XATTR_OVERHEAD_BYTES <= XATTR_BYTES_MAX => {
                    bytes += name.len() + value.len() + XATTR_OVERHEAD_BYTES;
                    kept.push(ExtendedAttribute { name: EscapedText(name.to_vec()), value: EscapedText(value) });
                }
                Some(_) => lost.large_attributes = 1,
                // It was removed meanwhile, or is not for this user to read.
                None => {}
            },
            AttributeKind::AccessControlList => lost.access_control_lists = 1,
            AttributeKind::Other => lost.other_attributes = 1,
            AttributeKind::OfTheSystem => {}
        }
    }
    (kept, lost)
}

/// Room for what the store itself may write into an entry.
const XATTR_RESERVED_BYTES: usize = 64;

enum AttributeKind {
    User,
    AccessControlList,
    /// Made anew by each system for its own files; nobody misses it elsewhere.
    OfTheSystem,
    Other,
}

fn kind(name: &[u8]) -> AttributeKind {
    match name {
        _ if name.starts_with(XATTR_RESERVED) => AttributeKind::OfTheSystem,
        _ if name.starts_with(b"user.") && name.len() <= NAME_BYTES_MAX => AttributeKind::User,
        b"system.posix_acl_access" | b"system.posix_acl_default" | b"system.nfs4_acl" => {
            AttributeKind::AccessControlList
        }
        b"security.selinux" | b"security.ima" | b"security.evm" => AttributeKind::OfTheSystem,
        _ if name.starts_with(b"system.") || name.starts_with(b"btrfs.") => AttributeKind::OfTheSystem,
        _ => AttributeKind::Other,
    }
}

fn value(fd: impl AsFd, name: &[u8]) -> Option<Vec<u8>> {
    let mut value = vec![0; VALUE_BYTES_MAX];
    let length = fgetxattr(fd, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

/// Gives an open file or folder these attributes. False if some cannot be had here.
pub fn write(fd: impl AsFd, xattrs: &[ExtendedAttribute]) -> bool {
    let fd = fd.as_fd();
    xattrs.iter().fold(true, |all, xattr| {
        let is_for_users = matches!(kind(&xattr.name.0), AttributeKind::User);
        let set = || fsetxattr(fd, &xattr.name.0[..], &xattr.value.0, XattrFlags::empty());
        all & (is_for_users
            && !matches!(set(), Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::PERM | Errno::ACCESS | Errno::TOOBIG)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str, value: &[u8]) -> ExtendedAttribute {
        ExtendedAttribute { name: EscapedText(name.into()), value: EscapedText(value.to_vec()) }
    }

    #[test]
    fn attributes_of_users_come_back() {
        let temp = tempfile::tempdir().expect("temp");
        let file = std::fs::File::create(temp.path().join("file")).expect("made");
        let given = [xattr("user.a", b"red"), xattr("user.b", b"\0\xff"), xattr("user.empty", b"")];
        if !write(&file, &given) {
            println!("skipped: this file system has no attributes of users");
            return;
        }
        assert_eq!(read(&file), (given.to_vec(), NotKept::default()));
        // Some file systems have no room for as much.
        if write(&file, &[xattr("user.c", &[7; 2_500]), xattr("user.d", &[7; 2_500])]) {
            let (kept, lost) = read(&file);
            assert_eq!((kept.len(), lost.large_attributes), (4, 1));
        }
    }

    #[test]
    fn names_that_are_not_for_users_are_not_written() {
        let temp = tempfile::tempdir().expect("temp");
        let file = std::fs::File::create(temp.path().join("file")).expect("made");
        for name in ["security.capability", "trusted.x", "system.posix_acl_access", "user.fsdfs.hardlink", "x"] {
            assert!(!write(&file, &[xattr(name, b"1")]), "{name}");
        }
        assert!(read(&file).0.is_empty());
    }

    #[test]
    fn what_is_not_kept_is_told_with_counts() {
        let mut all = NotKept::default();
        assert_eq!(all.sentence(), None);
        all.add(NotKept { owners: 1, access_control_lists: 2, ..NotKept::default() });
        all.add(NotKept { owners: 1, ..NotKept::default() });
        let expected = "not kept: owner and group of 2 entries and access control list of 2 entries";
        assert_eq!(all.sentence().as_deref(), Some(expected));
    }
}
