//! When this node is away.

use axum::extract::State;
use fsdfs_core::report::AbsenceReport;
use fsdfs_core::seam;
use fsdfs_proto::control::{self, AbsenceAnswer, AbsenceChange, DailyHours};
use fsdfs_proto::identity::{DAILY_SPANS_MAX, DailySpan};

use super::failure::Failure;
use super::{Answer, Json, Shared};

/// As it was announced last.
#[utoipa::path(get, path = control::route::ABSENCE,
    responses((status = 200, body = AbsenceAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn absence(State(context): Shared) -> Answer<AbsenceAnswer> {
    Ok(Json(described(&context.client.absence().await?)))
}

/// Announces another one to all members.
#[utoipa::path(post, path = control::route::ABSENCE, request_body = AbsenceChange,
    responses((status = 200, body = AbsenceAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn change(State(context): Shared, Json(new): Json<AbsenceChange>) -> Answer<AbsenceAnswer> {
    let daily = new.daily.as_deref().map(spans).transpose()?;
    let change = seam::AbsenceChange { until_ms: new.until_ms, daily };
    Ok(Json(described(&context.client.change_absence(change).await?)))
}

fn spans(hours: &[DailyHours]) -> Result<Vec<DailySpan>, Failure> {
    if hours.len() > DAILY_SPANS_MAX {
        return Err(Failure::bad_request("daily has at most 8 spans"));
    }
    let span = |hours: &DailyHours| {
        let span = DailySpan { from: hours.from_minute, to: hours.to_minute };
        let is_span = span.from.max(span.to) < 24 * 60 && span.from != span.to;
        is_span
            .then_some(span)
            .ok_or_else(|| Failure::bad_request("minutes of a day are 0 to 1439, and a span is not empty"))
    };
    hours.iter().map(span).collect()
}

fn described(absence: &AbsenceReport) -> AbsenceAnswer {
    let hours = |span: &DailySpan| DailyHours { from_minute: span.from, to_minute: span.to };
    AbsenceAnswer { until_ms: absence.until_ms, daily: absence.daily.iter().map(hours).collect() }
}
