use fsdfs_proto::message::Redundancy;

use super::*;

const VOLUME: VolumeId = VolumeId([1; 32]);
const OTHER: VolumeId = VolumeId([2; 32]);

fn id(number: u8) -> BlockId {
    BlockId([number; 32])
}

fn link(number: u8, class: LinkClass) -> BlockLink {
    BlockLink { id: id(number), class, redundancy: Redundancy::Replicas(3) }
}

fn tree(number: u8) -> BlockLink {
    link(number, LinkClass::Tree)
}

fn leaf(number: u8) -> BlockLink {
    link(number, LinkClass::Leaf)
}

fn parent(number: u8) -> BlockLink {
    link(number, LinkClass::Parent)
}

/// What blocks need, by their numbers; those that are not in it are missing.
type Blocks = BTreeMap<u8, Vec<BlockLink>>;

fn roots(heads: &[(u8, Vec<BlockLink>)], floor: &[u8]) -> VolumeRoots {
    let heads = heads.iter().map(|(number, links)| (id(*number), links.clone())).collect();
    VolumeRoots { heads, replaced: BTreeMap::new(), floor: floor.iter().map(|number| id(*number)).collect() }
}

/// Walks to the end, a few at a time; the order in which links were asked for.
fn walk(roots: &[(VolumeId, VolumeRoots)], blocks: &Blocks, empty: &[u8]) -> (Walk, Vec<u8>) {
    let mut walk = Walk::begin([7; 32], &roots.iter().cloned().collect());
    let mut asked = Vec::new();
    loop {
        let items = walk.next(2);
        for item in &items {
            let number = item.id.0[0];
            asked.push(number);
            match blocks.get(&number) {
                Some(links) => walk.on_links(item, links),
                None => walk.on_missing(item, empty.contains(&number) && item.reach() != Reach::Current),
            }
        }
        if items.is_empty() && !walk.go_on_with_earlier() {
            walk.seal();
            return (walk, asked);
        }
    }
}

#[test]
fn what_stands_is_reached_and_what_only_earlier_states_need_is_told_apart() {
    let blocks = Blocks::from([
        (10, vec![leaf(1), leaf(2)]),
        (11, vec![leaf(2), leaf(3)]),
        (20, vec![tree(11), parent(30)]),
        (30, vec![tree(12)]),
        (12, vec![leaf(4)]),
    ]);
    let standing = roots(&[(21, vec![tree(10), parent(20)])], &[]);
    let (walk, _) = walk(&[(VOLUME, standing)], &blocks, &[]);
    let reached: Vec<_> = [1, 2, 10, 21, 3, 11, 20].map(|number| walk.reach(id(number))).into();
    let (current, history) = (Some(Reach::Current), Some(Reach::History));
    assert_eq!(reached, [current, current, current, current, history, history, history]);
    // The states that a state names which is itself only named: the newest one says which are kept.
    assert_eq!([4, 12, 30].map(|number| walk.reach(id(number))), [None; 3]);
    assert!(walk.missing().is_empty() && walk.blocks() == 7);
}

#[test]
fn states_of_the_floor_name_states_too_even_if_a_head_had_named_them() {
    let blocks = Blocks::from([
        (20, vec![tree(11), parent(30)]),
        (11, vec![leaf(3)]),
        (30, vec![tree(12)]),
        (12, vec![leaf(4)]),
    ]);
    let named = roots(&[(21, vec![parent(20)])], &[20]);
    let (walk, asked) = walk(&[(VOLUME, named)], &blocks, &[]);
    assert_eq!(
        [20, 3, 30, 4].map(|number| walk.reach(id(number))),
        [Some(Reach::History), Some(Reach::History), Some(Reach::Floor), Some(Reach::Floor),]
    );
    assert_eq!(asked.iter().filter(|number| **number == 11).count(), 1, "{asked:?}");
}

#[test]
fn a_missing_block_makes_its_volume_incomplete_and_no_other() {
    let blocks = Blocks::from([(10, vec![tree(11), leaf(1)]), (50, vec![leaf(2)])]);
    let (one, two) = (roots(&[(21, vec![tree(10)])], &[]), roots(&[(22, vec![tree(50)])], &[]));
    let (walk, _) = walk(&[(VOLUME, one), (OTHER, two)], &blocks, &[11]);
    assert_eq!(walk.missing(), &[(VOLUME, [id(11)].into())].into(), "what stands is never empty");
    assert_eq!(walk.reach(id(2)), Some(Reach::Current));
}

#[test]
fn of_an_earlier_state_what_all_denied_for_long_counts_as_empty() {
    let blocks = Blocks::from([(10, vec![leaf(1)]), (20, vec![tree(11)])]);
    let state = roots(&[(21, vec![tree(10), parent(20)])], &[]);
    let (whole, _) = walk(&[(VOLUME, state.clone())], &blocks, &[11]);
    assert!(whole.missing().is_empty());
    let (lacks, _) = walk(&[(VOLUME, state)], &blocks, &[]);
    assert!(lacks.missing().keys().eq([&VOLUME]));
}

#[test]
fn a_block_that_many_need_is_asked_for_once_and_rings_end() {
    // Ids are hashes, so rings cannot be made; a walk that trusted that would end all the same.
    let blocks = Blocks::from([(10, vec![tree(11), tree(12)]), (11, vec![tree(12)]), (12, vec![tree(10), leaf(1)])]);
    let (_, mut asked) = walk(&[(VOLUME, roots(&[(21, vec![tree(10)])], &[]))], &blocks, &[]);
    asked.sort_unstable();
    assert_eq!(asked, [10, 11, 12]);
}

#[test]
fn who_leaves_much_of_one_volume_out_keeps_nobody_from_looking_for_another() {
    let mut walk = Walk::begin([7; 32], &BTreeMap::new());
    for number in 0..2 * MISSING_LINKS_NOTED_MAX {
        let mut id = [9; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let item = WalkItem { id: BlockId(id), volume: OTHER, reach: Reach::History, names_states: false };
        walk.on_missing(&item, false);
    }
    assert_eq!(walk.missing()[&OTHER].len(), MISSING_LINKS_NOTED_MAX);
    assert!(walk.lacks_much(OTHER) && !walk.lacks_much(VOLUME));
}

#[test]
fn many_leaves_are_sorted_as_they_come() {
    let mut leaves = LeafSet::default();
    for round in 0..3_u64 {
        (0..WALK_LEAVES_STEP as u64)
            .for_each(|number| leaves.add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (round & 1)));
    }
    leaves.sort();
    assert!(leaves.0.len() <= 2 * WALK_LEAVES_STEP && leaves.0.is_sorted());
    assert!(leaves.0.capacity() <= 3 * WALK_LEAVES_STEP, "{}", leaves.0.capacity());
    assert!(leaves.has(0) && leaves.has(1));
}
