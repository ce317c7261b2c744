//! What the handlers know besides what the engine answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use fsdfs_proto::identity::SecretKey;
use fsdfs_proto::ids::PoolId;

use crate::client::{Client, GateAnswersWatch, Meeter, PathMeter, ReachMeter};
use crate::config::{Config, LiveBandwidth};
use crate::metrics::{StoreGauges, TrafficMeter};

/// One for all requests.
pub(crate) struct Context {
    pub client: Client,
    pub home: PathBuf,
    pub config: Config,
    pub pool: PoolId,
    pub pool_name: String,
    pub gate_secret: SecretKey,
    /// What other members said at their gates.
    pub answers: GateAnswersWatch,
    /// When it started, no member had let it in yet.
    pub is_newcomer: bool,
    pub store: Arc<dyn StoreGauges>,
    pub traffic: TrafficMeter,
    pub paths: PathMeter,
    pub bandwidth: Arc<LiveBandwidth>,
    /// What is known of the way to this node.
    pub reach: ReachMeter,
    /// Dials addresses of unknown owners.
    pub meeter: Meeter,
    pub started: Instant,
}

/// As handlers are given it.
pub(super) type Shared = State<Arc<Context>>;
