//! Pools that run out of space, and paths that lead nowhere, as users see them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree::{random_file, same_bytes};
use serde_json::Value;

const MIB: u64 = 1 << 20;

fn pool_of(count: usize, storage: &str) -> Result<TestCluster> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")).with_unit("1MiB");
    let mut cluster = TestCluster::new(program)?;
    cluster.found_with(storage)?;
    for _ in 1..count {
        let mut node = cluster.new_node()?;
        storage.clone_into(&mut node.storage);
        cluster.join_as(node)?;
    }
    cluster.wait_connected()?;
    Ok(cluster)
}

#[test]
fn a_pool_in_which_one_member_stores_takes_what_others_put() -> Result<()> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"));
    let mut cluster = TestCluster::new(program)?;
    cluster.found_with("none")?;
    for storage in ["none", "1GiB"] {
        let mut node = cluster.new_node()?;
        storage.clone_into(&mut node.storage);
        cluster.join_as(node)?;
    }
    cluster.wait_connected()?;
    let (source, back) = (cluster.scratch("photo"), cluster.scratch("back"));
    random_file(&source, 3 * MIB, 7)?;
    let put = cluster.nodes[1].json(["put".as_ref(), source.as_os_str(), "/photo".as_ref()])?;
    ensure!(put["copies"] == 1, "{put}");
    cluster.nodes[0].get("/photo", &back, PATIENCE)?;
    ensure!(same_bytes(&source, &back)?);
    Ok(())
}

fn codes(status: &Value) -> Vec<&str> {
    status["attention"].as_array().into_iter().flatten().filter_map(|item| item["code"].as_str()).collect()
}

/// Puts files until there is room for no more; how many.
fn fill(cluster: &TestCluster) -> Result<u64> {
    let source = cluster.scratch("photo");
    for number in 0..40 {
        random_file(&source, 700_000, number)?;
        let put = cluster.nodes[0].run(["put".as_ref(), source.as_os_str(), format!("/photo{number}").as_ref()])?;
        if put.status.code() == Some(2) {
            let said = String::from_utf8_lossy(&put.stderr).into_owned();
            ensure!(said.contains("no reachable server has free space"), "{said}");
            return Ok(number);
        }
    }
    anyhow::bail!("forty files fit into a pool for some twelve")
}

#[test]
fn a_full_pool_says_so_and_names_can_be_removed() -> Result<()> {
    let cluster = pool_of(3, "20MiB")?;
    let before = cluster.nodes[0].json(["df"])?;
    let left = before["free_bytes"].as_u64().context("what is left")?;
    ensure!((8 * MIB..20 * MIB).contains(&left), "{before}");
    let put = fill(&cluster)?;
    ensure!(put >= 8, "only {put} files found room");
    for node in &cluster.nodes {
        node.wait("the pool to be told full", |status| codes(status).contains(&"pool_full"))?;
        let status = node.status()?;
        ensure!(
            status["disks"][0]["condition"] == "quota_full" && codes(&status).contains(&"disk_read_only"),
            "{status}"
        );
        ensure!(node.json(["df"])?["free_bytes"] == 0);
        node.expect(&[1], ["status"])?;
    }
    // A file that lies in the folder tree itself needs room, too.
    let small = cluster.scratch("small");
    random_file(&small, 500, 1)?;
    cluster.nodes[1].expect(&[2], ["put".as_ref(), small.as_os_str(), "/small".as_ref()])?;
    // Each name by itself, through different nodes, with all copies.
    for number in 0..put {
        let removed = cluster.nodes[usize::try_from(number)? % 3].json(["rm", &format!("/photo{number}")])?;
        ensure!(removed["copies"] == 3 || removed["outcome"] == "degraded", "{removed}");
    }
    for node in &cluster.nodes {
        wait_for(PATIENCE, "an empty folder", || Ok(!node.ok(["ls", "/"])?.contains("photo")))?;
    }
    Ok(())
}

#[test]
fn a_slip_in_a_storage_path_is_refused_before_anything_is_copied_anew() -> Result<()> {
    let mut cluster = pool_of(1, "64MiB")?;
    let (source, back) = (cluster.scratch("photo"), cluster.scratch("back"));
    random_file(&source, 2 * MIB, 1)?;
    let node = &mut cluster.nodes[0];
    node.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/photo".as_ref()])?;
    node.stop()?;
    let file = node.home.join("config.toml");
    let config = fs::read_to_string(&file)?;
    let slip = config.replace("blocks\"", "blcoks\"");
    ensure!(slip != config, "{config}");
    fs::write(&file, &slip)?;
    for verb in [&["config", "check"][..], &["up"]] {
        let refused = node.run(verb)?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(2), "{verb:?}: {said}");
        ensure!(said.contains("blcoks is empty, while") && said.contains("disk new"), "{said}");
    }
    ensure!(!node.home.join("blcoks").exists(), "nothing was begun");
    fs::write(&file, slip.replace("blcoks\"", "blcoks\"\nif_missing = \"reinitialize\""))?;
    node.ok(["config", "check"])?;
    node.up()?;
    node.stop()?;
    fs::write(&file, config)?;
    node.up()?;
    node.expect(&[0], ["get".as_ref(), "/photo".as_ref(), back.as_os_str()])?;
    Ok(())
}

#[test]
fn a_budget_ends_a_members_puts_and_says_whose_rule_it_is() -> Result<()> {
    let cluster = pool_of(3, "200MiB")?;
    let budget = 60 * MIB;
    cluster.nodes[0].ok(["rules", "set", "--member-budget", "60MiB"])?;
    cluster.nodes[2].wait("it to hear of the rule", |status| status["member_budget_bytes"] == budget)?;
    cluster.nodes[1].wait("it to hear of the rule", |status| status["member_budget_bytes"] == budget)?;
    ensure!(cluster.nodes[1].json(["members"])?["member_budget_bytes"] == budget);
    // Three copies, so each holder takes a third of that, an eighth of the third and 16 MiB more: 38.5 MiB. What is on its way to
    // the disk is not counted yet, so a file that begins below that may end above it: the tenth, but not the eleventh.
    let source = cluster.scratch("part");
    let put = |node: usize, name: &str, seed| -> Result<std::process::Output> {
        random_file(&source, 4 * MIB, seed)?;
        cluster.nodes[node].run(["put".as_ref(), source.as_os_str(), name.as_ref()])
    };
    let mut stored = 0;
    let refused = loop {
        let output = put(2, &format!("/{stored}"), stored)?;
        match output.status.code() {
            Some(0 | 1) if stored < 10 => stored += 1,
            Some(2) => break String::from_utf8_lossy(&output.stderr).into_owned(),
            _ => anyhow::bail!("{stored}: {output:?}"),
        }
    };
    ensure!(refused.contains("used up its budget") && refused.contains("60.0 MiB"), "{refused}");
    ensure!(refused.contains("rules set --member-budget"), "{refused}");
    ensure!((7..=10).contains(&stored), "{stored} files of 4 MiB");
    // Others have theirs; and names can be removed.
    ensure!(matches!(put(1, "/others", 77)?.status.code(), Some(0 | 1)));
    cluster.nodes[2].expect(&[0, 1], ["rm", "/0"])?;
    cluster.nodes[0].ok(["rules", "set", "--member-budget", "none"])?;
    for node in &cluster.nodes {
        node.wait("it to hear of the end", |status| status["member_budget_bytes"] == 0)?;
    }
    ensure!(matches!(put(2, "/again", 78)?.status.code(), Some(0 | 1)));
    Ok(())
}

/// A sender that looks for the answer only when all is sent, as one that is slow to look does by chance.
#[test]
fn a_refused_upload_hears_why_however_late_it_listens() -> Result<()> {
    let cluster = pool_of(1, "64MiB")?;
    let mut socket = UnixStream::connect(fsdfs_node::home::socket_path(&cluster.nodes[0].home))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // Nothing of the body is needed to refuse this.
    let len = 16 * MIB;
    write!(socket, "PUT /v1/files?path=no-slash HTTP/1.1\r\nHost: fsdfs\r\nContent-Length: {len}\r\n\r\n")?;
    let part = vec![7; 1 << 16];
    for _ in 0..len / part.len() as u64 {
        socket.write_all(&part).context("the rest of the body")?;
    }
    let mut answer = [0; 12];
    socket.read_exact(&mut answer)?;
    ensure!(&answer == b"HTTP/1.1 400", "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Of a node's disk, what was deleted whole because nothing current was left in it.
fn given_up(cluster: &TestCluster) -> usize {
    let lines = |log: String| log.lines().filter(|line| line.contains("bytes are free again")).count();
    cluster.nodes.iter().map(|node| lines(node.log())).sum()
}

#[test]
fn surplus_copies_give_way_where_room_is_short_and_no_copy_is_missing_then() -> Result<()> {
    // Three members with all copies, and then three larger ones, so that four fifths of what the first have is surplus.
    let mut cluster = pool_of(3, "96MiB")?;
    let source = cluster.scratch("old");
    random_file(&source, 66 * MIB, 1)?;
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/old".as_ref()])?;
    for _ in 0..3 {
        let mut node = cluster.new_node()?;
        "384MiB".clone_into(&mut node.storage);
        cluster.join_as(node)?;
    }
    cluster.wait_connected()?;
    for node in &cluster.nodes {
        node.wait_complete()?;
    }
    ensure!(given_up(&cluster) == 0, "there is room");
    let news = cluster.scratch("new");
    random_file(&news, 60 * MIB, 2)?;
    cluster.nodes[3].expect(&[0, 1], ["put".as_ref(), news.as_os_str(), "/new".as_ref()])?;
    wait_for(PATIENCE, "surplus copies to go", || Ok(given_up(&cluster) > 0))?;
    wait_for(PATIENCE, "all copies to be there", || {
        Ok(cluster.nodes[1].run(["safe", "/", "--prove", "--all"])?.status.code() == Some(0))
    })?;
    for (name, source) in [("/old", &source), ("/new", &news)] {
        let back = cluster.scratch("back");
        cluster.nodes[2].get(name, &back, PATIENCE)?;
        ensure!(same_bytes(source, &back)?, "{name} is another one");
        fs::remove_file(back)?;
    }
    Ok(())
}
