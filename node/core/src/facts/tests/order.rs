//! Whatever the order in which facts come, and however often, nodes that know the same agree.

use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::FactId;
use fsdfs_proto::signed::Signed;

use super::super::{FactSet, InsertOutcome};
use super::pool::{
    TestPool, admins, beat, card, epoch, features, gone, head, key, node, pool_id, remove, root, rules, ticket_key,
    vouch,
};

/// Everything a fact set can be asked.
fn answers(set: &FactSet) -> impl PartialEq + std::fmt::Debug + use<> {
    let volume = pool_id().volume();
    let chains: Vec<_> = (0..12).map(|number| (set.chain_of(node(number)), set.admissions_of(node(number)))).collect();
    let above: Vec<bool> =
        (0..144).map(|pair| set.may_revoke(node(pair / 12).into(), node(pair % 12).into())).collect();
    let signed: Vec<_> = (0..12).map(|number| set.signed_by(node(number).into())).collect();
    let judged: Vec<_> = chains
        .iter()
        .enumerate()
        .filter_map(|(number, (chain, admissions))| {
            let peer = node(u8::try_from(number).expect("few"));
            chain.as_ref().map(|chain| set.judge(1, peer, chain, admissions))
        })
        .collect();
    (
        (set.gossip_digest(), set.map_digest(), set.ids_in(FactId([0; 32]), FactId([0xff; 32]))),
        (set.members().clone(), set.servers(), set.rules(), set.features(), set.tickets()),
        (set.heads(volume), set.epoch(volume).cloned(), set.volumes()),
        (chains, above, signed, judged),
        set.all().map(Fact::id).collect::<Vec<_>>(),
    )
}

/// A pool in which everything happened: surplus users, cross-wise invitations, removals, revocations of revokers, rivals.
fn eventful() -> Vec<Fact> {
    let mut pool = TestPool::of(4);
    let group = pool.ticket(1, 2, 0);
    for (witness, newcomer, ms) in [(0, 4, 60), (2, 5, 50), (3, 6, 40), (1, 4, 45)] {
        pool.join(witness, group, newcomer, ms);
    }
    let deep = pool.ticket(4, 1, 900);
    pool.join(5, deep, 7, 70);
    pool.join(7, deep, 8, 80);
    let late = pool.ticket(7, 3, 0);
    pool.join(7, late, 9, 65);
    pool.join(8, late, 10, 90);
    pool.join(8, late, 4, 95);
    let first = pool.said[1].id();
    let second = admins(2, Some(first), &[1, 0, 2]);
    pool.say(second.clone());
    pool.say(admins(3, Some(second.id()), &[0, 3]));
    pool.say(admins(3, Some(second.id()), &[2]));
    let one = rules(0, 1, None, 2);
    let rival = rules(1, 1, None, 4);
    let two = rules(2, 2, Some(rival.id()), 5);
    let three = rules(0, 3, Some(two.id()), 6);
    for rules in [one, rival, two, three] {
        pool.say(rules);
    }
    for number in 0..10 {
        pool.say(card(number, 1, &[(number, 50), (number + 1, 20)], u32::from(number == 3)));
        pool.say(card(number, 2, &[(number, 60)], 0));
        pool.say(card(number, 2, &[(number, 61)], 0));
        pool.say(beat(number, 1, 4));
        pool.say(beat(number, 2, 1));
        pool.say(features(number, u32::from(number)));
    }
    for issuer in 0..9 {
        pool.say(gone(issuer, 9, (2, 1)));
        pool.say(gone(issuer, 8, (1, 9)));
        pool.say(gone(issuer, 9, (1, 1)));
    }
    pool.say(epoch(&root(), 1, Vec::new()));
    pool.say(epoch(&key(1), 1, vec![fsdfs_proto::ids::BlockId([1; 32])]));
    for seen in [&[(1, 1)][..], &[(1, 2)], &[(2, 1), (1, 1)], &[(2, 2)], &[(3, 1), (1, 2), (2, 1)]] {
        pool.say(head(1, seen));
    }
    pool.say(vouch(0, 7));
    pool.say(vouch(2, 4));
    pool.say(vouch(6, 6));
    pool.say(remove(5, 5));
    pool.say(remove(1, 6));
    pool.revoke(1, node(7).into(), pool.facts.signed_by(node(7).into()));
    pool.revoke(4, node(8).into(), Vec::new());
    pool.revoke(2, node(4).into(), pool.facts.signed_by(node(4).into()));
    pool.revoke(0, node(2).into(), Vec::new());
    pool.revoke(2, node(0).into(), Vec::new());
    let key = super::pool::public(&ticket_key(late));
    pool.revoke(7, key, pool.facts.signed_by(key));
    pool.said
}

fn told(mut facts: Vec<Fact>, rng: &mut fastrand::Rng) -> FactSet {
    let again: Vec<Fact> = facts.iter().filter(|_| rng.bool()).cloned().collect();
    facts.extend(again);
    rng.shuffle(&mut facts);
    let mut set = FactSet::new(pool_id());
    for fact in facts {
        set.insert(fact);
        if rng.u8(..) < 8 {
            // Asking in between must not change anything.
            set.members();
            set.map_digest();
        }
    }
    set
}

fn tell(set: &mut FactSet, facts: impl IntoIterator<Item = Fact>) {
    for fact in facts {
        set.insert(fact);
    }
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let facts = eventful();
    let mut rng = fastrand::Rng::with_seed(1);
    let straight = {
        let mut set = FactSet::new(pool_id());
        tell(&mut set, facts.iter().cloned());
        answers(&set)
    };
    for round in 0..40 {
        let some: Vec<Fact> = facts.iter().filter(|_| round == 0 || rng.u8(..) > 25).cloned().collect();
        let mut at_rest = || {
            let mut set = told(some.clone(), &mut rng);
            // What was dropped on the word of somebody who was revoked in turn is told again by those who heard of that first.
            for _ in 0..4 {
                tell(&mut set, some.iter().cloned());
            }
            answers(&set)
        };
        let (one, other) = (at_rest(), at_rest());
        assert!(one == other, "round {round}:\n{one:#?}\n{other:#?}");
        assert!(round > 0 || one == straight, "{one:#?}\n{straight:#?}");
    }
}

#[test]
fn news_and_listings_name_parents_first() {
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..8 {
        let mut set = told(eventful(), &mut rng);
        let news = set.drain_new();
        for listing in [news, set.all().cloned().collect()] {
            let mut other = FactSet::new(pool_id());
            for fact in listing {
                let outcome = other.insert(fact.clone());
                // A newcomer's certificate is kept with its admission, which comes next.
                let unadmitted = outcome == InsertOutcome::Waiting && matches!(fact, Fact::Cert(_));
                assert!(outcome == InsertOutcome::New || unadmitted, "{outcome:?}: {fact:?}");
            }
            assert!(answers(&other) == answers(&set));
        }
        assert!(set.drain_new().is_empty());
    }
}

#[test]
fn two_sets_become_equal_by_telling_each_other_what_is_missing() {
    let facts = eventful();
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..20 {
        let mut half = || told(facts.iter().filter(|_| rng.bool()).cloned().collect(), &mut rng.fork());
        let (mut one, mut other) = (half(), half());
        for _ in 0..10 {
            let (from_one, from_other) =
                (one.all().cloned().collect::<Vec<_>>(), other.all().cloned().collect::<Vec<_>>());
            tell(&mut other, from_one);
            tell(&mut one, from_other);
        }
        assert!(one.gossip_digest() == other.gossip_digest() && one.map_digest() == other.map_digest());
    }
}

#[test]
fn signed_values_of_the_same_content_are_one_fact() {
    let mut pool = TestPool::of(1);
    let again: Signed<_> = admins(1, None, &[0]);
    assert_eq!(pool.say(again), InsertOutcome::Known);
}

#[test]
fn what_a_log_kept_is_restored_as_if_it_had_been_told() {
    let facts = eventful();
    let mut rng = fastrand::Rng::with_seed(5);
    let mut straight = FactSet::new(pool_id());
    tell(&mut straight, facts.iter().cloned());
    let expected = answers(&straight);
    for round in 0..30 {
        let mut kept = facts.clone();
        rng.shuffle(&mut kept);
        let mut set = FactSet::new(pool_id());
        set.restore(kept);
        assert!(answers(&set) == expected, "round {round}");
    }
}
