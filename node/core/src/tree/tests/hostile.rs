//! Trees that somebody with the volume's keys made to do harm, or a program with a mistake: they cost what they are, and no more.

use fsdfs_proto::ids::Signature;
use fsdfs_proto::volume::{
    BlockRef, Commit, DirectoryChild, DirectoryEntry, DirectoryNode, Dot, EntryFlags, FolderNode, FolderVectors,
    MarkSet, NodeSummary, VERSION_VECTOR_WRITERS_MAX, VersionVector,
};

use super::super::coverable;
use super::super::dir::{EntryOrigin, MergedDirectory, NameSlot};
use super::super::merge::{MergeState, merge};
use super::super::source::BlockSource;
use super::*;
use crate::tree::{BlockAbsence, JobBudget};

pub fn mallory() -> Writer {
    writer_of(b'M')
}

/// Nodes that somebody made up, and their writers.
fn made_up(number: u64) -> NodeId {
    let mut node = [0; 32];
    node[..8].copy_from_slice(&number.to_be_bytes());
    NodeId(node)
}

fn made_up_writer(number: u64) -> Writer {
    Writer::of(made_up(number), 1)
}

pub fn dot(writer: Writer, seq: u64) -> Dot {
    Dot { writer, seq }
}

fn file_of(at: &str, dots: &[Dot]) -> DirectoryEntry {
    let version = |dot: &Dot| {
        EntryOrigin { dot: *dot, time: Hlc { ms: dot.seq, count: 0 } }.version(inline(&dot.writer.short()), &[])
    };
    let mut versions: Vec<_> = dots.iter().map(version).collect();
    versions.sort();
    DirectoryEntry { name: name(at), versions, folder: None }
}

fn folder_of(at: &str, folder: FolderNode) -> DirectoryEntry {
    DirectoryEntry { name: name(at), versions: Vec::new(), folder: Some(folder) }
}

/// Who holds the volume's keys, and seals what it likes.
pub struct Forger {
    blocks: BTreeMap<BlockId, Block>,
    /// Whose writers it names.
    nodes: BTreeMap<[u8; 10], NodeId>,
}

impl Default for Forger {
    fn default() -> Self {
        let nodes = (b'A'..=b'Z').map(node_of).chain((0..200).map(made_up));
        let nodes = nodes.map(|node| (*Writer::of(node, 0).node_part(), node)).collect();
        Self { blocks: BTreeMap::new(), nodes }
    }
}

impl Forger {
    /// Writers of nodes that nobody knows.
    pub fn crowd(&mut self, numbers: std::ops::Range<u64>) -> Vec<Dot> {
        let dots: Vec<Dot> = numbers.clone().map(|number| dot(made_up_writer(number), 1)).collect();
        let nodes = numbers.map(made_up).zip(&dots);
        self.nodes.extend(nodes.map(|(node, dot)| (*dot.writer.node_part(), node)));
        dots
    }

    /// As if all nodes had signed: whether they have is looked at where a head comes in.
    fn marks(&self, version_vector: &VersionVector) -> MarkSet {
        let mut marks = MarkSet::default();
        for dot in version_vector.dots() {
            marks.add(*dot, self.nodes[dot.writer.node_part()], Signature([0; 64]));
        }
        marks
    }

    fn seal(&mut self, node: DirectoryNode) -> BlockRef {
        let (block, at) = node.seal(keys().writer().unwrap(), 3).unwrap();
        self.blocks.insert(block.id(), block);
        at
    }

    /// A folder with these entries, as an honest writer would describe it.
    pub fn folder(&mut self, entries: Vec<DirectoryEntry>) -> FolderNode {
        let node = DirectoryNode::Leaf(entries);
        let within = NodeSummary::of(&node).within;
        FolderNode { births: vec![dot(mallory(), 1)], tree: Some(self.seal(node)), within, ..FolderNode::default() }
    }

    /// A head with this root, which includes all of `seen` and one operation of its own.
    pub fn head(&mut self, root: FolderNode, seen: &[Signed<Head>], own: Dot) -> Signed<Head> {
        let mut version_vector = VersionVector::default();
        for head in seen {
            version_vector.add_all(&CommitView::of_head(head.value()).unwrap().extra.version_vector);
        }
        version_vector.add(own);
        self.commit(&Commit {
            version_vector,
            dot: Some(own),
            root: FolderNode { births: Vec::new(), ..root },
            ..commit()
        })
    }

    pub fn commit(&mut self, commit: &Commit) -> Signed<Head> {
        let keys = keys();
        let block = commit.seal(keys.writer().unwrap(), 3);
        self.blocks.insert(block.id(), block.clone());
        let marks = self.marks(&commit.version_vector);
        Commit::head(keys.writer().unwrap(), &key_of(b'M'), POOL, &block, &marks).unwrap()
    }
}

pub fn commit() -> Commit {
    Commit {
        parents: Vec::new(),
        time: Hlc { ms: 1, count: 0 },
        dot: None,
        version_vector: VersionVector::default(),
        flags: EntryFlags::NONE,
        root: FolderNode::default(),
        message: None,
    }
}

pub fn root_entries(peer: &TestWriter) -> Vec<DirectoryEntry> {
    let root = Commit::open(&keys(), &peer.heads[0].value().commit).unwrap().root;
    let at = root.tree.unwrap();
    match DirectoryNode::open(keys().volume, at, &peer.store[&at.id]).unwrap() {
        DirectoryNode::Leaf(entries) => entries,
        DirectoryNode::Interior { .. } => panic!("a small root"),
    }
}

/// `peer` as it is when it has heard of this head only.
pub fn hears(peer: &TestWriter, forger: &Forger, head: &Signed<Head>) -> TestWriter {
    let mut peer = peer.clone();
    peer.store.extend(forger.blocks.clone());
    peer.heads = vec![head.clone()];
    peer
}

pub fn bad_heads(done: JobDone) -> Vec<(BlockId, HeadFault)> {
    match done {
        JobDone::BadHeads(faults) => faults,
        other => panic!("{other:?}"),
    }
}

pub fn put(at: &str) -> TreeEdit {
    TreeEdit::Put { path: path(at), file: inline("new"), xattrs: Vec::new() }
}

/// 61 small blocks with 2^60 leaves.
fn doubled(forger: &mut Forger) -> FolderNode {
    let mut node = DirectoryNode::Leaf(vec![file_of("a", &[dot(mallory(), 1)])]);
    for level in 1..=60 {
        let NodeSummary { count, within } = NodeSummary::of(&node);
        let at = forger.seal(node);
        let child = |last: &str| DirectoryChild { last: name(last), node: at, count, within: within.clone() };
        node = DirectoryNode::Interior { level, children: vec![child("a"), child("b")] };
    }
    let within = NodeSummary::of(&node).within;
    FolderNode { births: vec![dot(mallory(), 1)], tree: Some(forger.seal(node)), within, ..FolderNode::default() }
}

#[test]
fn a_folder_whose_nodes_are_shared_ends_no_job() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let evil = doubled(&mut forger);
    let mut entries = root_entries(&honest);
    entries.insert(0, folder_of("evil", evil.clone()));
    let root = forger.folder(entries);
    let head = forger.head(root, &honest.heads, dot(mallory(), 1));
    let mut reader = hears(&honest, &forger, &head);
    assert_eq!(reader.list("").len(), 2);
    let list = TreeQuery::List { path: path("/evil"), after: None, max: 1000 };
    assert!(matches!(reader.query(list), Err(TreeError::Damaged(_))));
    let outcomes = reader.edit(&[put("/evil/x"), put("/g")]);
    assert_eq!(outcomes, [Err(EditError::Unreadable), Ok(EditOutcome::Changed)], "it fails alone");
    assert_eq!(reader.remove("/evil"), Ok(EditOutcome::Changed));
    assert_eq!(reader.tree(), ["/f=1", "/g=new"]);

    // As the root of a head it ends that head.
    let head = forger.head(evil, &honest.heads, dot(mallory(), 2));
    let mut reader = hears(&honest, &forger, &head);
    let job = QueryJob { terms: JobTerms::default(), ..query_job(&reader) };
    let faults = bad_heads(reader.run(TreeJob::Query(job)));
    assert!(matches!(faults[..], [(id, HeadFault::Damaged(_))] if id == BlockId::of(&head.value().commit)));
}

fn query_job(peer: &TestWriter) -> QueryJob {
    QueryJob {
        keys: keys(),
        heads: peer.heads.clone(),
        state: None,
        query: TreeQuery::List { path: Vec::new(), after: None, max: 10 },
        known: None,
        params: TINY,
        terms: peer.terms(),
        blocks: BlockMap::new(),
    }
}

/// Sixty folders, each with the one below it twice: 2^60 places, which a merge has to go through, for forty writers are more
/// than a folder's summary names.
#[test]
fn equal_folders_at_many_places_cost_a_merge_as_much_as_one() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let many: Vec<Dot> = (0..20).map(|number| dot(made_up_writer(100 + number), 1)).collect();
    let more: Vec<Dot> = (0..20).map(|number| dot(made_up_writer(130 + number), 1)).collect();
    let mut evil = forger.folder(vec![file_of("f", &many), file_of("g", &more)]);
    assert!(evil.within.spans().is_none());
    for _ in 0..60 {
        evil = forger.folder(vec![folder_of("a", evil.clone()), folder_of("b", evil)]);
    }
    let mut entries = root_entries(&honest);
    entries.insert(0, folder_of("evil", evil));
    let root = forger.folder(entries);
    let mut seen = VersionVector::default();
    seen.add_all(&CommitView::of_head(honest.heads[0].value()).unwrap().extra.version_vector);
    many.iter().chain(&more).for_each(|dot| seen.add(*dot));
    seen.add(dot(mallory(), 1));
    let root = FolderNode { births: Vec::new(), ..root };
    let head = forger.commit(&Commit { version_vector: seen, dot: Some(dot(mallory(), 1)), root, ..commit() });
    // Each of them goes on from it, for nothing is wrong with it.
    let one = hears(&honest, &forger, &head);
    let changes: [fn(&mut TestWriter); 2] = [
        |peer| assert_eq!(peer.remove("/evil"), Ok(EditOutcome::Changed)),
        |peer| assert_eq!(peer.rename("/evil", "/moved"), Ok(EditOutcome::Changed)),
    ];
    for change in changes {
        let (mut one, mut two) = (one.clone(), one.fork(b'B'));
        change(&mut one);
        two.put("/evil/a/b/x", "kept");
        one.hear(&two);
        two.hear(&one.clone());
        one.at_hand = true;
        one.merge();
        assert_eq!(
            one.entry("/evil/a/b/x").unwrap().writer,
            two.writer,
            "what was written there meanwhile is not lost"
        );
    }
}

#[test]
fn a_merge_leaves_a_folder_that_breaks_the_rules_to_the_side_that_has_it_whole() {
    let mut honest = TestWriter::new(b'A');
    honest.params.nodes = nodes(4096, 4096);
    honest.put("/d/f", "1");
    honest.put("/e", "1");
    let mut forger = Forger::default();
    let mut entries = root_entries(&honest);
    let folder = entries[0].folder.as_mut().unwrap();
    folder.within.add(dot(mallory(), 9));
    folder.attrs = Vec::new();
    let root = forger.folder(entries);
    let head = forger.head(root, &honest.heads, dot(mallory(), 9));

    let mut alone = hears(&honest, &forger, &head);
    assert_eq!(alone.entry("/e").unwrap().name, name("e"));
    let list = TreeQuery::List { path: path("/d"), after: None, max: 10 };
    assert!(matches!(alone.query(list), Err(TreeError::Damaged(_))));

    for number in 0..8 {
        // Whose commit has the smaller id must not matter.
        let mut writer = honest.fork(b'B');
        writer.put("/d/g", &number.to_string());
        writer.put("/e", "2");
        writer.hear(&hears(&honest, &forger, &head));
        assert_eq!(writer.heads.len(), 2);
        writer.merge();
        assert_eq!(writer.tree(), ["/d/".into(), "/d/f=1".into(), format!("/d/g={number}"), "/e=2".into()]);
    }
}

#[test]
fn a_head_that_does_not_open_is_named_and_the_next_operation_covers_it() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let other = VolumeKeys::from_write_secret(keys().volume, 1, Key([99; 32]));
    let (own, mut version_vector) = (dot(mallory(), 1), VersionVector::default());
    version_vector.add_all(&CommitView::of_head(honest.heads[0].value()).unwrap().extra.version_vector);
    version_vector.add(own);
    let commit = Commit { version_vector, dot: Some(own), ..commit() };
    let (block, marks) = (commit.seal(other.writer().unwrap(), 3), Forger::default().marks(&commit.version_vector));
    let bad = Commit::head(other.writer().unwrap(), &key_of(b'M'), POOL, &block, &marks).unwrap();

    let mut both = honest.clone();
    both.heads.push(bad.clone());
    let job = QueryJob { terms: honest.terms(), ..query_job(&both) };
    let faults = bad_heads(both.run(TreeJob::Query(job)));
    assert!(matches!(faults[..], [(id, HeadFault::Damaged(_))] if id == BlockId::of(&bad.value().commit)));

    let covered = coverable(&honest.heads, vec![bad.clone()]);
    assert_eq!(covered.len(), 1);
    let mut job = honest.edit_job(&[]);
    job.terms.covered = covered;
    let JobDone::Edited { head: Some(head), .. } = honest.run(TreeJob::Edit(job)) else { panic!("a commit") };
    let (view, bad) = (CommitView::of_head(head.value()).unwrap(), CommitView::of_head(bad.value()).unwrap());
    assert!(bad.is_superseded_by(&view) && view.links.iter().any(|link| link.id == bad.id));
    honest.heads = vec![head];
    assert_eq!(honest.tree(), ["/f=1"], "nothing is lost by it");
}

/// A number that nobody has reached, covered, would be the end of changes that are still on their way.
#[test]
fn a_head_that_speaks_for_others_is_not_covered() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let bad = |forger: &mut Forger, dots: &[Dot]| {
        let version_vector: VersionVector = dots.iter().copied().chain([dot(mallory(), 1)]).collect();
        forger.commit(&Commit { version_vector, dot: Some(dot(mallory(), 1)), ..commit() })
    };
    let covers = |head: Signed<Head>| !coverable(&honest.heads, vec![head]).is_empty();
    assert!(covers(bad(&mut forger, &[dot(honest.writer, honest.seq)])));
    assert!(!covers(bad(&mut forger, &[dot(honest.writer, u64::MAX)])));
    let unknown = forger.crowd(0..100);
    assert!(!covers(bad(&mut forger, &unknown)), "it would use up the writers of the volume");
    let own = forger.commit(&Commit {
        version_vector: [dot(mallory(), u64::MAX)].into_iter().collect(),
        dot: Some(dot(mallory(), u64::MAX)),
        ..commit()
    });
    assert!(!covers(own), "nor is the number its own if it is somebody else's");
}

#[test]
fn a_time_that_no_clock_says_is_not_handed_on() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let late = forger.commit(&Commit {
        time: Hlc { ms: u64::MAX, count: u32::MAX },
        version_vector: [dot(mallory(), 1)].into_iter().collect(),
        dot: Some(dot(mallory(), 1)),
        ..commit()
    });
    honest.store.extend(forger.blocks);
    honest.heads.push(late);
    honest.put("/g", "1");
    let time = CommitView::of_head(honest.heads[0].value()).unwrap().extra.time;
    assert_eq!(time.ms, honest.clock);
}

/// Commit ids can be made to measure.
#[test]
fn many_heads_do_not_hide_those_that_were_shown() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let known = honest.heads.clone();
    let job = |heads: Vec<Signed<Head>>, known: &[Signed<Head>], peer: &mut TestWriter| {
        let job = peer.edit_job(&[put("/g")]);
        EditJob { heads, terms: JobTerms { good: known.to_vec(), ..JobTerms::default() }, ..job }
    };
    let many = (0..400u64).map(|number| {
        let own = dot(Writer::of(node_of(b'M'), 1_000_000 + number), 1);
        forger.commit(&Commit { version_vector: [own].into_iter().collect(), dot: Some(own), ..commit() })
    });
    let mut heads: Vec<Signed<Head>> = many.collect();
    heads.extend(known.clone());
    heads.sort_by_key(|head| BlockId::of(&head.value().commit));
    let edit = job(heads.clone(), &known, &mut honest);
    let JobDone::Edited { head: Some(head), .. } = honest.run(TreeJob::Edit(edit)) else { panic!("a commit") };
    let parents = CommitView::of_head(head.value()).unwrap().links;
    assert!(parents.iter().any(|link| link.id == BlockId::of(&known[0].value().commit)));
    // And a reader shows all of them.
    honest.heads = heads;
    assert_eq!(honest.tree(), ["/f=1"]);
}

#[test]
fn a_root_that_is_nowhere_is_named_and_one_that_is_away_too() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let at = BlockRef { id: BlockId([77; 32]), key: Key([1; 32]) };
    let within = [dot(mallory(), 1)].iter().fold(FolderVectors::default(), |mut within, dot| {
        within.add(*dot);
        within
    });
    let root = FolderNode { tree: Some(at), within, ..FolderNode::default() };
    let head = forger.head(root, &[], dot(mallory(), 1));
    for absence in [BlockAbsence::Nowhere, BlockAbsence::Away] {
        let mut job = TreeJob::Query(QueryJob {
            heads: vec![honest.heads[0].clone(), head.clone()],
            terms: honest.terms(),
            ..query_job(&honest)
        });
        job.give(honest.store.values().cloned());
        assert!(matches!(job.run(), JobDone::Missing(ids) if ids == [at.id]));
        job.lacks(at.id, absence);
        let fault = HeadFault::Absent(at.id, absence);
        assert_eq!(fault.is_final(), absence == BlockAbsence::Nowhere);
        assert_eq!(bad_heads(job.run()), [(BlockId::of(&head.value().commit), fault)]);
    }
}

#[test]
fn a_job_ends_when_nobody_waits_or_when_it_costs_too_much() {
    let mut honest = TestWriter::new(b'A');
    honest.edit(&(0..200).map(|number| put(&format!("/d/f{number}"))).collect::<Vec<_>>());
    let list = TreeQuery::List { path: path("/d"), after: None, max: 1000 };
    let job = |honest: &TestWriter| QueryJob { query: list.clone(), ..query_job(honest) };
    let found = |done| match done {
        JobDone::Queried { found, .. } => found.map(|_| ()),
        other => panic!("{other:?}"),
    };
    let cancelled = job(&honest);
    cancelled.terms.cancel.cancel();
    assert_eq!(found(honest.run(TreeJob::Query(cancelled))), Err(TreeError::Cancelled));
    for (names, expected) in [(100, Err(TreeError::TooCostly)), (1_000, Ok(()))] {
        let mut job = job(&honest);
        job.terms.budget = JobBudget { names, ..JobBudget::default() };
        assert_eq!(found(honest.run(TreeJob::Query(job))), expected, "{names}");
    }
}

/// Of two heads that cannot be merged within the budget, the one that was shown stays.
#[test]
fn what_makes_a_merge_too_costly_is_the_head_that_came_last() {
    let honest = {
        let mut honest = TestWriter::new(b'A');
        honest.edit(&(0..300).map(|number| put(&format!("/d/f{number}"))).collect::<Vec<_>>());
        honest
    };
    let mut other = honest.fork(b'B');
    other.edit(&(0..300).map(|number| put(&format!("/d/g{number}"))).collect::<Vec<_>>());
    let mut known = honest.clone();
    known.put("/d/f7", "mine");
    let good = known.terms().good;
    known.hear(&other);
    let job = MergeJob {
        keys: keys(),
        pool: POOL,
        author: author(),
        heads: known.heads.clone(),
        copies: 3,
        params: TINY,
        terms: JobTerms { good, budget: JobBudget { names: 400, ..JobBudget::default() }, ..JobTerms::default() },
        blocks: BlockMap::new(),
    };
    let faults = bad_heads(known.run(TreeJob::Merge(job)));
    assert_eq!(faults, [(BlockId::of(&other.heads[0].value().commit), HeadFault::TooCostly)]);
}

/// Two stamps of a moved folder in a moved folder may name more writers together than one may: no block is sealed that nobody
/// would read.
#[test]
fn stamps_that_do_not_fit_together_are_made_explicit() {
    let writers = |from: u64, count: u64| (from..from + count).map(|number| dot(made_up_writer(number), 1));
    let (old, half) = (dot(made_up_writer(5_000), 1), VERSION_VECTOR_WRITERS_MAX as u64 - 8);
    let origin = EntryOrigin { dot: old, time: Hlc::default() };
    let file = NameSlot { versions: vec![origin.version(inline("x"), &[])], dir: None };
    let inner_birth = dot(writer_of(b'D'), 1);
    let inner_since: VersionVector = writers(5_000, half).collect();
    let outer_since: VersionVector = writers(10_000, half).chain([inner_birth]).collect();
    let folder = |births: Dot, since: VersionVector, name: EntryName, slot: NameSlot| MergedDirectory {
        folder: FolderNode { births: vec![births], since, ..FolderNode::default() },
        changes: [(name, slot)].into(),
    };
    let side = |birth: Dot, since: VersionVector, at: &str, slot: NameSlot| {
        let outer = folder(birth, since, name(at), slot);
        let root = MergedDirectory {
            changes: [(name("p"), NameSlot { versions: Vec::new(), dir: Some(outer.into()) })].into(),
            ..MergedDirectory::default()
        };
        MergeState { version_vector: [birth, old].into_iter().collect(), root }
    };
    let blocks = BlockMap::new();
    let mut source = BlockSource::new(keys().volume, &blocks);
    let inner = folder(inner_birth, inner_since, name("f"), file.clone());
    let inner = NameSlot { versions: Vec::new(), dir: Some(inner.into()) };
    let ours = side(dot(writer_of(b'P'), 1), outer_since, "d", inner);
    let theirs = side(dot(writer_of(b'Q'), 1), VersionVector::default(), "z", file);
    let merged = merge(&mut source, &ours, &theirs).unwrap();
    let outer = merged.root.changes[&name("p")].dir.clone().unwrap();
    let inner = outer.changes[&name("d")].dir.clone().unwrap();
    assert!(inner.folder.since.dots().len() <= VERSION_VECTOR_WRITERS_MAX, "{}", inner.folder.since.dots().len());
    assert!(!inner.changes[&name("f")].versions.is_empty());
}

#[test]
fn no_user_writes_below_the_reserved_name() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let refused = Err(EditError::ReservedName);
    let make = TreeEdit::MakeDir { path: path("/.fsdfs"), attrs: None, xattrs: Vec::new(), fresh: false };
    assert_eq!(honest.edit(&[put("/.fsdfs/x"), put("/.fsdfs"), make]), [refused, refused, refused]);
    assert_eq!(honest.rename("/f", "/.fsdfs"), refused);
    assert_eq!(honest.edit(&[put("/d/.fsdfs%"), put("/d/.fsdfs%..")]), [refused, refused]);
    assert_eq!(honest.put("/d/.fsdfs", "1"), EditOutcome::Changed, "in the root only");
}

/// Whoever holds the volume's key can use another's number. Of the two changes the one with the smaller commit id was left.
#[test]
fn two_changes_under_one_number_are_both_there() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "old");
    let mut twin = honest.clone();
    let one = |at: &str, text: &str| TreeEdit::Put { path: path(at), file: inline(text), xattrs: Vec::new() };
    honest.edit(&[one("/f", "mine"), one("/g", "mine")]);
    twin.edit(&[one("/f", "other"), one("/h", "other")]);
    assert_eq!(honest.seq, twin.seq);
    let alone = honest.tree();
    honest.hear(&twin);
    assert_eq!(honest.heads.len(), 2, "neither gives way");
    let shown = honest.tree();
    for line in alone {
        assert!(shown.iter().any(|other| other.ends_with(line.split_once('=').unwrap().1)), "{line} in {shown:?}");
    }
    assert!(shown.contains(&"/g=mine".into()) && shown.contains(&"/h=other".into()), "{shown:?}");
    honest.merge();
    assert_eq!(honest.tree(), shown, "and stay when they are merged");
}
