//! Plans against reality: what `fsdfs plan` says of five running nodes, and what placement says of the blocks on their disks.

mod disks;

use std::fs;

use anyhow::{Context, Result, ensure};
use fsdfs_core::placement::{ClusterMap, DataMovement, MapChange, MapDisk, MapServer, PlacementRule};
use fsdfs_proto::ids::{DiskId, NodeId};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree::random_file;
use serde_json::{Value, json};

use disks::Disks;

const COPIES: u8 = 3;
/// The unit of weight of these pools.
const UNIT: &str = "1MiB";
/// What the five nodes give, in units.
const GIVEN: [u32; 5] = [320, 240, 160, 128, 96];
/// What a newcomer would give.
const NEW: u32 = 200;
/// So far may a plan be off.
const PERMILLE: u64 = 50;

fn pool() -> Result<TestCluster> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")).with_unit(UNIT);
    let mut cluster = TestCluster::new(program)?;
    for units in GIVEN {
        let storage = format!("{units}MiB");
        if cluster.nodes.is_empty() {
            cluster.found_with(&storage)?;
        } else {
            let mut node = cluster.new_node()?;
            node.storage = storage;
            cluster.join_as(node)?;
        }
    }
    cluster.wait_connected()?;
    Ok(cluster)
}

/// Some hundred blocks of different sizes, all with their copies.
fn fill(cluster: &TestCluster) -> Result<()> {
    let source = cluster.scratch("album");
    fs::create_dir_all(&source)?;
    for number in 0..300u64 {
        random_file(&source.join(format!("photo{number}")), 20_000 + number * number * 4, number)?;
    }
    let put = cluster.nodes[0].json(["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    ensure!(put["failed"]["count"] == 0, "not everything was put: {put}");
    cluster.nodes.iter().try_for_each(ClusterNode::wait_complete)
}

/// A plan over everything that everybody holds. On a busy machine a member may not answer in time; then it is asked again.
fn plan(cluster: &TestCluster, args: &[&str]) -> Result<Value> {
    let mut plan = Value::Null;
    let asked = wait_for(PATIENCE, "a plan that all members were heard for", || {
        let answer = cluster.nodes[1].json(["plan"].iter().chain(args));
        plan = answer.unwrap_or_else(|error| json!(format!("{error:#}")));
        let inventory = &plan["inventory"];
        let is_complete = inventory["unresponsive"] == json!([]) && inventory["exact"] == true;
        Ok(is_complete && inventory["replication_margin"]["min"] == 0)
    });
    asked.with_context(|| format!("the last answer to plan {args:?}: {plan}"))?;
    Ok(plan)
}

#[track_caller]
fn near(what: &str, predicted: &Value, real: u64) -> Result<String> {
    let predicted = predicted.as_u64().with_context(|| format!("{what}: no number"))?;
    let off = predicted.abs_diff(real) * 1000 / real.max(1);
    ensure!(off <= PERMILLE, "{what}: {predicted} bytes predicted, really {real}");
    Ok(format!("{what}: predicted {predicted}, placement over the real blocks {real}, off by {off} permille"))
}

#[test]
fn what_would_move_is_what_placement_says_of_the_blocks_on_the_disks() -> Result<()> {
    let mut cluster = pool()?;
    fill(&cluster)?;
    // The others know only what they have compared.
    let has_copies = |status: &Value| status["replication_margin"]["min"] == 0;
    cluster.nodes[0].wait("no copies to be missing, where all was put", has_copies)?;
    let outlook = plan(&cluster, &[])?;
    let names: Vec<String> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    let removals: Vec<Value> = names.iter().map(|name| plan(&cluster, &["remove", name])).collect::<Result<_>>()?;
    let drained = plan(&cluster, &["drain", &names[0]])?;
    let more = plan(&cluster, &["copies", "4"])?;
    let added = plan(&cluster, &["add", "newcomer", "200MiB"])?;
    let ids: Vec<NodeId> = cluster.nodes.iter().map(disks::id_of).collect::<Result<_>>()?;
    let disks = Disks::of(&mut cluster)?;

    let view = disks.view();
    let weights: Vec<u32> = ids.iter().map(|id| view.server(*id).map_or(0, |server| server.disks[0].weight)).collect();
    ensure!(weights == GIVEN, "the map has other weights: {weights:?}");
    let moved = |after: &ClusterMap, copies| {
        DataMovement::between(
            PlacementRule { view: &view, copies: COPIES },
            PlacementRule { view: after, copies },
            disks.sizes(),
        )
        .copied
    };
    let with = |change| view.with(change).context("a change of the map");
    println!("{}", near("stored", &outlook["inventory"]["stored_bytes"], disks.sizes().map(|(_, bytes)| bytes).sum())?);
    for ((name, id), plan) in names.iter().zip(&ids).zip(&removals) {
        println!(
            "{}",
            near(&format!("remove {name}"), &plan["transfer_bytes"], moved(&with(MapChange::Leave(*id))?, COPIES))?
        );
        ensure!(plan["error_permille"] == 0 && plan["lost_bytes"] == 0, "{plan}");
    }
    println!("{}", near("drain", &drained["transfer_bytes"], moved(&with(MapChange::Drain(ids[0]))?, COPIES))?);
    println!("{}", near("copies 4", &more["transfer_bytes"], moved(&view, 4))?);

    // A newcomer's id decides what it gets; no plan can know it. Many of them are compared.
    let newcomers = 0..40u8;
    let join = |number: u8| {
        let disk = MapDisk { id: DiskId([number; 16]), weight: NEW };
        let server =
            MapServer { id: NodeId([number; 32]), site: format!("site {number}"), branch: None, disks: vec![disk] };
        Ok(moved(&with(MapChange::Join(server))?, COPIES))
    };
    let count = newcomers.len() as u64;
    let sum: u64 = newcomers.map(join).sum::<Result<u64>>()?;
    println!("{}", near("add", &added["transfer_bytes"], sum / count)?);
    println!("{} blocks, one newcomer's luck {} permille", disks.len(), added["error_permille"]);
    Ok(())
}
