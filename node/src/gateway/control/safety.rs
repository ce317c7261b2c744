//! How safe files are.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use fsdfs_core::plan::SafetySum;
use fsdfs_core::report::{Attention, MemberList, MemberReport, Presence, StatusReport};
use fsdfs_proto::control::{self, MendingHolder, MissingHolder, MissingReason, SafetyReport, SafetyVerdict};
use fsdfs_proto::ids::NodeId;

use super::query::RequestQuery;
use super::{Answer, Json, Shared, convert};
use crate::client::{Freshness, SafetyFound};

/// How safe everything below a path is: all members that can be reached are asked about its blocks, or with all=false about 16,384
/// of them at most.
#[utoipa::path(get, path = control::route::SAFE, params(
    ("path" = String, Query), ("all" = Option<bool>, Query), ("volume" = Option<String>, Query)),
    responses((status = 200, body = SafetyReport), (status = "default", body = control::ApiError)))]
pub(super) async fn safe(State(context): Shared, RawQuery(query): RawQuery) -> Answer<SafetyReport> {
    let query = RequestQuery::read(query.as_deref(), &["path", "all", "volume"])?;
    let (volume, path, all) = (query.volume(&context.client)?, query.path()?, query.all()?);
    let members = context.client.members().await?;
    let found = context.client.safety(volume, path, all, &members).await?;
    // Who went away, or failed an audit, while the others answered.
    let (status, members) = (context.client.status().await?, context.client.members().await?);
    Ok(Json(report(found, &status, &members)))
}

fn report(found: SafetyFound, status: &StatusReport, members: &MemberList) -> SafetyReport {
    let SafetyFound { blocks, sum, freshness: Freshness { maybe_stale, unpublished_on } } = found;
    SafetyReport {
        verdict: verdict(&sum),
        blocks: blocks.max(sum.blocks),
        checked_blocks: sum.blocks,
        checked_bytes: sum.bytes,
        sites_may_fail: sum.sites_may_fail(),
        copies_min: sum.copies_min.unwrap_or_default(),
        target_copies: status.copies,
        short_blocks: sum.short_blocks,
        short_bytes: sum.short_bytes,
        unreadable_blocks: sum.unreadable_blocks,
        bad_copies: sum.bad_copies,
        missing: missing(&sum.silent, status, members),
        mending: mending(&sum.lacking, members),
        repair_pending: status.repair_pending,
        verified_blocks: sum.verified_blocks,
        oldest_verified_h: sum.oldest_verified_h,
        maybe_stale,
        unpublished_on,
    }
}

/// One site with all copies is no safety: a fire takes it.
fn verdict(sum: &SafetySum) -> SafetyVerdict {
    match sum {
        _ if sum.unreadable_blocks > 0 => SafetyVerdict::Lost,
        _ if sum.short_blocks > 0 || sum.blocks > 0 && sum.sites_may_fail() == 0 => SafetyVerdict::AtRisk,
        _ => SafetyVerdict::Safe,
    }
}

/// Whoever has most to say first.
fn missing(silent: &BTreeMap<NodeId, u64>, status: &StatusReport, members: &MemberList) -> Vec<MissingHolder> {
    let of = |(node, blocks): (&NodeId, &u64)| {
        let member = members.members.iter().find(|member| member.node == *node);
        let away = member.and_then(convert::absence);
        MissingHolder {
            id: node.to_string(),
            name: member.map_or_else(|| node.short(), |member| member.label.clone()),
            reason: member.map_or(MissingReason::Away, |member| reason(member, status)),
            since_s: member.filter(|member| away.is_some() || !is_up(member)).and_then(|member| member.seen.since_s),
            away: away.as_ref().map(|away| away.reason),
            until_ms: away.and_then(|away| away.until_ms),
            blocks: *blocks,
        }
    };
    let mut missing: Vec<MissingHolder> = silent.iter().map(of).collect();
    missing.sort_by_key(|holder| std::cmp::Reverse(holder.blocks));
    missing
}

fn is_up(member: &MemberReport) -> bool {
    member.presence == Presence::Up
}

fn reason(member: &MemberReport, status: &StatusReport) -> MissingReason {
    let fails = |attention: &Attention| matches!(attention, Attention::FailsAudits { name } if *name == member.label);
    match member {
        _ if !is_up(member) => MissingReason::Away,
        _ if status.attention.iter().any(fails) => MissingReason::FailsAudits,
        _ if !member.connected && !member.me => MissingReason::NotConnected,
        _ => MissingReason::NoAnswer,
    }
}

fn mending(lacking: &BTreeMap<NodeId, u64>, members: &MemberList) -> Vec<MendingHolder> {
    let name = |node: &NodeId| {
        let member = members.members.iter().find(|member| member.node == *node);
        member.map_or_else(|| node.short(), |member| member.label.clone())
    };
    let of =
        |(node, blocks): (&NodeId, &u64)| MendingHolder { id: node.to_string(), name: name(node), blocks: *blocks };
    lacking.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(blocks: u64, sites: u64, short: u64, unreadable: u64) -> SafetySum {
        let sites_min = (blocks > 0).then_some(sites);
        SafetySum { blocks, sites_min, short_blocks: short, unreadable_blocks: unreadable, ..SafetySum::default() }
    }

    #[test]
    fn one_word_is_never_greener_than_the_worst_block() {
        assert_eq!(verdict(&sum(5, 3, 0, 0)), SafetyVerdict::Safe);
        assert_eq!(verdict(&sum(5, 1, 0, 0)), SafetyVerdict::AtRisk);
        assert_eq!(verdict(&sum(5, 2, 1, 0)), SafetyVerdict::AtRisk);
        assert_eq!(verdict(&sum(5, 0, 1, 1)), SafetyVerdict::Lost);
        assert_eq!(verdict(&sum(0, 0, 0, 0)), SafetyVerdict::Safe);
    }
}
