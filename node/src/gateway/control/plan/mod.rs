//! What the pool can hold and lose, and what a change would move: the survey's numbers with names and sentences.

use axum::extract::{RawQuery, State};
use fsdfs_core::placement::COPIES_MAX;
use fsdfs_core::plan::{self, PlanError, PlannedChange, PoolSnapshot};
use fsdfs_core::report::{MemberList, MemberReport};
use fsdfs_proto::control::{self, ChangePlan, ErrorCode, PoolPlan};
use fsdfs_proto::ids::NodeId;

use super::failure::Failure;
use super::people::the_member;
use super::query::{Query, Wish};
use super::{Answer, Context, Json, Shared};

mod words;
use words::{Words, size};

/// The pool as it is: what fits, what may die, how long it takes to heal.
#[utoipa::path(get, path = control::route::PLAN, responses((status = 200, body = PoolPlan), (status = "default", body = control::ApiError)))]
pub(super) async fn plan(State(context): Shared) -> Answer<PoolPlan> {
    let (pool, members) = pool(&context).await?;
    let answer = context.client.compute(move || Words { pool: &pool, members: &members, change: None }.plan());
    Ok(Json(answer.await?))
}

/// What a change of the pool would move. Nothing is changed.
#[utoipa::path(get, path = control::route::PLAN_CHANGE,
    params(("add" = Option<String>, Query), ("bytes" = Option<u64>, Query), ("site" = Option<String>, Query),
        ("remove" = Option<String>, Query), ("drain" = Option<String>, Query), ("copies" = Option<u8>, Query)),
    responses((status = 200, body = ChangePlan), (status = "default", body = control::ApiError)))]
pub(super) async fn what_if(State(context): Shared, RawQuery(query): RawQuery) -> Answer<ChangePlan> {
    let known = ["add", "bytes", "site", "remove", "drain", "copies"];
    let wish = Query::read(query.as_deref(), &known)?.wish()?;
    check(&wish)?;
    let (pool, members) = pool(&context).await?;
    let change = change(&wish, &pool, &members)?;
    let answer = context.client.compute(move || {
        let told = plan::what_if(&pool, &change)?;
        Ok(Words { pool: &pool, members: &members, change: Some(&wish) }.what_if(&told))
    });
    answer.await?.map(Json).map_err(|impossible| impossible_failure(&impossible))
}

/// What can be told to be wrong without asking the members.
fn check(wish: &Wish) -> Result<(), Failure> {
    let bad = |text: &String| !(1..=64).contains(&text.len());
    match wish {
        Wish::Add { name, site, .. } if bad(name) || site.as_ref().is_some_and(bad) => {
            Err(Failure::new(ErrorCode::BadRequest, "names and sites have 1 to 64 bytes", "choose another one"))
        }
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
fn change(wish: &Wish, pool: &PoolSnapshot, members: &MemberList) -> Result<PlannedChange, Failure> {
    Ok(match wish {
        Wish::Remove(name) => PlannedChange::Remove(the_member(members, name)?.node),
        Wish::Drain(name) => PlannedChange::Drain(the_member(members, name)?.node),
        Wish::Copies(copies) => PlannedChange::Copies(*copies),
        Wish::Add { name, bytes, site } => {
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
            "leave the site out to plan another disk there, or name a newcomer",
        ));
    }
    if pool.survey.view.server(member.node).is_none() {
        let error = format!("{name} is a member that takes no blocks: it is leaving, or nothing was heard of it yet");
        return Err(Failure::new(ErrorCode::Exists, error, "see 'fsdfs members', or name a newcomer"));
    }
    Ok(Some(member.node))
}

fn impossible_failure(impossible: &PlanError) -> Failure {
    let (error, hint) = match impossible {
        PlanError::TooSmall(least) => (
            format!("a storage folder has at least {}", size(*least)),
            "name a larger size, such as 500GiB or 4TB".into(),
        ),
        PlanError::TooLarge(most) => (
            format!("a storage folder has at most {}", size(*most)),
            "name a smaller size, such as 500GiB or 4TB".into(),
        ),
        PlanError::Copies => (impossible.to_string(), format!("name a number from 1 to {COPIES_MAX}")),
    };
    Failure::new(ErrorCode::BadRequest, error, hint)
}
