//! Sends what the relay decided to send, when the line has something to lend.

use std::sync::Arc;
use std::time::Duration;

use fsdfs_core::seam::TrafficClass;
use quinn::udp::Transmit;
use tokio::time::sleep_until;

use super::switchboard::Switchboard;
use crate::net::pacer::{BlockPace, RateGate};

/// The task behind a relay.
pub(in crate::net) struct RelayForwarder {
    pub(super) switchboard: Arc<Switchboard>,
}

impl RelayForwarder {
    /// For ever. What is forwarded leaves through `upload`, and came in beside what `download` counts.
    pub async fn run(self, upload: &RateGate, download: &RateGate) {
        tokio::join!(self.forward(upload, download), self.expire());
    }

    async fn forward(&self, upload: &RateGate, download: &RateGate) {
        let pace = BlockPace { gate: upload, class: TrafficClass::Lent };
        let mut granted = 0;
        loop {
            let Some((forward, to, from)) = self.switchboard.next_forward() else {
                self.switchboard.waiting.notified().await;
                continue;
            };
            let bytes = forward.batch.bytes.len();
            while granted < bytes {
                granted += pace.take(bytes - granted).await;
            }
            granted -= bytes;
            download.note_moved(bytes);
            let segment_size = (bytes > forward.batch.stride).then_some(forward.batch.stride);
            let (contents, ecn) = (&forward.batch.bytes[..], forward.batch.ecn);
            let transmit = Transmit { destination: to, ecn, contents, segment_size, src_ip: from };
            if let Some(socket) = self.switchboard.socket_to(to) {
                // It fails only when the program ends.
                let _ = socket.send(&transmit).await;
            }
        }
    }

    /// Ends sessions in which nothing is sent.
    async fn expire(&self) {
        loop {
            match self.switchboard.expire() {
                Some(at) => sleep_until((self.switchboard.started() + Duration::from_millis(at)).into()).await,
                None => self.switchboard.opened.notified().await,
            }
        }
    }
}
