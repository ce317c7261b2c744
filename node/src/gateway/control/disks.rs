//! The disks of this node, and new ones in the place of lost ones.

use std::path::PathBuf;

use axum::extract::State;
use fsdfs_core::plan::BlockSample;
use fsdfs_core::report::{DiskState, Inventory, SpaceReport};
use fsdfs_proto::control::{
    self, BlocksToPull, CopiesByNeed, DiskCondition, DiskDrainAnswer, DiskDrainChange, DiskDrainListing, DiskListing,
    DiskSpace, DiskSpaceListing, ErrorCode, NewDisk, NewDiskReply,
};
use fsdfs_proto::ids::{DiskId, NodeId};

use super::failure::Failure;
use super::{Answer, Context, Json, Shared, convert};
use crate::metrics::{DiskUsage, DrainState};

/// The disks of this node.
#[utoipa::path(get, path = control::route::DISKS,
    responses((status = 200, body = DiskListing), (status = "default", body = control::ApiError)))]
pub(super) async fn disks(State(context): Shared) -> Answer<DiskListing> {
    Ok(Json(DiskListing { disks: convert::disks(&context) }))
}

/// Begins a new disk in a storage folder whose disk is lost. What is missing then comes by itself.
#[utoipa::path(post, path = control::route::DISKS, request_body = NewDisk,
    responses((status = 200, body = NewDiskReply), (status = "default", body = control::ApiError)))]
pub(super) async fn begin(State(context): Shared, Json(new): Json<NewDisk>) -> Answer<NewDiskReply> {
    let begun = context.client.begin_disk(PathBuf::from(&new.path)).await?;
    // The engine has heard of it by now: the new disk counts.
    let pulled = match context.client.survey().await {
        Ok(inventory) => {
            let me = context.client.status().await?.node;
            Some(context.client.compute(move || lacking(&inventory, me)).await?)
        }
        // It is begun all the same.
        Err(_) => None,
    };
    let given_up = begun.given_up.iter().map(ToString::to_string).collect();
    Ok::<_, Failure>(Json(NewDiskReply { path: new.path, id: begun.disk.to_string(), given_up, pulled }))
}

/// What `me` is assigned and others said that they have.
fn lacking(inventory: &Inventory, me: NodeId) -> BlocksToPull {
    let sample = BlockSample::of(&inventory.holdings);
    let is_lacking = |id, holders: &[NodeId]| {
        let assigned = inventory.view.holders(id, inventory.copies);
        !holders.contains(&me) && assigned.iter().any(|holder| holder.node == me)
    };
    let lacking = sample.listed().iter().filter(|block| is_lacking(block.id, &block.holders));
    let (blocks, bytes) = lacking.fold((0, 0), |(blocks, bytes), block| (blocks + 1, bytes + block.len));
    BlocksToPull { blocks: sample.whole(blocks), bytes: sample.whole(bytes), estimated: !sample.is_whole() }
}

/// Where the bytes of this node's disks are, measured now.
#[utoipa::path(get, path = control::route::DISK_SPACE,
    responses((status = 200, body = DiskSpaceListing), (status = "default", body = control::ApiError)))]
pub(super) async fn space(State(context): Shared) -> Answer<DiskSpaceListing> {
    let store = context.store.clone();
    // It looks at every file, and a cold disk takes its time for that.
    let measured = tokio::task::spawn_blocking(move || store.measured_usage()).await;
    let measured = measured.map_err(|_| {
        Failure::new(ErrorCode::Disk, "the storage folders could not be measured", "see the log of this node")
    })?;
    let status = context.client.status().await?;
    let copies = status.space.as_ref().map(copies_by_need);
    Ok(Json(DiskSpaceListing { disks: measured.into_iter().map(disk_space).collect(), copies }))
}

fn copies_by_need(found: &SpaceReport) -> CopiesByNeed {
    CopiesByNeed {
        marked_ms: found.marked_at,
        current_bytes: found.current_bytes,
        history_bytes: found.history_bytes,
        young_bytes: found.young_bytes,
        unheard_bytes: found.unheard_bytes,
        unneeded_bytes: found.condemned_bytes,
        damaged_bytes: found.damaged_bytes,
        freed_bytes: found.freed_bytes,
        collects: found.collects,
        missing: found.missing.iter().map(ToString::to_string).collect(),
    }
}

fn disk_space((path, id, usage): (PathBuf, DiskId, DiskUsage)) -> DiskSpace {
    let space = DiskSpace {
        id: id.to_string(),
        path: path.display().to_string(),
        quota_bytes: usage.quota,
        used_bytes: usage.used(),
        live_bytes: usage.live(),
        condemned_bytes: usage.condemned,
        dead_bytes: usage.dead,
        index_bytes: usage.index,
        log_bytes: usage.log,
        other_bytes: usage.other,
        reserve_bytes: usage.reserve,
    };
    let parts = [space.live_bytes, space.condemned_bytes, space.dead_bytes, space.index_bytes, space.log_bytes];
    debug_assert_eq!(parts.iter().sum::<u64>() + space.other_bytes, space.used_bytes, "every byte is somewhere");
    space
}

/// How far the disks are emptied that are to be.
#[utoipa::path(get, path = control::route::DISK_DRAIN,
    responses((status = 200, body = DiskDrainListing), (status = "default", body = control::ApiError)))]
pub(super) async fn drained(State(context): Shared) -> Answer<DiskDrainListing> {
    Ok(Json(DiskDrainListing { disks: context.store.drained().iter().map(drain_answer).collect() }))
}

/// Has a disk emptied, or ends that.
#[utoipa::path(post, path = control::route::DISK_DRAIN, request_body = DiskDrainChange,
    responses((status = 200, body = DiskDrainAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn drain(State(context): Shared, Json(new): Json<DiskDrainChange>) -> Answer<DiskDrainAnswer> {
    let disk = of_this_node(&context, &new.path)?;
    let others = context.store.disks();
    let takes = |other: &DiskState| {
        other.id != disk && !matches!(other.condition, DiskCondition::Draining | DiskCondition::Failing)
    };
    if new.drain && !others.iter().any(takes) {
        let error = format!("no other disk of this node can take what is on {}", new.path);
        let hint = "to hand all of it over to the other members: 'fsdfs drain'; or give the node another disk first";
        return Err(Failure::new(ErrorCode::NoSpace, error, hint));
    }
    if context.client.change_disk_drain(disk, new.drain).await?.draining {
        let error = "this node hands everything over, with all its disks";
        return Err(Failure::new(ErrorCode::Exists, error, "see 'fsdfs drain', or end it: 'fsdfs drain --undo'"));
    }
    let answer = drain_of(&context, new.path);
    // What an earlier drain found counts no more.
    Ok(Json(if answer.draining == new.drain {
        answer
    } else {
        DiskDrainAnswer { path: answer.path, draining: new.drain, ..DiskDrainAnswer::default() }
    }))
}

fn of_this_node(context: &Context, path: &str) -> Result<DiskId, Failure> {
    let disks = context.store.usage();
    let found = disks.iter().find(|(folder, ..)| folder.as_os_str() == path).map(|(_, disk, _)| *disk);
    found.ok_or_else(|| {
        let error = format!("{path} is no folder of a disk that this node uses");
        Failure::new(ErrorCode::NotFound, error, "see 'fsdfs disk'")
    })
}

/// Right after the change the store may not have heard of it yet.
fn drain_of(context: &Context, path: String) -> DiskDrainAnswer {
    let drained = context.store.drained();
    let state = drained.iter().find(|state| state.path.as_os_str() == path.as_str());
    state.map_or_else(|| DiskDrainAnswer { path, ..DiskDrainAnswer::default() }, drain_answer)
}

fn drain_answer(state: &DrainState) -> DiskDrainAnswer {
    let seconds_left = state.bytes_per_s.filter(|_| state.is_counted).map(|rate| state.bytes.div_ceil(rate.max(1)));
    DiskDrainAnswer {
        path: state.path.display().to_string(),
        draining: true,
        may_be_unplugged: state.may_be_unplugged,
        counted: state.is_counted,
        blocks_left: state.blocks,
        bytes_left: state.bytes,
        bytes_per_s: state.bytes_per_s,
        seconds_left,
        unreadable: state.unreadable,
        stuck: state.is_stuck,
    }
}
