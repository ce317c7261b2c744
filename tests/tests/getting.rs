//! `get` and `cat` of what is at an edge: interrupted, deep, empty, sparse.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree;
use rustix::process::{Pid, Signal, kill_process};

const CHUNK: usize = 1 << 20;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

fn put(node: &ClusterNode, file: &Path, to: &str) -> Result<()> {
    node.expect(&[0, 1], ["put".as_ref(), file.as_os_str(), to.as_ref()]).map(drop)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Bytes that came into the parts of unfinished files.
fn received(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).collect::<Result<Vec<u64>>>();
    // A file that got its name meanwhile is counted next time.
    Ok(entries.unwrap_or_default().iter().sum())
}

#[test]
fn an_interrupted_get_goes_on_inside_a_large_file() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let (source, dest) = (cluster.scratch("source"), cluster.scratch("dest"));
    fs::create_dir(&dest)?;
    tree::random_file(&source, 256 << 20, 1)?;
    let node = &cluster.nodes[0];
    put(node, &source, "/big")?;
    for (signal, code) in [(Signal::KILL, None), (Signal::HUP, Some(2)), (Signal::TERM, Some(2))] {
        let before = received(&dest)?;
        let mut getting = node
            .command(["get".as_ref(), "/big".as_ref(), dest.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        wait_for(PATIENCE, "some of it to come", || {
            let came = received(&dest)?;
            Ok(came > before + (8 << 20) || getting.try_wait()?.is_some())
        })?;
        kill_process(Pid::from_child(&getting), signal)?;
        let output = getting.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == code, "{signal:?}: {:?} {said}", output.status);
        ensure!(code.is_none() || said.contains("continue with"), "{said}");
        ensure!(names(&dest)?.len() == 2 && received(&dest)? >= before, "{signal:?}: {:?}", names(&dest)?);
    }
    // Nobody stores what is not whole.
    node.expect(&[0, 1], ["put".as_ref(), dest.as_os_str(), "/copy".as_ref()])?;
    ensure!(node.ok(["ls", "/copy"])?.trim().is_empty());

    let read_before = node.status()?["counters"]["blocks_read"].as_u64().context("a number")?;
    let here = received(&dest)?;
    node.ok(["get".as_ref(), "/big".as_ref(), dest.as_os_str()])?;
    let read = node.status()?["counters"]["blocks_read"].as_u64().context("a number")? - read_before;
    ensure!(names(&dest)? == ["big"] && tree::same_bytes(&source, &dest.join("big"))?, "{:?}", names(&dest)?);
    ensure!(read < 256 - here / CHUNK as u64 + 16, "{read} blocks were read although {here} bytes were here");
    Ok(())
}

#[test]
fn what_is_left_of_another_content_or_damaged_is_not_used() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let (source, dest) = (cluster.scratch("source"), cluster.scratch("dest"));
    fs::create_dir(&dest)?;
    let node = &cluster.nodes[0];
    for seed in [1, 2] {
        tree::random_file(&source, 200 << 20, seed)?;
        put(node, &source, "/big")?;
        let mut getting = node
            .command(["get".as_ref(), "-f".as_ref(), "/big".as_ref(), dest.as_os_str()])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        wait_for(PATIENCE, "some of it to come", || Ok(received(&dest)? > 20 << 20 || getting.try_wait()?.is_some()))?;
        getting.kill()?;
        getting.wait()?;
        if seed == 2 {
            let part = names(&dest)?.into_iter().find(|name| !name.ends_with(".blocks")).context("a part")?;
            let file = fs::File::options().write(true).open(dest.join(part))?;
            std::os::unix::fs::FileExt::write_all_at(&file, b"damage", 3 << 20)?;
        }
    }
    node.ok(["get".as_ref(), "-f".as_ref(), "/big".as_ref(), dest.as_os_str()])?;
    ensure!(names(&dest)? == ["big"] && tree::same_bytes(&source, &dest.join("big"))?, "{:?}", names(&dest)?);
    Ok(())
}

#[test]
fn every_range_at_an_edge() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1] {
        let file = cluster.scratch(&size.to_string());
        tree::random_file(&file, size as u64, 3)?;
        put(node, &file, &format!("/{size}"))?;
        let content = fs::read(&file)?;
        let edges = [(0, Some(0)), (0, None), (1, None), (size, None), (size.saturating_sub(1), Some(size + 5))];
        for (first, last) in edges {
            let range = format!("--range={first}-{}", last.map_or(String::new(), |last| last.to_string()));
            let output = node.run(["cat", &range, &format!("/{size}")])?;
            let said = String::from_utf8_lossy(&output.stderr);
            if first < size {
                let end = last.map_or(size, |last| size.min(last + 1));
                ensure!(output.status.success() && output.stdout == content[first..end], "{range} of {size}: {said}");
            } else {
                ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{range} of {size}: {said}");
                ensure!(said.contains(&format!("{size} bytes")), "{range} of {size}: {said}");
            }
        }
        for count in [1, size + 3] {
            let output = node.run(["cat", &format!("--range=-{count}"), &format!("/{size}")])?;
            ensure!(output.status.success() && output.stdout == content[size.saturating_sub(count)..], "-{count}");
        }
    }
    ensure!(node.run(["cat", "--range=-5", "/"])?.status.code() == Some(2), "a folder has no end");
    Ok(())
}

#[test]
fn deep_folders_come_back_in_linear_time() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let mut took = Vec::new();
    for depth in [50, 200] {
        let source = cluster.scratch(&format!("deep{depth}"));
        let path = source.join(vec!["d"; depth - 1].join("/"));
        fs::create_dir_all(&path)?;
        fs::write(path.join("file"), b"deep")?;
        put(node, &source, "/")?;
        let back = cluster.scratch(&format!("back{depth}"));
        let begun = Instant::now();
        node.ok(["get".into(), format!("/deep{depth}"), back.display().to_string()])?;
        took.push(begun.elapsed());
        tree::assert_equal(&source, &back)?;
    }
    println!("50 folders {:?}, 200 folders {:?}", took[0], took[1]);
    // Four times as deep: sixteen times as long if it were quadratic.
    ensure!(took[1] < 8 * took[0] + std::time::Duration::from_secs(2), "{took:?}");
    Ok(())
}

#[test]
fn holes_come_back() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let source = cluster.scratch("sparse");
    let file = fs::File::create(&source)?;
    file.set_len(50 << 20)?;
    std::os::unix::fs::FileExt::write_all_at(&file, b"content", 20 << 20)?;
    put(node, &source, "/")?;
    let back = cluster.scratch("back");
    node.ok(["get".as_ref(), "/sparse".as_ref(), back.as_os_str()])?;
    ensure!(tree::same_bytes(&source, &back)?);
    let (was, is) = (fs::metadata(&source)?.blocks(), fs::metadata(&back)?.blocks());
    ensure!(is <= was + 64, "{was} sectors became {is}");
    Ok(())
}

#[test]
fn a_hundred_gigabytes_of_holes_cost_what_their_data_do() -> Result<()> {
    use std::os::unix::fs::FileExt as _;

    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let folder = cluster.scratch("images");
    fs::create_dir(&folder)?;
    let (size, at, mut data) = ((100 << 30) + 5, (70 << 30) + 3, vec![0; CHUNK]);
    fastrand::Rng::with_seed(3).fill(&mut data);
    for name in ["image", "empty"] {
        fs::File::create(folder.join(name))?.set_len(size)?;
    }
    fs::File::options().write(true).open(folder.join("image"))?.write_all_at(&data, at)?;
    let put = node.json(["put".as_ref(), folder.as_os_str(), "/".as_ref()])?;
    ensure!(put["files"] == 2 && put["bytes"] == 2 * size, "{put}");
    let uploaded = put["uploaded_bytes"].as_u64().context("a number")?;
    ensure!((1 << 20..3 << 20).contains(&uploaded), "two chunks with data and some manifests: {put}");
    let again = node.json(["put".as_ref(), folder.as_os_str(), "/".as_ref()])?;
    ensure!(again["changed"] == false && again["uploaded_bytes"] == 0, "{again}");

    let (back, single) = (cluster.scratch("back"), cluster.scratch("single"));
    node.ok(["get".as_ref(), "/images".as_ref(), back.as_os_str()])?;
    node.ok(["get".as_ref(), "/images/image".as_ref(), single.as_os_str()])?;
    for file in [back.join("image"), single] {
        ensure!(fs::metadata(&file)?.len() == size && fs::metadata(&file)?.blocks() < 8 << 11, "{}", file.display());
        let mut there = vec![7; CHUNK + 20];
        fs::File::open(&file)?.read_exact_at(&mut there, at - 10)?;
        ensure!(there[10..CHUNK + 10] == data && there[..10] == [0; 10] && there[CHUNK + 10..] == [0; 10]);
    }
    ensure!(fs::metadata(back.join("empty"))?.len() == size);
    let range = format!("--range={}-{}", at - 2, at + 1);
    let part = node.run(["cat", &range, "/images/image"])?.stdout;
    ensure!(part == [&[0, 0], &data[..2]].concat(), "{part:?}");
    Ok(())
}

#[test]
fn a_daemon_whose_terminal_is_closed_says_goodbye() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 2)?;
    let pid = cluster.nodes[1].pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).context("a pid")?;
    kill_process(pid, Signal::HUP)?;
    let node = &mut cluster.nodes[1];
    wait_for(PATIENCE, "the daemon to end", || Ok(node.ended()?.is_some()))?;
    ensure!(node.ended()?.is_some_and(|status| status.success()), "{}", node.last_log());
    ensure!(node.log().contains("stopping"), "{}", node.last_log());
    // The other one is told: it does not have to find out by silence.
    cluster.nodes[0].wait("the goodbye", |status| status["connected"] == 0)
}

#[test]
fn a_daemon_under_nohup_outlives_its_terminal() -> Result<()> {
    let cluster = TestCluster::new(program())?;
    let node = cluster.new_node()?;
    node.init()?;
    let mut up = std::process::Command::new("sh");
    let command = node.command(["up"]);
    up.arg("-c")
        .arg("trap '' HUP; exec \"$0\" up")
        .arg(command.get_program())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        value.map(|value| up.env(name, value));
    }
    let mut child = up.spawn()?;
    node.wait("the node to be up", |_| true)?;
    kill_process(Pid::from_child(&child), Signal::HUP)?;
    node.wait("it to go on", |_| true)?;
    ensure!(child.try_wait()?.is_none());
    node.ok(["down"])?;
    let mut said = String::new();
    child.stderr.take().context("piped")?.read_to_string(&mut said)?;
    ensure!(child.wait()?.success(), "{said}");
    Ok(())
}
