use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;
use crate::home::{Home, Setup};

const ME: u32 = 1000;

fn entry(owner: u32, mode: u32) -> EntryRights {
    EntryRights { owner, mode, is_link: false }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own file");
}

/// Why the folder is refused.
#[track_caller]
fn fault(dir: &Path) -> HomeFault {
    match Home::locate(Some(dir)).expect("a folder").lock() {
        Err(HomeError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_home_is_its_users_alone() {
    let dir = Path::new("/h");
    for mode in [0o700, 0o755, 0o711, 0o2750] {
        assert_eq!(check_folder(dir, entry(ME, mode), ME), Ok(()), "{mode:o}");
    }
    for mode in [0o777, 0o1777, 0o770, 0o722, 0o702] {
        assert!(matches!(check_folder(dir, entry(ME, mode), ME), Err(HomeFault::Shared { .. })), "{mode:o}");
    }
    // Root's node is not run from another user's folder, nor another's from root's.
    for (owner, me) in [(ME, 0), (0, ME), (65_534, ME)] {
        let refused = check_folder(dir, entry(owner, 0o700), me);
        assert_eq!(refused, Err(HomeFault::Foreign { path: dir.into(), owner }));
    }
}

#[test]
fn nobody_can_exchange_the_folder_as_a_whole() {
    let way = |above: &[EntryRights]| {
        let folder = |(depth, found): (usize, &EntryRights)| FolderAbove {
            path: PathBuf::from(depth.to_string()),
            named: *found,
            found: *found,
        };
        above.iter().enumerate().map(folder).collect::<Vec<_>>()
    };
    let (root, tmp, stranger) = (entry(0, 0o755), entry(0, 0o1777), entry(65_534, 0o755));
    for above in [&[root, entry(ME, 0o775)][..], &[root, stranger], &[root, tmp], &[root, tmp, entry(ME, 0o755), root]]
    {
        assert_eq!(check_way(&way(above), ME), Ok(()), "{above:?}");
    }
    for above in [&[root, entry(0, 0o777)][..], &[root, entry(ME, 0o702), entry(ME, 0o700)]] {
        assert!(matches!(check_way(&way(above), ME), Err(HomeFault::InPublic { .. })), "{above:?}");
    }
    // Everybody can make a folder, or a link to one, in `/tmp`.
    for depth in [2, 3] {
        let mut above = vec![root, tmp, entry(ME, 0o700)];
        above.insert(depth, stranger);
        assert!(matches!(check_way(&way(&above), ME), Err(HomeFault::Foreign { owner: 65_534, .. })), "{above:?}");
    }
    let mut by_link = way(&[root, tmp, entry(ME, 0o700)]);
    by_link[2].named = EntryRights { is_link: true, ..stranger };
    assert!(check_way(&by_link, ME).is_err());
}

#[test]
fn what_lies_in_it_is_its_users_or_roots_and_no_link() {
    let file = Path::new("/h/config.toml");
    let link = EntryRights { is_link: true, ..entry(ME, 0o777) };
    for is_closed in [false, true] {
        let inside = InsideCheck { me: ME, is_closed };
        assert_eq!(inside.check_entry(file, entry(ME, 0o644)), Ok(()));
        assert_eq!(inside.check_entry(file, entry(0, 0o644)), Ok(()));
        assert_eq!(inside.check_entry(file, entry(ME, 0o664)).is_ok(), is_closed);
        assert!(matches!(inside.check_entry(file, entry(7, 0o644)), Err(HomeFault::Foreign { owner: 7, .. })));
        assert!(matches!(inside.check_entry(file, link), Err(HomeFault::Link { .. })));
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_no_home_until_they_may_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("home");
    fs::create_dir(&dir).expect("made");
    for mode in [0o777, 0o770] {
        set_mode(&dir, mode);
        assert_eq!(fault(&dir), HomeFault::Shared { path: dir.clone(), mode });
        assert!(!dir.join("lock").exists(), "nothing is left");
    }
    set_mode(&dir, 0o755);
    set_mode(folder.path(), 0o777);
    assert!(matches!(fault(&dir), HomeFault::InPublic { mode: 0o777, .. }));
    set_mode(folder.path(), 0o1777);
    Home::locate(Some(&dir)).expect("a folder").lock().expect("as in /tmp");
}

#[test]
fn no_link_among_the_nodes_own_files_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, elsewhere) = (folder.path().join("home"), folder.path().join("elsewhere"));
    fs::create_dir(&dir).expect("made");
    fs::write(&elsewhere, "not yours").expect("written");
    for name in OWN_NAMES {
        symlink(&elsewhere, dir.join(name)).expect("linked");
        assert_eq!(fault(&dir), HomeFault::Link { path: dir.join(name) });
        fs::remove_file(dir.join(name)).expect("removed");
    }
    assert_eq!(fs::read(&elsewhere).expect("there"), b"not yours", "nothing was written through a link");

    let setup = Setup { name: Some("zoe".into()), storage: Some(Vec::new()), ..Setup::default() };
    let home = Home::locate(Some(&dir)).expect("a folder");
    home.lock().expect("free").found(&setup).expect("made");
    for name in ["pool/node.key", "pool/facts"] {
        let aside = folder.path().join("aside");
        let is_there = fs::rename(dir.join(name), &aside).is_ok();
        symlink(&aside, dir.join(name)).expect("linked");
        assert_eq!(fault(&dir), HomeFault::Link { path: dir.join(name) });
        fs::remove_file(dir.join(name)).expect("removed");
        if is_there {
            fs::rename(&aside, dir.join(name)).expect("back");
        }
    }
    home.lock().expect("as before");
    // The home as a whole may lie elsewhere, if its user says so.
    let by_link = folder.path().join("by-link");
    symlink(&dir, &by_link).expect("linked");
    assert!(Home::locate(Some(&by_link)).expect("a folder").lock().is_ok());
}

#[test]
fn another_users_folder_and_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("home");
    fs::create_dir(&dir).expect("made");
    if chown(&dir, Some(65_534), None).is_err() {
        println!("skipped: only root can give a folder to another user");
        return;
    }
    assert_eq!(fault(&dir), HomeFault::Foreign { path: dir.clone(), owner: 65_534 });
    chown(&dir, Some(0), None).expect("root");
    fs::write(dir.join("config.toml"), "control_group = \"users\"\n").expect("written");
    chown(dir.join("config.toml"), Some(65_534), None).expect("root");
    assert_eq!(fault(&dir), HomeFault::Foreign { path: dir.join("config.toml"), owner: 65_534 });
    fs::remove_file(dir.join("config.toml")).expect("removed");
    // A folder that another user made in one that everybody can write to, and one's own in it.
    let public = folder.path().join("public");
    fs::create_dir_all(public.join("theirs/mine")).expect("made");
    set_mode(&public, 0o1777);
    chown(public.join("theirs"), Some(65_534), None).expect("root");
    assert_eq!(fault(&public.join("theirs/mine")), HomeFault::Foreign { path: public.join("theirs"), owner: 65_534 });
    // A name that another user laid there and that leads to a home of one's own.
    let by_link = folder.path().join("by-link");
    symlink(&dir, &by_link).expect("linked");
    std::os::unix::fs::lchown(&by_link, Some(65_534), None).expect("root");
    assert_eq!(fault(&by_link), HomeFault::Foreign { path: by_link, owner: 65_534 });
}
