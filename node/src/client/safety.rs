//! How safe everything below a path is: its blocks, by their visible links, and what the members say that they have of them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use fsdfs_core::plan::SafetySum;
use fsdfs_core::report::{BlockAssurance, CopyProof, MemberList};
use fsdfs_core::seam::{Command, Refusal, Reply};
use fsdfs_core::tree::{FileContent, QueryResult, TreeItem, TreeItemKind, TreePath, TreeQuery};
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::IDS_MAX;
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};
use fsdfs_proto::volume::{BlockLink, LinkClass, header};
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt as _, TryStreamExt as _};

use super::error::ClientError;
use super::handle::{Client, Freshness, VolumeView, answer};

/// Blocks that are asked about exactly; of more, those with the smallest ids, which is a fair sample, for ids are hashes.
pub const SAFETY_SAMPLE: usize = 16_384;
/// The same where copies are to be proven, each of which is read.
pub const PROOF_SAMPLE: usize = 1_000;
/// Blocks whose proofs are asked for at once. How many are under way is the engine's business.
const PROOFS_ASKED: usize = 16;
/// Blocks with links that are read at once.
const READS_UNDER_WAY: usize = 16;
/// Entries of a folder that are listed at once, where it has no block of its own.
const PAGE: usize = 1024;

/// The blocks below a path, and those of its folders up to the root: all, or a sample.
#[derive(Debug)]
pub struct BlocksBelow {
    found: BlockSet,
    /// Those that were to be read for their links, and could not be.
    unreadable: BTreeSet<BlockId>,
    freshness: Freshness,
}

impl BlocksBelow {
    /// Blocks that are asked about.
    pub fn asked(&self) -> u64 {
        self.found.first.len() as u64
    }
}

/// Sums over blocks, as they are asked about.
pub(super) struct SafetyCount<'a> {
    sites: BTreeMap<NodeId, &'a str>,
    sum: SafetySum,
    unreadable: BTreeSet<BlockId>,
}

impl<'a> SafetyCount<'a> {
    pub fn new(unreadable: BTreeSet<BlockId>, members: &'a MemberList) -> Self {
        let sites = members.members.iter().map(|member| (member.node, member.site.as_str())).collect();
        Self { sites, sum: SafetySum::default(), unreadable }
    }

    pub fn add(&mut self, block: &BlockAssurance) {
        let before = self.sum.unreadable_blocks;
        self.sum.add(block, |node| self.sites.get(&node).copied().unwrap_or_default());
        if self.sum.unreadable_blocks > before {
            // It is counted.
            self.unreadable.remove(&block.id);
        }
    }

    pub fn end(mut self) -> SafetySum {
        self.sum.note_unreadable(self.unreadable.len() as u64);
        self.sum
    }
}

/// What was found below a path.
#[derive(Clone, Debug)]
pub struct SafetyFound {
    /// Blocks, about so many if not all were asked about.
    pub blocks: u64,
    /// Of those that were asked about.
    pub sum: SafetySum,
    /// What is not looked at.
    pub freshness: Freshness,
}

/// Blocks to be asked about.
#[derive(Debug)]
struct BlockSet {
    most: usize,
    /// Those with the smallest ids, with the copies that are wanted of each.
    first: BTreeMap<BlockId, u8>,
    is_cut: bool,
}

impl BlockSet {
    fn new(most: usize) -> Self {
        Self { most, first: BTreeMap::new(), is_cut: false }
    }

    fn add(&mut self, id: BlockId, copies: u8) {
        let wanted = self.first.entry(id).or_default();
        *wanted = copies.max(*wanted);
        if self.first.len() > self.most {
            self.first.pop_last();
            self.is_cut = true;
        }
    }

    /// As many as one question may have, at a time.
    fn parts(&self) -> impl Iterator<Item = Vec<(BlockId, u8)>> {
        let blocks: Vec<(BlockId, u8)> = self.first.iter().map(|(id, copies)| (*id, *copies)).collect();
        let parts = blocks.len().div_ceil(IDS_MAX);
        (0..parts).map(move |part| blocks.iter().skip(part * IDS_MAX).take(IDS_MAX).copied().collect())
    }

    /// How many there are: exactly, or by how close together the smallest ids lie.
    fn count(&self) -> u64 {
        let known = self.first.len() as u64;
        let Some((last, _)) = self.first.last_key_value().filter(|_| self.is_cut) else { return known };
        let part = u64::from_be_bytes(last.0[..8].try_into().expect("an id has 32 bytes"));
        let all = u128::from(known) * (1 << 64) / u128::from(part.max(1));
        u64::try_from(all).unwrap_or(u64::MAX)
    }
}

/// A walk along visible links.
struct BlockWalk<'a> {
    client: &'a Client,
    of: VolumeView,
    found: BlockSet,
    /// To be read for their links.
    next: Vec<BlockId>,
    seen: BTreeSet<BlockId>,
    /// Those that could not be read.
    unreadable: BTreeSet<BlockId>,
}

impl Client {
    /// Finds the blocks below a path, and those of its folders up to the root; of more than `most` a sample.
    pub async fn blocks_below(
        &self,
        volume: VolumeId,
        path: TreePath,
        most: usize,
    ) -> Result<BlocksBelow, ClientError> {
        let copies = self.status().await?.copies;
        let mut walk = BlockWalk::new(self, volume.into(), most);
        let freshness = walk.begin(path, copies).await?;
        walk.run().await?;
        Ok(BlocksBelow { found: walk.found, unreadable: walk.unreadable, freshness })
    }

    /// The blocks below a path, of a state that may be an earlier one. Fails if one of those that lead to them is nowhere.
    pub(super) async fn subtree(&self, of: VolumeView, path: TreePath) -> Result<Vec<(BlockId, u8)>, ClientError> {
        let copies = self.shared.borrow().copies;
        let mut walk = BlockWalk::new(self, of, usize::MAX);
        let (entry, _) = self.entry(of, path.clone()).await?;
        walk.take_below(path, &entry, copies).await?;
        walk.run().await?;
        if !walk.unreadable.is_empty() {
            return Err(ClientError::Lost { away: Vec::new() });
        }
        Ok(walk.found.first.into_iter().collect())
    }

    /// Asks all members about these.
    pub async fn safety(&self, below: BlocksBelow, members: &MemberList) -> Result<SafetyFound, ClientError> {
        let BlocksBelow { found, unreadable, freshness } = below;
        let mut count = SafetyCount::new(unreadable, members);
        let blocks = found.count();
        for part in found.parts() {
            self.assure(part).await?.iter().for_each(|block| count.add(block));
        }
        Ok(SafetyFound { blocks, sum: count.end(), freshness })
    }

    /// Asks all members about these, and has each that says that it holds one read its copy and prove it. `on_block` hears how many
    /// blocks are through.
    pub async fn proven_safety(
        &self,
        below: BlocksBelow,
        members: &MemberList,
        mut on_block: impl FnMut(u64),
    ) -> Result<SafetyFound, ClientError> {
        let BlocksBelow { found, unreadable, freshness } = below;
        let mut count = SafetyCount::new(unreadable, members);
        let (blocks, mut through) = (found.count(), 0);
        for part in found.parts() {
            let assured = stream::iter(self.assure(part).await?);
            let mut proven = pin!(assured.map(|block| self.prove(block)).buffer_unordered(PROOFS_ASKED));
            while let Some(block) = proven.try_next().await? {
                count.add(&block);
                through += 1;
                on_block(through);
            }
        }
        Ok(SafetyFound { blocks, sum: count.end(), freshness })
    }

    /// What can be proven of what was said.
    async fn prove(&self, said: BlockAssurance) -> Result<BlockAssurance, ClientError> {
        let holds = |(node, copy): &(NodeId, AssuredCopy)| (copy.state == AssuredState::Held).then_some(*node);
        let holders: Vec<NodeId> = said.said.iter().filter_map(holds).collect();
        if holders.is_empty() {
            return Ok(said);
        }
        let proofs = answer!(self.ask(Command::Prove { id: said.id, holders }).await? => Prove)?;
        Ok(with_proofs(said, &proofs.into_iter().collect()))
    }

    async fn assure(&self, blocks: Vec<(BlockId, u8)>) -> Result<Vec<BlockAssurance>, ClientError> {
        answer!(self.ask(Command::Assure { blocks }).await? => Assure)
    }
}

impl<'a> BlockWalk<'a> {
    fn new(client: &'a Client, of: VolumeView, most: usize) -> Self {
        let (next, seen, unreadable) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Self { client, of, found: BlockSet::new(most), next, seen, unreadable }
    }

    /// What leads to the path, and what it leads to.
    async fn begin(&mut self, path: TreePath, copies: u8) -> Result<Freshness, ClientError> {
        let way = self.client.query(self.of, TreeQuery::Way { path: path.clone() }).await;
        let (entry, blocks, freshness) = match way {
            Ok((QueryResult::Way { entry, blocks }, freshness)) => (*entry, blocks, freshness),
            Ok((other, _)) => unreachable!("a query for a way finds a way, not {other:?}"),
            // The way itself is lost, and with it all that it leads to.
            Err(ClientError::Refused(Refusal::Unreachable { block, .. })) => {
                self.found.add(block, copies);
                self.unreadable.insert(block);
                return Ok(Freshness::default());
            }
            Err(other) => return Err(other),
        };
        blocks.into_iter().for_each(|id| self.found.add(id, copies));
        self.take_below(path, &entry, copies).await?;
        Ok(freshness)
    }

    /// An entry, and what is to be read of it without a block of its own.
    async fn take_below(&mut self, path: TreePath, entry: &TreeItem, copies: u8) -> Result<(), ClientError> {
        let mut open = Vec::new();
        self.take(path, entry, copies, &mut open);
        // Folders of which no state has been written yet, but for those that they are merged of.
        while let Some(path) = open.pop() {
            let mut after = None;
            loop {
                let (items, more, _) = self.client.list(self.of, path.clone(), after.take(), PAGE).await?;
                for item in &items {
                    let below = path.iter().cloned().chain([item.name.clone()]).collect();
                    self.take(below, item, copies, &mut open);
                }
                match items.last().filter(|_| more) {
                    Some(last) => after = Some(last.name.clone()),
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, path: TreePath, item: &TreeItem, copies: u8, open: &mut Vec<TreePath>) {
        match &item.kind {
            TreeItemKind::Dir { root: Some(root) } => self.reach(root.id, copies, LinkClass::Tree),
            TreeItemKind::Dir { root: None } => open.push(path),
            TreeItemKind::File { content: FileContent::Tree { root, depth }, .. } => {
                let class = if *depth == 0 { LinkClass::Leaf } else { LinkClass::Tree };
                self.reach(root.id, copies, class);
            }
            // It lies in its folder's blocks.
            TreeItemKind::File { .. } => {}
        }
    }

    fn reach(&mut self, id: BlockId, copies: u8, class: LinkClass) {
        match class {
            LinkClass::Tree if self.seen.insert(id) => self.next.push(id),
            // Nobody is promised what was before.
            LinkClass::Parent => return,
            _ => {}
        }
        self.found.add(id, copies);
    }

    async fn run(&mut self) -> Result<(), ClientError> {
        let client = self.client;
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < READS_UNDER_WAY
                && let Some(id) = self.next.pop()
            {
                under_way.push(async move { Ok::<_, ClientError>((id, links(client, id).await?)) });
            }
            match under_way.try_next().await? {
                Some((_, Some(links))) => {
                    for BlockLink { id, class, redundancy } in links {
                        self.reach(id, redundancy.copies(), class);
                    }
                }
                Some((id, None)) => {
                    self.unreadable.insert(id);
                }
                None => return Ok(()),
            }
        }
    }
}

/// Whoever said that it holds it counts if it proved it. One that gave no answer to that counts as having said nothing.
fn with_proofs(said: BlockAssurance, proofs: &BTreeMap<NodeId, CopyProof>) -> BlockAssurance {
    let state = |(node, copy): (NodeId, AssuredCopy)| {
        let copy = match proofs.get(&node) {
            Some(CopyProof::Proven(len)) => AssuredCopy { len: *len, verified_h: Some(0), ..copy },
            Some(CopyProof::Damaged) => AssuredCopy { state: AssuredState::Damaged, verified_h: None, ..copy },
            Some(CopyProof::Unproven) => AssuredCopy::NONE,
            Some(CopyProof::NoAnswer) => return None,
            None if copy.state == AssuredState::Held => return None,
            None => copy,
        };
        Some((node, copy))
    };
    let failed = |(node, proof): (&NodeId, &CopyProof)| (*proof == CopyProof::Unproven).then_some(*node);
    let unproven = proofs.iter().filter_map(failed).collect();
    BlockAssurance { said: said.said.into_iter().filter_map(state).collect(), unproven, ..said }
}

/// None if nobody who answers has it, or what they have is no block of a tree.
async fn links(client: &Client, id: BlockId) -> Result<Option<Vec<BlockLink>>, ClientError> {
    match client.get_block(id).await {
        Ok(block) => Ok(header(block.bytes()).ok().map(|header| header.links)),
        Err(ClientError::Lost { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> BlockId {
        // Spread evenly, as hashes are.
        let first = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        BlockId([&first[..], &[0; 24]].concat().try_into().expect("32 bytes"))
    }

    #[test]
    fn few_blocks_are_counted_exactly_and_each_once() {
        let mut set = BlockSet::new(100);
        (0..100).chain(0..100).for_each(|number| set.add(id(number), 2));
        set.add(id(7), 3);
        set.add(id(7), 1);
        assert_eq!((set.count(), set.is_cut, set.first[&id(7)]), (100, false, 3));
    }

    #[test]
    fn only_what_was_proven_counts_and_whoever_could_not_is_named() {
        let node = |number| NodeId([number; 32]);
        let held = AssuredCopy { state: AssuredState::Held, len: 5, verified_h: Some(700) };
        let gone = AssuredCopy { state: AssuredState::Condemned, ..held };
        let said = (1..=5).map(|number| (node(number), held)).chain([(node(6), gone)]).collect();
        let said = BlockAssurance { id: id(1), wanted: 3, assigned: Vec::new(), said, unproven: Vec::new() };
        let proofs = [CopyProof::Proven(9), CopyProof::Damaged, CopyProof::Unproven, CopyProof::NoAnswer];
        let found = with_proofs(said, &(1..).map(node).zip(proofs).collect());
        assert_eq!(found.unproven, [node(3)]);
        let damaged = AssuredCopy { state: AssuredState::Damaged, len: 5, verified_h: None };
        let proven = AssuredCopy { state: AssuredState::Held, len: 9, verified_h: Some(0) };
        let expected = [(node(1), proven), (node(2), damaged), (node(3), AssuredCopy::NONE), (node(6), gone)];
        assert_eq!(found.said, expected, "of 4 and 5 nothing is known");
    }

    #[test]
    fn a_question_has_no_more_blocks_than_it_may() {
        let mut set = BlockSet::new(10_000);
        (0..1_030).for_each(|number| set.add(id(number), 2));
        let parts: Vec<usize> = set.parts().map(|part| part.len()).collect();
        assert_eq!(parts, [IDS_MAX, IDS_MAX, 6]);
        assert!(set.parts().flatten().map(|(id, _)| id).eq(set.first.keys().copied()));
    }

    #[test]
    fn of_many_blocks_the_smallest_ids_are_kept_and_the_others_estimated() {
        let mut set = BlockSet::new(1_000);
        (0..50_000).for_each(|number| set.add(id(number), 2));
        let mut all: Vec<BlockId> = (0..50_000).map(id).collect();
        all.sort_unstable();
        assert!(set.first.keys().eq(&all[..1_000]));
        assert!((45_000..55_000).contains(&set.count()), "{}", set.count());
    }
}
