//! Members that say more than they may.

use fsdfs_proto::identity::{Fact, Revocation, Sponsor, VolEpoch};
use fsdfs_proto::ids::{FactId, Signature, VolumeId};
use fsdfs_proto::label::sign;
use fsdfs_proto::signed::{Signed, message};

use ed25519_dalek::Signer as _;

use super::super::accounts::cost;
use super::super::{FactSet, InsertOutcome, MemberStatus};
use super::pool::{TestPool, epoch, key, node, pool_id, public, rules, ticket_key};
use crate::limits::{STATEMENT_BYTES_PER_SIGNER_MAX, TICKET_GUESTS_MAX};

/// A revocation of somebody below its signer, of about so many bytes.
fn bulky(signer: u8, subject: u8, salt: u8, bytes: usize) -> Fact {
    let id = |number: usize| {
        let mut id = [salt; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        FactId(id)
    };
    let keep = (0..bytes / 34).map(id).collect();
    let (signer_pk, subject) = (node(signer).into(), node(subject).into());
    let revoke = Revocation { version: 1, signer: signer_pk, subject, reason: salt.to_string(), keep };
    Signed::sign(pool_id(), &key(signer), revoke).into()
}

/// 0 founded, and each invited the next; 5 stands below all.
fn line() -> TestPool {
    let mut pool = TestPool::of(2);
    for issuer in 1..5u8 {
        let ticket = pool.ticket(issuer, 1, 0);
        pool.join(issuer, ticket, issuer + 1, 10 * u64::from(issuer));
    }
    pool
}

fn bytes_of(set: &FactSet, signer: u8) -> u64 {
    set.all().filter(|fact| fact.signer() == node(signer).into()).map(cost).sum()
}

fn tell(set: &mut FactSet, facts: &[Fact]) {
    for fact in facts {
        set.insert(fact.clone());
    }
}

/// Both tell each other what they know until that changes nothing.
fn exchange(one: &mut FactSet, other: &mut FactSet) {
    for _ in 0..50 {
        let before = (one.gossip_digest(), other.gossip_digest());
        let facts: Vec<Fact> = one.all().chain(other.all()).cloned().collect();
        tell(one, &facts);
        tell(other, &facts);
        if (one.gossip_digest(), other.gossip_digest()) == before {
            return;
        }
    }
    panic!("two sets that tell each other everything come to rest");
}

#[test]
fn nodes_keep_the_same_whatever_came_first_however_much_was_said() {
    let mut facts = line().said;
    for signer in 1..5 {
        facts.extend((0..12).map(|salt| bulky(signer, 5, salt, 30_000 + 3_000 * usize::from(salt))));
    }
    let mut rng = fastrand::Rng::with_seed(8);
    let mut kept = Vec::new();
    for round in 0..8 {
        let mut told = |share: u8| {
            let mut some: Vec<Fact> = facts.iter().filter(|_| rng.u8(..) <= share).cloned().collect();
            rng.shuffle(&mut some);
            let mut set = FactSet::new(pool_id());
            tell(&mut set, &some);
            set
        };
        let (mut one, mut other) = (told(180), told(180));
        exchange(&mut one, &mut other);
        assert_eq!(one.gossip_digest(), other.gossip_digest(), "round {round}");
        for signer in 1..5 {
            assert!(bytes_of(&one, signer) <= STATEMENT_BYTES_PER_SIGNER_MAX, "{signer}");
        }
        // As long as everybody repeats what it signed, nothing but all that was said matters.
        let mut all = told(255);
        (0..12).for_each(|_| tell(&mut all, &facts));
        kept.push(all.gossip_digest());
    }
    assert!(kept.iter().all(|digest| *digest == kept[0]));
}

#[test]
fn a_flood_mutes_its_signer_and_nobody_above_it() {
    let mut pool = line();
    for salt in 0..40 {
        pool.say(bulky(2, 5, salt, 60_000));
    }
    let kept = bytes_of(&pool.facts, 2);
    assert!((200_000..=STATEMENT_BYTES_PER_SIGNER_MAX).contains(&kept), "{kept}");
    assert_eq!(pool.say(bulky(2, 5, 99, 300_000)), InsertOutcome::Crowded, "and it hears so");
    assert_eq!(pool.say(bulky(1, 5, 1, 100_000)), InsertOutcome::New, "who invited it has room");
    assert_eq!(pool.say(rules(0, 1, None, 2)), InsertOutcome::New);
    assert!(pool.facts.members().values().all(|member| member.status != MemberStatus::Guest));
    // An admin ends it, and what was said is gone.
    pool.revoke(0, node(2).into(), Vec::new());
    assert!(bytes_of(&pool.facts, 2) < 2_000, "a ticket and an admission stay");
    assert_eq!(pool.say(bulky(2, 5, 7, 1_000)), InsertOutcome::Stale);
    assert_eq!(pool.say(bulky(3, 5, 7, 1_000)), InsertOutcome::Stale, "nor from those who hang on it");
    assert_eq!(pool.say(bulky(1, 5, 7, 1_000)), InsertOutcome::New);
}

#[test]
fn a_revocation_names_somebody_below_its_signer() {
    let mut pool = line();
    assert_eq!(pool.say(bulky(5, 3, 1, 10_000)), InsertOutcome::Waiting, "above it");
    assert_eq!(pool.say(bulky(3, 90, 1, 10_000)), InsertOutcome::Waiting, "nobody");
    assert_eq!(bytes_of(&pool.facts, 5), 0);
    assert_eq!(
        pool.revoke(0, node(90).into(), Vec::new()),
        InsertOutcome::New,
        "an admin's is there before its subject"
    );
}

#[test]
fn nobody_comes_in_without_admission_and_guests_are_few() {
    let mut pool = TestPool::of(1);
    let ticket = pool.ticket(0, 1, 0);
    for newcomer in 10..60 {
        let cert = pool.member_cert(ticket, newcomer);
        assert_eq!(pool.say(cert), InsertOutcome::Waiting);
    }
    assert_eq!(pool.facts.members().len(), 1);
    for newcomer in 10..60 {
        pool.join(0, ticket, newcomer, 1000 - u64::from(newcomer));
    }
    assert_eq!(pool.facts.members().len(), 2 + TICKET_GUESTS_MAX);
    assert_eq!(
        pool.standing(59),
        Some(MemberStatus::Member),
        "the first by its admission, though the last to be told of"
    );
    let mut other = FactSet::new(pool_id());
    tell(&mut other, &pool.said);
    exchange(&mut other, &mut pool.facts);
    assert_eq!(other.gossip_digest(), pool.facts.gossip_digest());
}

#[test]
fn a_member_answers_for_every_volume_but_the_shared_one() {
    let mut pool = TestPool::of(2);
    let volume = VolumeId(public(&ticket_key(9)).0);
    let own = VolEpoch { volume, signer: public(&ticket_key(9)), ..epoch(&key(0), 1, Vec::new()).value().clone() };
    let said = pool.say(Signed::sign(pool_id(), &ticket_key(9), own.clone()));
    assert!(matches!(said, InsertOutcome::Invalid(_)), "no member answers for it: {said:?}");
    let sponsor = |number: u8| {
        let signature = Signature(key(number).sign(&message(sign::SPONSOR, pool_id(), &volume.0)).to_bytes());
        VolEpoch { sponsor: Some(Sponsor { member: node(number), signature }), ..own.clone() }
    };
    assert_eq!(
        pool.say(Signed::sign(pool_id(), &ticket_key(9), sponsor(50))),
        InsertOutcome::Waiting,
        "a stranger does"
    );
    assert_eq!(pool.say(Signed::sign(pool_id(), &ticket_key(9), sponsor(1))), InsertOutcome::New);
}
