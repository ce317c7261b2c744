//! What is left of a home folder whose process was killed at any step.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fsdfs_proto::identity::{Fact, Invitation, Role, RootFacts, SecretKey, ticket_cert};
use fsdfs_proto::ids::PublicKey;
use fsdfs_proto::record::LogEntry;
use tempfile::TempDir;

use super::*;
use fsdfs_proto::identity::Ticket;

fn setup() -> Setup {
    Setup { name: Some("zoe".into()), storage: Some(Vec::new()), ..Setup::default() }
}

fn home_in(folder: &TempDir) -> Home {
    Home::locate(Some(&folder.path().join("home"))).expect("a folder")
}

fn ticket_of(founder: &Identity) -> Ticket {
    let seed = SecretKey::new(crate::random::bytes());
    let subject = PublicKey(seed.signing_key().verifying_key().to_bytes());
    let invitation = Invitation { subject, role: Role::Full, redeem_by: 0, uses: 1, weight_gib_max: 0 };
    let own = founder.chain.last().expect("a founder has a certificate");
    let cert = ticket_cert(founder.pool, &founder.key.signing_key(), own, invitation).expect("a founder may invite");
    let chain = founder.chain.iter().cloned().chain([cert]).collect();
    let bootstrap = vec![(founder.node(), vec!["127.0.0.1:4".to_owned()])];
    let (pool_name, gate_secret) = (founder.pool_name.clone(), founder.gate_secret.clone());
    let founding = founder.entries.iter().find_map(|entry| match entry {
        LogEntry::Fact(raw) => match raw.open(founder.pool) {
            Ok(Fact::Founding(founding)) => Some(founding),
            _ => None,
        },
        _ => None,
    });
    let roots = RootFacts { founding, succession: None };
    Ticket { pool: founder.pool, gate_secret, roots, chain, seed, bootstrap, pool_name }
}

#[test]
fn a_founded_pool_is_read_back_and_secrets_are_the_owners_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = home_in(&folder).lock().expect("a new home");
    let made = home.found(&setup()).expect("founded");
    let identity = home.identity().expect("readable");
    assert_eq!((identity.pool, identity.node(), identity.pool_name.as_str()), (made.pool, made.node, "zoe's pool"));
    assert_eq!(identity.entries.len(), 4, "founding, admins, epoch, capability");
    for (name, mode) in [
        ("", 0o700),
        ("pool", 0o700),
        ("pool/node.key", 0o600),
        ("pool/pool-root.key", 0o600),
        ("pool/pool-spare.key", 0o600),
        ("pool/pool.toml", 0o600),
    ] {
        let found = fs::metadata(home.dir().join(name)).expect(name).permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    assert!(matches!(home.found(&setup()), Err(HomeError::HasPool { name }) if name == "zoe's pool"));
    let instance = home.instance().expect("readable");
    assert!(!instance.is_copy);
}

#[test]
fn a_second_process_is_refused_and_told_who_has_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = home_in(&folder).lock().expect("free");
    let error = home_in(&folder).lock().expect_err("taken").to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn a_copy_of_a_home_draws_a_new_instance_until_its_place_is_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = home_in(&folder).lock().expect("free");
    home.found(&setup()).expect("founded");
    let copied = Home::locate(Some(&folder.path().join("copied"))).expect("a folder");
    fs::create_dir_all(copied.dir().join("pool")).expect("a folder");
    for name in ["pool.toml", "node.key", "instance.toml"] {
        fs::copy(home.dir().join("pool").join(name), copied.dir().join("pool").join(name)).expect(name);
    }
    let copied = copied.lock().expect("free");
    let instance = copied.instance().expect("readable");
    assert!(instance.is_copy && instance.id != home.instance().expect("readable").id);
    instance.remember_place().expect("written");
    let remembered = copied.instance().expect("readable");
    assert!(!remembered.is_copy && remembered.id == instance.id);
}

#[test]
fn a_ticket_makes_a_member_with_the_rights_of_the_ticket() {
    let folder = tempfile::tempdir().expect("a folder");
    let (founder, _) = Identity::found("friends");
    let home = home_in(&folder).lock().expect("free");
    let made = home.join(&setup(), &ticket_of(&founder)).expect("joined");
    let identity = home.identity().expect("readable");
    assert_eq!((identity.pool, made.root_key), (founder.pool, None));
    assert_eq!((identity.chain.len(), identity.bootstrap[0].0), (3, founder.node()));
}

/// Every state of the folder that a kill between two steps of an exchange can leave.
#[test]
fn a_killed_exchange_leaves_the_old_pool_or_the_new_one() {
    let (founder, _) = Identity::found("friends");
    for (killed_after, has_more) in (0..=3).flat_map(|step| [(step, false), (step, true)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let blocks = folder.path().join("blocks");
        let home = home_in(&folder).lock().expect("free");
        let storage = crate::config::StorageArg { path: blocks.clone(), quota_bytes: Some(2 << 30) };
        let old = home.found(&Setup { storage: Some(vec![storage]), ..setup() }).expect("founded");
        let superblock = fsdfs_proto::record::Superblock {
            pool: old.pool,
            nonce: fsdfs_proto::ids::DiskNonce([1; 16]),
            owner: old.node,
            begun: 0,
        };
        fs::create_dir(&blocks).expect("a folder");
        fs::write(blocks.join("superblock"), superblock.encode()).expect("written");
        // As a folder on which a disk is mounted, it cannot be removed itself.
        let photo = blocks.join("photo of the owner's");
        if has_more {
            fs::write(&photo, b"").expect("written");
        }

        let new = Identity::join(&ticket_of(&founder)).expect("valid");
        let path = |name: &str| home.dir().join(name);
        if killed_after >= 1 {
            home.stage(&new, &identity::KeysHere::default()).expect("staged");
        }
        if killed_after >= 2 {
            fs::rename(path("pool"), path("pool.replaced")).expect("renamed");
        }
        if killed_after >= 3 {
            fs::rename(path("pool.new"), path("pool")).expect("renamed");
        }
        drop(home);

        let home = home_in(&folder).lock().expect("free, and finished");
        let expected = if killed_after < 2 { old.pool } else { founder.pool };
        assert_eq!(home.identity().expect("whole").pool, expected, "killed after step {killed_after}");
        let superblock = blocks.join("superblock");
        assert_eq!(superblock.exists(), killed_after < 2, "blocks go with their pool, step {killed_after}");
        assert_eq!(photo.exists(), has_more, "what is not the store's stays, step {killed_after}");
        assert_eq!(blocks.exists(), killed_after < 2 || has_more, "an empty folder goes, step {killed_after}");
        assert!(!home.dir().join("pool.new").exists() && !home.dir().join("pool.replaced").exists());
    }
}

#[test]
fn what_is_damaged_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = home_in(&folder).lock().expect("free");
    home.found(&setup()).expect("founded");
    let file = home.dir().join("pool/pool.toml");
    let text = fs::read_to_string(&file).expect("readable");
    for (damaged, says) in [
        (text.replace("version = 1", "version = 9"), "update fsdfs"),
        (text.replace("chain = [\"", "chain = [\"AAAA"), "is damaged"),
        (String::new(), "missing field"),
    ] {
        fs::write(&file, damaged).expect("written");
        let error = home.identity().expect_err("damaged").to_string();
        assert!(error.contains("pool.toml") && error.contains(says), "{error}");
    }
    fs::write(&file, text).expect("written");
    fs::write(home.dir().join("pool/node.key"), "xyz").expect("written");
    let error = home.identity().expect_err("damaged").to_string();
    assert!(error.contains("node.key") && error.contains("64 hexadecimal digits"), "{error}");
}
