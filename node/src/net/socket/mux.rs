//! The one socket that QUIC is given: both families, and peers behind relays at virtual addresses.
//!
//! It looks at each packet first. QUIC gets its own, with the head of a relay taken off; packets for others go to the relay, and
//! those that peers say beside QUIC to whoever waits for them. Everything else is dropped without an answer, as QUIC does with
//! what it cannot read.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use fsdfs_proto::packet::{PacketKind, RELAYED_HEAD_BYTES, relayed_head};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::batch;
use super::switchboard::{RelayedRoute, Switchboard};
use super::udp::{BoundAddresses, UdpSockets, WritablePoller};
use super::virtual_address::{canonical, is_virtual, token_of, virtual_address};

/// See the module.
pub(in crate::net) struct Mux {
    sockets: Arc<UdpSockets>,
    switchboard: Arc<Switchboard>,
    /// Of a batch that had packets of several kinds. They leave before the system is asked for more, so they are never more than
    /// what it hands over at once.
    left_over: Mutex<VecDeque<(RecvMeta, Vec<u8>)>>,
}

impl Mux {
    pub(super) fn new(sockets: Arc<UdpSockets>, switchboard: Arc<Switchboard>) -> Self {
        Self { sockets, switchboard, left_over: Mutex::default() }
    }

    pub fn bound(&self) -> BoundAddresses {
        self.sockets.bound()
    }

    /// To a relay, behind a head. Where no relay leads any more, packets are lost, as on any line.
    fn send_relayed(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let way = token_of(transmit.destination).and_then(|token| Some((token, self.switchboard.relay_at(token)?)));
        let Some((token, (destination, src_ip))) = way else { return Ok(()) };
        let stride = transmit.segment_size.unwrap_or(transmit.contents.len());
        let contents = batch::with_heads(transmit.contents, stride, &relayed_head(token));
        let segment_size = transmit.segment_size.map(|bytes| bytes + RELAYED_HEAD_BYTES);
        self.sockets.try_send(&Transmit { destination, ecn: transmit.ecn, contents: &contents, segment_size, src_ip })
    }

    /// Leaves in the buffer what is QUIC's. One without any bytes is nothing to it.
    pub(super) fn sort(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        let from = canonical(meta.addr);
        // What it sends there would never leave the process.
        let Some(batch) = buffer.get_mut(..meta.len).filter(|_| !is_virtual(from.ip())) else {
            meta.len = 0;
            return;
        };
        if let Some(kind) = batch::kind_of_all(batch, meta.stride) {
            self.sort_kind(kind, from, batch, meta);
            return;
        }
        let mut left_over = self.left_over.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, mut packets) in batch::by_kind(batch, meta.stride) {
            let mut meta = RecvMeta { len: packets.len(), ..*meta };
            self.sort_kind(kind, from, &mut packets, &mut meta);
            if meta.len > 0 {
                left_over.push_back((meta, packets));
            }
        }
        meta.len = 0;
    }

    fn sort_kind(&self, kind: PacketKind, from: SocketAddr, batch: &mut [u8], meta: &mut RecvMeta) {
        match kind {
            PacketKind::Quic => {
                self.switchboard.hush.lift(from);
                self.switchboard.note_local(from, meta.dst_ip);
                meta.addr = shown(meta.addr);
            }
            PacketKind::Relayed(token) => match self.switchboard.relayed(from, token, batch, meta) {
                RelayedRoute::ToThisNode => {
                    meta.len = batch::strip_heads(batch, meta.stride);
                    meta.stride = meta.stride.saturating_sub(RELAYED_HEAD_BYTES);
                    (meta.addr, meta.dst_ip) = (virtual_address(token), None);
                }
                RelayedRoute::Taken => meta.len = 0,
            },
            PacketKind::Peer => {
                batch::packets(batch, meta.stride).for_each(|packet| self.switchboard.heard(from, packet));
                meta.len = 0;
            }
            PacketKind::Unknown => meta.len = 0,
        }
    }

    pub(super) fn take_left_over(&self, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut left_over = self.left_over.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((about, packets)) = left_over.pop_front() else { break };
            // It came out of a buffer of this length.
            if let Some(place) = buffer.get_mut(..about.len) {
                place.copy_from_slice(&packets[..about.len]);
                *meta = about;
                taken += 1;
            }
        }
        taken
    }
}

impl AsyncUdpSocket for Mux {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(WritablePoller::new(Arc::clone(&self.sockets)))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if is_virtual(transmit.destination.ip()) {
            return self.send_relayed(transmit);
        }
        if self.switchboard.hush.holds_back(canonical(transmit.destination), transmit.contents) {
            return Ok(());
        }
        self.sockets.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let taken = self.take_left_over(buffers, meta);
        if taken > 0 {
            return Poll::Ready(Ok(taken));
        }
        let received = ready!(self.sockets.poll_recv(cx, buffers, meta))?;
        for (buffer, meta) in buffers.iter_mut().zip(meta.iter_mut()).take(received) {
            self.sort(buffer, meta);
        }
        Poll::Ready(Ok(received))
    }

    /// Always an address of IPv6: then QUIC takes addresses of both families, and virtual ones.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        let bound = self.bound();
        let v6 = bound.of(Ipv6Addr::UNSPECIFIED.into());
        Ok(v6.unwrap_or_else(|| shown(bound.first())))
    }

    fn max_transmit_segments(&self) -> usize {
        self.sockets.segments_max()
    }

    fn max_receive_segments(&self) -> usize {
        self.sockets.received_segments_max()
    }

    fn may_fragment(&self) -> bool {
        self.sockets.may_fragment()
    }
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux").field("bound", &self.bound()).finish_non_exhaustive()
    }
}

/// As QUIC sees it: IPv4 as a part of IPv6.
fn shown(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V6(_) => addr,
    }
}
