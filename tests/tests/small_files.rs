//! What many small files cost on real nodes, by their own counters: bytes and syncs, which do not depend on the machine.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, TestCluster, TestProgram};
use serde_json::Value;

const FILES: usize = 4_000;
const NODES: f64 = 3.0;

/// Sums over all nodes.
#[derive(Clone, Copy, Debug)]
struct Counted {
    appended: f64,
    sent: f64,
    syncs: f64,
}

impl Counted {
    fn of(nodes: &[ClusterNode]) -> Result<Self> {
        let mut all = Self { appended: 0.0, sent: 0.0, syncs: 0.0 };
        for node in nodes {
            let counters = &node.status()?["counters"];
            let of = |name: &str| counters[name].as_f64().with_context(|| format!("no counter {name}"));
            all.appended += of("bytes_appended")?;
            all.sent += of("message_bytes_out")? + of("block_bytes_out")?;
            all.syncs += of("syncs")?;
        }
        Ok(all)
    }

    fn since(self, before: Self) -> Self {
        Self {
            appended: self.appended - before.appended,
            sent: self.sent - before.sent,
            syncs: self.syncs - before.syncs,
        }
    }
}

/// Files of 10 to 3,000 bytes whose names come in no order of their making.
fn make(folder: &Path) -> Result<f64> {
    fs::create_dir(folder)?;
    let mut rng = fastrand::Rng::with_seed(7);
    let mut bytes = 0;
    for number in 0..FILES {
        let mut content = vec![0; rng.usize(10..=3_000)];
        rng.fill(&mut content);
        bytes += content.len();
        fs::write(folder.join(format!("{:016x}", rng.u64(..) ^ number as u64)), content)?;
    }
    Ok(bytes as f64)
}

fn is_stored(reply: &Value) -> bool {
    reply["outcome"] == "stored"
}

#[test]
fn many_small_files_cost_what_they_weigh() -> Result<()> {
    let cluster = TestCluster::of(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")), NODES as usize)?;
    let (node, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let folder = cluster.scratch("many");
    let bytes = make(&folder)?;
    let before = Counted::of(&cluster.nodes)?;
    let put = node.json(["put".as_ref(), folder.as_os_str(), "/many".as_ref()])?;
    ensure!(put["files"] == FILES && is_stored(&put), "{put}");
    let cost = Counted::of(&cluster.nodes)?.since(before);
    let (appended, sent) = (cost.appended / NODES / bytes, cost.sent / (NODES - 1.0) / bytes);
    println!("put: appended {appended:.3}, sent {sent:.3} of the files' bytes, {:.0} syncs a node", cost.syncs / NODES);
    // With what records, leaves and names add; a few commits rewrite the way from the root.
    ensure!(appended <= 1.3 && sent <= 1.2 && cost.syncs / NODES <= 60.0, "{cost:?} for {bytes} bytes");

    let before = Counted::of(&cluster.nodes)?;
    let again = node.json(["put".as_ref(), folder.as_os_str(), "/many".as_ref()])?;
    ensure!(again["files"] == FILES && again["changed"] == false, "{again}");
    let single = cluster.scratch("one");
    fs::write(&single, [7; 1_500])?;
    ensure!(is_stored(&node.json(["put".as_ref(), single.as_os_str(), "/many/8".as_ref()])?));
    let cost = Counted::of(&cluster.nodes)?.since(before);
    println!("the same again, and one more: appended {:.0} on each node", cost.appended / NODES);
    ensure!(cost.appended / NODES <= 40_000.0, "{cost:?}");

    let back = cluster.scratch("back");
    other.get("/many", &back, std::time::Duration::from_secs(60))?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?;
        ensure!(fs::read(&path)? == fs::read(back.join(name))?, "{}", path.display());
    }
    Ok(())
}
