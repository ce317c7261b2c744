//! Contents of small files that go along with others.

use fsdfs_core::tree::{FileContent, TreeItem, TreeItemKind};
use fsdfs_proto::control::{ListingEntry, PAGE_CONTENTS_MAX, SmallContent, WriteReply};
use fsdfs_proto::ids::VolumeId;
use futures::{StreamExt as _, TryStreamExt as _};

use super::convert;
use crate::client::{Client, ClientError, Freshness, OpenFile, UploadSummary};

/// Files of one page that are read at once, where they have blocks of their own.
const READS_UNDER_WAY: usize = 40;

/// Entries with the contents of files of at most `max` bytes, up to [`PAGE_CONTENTS_MAX`] together; whether some had to be left
/// to the next page.
pub(super) async fn entries(
    client: &Client,
    volume: VolumeId,
    items: Vec<TreeItem>,
    max: u64,
) -> (Vec<ListingEntry>, bool) {
    let sizes = items.iter().map(|item| (small_size(item, max), item.conflict_of.is_some()));
    let count = fitting(sizes);
    let is_cut = count < items.len();
    let read = futures::stream::iter(items.into_iter().take(count)).map(|item| entry(client, volume, item, max));
    (read.buffered(READS_UNDER_WAY).collect().await, is_cut)
}

/// Whoever asked finds out why a content is missing when it asks for that file alone.
async fn entry(client: &Client, volume: VolumeId, item: TreeItem, max: u64) -> ListingEntry {
    let entry = convert::entry(&item);
    let content = match item.kind {
        TreeItemKind::File { content: FileContent::Inline(bytes), size } if size <= max => Some(bytes),
        TreeItemKind::File { content: content @ FileContent::Tree { .. }, size } if size <= max => {
            let (xattrs, freshness) = (Vec::new(), Freshness::default());
            let file = OpenFile { volume, size, attrs: item.attrs, xattrs, content, freshness };
            whole(client, &file).await.ok()
        }
        _ => None,
    };
    ListingEntry { content: content.map(SmallContent), ..entry }
}

async fn whole(client: &Client, file: &OpenFile) -> Result<bytes::Bytes, ClientError> {
    let parts: Vec<bytes::Bytes> = client.read(file, 0..file.size).try_collect().await?;
    Ok(match <[bytes::Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => parts.concat().into(),
    })
}

/// Bytes that an entry's content adds to a page.
fn small_size(item: &TreeItem, max: u64) -> u64 {
    match &item.kind {
        TreeItemKind::File { content: FileContent::Symlink(_), .. } | TreeItemKind::Dir { .. } => 0,
        TreeItemKind::File { size, .. } if *size <= max => *size,
        TreeItemKind::File { .. } => 0,
    }
}

/// How many of these fit into a page: one at least. The names that a stored name is shown by are not parted, for the next page
/// begins behind the stored one.
fn fitting(sizes: impl Iterator<Item = (u64, bool)>) -> usize {
    let mut bytes = 0;
    let fits = |(size, is_alias): &(u64, bool)| {
        let fits = bytes < PAGE_CONTENTS_MAX as u64 || *is_alias;
        bytes += size;
        fits
    };
    sizes.take_while(fits).count()
}

/// Bytes of a content that has no block of its own: they go with their folder.
pub(super) fn inline_bytes(content: &FileContent) -> u64 {
    match content {
        FileContent::Inline(bytes) => bytes.len() as u64,
        FileContent::Symlink(_) | FileContent::Tree { .. } => 0,
    }
}

/// The answer to a change whose contents came to this.
pub(super) fn with_blocks(commit: &WriteReply, uploaded: &UploadSummary) -> WriteReply {
    let blocks = uploaded.worst.as_ref().map(|worst| convert::written(worst, true));
    let all = blocks.map_or_else(|| commit.clone(), |blocks| convert::worse(commit, &blocks));
    WriteReply { uploaded_bytes: uploaded.uploaded_bytes, unchanged: commit.unchanged, ..all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_when_its_contents_are_enough() {
        let half = PAGE_CONTENTS_MAX as u64 / 2;
        let count = |sizes: &[u64]| fitting(sizes.iter().map(|size| (*size, false)));
        assert_eq!((count(&[half; 9]), count(&[half + 1; 9]), count(&[0; 9])), (2, 2, 9));
        assert_eq!(count(&[half, half - 1, 0, 7, 7]), 4, "one more than is enough goes along");
        assert_eq!(fitting([(2 * half, false), (7, true), (7, true), (7, false)].into_iter()), 3);
    }
}
