//! The pool's root key: which one counts, and the next one in its place.

use std::collections::BTreeSet;

use fsdfs_proto::identity::{Fact, ROOT_KEYS_MAX, SUCCESSION_KEEP_MAX, SecretKey, Succession};
use fsdfs_proto::ids::{FactId, PublicKey};
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::report::RootKeyReport;
use crate::seam::{OpId, Refusal, Reply};

/// Whether this is the root key that counts. One that another one took the place of is told from a wrong one.
pub(super) fn check_root_key(cx: &Context, key: PublicKey) -> Result<(), Refusal> {
    match cx.facts.root_facts().is_root(cx.pool, key) {
        _ if cx.facts.root_key() == key => Ok(()),
        true => Err(Refusal::ReplacedRootKey),
        false => Err(Refusal::WrongRootKey),
    }
}

/// What root keys are there, and what they signed.
pub(in crate::engine) fn root_key(cx: &Context) -> RootKeyReport {
    let roots = cx.facts.root_facts();
    let number = roots.current();
    let named = roots.founding.as_ref().map_or(0, |founding| founding.value().roots.len().min(ROOT_KEYS_MAX));
    RootKeyReport {
        number,
        key: cx.facts.root_key(),
        left: named.saturating_sub(number.into()),
        is_contradicted: cx.facts.is_root_key_contradicted(),
        signed: cx.facts.signed_by_roots().into_iter().cloned().collect(),
    }
}

/// Puts a later root key in the place of the one that counts: what earlier ones signed up to now stays, but for `without`, and
/// whatever they sign from now on is void.
pub(in crate::engine) fn replace_root_key(
    cx: &mut Context,
    gossip: &mut Gossip,
    op: OpId,
    (root, without): (&SecretKey, &[FactId]),
) {
    let key = root.signing_key();
    match succession(cx, PublicKey(key.verifying_key().to_bytes()), without) {
        Err(refusal) => cx.reply(op, Reply::Refused(refusal)),
        Ok(succession) => match gossip.insert_own(cx, vec![Fact::from(Signed::sign(cx.pool, &key, succession))]) {
            Ok(()) => {
                let report = root_key(cx);
                debug_assert_eq!(report.key, PublicKey(key.verifying_key().to_bytes()), "the greatest number counts");
                cx.raise(Event::Reply { op, reply: Reply::RootKey(Box::new(report)) });
            }
            Err(why) => cx.reply(op, Reply::Refused(Refusal::NotKept(why))),
        },
    }
}

fn succession(cx: &Context, signer: PublicKey, without: &[FactId]) -> Result<Succession, Refusal> {
    let roots = cx.facts.root_facts();
    let number = roots.number_of(cx.pool, signer).ok_or(Refusal::WrongRootKey)?;
    if number <= roots.current() {
        return Err(Refusal::ReplacedRootKey);
    }
    if !cx.ready() {
        // Statements of which this node has not heard would be void.
        return Err(Refusal::NotYet);
    }
    let signed: BTreeSet<FactId> = cx.facts.signed_by_roots().into_iter().map(Fact::id).collect();
    if without.iter().any(|id| !signed.contains(id)) {
        return Err(Refusal::NotKept("the root key signed no such statement"));
    }
    // Ascending, as they come from a set.
    let keep: Vec<FactId> = signed.into_iter().filter(|id| !without.contains(id)).collect();
    if cx.facts.are_gone_on_from(without) {
        return Err(Refusal::NotKept("later lists of admins, or later rules, go on from what is to be left out"));
    }
    if keep.len() > SUCCESSION_KEEP_MAX {
        return Err(Refusal::NotKept("root keys signed more statements than can stay"));
    }
    debug_assert!(keep.is_sorted(), "the format wants them ascending");
    Ok(Succession { version: 1, number, signer, keep })
}

#[cfg(test)]
mod tests;
