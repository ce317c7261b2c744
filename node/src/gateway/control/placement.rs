//! Where the blocks of an entry are, summed over its blocks.

use std::collections::BTreeMap;

use fsdfs_core::report::{BlockLocation, HeldState, MemberList};
use fsdfs_core::tree::{FileContent, TreeItem, TreeItemKind, TreePath};
use fsdfs_proto::control::{BlockPlacement, HolderBlocks};
use fsdfs_proto::ids::{BlockId, NodeId};
use futures::TryStreamExt as _;

use crate::client::{Client, ClientError, VolumeView};

/// Blocks asked about at once.
const BATCH: usize = fsdfs_proto::message::IDS_MAX;

pub(super) async fn of(
    client: &Client,
    of: VolumeView,
    path: TreePath,
    shown: &TreeItem,
) -> Result<BlockPlacement, ClientError> {
    let members = client.members().await?;
    let mut sum = PlacementSum { target_copies: client.status().await?.copies, ..PlacementSum::default() };
    let Some(root) = root(client, of, path, shown).await? else { return Ok(sum.finish(&members)) };
    match &shown.kind {
        TreeItemKind::File { size, content: content @ FileContent::Tree { .. } } => {
            let ids = client.block_ids(of.volume, content, *size).try_chunks(BATCH);
            let mut batches = std::pin::pin!(ids);
            while let Some(ids) = batches.try_next().await.map_err(|stopped| stopped.1)? {
                sum.add(&client.locate(&ids).await?, &members);
            }
        }
        _ => sum.add(&client.locate(&[root]).await?, &members),
    }
    Ok(sum.finish(&members))
}

/// The block that holds a small file, a link or a folder is a folder's.
async fn root(
    client: &Client,
    of: VolumeView,
    mut path: TreePath,
    shown: &TreeItem,
) -> Result<Option<BlockId>, ClientError> {
    let folder = match &shown.kind {
        TreeItemKind::Dir { root } => return Ok(root.map(|root| root.id)),
        TreeItemKind::File { content: FileContent::Tree { root, .. }, .. } => return Ok(Some(root.id)),
        TreeItemKind::File { .. } => {
            path.pop();
            client.entry(of, path).await?.0
        }
    };
    Ok(match folder.kind {
        TreeItemKind::Dir { root } => root.map(|root| root.id),
        TreeItemKind::File { .. } => None,
    })
}

#[derive(Default)]
struct PlacementSum {
    blocks: u64,
    target_copies: u8,
    copies: Option<(u8, u8)>,
    sites_min: Option<u8>,
    /// Blocks stored and blocks expected.
    holders: BTreeMap<NodeId, (u64, u64)>,
}

impl PlacementSum {
    fn add(&mut self, found: &[BlockLocation], members: &MemberList) {
        for block in found {
            let wanted_and_held =
                block.assigned.iter().filter(|(_, held)| *held == HeldState::Yes).map(|(node, _)| *node);
            let held: Vec<NodeId> = wanted_and_held.chain(block.others.iter().copied()).collect();
            self.blocks += 1;
            let copies = u8::try_from(held.len()).unwrap_or(u8::MAX);
            let (least, most) = self.copies.unwrap_or((copies, copies));
            self.copies = Some((least.min(copies), most.max(copies)));
            let sites = sites(&held, members);
            self.sites_min = Some(self.sites_min.map_or(sites, |least| least.min(sites)));
            held.iter().for_each(|node| self.holders.entry(*node).or_default().0 += 1);
            block.assigned.iter().for_each(|(node, _)| self.holders.entry(*node).or_default().1 += 1);
        }
    }

    fn finish(self, members: &MemberList) -> BlockPlacement {
        let (copies_min, copies_max) = self.copies.unwrap_or_default();
        let holders = self.holders.into_iter().map(|(node, (stored_blocks, expected_blocks))| {
            let member = members.members.iter().find(|member| member.node == node);
            HolderBlocks {
                id: node.to_string(),
                name: member.map_or_else(|| node.short(), |member| member.label.clone()),
                site: member.map(|member| member.site.clone()).unwrap_or_default(),
                stored_blocks,
                expected_blocks,
            }
        });
        BlockPlacement {
            blocks: self.blocks,
            target_copies: self.target_copies,
            copies_min,
            copies_max,
            sites_min: self.sites_min.unwrap_or_default(),
            holders: holders.collect(),
        }
    }
}

fn sites(nodes: &[NodeId], members: &MemberList) -> u8 {
    let of = |node: &NodeId| members.members.iter().find(|member| member.node == *node).map(|member| &member.site);
    let sites: std::collections::BTreeSet<_> = nodes.iter().map(of).collect();
    u8::try_from(sites.len()).unwrap_or(u8::MAX)
}
