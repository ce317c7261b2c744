//! What the pool can hold and lose, and what a change would move: the inventory's numbers with names and sentences.

use axum::extract::{RawQuery, State};
use fsdfs_core::placement::COPIES_MAX;
use fsdfs_core::plan::{self, PlanError, PlannedChange, PoolSnapshot};
use fsdfs_core::report::{MemberList, MemberReport};
use fsdfs_proto::control::{self, ChangePlan, ErrorCode, PoolPlan};
use fsdfs_proto::ids::NodeId;

use super::failure::Failure;
use super::members::the_member;
use super::query::{ChangeRequest, RequestQuery};
use super::{Answer, Context, Json, Shared};
use crate::gateway::words::size;

mod render;
use render::PlanRenderer;

/// The pool as it is: its capacity, which members and sites may fail, how long repair takes.
#[utoipa::path(get, path = control::route::PLAN, responses((status = 200, body = PoolPlan), (status = "default", body = control::ApiError)))]
pub(super) async fn plan(State(context): Shared) -> Answer<PoolPlan> {
    let (pool, members) = pool(&context).await?;
    let answer = context.client.compute(move || PlanRenderer { pool: &pool, members: &members, change: None }.plan());
    Ok(Json(answer.await?))
}

/// What a change of the pool would move. Nothing is changed.
#[utoipa::path(get, path = control::route::PLAN_CHANGE,
    params(("add" = Option<String>, Query), ("bytes" = Option<u64>, Query), ("site" = Option<String>, Query),
        ("remove" = Option<String>, Query), ("drain" = Option<String>, Query), ("copies" = Option<u8>, Query)),
    responses((status = 200, body = ChangePlan), (status = "default", body = control::ApiError)))]
pub(super) async fn what_if(State(context): Shared, RawQuery(query): RawQuery) -> Answer<ChangePlan> {
    let known = ["add", "bytes", "site", "remove", "drain", "copies"];
    let request = RequestQuery::read(query.as_deref(), &known)?.change_request()?;
    check(&request)?;
    let (pool, members) = pool(&context).await?;
    let change = change(&request, &pool, &members)?;
    let answer = context.client.compute(move || {
        let outcome = plan::what_if(&pool, &change)?;
        Ok(PlanRenderer { pool: &pool, members: &members, change: Some(&request) }.what_if(&outcome))
    });
    answer.await?.map(Json).map_err(|error| plan_failure(&error))
}

/// What is wrong whatever the members say.
fn check(request: &ChangeRequest) -> Result<(), Failure> {
    let bad = |text: &String| !(1..=64).contains(&text.len());
    match request {
        ChangeRequest::Add { name, site, .. } if bad(name) || site.as_ref().is_some_and(bad) => Err(Failure::new(
            ErrorCode::BadRequest,
            "names of members and sites have 1 to 64 bytes",
            "choose another one",
        )),
        _ => Ok(()),
    }
}

async fn pool(context: &Context) -> Result<(PoolSnapshot, MemberList), Failure> {
    let (survey, members) = (context.client.survey().await?, context.client.members().await?);
    let uplink = |member: &MemberReport| Some((member.node, u64::from(member.uplink_kib?) * 1024));
    let uplinks = members.members.iter().filter_map(uplink).collect();
    Ok((PoolSnapshot::new(survey, context.config.unit_bytes, uplinks), members))
}

/// The change with members instead of names.
fn change(request: &ChangeRequest, pool: &PoolSnapshot, members: &MemberList) -> Result<PlannedChange, Failure> {
    Ok(match request {
        ChangeRequest::Remove(name) => PlannedChange::Remove(the_member(members, name)?.node),
        ChangeRequest::Drain(name) => PlannedChange::Drain(the_member(members, name)?.node),
        ChangeRequest::Copies(copies) => PlannedChange::Copies(*copies),
        ChangeRequest::Add { name, bytes, site } => {
            let to = addition(name, site.as_deref(), pool, members)?;
            PlannedChange::Add { bytes: *bytes, site: site.clone(), to }
        }
    })
}

/// The member that gets another disk; none if the name is a newcomer's.
fn addition(
    name: &str,
    site: Option<&str>,
    pool: &PoolSnapshot,
    members: &MemberList,
) -> Result<Option<NodeId>, Failure> {
    let member = match the_member(members, name) {
        Err(Failure(error)) if error.code == ErrorCode::NotFound => return Ok(None),
        found => found?,
    };
    if site.is_some_and(|site| site != member.site) {
        let error = format!("{name} is a member already, at site {:?}", member.site);
        return Err(Failure::new(
            ErrorCode::Exists,
            error,
            "leave the site out to plan another disk there, or name a new member",
        ));
    }
    if pool.inventory.view.server(member.node).is_none() {
        let error = format!("{name} is a member without storage in use: it is leaving, or was not reached yet");
        return Err(Failure::new(ErrorCode::Exists, error, "see 'fsdfs members', or name a new member"));
    }
    Ok(Some(member.node))
}

fn plan_failure(error: &PlanError) -> Failure {
    let (error, hint) = match error {
        PlanError::TooSmall(least) => (
            format!("a storage folder has at least {}", size(*least)),
            "name a larger size, such as 500GiB or 4TB".into(),
        ),
        PlanError::TooLarge(most) => (
            format!("a storage folder has at most {}", size(*most)),
            "name a smaller size, such as 500GiB or 4TB".into(),
        ),
        PlanError::Copies => {
            (format!("a file has 1 to {COPIES_MAX} copies"), format!("name a number from 1 to {COPIES_MAX}"))
        }
    };
    Failure::new(ErrorCode::BadRequest, error, hint)
}
