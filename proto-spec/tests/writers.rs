//! Writers of nodes, what version vectors cover, and heads with their marks, against published vectors (spec 05-volume §2, §6).

use ed25519_dalek::SigningKey;
use fsdfs_proto::codec::{self, FormatError};
use fsdfs_proto::identity::{Fact, Head, NodeMarks, RawFact};
use fsdfs_proto::ids::{BlockId, Key, NodeId, PoolId, VolumeId, Writer, hex};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    BlockHeader, Commit, CommitView, Dot, EntryFlags, FolderNode, MarkSet, VersionVector, VolumeKeys,
    WRITERS_PER_NODE_MAX,
};
use serde_json::{Value, json};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/writers.json");
const POOL: PoolId = PoolId([7; 32]);

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn node(number: u8) -> NodeId {
    NodeId(key(number).verifying_key().to_bytes())
}

fn dot(of: u8, incarnation: u64, seq: u64) -> Dot {
    Dot { writer: Writer::of(node(of), incarnation), seq }
}

fn keys() -> VolumeKeys {
    VolumeKeys::from_write_secret(VolumeId([9; 32]), 1, Key([3; 32]))
}

/// Some numbers of the first incarnations of three nodes; the same every time.
fn sample(seed: u64) -> VersionVector {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let count = next(14);
    (0..count).map(|_| dot(1 + next(3) as u8, 1 + next(7), 1 + next(4))).collect()
}

fn union(one: &VersionVector, other: &VersionVector) -> VersionVector {
    let mut all = one.clone();
    all.add_all(other);
    all
}

fn seen_out(seen: &VersionVector) -> Value {
    seen.dots().iter().map(|dot| json!([dot.writer.to_string(), dot.seq])).collect()
}

fn commit(own: Option<Dot>, seen: &[Dot]) -> Commit {
    let parents = if own.is_none() { vec![BlockId([1; 32]), BlockId([2; 32])] } else { Vec::new() };
    Commit {
        parents,
        time: Hlc { ms: 1, count: 0 },
        dot: own,
        version_vector: seen.iter().copied().chain(own).collect(),
        flags: EntryFlags::NONE,
        root: FolderNode::default(),
        message: None,
    }
}

/// A head by node 1 that includes these, with the marks of nodes 1 to 3.
fn head(own: Option<Dot>, seen: &[Dot]) -> Signed<Head> {
    let keys = keys();
    let block = commit(own, seen).seal(keys.writer().unwrap(), 3);
    let mut marks = MarkSet::default();
    for of in 1..4 {
        let of_node = seen.iter().filter(|dot| dot.writer.is_of(node(of)));
        of_node.for_each(|dot| marks.sign(&key(of), keys.volume, *dot));
    }
    Commit::head(keys.writer().unwrap(), &key(1), POOL, &block, &marks).unwrap()
}

/// The same, changed by somebody who holds the volume's key and signs it again.
fn changed(head: &Signed<Head>, change: impl Fn(&mut Head)) -> Signed<Head> {
    let mut value = head.value().clone();
    change(&mut value);
    Signed::sign(POOL, keys().writer().unwrap().signing_key(), value)
}

fn good() -> Vec<(&'static str, Signed<Head>)> {
    let (own, other) = (dot(1, 5, 7), [dot(2, 1, 3), dot(2, 2, 9), dot(3, 1, 1)]);
    vec![
        ("an operation", head(Some(own), &other)),
        ("a merge", head(None, &other)),
        ("the first", head(Some(own), &[])),
    ]
}

/// What only somebody makes who speaks for others.
fn bad() -> Vec<(&'static str, Signed<Head>)> {
    let other = [dot(2, 1, 3), dot(2, 2, 9)];
    let honest = head(Some(dot(1, 5, 7)), &other);
    let marks_of = |head: &Signed<Head>| head.value().marks.clone();
    let ahead = head(Some(dot(1, 5, 7)), &[dot(2, 1, 3), dot(2, 2, 10)]);
    let by_node_2 = |head: &mut Head| {
        let commit = head.commit.clone();
        *head = Head::by(&key(2), head.volume, head.epoch, commit, head.marks.clone());
    };
    let place = |head: &Signed<Head>| head.value().marks.iter().position(|marks| marks.node == node(2)).unwrap();
    vec![
        ("a number that its node has not marked", changed(&ahead, |head| head.marks = marks_of(&honest))),
        (
            "a mark that another node signed",
            changed(&honest, |head| {
                let [one, two] = [0, 1].map(|at| head.marks[at].signatures[0]);
                (head.marks[0].signatures[0], head.marks[1].signatures[0]) = (two, one);
            }),
        ),
        ("no marks", changed(&honest, |head| head.marks.clear())),
        ("a mark too few", changed(&honest, |head| head.marks[place(&honest)].signatures.truncate(1))),
        (
            "marks of a node whose writers they are not",
            changed(&honest, |head| head.marks[place(&honest)].node = node(3)),
        ),
        (
            "marks of one node in two lists",
            changed(&honest, |head| {
                let at = place(&honest);
                let last = head.marks[at].signatures.pop().unwrap();
                head.marks.insert(at + 1, NodeMarks { node: node(2), signatures: vec![last] });
            }),
        ),
        ("an operation of another node than its author", changed(&honest, by_node_2)),
    ]
}

/// As a peer sends it, and as a set of facts looks at it.
fn read(head: &Signed<Head>) -> Result<CommitView, FormatError> {
    let bytes = codec::encode(&Fact::from(head.clone()).raw());
    match codec::decode::<RawFact>(&bytes)?.open(POOL)? {
        Fact::Head(head) => CommitView::of_head(head.value()),
        other => panic!("{other:?}"),
    }
}

fn vectors() -> Value {
    let head_out = |(name, head): (&str, Signed<Head>)| {
        json!({
            "name": name, "payload": hex(&head.envelope().payload), "signature": head.envelope().signature.to_string(),
        })
    };
    let writers: Vec<Value> = [(1, 0), (1, 1), (2, 0x0102_0304_0506), (3, (1 << 48) - 1)]
        .into_iter()
        .map(|(of, incarnation)| {
            json!({
                "node": node(of).to_string(), "incarnation": incarnation,
                "writer": Writer::of(node(of), incarnation).to_string(),
            })
        })
        .collect();
    let pairs: Vec<Value> = (0..60)
        .map(|number| {
            let (one, other) = (sample(2 * number), sample(2 * number + 1));
            json!({
                "one": seen_out(&one), "other": seen_out(&other), "union": seen_out(&union(&one, &other)),
                "covers": one.covers_all(&other),
            })
        })
        .collect();
    json!({
        "pool": POOL.to_string(),
        "write_key": keys().writer().unwrap().write_pk().to_string(),
        "writers": writers,
        "version_vectors": pairs,
        "heads": good().into_iter().map(head_out).collect::<Vec<_>>(),
        "refused": bad().into_iter().map(head_out).collect::<Vec<_>>(),
    })
}

#[test]
fn writers_and_marks_are_the_published_ones() {
    let published: Value = serde_json::from_str(&std::fs::read_to_string(VECTORS).unwrap()).unwrap();
    assert_eq!(published, vectors());
}

#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::write(VECTORS, serde_json::to_string_pretty(&vectors()).unwrap() + "\n").unwrap();
}

#[test]
fn nobody_speaks_for_a_node_but_itself() {
    for (name, head) in good() {
        assert!(read(&head).is_ok(), "{name}: {:?}", read(&head));
    }
    for (name, head) in bad() {
        assert!(read(&head).is_err(), "{name}");
    }
}

#[test]
fn a_head_that_lacks_a_mark_is_not_made() {
    let keys = keys();
    let block = commit(Some(dot(1, 5, 7)), &[dot(2, 1, 3)]).seal(keys.writer().unwrap(), 3);
    let made = |author| Commit::head(keys.writer().unwrap(), &author, POOL, &block, &MarkSet::default());
    assert!(made(key(1)).is_err(), "what node 2 did is not marked");
    assert!(made(key(2)).is_err(), "nor does it write as another");
}

#[test]
fn of_one_node_the_latest_incarnations_stay_and_cover_all_before_them() {
    let latest = WRITERS_PER_NODE_MAX as u64;
    let three: VersionVector = (1..latest).map(|incarnation| dot(1, 10 * incarnation, 5)).collect();
    assert!(!three.covers(dot(1, 1, 1)) && !three.covers(dot(1, 15, 1)), "an earlier one that nobody has heard of");
    let four = union(&three, &[dot(1, 10 * latest, 1), dot(2, 1, 1)].into_iter().collect());
    assert!(four.covers(dot(1, 1, u64::MAX)) && !four.covers(dot(1, 15, 1)) && !four.covers(dot(2, 0, 1)));
    let five = union(&four, &[dot(1, 10 * latest + 5, 1)].into_iter().collect());
    assert_eq!(five.dots().len(), WRITERS_PER_NODE_MAX + 1);
    assert!(five.covers_all(&four) && !four.covers_all(&five) && five.covers(dot(1, 10, 6)));
    assert_eq!(union(&five, &four), five);
    // Whoever lists more than these is no honest writer.
    for (count, fits) in [(latest, true), (latest + 1, false)] {
        let pairs: Vec<(Writer, u64)> = (1..=count).map(|number| (Writer::of(node(1), number), 1)).collect();
        let extra = ((1, 0), Writer::of(node(1), count), 1, pairs, 0, Key([0; 32]));
        let header = rmp_serde::to_vec(&(1, 4, VolumeId([9; 32]), 1, Vec::<u8>::new(), extra)).unwrap();
        let found = codec::decode::<BlockHeader>(&header);
        assert_eq!(found.is_ok(), fits, "{count}: {found:?}");
    }
}

#[test]
fn unions_do_not_depend_on_the_order() {
    for number in 0..300 {
        let [a, b, c] = [0, 1, 2].map(|part| sample(3 * number + part));
        assert_eq!(union(&a, &b), union(&b, &a));
        assert_eq!(union(&union(&a, &b), &c), union(&a, &union(&b, &c)));
        assert!(union(&a, &b).covers_all(&a) && union(&a, &b).covers_all(&b));
        assert_eq!(a.covers_all(&b), union(&a, &b) == a, "{a:?} {b:?}");
    }
}
