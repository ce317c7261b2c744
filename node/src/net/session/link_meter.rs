//! What goes over one connection, and how long it takes there and back.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use fsdfs_proto::ids::NodeId;

use super::streams::{LinkPath, PathPackets};
use crate::net::governor::LinkReport;

/// Of the connection in use with one peer.
#[derive(Default)]
pub(super) struct LinkMeter {
    /// Bytes of blocks since they were looked at last.
    sent: AtomicU64,
    path: Mutex<Option<Arc<dyn LinkPath>>>,
}

impl LinkMeter {
    /// Another connection is in use from now on.
    pub fn follow(&self, path: Option<Arc<dyn LinkPath>>) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    pub fn add(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Packets so far; none if that is not known.
    pub fn packets(&self) -> Option<PathPackets> {
        self.path()?.packets()
    }

    /// The address of this machine that the peer sends to, if it dialled.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.path()?.local_ip()
    }

    pub fn path(&self) -> Option<Arc<dyn LinkPath>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Since the last time.
    pub fn report(&self, node: NodeId) -> LinkReport {
        let rtt = self.path().and_then(|path| path.rtt());
        let rtt_ms = rtt.map(|rtt| u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX));
        LinkReport { node, rtt_ms, sent: self.sent.swap(0, Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Way(u64);

    impl LinkPath for Way {
        fn rtt(&self) -> Option<Duration> {
            Some(Duration::from_millis(self.0))
        }

        fn packets(&self) -> Option<PathPackets> {
            None
        }

        fn local_ip(&self) -> Option<IpAddr> {
            None
        }
    }

    #[test]
    fn bytes_are_counted_once_and_the_way_is_that_of_the_connection_in_use() {
        let (meter, bob) = (LinkMeter::default(), NodeId([2; 32]));
        meter.add(7);
        let report = meter.report(bob);
        assert_eq!((report.sent, report.rtt_ms), (7, None));
        for ms in [40, 3] {
            meter.follow(Some(Arc::new(Way(ms))));
            meter.add(5);
            let report = meter.report(bob);
            assert_eq!((report.sent, report.rtt_ms.map(u64::from)), (5, Some(ms)));
        }
    }
}
