use super::*;
use crate::limits::HEARD_MS;

const MINUTE: u64 = 60_000;

fn id(number: usize) -> NodeId {
    NodeId([u8::try_from(number).expect("a small pool"); 32])
}

/// So many minutes after the start.
fn at(minutes: u64) -> Moment {
    Moment { mono: minutes * MINUTE, wall: minutes * MINUTE }
}

fn exchange(hearing: &mut HearingTable, node: usize, minutes: u64) {
    let began = at(minutes);
    hearing.on_exchange(id(node), Exchange { began, ended: began.mono }, false);
}

fn say(hearing: &mut HearingTable, teller: usize, members: &[(usize, u64)], minutes: u64) {
    let member =
        |(node, age): &(usize, u64)| HeardMember { node: id(*node), age_ms: Some(age * MINUTE), connected: false };
    let said = HeardMembers { unpublished: false, members: members.iter().map(member).collect() };
    hearing.on_told(id(teller), &said, at(minutes), |_| true);
}

/// In minutes, without the one that is for what was under way.
fn minutes(found: Option<Moment>) -> Option<u64> {
    found.map(|found| found.wall / MINUTE + 1)
}

#[test]
fn what_a_third_had_is_here_after_the_next_exchange_with_the_teller() {
    let mut hearing = HearingTable::default();
    exchange(&mut hearing, 1, 90);
    say(&mut hearing, 1, &[(3, 5)], 100);
    assert_eq!(hearing.heard(id(3), 3), None, "the teller may have known nothing of it before");
    hearing.on_exchange(id(1), Exchange { began: at(99), ended: at(101).mono }, false);
    assert_eq!(hearing.heard(id(3), 3), None, "it began before the word came");
    say(&mut hearing, 1, &[(3, 1)], 102);
    exchange(&mut hearing, 1, 102);
    assert_eq!(minutes(hearing.heard(id(3), 3)), Some(95), "words that come often hold up none");
    say(&mut hearing, 1, &[(3, 4)], 103);
    exchange(&mut hearing, 1, 104);
    assert_eq!(minutes(hearing.heard(id(3), 3)), Some(99));
}

#[test]
fn what_this_node_had_is_there_after_the_tellers_next_exchange() {
    let mut hearing = HearingTable::default();
    for time in [50, 70, 90] {
        exchange(&mut hearing, 1, time);
    }
    assert_eq!(minutes(hearing.known(id(1), 3)), Some(90));
    say(&mut hearing, 1, &[(3, 25)], 100);
    assert_eq!(minutes(hearing.known(id(3), 3)), Some(70), "the last one before 75");
    say(&mut hearing, 1, &[(3, 60)], 101);
    assert_eq!(minutes(hearing.known(id(3), 3)), Some(70), "what it knows it does not forget");
    let hours = (2..200).map(|hour| hour * 60);
    hours.for_each(|time| exchange(&mut hearing, 1, time));
    assert!(hearing.compared[&id(1)].earlier.len() <= EXCHANGES_KEPT_MAX);
}

#[test]
fn in_a_pool_of_four_one_teller_is_not_believed() {
    let mut hearing = HearingTable::default();
    for (teller, age) in [(1, 10), (2, 40)] {
        exchange(&mut hearing, teller, 10);
        say(&mut hearing, teller, &[(9, age)], 100);
        exchange(&mut hearing, teller, 110);
    }
    let heard = |members| minutes(hearing.heard(id(9), members));
    assert_eq!((heard(4), heard(3)), (Some(60), Some(90)));
    let known = |members| minutes(hearing.known(id(9), members));
    assert_eq!((known(4), known(3)), (Some(10), Some(10)));
    assert_eq!(minutes(hearing.heard(id(1), 4)), Some(110), "this node was there");
    hearing.forget_others(|node| node != id(2));
    assert_eq!(hearing.heard(id(9), 4), None, "the other teller was thrown out");
}

#[test]
fn who_keeps_heads_to_itself_was_not_heard_and_goes_by_what_it_knew_but_tells_of_others() {
    let mut hearing = HearingTable::default();
    let kept = |minutes| Exchange { began: at(minutes), ended: at(minutes).mono };
    hearing.on_exchange(id(1), kept(10), true);
    say(&mut hearing, 1, &[(2, 3)], 20);
    hearing.on_exchange(id(1), kept(30), true);
    assert_eq!((hearing.heard(id(1), 3), hearing.known(id(1), 3)), (None, None));
    assert_eq!((minutes(hearing.heard(id(2), 3)), minutes(hearing.known(id(2), 3))), (Some(17), Some(10)));
    let now = Now { mono: 1_000, wall: 1_000 };
    let told = hearing.told(now, &BTreeSet::from([id(4)]), true);
    let connected = HeardMember { node: id(4), age_ms: None, connected: true };
    assert_eq!(told, HeardMembers { unpublished: true, members: vec![connected] });
}

#[test]
fn an_exchange_that_lasted_counts_from_its_beginning_and_is_over_at_its_end() {
    let mut hearing = HearingTable::default();
    hearing.on_exchange(id(1), Exchange { began: at(10), ended: at(30).mono }, false);
    say(&mut hearing, 1, &[(3, 15)], 35);
    assert_eq!((hearing.heard(id(3), 3), hearing.known(id(3), 3)), (None, None), "it fell into it");
    say(&mut hearing, 1, &[(3, 3)], 35);
    assert_eq!(minutes(hearing.known(id(3), 3)), Some(10));
}

/// One node of a pool in which what each has is a set.
#[derive(Default)]
struct ModelNode {
    /// When each fact was made, by its maker; and those it has of all.
    made: Vec<(u64, usize)>,
    has: BTreeSet<usize>,
    /// What it had, by time, ascending.
    had: Vec<(u64, BTreeSet<usize>)>,
    /// Heads it keeps to itself.
    kept: BTreeSet<usize>,
    hearing: HearingTable,
}

impl ModelNode {
    fn had_at(&self, time: u64) -> BTreeSet<usize> {
        self.had.iter().rev().find(|(at, _)| *at <= time).map(|(_, had)| had.clone()).unwrap_or_default()
    }
}

/// An exchange or a word of one that is under way.
enum Pending {
    Exchange { sides: [usize; 2], began: u64, had: [BTreeSet<usize>; 2], kept: [bool; 2] },
    Heard { to: usize, from: usize, said: HeardMembers },
}

#[test]
fn what_is_said_of_others_is_never_more_than_they_had() {
    let (mut heard, mut known) = (0, 0);
    for seed in 0..150 {
        let (some_heard, some_known) = random_pool(seed);
        heard += some_heard;
        known += some_known;
    }
    assert!(heard > 10_000 && known > 10_000, "something was said: {heard}, {known}");
}

/// Pairs that never meet, messages that take their time, heads that are kept back. How often something was claimed of one that
/// this node never met: the truth is looked at each time.
fn random_pool(seed: u64) -> (usize, usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let size = rng.usize(3..6);
    let never = [rng.usize(0..size), rng.usize(0..size)];
    let meets = |one: usize, other: usize| one != other && ![[one, other], [other, one]].contains(&never);
    let mut nodes: Vec<ModelNode> = (0..size).map(|_| ModelNode::default()).collect();
    let (mut facts, mut pending, mut claims) = (0, Vec::<(u64, Pending)>::new(), (0, 0));
    let mut now = 3_600_000;
    for _ in 0..400 {
        now += rng.u64(1..90_000);
        pending.sort_by_key(|(at, _)| *at);
        while pending.first().is_some_and(|(ends, _)| *ends <= now) {
            let (ended, done) = pending.remove(0);
            end(&mut nodes, ended, done);
            nodes.iter_mut().for_each(|node| node.had.push((ended, node.has.clone())));
            check(&nodes, &never, &mut claims);
        }
        let (one, other) = (rng.usize(0..size), rng.usize(0..size));
        match rng.u8(0..10) {
            0..=2 => {
                let node = &mut nodes[one];
                node.made.push((now, facts));
                if rng.bool() {
                    node.kept.insert(facts)
                } else {
                    node.has.insert(facts)
                };
                facts += 1;
            }
            3 | 4 => {
                let kept = std::mem::take(&mut nodes[one].kept);
                nodes[one].has.extend(kept);
            }
            5 if meets(one, other) => {
                let said = nodes[one].hearing.told(Now { mono: now, wall: now }, &BTreeSet::new(), false);
                pending.push((now + rng.u64(0..30_000), Pending::Heard { to: other, from: one, said }));
            }
            _ if meets(one, other) => {
                let sides = [one, other];
                let (had, kept) =
                    (sides.map(|side| nodes[side].has.clone()), sides.map(|side| !nodes[side].kept.is_empty()));
                let ends = now + rng.u64(0..30_000) + if rng.u8(0..10) == 0 { HEARD_MS } else { 0 };
                pending.push((ends, Pending::Exchange { sides, began: now, had, kept }));
            }
            _ => {}
        }
        nodes.iter_mut().for_each(|node| node.had.push((now, node.has.clone())));
        check(&nodes, &never, &mut claims);
    }
    claims
}

fn end(nodes: &mut [ModelNode], now: u64, done: Pending) {
    let moment = |ms| Moment { mono: ms, wall: ms };
    match done {
        Pending::Heard { to, from, said } => {
            nodes[to].hearing.on_told(id(from), &said, moment(now), |node| node != id(to));
        }
        Pending::Exchange { sides, began, had, kept } => {
            let kept = [0, 1].map(|place| kept[place] || !nodes[sides[place]].kept.is_empty());
            for (place, side) in sides.into_iter().enumerate() {
                let node = &mut nodes[side];
                node.has.extend(had[1 - place].iter().copied());
                let exchange = Exchange { began: moment(began), ended: now };
                node.hearing.on_exchange(id(sides[1 - place]), exchange, kept[1 - place]);
            }
        }
    }
}

fn check(nodes: &[ModelNode], never: &[usize; 2], claims: &mut (usize, usize)) {
    for (me, mine) in nodes.iter().enumerate() {
        for (other, theirs) in nodes.iter().enumerate().filter(|(other, _)| *other != me) {
            let is_indirect = never.contains(&me) && never.contains(&other);
            if let Some(until) = mine.hearing.heard(id(other), nodes.len()) {
                let made = theirs.made.iter().filter(|(at, _)| *at <= until.wall);
                assert!(made.into_iter().all(|(_, fact)| mine.has.contains(fact)), "{me} heard {other}");
                assert!(theirs.had_at(until.wall).is_subset(&mine.has), "{me} heard {other}");
                claims.0 += usize::from(is_indirect);
            }
            if let Some(until) = mine.hearing.known(id(other), nodes.len()) {
                let is_unsaid = |kept: &usize| theirs.made.iter().any(|(at, fact)| fact == kept && *at <= until.wall);
                assert!(!theirs.kept.iter().any(is_unsaid), "{other} may have made it without knowing {me}");
                assert!(mine.had_at(until.wall).is_subset(&theirs.has), "{other} knows {me}");
                claims.1 += usize::from(is_indirect);
            }
        }
    }
}
