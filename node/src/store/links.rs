//! What blocks with links need, remembered: whoever collects walks all trees again and again, and most of their blocks lie elsewhere.
//!
//! A cache in the home folder and nothing more: what was forgotten is read or fetched again, and when it cannot be used it is thrown away.
//! What was not asked for in a month goes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fsdfs_core::seam::{LinksDone, ReadDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::{CanonicalCodec, decode, encode};
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::volume::{BlockKind, BlockLink, header};
use serde::{Deserialize, Serialize};

use super::index::{IndexEngine, IndexError, IndexFactory};
use crate::clock::wall_ms;

/// In the home folder.
pub(crate) const FOLDER: &str = "links";
/// That something was asked for is written down again after so many days.
const ASKED_AGAIN_DAYS: u32 = 7;
/// What was not asked for in so many days goes. A state that is kept is walked many times a day.
const KEPT_DAYS: u32 = 30;
/// Entries looked at in one step, when what is old goes.
const PAGE: usize = 1_024;

/// See the module.
pub(crate) struct LinkCache {
    indexes: Arc<dyn IndexFactory>,
    dir: PathBuf,
    open: Mutex<OpenCache>,
}

#[derive(Default)]
struct OpenCache {
    /// Opened when it is first asked: a node that keeps nothing has none.
    engine: Option<Arc<dyn IndexEngine>>,
    /// What lies there cannot be used.
    is_broken: bool,
    is_closed: bool,
    /// The day on which what was old went last.
    cleaned: u32,
}

/// What is remembered of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptLinks {
    /// Days since 1970 on which somebody asked last, give or take [`ASKED_AGAIN_DAYS`].
    asked: u32,
    kind: BlockKind,
    volume: VolumeId,
    links: Vec<BlockLink>,
}

impl CanonicalCodec for KeptLinks {}

impl KeptLinks {
    /// None: no block of a tree.
    fn of(block: &Block, today: u32) -> Option<Self> {
        let found = header(block.bytes()).ok()?;
        Some(Self { asked: today, kind: found.kind, volume: found.volume, links: found.links })
    }
}

impl LinkCache {
    /// Opens nothing yet.
    pub fn new(indexes: Arc<dyn IndexFactory>, dir: PathBuf) -> Self {
        Self { indexes, dir, open: Mutex::default() }
    }

    /// Remembers what a block needs.
    pub fn keep(&self, block: &Block) {
        if let Some(links) = KeptLinks::of(block, today()) {
            self.write(&[(block.id(), links)]);
        }
    }

    /// What these blocks need, in their order: as it is remembered, or as the copies say that `read` finds here.
    pub fn of(&self, ids: &[BlockId], read: impl Fn(&BlockId) -> ReadDone) -> Vec<LinksDone> {
        let today = today();
        let mut news = Vec::new();
        let done = ids.iter().map(|id| self.of_one(id, &read, today, &mut news)).collect();
        if !news.is_empty() {
            self.write(&news);
        }
        done
    }

    fn of_one(
        &self,
        id: &BlockId,
        read: impl Fn(&BlockId) -> ReadDone,
        today: u32,
        news: &mut Vec<(BlockId, KeptLinks)>,
    ) -> LinksDone {
        let known = self.read(id);
        let is_new = known.as_ref().is_none_or(|kept| today.abs_diff(kept.asked) >= ASKED_AGAIN_DAYS);
        let kept = match known {
            Some(kept) => KeptLinks { asked: today, ..kept },
            None => match read(id) {
                ReadDone::Found(block) => match KeptLinks::of(&block, today) {
                    Some(kept) => kept,
                    None => return LinksDone::No,
                },
                ReadDone::NotYet => return LinksDone::NotYet,
                ReadDone::No | ReadDone::Damaged | ReadDone::Failed => return LinksDone::No,
            },
        };
        // Blocks without links are asked for when they are about to go, once.
        if is_new && kept.kind != BlockKind::Data {
            news.push((*id, kept.clone()));
        }
        LinksDone::Known { kind: kept.kind, volume: kept.volume, links: kept.links }
    }

    fn read(&self, id: &BlockId) -> Option<KeptLinks> {
        self.with(|engine| match engine.get(&id.0)? {
            Some(bytes) => Ok(decode(&bytes).map(Some)?),
            None => Ok(None),
        })?
    }

    fn write(&self, kept: &[(BlockId, KeptLinks)]) {
        let changes = kept.iter().map(|(id, links)| (id.0.to_vec(), Some(encode(links)))).collect();
        self.with(|engine| engine.apply(changes));
        self.clean(today());
    }

    /// Once a day what is old goes.
    fn clean(&self, today: u32) {
        if std::mem::replace(&mut self.lock().cleaned, today) == today {
            return;
        }
        self.with(|engine| {
            let mut after = Vec::new();
            loop {
                let page = engine.between(&after, &[u8::MAX; 33], PAGE)?;
                let is_old = |value: &[u8]| match decode::<KeptLinks>(value) {
                    Ok(kept) => today.saturating_sub(kept.asked) > KEPT_DAYS,
                    Err(_) => true,
                };
                let old: Vec<_> =
                    page.iter().filter(|(_, value)| is_old(value)).map(|(key, _)| (key.clone(), None)).collect();
                if !old.is_empty() {
                    engine.apply(old)?;
                }
                match page.into_iter().nth(PAGE - 1) {
                    Some((last, _)) => after = last,
                    None => return Ok(()),
                }
            }
        });
    }

    /// None: it cannot be used, and is thrown away.
    fn with<T>(&self, call: impl FnOnce(&dyn IndexEngine) -> Result<T, IndexError>) -> Option<T> {
        let engine = self.engine()?;
        match call(&*engine) {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::warn!(path = %self.dir.display(), %error, "what is remembered of links is thrown away; it is read again");
                let mut open = self.lock();
                (open.engine, open.is_broken) = (None, true);
                None
            }
        }
    }

    fn engine(&self) -> Option<Arc<dyn IndexEngine>> {
        let mut open = self.lock();
        if open.engine.is_none() && !open.is_closed {
            let opened = self.indexes.open(&self.dir, open.is_broken).or_else(|_| self.indexes.open(&self.dir, true));
            open.engine = opened.ok();
            open.is_broken = false;
            self.indexes.drop_aside(&self.dir);
        }
        open.engine.clone()
    }

    /// Nothing is remembered any more until the next start.
    pub fn close(&self) {
        let mut open = self.lock();
        open.is_closed = true;
        if let Some(engine) = open.engine.take() {
            // What is lost is read again.
            let _ = engine.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenCache> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn today() -> u32 {
    u32::try_from(wall_ms() / (24 * 3_600_000)).unwrap_or(u32::MAX)
}
