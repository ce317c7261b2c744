//! Earlier states of the pool, with real daemons whose hours are short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, TestCluster, TestProgram};
use serde_json::Value;

/// Milliseconds of an hour of history: thirty days are 43 s.
const HOUR_MS: u64 = 60;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")).with_hour(HOUR_MS)
}

/// Names with their contents.
type Tree = BTreeMap<String, String>;

/// The states of the pool as all commits list them, the newest first: what a node alone remembers goes with its hours, which are
/// short here.
fn states(node: &ClusterNode) -> Result<Vec<Value>> {
    let history = node.json(["snapshots"])?;
    let states = history["states"].as_array().context("a list")?;
    Ok(states.iter().filter(|state| state["only_here"] != true).cloned().collect())
}

fn id(state: &Value) -> Result<String> {
    Ok(state["state"].as_str().context("an id")?.to_owned())
}

/// What a node shows of a state.
fn shown_at(node: &ClusterNode, cluster: &TestCluster, at: &str) -> Result<Tree> {
    let to = cluster.scratch(&format!("at-{}-{at}", node.name));
    node.ok(["get", "--at", at, "/d", &to.to_string_lossy()])?;
    let mut tree = Tree::new();
    for entry in fs::read_dir(&to)? {
        let entry = entry?;
        tree.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
    }
    fs::remove_dir_all(&to)?;
    Ok(tree)
}

fn put(node: &ClusterNode, cluster: &TestCluster, name: &str, content: &str, number: u32) -> Result<()> {
    let local = cluster.scratch(&format!("put-{name}"));
    fs::write(&local, content)?;
    fs::set_permissions(&local, fs::Permissions::from_mode(0o640 + number % 2))?;
    fs::File::options().write(true).open(&local)?.set_modified(time_of(number))?;
    node.expect(&[0, 1], ["put", &local.to_string_lossy(), &format!("/d/{name}")]).map(drop)
}

/// Which write a content is of.
fn number_of(content: &str) -> Result<u32> {
    content.split(' ').next().and_then(|number| number.parse().ok()).context("a content begins with its number")
}

fn time_of(number: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(number))
}

/// Thirty days of changes by three writers. Each listed state shows on each node what was there then, and each removed file that
/// some listed state has comes back with name, mode and time.
#[test]
fn thirty_days_of_three_writers_can_be_read_and_undeleted() -> Result<()> {
    let cluster = TestCluster::of(program(), 3)?;
    cluster.nodes[0].expect(&[0, 1], ["mkdir", "/d"])?;
    put(&cluster.nodes[0], &cluster, "first", "0", 0)?;
    let mut rng = fastrand::Rng::with_seed(30);
    let (mut tree, mut known) = (Tree::from([("first".to_owned(), "0".to_owned())]), BTreeMap::new());
    let mut removed: BTreeSet<String> = BTreeSet::new();
    let begun = Instant::now();
    let mut number = 1;
    while begun.elapsed() < Duration::from_millis(HOUR_MS * 24 * 30) {
        let node = &cluster.nodes[rng.usize(0..3)];
        let name = format!("f{}", rng.u8(0..40));
        number += 1;
        if rng.u8(0..3) == 0 && tree.contains_key(&name) {
            node.expect(&[0, 1], ["rm", &format!("/d/{name}")])?;
            tree.remove(&name);
            removed.insert(name.clone());
        } else {
            let content = format!("{number} {}", "x".repeat(rng.usize(0..9_000)));
            put(node, &cluster, &name, &content, number)?;
            tree.insert(name.clone(), content);
            removed.remove(&name);
        }
        known.insert(id(&states(node)?[0])?, tree.clone());
    }
    let all = states(&cluster.nodes[0])?;
    let kept = |kind: &str| all.iter().filter(|state| state["kept"] == kind).count();
    println!(
        "{} states: {} hourly, {} six-hourly, {} daily",
        all.len(),
        kept("hourly"),
        kept("six_hourly"),
        kept("daily")
    );
    // A change takes longer than an hour now and then, and than a day on a machine that does much else: then a slot has none.
    ensure!(kept("hourly") <= 24 && kept("six_hourly") <= 28 && kept("daily") <= 30, "{all:?}");
    ensure!(kept("hourly") > 0 && kept("six_hourly") > 0 && kept("daily") > 0, "{all:?}");
    let mut compared = 0;
    for node in &cluster.nodes {
        for state in states(node)? {
            let (state_id, time) = (id(&state)?, state["time_ms"].as_i64().context("a time")?);
            let Some(expected) = known.get(&state_id) else { continue };
            ensure!(shown_at(node, &cluster, &state_id)? == *expected, "{} shows another {state_id}", node.name);
            compared += 1;
            if compared % 7 == 0 {
                let at = jiff::Timestamp::from_millisecond(time)?.to_zoned(jiff::tz::TimeZone::UTC);
                let at = at.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
                ensure!(shown_at(node, &cluster, &at)? == *expected, "{} shows something else of {at}", node.name);
            }
        }
    }
    println!("{compared} states compared");
    ensure!(compared >= 3 * (all.len() - 3), "only {compared} states of 3 x {} were compared", all.len());
    let (mut back, mut lost) = (0, 0);
    for name in &removed {
        let node = &cluster.nodes[rng.usize(0..3)];
        let listed: Vec<&Tree> = states(node)?.iter().filter_map(|state| known.get(&id(state).ok()?)).collect();
        let Some(newest) = listed.iter().find_map(|tree| tree.get(name)) else {
            lost += 1;
            continue;
        };
        node.expect(&[0, 1], ["undelete", &format!("/d/{name}")])?;
        let to = cluster.scratch(&format!("back-{name}"));
        node.ok(["get", "-p", &format!("/d/{name}"), &to.to_string_lossy()])?;
        // Its node may remember a later one.
        let content = fs::read_to_string(&to)?;
        ensure!(number_of(&content)? >= number_of(newest)?, "{name} came back as an older version than there is");
        ensure!(known.values().any(|tree| tree.get(name) == Some(&content)), "{name} came back as what it never was");
        let number = number_of(&content)?;
        ensure!(fs::metadata(&to)?.permissions().mode() & 0o777 == 0o640 + number % 2, "the mode of {name}");
        ensure!(fs::metadata(&to)?.modified()? == time_of(number), "the time of {name}");
        back += 1;
    }
    println!("{back} files came back, {lost} were in no listed state");
    let none = cluster.nodes[1].expect(&[2], ["undelete", "/d/never"])?;
    ensure!(none.is_empty());
    Ok(())
}

/// A folder of ten thousand files comes back in one command and one commit; to have it put in many is one state.
#[test]
fn a_folder_of_ten_thousand_files_is_restored_in_one_commit() -> Result<()> {
    let cluster = TestCluster::of(program(), 3)?;
    let node = &cluster.nodes[0];
    let source = cluster.scratch("many");
    for number in 0..10_000 {
        let folder = source.join(format!("d{}", number % 20));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("f{number}")), format!("{number}"))?;
    }
    let before = states(node)?.len();
    node.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/many".as_ref()])?;
    node.expect(&[0, 1], ["mkdir", "/other"])?;
    // The put took many hours and commits: what stands, the state that it is made from (the end of the put), what was before.
    let after = states(node)?;
    println!("{before} states before the put, {} after it", after.len());
    ensure!(after.len() <= before + 2, "{after:?}");
    node.expect(&[0, 1], ["rm", "-r", "/many"])?;
    let removed = states(node)?;
    let begun = Instant::now();
    node.expect(&[0, 1], ["restore", "--at", &id(&removed[1])?, "/many"])?;
    println!("restored in {} ms", begun.elapsed().as_millis());
    let restored = states(node)?;
    let newer = restored.iter().take_while(|state| state["state"] != removed[0]["state"]).count();
    ensure!(newer == 1, "{newer} commits");
    let back = cluster.scratch("back");
    cluster.nodes[2].get("/many", &back, Duration::from_secs(120))?;
    fsdfs_tests::tree::assert_equal(&source, &back)?;
    refusals(node, &cluster, &id(&removed[1])?)
}

/// What does not work says why, and what does.
fn refusals(node: &ClusterNode, cluster: &TestCluster, state: &str) -> Result<()> {
    let fails = |args: &[&str], text: &str| {
        let out = node.run(args)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(2) && said.contains(text), "{args:?}: {said}");
        Ok(())
    };
    fails(&["ls", "--at", "2001-01-01", "/"], "the oldest is of")?;
    fails(&["ls", "--at", "0123456789abcdef", "/"], "there is no state 0123456789abcdef")?;
    fails(&["ls", "--at", state, "/no"], "no such file or folder")?;
    fails(&["restore", "--at", state, "/many/d1/f1", "--to", "/many/d2"], "--replace")?;
    fails(&["restore", "--at", state, "/no"], "that state has no such file or folder")?;
    fails(&["restore", "--at", state, "/"], "--to DEST")?;
    fails(&["undelete", "/many"], "it is there now")?;
    fails(&["undelete", "/no"], "no state that is kept has it")?;
    fails(&["snapshots", "drop", "0123456789abcdef"], "no earlier state")?;
    fails(&["snapshots", "keep", "--hourly", "97"], "at most 96")?;
    node.expect(&[0, 1], ["restore", "--at", state, "/", "--to", "/all as it was"])?;
    node.expect(&[0, 1], ["snapshots", "keep", "--hourly", "2", "--six-hourly", "0", "--daily", "0"])?;
    ensure!(node.json(["snapshots"])?["keep"]["hourly"] == 2);
    let log = node.ok(["log", "/many"])?;
    ensure!(log.contains("folder") && log.contains("not there"), "{log}");
    let at = cluster.nodes[1].ok(["ls", "--at", state, "/all as it was"]);
    ensure!(at.is_err(), "it was not there then");
    let dropped = states(node)?;
    if let Some(old) = dropped.iter().rev().find(|found| found["stands"] == false) {
        let old = id(old)?;
        node.expect(&[0, 1], ["snapshots", "drop", &old])?;
        // The newest state names what it was made from.
        ensure!(states(node)?.iter().skip(2).all(|found| found["state"] != old.as_str()));
    }
    ensure!(Path::new(&cluster.scratch("many")).is_dir());
    Ok(())
}
