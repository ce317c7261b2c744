//! What other users of the same machine see and can do, and what a member's names and modes do to it.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::adversary::{FakeDaemon, NOBODY};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::symlink_metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o7777)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// What a command says that has to fail.
fn refused(node: &ClusterNode, args: &[&str]) -> Result<String> {
    let output = node.run(args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{args:?} ended with {:?}: {said}", output.status);
    Ok(said)
}

/// Arguments and environments of all processes, as far as this user may read them.
fn all_processes() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        for name in ["cmdline", "environ"] {
            let path = process.path().join(name);
            if let Ok(bytes) = fs::read(&path) {
                found.push((path, bytes));
            }
        }
    }
    Ok(found)
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn no_process_shows_the_ticket_of_a_node_that_runs() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let mut tickets = Vec::new();
    for way in ["argument", "file"] {
        let ticket = cluster.nodes[0].ticket()?;
        let mut node = cluster.new_node()?;
        let blocks = format!("{}:1GiB", node.home.join("blocks").display());
        let rest = ["--name", way, "--storage", &blocks, "--listen", "127.0.0.1:0", "--no-mdns"];
        let file = cluster.scratch("ticket");
        fs::write(&file, format!("{ticket}\n"))?;
        set_mode(&file, 0o600)?;
        let file = file.display().to_string();
        let source = if way == "file" { vec!["--ticket-file", &file] } else { vec![&ticket[..]] };
        node.spawn([&["join"][..], &source[..], &rest[..]].concat())?;
        node.wait("the newcomer to hold the pool's key", |status| status["has_key"] == true)?;
        let pid = node.pid().context("it runs")?;
        let line = fs::read(format!("/proc/{pid}/cmdline"))?;
        ensure!(contains(&line, "join"), "the process that was started is the node: {line:?}");
        // What it read the ticket from does not give it to anybody else either.
        ensure!(!contains(&fs::read(format!("/proc/{pid}/fd/0")).unwrap_or_default(), &ticket[20..60]));
        ensure!(!node.log().contains(&ticket[20..60]), "the log has it: {}", node.log());
        tickets.push(ticket);
        cluster.nodes.push(node);
    }
    for (path, bytes) in all_processes()? {
        for ticket in &tickets {
            ensure!(!contains(&bytes, &ticket[20..60]), "{} shows a ticket", path.display());
        }
    }
    Ok(())
}

#[test]
fn a_home_that_others_can_change_is_refused_and_nothing_is_written_through_links() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let ticket = cluster.nodes[0].ticket()?;
    let node = cluster.new_node()?;
    let mine = cluster.scratch("mine");
    fs::write(&mine, "mine")?;
    set_mode(&node.home, 0o777)?;
    for args in [&["up"][..], &["init", "--storage", "none"], &["join", &ticket], &["config", "check"]] {
        let said = refused(&node, args)?;
        ensure!(said.contains("other users may write to") && said.contains("chmod go-w"), "{args:?}: {said}");
    }
    set_mode(&node.home, 0o755)?;
    for name in ["lock", "config.toml", "pool", "run"] {
        symlink(&mine, node.home.join(name))?;
        let said = refused(&node, &["up"])?;
        ensure!(said.contains("is a symbolic link") && said.contains(name), "{said}");
        fs::remove_file(node.home.join(name))?;
    }
    ensure!(fs::read(&mine)? == b"mine");
    if chown(&node.home, Some(NOBODY), None).is_err() {
        println!("skipped: only root can give a folder to another user");
        return Ok(());
    }
    for args in [&["up"][..], &["join", &ticket], &["config", "check"]] {
        let said = refused(&node, args)?;
        ensure!(said.contains("belongs to another user"), "{args:?}: {said}");
    }
    ensure!(fs::read_dir(&node.home)?.next().is_none(), "nothing was made there");
    Ok(())
}

#[test]
fn nothing_is_sent_to_a_daemon_of_another_user() -> Result<()> {
    let cluster = TestCluster::new(program())?;
    let node = cluster.new_node()?;
    if chown(&node.home, Some(NOBODY), None).is_err() {
        println!("skipped: only root can start a program of another user");
        return Ok(());
    }
    // The other user can come to the folder and make the socket.
    let folder = node.home.parent().context("a folder above")?;
    set_mode(folder, 0o711)?;
    fs::create_dir(node.home.join("run"))?;
    chown(node.home.join("run"), Some(NOBODY), None)?;
    let socket = node.home.join("run/control.sock");
    let Some(mut fake) = FakeDaemon::listen(&socket)? else { return Ok(()) };
    // A deep home has its socket elsewhere; where, a link says that another user may have laid.
    let deep = cluster.scratch(&"d".repeat(120));
    fs::create_dir_all(deep.join("run"))?;
    symlink(&socket, deep.join("run/control.sock"))?;
    let deep = deep.display().to_string();
    let diary = cluster.scratch("diary");
    fs::write(&diary, "dear diary")?;
    let diary = diary.display().to_string();
    for home in [&node.home.display().to_string(), &deep] {
        for args in [&["put", &diary, "/diary"][..], &["status"], &["ls", "/"], &["down"], &["join", "-"]] {
            let said = refused(&node, &[&["--home", home.as_str()][..], args].concat())?;
            // Without a ticket `join` asks nobody anything.
            ensure!(said.contains("another user's") || args[0] == "join", "{args:?}: {said}");
            if args[0] != "join" {
                let told = fake.told()?;
                ensure!(told.starts_with("0 "), "{args:?} told another user {told}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_a_node_makes_is_its_users_alone() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    let mut node = cluster.new_node()?;
    node.init()?;
    node.up()?;
    let file = cluster.scratch("file");
    fs::write(&file, vec![7; 3 << 20])?;
    node.expect(&[0, 1], ["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    let index = node.home.join("blocks/index");
    wait_for(PATIENCE, "an index", || Ok(index.is_dir()))?;
    let mut folders = vec![node.home.join("blocks"), node.home.join("pool"), node.home.join("run")];
    while let Some(folder) = folders.pop() {
        ensure!(mode(&folder)? & 0o077 == 0, "{} has mode {:o}", folder.display(), mode(&folder)?);
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            // The store renames and removes files while it runs.
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            ensure!(found.permissions().mode() & 0o077 == 0, "{} is open to others", path.display());
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    cluster.nodes.push(node);
    Ok(())
}

#[test]
fn get_gives_no_more_rights_than_the_umask_leaves() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let source = cluster.scratch("source");
    fs::create_dir(&source)?;
    // One that comes with its folder's page, and one that comes by itself.
    for (name, bytes) in [("small", 10), ("large", 2 << 20)] {
        fs::write(source.join(name), vec![1; bytes])?;
        set_mode(&source.join(name), 0o6777)?;
    }
    set_mode(&source, 0o1777)?;
    node.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    for (mask, option, expected) in [("022", "", 0o755), ("077", "", 0o700), ("077", "-p", 0o777)] {
        let back = cluster.scratch(&format!("back{mask}{option}"));
        let get = node.command(["get"]);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("umask {mask}; exec \"$0\" get {option} /source \"$1\""));
        shell.arg(get.get_program()).arg(&back);
        for (name, value) in get.get_envs() {
            value.map(|value| shell.env(name, value));
        }
        let output = shell.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for path in [back.clone(), back.join("small"), back.join("large")] {
            let found = mode(&path)?;
            ensure!(found == expected, "{} with umask {mask} {option}: {found:o}", path.display());
        }
    }
    Ok(())
}

/// A file system of eight megabytes; none if this user can mount none.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Result<Option<Self>> {
        fs::create_dir(&at)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "fsdfs-test"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Ok(Some(Self(at)));
        }
        println!("skipped: only root can mount a small disk");
        Ok(None)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted is seen by whoever looks for it; nothing else can be done here.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn get_begins_nothing_that_does_not_fit() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let Some(disk) = SmallDisk::mount(cluster.scratch("disk"))? else { return Ok(()) };
    let source = cluster.scratch("source");
    fs::create_dir(&source)?;
    // Holes that are worth a request of their own are not counted, shorter ones are.
    let holes = fs::File::create(source.join("holes"))?;
    holes.set_len(20 << 20)?;
    for mib in [4, 8, 12, 16] {
        holes.write_all_at(b"x", mib << 20)?;
    }
    fs::File::create(source.join("hole"))?.set_len(20 << 20)?;
    fs::write(source.join("fits"), vec![3; 1 << 20])?;
    node.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    let dest = disk.0.display().to_string();
    let said = refused(node, &["get", "/source/holes", &dest])?;
    ensure!(said.contains("does not fit") && said.contains("--any-size"), "{said}");
    ensure!(fs::read_dir(&disk.0)?.next().is_none(), "nothing was written");
    refused(node, &["get", "/source", &dest])?;
    node.ok(["get", "--any-size", "/source", &dest])?;
    ensure!(fs::metadata(disk.0.join("source/holes"))?.len() == 20 << 20);
    node.ok(["get", "/source/fits", &dest])?;
    node.ok(["get", "/source/hole", &dest])?;
    ensure!(fs::metadata(disk.0.join("hole"))?.len() == 20 << 20);
    Ok(())
}

/// Gives a node another name: it is said on its card when it starts again.
fn rename(node: &mut ClusterNode, name: &str) -> Result<()> {
    node.stop()?;
    let file = node.home.join("config.toml");
    let text = fs::read_to_string(&file)?;
    let renamed = text.replace(&format!("name = \"{}\"", node.name), &format!("name = \"{name}\""));
    ensure!(renamed != text, "{text}");
    fs::write(&file, renamed)?;
    name.clone_into(&mut node.name);
    node.up()
}

#[test]
fn members_that_bear_each_others_id_or_a_borrowed_name_are_told_apart() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 4)?;
    let ids: Vec<String> = cluster
        .nodes
        .iter()
        .map(|node| Ok(node.status()?["node"].as_str().context("an id")?.to_owned()))
        .collect::<Result<_>>()?;
    rename(&mut cluster.nodes[1], &ids[2])?;
    rename(&mut cluster.nodes[2], &ids[1])?;
    rename(&mut cluster.nodes[3], "node0\u{3164}")?;
    let founder = &cluster.nodes[0];
    let borrowed = format!("node0\\u{{3164}} (id {}, invited by", &ids[3][..8]);
    wait_for(PATIENCE, "the founder to hear of the names", || {
        let shown = founder.ok(["members"])?;
        Ok(shown.contains(&borrowed)
            && shown.contains(&format!("name:{}", ids[1]))
            && shown.contains(&format!("name:{}", ids[2])))
    })?;
    let json = founder.ok(["--json", "members"])?;
    ensure!(!json.contains('\u{3164}') && json.contains("\\u3164"), "{json}");
    let said = refused(founder, &["plan", "drain", "node0"]);
    ensure!(said.is_err(), "the name as it is means the founder alone: {said:?}");

    // The id is that of node 1, though node 2 calls itself so; by name it is node 2.
    founder.ok(["members", "revoke", &ids[1], "--yes"])?;
    let state = |id: &str| -> Result<String> {
        let members = founder.json(["members"])?;
        let members = members["members"].as_array().context("members")?;
        let member = members.iter().find(|member| member["id"] == id).context("the member")?;
        Ok(member["presence"].as_str().context("a state")?.to_owned())
    };
    ensure!(state(&ids[1])? == "revoked" && state(&ids[2])? != "revoked");
    founder.ok(["members", "revoke", &format!("name:{}", ids[1]), "--yes"])?;
    ensure!(state(&ids[2])? == "revoked" && state(&ids[3])? != "revoked");
    Ok(())
}
