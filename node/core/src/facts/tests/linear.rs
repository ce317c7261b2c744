//! What questions to the set cost, in certificates that are looked at: as many as there are, times a small number.

use fsdfs_proto::identity::{Cert, CertKind, Role, consented};
use fsdfs_proto::ids::PublicKey;
use fsdfs_proto::signed::Signed;

use super::super::graph::VISITS;
use super::super::{FactSet, InsertOutcome};
use super::pool::{TestPool, beat, key, node, pool_id, public};

/// Member 1 certifies member 2's key `count` times, each time for another while, and 2 makes `count` tickets, each below
/// another of these certificates: once every pair of them was looked at.
fn dense(count: u64) -> FactSet {
    let mut pool = TestPool::of(2);
    let first = pool.facts.chain_of(node(1)).and_then(|mut chain| chain.pop()).expect("a member");
    for number in 0..count {
        let until = 1_000_000 + number;
        let member = Cert {
            version: 1,
            kind: CertKind::Member,
            issuer: node(1).into(),
            subject: node(2).into(),
            role: Role::Full,
            may_invite: true,
            depth: 9,
            grant_until: until,
            redeem_by: 0,
            uses: 0,
            weight_gib_max: 0,
            parent: Some(first.id()),
            consent: None,
        };
        let member = Signed::sign(pool_id(), &key(1), consented(member, &key(2)));
        let subject = PublicKey(ed25519_dalek::SigningKey::from_bytes(&seed(number)).verifying_key().to_bytes());
        let ticket = Cert {
            kind: CertKind::Ticket,
            issuer: public(&key(2)),
            subject,
            depth: 8,
            uses: 1,
            parent: Some(member.id()),
            consent: None,
            ..member.value().clone()
        };
        assert_eq!(pool.say(member), InsertOutcome::New);
        assert_eq!(pool.say(Signed::sign(pool_id(), &key(2), ticket)), InsertOutcome::New);
    }
    pool.facts
}

fn seed(number: u64) -> [u8; 32] {
    let mut seed = [0xaa; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

fn visits(question: impl FnOnce()) -> u64 {
    let before = VISITS.with(std::cell::Cell::get);
    question();
    VISITS.with(std::cell::Cell::get) - before
}

#[test]
fn what_a_set_means_costs_two_looks_at_each_certificate() {
    for count in [50, 100, 200] {
        let set = dense(count);
        let certs = 2 * count + 3;
        let members = visits(|| {
            set.members();
        });
        assert!(members <= 2 * certs, "{members} looks at {certs} certificates");
        assert_eq!(visits(|| assert!(!set.members().is_empty())), 0, "computed once");
    }
}

#[test]
fn a_new_fact_and_a_hello_cost_no_pass_over_the_set() {
    let mut set = dense(100);
    set.members();
    let (chain, admissions) = (set.chain_of(node(2)).expect("in"), set.admissions_of(node(2)));
    assert_eq!(visits(|| assert!(set.judge(1, node(2), &chain, &admissions).is_ok())), 0);
    assert_eq!(visits(|| assert!(set.insert(beat(2, 1, 1).into()).is_kept())), 0);
    assert_eq!(visits(|| assert!(!set.members().is_empty())), 0, "a heartbeat changes nothing else");
}
