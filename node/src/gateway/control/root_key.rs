//! The pool's root keys, and its rules: what the root key signs. A key comes with the request and is kept nowhere.

use axum::extract::State;
use fsdfs_core::report::{MemberList, RootKeyReport};
use fsdfs_proto::control::{
    self, ErrorCode, PoolRulesAnswer, RootKeyAnswer, RootKeyReplacement, RootStatement, RulesChange,
};
use fsdfs_proto::identity::{Fact, PoolRules};
use fsdfs_proto::ids::{FactId, PublicKey, unhex};

use super::failure::Failure;
use super::members::root_key as key_of;
use super::{Answer, Json, Shared, convert};
use crate::client::NewRules;

/// Which root key counts, and what root keys signed.
#[utoipa::path(get, path = control::route::ROOT_KEY,
    responses((status = 200, body = RootKeyAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn root_key(State(context): Shared) -> Answer<RootKeyAnswer> {
    let (report, found) = (context.client.root_key().await?, context.client.members().await?);
    Ok(Json(described(&report, &found)))
}

/// Puts a later root key in the place of the one that counts.
#[utoipa::path(post, path = control::route::ROOT_KEY, request_body = RootKeyReplacement,
    responses((status = 200, body = RootKeyAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn replace(State(context): Shared, Json(new): Json<RootKeyReplacement>) -> Answer<RootKeyAnswer> {
    let wrong =
        || Failure::new(ErrorCode::BadRequest, "a statement's id is 64 hexadecimal digits", "see 'fsdfs root-key'");
    let without = new.without.iter().map(|id| unhex(id).map(FactId).ok_or_else(wrong));
    let without = without.collect::<Result<Vec<FactId>, Failure>>()?;
    let report = context.client.replace_root_key(key_of(&new.root_key)?, without).await?;
    let found = context.client.members().await?;
    Ok(Json(described(&report, &found)))
}

/// The pool's rules.
#[utoipa::path(get, path = control::route::RULES,
    responses((status = 200, body = PoolRulesAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn rules(State(context): Shared) -> Answer<PoolRulesAnswer> {
    let rules = context.client.rules().await?;
    Ok(Json(rules_of(&rules, context.config.unit_bytes)))
}

/// States other rules: on the node of an admin, or anywhere with the root key.
#[utoipa::path(post, path = control::route::RULES, request_body = RulesChange,
    responses((status = 200, body = PoolRulesAnswer), (status = "default", body = control::ApiError)))]
pub(super) async fn change_rules(State(context): Shared, Json(change): Json<RulesChange>) -> Answer<PoolRulesAnswer> {
    let root = change.root_key.as_deref().map(key_of).transpose()?;
    if change.copies.is_some_and(|copies| !(1..=fsdfs_proto::message::COPIES_MAX).contains(&copies)) {
        return Err(Failure::bad_request("copies are 1 to 32"));
    }
    let new = NewRules {
        copies: change.copies,
        up_to_bytes: change.up_to_bytes,
        member_bytes_max: change.member_budget_bytes,
    };
    let rules = context.client.change_rules(root, new).await?;
    Ok(Json(rules_of(&rules, context.config.unit_bytes)))
}

fn rules_of(rules: &PoolRules, unit_bytes: u64) -> PoolRulesAnswer {
    PoolRulesAnswer {
        copies: rules.copies,
        up_to_bytes: u64::from(rules.weight_gib_max).saturating_mul(unit_bytes),
        member_budget_bytes: rules.member_bytes_max,
    }
}

fn described(report: &RootKeyReport, found: &MemberList) -> RootKeyAnswer {
    let statement = |fact: &Fact| RootStatement { id: fact.id().to_string(), text: text(fact, found) };
    RootKeyAnswer {
        number: report.number,
        key: report.key.to_string(),
        left: report.left,
        copied: report.is_contradicted,
        statements: report.signed.iter().map(statement).collect(),
    }
}

/// What a root key said, for people.
fn text(fact: &Fact, found: &MemberList) -> String {
    let name = |key: PublicKey| convert::name_of(found, key);
    match fact {
        Fact::Cert(cert) => format!("certificate of {}", name(cert.value().subject)),
        Fact::AdminList(list) => {
            let names: Vec<String> = list.value().admins.iter().map(|admin| name((*admin).into())).collect();
            format!("admins, list {}: {}", list.value().number, names.join(", "))
        }
        Fact::PoolRules(rules) => format!("rules {}", rules.value().number),
        Fact::Revocation(revoke) => format!("revocation of {}", name(revoke.value().subject)),
        Fact::Removal(remove) => format!("removal of {}", name(remove.value().node.into())),
        Fact::Vouch(vouch) => format!("vouch for {}", name(vouch.value().node.into())),
        Fact::VolEpoch(epoch) => format!("keys of pool, epoch {}", epoch.value().epoch),
        Fact::FeatureLevel(level) => format!("feature level {}", level.value().level),
        _ => "other".into(),
    }
}
