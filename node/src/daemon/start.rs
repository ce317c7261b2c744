//! Puts a node together: store, keys, network, engine, control API.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fsdfs_core::engine::{Engine, Patience, Profile, Start};
use fsdfs_core::facts::{FactSet, open_logged};
use fsdfs_core::limits::RELAYED_BYTES_MIN;
use fsdfs_core::seam::{DiskState, Input, Token};
use fsdfs_core::tree::TreeParams;
use fsdfs_proto::control::AttentionItem;
use fsdfs_proto::identity::{Fact, card_flag};
use fsdfs_proto::record::LogEntry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::addresses::addresses;
use super::effect_runner::EffectRunner;
use super::error::{DaemonError, DaemonReady};
use super::newcomer::PendingAdmission;
use super::node_loop::{NodeLoop, NodeParts};
use super::task_completion::TaskCompletion;
use crate::allocator;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::{self, Config, LiveBandwidth};
use crate::crypto_pool::CryptoPool;
use crate::gateway::control::{self, Context};
use crate::gateway::words;
use crate::home::{ControlSocket, HomeError, Identity, Instance, LockedHome};
use crate::metrics::MissingDisk;
use crate::net::{GateIdentity, Gatekeeper, Net, NetConfig, NetEvent};
use crate::random;
use crate::store::{DiskConfig, OpenedStore, SEGMENT_BYTES, Store, StoreConfig, StoreNotice};

/// Where members were, in the home folder.
const ADDRESS_BOOK: &str = "peers.book";
/// Blocks that arrive from all peers in memory at most. Apart from the budget of puts: two nodes waiting for each other's
/// permits would wait for ever.
const INBOUND_BYTES_MAX: usize = 64 << 20;
/// Events of the network that have left the order of turns and wait for the loop: one is handled, the next one is at hand.
const NET_EVENTS_MAX: usize = 2;
/// Events that may come before the loop runs.
const EARLY_EVENTS_MAX: usize = 256;
/// The system names all interfaces of a socket within this time; what comes later makes a new card.
const INTERFACES_WAIT: Duration = Duration::from_millis(150);
/// Requests under way may take this long to end when the daemon stops.
const GRACE: Duration = Duration::from_secs(3);

/// A node and the task of its control API.
pub(super) struct RunningNode {
    pub ready: DaemonReady,
    pub node: NodeLoop,
    pub admission: PendingAdmission,
    server: JoinHandle<std::io::Result<()>>,
    stop_server: oneshot::Sender<()>,
    _allocator: AbortOnDropHandle<()>,
}

pub(super) async fn start(home: &LockedHome) -> Result<RunningNode, DaemonError> {
    let config = Config::load(home.dir()).map_err(HomeError::from)?;
    let identity = home.identity()?;
    let instance = home.instance()?;
    if instance.is_copy {
        tracing::warn!(
            "this home folder was copied or restored: the node writes under a new name of its own from now on"
        );
    }
    let (done_in, done) = mpsc::unbounded_channel();
    let (store, opened) = open_store(home, &config, &identity, done_in.clone()).await?;
    let entries: Vec<LogEntry> = identity.entries.iter().cloned().chain(opened.entries).collect();
    let keeper = Arc::new(gatekeeper(&identity, &entries));
    let (events_in, mut events) = mpsc::channel(NET_EVENTS_MAX);
    let uplink = config.uplink_kib.map(|kib| u64::from(kib) * 1024);
    let bandwidth = Arc::new(LiveBandwidth::new(config.bandwidth.clone(), uplink));
    let net_config = NetConfig {
        mdns: config.mdns,
        relay: config.relay,
        congestion: config.congestion,
        bandwidth: Arc::clone(&bandwidth),
        port_mapping: config.port_mapping,
        named: config.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        book: Some(home.dir().join(ADDRESS_BOOK)),
        ..NetConfig::new(config.listen, INBOUND_BYTES_MAX)
    };
    let net = Net::start(net_config, keeper.clone(), events_in).await?;
    let early = interfaces(&config, &mut events).await;

    let clock = Clock::start();
    let mut effects = Vec::new();
    let about = HomeRecords { identity: &identity, config: &config, instance: &instance };
    // What the network says when that changes.
    let relays = config.relay && !bandwidth.in_force().metered.value;
    let mut start = about.engine_start((entries, opened.disks), addresses(&config, &net.reach()), relays);
    start.missing = opened.missing.iter().filter_map(|missing| missing.disk).collect();
    start.may_be_restored_copy |= opened.log_damaged;
    let engine = Engine::new(clock.now(), start, &mut effects);
    // Superseded cards, heads and heartbeats go.
    store.compact_log(engine.log_entries());

    let (shared_in, shared) = watch::channel(EffectRunner::shared(&engine));
    let pool = CryptoPool::new()?;
    let (requests_in, requests) = mpsc::unbounded_channel();
    let ready = DaemonReady {
        socket: PathBuf::new(),
        pool: identity.pool,
        pool_name: identity.pool_name.clone(),
        node: identity.node(),
        port: net.port(),
        attention: missing_disks(&opened.missing, &config),
    };
    let admission = PendingAdmission {
        is_newcomer: !engine.facts().members().contains_key(&identity.node()),
        members: identity.bootstrap.len(),
        answers: keeper.answers(),
    };
    let context = Context {
        answers: keeper.answers(),
        is_newcomer: admission.is_newcomer,
        client: Client::new(requests_in, shared, pool.clone()),
        home: home.dir().to_owned(),
        pool: identity.pool,
        pool_name: identity.pool_name,
        gate_secret: identity.gate_secret,
        store: Arc::new(store.clone()),
        traffic: net.traffic(),
        paths: net.paths(),
        bandwidth,
        reach: net.reach_meter(),
        meeter: net.meeter(),
        started: Instant::now(),
        config: config.clone(),
    };
    let runner = EffectRunner::new(net, keeper, store, pool, done_in, shared_in);
    let mut node = NodeLoop::new(NodeParts { engine, clock, runner, config, instance, requests, events, done });
    node.run_effects(effects);
    node.take_all(early);
    serve(home, (node, admission), context, ready)
}

/// What the owner has to know at once: without a word a node that stores nothing looks like one that does.
fn missing_disks(missing: &[MissingDisk], config: &Config) -> Vec<AttentionItem> {
    let is_last = missing.len() == config.storage.len();
    let item = |missing: &MissingDisk| {
        let about = (missing.path.as_path(), missing.is_empty, missing.why.as_str());
        words::attention::disk_missing(about, None, is_last)
    };
    missing.iter().map(item).collect()
}

fn serve(
    home: &LockedHome,
    (node, admission): (NodeLoop, PendingAdmission),
    context: Context,
    ready: DaemonReady,
) -> Result<RunningNode, DaemonError> {
    let socket = ControlSocket::open(home.dir(), context.config.control_group.as_deref())?;
    let ready = DaemonReady { socket: socket.path().to_owned(), ..ready };
    let (store, traffic) = (context.store.clone(), context.traffic.clone());
    let moved = move || {
        let (disks, net) = (store.counters(), traffic.read());
        disks.records + disks.reads + net.block_bytes_in + net.block_bytes_out
    };
    let allocator = AbortOnDropHandle::new(tokio::spawn(allocator::give_back(moved)));
    let (stop_server, stopped) = oneshot::channel();
    // A sender that is dropped asks to stop too.
    let stopped = async move { stopped.await.unwrap_or_default() };
    let server = tokio::spawn(control::serve(socket, control::router(context), stopped));
    Ok(RunningNode { ready, node, admission, server, stop_server, _allocator: allocator })
}

/// What the home folder says about this node.
struct HomeRecords<'a> {
    identity: &'a Identity,
    config: &'a Config,
    instance: &'a Instance,
}

impl HomeRecords<'_> {
    fn engine_start(
        &self,
        (entries, disks): (Vec<LogEntry>, Vec<DiskState>),
        addrs: Vec<String>,
        relays: bool,
    ) -> Start {
        let Self { identity, config, instance } = self;
        let profile = Profile {
            name: config.name.clone(),
            site: config.site.clone().unwrap_or_else(|| format!("site-{}", identity.node().short())),
            addrs,
            uplink: uplink_kib(config),
            instance: instance.id,
            flags: card_flag::MEETS | if relays { card_flag::RELAYS } else { 0 },
        };
        Start {
            pool: identity.pool,
            key: *identity.key.as_bytes(),
            chain: identity.chain.clone(),
            bootstrap: identity.bootstrap.clone(),
            entries,
            profile,
            disks,
            missing: Vec::new(),
            unit_bytes: config.unit_bytes,
            seed: u64::from_be_bytes(random::bytes()),
            may_be_restored_copy: instance.is_copy,
            params: TreeParams { hour_ms: config::hour_ms(), ..TreeParams::DEFAULT },
            relayed_bytes_min: RELAYED_BYTES_MIN,
            patience: Patience::DEFAULT,
            collects: config.collect,
        }
    }
}

/// Others plan with what this node says that it can upload, and more than its cap it cannot.
fn uplink_kib(config: &Config) -> Option<u32> {
    let cap = config.bandwidth.base.upload.map(|bytes| u32::try_from(bytes / 1024).unwrap_or(u32::MAX));
    config.uplink_kib.into_iter().chain(cap).min()
}

impl RunningNode {
    /// Takes no new requests, lets those under way end, says goodbye, makes everything durable.
    pub async fn stop(self) {
        let Self { mut node, mut server, stop_server, .. } = self;
        let _ = stop_server.send(());
        let ended = tokio::time::timeout(GRACE, async {
            tokio::select! {
                _ = node.run() => false,
                _ = &mut server => true,
            }
        });
        if ended.await != Ok(true) {
            tracing::warn!("in-flight requests were aborted");
            // The socket's file goes with the server, before another one takes its place.
            server.abort();
            let _ = server.await;
        }
        node.stop().await;
    }
}

/// The store of a home folder.
pub fn store_config(home: &LockedHome, config: &Config, identity: &Identity) -> StoreConfig {
    let disks = config.storage.iter().map(|storage| DiskConfig {
        path: storage.path.clone(),
        quota_bytes: storage.quota_bytes,
        if_missing: storage.if_missing,
    });
    StoreConfig {
        pool: identity.pool,
        owner: identity.node(),
        home: home.facts_dir(),
        disks: disks.collect(),
        segment_bytes: SEGMENT_BYTES,
        scrub: Some(config.scrub),
    }
}

async fn open_store(
    home: &LockedHome,
    config: &Config,
    identity: &Identity,
    inputs: mpsc::UnboundedSender<TaskCompletion>,
) -> Result<(Store, OpenedStore), DaemonError> {
    let config = store_config(home, config, identity);
    let notices = move |notice: StoreNotice| match notice {
        StoreNotice::Disks(states) => {
            let done = fsdfs_core::seam::DiskDone::Disks(states);
            // The loop ended before the store: it will not miss this.
            drop(inputs.send(TaskCompletion::Input(Input::Disk { token: Token::UNASKED, done })));
        }
        StoreNotice::Changed(changes) => {
            let done = fsdfs_core::seam::DiskDone::Changed(changes);
            drop(inputs.send(TaskCompletion::Input(Input::Disk { token: Token::UNASKED, done })));
        }
        StoreNotice::GivenUp(disks) => {
            let done = fsdfs_core::seam::DiskDone::GivenUp(disks);
            drop(inputs.send(TaskCompletion::Input(Input::Disk { token: Token::UNASKED, done })));
        }
        StoreNotice::LogCopy { entries, .. } => {
            let done = fsdfs_core::seam::DiskDone::LogCopy(entries);
            drop(inputs.send(TaskCompletion::Input(Input::Disk { token: Token::UNASKED, done })));
        }
        StoreNotice::LogLong { .. } => {
            tracing::info!("{notice}");
            drop(inputs.send(TaskCompletion::LogLong));
        }
        StoreNotice::Ready { .. }
        | StoreNotice::RebuildProgress { .. }
        | StoreNotice::Back { .. }
        | StoreNotice::HasRoom { .. }
        | StoreNotice::ShortNoMore { .. }
        | StoreNotice::Scrubbed { .. }
        | StoreNotice::Begun { .. }
        | StoreNotice::LogBack { .. } => tracing::info!("{notice}"),
        _ => tracing::warn!("{notice}"),
    };
    // Opening reads superblocks and logs: too slow for the runtime's threads.
    let opened = tokio::task::spawn_blocking(move || Store::open(&config, notices)).await;
    Ok(opened.map_err(|_| DaemonError::Ended)??)
}

/// The gate judges by the facts from its first connection on, so it gets them before it opens.
fn gatekeeper(identity: &Identity, entries: &[LogEntry]) -> Gatekeeper {
    let mut facts = FactSet::new(identity.pool);
    let logged = entries.iter().filter_map(|entry| match entry {
        LogEntry::Fact(raw) => Some(raw),
        _ => None,
    });
    let logged = open_logged(identity.pool, logged);
    facts.restore(identity.chain.iter().cloned().map(Fact::from).chain(logged).collect());
    facts.drain_new();
    let gate = GateIdentity {
        pool: identity.pool,
        secret: *identity.gate_secret.key(),
        key: identity.key.signing_key(),
        chain: identity.chain.clone(),
        bootstraps: identity.bootstrap.iter().map(|(node, _)| *node).collect::<BTreeSet<_>>(),
    };
    Gatekeeper::new(gate, facts)
}

/// A socket on all interfaces learns their addresses one by one; a card with half of them would soon be replaced.
async fn interfaces(config: &Config, events: &mut mpsc::Receiver<NetEvent>) -> Vec<NetEvent> {
    let mut early = Vec::new();
    if !config.listen.ip().is_unspecified() {
        return early;
    }
    let until = tokio::time::Instant::now() + INTERFACES_WAIT;
    while let Ok(Some(event)) = tokio::time::timeout_at(until, events.recv()).await {
        early.push(event);
        if early.len() == EARLY_EVENTS_MAX {
            break;
        }
    }
    early
}
