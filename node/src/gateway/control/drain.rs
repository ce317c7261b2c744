//! A node that hands everything over.

use axum::extract::State;
use fsdfs_core::report::DrainReport;
use fsdfs_proto::control::{self, DrainAnswer, DrainChange};

use super::{Answer, Json, Shared};

/// How far this node has handed over what it holds.
#[utoipa::path(get, path = control::route::DRAIN,
    responses((status = 200, body = DrainAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn drain(State(context): Shared) -> Answer<DrainAnswer> {
    Ok(Json(described(context.client.drain().await?)))
}

/// Drains this node, or makes it a holder again.
#[utoipa::path(post, path = control::route::DRAIN, request_body = DrainChange,
    responses((status = 200, body = DrainAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn change(State(context): Shared, Json(new): Json<DrainChange>) -> Answer<DrainAnswer> {
    Ok(Json(described(context.client.change_drain(new.drain).await?)))
}

fn described(report: DrainReport) -> DrainAnswer {
    let rate = report.bytes_per_s.filter(|rate| *rate > 0);
    DrainAnswer {
        draining: report.draining,
        may_be_unplugged: report.may_be_unplugged,
        counted: report.is_counted,
        blocks_left: report.blocks,
        bytes_left: report.bytes,
        bytes_per_s: rate,
        seconds_left: rate.filter(|_| report.is_counted).map(|rate| report.bytes.div_ceil(rate)),
        puts: report.puts,
        unpublished: report.unpublished,
        unread_disks: report.unread_disks,
        away: report.away,
        full: report.full,
    }
}
