#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;

use super::*;
use crate::ids::{BlockId, Key, Writer};
use crate::time::Hlc;
use crate::volume::{DirectoryEntry, Dot, EntryVersion, FileAttributes, FileContent, FileNode};

fn at(number: u8) -> BlockRef {
    BlockRef { id: BlockId([number; 32]), key: Key([number; 32]) }
}

fn entry(name: &'static str, seq: u64) -> DirectoryEntry {
    let (dot, time) = (Dot { writer: Writer([1; 16]), seq }, Hlc::default());
    let value = FileNode { attrs: FileAttributes::default(), size: 0, content: FileContent::Inline(Bytes::new()) };
    let version = EntryVersion { time, writer: dot.writer, value, xattrs: Vec::new(), copies: None, dot };
    DirectoryEntry { name: Bytes::from_static(name.as_bytes()), versions: vec![version], folder: None }
}

fn leaf(names: &[(&'static str, u64)]) -> DirectoryNode {
    DirectoryNode::Leaf(names.iter().map(|(name, seq)| entry(name, *seq)).collect())
}

/// What an honest parent says of a node.
fn child(node: &DirectoryNode, number: u8) -> DirectoryChild {
    let NodeSummary { count, within } = NodeSummary::of(node);
    let last = match node {
        DirectoryNode::Leaf(entries) => entries.last().unwrap().name.clone(),
        DirectoryNode::Interior { children, .. } => children.last().unwrap().last.clone(),
    };
    DirectoryChild { last, node: at(number), count, within }
}

fn folder_of(root: &DirectoryNode) -> NodeClaim {
    let within = NodeSummary::of(root).within;
    NodeClaim::of_folder(&FolderNode { tree: Some(at(9)), within, ..FolderNode::default() }).unwrap()
}

fn holds(claim: &NodeClaim, node: &DirectoryNode) -> bool {
    claim.check(node, &NodeSummary::of(node)).is_ok()
}

#[test]
fn what_is_so_is_taken() {
    let (one, two) = (leaf(&[("a", 1), ("b", 2)]), leaf(&[("c", 3)]));
    let root = DirectoryNode::Interior { level: 1, children: vec![child(&one, 1), child(&two, 2)] };
    let claim = folder_of(&root);
    assert!(holds(&claim, &root));
    assert!(holds(&claim.child(&root, 0).unwrap(), &one) && holds(&claim.child(&root, 1).unwrap(), &two));
    assert_eq!(claim.child(&root, 2), None);
}

/// Sixty levels of nodes with two equal children each would be walked for ever.
#[test]
fn a_node_stands_at_one_place_of_a_folder_only() {
    let one = leaf(&[("a", 1), ("b", 2)]);
    // The second place needs another last name, or names are out of order.
    let again = DirectoryChild { last: Bytes::from_static(b"c"), ..child(&one, 1) };
    let root = DirectoryNode::Interior { level: 1, children: vec![child(&one, 1), again] };
    let claim = folder_of(&root);
    assert!(holds(&claim.child(&root, 0).unwrap(), &one));
    assert!(!holds(&claim.child(&root, 1).unwrap(), &one));
    // One level down the range above still counts.
    let below = DirectoryNode::Interior { level: 1, children: vec![child(&one, 1)] };
    let top = DirectoryNode::Interior {
        level: 2,
        children: vec![DirectoryChild { last: Bytes::from_static(b"aa"), ..child(&below, 3) }, child(&below, 4)],
    };
    let second = folder_of(&top).child(&top, 1).unwrap();
    assert!(holds(&second, &below), "its children's last name lies behind");
    assert!(!holds(&second.child(&below, 0).unwrap(), &one), "but a name of theirs does not");
}

#[test]
fn level_count_and_dots_must_be_what_is_there() {
    let one = leaf(&[("a", 1), ("b", 2)]);
    let honest = child(&one, 1);
    let said = |child: DirectoryChild| holds(&NodeClaim::of_child(&child, 0), &one);
    assert!(said(honest.clone()));
    assert!(!said(DirectoryChild { count: 3, ..honest.clone() }));
    assert!(!said(DirectoryChild { last: Bytes::from_static(b"bb"), ..honest.clone() }));
    let mut within = honest.within.clone();
    within.add(Dot { writer: Writer([1; 16]), seq: 7 });
    assert!(!said(DirectoryChild { within, ..honest.clone() }));
    assert!(!holds(&NodeClaim::of_child(&honest, 1), &one));
    let folder = FolderNode { tree: Some(at(1)), within: FolderVectors::default(), ..FolderNode::default() };
    assert!(!holds(&NodeClaim::of_folder(&folder).unwrap(), &one), "a folder's entry is held to it, too");
}
