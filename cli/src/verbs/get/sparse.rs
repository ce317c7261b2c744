//! A file with holes on its way out of the store: only what lies between them is asked for.

use std::ops::Range;

use fsdfs_node::control_client::{Download, DownloadRange};
use fsdfs_proto::control::ExtendedAttribute;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::api::DaemonApi;
use crate::local::LocalAttributes;
use crate::local::holes::data_between;
use crate::local::incoming::IncomingFile;
use crate::local::journal::VerifiedPart;
use crate::local::write::{OverwritePolicy, WriteError};
use crate::progress::FileProgress;
use crate::remote::RemotePath;
use crate::verbs::get::pieces::{DownloadError, DownloadedFile, FilePiece, ended, writer};

/// A shorter hole comes as zeros sooner than one more request is answered.
const HOLE_BYTES_MIN: u64 = 8 << 20;

/// Where a file has data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseFile {
    from: RemotePath,
    tag: String,
    size: u64,
    data: Vec<Range<u64>>,
}

impl SparseFile {
    /// None if the file has no holes that are worth it.
    pub async fn look(api: &DaemonApi, from: &RemotePath) -> Result<Option<Self>, DownloadError> {
        let mut page = api.holes(from, 0).await?;
        let (tag, size) = (page.tag.clone(), page.size);
        let mut holes: Vec<Range<u64>> = Vec::new();
        loop {
            for hole in &page.holes {
                match holes.last_mut().filter(|last| last.end == hole.start) {
                    Some(last) => last.end = hole.end,
                    None => holes.push(hole.start..hole.end),
                }
            }
            if page.until >= size {
                break;
            }
            page = api.holes(from, page.until).await?;
            if page.tag != tag {
                return Err(DownloadError::Changed);
            }
        }
        let data = data_between(holes, size, HOLE_BYTES_MIN);
        let is_whole = data.first().is_some_and(|first| *first == (0..size));
        Ok((!is_whole && size > 0).then(|| Self { from: from.clone(), tag, size, data }))
    }

    /// Bytes that are to come.
    pub fn data_bytes(&self) -> u64 {
        self.data.iter().map(|data| data.end - data.start).sum()
    }

    /// Fetches it, and goes on where an earlier get of the same content stopped.
    pub async fn fetch(
        self,
        api: &DaemonApi,
        (mut incoming, found): (IncomingFile, Option<VerifiedPart>),
        existing: OverwritePolicy,
        mut shown: FileProgress,
    ) -> Result<DownloadedFile, DownloadError> {
        let here = found.filter(|found| found.tag == self.tag && found.bytes <= self.size);
        let start = here.map_or(0, |found| found.bytes);
        incoming.go_on(&self.tag, start).map_err(WriteError::from)?;
        let (pieces, writer) = writer(incoming, existing);
        shown.advance(start);
        let sent = self.send(api, start, &pieces, &mut shown).await;
        drop(pieces);
        ended(writer, sent, shown).await
    }

    async fn send(
        &self,
        api: &DaemonApi,
        start: u64,
        pieces: &mpsc::Sender<FilePiece>,
        shown: &mut FileProgress,
    ) -> Result<u64, DownloadError> {
        let mut at = start;
        let mut attributes = None;
        for data in self.data.iter().filter(|data| data.end > start) {
            let from = data.start.max(start);
            self.skip(from - at, pieces, shown).await;
            let part = self.part(api, from..data.end).await?;
            attributes = Some(of(&part));
            let mut content = part.content();
            at = from;
            while let Some(bytes) = content.next().await {
                let bytes = bytes?;
                at += bytes.len() as u64;
                shown.advance(bytes.len() as u64);
                if pieces.send(FilePiece::Bytes(bytes)).await.is_err() {
                    return Ok(at);
                }
            }
            if at != data.end {
                return Err(DownloadError::Short { got: at, size: self.size });
            }
        }
        self.skip(self.size - at, pieces, shown).await;
        let (attrs, xattrs) = match attributes {
            Some(attributes) => attributes,
            // Nothing had to come; any byte tells of them.
            None => of(&self.part(api, self.size - 1..self.size).await?),
        };
        let _ = pieces.send(FilePiece::End(attrs, xattrs)).await;
        Ok(self.size)
    }

    /// If the writer failed, it says why.
    async fn skip(&self, bytes: u64, pieces: &mpsc::Sender<FilePiece>, shown: &mut FileProgress) {
        if bytes > 0 {
            shown.advance(bytes);
            let _ = pieces.send(FilePiece::Hole(bytes)).await;
        }
    }

    async fn part(&self, api: &DaemonApi, bytes: Range<u64>) -> Result<Download, DownloadError> {
        let part = api.download(&self.from, &DownloadRange::Part(bytes, self.tag.clone())).await?;
        if part.is_part && part.tag == self.tag { Ok(part) } else { Err(DownloadError::Changed) }
    }
}

fn of(download: &Download) -> (LocalAttributes, Vec<ExtendedAttribute>) {
    (LocalAttributes { mode: download.mode, mtime_ns: download.mtime_ns }, download.xattrs.clone())
}
