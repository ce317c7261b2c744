//! What the pool's root key can do, and the next one that takes its place; and a newcomer whose keys are kept from it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use serde_json::Value;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of characters")
}

/// The founder's keys, moved away as `status` asks for.
fn owners_keys(cluster: &TestCluster) -> Result<(PathBuf, PathBuf)> {
    let founder = &cluster.nodes[0];
    let moved = |name: &str, reminder: &str| -> Result<PathBuf> {
        ensure!(founder.status()?[reminder].is_string(), "the owner is reminded");
        let to = cluster.scratch(name);
        std::fs::rename(founder.home.join("pool").join(name), &to)?;
        ensure!(founder.status()?[reminder].is_null(), "no more");
        Ok(to)
    };
    Ok((moved("pool-root.key", "root_key_at")?, moved("pool-spare.key", "spare_key_at")?))
}

fn admins(node: &ClusterNode) -> Result<Vec<String>> {
    let listed = node.json(["admins"])?;
    let names = listed["admins"].as_array().context("a list")?.iter().filter_map(|admin| admin["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn id(node: &ClusterNode) -> Result<String> {
    Ok(node.status()?["node"].as_str().context("an id")?.to_owned())
}

#[track_caller]
fn is_refused(node: &ClusterNode, args: &[&str], because: &str) -> Result<()> {
    let output = node.run(args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2) && said.contains(because), "{args:?}: {output:?}");
    Ok(())
}

fn waits_for(node: &ClusterNode, what: &str, args: [&str; 1], is_so: impl Fn(&Value) -> bool) -> Result<()> {
    wait_for(PATIENCE, &format!("{} to {what}", node.name), || Ok(node.json(args).is_ok_and(|said| is_so(&said))))
}

#[test]
fn the_next_root_key_takes_the_place_of_a_stolen_one_everywhere() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 3)?;
    let (stolen, spare) = owners_keys(&cluster)?;
    let (stolen, spare) = (text(&stolen)?, text(&spare)?);
    let pool = cluster.nodes[0].status()?["pool"].clone();
    ensure!(cluster.nodes[2].json(["root-key"])?["number"] == 1);

    // The thief makes an admin of a node of its own, while the founder's node is away.
    let ids = [id(&cluster.nodes[0])?, id(&cluster.nodes[1])?, id(&cluster.nodes[2])?];
    cluster.nodes[2].ok(["admins", "add", &ids[2], "--root-key", stolen])?;
    waits_for(&cluster.nodes[1], "hear of it", ["admins"], |said| {
        said["admins"].as_array().is_some_and(|all| all.len() == 2)
    })?;
    cluster.nodes[0].stop()?;

    // The owner, on a friend's node. The old key and a wrong one do not do it, and no file is written over.
    let owner = &cluster.nodes[1];
    let new = cluster.scratch("new-root.key");
    let new = text(&new)?;
    is_refused(owner, &["root-key", "replace", "--spare-key", stolen, "--new-root-key", new], "not the root key")?;
    ensure!(!Path::new(new).exists(), "a key that counts nowhere is not left");
    is_refused(owner, &["root-key", "replace", "--spare-key", spare, "--new-root-key", spare], "spare.key")?;
    let signed = owner.json(["root-key"])?["statements"].as_array().context("a list")?.clone();
    let theft = signed.iter().find(|it| it["text"].as_str().is_some_and(|text| text.starts_with("admins, list 2")));
    let theft = theft.and_then(|it| it["id"].as_str()).context("the thief's list")?.to_owned();
    let replaced =
        owner.json(["root-key", "replace", "--spare-key", spare, "--new-root-key", new, "--without", &theft[..8]])?;
    ensure!(replaced["number"] == 2 && replaced["copied"] == false, "{replaced}");

    cluster.nodes[0].up()?;
    for node in &cluster.nodes {
        waits_for(node, "know the next root key", ["root-key"], |said| said["number"] == 2)?;
        waits_for(node, "forget the thief's admin", ["admins"], |said| {
            said["admins"].as_array().is_some_and(|all| all.len() == 1 && all[0]["name"] == "node0")
        })?;
        is_refused(node, &["admins", "add", &ids[2], "--root-key", stolen], "a later one took its place")?;
        is_refused(node, &["members", "revoke", &ids[1], "--yes", "--root-key", stolen], "")?;
        is_refused(node, &["rules", "set", "--copies", "1", "--root-key", stolen], "a later one took its place")?;
        ensure!(node.status()?["pool"] == pool, "the pool is the same");
    }
    cluster.nodes[2].ok(["admins", "add", &ids[1], "--root-key", new])?;
    waits_for(&cluster.nodes[0], "hear of it", ["admins"], |said| {
        said["admins"].as_array().is_some_and(|all| all.len() == 2)
    })?;

    // A newcomer has both from its ticket, and whoever starts again remembers.
    cluster.join()?;
    cluster.nodes[1].stop()?;
    cluster.nodes[1].up()?;
    for node in [&cluster.nodes[1], &cluster.nodes[3]] {
        ensure!(node.json(["root-key"])?["number"] == 2, "{}", node.name);
    }
    waits_for(&cluster.nodes[3], "hear of both", ["admins"], |said| {
        said["admins"].as_array().is_some_and(|all| all.len() == 2)
    })?;
    ensure!(admins(&cluster.nodes[3])? == ["node0", "node1"]);
    cluster.wait_connected()
}

#[test]
fn rules_are_changed_on_an_admins_node_or_with_the_root_key() -> Result<()> {
    let cluster = TestCluster::of(program(), 3)?;
    let (root, _) = owners_keys(&cluster)?;
    let root = text(&root)?;
    is_refused(&cluster.nodes[2], &["rules", "set", "--copies", "2"], "not the node of an admin")?;
    cluster.nodes[2].ok(["rules", "set", "--copies", "2", "--root-key", root])?;
    for node in &cluster.nodes {
        waits_for(node, "have the rule", ["rules"], |said| said["copies"] == 2)?;
        node.wait("its status to say so", |status| status["copies"] == 2)?;
    }
    cluster.nodes[0].ok(["rules", "set", "--copies", "3", "--up-to", "40TB"])?;
    waits_for(&cluster.nodes[1], "have both", ["rules"], |said| said["copies"] == 3 && said["up_to_bytes"] != 0)
}

#[test]
fn keys_that_go_to_files_and_to_paper_are_in_no_home_folder() -> Result<()> {
    let cluster = TestCluster::new(program())?;
    let (root, spare) = (cluster.scratch("root"), cluster.scratch("spare"));
    let node = cluster.new_node()?;
    let init = |more: &[&str]| {
        node.json([&["init", "--storage", "none", "--listen", "127.0.0.1:0", "--no-mdns"], more].concat())
    };
    let made = init(&["--root-key", text(&root)?, "--spare-key", text(&spare)?])?;
    ensure!(made["root_key"] == text(&root)? && made["spare_key"] == text(&spare)?, "{made}");
    ensure!(root.exists() && spare.exists() && std::fs::read(&root)? != std::fs::read(&spare)?);
    for name in ["pool-root.key", "pool-spare.key"] {
        ensure!(!node.home.join("pool").join(name).exists(), "{name}");
    }
    let mut other = cluster.new_node()?;
    other.home = cluster.scratch("on-paper");
    std::fs::create_dir_all(&other.home)?;
    let made = other.json(["init", "--storage", "none", "--listen", "127.0.0.1:0", "--no-mdns", "--root-key-words"])?;
    let words = |key: &str| made[key].as_str().map_or(0, |words| words.split(' ').count());
    ensure!((words("root_key_words"), words("spare_key_words")) == (24, 24), "{made}");
    ensure!(!other.home.join("pool/pool-spare.key").exists());
    Ok(())
}

#[test]
fn a_newcomer_hears_whom_its_keys_wait_for_and_an_admins_word_is_enough() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 4)?;
    let ticket = cluster.nodes[0].ticket()?;
    for node in &mut cluster.nodes[1..] {
        node.kill()?;
    }
    let mut newcomer = cluster.new_node()?;
    newcomer.init()?;
    newcomer.spawn(["join", &ticket])?;
    newcomer.wait("it to say why it has no key", |status| {
        status["connected"] == 1
            && status["has_key"] == false
            && status["attention"].as_array().is_some_and(|all| {
                all.iter().any(|item| {
                    item["code"] == "awaits_key" && item["away"].as_array().is_some_and(|away| away.len() >= 2)
                })
            })
    })?;
    let said = newcomer.ok(["status"]);
    ensure!(said.is_err(), "it needs attention");
    let name = id(&newcomer)?;
    cluster.nodes[0].ok(["members", "vouch", &name])?;
    newcomer.wait("its key", |status| status["has_key"] == true)?;
    cluster.nodes.push(newcomer);
    Ok(())
}
