//! The node itself: status, space, shutdown, and a change of pools.

use axum::extract::State;
use axum::http::StatusCode;
use fsdfs_core::report;
use fsdfs_proto::control::{
    self, AttentionReason, ErrorCode, JoinReply, JoinRequest, MemberShare, NodeCounters, NodeStatus, RepairStatus,
    ReplicationMargin, SpaceReport,
};
use fsdfs_proto::identity::Ticket;

use super::failure::Failure;
use super::{Answer, Context, Json, Shared, convert, reachability};
use crate::gateway::words::attention;

/// State of this node and its pool.
#[utoipa::path(get, path = control::route::STATUS,
    responses((status = 200, body = NodeStatus), (status = "default", body = control::ApiError)))]
pub(super) async fn status(State(context): Shared) -> Answer<NodeStatus> {
    let (status, members) = (context.client.status().await?, context.client.members().await?);
    let me = members.members.iter().find(|member| member.me);
    let addrs = me.map(|me| me.addrs.clone()).unwrap_or_default();
    Ok(Json(NodeStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        uptime_s: context.started.elapsed().as_secs(),
        home: context.home.display().to_string(),
        node: status.node.to_string(),
        name: context.config.name.clone(),
        site: me.map(|me| me.site.clone()).unwrap_or_default(),
        pool: status.pool.to_string(),
        pool_name: context.pool_name.clone(),
        port: context.config.listen.port(),
        addresses: control::NodeAddress::described(&addrs),
        copies: status.copies,
        ready: status.ready,
        has_key: status.has_key,
        connected: status.connected,
        members: status.members,
        disks: convert::disks(&context),
        repair: RepairStatus {
            pending: status.repair_pending,
            sent: status.repair_sent,
            running: status.repair_running,
        },
        replication_margin: status.replication_margin.map(|(min, max)| ReplicationMargin { min, max }),
        counters: counters(&context),
        clock_off_min: status.clock_off_min,
        attention: attention(&context, &status, &members),
    }))
}

fn counters(context: &Context) -> NodeCounters {
    let (store, net) = (context.store.counters(), context.traffic.read());
    NodeCounters {
        syncs: store.syncs,
        records_appended: store.records,
        bytes_appended: store.bytes,
        blocks_read: store.reads,
        message_bytes_in: net.message_bytes_in,
        message_bytes_out: net.message_bytes_out,
        block_bytes_in: net.block_bytes_in,
        block_bytes_out: net.block_bytes_out,
    }
}

/// The engine's list, and what only this process knows.
fn attention(
    context: &Context,
    status: &report::StatusReport,
    members: &report::MemberList,
) -> Vec<control::AttentionItem> {
    let of_engine = status.attention.iter().map(attention::of_engine);
    let open = context.store.usage();
    let unusable = context.config.storage.iter().filter(|storage| !open.iter().any(|(path, ..)| *path == storage.path));
    let unusable = unusable
        .map(|storage| attention::item(AttentionReason::StorageUnusable { path: storage.path.display().to_string() }));
    of_engine.chain(unusable).chain(reachability::warnings(&members.members)).collect()
}

/// Space, of the pool and of this node.
#[utoipa::path(get, path = control::route::DF, responses((status = 200, body = SpaceReport), (status = "default", body = control::ApiError)))]
pub(super) async fn df(State(context): Shared) -> Answer<SpaceReport> {
    let (status, members, map) =
        (context.client.status().await?, context.client.members().await?, context.client.map().await?);
    let share = |member: &report::MemberReport, bytes: u64| MemberShare {
        id: member.node.to_string(),
        name: member.name.clone(),
        bytes,
    };
    let weight = |member: &report::MemberReport| member.disks.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>();
    let given = |member: &report::MemberReport| weight(member).saturating_mul(context.config.unit_bytes);
    let giving =
        |member: &&report::MemberReport| matches!(member.presence, report::Presence::Up | report::Presence::Away);
    let offers: Vec<MemberShare> =
        members.members.iter().filter(giving).map(|member| share(member, given(member))).collect();
    let capacity = map.view.capacity_bytes(map.copies, context.config.unit_bytes);
    let stranded = capacity.stranded.iter().filter_map(|(node, bytes)| {
        members.members.iter().find(|member| member.node == *node).map(|member| share(member, *bytes))
    });
    Ok(Json(SpaceReport {
        copies: status.copies,
        offered_bytes: offers.iter().map(|share| share.bytes).sum(),
        usable_bytes: capacity.usable,
        copies_short: capacity.copies_short,
        sites_short: capacity.sites_short,
        stranded: stranded.collect(),
        offers,
        disks: convert::disks(&context),
    }))
}

/// Ends the daemon gracefully.
#[utoipa::path(post, path = control::route::SHUTDOWN, responses((status = 202)))]
pub(super) async fn shutdown(State(context): Shared) -> StatusCode {
    context.client.stop_daemon();
    StatusCode::ACCEPTED
}

/// Leaves this node's empty pool and starts again in the ticket's.
#[utoipa::path(post, path = control::route::JOIN, request_body = JoinRequest,
    responses((status = 200, body = JoinReply), (status = "default", body = control::ApiError)))]
pub(super) async fn join(State(context): Shared, Json(request): Json<JoinRequest>) -> Answer<JoinReply> {
    let ticket: Ticket = request.ticket.trim().parse().map_err(|error| {
        Failure::new(
            ErrorCode::BadRequest,
            format!("this ticket cannot be used: {error}"),
            "copy all of it, from fsdfs-ticket-1: on",
        )
    })?;
    if ticket.pool == context.pool {
        return Err(Failure::new(
            ErrorCode::Exists,
            "this node is a member of that pool already",
            "see 'fsdfs status'",
        ));
    }
    context.client.pool_is_empty().await?.map_err(|reason| {
        let hint = "join with another home folder: 'fsdfs --home DIR join TICKET'";
        Failure::new(ErrorCode::PoolInUse, format!("this node's pool is in use and is not replaced: {reason}"), hint)
    })?;
    let joined = JoinReply { pool: ticket.pool.to_string(), pool_name: ticket.pool_name.clone() };
    context.client.change_pool(ticket);
    Ok(Json(joined))
}
