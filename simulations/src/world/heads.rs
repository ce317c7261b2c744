//! What a head says of itself.

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{CommitView, VersionVector};

/// Id of the commit that a head carries.
pub fn commit_of(head: &Signed<Head>) -> BlockId {
    BlockId::of(&head.value().commit)
}

/// What these heads include, without looking into them.
pub fn seen_of(heads: &[Signed<Head>]) -> VersionVector {
    let mut seen = VersionVector::default();
    for view in heads.iter().filter_map(|head| CommitView::of_head(head.value()).ok()) {
        seen.add_all(&view.extra.version_vector);
    }
    seen
}
