//! A pool of three honest members, and what they have to be able to do whoever else is in it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fsdfs_proto::ids::{NodeId, PoolId, VolumeId};
use fsdfs_tests::adversary::{Liar, MemberDoor, MemberPuppet, PuppetManners};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::party::{AttackParty, AttackRole};

/// Within this time after the revocation all is as it was.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
/// No attack of the long run takes longer, unless it hangs.
const ATTACK_MAX: Duration = Duration::from_secs(180);
/// What memory may differ from before: a fifth, or this much, for a node of an empty pool is small.
const RESIDENT_SLACK_KIB: u64 = 16 << 10;
/// And what logs may: one of less than 4 MiB is not compacted, and each node here has two.
const LOG_SLACK_BYTES: u64 = 8 << 20;

/// A pool of three, and the files that were put into it.
pub struct AttackStage {
    pub cluster: TestCluster,
    pub doors: Vec<MemberDoor>,
    pub pool: PoolId,
    /// Names of the files in `/kept`; each is in the folder of the same name, too.
    files: Vec<String>,
    /// What needs attention in a pool in which nothing happened.
    usual: Vec<String>,
    runtime: Option<Runtime>,
}

/// Of a node at one moment.
#[derive(Clone, Copy, Debug)]
struct NodeUsage {
    resident_kib: u64,
    log_bytes: u64,
}

impl AttackStage {
    pub fn new(program: TestProgram) -> Result<Self> {
        let cluster = TestCluster::of(program, 3)?;
        let status: Vec<Value> = cluster.nodes.iter().map(ClusterNode::status).collect::<Result<_>>()?;
        let doors = status.iter().map(door).collect::<Result<_>>()?;
        let pool = hex(&status[0], "pool")?.parse().context("a pool's id")?;
        std::fs::create_dir(cluster.scratch("kept"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let runtime = Some(runtime);
        let mut stage = Self { cluster, doors, pool, files: Vec::new(), usual: Vec::new(), runtime };
        stage.put(0, "large", 3 << 20)?;
        stage.put(1, "small", 300)?;
        stage.put(2, "block", 20_000)?;
        stage.cluster.nodes.iter().try_for_each(ClusterNode::wait_complete)?;
        stage.usual = stage.attention()?.concat();
        Ok(stage)
    }

    /// Lets the adversary in and play, and looks at what it did. Returns what is to be said in the table.
    pub fn play(
        &mut self,
        row: &str,
        attack: impl for<'a> FnOnce(&'a mut Self) -> BoxFuture<'a, Result<AttackParty>>,
    ) -> Result<String> {
        let before = self.usage()?;
        let runtime = self.runtime.take().context("it is given back at the end of each row")?;
        let played = runtime.block_on(async {
            let mut party = timeout(ATTACK_MAX, attack(self)).await.context("the attack does not end")??;
            self.serves("while it goes on", row)?;
            self.revoke_all()?;
            self.stays_out(&mut party).await?;
            Ok::<String, anyhow::Error>(party.note)
        });
        self.runtime = Some(runtime);
        let note = played?;
        let begun = Instant::now();
        self.is_healthy()?;
        let healthy = begun.elapsed().as_secs_f64();
        self.serves("after the revocation", row)?;
        self.all_is_readable()?;
        self.shrinks_back(&before)?;
        Ok(format!("{note}; healthy after {healthy:.1} s, {}", grown(&before, &self.usage()?)))
    }

    /// The lane is done: the nodes start again, and have everything.
    pub fn ends(mut self) -> Result<()> {
        self.restart_all()
    }

    pub fn restart_all(&mut self) -> Result<()> {
        for node in &mut self.cluster.nodes {
            node.stop()?;
        }
        for node in &mut self.cluster.nodes {
            node.up()?;
        }
        self.cluster.wait_connected()?;
        self.is_healthy().context("after a restart of all")?;
        self.all_is_readable().context("after a restart of all")
    }

    /// Starts one node after the other again; how long the slowest took until it answered.
    pub fn slowest_start(&mut self) -> Result<Duration> {
        let mut slowest = Duration::ZERO;
        for node in &mut self.cluster.nodes {
            node.stop()?;
            let begun = Instant::now();
            node.up()?;
            slowest = slowest.max(begun.elapsed());
        }
        self.cluster.wait_connected()?;
        Ok(slowest)
    }

    /// A ticket for one newcomer, made by a node.
    pub fn ticket(&self, node: usize, role: AttackRole) -> Result<String> {
        let role = match role {
            AttackRole::Storer => "storage-only",
            AttackRole::Reader => "reader",
            AttackRole::Full | AttackRole::Outsider => "full",
        };
        let invite = self.cluster.nodes[node].json(["invite", "--role", role])?;
        Ok(invite["ticket"].as_str().context("a ticket")?.to_owned())
    }

    /// Somebody with a fresh ticket, who is not in yet.
    pub fn newcomer(&self, role: AttackRole) -> Result<Liar> {
        Ok(Liar::at(&self.ticket(0, role)?, self.doors.clone()))
    }

    /// Connects to the first so many members.
    pub async fn enter(&self, liar: &mut Liar, doors: usize, manners: PuppetManners) -> Result<Vec<MemberPuppet>> {
        let mut puppets = Vec::new();
        for door in 0..doors {
            puppets.push(MemberPuppet::new(liar.connect_at(door).await?, manners));
        }
        Ok(puppets)
    }

    /// The shared volume.
    pub fn volume(&self) -> VolumeId {
        self.pool.volume()
    }

    /// The honest members.
    pub fn honest(&self) -> Vec<NodeId> {
        self.doors.iter().map(|door| door.node).collect()
    }

    /// Puts a file through one node; it has to be readable from then on.
    pub fn put(&mut self, node: usize, name: &str, bytes: u64) -> Result<Value> {
        let answer = self.put_through(&self.cluster.nodes[node], name, bytes)?;
        self.files.push(name.to_owned());
        Ok(answer)
    }

    /// A friend comes in, whose node has never written before, and puts a file.
    pub fn friend_writes(&mut self, name: &str) -> Result<()> {
        let mut friend = self.cluster.new_node()?;
        friend.storage = "none".into();
        friend.join(&self.ticket(0, AttackRole::Full)?).context("a friend joins")?;
        self.put_through(&friend, name, 10_000).context("a friend who has never written")?;
        self.files.push(name.to_owned());
        friend.stop()
    }

    fn put_through(&self, node: &ClusterNode, name: &str, bytes: u64) -> Result<Value> {
        let file = self.cluster.scratch("kept").join(name);
        tree::random_file(&file, bytes, fastrand::u64(..))?;
        let to = format!("/kept/{name}");
        if self.files.is_empty() {
            // It may be there: then this fails, and the put shows whether it matters.
            node.run(["mkdir", "/kept"])?;
        }
        let answer = node.json(["put".as_ref(), file.as_os_str(), to.as_ref()])?;
        ensure!(answer["failed"]["count"] == 0, "{to} was not put: {answer}");
        Ok(answer)
    }

    /// A put through each node, a get through another one, a list through the third.
    fn serves(&mut self, when: &str, row: &str) -> Result<()> {
        let begun = Instant::now();
        for node in 0..self.cluster.nodes.len() {
            let name = format!("{row}, put on {node} {when}, {}", self.files.len());
            self.put(node, &name, 5_000).with_context(|| when.to_owned())?;
            let others = self.cluster.nodes.len();
            self.gets((node + 1) % others, &name).with_context(|| when.to_owned())?;
            self.cluster.nodes[(node + 2) % others].ok(["ls", "/kept"]).with_context(|| when.to_owned())?;
        }
        ensure!(begun.elapsed() < PATIENCE, "three puts, gets and lists took {:?} {when}", begun.elapsed());
        Ok(())
    }

    /// Through one node; what another one wrote may take a moment to be heard of.
    pub fn gets(&self, node: usize, name: &str) -> Result<()> {
        let back = self.cluster.scratch("back");
        self.cluster.nodes[node].get(&format!("/kept/{name}"), &back, PATIENCE / 2)?;
        ensure!(tree::same_bytes(&self.kept(name), &back)?, "{name} has other bytes on node {node}");
        Ok(())
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.cluster.scratch("kept").join(name)
    }

    fn all_is_readable(&self) -> Result<()> {
        for (number, node) in self.cluster.nodes.iter().enumerate() {
            let back = self.cluster.scratch("back");
            node.get("/kept", &back, PATIENCE / 2)?;
            for name in &self.files {
                let same = tree::same_bytes(&self.kept(name), &back.join(name));
                ensure!(same.is_ok_and(|same| same), "{name} is not what was put on node {number}");
            }
            std::fs::remove_dir_all(&back)?;
        }
        Ok(())
    }

    /// Whoever is not one of the honest members is revoked, as their owners would.
    pub fn revoke_all(&self) -> Result<()> {
        while let Some(id) = self.first_guest()? {
            self.cluster.nodes[0].ok(["members", "revoke", &id, "--yes", "--with-invited"])?;
            ensure!(self.first_guest()?.is_none_or(|next| next != id), "{id} is a member after its revocation");
        }
        Ok(())
    }

    /// Somebody who is a member and none of the honest ones.
    fn first_guest(&self) -> Result<Option<String>> {
        let honest: Vec<String> = self.honest().iter().map(ToString::to_string).collect();
        let listing = self.cluster.nodes[0].json(["members"])?;
        let is_guest = |member: &&Value| {
            member["presence"] != "revoked" && !honest.iter().any(|node| member["id"] == node.as_str())
        };
        let members = listing["members"].as_array().context("a list of members")?;
        members.iter().find(is_guest).map(|member| Ok(member["id"].as_str().context("an id")?.to_owned())).transpose()
    }

    /// Connections end, and nobody is let in again.
    async fn stays_out(&self, party: &mut AttackParty) -> Result<()> {
        for puppet in party.puppets.drain(..) {
            ensure!(puppet.is_dropped(PATIENCE / 2).await, "a connection of a revoked member stays open");
        }
        for liar in &mut party.liars {
            for door in 0..self.doors.len() {
                if liar.connect_at(door).await.is_ok() {
                    bail!("a revoked member was let in at node {door}");
                }
            }
        }
        Ok(())
    }

    /// Codes of what needs attention, by node.
    fn attention(&self) -> Result<Vec<Vec<String>>> {
        let codes = |status: Value| {
            let items = status["attention"].as_array().cloned().unwrap_or_default();
            items.iter().filter_map(|item| item["code"].as_str().map(str::to_owned)).collect()
        };
        self.cluster.nodes.iter().map(|node| Ok(codes(node.status()?))).collect()
    }

    /// Within a minute nothing needs attention that did not before, and every block has its copies.
    fn is_healthy(&self) -> Result<()> {
        let others = self.cluster.nodes.len() as u64 - 1;
        let mut ill = Vec::new();
        let healed = wait_for(HEALED_WITHIN, "status to be healthy", || {
            ill.clear();
            for (number, node) in self.cluster.nodes.iter().enumerate() {
                let Ok(status) = node.status() else {
                    ill.push(format!("node {number} says nothing"));
                    continue;
                };
                let items = status["attention"].as_array().cloned().unwrap_or_default();
                let is_new = |item: &&Value| !self.usual.iter().any(|code| item["code"] == code.as_str());
                ill.extend(items.iter().filter(is_new).map(|item| format!("node {number}: {}", item["text"])));
                let repair = &status["repair"];
                if repair["pending"] != 0 || repair["running"] != false {
                    ill.push(format!("node {number}: repair {repair}"));
                }
                if status["connected"].as_u64() != Some(others) || status["members"].as_u64() != Some(others) {
                    ill.push(format!("node {number}: {} of {} connected", status["connected"], status["members"]));
                }
            }
            Ok(ill.is_empty())
        });
        healed.with_context(|| ill.join("; "))
    }

    fn usage(&self) -> Result<Vec<NodeUsage>> {
        self.cluster.nodes.iter().map(NodeUsage::of).collect()
    }

    /// Memory and logs are of about the size that they had.
    fn shrinks_back(&self, before: &[NodeUsage]) -> Result<()> {
        let mut large = Vec::new();
        let shrunk = wait_for(HEALED_WITHIN, "memory and logs to be what they were", || {
            large.clear();
            for (number, (before, now)) in before.iter().zip(self.usage()?).enumerate() {
                if now.exceeds(before) {
                    large.push(format!("node {number}: {before:?} became {now:?}"));
                }
            }
            Ok(large.is_empty())
        });
        shrunk.with_context(|| large.join("; "))
    }
}

impl NodeUsage {
    fn of(node: &ClusterNode) -> Result<Self> {
        Ok(Self { resident_kib: resident_kib(node)?, log_bytes: log_bytes(&node.home)? })
    }

    fn exceeds(&self, before: &Self) -> bool {
        let most = |before: u64, slack: u64| before + slack.max(before / 5);
        self.resident_kib > most(before.resident_kib, RESIDENT_SLACK_KIB)
            || self.log_bytes > most(before.log_bytes, LOG_SLACK_BYTES)
    }
}

/// What memory and logs became, of the node that grew most.
fn grown(before: &[NodeUsage], now: &[NodeUsage]) -> String {
    let most = |of: fn(&NodeUsage) -> u64| {
        let change = |(before, now): (&NodeUsage, &NodeUsage)| of(now).cast_signed() - of(before).cast_signed();
        before.iter().zip(now).map(change).max().unwrap_or(0)
    };
    let (resident, logs) = (most(|usage| usage.resident_kib) >> 10, most(|usage| usage.log_bytes) >> 10);
    format!("{resident:+} MiB resident, {logs:+} KiB of logs")
}

/// Kilobytes that a process has in memory.
pub fn resident_kib(node: &ClusterNode) -> Result<u64> {
    let pid = node.pid().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a line of that name")?;
    Ok(line.split_whitespace().next().context("a number")?.parse()?)
}

/// Bytes of all files that end in `.log` below a home folder: of facts, in the folder and on its disks.
fn log_bytes(home: &std::path::Path) -> Result<u64> {
    let (mut folders, mut bytes) = (vec![home.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            // What is compacted away meanwhile is not there any more.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|end| end == "log") {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

fn hex<'a>(status: &'a Value, field: &str) -> Result<&'a str> {
    status[field].as_str().with_context(|| format!("no {field} in the status"))
}

fn door(status: &Value) -> Result<MemberDoor> {
    let port = u16::try_from(status["port"].as_u64().context("a port")?)?;
    Ok(MemberDoor { node: hex(status, "node")?.parse()?, addr: ([127, 0, 0, 1], port).into() })
}
