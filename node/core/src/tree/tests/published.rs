//! Two heads in, bytes out: the published bytes of a merge (spec 05-volume, "Merging").

use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, hex};
use fsdfs_proto::volume::Commit;
use serde_json::{Value, json};

use super::{BlockMap, JobDone, MergeJob, POOL, TestWriter, TreeEdit, TreeJob, TreeParams, author, inline, keys, path};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto-spec/vectors/merge-blocks.json");
/// Smaller than those of pools.
const PARAMS: TreeParams = TreeParams { nodes: super::nodes(1000, 500), ..super::TINY };

/// Blocks of both sides, and the two heads.
fn sides() -> (TestWriter, TestWriter) {
    let mut one = TestWriter::new(b'A');
    one.params = PARAMS;
    let put = |at: String| TreeEdit::Put { path: path(&at), file: inline(&at), xattrs: Vec::new() };
    one.edit(&(0..40).map(|file| put(format!("/d/f{file:02}"))).collect::<Vec<_>>());
    let mut two = one.fork(b'B');
    one.rename("/d", "/moved").unwrap();
    one.put("/both", "1");
    two.put("/d/f07", "new");
    two.remove("/d/f11").unwrap();
    two.put("/both", "2");
    (one, two)
}

fn blocks_out<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Value {
    blocks.into_iter().map(|block| hex(block.bytes())).collect()
}

fn vector() -> Value {
    let (one, two) = sides();
    let heads: Vec<_> = one.heads.iter().chain(&two.heads).cloned().collect();
    let mut store: BTreeMap<BlockId, Block> = one.store.clone();
    store.extend(two.store.clone());
    let terms = super::JobTerms::default();
    let job = MergeJob {
        keys: keys(),
        pool: POOL,
        author: author(),
        heads: heads.clone(),
        copies: 3,
        params: PARAMS,
        terms,
        blocks: BlockMap::new(),
    };
    let (mut job, mut used) = (TreeJob::Merge(job), Vec::new());
    let (blocks, head) = loop {
        match job.run() {
            JobDone::Missing(ids) => {
                used.extend(ids.iter().map(|id| store[id].clone()));
                job.give(ids.iter().map(|id| store[id].clone()));
            }
            JobDone::Merged { blocks, head } => break (blocks, head),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(Commit::open(&keys(), &head.value().commit).unwrap().parents.len(), 2);
    let head_out = |head: &fsdfs_proto::signed::Signed<fsdfs_proto::identity::Head>| json!({ "payload": hex(&head.envelope().payload), "signature": head.envelope().signature.to_string() });
    let mut merged = one.clone();
    merged.hear(&two);
    merged.merge();
    let tree = merged.tree();
    json!({
        "pool": POOL.to_string(),
        "volume": keys().volume.to_string(),
        "epoch": keys().epoch,
        "write_secret": keys().writer().unwrap().secret().to_string(),
        "leaf_bytes": PARAMS.nodes.leaf_bytes,
        "interior_bytes": PARAMS.nodes.interior_bytes,
        "copies": 3,
        "heads": heads.iter().map(head_out).collect::<Vec<_>>(),
        "blocks": blocks_out(&used),
        "merged_blocks": blocks_out(&blocks),
        "merged_head": head_out(&head),
        "merged_tree": tree,
    })
}

#[test]
fn a_merge_has_its_published_bytes() {
    let published: Value = serde_json::from_str(&std::fs::read_to_string(VECTORS).unwrap()).unwrap();
    assert_eq!(published, vector());
}

#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::write(VECTORS, serde_json::to_string_pretty(&vector()).unwrap() + "\n").unwrap();
}
