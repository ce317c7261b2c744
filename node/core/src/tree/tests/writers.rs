//! Heads that name writers who have no place, and stamps that claim what nobody did yet.

use std::sync::Arc;

use fsdfs_proto::volume::{Commit, Dot, VERSION_VECTOR_WRITERS_MAX};

use super::hostile::{Forger, bad_heads, commit, dot, hears, mallory, put, root_entries};
use super::*;

#[test]
fn a_head_with_more_writers_than_there_can_be_keeps_nobody_from_writing() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let own = dot(mallory(), 1);
    let version_vector = forger.crowd(1..VERSION_VECTOR_WRITERS_MAX as u64).into_iter().chain([own]).collect();
    let full = forger.commit(&Commit { version_vector, dot: Some(own), ..commit() });
    let known = honest.terms();
    honest.heads.push(full.clone());
    let job = EditJob { terms: known, ..honest.edit_job(&[put("/g")]) };
    let faults = bad_heads(honest.run(TreeJob::Edit(job)));
    assert_eq!(faults, [(BlockId::of(&full.value().commit), HeadFault::TooManyWriters)]);
}

/// Ids can be made to measure: of these crowds some are looked at first.
#[test]
fn a_crowd_does_not_take_the_place_of_what_goes_on_from_a_head_that_was_used() {
    let mut honest = TestWriter::new(b'A');
    let mut forger = Forger::default();
    let mut crowd = |numbers: std::ops::Range<u64>, seq| {
        let own = dot(mallory(), seq);
        let version_vector = forger.crowd(numbers).into_iter().chain([own]).collect();
        forger.commit(&Commit { version_vector, dot: Some(own), ..commit() })
    };
    let (used, next) = (crowd(1..1_000, 1), crowd(1..1_001, 2));
    for number in 1..9 {
        let other = crowd(number * 10_000..number * 10_000 + 500, 1);
        honest.heads = vec![other.clone(), next.clone()];
        let terms = JobTerms { good: vec![used.clone()], ..JobTerms::default() };
        let job = EditJob { terms, ..honest.edit_job(&[put("/g")]) };
        let faults = bad_heads(honest.run(TreeJob::Edit(job)));
        assert_eq!(faults, [(BlockId::of(&other.value().commit), HeadFault::TooManyWriters)]);
    }
}

/// Who is in may name itself and its friends; who names others would take their place.
#[test]
fn a_head_that_names_strangers_is_left_out_however_few_they_are() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/f", "1");
    let mut forger = Forger::default();
    let own = dot(mallory(), 1);
    let strangers = forger.crowd(500..501);
    let named = |more: &[Dot], forger: &mut Forger| {
        let version_vector = more.iter().copied().chain([own]).collect();
        forger.commit(&Commit { version_vector, dot: Some(own), ..commit() })
    };
    let (alone, crowd) = (named(&[], &mut forger), named(&strangers, &mut forger));
    let writers = [b'A', b'M'].map(node_of).into_iter().collect();
    let terms = JobTerms { writers: Some(Arc::new(writers)), ..honest.terms() };
    let done = |heads: Vec<Signed<Head>>, terms: &JobTerms, honest: &mut TestWriter| {
        let job = EditJob { heads, terms: terms.clone(), ..honest.edit_job(&[put("/g")]) };
        honest.run(TreeJob::Edit(job))
    };
    let known = honest.heads[0].clone();
    let faults = bad_heads(done(vec![known.clone(), crowd.clone()], &terms, &mut honest));
    assert_eq!(faults, [(BlockId::of(&crowd.value().commit), HeadFault::TooManyWriters)]);
    assert!(matches!(done(vec![known.clone(), alone], &terms, &mut honest), JobDone::Edited { head: Some(_), .. }));
    // What was used before stays, whatever became of those who wrote it.
    let used = JobTerms { good: vec![crowd.clone()], ..terms };
    assert!(matches!(done(vec![known, crowd], &used, &mut honest), JobDone::Edited { head: Some(_), .. }));
}

/// A stamp says what the mover had seen, and nobody proves it: one that claims what is written later would make it part of the
/// move, and whoever has seen the move would take it for removed.
#[test]
fn a_stamp_that_claims_what_comes_later_ends_nothing_that_is_written_below_it() {
    let mut honest = TestWriter::new(b'A');
    honest.put("/d/f", "1");
    let mut forger = Forger::default();
    let mut entries = root_entries(&honest);
    let since = [dot(honest.writer, u64::MAX), dot(writer_of(b'B'), u64::MAX)].into_iter().collect();
    let folder = entries[0].folder.as_mut().unwrap();
    (folder.births, folder.since) = (vec![dot(mallory(), 1)], since);
    let root = forger.folder(entries);
    let head = forger.head(root, &honest.heads, dot(mallory(), 1));
    let mut one = hears(&honest, &forger, &head);
    let mut two = hears(&honest.fork(b'B'), &forger, &head);
    one.put("/d/new", "1");
    one.edit(&[TreeEdit::MakeDir { path: path("/d/sub/deep"), attrs: None, xattrs: Vec::new(), fresh: false }]);
    two.put("/e", "1");
    one.hear(&two);
    one.merge();
    assert_eq!(one.tree(), ["/d/", "/d/f=1", "/d/new=1", "/d/sub/", "/d/sub/deep/", "/e=1"]);
}
