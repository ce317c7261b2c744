//! What must be shown, at any size. Each scenario starts its own nodes and returns one line of figures.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use crate::tree;

/// How much is moved.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioScale {
    /// Bytes of the large file.
    pub big_bytes: u64,
    /// Small files, 0 B to 64 KiB.
    pub small_files: usize,
    /// What a user is promised to wait at most, where the machine does nothing else; `cargo test` runs many of these at once.
    pub promised: Duration,
}

impl ScenarioScale {
    /// For `cargo test`.
    pub const REDUCED: Self = Self { big_bytes: 64 << 20, small_files: 500, promised: PATIENCE };
    /// For the `acceptance` binary.
    pub const FULL: Self = Self { big_bytes: 5 << 30, small_files: 10_000, promised: Duration::from_secs(10) };
}

/// A scenario: its name, what it shows, and how.
pub type Scenario = (&'static str, fn(TestProgram, ScenarioScale) -> Result<String>);

/// All of them, in the order of a pool's life.
pub const ALL: &[Scenario] = &[
    ("first_start", first_start),
    ("round_trip", round_trip),
    ("friends_join_later", friends_join_later),
    ("killed_during_put", killed_during_put),
    ("restart_and_lost_index", restart_and_lost_index),
    ("changes_while_apart", changes_while_apart),
    ("newcomer_is_usable", newcomer_is_usable),
    ("other_user_is_refused", other_user_is_refused),
    ("bad_input_changes_nothing", bad_input_changes_nothing),
];

/// `up` on an empty home creates a pool that can be used at once, and says what comes next.
pub fn first_start(program: TestProgram, _: ScenarioScale) -> Result<String> {
    let cluster = TestCluster::new(program)?;
    let mut node = cluster.new_node()?;
    let begun = Instant::now();
    node.up()?;
    let usable = begun.elapsed();
    let said = node.log();
    for needed in ["invite", "put", "root", "UDP"] {
        ensure!(said.contains(needed), "the first start does not mention {needed:?}:\n{said}");
    }
    let file = cluster.scratch("first");
    fs::write(&file, b"first file")?;
    node.expect(&[1], ["put".as_ref(), file.as_os_str(), "/".as_ref()])?;
    ensure!(node.ok(["cat", "/first"])? == "first file", "another content came back");
    node.stop()?;
    Ok(format!("usable after {:.2} s", usable.as_secs_f64()))
}

/// Put on node 1, get on node 3: identical. Put again: nothing uploaded.
pub fn round_trip(program: TestProgram, scale: ScenarioScale) -> Result<String> {
    let cluster = TestCluster::of(program, 3)?;
    let source = cluster.scratch("source");
    fs::create_dir_all(&source)?;
    tree::hard_tree(&source, scale.small_files, 1)?;
    tree::random_file(&source.join("big"), scale.big_bytes, 2)?;
    let (first, third) = (&cluster.nodes[0], &cluster.nodes[2]);

    let (put, put_s) = timed(|| put(first, &source, "/"))?;
    ensure!(put["failed"]["count"] == 0, "not everything was put: {put}");
    first.wait_complete()?;
    for path in ["/source", "/source/big"] {
        wait_for(PATIENCE, &format!("three copies of {path}, put as {put}"), || copies_are(first, path, 3))?;
    }
    let back = cluster.scratch("back");
    let ((), get_s) = timed(|| third.get("/source", &back, PATIENCE))?;
    tree::assert_equal(&source, &back)?;

    let (again, again_s) = timed(|| self::put(first, &source, "/"))?;
    ensure!(again["uploaded_bytes"] == 0, "a second put uploaded {again}");
    let bytes = scale.big_bytes as f64 / f64::from(1 << 20);
    Ok(format!(
        "{:.0} MiB and {} files: put {put_s:.1} s, get {get_s:.1} s, put again {again_s:.1} s with 0 bytes uploaded",
        bytes, scale.small_files
    ))
}

/// One node stores alone, says so, and two friends make it three copies without a command.
pub fn friends_join_later(program: TestProgram, scale: ScenarioScale) -> Result<String> {
    let mut cluster = TestCluster::new(program)?;
    cluster.found()?;
    let source = cluster.scratch("alone");
    fs::create_dir_all(&source)?;
    tree::hard_tree(&source, scale.small_files / 5, 3)?;
    let put = put(&cluster.nodes[0], &source, "/")?;
    ensure!(put["outcome"] == "degraded" && put["copies"] == 1, "alone, but {put}");
    cluster.join()?;
    cluster.join()?;
    let begun = Instant::now();
    wait_for(PATIENCE, "three copies of the folder's own block", || copies_are(&cluster.nodes[0], "/alone", 3))?;
    cluster.nodes[0].wait_complete()?;
    let took = begun.elapsed();
    cluster.nodes[0].kill()?;
    cluster.nodes[1].kill()?;
    let back = cluster.scratch("back");
    cluster.nodes[2].get("/alone", &back, PATIENCE)?;
    tree::assert_equal(&source, &back)?;
    Ok(format!("three copies {:.1} s after the second friend joined", took.as_secs_f64()))
}

/// One of three is killed in the middle of a put: it ends within 10 s, and what was acknowledged is read from one node alone.
pub fn killed_during_put(program: TestProgram, scale: ScenarioScale) -> Result<String> {
    let mut cluster = TestCluster::of(program, 3)?;
    let source = cluster.scratch("source");
    tree::random_file(&source, scale.big_bytes / 2, 4)?;
    let mut putting = cluster.nodes[0]
        .command(["--json".as_ref(), "put".as_ref(), source.as_os_str(), "/photos.tar".as_ref()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait_for(PATIENCE, "the put to be under way", || Ok(used_bytes(&cluster.nodes[2])? > scale.big_bytes / 20))?;
    cluster.nodes[2].kill()?;
    let begun = Instant::now();
    let most = scale.promised + Duration::from_millis(scale.big_bytes >> 15);
    wait_for(most, "the put to end", || Ok(putting.try_wait()?.is_some()))?;
    let took = begun.elapsed();
    let output = putting.wait_with_output()?;
    let acknowledged = matches!(output.status.code(), Some(0 | 1));
    ensure!(acknowledged || !output.stderr.is_empty() || !output.stdout.is_empty(), "the put failed without a word");
    ensure!(acknowledged, "two of three were there all the time: {}", String::from_utf8_lossy(&output.stderr));
    for reader in [1, 0] {
        let back = cluster.scratch(&format!("back{reader}"));
        cluster.nodes[reader].get("/photos.tar", &back, PATIENCE)?;
        ensure!(tree::same_bytes(&source, &back)?, "other bytes came back from node {reader}");
        cluster.nodes[1].kill()?;
    }
    Ok(format!(
        "the put ended {:.1} s after the kill; read back by the other two, and by one alone",
        took.as_secs_f64()
    ))
}

/// All nodes restarted: everything readable within 10 s. An index deleted: rebuilt, and the user is told.
pub fn restart_and_lost_index(program: TestProgram, scale: ScenarioScale) -> Result<String> {
    let mut cluster = TestCluster::of(program, 3)?;
    let source = cluster.scratch("source");
    fs::create_dir_all(&source)?;
    tree::hard_tree(&source, scale.small_files / 5, 5)?;
    put(&cluster.nodes[0], &source, "/")?;
    for node in &mut cluster.nodes {
        node.kill()?;
    }
    let index = find_index(&cluster.nodes[1].home)?;
    fs::remove_dir_all(&index)?;
    let begun = Instant::now();
    for node in &mut cluster.nodes {
        node.up()?;
    }
    let back = cluster.scratch("back");
    cluster.nodes[1].get("/source", &back, scale.promised)?;
    let took = begun.elapsed();
    tree::assert_equal(&source, &back)?;
    ensure!(took < scale.promised, "readable only after {took:?}");
    wait_for(PATIENCE, "the log to tell of the rebuilt index", || Ok(cluster.nodes[1].log().contains("rebuil")))?;
    Ok(format!(
        "everything read {:.1} s after the first of three restarts, one of them without its index",
        took.as_secs_f64()
    ))
}

/// Two nodes change the same folder while apart; then both list the same tree, and nothing that no one removed is gone.
pub fn changes_while_apart(program: TestProgram, _: ScenarioScale) -> Result<String> {
    let mut cluster = TestCluster::of(program, 2)?;
    let source = cluster.scratch("docs");
    fs::create_dir_all(source.join("inner"))?;
    for name in ["edited by both", "removed by one", "inner/moved"] {
        fs::write(source.join(name), name)?;
    }
    put(&cluster.nodes[0], &source, "/")?;
    let text_file = cluster.scratch("text");
    let write = |node: &ClusterNode, name: &str, text: &str| -> Result<()> {
        let file = &text_file;
        fs::write(file, text)?;
        node.expect(&[0, 1], ["put".as_ref(), file.as_os_str(), name.as_ref()]).map(drop)
    };
    let (left, right) = (0, 1);
    cluster.nodes[right].stop()?;
    write(&cluster.nodes[left], "/docs/edited by both", "left's text")?;
    cluster.nodes[left].expect(&[0, 1], ["rm", "/docs/removed by one"])?;
    cluster.nodes[left].expect(&[0, 1], ["mv", "/docs/inner", "/docs/outer"])?;
    cluster.nodes[left].stop()?;
    cluster.nodes[right].up()?;
    write(&cluster.nodes[right], "/docs/edited by both", "right's text")?;
    write(&cluster.nodes[right], "/docs/removed by one", "kept")?;
    write(&cluster.nodes[right], "/docs/inner/moved", "edited inside")?;
    cluster.nodes[left].up()?;
    cluster.wait_connected()?;

    let list = |node: &ClusterNode| node.ok(["ls", "/docs", "/docs/inner", "/docs/outer"]);
    wait_for(PATIENCE, "both to list the same tree", || {
        let (one, other) = (list(&cluster.nodes[left]), list(&cluster.nodes[right]));
        Ok(matches!((one, other), (Ok(one), Ok(other)) if one == other))
    })?;
    let back = cluster.scratch("back");
    cluster.nodes[left].get("/docs", &back, PATIENCE)?;
    let texts = all_texts(&back)?;
    for kept in ["left's text", "right's text", "kept", "edited inside", "inner/moved"] {
        ensure!(texts.iter().any(|text| text == kept), "{kept:?} is gone; there is {texts:?}");
    }
    Ok(format!("one tree on both, {} contents, none lost", texts.len()))
}

/// A new machine holds blocks within 10 s of `fsdfs join`.
pub fn newcomer_is_usable(program: TestProgram, scale: ScenarioScale) -> Result<String> {
    let mut cluster = TestCluster::new(program)?;
    cluster.found()?;
    let file = cluster.scratch("file");
    tree::random_file(&file, scale.big_bytes / 16, 6)?;
    put(&cluster.nodes[0], &file, "/")?;
    let begun = Instant::now();
    cluster.join()?;
    wait_for(PATIENCE, "the newcomer to hold a copy", || copies_are(&cluster.nodes[0], "/file", 2))?;
    let took = begun.elapsed();
    ensure!(took < scale.promised, "a holder only after {took:?}");
    Ok(format!("a holder {:.1} s after `join`", took.as_secs_f64()))
}

/// A control request from another Unix user is refused.
pub fn other_user_is_refused(program: TestProgram, _: ScenarioScale) -> Result<String> {
    if !rustix::process::geteuid().is_root() {
        return Ok("skipped: only root can run a command as another user".into());
    }
    let mut cluster = TestCluster::new(program)?;
    let node = cluster.found()?;
    // Even with every folder open to it, the other user is known by its socket credentials.
    let output = match node.command(["status"]).uid(65_534).gid(65_534).output() {
        // A folder above it is closed to others, as root's home folder is.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Ok("skipped: another user may not run the program where it lies".into());
        }
        output => output?,
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "another user was served: {errors}");
    ensure!(!errors.is_empty(), "another user was refused without a word");
    Ok(errors.lines().next().unwrap_or_default().to_owned())
}

/// Tickets cut in half, wrong names, absurd sizes: a clear error, exit code 2, and nothing changed.
pub fn bad_input_changes_nothing(program: TestProgram, _: ScenarioScale) -> Result<String> {
    let mut cluster = TestCluster::new(program)?;
    cluster.found()?;
    let ticket = cluster.nodes[0].ticket()?;
    let half = &ticket[..ticket.len() / 2];
    let stranger = cluster.new_node()?;
    let bad: [&[&str]; 12] = [
        &["join", half],
        &["join", "fsdfs-ticket-1:"],
        &["join", "not a ticket"],
        &["init", "--storage", "/:99999999TiB"],
        &["init", "--storage", "none:5GiB"],
        &["get", "/does/not/exist"],
        &["put", "/does/not/exist", "/"],
        &["put", "/etc/hostname", "relative/path"],
        &["ls", "/../etc"],
        &["mv", "/", "/x"],
        &["rm", "/nothing"],
        &["cat", "--range", "9-3", "/x"],
    ];
    for args in bad {
        let node = if matches!(args[0], "join" | "init") { &stranger } else { &cluster.nodes[0] };
        let output = node.run(args)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2), "{args:?} ended with {:?}: {said}", output.status.code());
        ensure!(said.trim().len() > 10 && !said.contains("panicked"), "{args:?} says only {said:?}");
    }
    ensure!(cluster.nodes[0].ok(["ls", "/"])?.trim().is_empty(), "something was written");
    Ok(format!("{} kinds of bad input refused", bad.len()))
}

fn put(node: &ClusterNode, source: &Path, dest: &str) -> Result<serde_json::Value> {
    node.json(["put".as_ref(), source.as_os_str(), dest.as_ref()])
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let begun = Instant::now();
    let value = work()?;
    Ok((value, begun.elapsed().as_secs_f64()))
}

/// Whether every block of a file or folder has that many copies, as `stat` says.
fn copies_are(node: &ClusterNode, path: &str, copies: u64) -> Result<bool> {
    let Ok(stat) = node.json(["stat", path]) else { return Ok(false) };
    Ok(stat["placement"]["copies_min"].as_u64() >= Some(copies))
}

fn used_bytes(node: &ClusterNode) -> Result<u64> {
    let status = node.status()?;
    let disks = status["disks"].as_array().context("no disks in the status")?;
    Ok(disks.iter().filter_map(|disk| disk["used_bytes"].as_u64()).sum())
}

fn find_index(home: &Path) -> Result<std::path::PathBuf> {
    let mut todo = vec![home.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name == "index") {
                    return Ok(path);
                }
                todo.push(path);
            }
        }
    }
    anyhow::bail!("no index folder below {}", home.display())
}

fn all_texts(root: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { todo.push(path) } else { texts.push(fs::read_to_string(&path)?) }
        }
    }
    texts.sort();
    Ok(texts)
}
