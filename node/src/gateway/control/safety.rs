//! How safe files are.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header as http;
use axum::response::{IntoResponse as _, Response};
use fsdfs_core::plan::SafetySum;
use fsdfs_core::report::{Attention, MemberList, MemberReport, Presence, StatusReport};
use fsdfs_proto::control::{
    self, MemberBlocks, MissingHolder, MissingReason, SafetyProgress, SafetyProofLine, SafetyReport, SafetyVerdict,
};
use fsdfs_proto::ids::NodeId;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::failure::Failure;
use super::query::RequestQuery;
use super::{Answer, Json, Shared, convert};
use crate::client::{ClientError, Freshness, PROOF_SAMPLE, SAFETY_SAMPLE, SafetyFound};

/// How often it is said how far proofs are.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How safe everything below a path is: all members that can be reached are asked about its blocks, or with all=false about 16,384
/// of them at most.
#[utoipa::path(get, path = control::route::SAFE, params(
    ("path" = String, Query), ("all" = Option<bool>, Query), ("volume" = Option<String>, Query)),
    responses((status = 200, body = SafetyReport), (status = "default", body = control::ApiError)))]
pub(super) async fn safe(State(context): Shared, RawQuery(query): RawQuery) -> Answer<SafetyReport> {
    let query = RequestQuery::read(query.as_deref(), &["path", "all", "volume"])?;
    let (volume, path, all) = (query.volume(&context.client)?, query.path()?, query.all()?);
    let members = context.client.members().await?;
    let below = context.client.blocks_below(volume, path, if all { usize::MAX } else { SAFETY_SAMPLE }).await?;
    let found = context.client.safety(below, &members).await?;
    // Who went away, or failed an audit, while the others answered.
    let (status, members) = (context.client.status().await?, context.client.members().await?);
    Ok(Json(report(found, &status, &members)))
}

/// The same, but each member that says that it holds a block reads it and proves it: nothing else counts. By default up to 1,000
/// blocks are asked about, a fair sample. Lines of JSON: how far it is, and at last the report.
#[utoipa::path(get, path = control::route::SAFE_PROOF, params(
    ("path" = String, Query), ("all" = Option<bool>, Query), ("volume" = Option<String>, Query)),
    responses((status = 200, body = SafetyProofLine, content_type = "application/x-ndjson"),
        (status = "default", body = control::ApiError)))]
pub(super) async fn prove(State(context): Shared, RawQuery(query): RawQuery) -> Result<Response, Failure> {
    let query = RequestQuery::read(query.as_deref(), &["path", "all", "volume"])?;
    let (volume, path, all) = (query.volume(&context.client)?, query.path()?, query.all()?);
    let members = context.client.members().await?;
    let below = context.client.blocks_below(volume, path, if all { usize::MAX } else { PROOF_SAMPLE }).await?;
    let first = SafetyProgress { blocks: 0, of_blocks: below.asked() };
    let (progress, seen) = watch::channel(first);
    let client = context.client.clone();
    let work = async move {
        let on_block = |blocks| {
            progress.send_replace(SafetyProgress { blocks, ..first });
        };
        let found = client.proven_safety(below, &members, on_block).await?;
        let (status, members) = (client.status().await?, client.members().await?);
        let proven = found.sum.copies;
        Ok(SafetyReport { proven_copies: Some(proven), ..report(found, &status, &members) })
    };
    let body = Body::from_stream(proof_lines(work, seen).map(|line| Ok::<_, Infallible>(text_of(&line))));
    Ok(([(http::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// How far it is, four times a second at most, and what comes of it. Whoever drops the stream ends the work.
fn proof_lines(
    work: impl Future<Output = Result<SafetyReport, ClientError>> + Send + 'static,
    mut seen: watch::Receiver<SafetyProgress>,
) -> impl Stream<Item = SafetyProofLine> + Send {
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seen.mark_changed();
    stream::unfold(Some((Box::pin(work), seen, ticks)), |open| async {
        let (mut work, mut seen, mut ticks) = open?;
        loop {
            let tick = tokio::select! {
                biased;
                found = &mut work => Err(found),
                _ = ticks.tick() => Ok(()),
            };
            match tick {
                Err(Ok(report)) => return Some((SafetyProofLine::Report(Box::new(report)), None)),
                Err(Err(error)) => return Some((SafetyProofLine::Error(Failure::from(error).0), None)),
                Ok(()) if seen.has_changed().unwrap_or(false) => {
                    let progress = *seen.borrow_and_update();
                    return Some((SafetyProofLine::Progress(progress), Some((work, seen, ticks))));
                }
                Ok(()) => {}
            }
        }
    })
}

fn text_of(line: &SafetyProofLine) -> String {
    serde_json::to_string(line).expect("plain texts and numbers") + "\n"
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
        damaged: member_blocks(&sum.damaged, members),
        unproven: member_blocks(&sum.unproven, members),
        proven_copies: None,
        missing: missing(&sum.silent, status, members),
        mending: member_blocks(&sum.lacking, members),
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

fn member_blocks(blocks: &BTreeMap<NodeId, u64>, members: &MemberList) -> Vec<MemberBlocks> {
    let name = |node: &NodeId| {
        let member = members.members.iter().find(|member| member.node == *node);
        member.map_or_else(|| node.short(), |member| member.label.clone())
    };
    let of = |(node, blocks): (&NodeId, &u64)| MemberBlocks { id: node.to_string(), name: name(node), blocks: *blocks };
    blocks.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(blocks: u64, sites: u64, short: u64, unreadable: u64) -> SafetySum {
        let sites_min = (blocks > 0).then_some(sites);
        SafetySum { blocks, sites_min, short_blocks: short, unreadable_blocks: unreadable, ..SafetySum::default() }
    }

    #[tokio::test]
    async fn proofs_say_how_far_they_are_and_then_what_was_found() {
        let at = |blocks| SafetyProgress { blocks, of_blocks: 2 };
        let (progress, seen) = watch::channel(at(0));
        let (end, ended) = tokio::sync::oneshot::channel();
        let work = async move { ended.await.map_err(|_| ClientError::Stopping)? };
        let mut lines = Box::pin(proof_lines(work, seen));
        for blocks in 0..=2 {
            progress.send_replace(at(blocks));
            let line = lines.next().await;
            assert_eq!(line, Some(SafetyProofLine::Progress(at(blocks))), "nothing is said twice");
        }
        assert!(text_of(&SafetyProofLine::Progress(at(1))).starts_with("{\"progress\":{\"blocks\":1"));
        end.send(Err(ClientError::Stopping)).expect("the work waits for it");
        let last = lines.next().await;
        assert!(matches!(last, Some(SafetyProofLine::Error(error)) if error.code == control::ErrorCode::Stopping));
        assert_eq!(lines.next().await, None);
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
