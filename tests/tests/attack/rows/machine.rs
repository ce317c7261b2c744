//! Other programs and users of the same machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::adversary::{FakeDaemon, NOBODY};
use futures::FutureExt as _;

use crate::party::AttackParty;
use crate::party::AttackRole::Outsider;
use crate::row::AttackRow;
use crate::stage::AttackStage;

/// A user that is not the one of the tests.
const SOMEBODY: u32 = 65_533;

pub const ROWS: &[AttackRow] = &[
    AttackRow::new("ticket-in-ps", "the list of processes is read for tickets", &[Outsider], |stage, _| {
        let seen = no_ticket_in_sight(stage);
        async { seen }.boxed()
    }),
    AttackRow::new("foreign-home", "a home folder of another user, or open to all", &[Outsider], |stage, _| {
        let seen = foreign_homes(stage);
        async { seen }.boxed()
    }),
    AttackRow::new("lock-link", "a lock file that is a link to a file of the user's", &[Outsider], |stage, _| {
        let seen = lock_link(stage);
        async { seen }.boxed()
    }),
    AttackRow::new("fake-socket", "another user's program listens where the daemon should", &[Outsider], |stage, _| {
        let seen = fake_socket(stage);
        async { seen }.boxed()
    }),
    AttackRow::new("wide-modes", "a file of mode 0777 is got under a umask of 077", &[Outsider], |stage, _| {
        let seen = wide_modes(stage);
        async { seen }.boxed()
    }),
];

fn noted(note: impl Into<String>) -> AttackParty {
    AttackParty { note: note.into(), ..AttackParty::default() }
}

/// Nodes 1 and 2 came in by `fsdfs join TICKET`.
fn no_ticket_in_sight(stage: &AttackStage) -> Result<AttackParty> {
    for node in &stage.cluster.nodes {
        let pid = node.pid().context("it runs")?;
        let shown = fs::read(format!("/proc/{pid}/cmdline"))?;
        let shown = String::from_utf8_lossy(&shown).replace('\0', " ");
        ensure!(!shown.contains("fsdfs-ticket"), "{} shows its ticket", node.name);
    }
    Ok(noted("no process shows one"))
}

fn foreign_homes(stage: &AttackStage) -> Result<AttackParty> {
    let mut tried = Vec::new();
    for (name, owner, mode) in [("of another user", SOMEBODY, 0o700), ("open to all", 0, 0o777)] {
        if owner != 0 && !rustix::process::geteuid().is_root() {
            continue;
        }
        let home = stage.cluster.scratch(&format!("home {name}"));
        fs::create_dir_all(&home)?;
        if owner != 0 {
            chown(&home, Some(owner), Some(owner))?;
        }
        fs::set_permissions(&home, fs::Permissions::from_mode(mode))?;
        let output = stage.cluster.program().command(&home).args(["init", "--storage", "none"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "a home folder {name} was taken: {said}");
        ensure!(!home.join("pool").exists(), "keys were written into a home folder {name}");
        tried.push(name);
        fs::remove_dir_all(&home)?;
    }
    Ok(noted(format!("refused: {}", tried.join(", "))))
}

fn lock_link(stage: &AttackStage) -> Result<AttackParty> {
    let (home, victim) = (stage.cluster.scratch("home with a link"), stage.cluster.scratch("victim"));
    fs::create_dir_all(&home)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    fs::write(&victim, "what must stay")?;
    symlink(&victim, home.join("lock"))?;
    let output = stage.cluster.program().command(&home).args(["init", "--storage", "none"]).output()?;
    ensure!(fs::read(&victim)? == b"what must stay", "a file was overwritten through the link");
    ensure!(!output.status.success(), "a home folder whose lock is a link was taken");
    fs::remove_dir_all(&home)?;
    Ok(noted("the link was not followed"))
}

/// A home that another user could write to once, and a deep one, whose socket lies elsewhere.
fn fake_socket(stage: &AttackStage) -> Result<AttackParty> {
    let home = stage.cluster.scratch("home with a fake socket");
    let (run, socket) = (home.join("run"), home.join("run/control.sock"));
    fs::create_dir_all(&run)?;
    if chown(&run, Some(NOBODY), None).is_err() {
        return Ok(noted("skipped: only root can start a program of another user"));
    }
    // The other user has to come to its folder.
    fs::set_permissions(home.parent().context("a folder above")?, fs::Permissions::from_mode(0o711))?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o711))?;
    let Some(mut fake) = FakeDaemon::listen(&socket)? else { return Ok(noted("skipped: no python3")) };
    let deep = stage.cluster.scratch(&"d".repeat(120));
    fs::create_dir_all(deep.join("run"))?;
    symlink(&socket, deep.join("run/control.sock"))?;
    let secret = stage.cluster.scratch("diary");
    fs::write(&secret, "dear diary")?;
    let mut asked = 0;
    for home in [&home, &deep] {
        for verb in [&["put", &secret.display().to_string(), "/diary"][..], &["status"], &["ls", "/"], &["invite"]] {
            let output = stage.cluster.program().command(home).args(verb).output()?;
            ensure!(output.status.code() == Some(2), "{verb:?} was carried out by another user's program");
            let told = fake.told()?;
            ensure!(told.starts_with("0 "), "{verb:?} told another user {told}");
            asked += 1;
        }
    }
    fs::remove_file(&secret)?;
    Ok(noted(format!("{asked} commands, not a byte sent")))
}

fn wide_modes(stage: &AttackStage) -> Result<AttackParty> {
    let (source, back) = (stage.cluster.scratch("wide"), stage.cluster.scratch("narrow"));
    fs::write(&source, "a program of somebody's")?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o777))?;
    let node = &stage.cluster.nodes[0];
    node.json(["put".as_ref(), source.as_os_str(), "/wide".as_ref()])?;
    let get = node.command(["get".as_ref(), "/wide".as_ref(), back.as_os_str()]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(get.get_program()).args(get.get_args());
    shell.env_clear().envs(get.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output()?;
    ensure!(output.status.success(), "get: {}", String::from_utf8_lossy(&output.stderr));
    let mode = fs::metadata(&back)?.mode() & 0o777;
    node.expect(&[0, 1], ["rm", "/wide"])?;
    fs::remove_file(&source)?;
    fs::remove_file(&back)?;
    ensure!(mode & 0o077 == 0, "mode {mode:o} against the umask");
    Ok(noted(format!("mode {mode:o}")))
}
