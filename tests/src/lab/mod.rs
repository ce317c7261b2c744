//! Homes as they are: real daemons in network namespaces, each behind a router and a line of its own.
//!
//! [`router`] says which packets pass, [`line`] what happens to them on the way, [`home`] puts both around a machine,
//! [`internet`] lies between homes, [`stranger`] is somebody in it, [`transfer`] moves files. [`needs`] says why there can be
//! no lab on a machine. All of it goes when the lab is dropped, also by a panic; what a killed process left behind, the next
//! lab deletes.

pub mod home;
pub mod internet;
pub mod line;
pub mod namespace;
pub mod needs;
pub mod router;
pub mod stranger;
pub mod transfer;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{ClusterNode, NodeNetwork, TestCluster, TestProgram, wait_for};
use home::{HomePlan, LabHome};
use internet::{Carrier, LabInternet};
use line::emulator::LineCount;
use router::{FSDFS_PORT, RouterKind};

/// Homes at most: their number is part of an address.
const HOMES_MAX: usize = 100;

/// A small internet. Node and home of one number belong together.
pub struct Lab {
    // Processes end before the networks go in which they run.
    /// The nodes, one in each home.
    pub cluster: TestCluster,
    homes: Vec<LabHome>,
    carriers: Vec<Carrier>,
    internet: LabInternet,
}

impl Lab {
    /// No home yet.
    pub fn new(program: TestProgram) -> Result<Self> {
        Self::with(program, false)
    }

    /// One in which no router says that a packet is too long.
    pub fn hiding_icmp(program: TestProgram) -> Result<Self> {
        Self::with(program, true)
    }

    fn with(program: TestProgram, hides_icmp: bool) -> Result<Self> {
        namespace::sweep()?;
        let cluster = TestCluster::new(program)?;
        let scratch = cluster.scratch("lab");
        fs::create_dir_all(&scratch)?;
        let internet = LabInternet::new(hides_icmp, &scratch)?;
        Ok(Self { cluster, homes: Vec::new(), carriers: Vec::new(), internet })
    }

    /// A provider that translates its customers' addresses once more.
    pub fn carrier(&mut self, is_symmetric: bool) -> Result<usize> {
        self.carriers.push(Carrier::new(self.carriers.len(), is_symmetric, &self.internet)?);
        Ok(self.carriers.len() - 1)
    }

    /// Builds a home with a node that does not run yet.
    pub fn move_in(&mut self, plan: HomePlan) -> Result<usize> {
        let at = self.homes.len();
        ensure!(at < HOMES_MAX, "there are {HOMES_MAX} homes");
        let storage = plan.storage.clone();
        let home = LabHome::build(plan, u8::try_from(at + 1)?, &self.internet, &self.carriers)?;
        let (namespace, addresses) = (home.machine().name().to_owned(), home.card_addresses());
        self.homes.push(home);
        let network = NodeNetwork { namespace, listen: FSDFS_PORT.to_string(), addresses };
        let mut node = self.cluster.new_node_in(network)?;
        node.storage = storage;
        self.cluster.nodes.push(node);
        Ok(at)
    }

    /// Several homes with a pool of all their nodes, of which the first one is the founder.
    pub fn move_in_all(&mut self, plans: impl IntoIterator<Item = HomePlan>) -> Result<Vec<usize>> {
        let homes = plans.into_iter().map(|plan| self.move_in(plan)).collect::<Result<Vec<_>>>()?;
        if let [first, others @ ..] = homes.as_slice() {
            self.found(*first)?;
            others.iter().try_for_each(|other| self.join(*other, *first).map(drop))?;
        }
        Ok(homes)
    }

    /// Creates the pool in a home.
    pub fn found(&mut self, at: usize) -> Result<()> {
        let node = &mut self.cluster.nodes[at];
        node.init()?;
        node.up()
    }

    /// Joins with a ticket of another home's node. Returns how long it took until the newcomer can write.
    pub fn join(&mut self, at: usize, inviter: usize) -> Result<Duration> {
        let ticket = self.cluster.nodes[inviter].ticket()?;
        let begun = Instant::now();
        self.cluster.nodes[at].join(&ticket)?;
        Ok(begun.elapsed())
    }

    /// A home.
    pub fn home(&self, at: usize) -> &LabHome {
        &self.homes[at]
    }

    /// Its node.
    pub fn node(&mut self, at: usize) -> &mut ClusterNode {
        &mut self.cluster.nodes[at]
    }

    /// Its provider gives it another address.
    pub fn renumber(&mut self, at: usize) -> Result<()> {
        self.homes[at].renumber(&self.internet, &self.carriers)
    }

    /// Another router takes the place of its own; nothing else changes.
    pub fn replace_router(&mut self, at: usize, kind: RouterKind) -> Result<()> {
        self.homes[at].replace_router(kind, &self.internet)
    }

    /// Its router starts again.
    pub fn restart_router(&mut self, at: usize) -> Result<()> {
        self.homes[at].restart_router(&self.internet, &self.carriers)
    }

    /// Somebody who is no member, with the address 100.0.`number`.1.
    pub fn stranger(&self, number: u8) -> Result<stranger::LabStranger> {
        stranger::LabStranger::new(number, self.internet.namespace())
    }

    /// What one node's `members` says of another.
    pub fn member(&self, at: usize, other: usize) -> Result<Value> {
        let listing = self.cluster.nodes[at].json(["members"])?;
        let name = self.cluster.nodes[other].name.as_str();
        let members = listing["members"].as_array().context("members")?;
        Ok(members.iter().find(|member| member["name"] == name).cloned().unwrap_or_default())
    }

    /// Whether both say that they are connected.
    pub fn are_connected(&self, one: usize, other: usize) -> bool {
        let says = |at, of| self.member(at, of).is_ok_and(|member| member["connected"] == true);
        says(one, other) && says(other, one)
    }

    /// Waits until both say that they are connected, directly or by a relay. Returns how long it took.
    pub fn wait_connected(&self, one: usize, other: usize, most: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let what = format!("homes {one} and {other} to be connected");
        wait_for(most, &what, || Ok(self.are_connected(one, other))).with_context(|| {
            format!("{}\n{}", self.cluster.nodes[one].last_log(), self.cluster.nodes[other].last_log())
        })?;
        Ok(begun.elapsed())
    }

    /// Waits until everybody who runs is connected with everybody else.
    pub fn wait_all_connected(&self, most: Duration) -> Result<Duration> {
        let begun = Instant::now();
        for one in 0..self.homes.len() {
            for other in one + 1..self.homes.len() {
                self.wait_connected(one, other, most.saturating_sub(begun.elapsed()))?;
            }
        }
        Ok(begun.elapsed())
    }

    /// How often a connection of a node has ended so far, as it logs it.
    pub fn ended_connections(&self, at: usize) -> usize {
        self.cluster.nodes[at].log().matches("connection closed").count()
    }

    /// What went out of a home and came in so far.
    pub fn line_counts(&self, at: usize) -> (LineCount, LineCount) {
        self.homes[at].line().counts()
    }

    /// Bytes out of a home and into it.
    pub fn line_bytes(&self, at: usize) -> u64 {
        let (up, down) = self.line_counts(at);
        up.bytes + down.bytes
    }
}
