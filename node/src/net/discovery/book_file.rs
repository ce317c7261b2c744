//! The address book's file: read once, written now and then.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fsdfs_proto::ids::NodeId;
use tokio_util::task::AbortOnDropHandle;

use super::book::AddressBook;
use crate::files;

/// What is new is on the disk after this: a crash costs little, for the others know it, too.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// A book, and where it is kept.
pub(crate) struct BookFile {
    book: Mutex<AddressBook>,
    path: Option<PathBuf>,
}

impl BookFile {
    /// As it was written, or empty.
    pub(crate) fn open(path: Option<PathBuf>) -> Arc<Self> {
        let text = path.as_ref().filter(|path| path.exists()).map(|path| files::read_text(path));
        let book = match text {
            None => AddressBook::default(),
            Some(Ok(text)) => AddressBook::read(&text).unwrap_or_else(|| {
                tracing::warn!("the address book (peers.book) is damaged; it is begun again");
                AddressBook::default()
            }),
            Some(Err(error)) => {
                tracing::warn!("{error}; the address book is begun again");
                AddressBook::default()
            }
        };
        Arc::new(Self { book: Mutex::new(book), path })
    }

    /// Writes what is new until it is dropped.
    pub(crate) fn keep(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let file = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(SAVE_EVERY).await;
                file.save().await;
            }
        }))
    }

    /// Writes what is new.
    pub(crate) async fn save(&self) {
        let Some(path) = self.path.clone() else { return };
        let Some(text) = self.lock().take_text() else { return };
        let written = tokio::task::spawn_blocking(move || files::publish(&path, text.as_bytes(), files::SECRET)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{error}: members' addresses are not written down"),
            Err(error) => tracing::error!(%error, "the address book was not written"),
        }
    }

    pub(crate) fn note_worked(&self, node: NodeId, address: SocketAddr) {
        self.lock().note_worked(node, address, now_s());
    }

    pub(crate) fn note_named(&self, node: NodeId, addresses: &[SocketAddr]) {
        let mut book = self.lock();
        addresses.iter().for_each(|address| book.note_named(node, *address, now_s()));
    }

    pub(crate) fn addresses(&self, node: NodeId) -> Vec<SocketAddr> {
        self.lock().addresses(node).collect()
    }

    fn lock(&self) -> MutexGuard<'_, AddressBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_book_outlives_the_process_and_a_damaged_one_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.book");
        let (node, address) = (NodeId([1; 32]), SocketAddr::from(([192, 0, 2, 1], 7)));
        let book = BookFile::open(Some(path.clone()));
        book.save().await;
        assert!(!path.exists(), "there is nothing to be written yet");
        book.note_worked(node, address);
        book.save().await;
        assert_eq!(BookFile::open(Some(path.clone())).addresses(node), [address]);
        std::fs::write(&path, "half a bo").unwrap();
        assert_eq!(BookFile::open(Some(path)).addresses(node), []);
        let nowhere = BookFile::open(None);
        nowhere.note_worked(node, address);
        nowhere.save().await;
        assert_eq!(nowhere.addresses(node), [address]);
    }
}
