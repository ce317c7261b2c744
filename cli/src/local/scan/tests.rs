use super::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn names(scan: TreeScan) -> (BTreeSet<String>, Vec<String>) {
    let mut found = BTreeSet::new();
    let mut skipped = Vec::new();
    for item in scan {
        match item {
            Ok(entry) => {
                let path = entry.path.iter().map(|name| crate::text::escape::name(name)).collect::<Vec<_>>().join("/");
                let kind = match entry.what {
                    FoundKind::Folder => "/".to_owned(),
                    FoundKind::File(open) => format!(" {}", open.size),
                    FoundKind::Link(target) => format!(" -> {}", crate::text::escape::name(&target)),
                };
                found.insert(path + &kind);
            }
            Err(skip) => skipped.push(skip.to_string()),
        }
    }
    (found, skipped)
}

#[test]
fn everything_is_found_once() {
    let temp = tempfile::tempdir().expect("temp");
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("a/b/c")).expect("dirs");
    fs::create_dir(root.join("empty")).expect("dir");
    fs::write(root.join("a/file"), b"12345").expect("file");
    fs::write(root.join("line\nbreak"), b"").expect("file");
    fs::write(root.join(OsStr::from_bytes(b"caf\xe9")), b"1").expect("file");
    symlink("/etc/passwd", root.join("out")).expect("link");
    symlink("gone", root.join("a/b/dangling")).expect("link");
    rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("fifo");

    let (found, skipped) = names(TreeScan::new(&root, OwnFolders::new(), FollowLinks::Never).expect("readable"));
    let expected = [
        "/",
        "a/",
        "a/b/",
        "a/b/c/",
        "a/b/dangling -> gone",
        "a/file 5",
        "caf\\xe9 1",
        "empty/",
        "line\\nbreak 0",
        "out -> /etc/passwd",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(skipped, [format!("{}/pipe: skipped: it is a pipe, not a file", root.display())]);
}

/// As a volume keeps them: by the bytes of each name, a folder with all in it at its own name's place.
#[test]
fn names_come_in_the_order_in_which_a_volume_keeps_them() {
    let temp = tempfile::tempdir().expect("temp");
    fs::create_dir_all(temp.path().join("b/x")).expect("dirs");
    for name in ["c", "a", "b.txt", "B", "b/z", "b/y", "b/x/1", "10", "9"] {
        fs::write(temp.path().join(name), b"").expect("file");
    }
    fs::write(temp.path().join(OsStr::from_bytes(b"\xff")), b"").expect("file");
    let found = TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable").flatten();
    let paths: Vec<Vec<u8>> = found.map(|entry| entry.path.join(&b'/')).collect();
    let expected: [&[u8]; 13] =
        [b"", b"10", b"9", b"B", b"a", b"b", b"b/x", b"b/x/1", b"b/y", b"b/z", b"b.txt", b"c", b"\xff"];
    assert_eq!(paths, expected);
}

#[test]
fn a_symlink_as_source_is_a_link_unless_a_slash_follows() {
    let temp = tempfile::tempdir().expect("temp");
    fs::create_dir(temp.path().join("real")).expect("dir");
    symlink("real", temp.path().join("link")).expect("link");
    let (found, _) =
        names(TreeScan::new(&temp.path().join("link"), OwnFolders::new(), FollowLinks::Never).expect("readable"));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [" -> real"]);
    let slash = temp.path().join("link").into_os_string();
    let slash = [slash.as_bytes(), b"/"].concat();
    let (found, _) = names(
        TreeScan::new(Path::new(OsStr::from_bytes(&slash)), OwnFolders::new(), FollowLinks::Never).expect("readable"),
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/"]);
}

#[test]
fn own_folders_are_left_out() {
    let temp = tempfile::tempdir().expect("temp");
    fs::create_dir_all(temp.path().join("store/segments")).expect("dir");
    let own = own_folder(&temp.path().join("store")).into_iter().collect();
    let (found, skipped) = names(TreeScan::new(temp.path(), own, FollowLinks::Never).expect("readable"));
    assert_eq!(found.len(), 1);
    assert!(skipped[0].ends_with("store: skipped: fsdfs itself keeps its data there"), "{skipped:?}");
}

#[test]
fn what_an_interrupted_get_left_is_no_content() {
    let temp = tempfile::tempdir().expect("temp");
    for name in [".fsdfs-get-0123456789abcdef", ".fsdfs-get-0123456789abcdef.blocks", ".fsdfs-get-mine"] {
        fs::write(temp.path().join(name), b"half").expect("file");
    }
    let (found, skipped) = names(TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable"));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [".fsdfs-get-mine 4", "/"]);
    assert_eq!(skipped.len(), 2);
    let one = temp.path().join(".fsdfs-get-0123456789abcdef");
    assert!(matches!(
        TreeScan::new(&one, OwnFolders::new(), FollowLinks::Never),
        Err(SkippedEntry { why: SkipReason::Unfinished, .. })
    ));
}

#[test]
fn the_rest_goes_on_behind_a_locked_folder() {
    let temp = tempfile::tempdir().expect("temp");
    fs::create_dir(temp.path().join("locked")).expect("dir");
    fs::write(temp.path().join("open"), b"1").expect("file");
    fs::set_permissions(temp.path().join("locked"), fs::Permissions::from_mode(0o000)).expect("mode");
    let (found, skipped) = names(TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable"));
    assert!(found.contains("open 1"));
    // Root reads everything.
    assert_eq!(skipped.len(), usize::from(!rustix::process::geteuid().is_root()));
    fs::set_permissions(temp.path().join("locked"), fs::Permissions::from_mode(0o700)).expect("mode");
}

#[test]
fn paths_longer_than_the_system_allows_are_read() {
    let temp = tempfile::tempdir().expect("temp");
    let name = "n".repeat(255);
    let mut fd = openat(CWD, temp.path(), OFlags::DIRECTORY, Mode::empty()).expect("open");
    for _ in 0..40 {
        rustix::fs::mkdirat(&fd, &name, Mode::RWXU).expect("mkdir");
        fd = openat(&fd, &name, OFlags::DIRECTORY, Mode::empty()).expect("open");
    }
    assert_eq!(
        TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never)
            .expect("readable")
            .filter(Result::is_ok)
            .count(),
        41
    );
    // The standard library removes such a tree, too: it also goes by handles.
}

#[test]
fn what_lies_too_deep_for_the_store_is_not_entered() {
    let temp = tempfile::tempdir().expect("temp");
    fs::create_dir_all(temp.path().join("a/b/c/d/e")).expect("dirs");
    fs::write(temp.path().join("a/b/file"), b"1").expect("file");
    let scan = TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable");
    let scan = scan.below(PATH_NAMES_MAX - 2);
    let (found, skipped) = names(scan);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/", "a/", "a/b/"]);
    assert_eq!(skipped.len(), 2, "the folder and the file: {skipped:?}");
    assert!(skipped.iter().all(|skipped| skipped.contains("at most 256 names")));
}

#[test]
fn names_of_one_file_are_known_by_their_number() {
    let temp = tempfile::tempdir().expect("temp");
    fs::write(temp.path().join("a"), b"1").expect("file");
    fs::write(temp.path().join("alone"), b"1").expect("file");
    fs::hard_link(temp.path().join("a"), temp.path().join("b")).expect("linked");
    let mut inodes = Vec::new();
    for found in TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable").flatten() {
        if let FoundKind::File(file) = found.what {
            inodes.extend(file.shared_inode);
        }
    }
    assert!(inodes.len() == 2 && inodes[0] == inodes[1], "{inodes:?}");
}

#[test]
fn a_change_while_reading_is_noticed() {
    let temp = tempfile::tempdir().expect("temp");
    let path = temp.path().join("file");
    fs::write(&path, b"before").expect("file");
    let found = TreeScan::new(&path, OwnFolders::new(), FollowLinks::Never)
        .expect("readable")
        .next()
        .expect("one")
        .expect("readable");
    let FoundKind::File(open) = found.what else { panic!("a file") };
    let watch = open.watch().expect("dup");
    assert_eq!(watch.change(), FileChange::Unchanged);
    fs::write(&path, b"changed").expect("file");
    assert_eq!(watch.change(), FileChange::Grown);
    assert_eq!(watch.reopen().expect("seek").0.size, 7);
    fs::write(&path, b"less").expect("file");
    assert_eq!(watch.change(), FileChange::Changed);
}

#[test]
fn what_a_change_is() {
    let stamp = |size, time| FileStamp { size, times: [(time, 0), (time, 0)] };
    for (before, now, expected) in [
        (stamp(7, 1), stamp(7, 1), FileChange::Unchanged),
        (stamp(7, 1), stamp(8, 2), FileChange::Grown),
        (stamp(7, 1), stamp(7, 2), FileChange::Changed),
        (stamp(7, 1), stamp(6, 2), FileChange::Changed),
        (stamp(0, 1), stamp(0, 2), FileChange::Unchanged),
        (stamp(0, 1), stamp(1, 2), FileChange::Grown),
    ] {
        assert_eq!(since(before, now), expected, "{before:?} {now:?}");
    }
}

/// A link to a folder, one to a file, one to nothing, and one to the folder above.
fn linked() -> tempfile::TempDir {
    let temp = tempfile::tempdir().expect("temp");
    fs::create_dir_all(temp.path().join("real/inner")).expect("dirs");
    fs::write(temp.path().join("real/file"), b"12345").expect("file");
    symlink("file", temp.path().join("real/to-file")).expect("link");
    symlink("gone", temp.path().join("real/to-nothing")).expect("link");
    symlink("..", temp.path().join("real/inner/up")).expect("link");
    symlink("real", temp.path().join("link")).expect("link");
    temp
}

#[track_caller]
fn check_followed(follow: FollowLinks, found: &[&str], skipped: &[&str]) {
    let temp = linked();
    let link = temp.path().join("link");
    let (names, skips) = names(TreeScan::new(&link, OwnFolders::new(), follow).expect("readable"));
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), found);
    let mut skips: Vec<String> = skips.into_iter().map(|skip| skip.replace(&*link.to_string_lossy(), "")).collect();
    skips.sort();
    assert_eq!(skips, skipped);
}

#[test]
fn links_are_followed_as_asked() {
    check_followed(FollowLinks::Never, &[" -> real"], &[]);
    let of_source = ["/", "file 5", "inner/", "inner/up -> ..", "to-file -> file", "to-nothing -> gone"];
    check_followed(FollowLinks::Sources, &of_source, &[]);
    let skipped = [
        "/inner/up: it is a symlink to a folder above it, so following it would not end",
        "/to-nothing: it is a symlink to something that does not exist",
    ];
    check_followed(FollowLinks::All, &["/", "file 5", "inner/", "to-file 5"], &skipped);
}

#[test]
fn a_followed_link_to_a_pipe_or_to_nothing_is_reported() {
    let temp = tempfile::tempdir().expect("temp");
    rustix::fs::mknodat(CWD, temp.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("fifo");
    symlink("pipe", temp.path().join("link")).expect("link");
    symlink("gone", temp.path().join("dangling")).expect("link");
    let why = |name: &str| {
        TreeScan::new(&temp.path().join(name), OwnFolders::new(), FollowLinks::Sources).err().map(|skip| skip.why)
    };
    assert!(matches!(why("link"), Some(SkipReason::Special("a pipe"))), "{:?}", why("link"));
    assert!(matches!(why("dangling"), Some(SkipReason::Dangling)), "{:?}", why("dangling"));
}

#[test]
fn a_source_that_is_not_there_is_told() {
    let Err(skipped) = TreeScan::new(Path::new("/nowhere/at/all"), OwnFolders::new(), FollowLinks::Never) else {
        panic!("must fail")
    };
    assert!(skipped.to_string().starts_with("/nowhere/at/all: cannot be read: No such file"), "{skipped}");
}
