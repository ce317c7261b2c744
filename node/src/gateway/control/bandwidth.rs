//! What the node may use of its line.

use std::time::Duration;

use axum::extract::State;
use fsdfs_proto::control::{
    self, BandwidthAnswer, BandwidthRequest, LimitSource, MeteredLine, RepairShare, SpeedLimit,
};

use super::failure::Failure;
use super::{Answer, Context, Json, Shared};
use crate::config::{self, BandwidthChange, BandwidthSetting, SettingSource};

/// What counts now, and what comes of it.
#[utoipa::path(get, path = control::route::BANDWIDTH,
    responses((status = 200, body = BandwidthAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn bandwidth(State(context): Shared) -> Answer<BandwidthAnswer> {
    Ok(Json(described(&context)))
}

/// Changes it until the node ends, or for a time.
#[utoipa::path(post, path = control::route::BANDWIDTH, request_body = BandwidthRequest,
    responses((status = 200, body = BandwidthAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn change(State(context): Shared, Json(request): Json<BandwidthRequest>) -> Answer<BandwidthAnswer> {
    let change = checked(&request)?;
    if request.reset {
        context.bandwidth.reset();
    }
    context.bandwidth.change(&change);
    Ok(Json(described(&context)))
}

fn checked(request: &BandwidthRequest) -> Result<BandwidthChange, Failure> {
    let rate =
        |rate: Option<u64>| rate.map(config::rate_of_bytes).transpose().map_err(|bad| Failure::bad_request(bad.0));
    let lasts = request.for_s.map(Duration::from_secs);
    let change = BandwidthChange {
        upload: rate(request.upload_bytes_per_s)?,
        download: rate(request.download_bytes_per_s)?,
        repair_percent: request.repair_percent,
        metered: request.metered,
        lasts,
    };
    if request.repair_percent.is_some_and(|percent| percent > 100) {
        return Err(Failure::bad_request("repair_percent is 0 to 100"));
    }
    if change == (BandwidthChange { lasts, ..BandwidthChange::default() }) && (!request.reset || lasts.is_some()) {
        return Err(Failure::bad_request("the request names nothing that is to be changed"));
    }
    if lasts.is_some_and(|lasts| lasts.is_zero()) {
        return Err(Failure::bad_request("for_s is at least 1"));
    }
    Ok(change)
}

fn described(context: &Context) -> BandwidthAnswer {
    let (in_force, traffic, line) = (context.bandwidth.in_force(), context.traffic.read(), context.traffic.line());
    let metered = in_force.metered;
    BandwidthAnswer {
        upload: speed(&in_force.upload),
        download: speed(&in_force.download),
        repair: RepairShare {
            percent: in_force.repair_percent.value,
            source: source(in_force.repair_percent.source),
            left_s: left_s(&in_force.repair_percent),
        },
        metered: MeteredLine { metered: metered.value, source: source(metered.source), left_s: left_s(&metered) },
        // It was found before the last change.
        repair_bytes_per_s: line.repair_bytes_per_s.min(in_force.repair_ceiling(context.bandwidth.uplink())),
        queueing_ms: line.queueing_ms,
        user_bytes: traffic.user_bytes,
        repair_bytes_out: traffic.repair_bytes_out,
        repair_bytes_in: traffic.repair_bytes_in,
    }
}

fn speed(setting: &BandwidthSetting<Option<u64>>) -> SpeedLimit {
    let bytes_per_s = setting.value.unwrap_or(0);
    SpeedLimit { bytes_per_s, source: source(setting.source), left_s: left_s(setting) }
}

fn source(source: SettingSource) -> LimitSource {
    match source {
        SettingSource::File => LimitSource::Config,
        SettingSource::Hours => LimitSource::Hours,
        SettingSource::Command => LimitSource::Request,
    }
}

/// Rounded up: what ends within this second has not ended.
fn left_s<T>(setting: &BandwidthSetting<T>) -> Option<u64> {
    setting.left.map(|left| left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_what_is_to_be_changed() {
        let request = BandwidthRequest { upload_bytes_per_s: Some(0), for_s: Some(60), ..BandwidthRequest::default() };
        let change =
            BandwidthChange { upload: Some(None), lasts: Some(Duration::from_secs(60)), ..BandwidthChange::default() };
        assert!(checked(&request).is_ok_and(|checked| checked == change));
        let reset = BandwidthRequest { reset: true, ..BandwidthRequest::default() };
        assert!(checked(&reset).is_ok_and(|checked| checked == BandwidthChange::default()));
        for wrong in [
            BandwidthRequest::default(),
            BandwidthRequest { for_s: Some(60), ..reset },
            BandwidthRequest { for_s: Some(0), ..request },
            BandwidthRequest { upload_bytes_per_s: Some(31_999), ..BandwidthRequest::default() },
            BandwidthRequest { repair_percent: Some(101), ..BandwidthRequest::default() },
        ] {
            assert!(checked(&wrong).is_err(), "{wrong:?}");
        }
    }
}
