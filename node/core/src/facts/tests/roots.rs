//! Root keys that take each other's place, and thieves of root keys.

use fsdfs_proto::identity::{Fact, PoolRules, Revocation, Succession, founder_cert};
use fsdfs_proto::ids::{FactId, NodeId};
use fsdfs_proto::signed::Signed;

use super::super::{FactSet, GateRefusal, InsertOutcome, MemberStatus};
use super::pool::{
    TestPool, admins_by, beat, card, epoch, node, pool_id, public, root, root_number, rules, spare, succession,
};

/// What everybody has to agree about.
fn answers(set: &FactSet) -> impl PartialEq + std::fmt::Debug + use<> {
    let ids: Vec<FactId> = set.ids_in(FactId([0; 32]), FactId([0xff; 32]));
    (ids, set.gossip_digest(), set.members().clone(), set.rules(), set.admins(), set.root_key())
}

/// The founding, then the rest in many orders.
fn in_many_orders(facts: &[Fact]) -> FactSet {
    let mut sets = (0..40).map(|seed| {
        let mut rest = facts[1..].to_vec();
        fastrand::Rng::with_seed(seed).shuffle(&mut rest);
        let mut set = FactSet::new(pool_id());
        set.insert(facts[0].clone());
        // Twice: what falls out of those that wait comes again.
        rest.iter().chain(&rest).for_each(|fact| _ = set.insert(fact.clone()));
        set
    });
    let first = sets.next().expect("forty");
    sets.for_each(|set| assert_eq!(answers(&set), answers(&first)));
    first
}

fn signed_by_roots(set: &FactSet) -> Vec<FactId> {
    set.signed_by_roots().into_iter().map(Fact::id).collect()
}

/// All that root key 1 can do in the hands of a thief.
fn theft() -> Vec<Fact> {
    let thief = root_number(1);
    let signer = public(&thief);
    let all_void = |subject: NodeId| Revocation {
        version: 1,
        signer,
        subject: subject.into(),
        reason: "mine now".into(),
        keep: Vec::new(),
    };
    let one_copy = PoolRules { signer, ..rules(0, 1, None, 1).value().clone() };
    vec![
        founder_cert(pool_id(), &thief, node(8)).into(),
        card(8, 1, &[(8, 900)], 0).into(),
        beat(8, 1, 1).into(),
        admins_by(&thief, 2, None.or(Some(FactId([1; 32]))), &[8]).into(),
        Signed::sign(pool_id(), &thief, one_copy).into(),
        Signed::sign(pool_id(), &thief, all_void(node(0))).into(),
        Signed::sign(pool_id(), &thief, all_void(node(1))).into(),
        epoch(&thief, 2, Vec::new()).into(),
    ]
}

#[test]
fn what_an_earlier_root_key_signs_counts_no_more_in_any_order_and_what_it_signed_stays() {
    let pool = TestPool::founded(3);
    let honest = signed_by_roots(&pool.facts);
    assert_eq!(honest.len(), 3, "certificate, admins, epoch");
    let next: Fact = succession(2, honest.clone()).into();
    let without_theft = in_many_orders(&[&pool.said[..], std::slice::from_ref(&next)].concat());
    let facts = [&pool.said[..], &theft(), &[next]].concat();
    let set = in_many_orders(&facts);
    assert_eq!(answers(&set), answers(&without_theft), "a stolen key leaves no trace");
    assert_eq!((set.root_key(), set.root_facts().current()), (public(&root_number(2)), 2));
    assert!(set.members().values().all(|member| member.status == MemberStatus::Member));
    assert_eq!((set.admins(), set.rules().copies), (vec![node(0)], 3));
    let mut late = set.clone();
    for fact in theft().into_iter().filter(|fact| !matches!(fact, Fact::Card(_) | Fact::Heartbeat(_))) {
        assert!(!late.insert(fact.clone()).is_kept(), "{fact:?}");
    }
    assert_eq!(signed_by_roots(&late), honest);
}

#[test]
fn before_another_one_takes_its_place_a_stolen_root_key_does_harm_and_then_all_is_as_it_was() {
    let mut pool = TestPool::founded(3);
    let honest = signed_by_roots(&pool.facts);
    pool.hear(theft());
    assert_eq!(pool.facts.members()[&node(0)].status, MemberStatus::Revoked);
    pool.say(succession(2, honest));
    assert_eq!(pool.facts.members()[&node(0)].status, MemberStatus::Member);
    assert_eq!((pool.facts.admins(), pool.facts.rules().copies), (vec![node(0)], 3));
}

#[test]
fn the_new_root_key_names_admins_and_revokes() {
    let mut pool = TestPool::founded(3);
    let list = pool.facts.admin_list().expect("the first").id();
    pool.say(succession(2, signed_by_roots(&pool.facts)));
    let next = root_number(2);
    assert_eq!(pool.say(admins_by(&next, 2, Some(list), &[0, 1])), InsertOutcome::New);
    assert_eq!(pool.facts.admins().len(), 2);
    let revoke = Revocation {
        version: 1,
        signer: public(&next),
        subject: node(0).into(),
        reason: String::new(),
        keep: pool.facts.signed_by(node(0).into()),
    };
    pool.say(Signed::sign(pool_id(), &next, revoke));
    assert_eq!(pool.facts.members()[&node(0)].status, MemberStatus::Revoked);
    assert_eq!(pool.facts.members()[&node(1)].status, MemberStatus::Member);
}

#[test]
fn a_root_key_that_is_to_come_has_no_power_and_its_statements_wait_for_it() {
    let mut pool = TestPool::founded(2);
    let list = pool.facts.admin_list().expect("the first").id();
    assert_eq!(pool.say(admins_by(&root_number(2), 2, Some(list), &[0, 1])), InsertOutcome::Waiting);
    assert_eq!(pool.facts.admins(), [node(0)]);
    pool.say(succession(2, signed_by_roots(&pool.facts)));
    assert_eq!(pool.facts.admins().len(), 2);
}

#[test]
fn two_successions_of_one_root_key_are_decided_alike_everywhere_and_reported() {
    let pool = TestPool::founded(3);
    let honest = signed_by_roots(&pool.facts);
    // Whoever stole root key 2 as well lets nothing stand.
    let (good, bad): (Fact, Fact) = (succession(2, honest.clone()).into(), succession(2, []).into());
    let facts = [&pool.said[..], &[good.clone(), bad.clone()]].concat();
    let set = in_many_orders(&facts);
    assert!(set.is_root_key_contradicted());
    let winner = set.root_facts().succession.as_ref().map(Signed::id);
    assert_eq!(winner, Some(good.id().min(bad.id())));
    // The next one ends it, and nothing is lost.
    let healed = in_many_orders(&[&facts[..], &[succession(3, honest).into()]].concat());
    assert!(!healed.is_root_key_contradicted());
    assert!(healed.members().values().all(|member| member.status == MemberStatus::Member));
    assert_eq!((healed.admins(), healed.members().len()), (vec![node(0)], 3));
    let mut late = healed.clone();
    assert!(!late.insert(bad).is_kept() && answers(&late) == answers(&healed), "an old one comes too late");
}

#[test]
fn only_keys_that_the_founding_names_succeed() {
    let mut pool = TestPool::founded(2);
    for (signer, number) in [(root(), 2), (root_number(1), 2), (root_number(3), 2), (super::pool::key(1), 2)] {
        let other = Succession { version: 1, number, signer: public(&signer), keep: Vec::new() };
        let outcome = pool.say(Signed::sign(pool_id(), &signer, other));
        assert!(matches!(outcome, InsertOutcome::Invalid(_) | InsertOutcome::Stale), "{outcome:?}");
    }
    assert_eq!(pool.facts.root_facts().current(), 1);
    let founding = fsdfs_proto::identity::founding(&super::pool::key(1), &spare());
    assert!(matches!(pool.say(founding), InsertOutcome::Invalid(_)));
    // Nor does the pool's own key say anything else.
    assert!(!pool.say(admins_by(&root(), 2, None.or(Some(FactId([1; 32]))), &[1])).is_kept());
}

#[test]
fn a_chain_below_an_earlier_root_key_comes_in_and_a_thiefs_does_not() {
    let mut pool = TestPool::founded(2);
    pool.say(succession(2, signed_by_roots(&pool.facts)));
    let ticket = pool.ticket(0, 1, 0);
    let chain = pool.chain_by(0, ticket, 5);
    assert!(pool.facts.judge(1, node(5), &chain, &[]).is_ok());
    let stolen = [founder_cert(pool_id(), &root_number(1), node(6))];
    assert_eq!(pool.facts.judge(1, node(6), &stolen, &[]).err(), Some(GateRefusal::Revoked));
    let early = [founder_cert(pool_id(), &root_number(3), node(6))];
    assert_eq!(pool.facts.judge(1, node(6), &early, &[]).err(), Some(GateRefusal::OtherPool));
    // What a ticket tells a newcomer is enough to judge by.
    let mut newcomer = FactSet::new(pool_id());
    let roots = pool.facts.root_facts();
    newcomer.restore(
        roots
            .founding
            .iter()
            .cloned()
            .map(Fact::from)
            .chain(roots.succession.iter().cloned().map(Fact::from))
            .collect(),
    );
    assert!(newcomer.judge(1, node(0), &pool.facts.chain_of(node(0)).expect("a member"), &[]).is_ok());
    assert_eq!(newcomer.judge(1, node(6), &stolen, &[]).err(), Some(GateRefusal::Revoked));
}
