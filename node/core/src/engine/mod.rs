//! The engine: the only place where state changes.
//!
//! [`Engine::handle`] takes one input and appends what is to be done; [`Engine::deadline`] says when it wants to be called
//! with [`Input::Timeout`]. It waits for nothing, reads no clock and draws only from its own seeded generator, so a run
//! is a function of its inputs.

mod admin;
mod cache;
mod capabilities;
mod commit;
mod debts;
mod exchange;
mod get;
mod gossip;
mod look;
mod peers;
mod presence;
mod publish;
mod put;
mod serve;
mod survey;
mod timers;
mod topup;
mod writer;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use fsdfs_proto::identity::Cert;
use fsdfs_proto::ids::{BlockId, Digest, NodeId, PoolId, VolumeId, Writer};
use fsdfs_proto::message::RequestId;
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::VolumeKeys;

use crate::facts::FactSet;
use crate::placement::ClusterMap;
use crate::seam::{Command, DiskDone, DiskState, Effect, Input, Now, OpId, Token};
use crate::tree::TreeParams;

use self::serve::serve_records;
use self::timers::{Timer, Timers};

/// What a node brings to its start. Everything else it learns.
#[derive(Clone, Debug)]
pub struct Start {
    /// The pool.
    pub pool: PoolId,
    /// Secret half of the node's key.
    pub key: [u8; 32],
    /// Its certificates, root first.
    pub chain: Vec<Signed<Cert>>,
    /// Members to try while no cards are known: from the ticket.
    pub bootstrap: Vec<(NodeId, Vec<String>)>,
    /// All entries of its logs.
    pub entries: Vec<LogEntry>,
    /// What its card says.
    pub profile: Profile,
    /// Its disks.
    pub disks: Vec<DiskState>,
    /// Bytes of one unit of weight: 1 GiB; test pools use less.
    pub unit_bytes: u64,
    /// Fresh randomness.
    pub seed: u64,
    /// The home folder was copied or restored, or the machine is another: sequence numbers may have been used elsewhere.
    pub may_be_restored_copy: bool,
    /// Sizes of trees.
    pub params: TreeParams,
}

/// What the owner decides about a node's card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its house.
    pub site: String,
    /// `HOST:PORT`, the best first, at most 8.
    pub addrs: Vec<String>,
    /// KiB/s upwards, if told.
    pub uplink: Option<u32>,
    /// Of the home folder.
    pub instance: Writer,
}

/// One node's decisions.
pub struct Engine {
    now: Now,
    started: u64,
    me: NodeId,
    key: SigningKey,
    pool: PoolId,
    profile: Profile,
    params: TreeParams,
    unit_bytes: u64,
    rng: fastrand::Rng,
    timers: Timers,

    facts: FactSet,
    facts_version: u64,
    view: ClusterMap,
    map_digest: Digest,
    keys: BTreeMap<VolumeId, VolumeKeys>,
    capabilities: BTreeMap<VolumeId, String>,
    disks: Vec<DiskState>,

    bootstrap: BTreeMap<NodeId, Vec<String>>,
    peers: BTreeMap<NodeId, peers::Peer>,
    asked: BTreeMap<RequestId, peers::Asked>,
    last_request: RequestId,
    presence: presence::Presences,

    puts: BTreeMap<u64, put::Put>,
    last_put: u64,
    gets: BTreeMap<BlockId, get::Get>,
    commits: BTreeMap<VolumeId, commit::Commits>,
    looks: BTreeMap<u64, look::Looking>,
    queries: BTreeMap<u64, look::Query>,
    last_look: u64,
    locates: BTreeMap<OpId, admin::Locating>,
    surveys: BTreeMap<OpId, survey::Surveying>,
    topup: topup::TopUp,
    debts: debts::Debts,
    cache: cache::Cache,

    clock: Hlc,
    unpublished: BTreeMap<VolumeId, publish::Unpublished>,
    /// Heads of the last look: for a planted bug.
    #[cfg(feature = "planted")]
    looked: BTreeMap<VolumeId, Vec<Signed<fsdfs_proto::identity::Head>>>,
    writer: writer::WriterState,
    boot: presence::Boot,
    /// Facts were exchanged with a member since the start.
    exchanged: bool,
    /// A write of the log failed, so something that is known here may not be durable: nothing is confirmed until all is
    /// written again.
    log_behind: bool,
}

/// Why the store or a job was asked, see [`Token`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Unasked,
    /// Whether this node has the block of a put already.
    PutProbe(u64),
    /// This node's own copy of a put.
    PutWrite(u64),
    GetRead(BlockId),
    /// A damaged copy is written again; nobody waits.
    Heal(BlockId),
    ServeHave {
        to: NodeId,
        request: RequestId,
    },
    ServeStore {
        to: NodeId,
        request: RequestId,
    },
    ServeFetch {
        to: NodeId,
        request: RequestId,
        id: BlockId,
    },
    /// Facts a peer wants acknowledged; `fine` if all were valid.
    AckFacts {
        to: NodeId,
        request: RequestId,
        fine: bool,
    },
    /// Facts nobody waits for.
    Remember,
    /// Everything again, because an earlier write failed.
    Relog,
    /// Sequence number and head of a commit.
    CommitLogged(VolumeId),
    CommitJob(VolumeId),
    LookJob(u64),
    LocateOwn(OpId),
    SurveyOwn(OpId),
    ServeRecords {
        to: NodeId,
        request: RequestId,
    },
    TopUpList,
    TopUpRead {
        id: BlockId,
    },
}

impl Engine {
    /// Starts a node. The effects begin its connections.
    pub fn new(now: Now, start: Start, out: &mut Vec<Effect>) -> Self {
        let key = SigningKey::from_bytes(&start.key);
        let me = NodeId(key.verifying_key().to_bytes());
        let mut engine = Self {
            now,
            started: now.mono,
            me,
            key,
            pool: start.pool,
            profile: start.profile,
            params: start.params,
            unit_bytes: start.unit_bytes.max(1),
            rng: fastrand::Rng::with_seed(start.seed),
            timers: Timers::default(),
            facts: FactSet::new(start.pool),
            facts_version: 0,
            view: ClusterMap::new(Vec::new()),
            map_digest: Digest([0; 32]),
            keys: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            disks: start.disks,
            bootstrap: start.bootstrap.into_iter().filter(|(node, _)| *node != me).collect(),
            peers: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_request: 0,
            presence: presence::Presences::default(),
            puts: BTreeMap::new(),
            last_put: 0,
            gets: BTreeMap::new(),
            commits: BTreeMap::new(),
            looks: BTreeMap::new(),
            queries: BTreeMap::new(),
            last_look: 0,
            locates: BTreeMap::new(),
            surveys: BTreeMap::new(),
            topup: topup::TopUp::default(),
            debts: debts::Debts::default(),
            cache: cache::Cache::default(),
            clock: Hlc::default(),
            unpublished: BTreeMap::new(),
            #[cfg(feature = "planted")]
            looked: BTreeMap::new(),
            writer: writer::WriterState::default(),
            boot: presence::Boot::default(),
            exchanged: false,
            log_behind: false,
        };
        engine.recall(start.entries, start.chain, start.may_be_restored_copy, out);
        engine
    }

    /// Takes in one input and appends what is to be done.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        debug_assert!(now.mono >= self.now.mono, "the monotonic clock ran backwards");
        self.now = now;
        match input {
            Input::Command { op, command } => self.command(op, command, out),
            Input::Message { from, message, payload } => self.message(from, message, payload, out),
            Input::Peer { node, event } => self.peer_event(node, event, out),
            Input::Disk { why, done } => self.disk_done(why.0, done, out),
            Input::Work { why: Token(Reason::CommitJob(volume)), done } => self.commit_job_done(volume, done, out),
            Input::Work { why: Token(Reason::LookJob(look)), done } => self.look_job_done(look, done, out),
            Input::Work { .. } => debug_assert!(false, "a job came back with a reason no job was given"),
            Input::Addresses(addrs) => self.readdress(addrs, out),
            Input::Timeout => {}
        }
        while let Some(timer) = self.timers.due(now.mono) {
            self.fire(timer, out);
        }
    }

    /// Monotonic milliseconds at which [`Engine::handle`] wants [`Input::Timeout`] at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// The facts this node knows.
    pub fn facts(&self) -> &FactSet {
        &self.facts
    }

    /// Grows whenever the facts change, so that a copy handed to the gate can be renewed.
    pub fn facts_version(&self) -> u64 {
        self.facts_version
    }

    /// Everything the logs have to hold: what a start may replace them by.
    pub fn log_entries(&self) -> Vec<LogEntry> {
        let facts = self.facts.all().filter(|fact| gossip::worth_logging(fact)).map(|fact| LogEntry::Fact(fact.raw()));
        let capabilities = self
            .capabilities
            .iter()
            .map(|(volume, text)| LogEntry::Capability(CapabilityEntry { volume: *volume, text: text.clone() }));
        facts.chain(self.writer.entry()).chain(self.unpublished_entries()).chain(capabilities).collect()
    }

    /// Volumes with changes that only this node knows of yet.
    pub fn unpublished(&self) -> impl Iterator<Item = VolumeId> {
        self.unpublished.keys().copied()
    }

    /// Some block lacks a copy as far as this node knows, or it does not know yet.
    pub fn owes_copies(&self) -> bool {
        self.topup.pending() > 0 || self.topup.is_running()
    }

    /// This node's keys of a volume, if it has any.
    pub fn keys(&self, volume: VolumeId) -> Option<&VolumeKeys> {
        self.keys.get(&volume)
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.me
    }

    fn command(&mut self, op: OpId, command: Command, out: &mut Vec<Effect>) {
        match command {
            Command::PutBlock { block, redundancy } => self.put_block(op, block, redundancy, out),
            Command::GetBlock { id } => self.get(id, get::Waiter::Command(op), out),
            Command::Edit { volume, edits } => self.edit(op, volume, edits, out),
            Command::Query { volume, query } => self.look(op, volume, query, out),
            Command::Locate { ids } => self.locate(op, ids, out),
            Command::Cancel { op } => self.cancel(op),
            Command::Members => self.report_members(op, out),
            Command::Status => self.report_status(op, out),
            Command::ClusterMap => self.report_map(op, out),
            Command::Inventory => self.survey(op, out),
            Command::Invite { subject, role, redeem_by, uses } => {
                self.invite(op, subject, role, redeem_by, uses, out);
            }
            Command::Revoke { subject, reason } => self.revoke(op, subject, reason, out),
        }
    }

    fn cancel(&mut self, op: OpId) {
        for put in self.puts.values_mut() {
            put.forget(op);
        }
        for get in self.gets.values_mut() {
            get.forget(op);
        }
        for commits in self.commits.values_mut() {
            commits.forget(op);
        }
        self.looks.retain(|_, look| look.op != op);
        self.locates.remove(&op);
        self.surveys.remove(&op);
    }

    fn disk_done(&mut self, why: Reason, done: DiskDone, out: &mut Vec<Effect>) {
        match (why, done) {
            (Reason::Unasked, DiskDone::Disks(disks)) => self.disks_changed(disks, out),
            (Reason::PutProbe(put), DiskDone::Have(answers)) => self.put_probed_own(put, &answers, out),
            (Reason::PutWrite(put), DiskDone::Written(done)) => self.put_written_own(put, done, out),
            (Reason::GetRead(id), DiskDone::Read(done)) => self.get_read_own(id, done, out),
            (Reason::ServeHave { to, request }, DiskDone::Have(answers)) => self.serve_have(to, request, answers, out),
            (Reason::ServeStore { to, request }, DiskDone::Written(done)) => self.serve_store(to, request, done, out),
            (Reason::ServeFetch { to, request, id }, DiskDone::Read(done)) => {
                self.serve_fetch(to, request, id, done, out);
            }
            (Reason::AckFacts { to, request, fine }, DiskDone::Logged(durable)) => {
                self.logged(durable, out);
                self.serve_facts(to, request, fine && durable && !self.log_behind, out);
            }
            (Reason::Remember, DiskDone::Logged(durable)) => self.logged(durable, out),
            (Reason::Relog, DiskDone::Logged(durable)) => self.log_behind = !durable,
            (Reason::Heal(id), DiskDone::Written(done)) => self.healed(id, &done),
            (Reason::CommitLogged(volume), DiskDone::Logged(fine)) => self.commit_logged(volume, fine, out),
            (Reason::LocateOwn(op), DiskDone::Have(answers)) => self.located_own(op, &answers, out),
            (Reason::SurveyOwn(op), DiskDone::List(records)) => self.surveyed_own(op, &records, out),
            (Reason::ServeRecords { to, request }, DiskDone::List(records)) => {
                serve_records(to, request, &records, out);
            }
            (Reason::TopUpList, DiskDone::List(records)) => self.topup_listed(records, out),
            (Reason::TopUpRead { id }, DiskDone::Read(done)) => self.topup_read(id, done, out),
            _ => debug_assert!(false, "the store answered another question than it was asked"),
        }
    }

    fn fire(&mut self, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Peer(node) => self.peer_tick(node, out),
            Timer::Dial(node) => self.dial(node, out),
            Timer::Gossip => self.gossip_tick(out),
            Timer::Heartbeat => self.heartbeat(out),
            Timer::Get(id) => self.get_tick(id, out),
            Timer::Heal(id) => self.heal(id, out),
            Timer::Commit(volume) => self.commit_begin(volume, out),
            Timer::Merge(volume) => self.merge_due(volume, out),
            Timer::TopUp => self.topup_tick(out),
            Timer::Survey(op) => self.survey_ends(op, out),
        }
    }

    /// The next stamp of this node: never before one it made or saw, unless that lies too far ahead of its own clock.
    fn stamp(&mut self) -> Hlc {
        let (wall, Hlc { ms, count }) = (self.now.wall, self.clock);
        self.clock = match count.checked_add(1) {
            _ if wall > ms => Hlc { ms: wall, count: 0 },
            Some(count) => Hlc { ms, count },
            // Somebody's stamp ended its millisecond.
            None => Hlc { ms: ms.saturating_add(1), count: 0 },
        };
        self.clock
    }

    /// Takes note of another's stamp.
    fn saw_stamp(&mut self, stamp: Hlc) {
        if stamp.ms <= self.now.wall.saturating_add(crate::limits::CLOCK_OFF_MS_MAX) {
            self.clock = self.clock.max(stamp);
        }
    }
}

fn disk(request: crate::seam::DiskRequest, why: Reason) -> Effect {
    Effect::Disk { request, why: Token(why) }
}

fn reply(op: OpId, reply: crate::seam::Reply) -> Effect {
    Effect::Reply { op, reply }
}
