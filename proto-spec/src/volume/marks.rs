//! Marks: a node's word that one of its writers used a number (spec 05-volume §6).
//!
//! What a state includes, others drop. Everybody who holds the volume's key can write a number into a version vector; only the
//! node whose writer it is can mark it, and does so when it publishes the operation. So no state includes what was never
//! published.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};

use super::header::header;
use super::version_vector::{Dot, VersionVector};
use crate::identity::{Head, KnownMark, NodeMarks};
use crate::ids::{NodeId, Signature, VolumeId, Writer};
use crate::label::{SIGN_PREFIX, sign};
use crate::signed::verify;

/// `"fsdfs/2/mark" 00 volume32 writer16 be64(seq)`.
fn marked(volume: VolumeId, dot: Dot) -> Vec<u8> {
    let seq = dot.seq.to_be_bytes();
    [SIGN_PREFIX.as_bytes(), sign::MARK.as_bytes(), &[0], &volume.0, &dot.writer.0, &seq].concat()
}

/// What a commit includes, as far as it is one.
fn seen_by(commit: &[u8]) -> Option<VersionVector> {
    Some(header(commit).ok()?.extra?.version_vector)
}

impl Head {
    /// Its marks beside what they mark; none if they are not one for each number of this version vector.
    pub fn marks_of(&self, version_vector: &VersionVector) -> Option<Vec<(Dot, NodeId, Signature)>> {
        let mut left = version_vector.dots();
        let mut marks = Vec::with_capacity(left.len());
        for NodeMarks { node, signatures } in &self.marks {
            let (own, rest) = left.split_at_checked(signatures.len())?;
            let of_node = Writer::of(*node, 0);
            let is_own = |dot: &Dot| dot.writer.is_beside(&of_node);
            if own.is_empty() || !own.iter().all(is_own) || rest.first().is_some_and(is_own) {
                return None;
            }
            marks.extend(own.iter().zip(signatures).map(|(dot, signature)| (*dot, *node, *signature)));
            left = rest;
        }
        left.is_empty().then_some(marks)
    }

    /// Whether all its marks are what their nodes signed. A head whose commit cannot be read has none.
    pub(crate) fn has_marks(&self, known: KnownMark) -> bool {
        let Some(seen) = seen_by(&self.commit) else { return true };
        let marks = self.marks_of(&seen).unwrap_or_default();
        let is_right = |(dot, node, signature): &(Dot, NodeId, Signature)| {
            known(self.volume, *dot, signature) || verify((*node).into(), &marked(self.volume, *dot), signature)
        };
        marks.iter().all(is_right)
    }
}

/// Marks of heads, from which those of the next head are taken.
#[derive(Clone, Debug, Default)]
pub struct MarkSet(BTreeMap<Dot, (NodeId, Signature)>);

impl MarkSet {
    /// Those of a head; nothing of one that is malformed.
    pub fn add_head(&mut self, head: &Head) {
        let marks = seen_by(&head.commit).and_then(|seen| head.marks_of(&seen));
        self.0.extend(marks.into_iter().flatten().map(|(dot, node, signature)| (dot, (node, signature))));
    }

    /// A node's word that its writer used this number.
    pub fn sign(&mut self, key: &SigningKey, volume: VolumeId, dot: Dot) {
        let node = NodeId(key.verifying_key().to_bytes());
        self.add(dot, node, Signature(key.sign(&marked(volume, dot)).to_bytes()));
    }

    /// Takes in a mark as it is.
    pub fn add(&mut self, dot: Dot, node: NodeId, signature: Signature) {
        self.0.insert(dot, (node, signature));
    }

    /// Those of all numbers in this version vector; none if one is missing.
    pub fn of(&self, version_vector: &VersionVector) -> Option<Vec<NodeMarks>> {
        let mut marks: Vec<NodeMarks> = Vec::new();
        for dot in version_vector.dots() {
            let (node, signature) = *self.0.get(dot)?;
            match marks.last_mut().filter(|last| last.node == node) {
                Some(last) => last.signatures.push(signature),
                None => marks.push(NodeMarks { node, signatures: vec![signature] }),
            }
        }
        Some(marks)
    }
}
