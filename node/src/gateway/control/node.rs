//! The node itself: status, space, shutdown, and a change of pools.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use fsdfs_core::placement::room_left;
use fsdfs_core::report;
use fsdfs_proto::control::{
    self, AttentionReason, DiskCondition, ErrorCode, FormerMembership, JoinReply, JoinRequest, MemberShare,
    NodeCounters, NodeStatus, RelayedMembers, RepairStatus, ReplicationMargin, ScrubStatus, SpaceReport,
};
use fsdfs_proto::identity::{GateRefusal, Ticket};
use fsdfs_proto::ids::{DiskId, NodeId};

use super::failure::Failure;
use super::{Answer, Context, Json, Shared, convert, reachability};
use crate::gateway::words::refusal::{gate_text, rejected_text};
use crate::gateway::words::{self, attention};

/// Members have so long to say whether this node is still one of them: a dial takes a second, a lossy line some more.
const ASK_MEMBERS: Duration = Duration::from_secs(8);
const ASK_AGAIN: Duration = Duration::from_millis(50);

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
        root_key_at: key_in(&context.home, crate::home::ROOT_KEY_FILE),
        spare_key_at: key_in(&context.home, crate::home::SPARE_KEY_FILE),
        addresses: control::NodeAddress::described(&addrs),
        reachability: words::reachability::status(
            &context.reach.read(),
            context.config.listen.port(),
            context.config.listen.ip().is_loopback(),
        ),
        copies: status.copies,
        member_budget_bytes: status.member_bytes_max,
        ready: status.ready,
        role: me.map(|me| convert::role(me.role)).unwrap_or_default(),
        has_key: status.has_key,
        connected: status.connected,
        members: status.members,
        disks: convert::disks(&context),
        scrub: {
            let scrub = context.store.scrub();
            ScrubStatus {
                percent: scrub.percent,
                bad_found: scrub.bad_found,
                bad_found_before: scrub.bad_found_before,
                last_ended_ms: scrub.last_ended_ms,
            }
        },
        repair: RepairStatus {
            pending: status.repair_pending,
            sent: status.repair_sent,
            received: status.repair_received,
            running: status.repair_running,
            paused: context.traffic.line().repair_bytes_per_s == 0,
        },
        replication_margin: status.replication_margin.map(|(min, max)| ReplicationMargin { min, max }),
        unverified: status.unverified.clone(),
        passed_on_bytes: status.passed_on_bytes,
        relayed: relayed(&context, &members),
        counters: counters(&context),
        clock_off_min: status.clock_off_min,
        attention: attention(&context, &status, &members),
    }))
}

/// Whoever takes this machine, or a backup of it, has the pool with it.
fn key_in(home: &std::path::Path, name: &str) -> Option<String> {
    let file = home.join(name);
    file.exists().then(|| file.display().to_string())
}

/// A pair that did not use its session is nothing to show.
fn relayed(context: &Context, members: &report::MemberList) -> Vec<RelayedMembers> {
    let pairs = context.paths.relayed().into_iter().filter(|pair| pair.is_open || pair.bytes > 0);
    let shown = pairs.map(|pair| {
        let [one, other] = pair.nodes.map(|node| convert::name_of(members, node.into()));
        RelayedMembers { one, other, bytes: pair.bytes, dropped_packets: pair.dropped, active: pair.is_open }
    });
    shown.collect()
}

fn counters(context: &Context) -> NodeCounters {
    let (store, net) = (context.store.counters(), context.traffic.read());
    NodeCounters {
        syncs: store.syncs,
        records_appended: store.records,
        bytes_appended: store.bytes,
        blocks_read: store.reads,
        bytes_compacted: store.compacted,
        bytes_freed: store.freed,
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
    let open = context.store.usage();
    let path_of = |disk: DiskId| {
        let found = open.iter().find(|(_, id, _)| *id == disk);
        found.map_or_else(|| disk.to_string(), |(path, ..)| path.display().to_string())
    };
    let of_engine = status.attention.iter().map(|attention| attention::of_engine(attention, path_of));
    let (missing, is_last) = (context.store.missing(), open.is_empty());
    let missing = missing.iter().map(|missing| {
        // Of a disk that is no longer on the card nobody knows since when.
        let left_ms =
            missing.disk.map(|disk| status.absent.iter().find(|(absent, _)| *absent == disk).map_or(0, |(_, ms)| *ms));
        let about = (missing.path.as_path(), missing.is_empty, missing.why.as_str());
        attention::disk_missing(about, left_ms.map(|ms| ms / 1000), is_last)
    });
    let refused = refusal_now(context, status).map(|why| attention::item(AttentionReason::NodeRefused { why }));
    let silent = no_member_heard(context, members).filter(|_| may_hear(context, status)).map(attention::item);
    // One that is out the engine does not know any more.
    let is_open = |disk: &control::DiskStatus| open.iter().any(|(_, id, _)| id.to_string() == disk.id);
    let offline = convert::disks(context).into_iter();
    let offline = offline.filter(|disk| disk.condition == DiskCondition::Offline && is_open(disk));
    let offline = offline.map(|disk| {
        let path = disk.path.unwrap_or(disk.id);
        attention::item(AttentionReason::DiskReadOnly { path, condition: DiskCondition::Offline })
    });
    of_engine
        .chain(refused)
        .chain(silent)
        .chain(missing)
        .chain(offline)
        .chain(reachability::warnings(&members.members))
        .collect()
}

/// That none of the others is heard, if there are others and the way to them leads over a network.
fn no_member_heard(context: &Context, members: &report::MemberList) -> Option<AttentionReason> {
    let is_there = |member: &&report::MemberReport| {
        !member.me && matches!(member.presence, report::Presence::Up | report::Presence::Away)
    };
    let others = members.members.iter().filter(is_there).count();
    let is_alone = others == 0 || context.config.listen.ip().is_loopback();
    let silence = if is_alone { None } else { context.reach.silence() };
    silence.map(|silence| AttentionReason::NoMemberHeard { members: others, seconds: silence.as_secs() })
}

/// Whether the others would talk to this node.
fn may_hear(context: &Context, status: &report::StatusReport) -> bool {
    !status.attention.contains(&report::Attention::Revoked) && refusal_now(context, status).is_none()
}

/// Space, of the pool and of this node.
#[utoipa::path(get, path = control::route::DF, responses((status = 200, body = SpaceReport), (status = "default", body = control::ApiError)))]
pub(super) async fn df(State(context): Shared) -> Answer<SpaceReport> {
    let (status, members, map) =
        (context.client.status().await?, context.client.members().await?, context.client.map().await?);
    let share = |member: &report::MemberReport, bytes: u64| MemberShare {
        id: member.node.to_string(),
        name: member.label.clone(),
        bytes,
    };
    // What a member offers beyond that is not used.
    let given = |member: &report::MemberReport| member.believed.saturating_mul(context.config.unit_bytes);
    let giving =
        |member: &&report::MemberReport| matches!(member.presence, report::Presence::Up | report::Presence::Away);
    let offers: Vec<MemberShare> =
        members.members.iter().filter(giving).map(|member| share(member, given(member))).collect();
    let disks = convert::disks(&context);
    // This node knows its own disks to the byte.
    let left = |member: &report::MemberReport| match member.me {
        true => disks.iter().map(|disk| disk.free_bytes).sum::<u64>().min(given(member)),
        false => given(member) / 100 * u64::from(100 - member.full_percent.min(100)),
    };
    let free: Vec<MemberShare> =
        members.members.iter().filter(giving).map(|member| share(member, left(member))).collect();
    let capacity = map.view.capacity_bytes(map.copies, context.config.unit_bytes);
    let rooms = members.members.iter().filter(giving).map(left);
    let free_bytes = room_left(rooms, map.copies.saturating_sub(capacity.copies_short)).min(capacity.usable);
    let stranded = capacity.stranded.iter().filter_map(|(node, bytes)| {
        members.members.iter().find(|member| member.node == *node).map(|member| share(member, *bytes))
    });
    Ok(Json(SpaceReport {
        copies: status.copies,
        offered_bytes: offers.iter().map(|share| share.bytes).sum(),
        usable_bytes: capacity.usable,
        free_bytes,
        copies_short: capacity.copies_short,
        sites_short: capacity.sites_short,
        stranded: stranded.collect(),
        offers,
        free,
        disks,
        stored_by: stored_by(&status.charged, &members),
    }))
}

/// Who put what lies here, most first. Whoever is not known any more keeps its id.
fn stored_by(charged: &[(NodeId, u64)], members: &report::MemberList) -> Vec<MemberShare> {
    let name = |node: &NodeId| members.members.iter().find(|member| member.node == *node).map(|member| &member.name);
    let share = |(node, bytes): &(NodeId, u64)| MemberShare {
        id: node.to_string(),
        name: name(node).cloned().unwrap_or_else(|| node.short()),
        bytes: *bytes,
    };
    let mut shares: Vec<MemberShare> = charged.iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
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
    let mut joined = JoinReply { pool: ticket.pool.to_string(), pool_name: ticket.pool_name.clone(), former: None };
    if ticket.pool == context.pool {
        joined.former = former_membership(&context).await?;
    } else {
        context.client.pool_is_empty().await?.map_err(|reason| {
            let hint = "join with another home folder: 'fsdfs --home DIR join -'";
            let error = format!("this node's pool is in use and is not replaced: {reason}");
            Failure::new(ErrorCode::PoolInUse, error, hint)
        })?;
    }
    context.client.change_pool(ticket);
    Ok(Json(joined))
}

/// Why no member talks to this node, if it was told.
fn refusal_now(context: &Context, status: &report::StatusReport) -> Option<String> {
    let is_revoked = status.attention.contains(&report::Attention::Revoked);
    let refusal = context.answers.borrow().refusal().filter(|_| status.connected == 0 && !is_revoked);
    refusal.map(rejected_text)
}

/// What this node was in its pool, if it is no member of it any more; none if it never was one. Then it may begin anew there.
async fn former_membership(context: &Context) -> Result<Option<FormerMembership>, Failure> {
    let is_newcomer = context.is_newcomer && context.answers.borrow().let_in.is_empty();
    if is_newcomer {
        return Ok(None);
    }
    let (why, node) = told_to_leave(context).await?;
    let why = why.map_err(|error| Failure::new(ErrorCode::Exists, error, "see 'fsdfs status' and 'fsdfs members'"))?;
    Ok(Some(FormerMembership { why, kept_in: crate::home::kept_aside_in(&context.config.storage, node) }))
}

/// Why this node is no member any more, or why it is taken for one. Others are given time to say.
async fn told_to_leave(context: &Context) -> Result<(Result<String, &'static str>, NodeId), Failure> {
    let begun = Instant::now();
    loop {
        let status = context.client.status().await?;
        if status.attention.contains(&report::Attention::Revoked) {
            return Ok((Ok(gate_text(GateRefusal::Revoked).to_owned()), status.node));
        }
        if let Some(why) = refusal_now(context, &status) {
            return Ok((Ok(why), status.node));
        }
        if status.connected > 0 || status.members == 0 {
            return Ok((Err("this node is a member of that pool already"), status.node));
        }
        if begun.elapsed() >= ASK_MEMBERS {
            let unknown =
                "this node was a member of that pool when it was last connected; no member could be asked since";
            return Ok((Err(unknown), status.node));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
