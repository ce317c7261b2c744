//! Disks that are lost, and new ones in their place.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree;
use serde_json::Value;

/// Files of a mebibyte, and what they are together.
const FILES: u64 = 24;
const BYTES: u64 = FILES << 20;

/// Three nodes with three copies of everything.
fn filled() -> Result<TestCluster> {
    let cluster = TestCluster::of(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")), 3)?;
    let scratch = cluster.scratch("files");
    fs::create_dir_all(&scratch)?;
    for number in 0..FILES {
        tree::random_file(&scratch.join(format!("f{number}")), 1 << 20, number)?;
    }
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), scratch.as_os_str(), "/".as_ref()])?;
    all_safe(&cluster.nodes[0])?;
    Ok(cluster)
}

fn all_safe(node: &ClusterNode) -> Result<()> {
    wait_for(PATIENCE * 3, "every block to have three copies", || {
        let safe = node.run(["safe", "--json", "--all"])?;
        let said: Value = serde_json::from_slice(&safe.stdout).unwrap_or_default();
        Ok(safe.status.code() == Some(0) && said["sites_may_fail"] == 2)
    })
}

fn all_read(cluster: &TestCluster, name: &str) -> Result<()> {
    for node in &cluster.nodes {
        let back = cluster.scratch(&format!("{name}-{}", node.name));
        node.get("/files", &back, PATIENCE)?;
        for number in 0..FILES {
            let file = format!("f{number}");
            let source = cluster.scratch("files").join(&file);
            ensure!(tree::same_bytes(&source, &back.join(&file))?, "{file} on {}", node.name);
        }
    }
    Ok(())
}

fn blocks(node: &ClusterNode) -> PathBuf {
    node.home.join("blocks")
}

/// What `status` says of missing disks.
fn missing(status: &Value) -> Vec<&Value> {
    let items = status["attention"].as_array().into_iter().flatten();
    items.filter(|item| item["code"] == "disk_missing").collect()
}

fn received(status: &Value) -> u64 {
    status["counters"]["block_bytes_in"].as_u64().unwrap_or_default()
}

/// Begins a new disk while the node runs.
fn begin(node: &ClusterNode, folder: &Path) -> Result<Value> {
    node.json(["disk".as_ref(), "new".as_ref(), folder.as_os_str()])
}

#[test]
fn a_node_that_lost_its_disk_starts_without_it_and_a_new_one_is_filled_by_the_others() -> Result<()> {
    let mut cluster = filled()?;
    let folder = blocks(&cluster.nodes[2]);
    cluster.nodes[2].stop()?;
    fs::remove_dir_all(&folder)?;
    cluster.nodes[2].up()?;
    let node = &cluster.nodes[2];
    let text = "blocks held this node's blocks and is empty now";
    ensure!(node.log().contains("! disk_missing: this node stores nothing now") && node.log().contains(text));
    cluster.wait_connected()?;
    let status = node.status()?;
    let [item] = &missing(&status)[..] else { anyhow::bail!("{status}") };
    ensure!(item["path"] == *folder.to_string_lossy() && item["last"] == true && item["empty"] == true, "{item}");
    let counted_on = item["counted_on_s"].as_u64().context("the others count on it for an hour")?;
    ensure!((3_000..=3_600).contains(&counted_on), "{item}");
    ensure!(status["disks"][0]["condition"] == "missing", "{status}");
    let shown = node.expect(&[1], ["disk"])?;
    ensure!(shown.contains("missing"), "{shown}");
    node.expect(&[1], ["config", "check"])?;
    ensure!(!folder.exists(), "nothing is begun there by itself");
    all_read(&cluster, "without")?;

    let begun = begin(node, &folder)?;
    ensure!(begun["given_up"].as_array().is_some_and(|lost| lost.len() == 1), "{begun}");
    let pulled = begun["pulled"]["bytes"].as_u64().context("what comes")?;
    ensure!(pulled >= BYTES && begun["pulled"]["estimated"] == false, "{begun}");
    // All that it lost, and hardly more: what was read of it before counts as well.
    let before = received(&status);
    let again = node.run(["disk".as_ref(), "new".as_ref(), folder.as_os_str()])?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(again.status.code() == Some(2) && said.contains("can be read"), "{said}");

    wait_for(PATIENCE, "some of it to come", || Ok(node.status()?["repair"]["received"].as_u64() > Some(0)))?;
    let first = received(&node.status()?);
    let node = &mut cluster.nodes[2];
    node.kill()?;
    node.up()?;
    let node = &cluster.nodes[2];
    ensure!(missing(&node.status()?).is_empty());
    all_safe(node)?;
    let second = received(&node.status()?);
    println!("{pulled} bytes were lost; {first} (of them {before} before) and {second} came");
    cluster.nodes[0].kill()?;
    cluster.nodes[1].kill()?;
    let scratch = cluster.scratch("alone");
    cluster.nodes[2].get("/files", &scratch, PATIENCE)
}

#[test]
fn a_disk_that_was_only_not_mounted_is_used_again_while_the_node_runs() -> Result<()> {
    let mut cluster = filled()?;
    let folder = blocks(&cluster.nodes[1]);
    let away = folder.with_extension("away");
    cluster.nodes[1].stop()?;
    fs::rename(&folder, &away)?;
    fs::create_dir(&folder)?;
    cluster.nodes[1].up()?;
    cluster.wait_connected()?;
    let node = &cluster.nodes[1];
    ensure!(missing(&node.status()?).len() == 1);
    fs::remove_dir(&folder)?;
    fs::rename(&away, &folder)?;
    node.wait("its disk to be found", |status| {
        missing(status).is_empty() && status["disks"][0]["condition"] == "good"
    })?;
    all_safe(node)?;
    ensure!(received(&node.status()?) < 1 << 20, "{}", node.status()?);
    Ok(())
}

#[test]
fn a_disk_that_vanishes_while_the_node_runs_is_missed_and_replaced_without_a_restart() -> Result<()> {
    let cluster = filled()?;
    let node = &cluster.nodes[1];
    let folder = blocks(node);
    fs::rename(&folder, folder.with_extension("away"))?;
    node.wait("it to be missed", |status| status["disks"][0]["condition"] == "offline")?;
    all_read(&cluster, "vanished")?;
    let begun = begin(node, &folder)?;
    ensure!(begun["given_up"].as_array().is_some_and(|lost| lost.len() == 1), "{begun}");
    all_safe(node)?;
    ensure!(node.status()?["disks"].as_array().is_some_and(|disks| disks.len() == 1), "the lost one is shown no more");
    Ok(())
}

#[test]
fn a_new_disk_is_begun_while_the_node_is_off_and_never_where_another_nodes_is() -> Result<()> {
    let mut cluster = filled()?;
    let [folder, theirs] = [1, 2].map(|number| blocks(&cluster.nodes[number]));
    let node = &mut cluster.nodes[1];
    node.stop()?;
    let refused = node.run(["disk".as_ref(), "new".as_ref(), folder.as_os_str()])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(2) && said.contains("can be read"), "{said}");
    fs::remove_dir_all(&folder)?;
    let superblock = fs::read(theirs.join("superblock"))?;
    fs::create_dir(&folder)?;
    fs::write(folder.join("superblock"), &superblock)?;
    for verb in [&["disk", "new"][..], &["up"]] {
        let path = folder.to_string_lossy().into_owned();
        let refused = node.run(verb.iter().copied().chain((verb.len() > 1).then_some(path.as_str())))?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(2) && said.contains("disk of another node"), "{said}");
    }
    ensure!(fs::read(folder.join("superblock"))? == superblock && fs::read_dir(&folder)?.count() == 1);
    fs::remove_dir_all(&folder)?;
    let begun = begin(node, &folder)?;
    ensure!(
        begun["pulled"] == Value::Null && begun["given_up"].as_array().is_some_and(|lost| lost.len() == 1),
        "{begun}"
    );
    node.up()?;
    ensure!(missing(&node.status()?).is_empty());
    cluster.wait_connected()?;
    all_safe(&cluster.nodes[1])
}

/// Gives a node that is off a second disk.
fn add_disk(node: &ClusterNode, folder: &Path) -> Result<()> {
    let file = node.home.join("config.toml");
    let config = fs::read_to_string(&file)?;
    let section = format!("\n[[storage]]\npath = \"{}\"\nsize = \"8 GiB\"\n", folder.display());
    Ok(fs::write(&file, config + &section)?)
}

/// What `drain --disk` says; its exit code is that of it.
fn drain(node: &ClusterNode, folder: &Path) -> Result<Value> {
    let out = node.run(["--json".as_ref(), "drain".as_ref(), "--disk".as_ref(), folder.as_os_str()])?;
    let said: Value = serde_json::from_slice(&out.stdout).with_context(|| format!("{out:?}"))?;
    ensure!(out.status.code() == Some(if said["may_be_unplugged"] == true { 0 } else { 1 }), "{out:?}");
    Ok(said)
}

#[test]
fn a_disk_of_a_node_that_stays_is_emptied_and_nothing_is_lost_with_it() -> Result<()> {
    let mut cluster = filled()?;
    let (first, second) = (blocks(&cluster.nodes[2]), cluster.nodes[2].home.join("more"));
    let node = &mut cluster.nodes[2];
    let alone = node.run(["drain".as_ref(), "--disk".as_ref(), first.as_os_str()])?;
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    ensure!(alone.status.code() == Some(2) && said.contains("no other disk of this node"), "{said}");
    node.stop()?;
    add_disk(node, &second)?;
    node.up()?;
    cluster.wait_connected()?;
    all_safe(&cluster.nodes[2])?;
    let before = received(&cluster.nodes[2].status()?);

    let said = drain(&cluster.nodes[2], &first)?;
    ensure!(said["draining"] == true, "{said}");
    let node = &mut cluster.nodes[2];
    node.kill()?;
    node.up()?;
    let node = &cluster.nodes[2];
    wait_for(PATIENCE, "it to go on after a restart", || {
        let status = node.status()?;
        let disks = status["disks"].as_array().into_iter().flatten();
        Ok(disks.into_iter().any(|disk| disk["condition"] == "draining" && disk["path"] == *first.to_string_lossy()))
    })?;
    node.expect(&[0], ["drain".as_ref(), "--wait".as_ref(), "--disk".as_ref(), first.as_os_str()])?;
    let said = drain(node, &first)?;
    ensure!(said["may_be_unplugged"] == true && said["blocks_left"] == 0 && said["unreadable"] == 0, "{said}");
    cluster.wait_connected()?;
    let from_others = received(&cluster.nodes[2].status()?);
    ensure!(from_others < 1 << 20, "{from_others} bytes came from others: {before} before");

    // What is put now goes to the other one.
    let more = cluster.scratch("later");
    tree::random_file(&more, 1 << 20, 99)?;
    cluster.nodes[2].expect(&[0, 1], ["put".as_ref(), more.as_os_str(), "/later".as_ref()])?;
    ensure!(drain(&cluster.nodes[2], &first)?["may_be_unplugged"] == true);
    let node = &mut cluster.nodes[2];
    node.stop()?;
    fs::remove_dir_all(&first)?;
    let file = node.home.join("config.toml");
    let config = fs::read_to_string(&file)?;
    let begin = config.find("\n[[storage]]\n").context("a storage section")?;
    let end = config.rfind("\n[[storage]]\n").context("another one")?;
    fs::write(&file, format!("{}{}", &config[..begin], &config[end..]))?;
    node.up()?;
    cluster.wait_connected()?;
    let node = &cluster.nodes[2];
    ensure!(missing(&node.status()?).is_empty());
    all_safe(node)?;
    ensure!(received(&node.status()?) < 1 << 20, "nothing has to come from others: {}", node.status()?);
    all_read(&cluster, "emptied")
}
