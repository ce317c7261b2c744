//! The disks of this node, and new ones in the place of lost ones.

use std::path::PathBuf;

use axum::extract::State;
use fsdfs_core::plan::BlockSample;
use fsdfs_core::report::Inventory;
use fsdfs_proto::control::{self, BlocksToPull, DiskListing, NewDisk, NewDiskReply};
use fsdfs_proto::ids::NodeId;

use super::failure::Failure;
use super::{Answer, Json, Shared, convert};

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
