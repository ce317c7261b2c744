//! The merge against its reference, `proto-spec/check/merge_model.py`.

use std::collections::BTreeMap;
use std::sync::Arc;

use fsdfs_proto::ids::Writer;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{Commit, Dot, EntryVersion, FileNode, MarkSet, VersionVector};
use serde_json::{Value, json};

use super::super::dir::{MergedDirectory, NameSlot};
use super::super::merge::{MergeState, merge};
use super::super::pages::DirectoryPages;
use super::super::source::BlockSource;
use super::{
    BlockMap, JobDone, JobTerms, MergeJob, POOL, TINY, TreeJob, author, inline, key_of, keys, name, text, writer_of,
};

const VECTORS: &str = include_str!("../../../../../proto-spec/vectors/merge.json");

fn dot(of: &Value) -> Dot {
    Dot { writer: writer_named(of[0].as_str().unwrap().as_bytes()[0]), seq: of[1].as_u64().unwrap() }
}

/// The writers of the model have letters, and here a part of an id that follows from a node's key.
fn writer_named(name: u8) -> Writer {
    NAMED.with(|named| named[&name])
}

thread_local! {
    static NAMED: BTreeMap<u8, Writer> = [b'A', b'B', b'C'].map(|name| (name, writer_of(name))).into();
}

fn version_vector(of: &Value) -> VersionVector {
    of.as_array().unwrap().iter().map(dot).collect()
}

fn version(of: &Value) -> EntryVersion<FileNode> {
    let content = of[1].as_u64().unwrap();
    let value = inline(&content.to_string());
    let time = Hlc { ms: content, count: 0 };
    EntryVersion { time, writer: Writer([0; 16]), value, xattrs: Vec::new(), copies: None, dot: dot(&of[0]) }
}

fn dir(of: &Value) -> MergedDirectory {
    let births = of[0].as_array().unwrap();
    let mut dir = MergedDirectory::default();
    dir.folder.births = births.iter().map(|birth| dot(&birth[0])).collect();
    dir.folder.births.sort();
    dir.folder.since = births.iter().flat_map(|birth| version_vector(&birth[1]).dots().to_vec()).collect();
    for entry in of[1].as_array().unwrap() {
        let mut versions: Vec<_> = entry[1].as_array().unwrap().iter().map(version).collect();
        versions.sort();
        let sub = Some(&entry[2]).filter(|sub| !sub.is_null()).map(super::model::dir);
        dir.changes.insert(name(entry[0].as_str().unwrap()), NameSlot { versions, dir: sub.map(Arc::new) });
    }
    dir
}

fn state(of: &Value) -> MergeState {
    MergeState { version_vector: version_vector(&of[0]), root: dir(&of[1]) }
}

fn dot_out(dot: Dot) -> Value {
    let name = NAMED.with(|named| named.iter().find(|(_, writer)| **writer == dot.writer).map(|(name, _)| *name));
    json!([char::from(name.unwrap()).to_string(), dot.seq])
}

fn seen_out(version_vector: &VersionVector) -> Value {
    let mut dots: Vec<Value> = version_vector.dots().iter().map(|dot| dot_out(*dot)).collect();
    dots.sort_by_key(|dot| dot[0].to_string());
    Value::Array(dots)
}

fn dir_out(source: &mut BlockSource, dir: &MergedDirectory) -> Value {
    let mut births: Vec<Value> =
        dir.folder.births.iter().map(|birth| json!([dot_out(*birth), seen_out(&dir.folder.since)])).collect();
    births.sort_by_key(|birth| (birth[0][0].to_string(), birth[0][1].as_u64()));
    let mut names = Vec::new();
    for (name, slot) in dir.all(source, &|_| false).unwrap() {
        let version = |version: &EntryVersion<FileNode>| {
            json!([dot_out(version.dot), text(&version.value.content).parse::<u64>().unwrap()])
        };
        let mut versions: Vec<Value> = slot.versions.iter().map(version).collect();
        versions.sort_by_key(|version| (version[0][0].to_string(), version[0][1].as_u64(), version[1].as_u64()));
        let sub = slot.dir.as_ref().map(|sub| dir_out(source, sub));
        names.push(json!([str::from_utf8(&name).unwrap(), versions, sub]));
    }
    json!([births, names])
}

fn cases() -> Vec<[Value; 3]> {
    let cases: Vec<[Value; 3]> = serde_json::from_str(VECTORS).unwrap();
    assert!(cases.len() >= 400);
    cases
}

#[test]
fn merges_in_memory_are_those_of_the_model() {
    for [ours, theirs, merged] in cases() {
        let blocks = BlockMap::new();
        let mut source = BlockSource::new(keys().volume, &blocks);
        let found = merge(&mut source, &state(&ours), &state(&theirs)).unwrap();
        assert_eq!(seen_out(&found.version_vector), merged[0]);
        assert_eq!(dir_out(&mut source, &found.root), merged[1], "{ours} with {theirs}");
    }
}

/// The same through blocks: two sealed heads in, a sealed head out.
#[test]
fn merges_of_heads_are_those_of_the_model() {
    let keys = keys();
    for [ours, theirs, merged] in cases() {
        let mut store = BTreeMap::new();
        let heads = [&ours, &theirs].map(|side| {
            let none = BlockMap::new();
            let mut pages = DirectoryPages::new(keys.writer().unwrap(), 3, TINY);
            let MergeState { version_vector, root } = state(side);
            let root = pages.write(&mut BlockSource::new(keys.volume, &none), &root).unwrap();
            let dot = version_vector.dots().last().copied();
            let commit = Commit { parents: vec![], time: Hlc::default(), dot, version_vector, root, ..commit() };
            store.extend(pages.blocks.into_iter().map(|block| (block.id(), block)));
            let mut marks = MarkSet::default();
            let mut of_last = key_of(b'A');
            for name in [b'A', b'B', b'C'] {
                let (key, writer) = (key_of(name), writer_named(name));
                let seq = commit.version_vector.get(writer);
                marks.sign(&key, keys.volume, Dot { writer, seq });
                if commit.dot.is_some_and(|dot| dot.writer == writer) {
                    of_last = key;
                }
            }
            let block = commit.seal(keys.writer().unwrap(), 3);
            Commit::head(keys.writer().unwrap(), &of_last, POOL, &block, &marks).unwrap()
        });
        let mut job = TreeJob::Merge(MergeJob {
            keys: keys.clone(),
            pool: POOL,
            author: author(),
            heads: heads.to_vec(),
            copies: 3,
            params: TINY,
            terms: JobTerms::default(),
            blocks: BlockMap::new(),
        });
        let (blocks, head) = loop {
            match job.run() {
                JobDone::Missing(ids) => job.give(ids.iter().map(|id| store[id].clone())),
                JobDone::Merged { blocks, head } => break (blocks, head),
                other => panic!("{other:?}"),
            }
        };
        store.extend(blocks.into_iter().map(|block| (block.id(), block)));
        let commit = Commit::open(&keys, &head.value().commit).unwrap();
        assert_eq!(seen_out(&commit.version_vector), merged[0]);
        let mut blocks = BlockMap::new();
        blocks.extend(store.clone());
        let mut source = BlockSource::new(keys.volume, &blocks);
        assert_eq!(dir_out(&mut source, &MergedDirectory::stored(commit.root)), merged[1], "{ours} with {theirs}");
    }
}

fn commit() -> Commit {
    Commit {
        parents: vec![],
        time: Hlc::default(),
        dot: None,
        version_vector: VersionVector::default(),
        flags: Default::default(),
        root: Default::default(),
        message: None,
    }
}
