//! A query, with jobs that really run.

use bytes::Bytes;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use super::*;
use crate::engine::test_kit::{PARAMS, context, effects, pool};
use crate::seam::{Effect, Token};
use crate::tree::{EditJob, HeadFault, QueryResult, TreeEdit};

const HEARD: HeardHeads = HeardHeads { majority: true, own_past: true };
const QUERY: u64 = 1;

fn volume() -> VolumeId {
    pool::pool_id().volume()
}

/// A head of a tree with the folder `a`, and its blocks.
fn tree() -> (Signed<Head>, Vec<Block>) {
    let job = EditJob {
        keys: pool::keys(1),
        pool: pool::pool_id(),
        author: pool::key(0),
        heads: Vec::new(),
        edits: vec![TreeEdit::MakeDir {
            path: vec![Bytes::from_static(b"a")],
            attrs: None,
            xattrs: Vec::new(),
            fresh: false,
        }],
        work: None,
        dot: (pool::writer(0, 9), 1),
        hlc: Hlc { ms: 5, count: 0 },
        copies: 3,
        params: PARAMS,
        terms: JobTerms::default(),
        blocks: BlockMap::new(),
    };
    match job.run() {
        JobDone::Edited { blocks, head: Some(head), .. } => (head, blocks),
        other => panic!("{other:?}"),
    }
}

struct Case {
    cx: Context,
    queries: TreeQueries,
    heads: HeadQueries,
    gets: Gets,
    local: LocalHeads,
    withheld_by: BTreeSet<NodeId>,
}

impl Case {
    /// Command 4 lists the root.
    fn new() -> Self {
        let mut cx = context(0, 3);
        let (mut queries, mut heads) = (TreeQueries::default(), HeadQueries::default());
        let list = TreeQuery::List { path: Vec::new(), after: None, max: 10 };
        queries.start(&mut cx, &mut heads, 4, (volume(), None, list));
        effects(&mut cx);
        Self { cx, queries, heads, gets: Gets::default(), local: LocalHeads::default(), withheld_by: BTreeSet::new() }
    }

    fn on_heads(&mut self, heard: HeardHeads, recent: BlockMap) {
        let (heads, withheld_by) = (self.cx.facts.heads(volume()), self.withheld_by.clone());
        let basis = ReadBasis { heads, heard, withheld_by, recent, remembered: BTreeSet::new() };
        self.queries.on_heads(&mut self.cx, &mut self.local, (QUERY, volume()), basis);
    }

    /// Runs the job that is due, and brings it home.
    fn run_job(&mut self) {
        let job = |effect| match effect {
            Effect::Work { job, token: Token(Waiter::Query(QueryToken::Job(QUERY))) } => Some(job),
            _ => None,
        };
        let job = effects(&mut self.cx).into_iter().find_map(job).expect("a job is due");
        let done = job.run();
        self.queries.on_job_done(&mut self.cx, &mut self.gets, &mut self.local, QUERY, (job, done));
    }

    fn replies(&mut self) -> Vec<Reply> {
        let reply = |effect| match effect {
            Effect::Reply { op: 4, reply } => Some(reply),
            _ => None,
        };
        effects(&mut self.cx).into_iter().filter_map(reply).collect()
    }

    /// The only reply lists one folder; whether it may be stale.
    fn listed(&mut self) -> bool {
        let replies = self.replies();
        match &replies[..] {
            [Reply::Query(QueryReply { found: Ok(QueryResult::List { entries, .. }), maybe_stale, .. })] => {
                assert_eq!(entries.len(), 1);
                *maybe_stale
            }
            other => panic!("{other:?}"),
        }
    }
}

fn by_id(blocks: Vec<Block>) -> BlockMap {
    blocks.into_iter().map(|block| (block.id(), block)).collect()
}

#[test]
fn a_query_is_stale_at_most_when_no_majority_was_heard() {
    for majority in [true, false] {
        let mut case = Case::new();
        let (head, blocks) = tree();
        case.cx.facts.insert(head.into());
        case.on_heads(HeardHeads { majority, own_past: true }, by_id(blocks));
        case.run_job();
        assert_eq!(case.listed(), !majority);
        assert!(case.queries.open.is_empty());
    }
}

#[test]
fn a_query_names_who_acknowledged_what_it_does_not_show() {
    let mut case = Case::new();
    let (head, blocks) = tree();
    case.cx.facts.insert(head.into());
    case.withheld_by.insert(pool::node(1));
    case.on_heads(HEARD, by_id(blocks));
    case.run_job();
    let name = case.cx.name_of(pool::node(1));
    let replies = case.replies();
    assert!(matches!(&replies[..], [Reply::Query(QueryReply { unpublished_on, .. })] if *unpublished_on == [name]));
}

#[test]
fn blocks_that_a_job_lacks_are_fetched_and_it_goes_on() {
    let mut case = Case::new();
    let (head, blocks) = tree();
    let blocks = by_id(blocks);
    case.cx.facts.insert(head.into());
    case.on_heads(HEARD, BlockMap::new());
    case.run_job();
    let mut rounds = 0;
    while let Some(pending) = case.queries.open.get(&QUERY) {
        rounds += 1;
        assert!(!pending.missing.is_empty() && rounds < 10);
        for id in pending.missing.clone() {
            let found = GetOutcome::Found(blocks[&id].clone());
            case.queries.on_block(&mut case.cx, &mut case.gets, QUERY, id, found);
        }
        case.run_job();
    }
    assert!(!case.listed());
}

#[test]
fn a_block_that_cannot_be_reached_ends_the_query_with_its_holders() {
    let mut case = Case::new();
    let (head, _) = tree();
    case.cx.facts.insert(head.into());
    case.on_heads(HEARD, BlockMap::new());
    case.run_job();
    let block = *case.queries.open[&QUERY].missing.first().expect("a block is due");
    let away = vec![pool::node(1)];
    let none = GetOutcome::NotFound { away: away.clone(), nowhere: false };
    case.queries.on_block(&mut case.cx, &mut case.gets, QUERY, block, none.clone());
    case.run_job();
    assert_eq!(case.replies(), [Reply::Refused(Refusal::Unreachable { block, away })]);
    case.queries.on_block(&mut case.cx, &mut case.gets, QUERY, block, none);
    assert!(case.replies().is_empty(), "it ends once");
}

#[test]
fn without_heads_it_is_too_early_and_without_keys_there_is_nothing_to_read() {
    let mut case = Case::new();
    case.on_heads(HEARD, BlockMap::new());
    assert_eq!(case.replies(), [Reply::Refused(Refusal::NotYet)]);
    let mut case = Case::new();
    case.cx.facts.insert(tree().0.into());
    case.cx.keys.clear();
    case.on_heads(HEARD, BlockMap::new());
    assert_eq!(case.replies(), [Reply::Refused(Refusal::NoKey)]);
}

/// A new epoch's head came before its key, and a head that stands no more is quarantined: that is not why nothing is shown.
#[test]
fn a_head_whose_key_is_on_its_way_is_not_called_what_another_one_is() {
    let mut case = Case::new();
    let bad = pool::head(1, &[(7, 1)]);
    let faults = vec![(BlockId::of(&bad.value().commit), HeadFault::TooManyWriters)];
    case.local.quarantine.note_bad(&mut case.cx, volume(), std::slice::from_ref(&bad), faults, HeadUse::Read);
    case.cx.facts.insert(tree().0.into());
    case.cx.readable.clear();
    let basis = ReadBasis {
        heads: Vec::new(),
        heard: HEARD,
        withheld_by: BTreeSet::new(),
        recent: BlockMap::new(),
        remembered: BTreeSet::new(),
    };
    case.queries.on_heads(&mut case.cx, &mut case.local, (QUERY, volume()), basis);
    assert_eq!(case.replies(), [Reply::Refused(Refusal::NoKey)]);
}

#[test]
fn a_cancelled_query_answers_nobody() {
    let mut case = Case::new();
    let (head, blocks) = tree();
    case.cx.facts.insert(head.into());
    case.queries.cancel(3);
    case.on_heads(HEARD, by_id(blocks));
    case.queries.cancel(4);
    case.run_job();
    assert!(case.replies().is_empty());
}

#[test]
fn holders_of_heads_are_asked_first() {
    let mut case = Case::new();
    let peer = crate::engine::test_kit::connect(&mut case.cx, 1);
    let query = TreeQuery::Entry { path: Vec::new() };
    case.queries.start(&mut case.cx, &mut case.heads, 5, (volume(), None, query));
    let out = effects(&mut case.cx);
    let asks = |effect: &Effect| match effect {
        Effect::Send { to, message: fsdfs_proto::message::Message::Heads(asked), .. } => Some((*to, asked.volume)),
        _ => None,
    };
    assert_eq!(out.iter().filter_map(asks).collect::<Vec<_>>(), [(peer, volume())]);
}

/// Node 0 shows a head of epoch 1, and hears of epoch 2 with a head that covers it, before it has the key.
fn between_epochs() -> (Case, Vec<Block>) {
    let mut case = Case::new();
    let (head, blocks) = tree();
    case.cx.facts.insert(head.clone().into());
    case.local.quarantine.note_good(&case.cx, volume(), std::slice::from_ref(&head));
    let frozen = BlockId::of(&head.value().commit);
    case.cx.facts.insert(pool::epoch(&pool::root(), 2, vec![frozen]).into());
    case.cx.facts.insert(pool::head(2, &[(9, 1), (8, 1)]).into());
    assert!(case.local.lacks_key(&case.cx, volume()));
    (case, blocks)
}

fn heard_again(case: &mut Case, recent: &BlockMap) {
    for (number, volume, heard) in case.queries.take_waiting() {
        assert!(!case.queries.waits_for_key(&mut case.cx, &case.local, (number, volume), heard));
        let heads = case.local.readable(&case.cx, volume);
        let basis = ReadBasis {
            heads,
            heard,
            withheld_by: BTreeSet::new(),
            recent: recent.clone(),
            remembered: BTreeSet::new(),
        };
        case.queries.on_heads(&mut case.cx, &mut case.local, (number, volume), basis);
    }
}

#[test]
fn a_read_between_a_new_epochs_head_and_its_key_waits_for_the_key() {
    let (mut case, _) = between_epochs();
    assert!(case.queries.waits_for_key(&mut case.cx, &case.local, (QUERY, volume()), HEARD));
    assert!(case.replies().is_empty());
    case.cx.keys.insert(volume(), pool::keys(2));
    case.cx.readable.extend(pool::keys(2).writer().map(fsdfs_proto::volume::WriteKeys::write_pk));
    heard_again(&mut case, &BlockMap::new());
    case.run_job();
    let replies = case.replies();
    let [Reply::Query(QueryReply { found: Ok(QueryResult::List { entries, .. }), maybe_stale: false, .. })] =
        &replies[..]
    else {
        panic!("the new head's tree, which is empty: {replies:?}")
    };
    assert!(entries.is_empty());
}

#[test]
fn if_the_key_does_not_come_what_was_shown_before_is_shown() {
    let (mut case, blocks) = between_epochs();
    assert!(case.queries.waits_for_key(&mut case.cx, &case.local, (QUERY, volume()), HEARD));
    crate::engine::test_kit::pass(&mut case.cx, KEY_AWAITED_MS_MAX);
    heard_again(&mut case, &by_id(blocks));
    case.run_job();
    assert_eq!(case.replies().len(), 1, "an answer, and no refusal");
    // The next one does not wait again.
    let list = TreeQuery::List { path: Vec::new(), after: None, max: 10 };
    case.queries.start(&mut case.cx, &mut case.heads, 4, (volume(), None, list));
    assert!(!case.queries.waits_for_key(&mut case.cx, &case.local, (QUERY + 1, volume()), HEARD));
    // Nor does a newcomer, which has no key at all.
    let (mut case, _) = between_epochs();
    case.cx.keys.clear();
    assert!(!case.queries.waits_for_key(&mut case.cx, &case.local, (QUERY, volume()), HEARD));
}

#[test]
fn what_an_old_key_signed_after_its_epoch_is_not_shown_meanwhile() {
    let (mut case, _) = between_epochs();
    let late = pool::head(1, &[(9, 1), (7, 1)]);
    case.local.quarantine.remember(&late);
    let shown = case.local.readable(&case.cx, volume());
    assert!(!shown.is_empty() && shown.iter().all(|head| head.id() != late.id()));
    case.queries.cancel(4);
}
