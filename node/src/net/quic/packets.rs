//! Packets on the node's port that are not QUIC's: they are taken out before QUIC sees them.
//!
//! QUIC would drop them; a second socket could not have them, for a router forwards one port. So the socket that QUIC is given
//! looks at each packet first. What nobody here asked for is dropped without an answer, as QUIC does with what it cannot read.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fsdfs_proto::packet::{PROBE_BYTES, is_foreign, probe_nonce};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

/// Packets that wait to be looked at. A flood fills it, and then the flood is what is dropped, with a probe or two that are
/// repeated.
const WAITING_MAX: usize = 64;

/// What has the form of a probe.
#[derive(Debug)]
pub(in crate::net) struct ProbePacket(pub [u8; PROBE_BYTES]);

/// Makes sockets that keep other packets than QUIC's back.
#[derive(Clone, Debug)]
pub(in crate::net) struct PacketFilter(mpsc::Sender<ProbePacket>);

impl PacketFilter {
    /// What is kept back comes out of the receiver.
    pub fn new() -> (Self, mpsc::Receiver<ProbePacket>) {
        let (probes, packets) = mpsc::channel(WAITING_MAX);
        (Self(probes), packets)
    }

    /// The same socket without other packets than QUIC's.
    pub(super) fn filtered(&self, inner: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(FilteringSocket { inner, probes: self.0.clone() })
    }
}

#[derive(Debug)]
struct FilteringSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    probes: mpsc::Sender<ProbePacket>,
}

impl AsyncUdpSocket for FilteringSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = std::task::ready!(self.inner.poll_recv(cx, buffers, meta))?;
        for (buffer, meta) in buffers.iter_mut().zip(meta.iter_mut()).take(received) {
            let kept = keep_quic(buffer, meta.len, meta.stride, |packet| self.take(packet));
            // One without any bytes is nothing to QUIC.
            meta.len = kept;
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl FilteringSocket {
    fn take(&self, packet: &[u8]) {
        let probe = <&[u8; PROBE_BYTES]>::try_from(packet).ok().filter(|packet| probe_nonce(packet).is_some());
        if let Some(probe) = probe {
            let _ = self.probes.try_send(ProbePacket(*probe));
        }
    }
}

/// The system hands over several packets of one sender at once, each `stride` bytes long but the last. Moves those of QUIC
/// together and returns how many bytes they are.
fn keep_quic(buffer: &mut [u8], len: usize, stride: usize, mut take: impl FnMut(&[u8])) -> usize {
    let is_all_quic = |buffer: &[u8]| buffer.chunks(stride.max(1)).all(|packet| !is_foreign(packet[0]));
    let Some(received) = buffer.get(..len).filter(|received| !is_all_quic(received)) else { return len };
    debug_assert!(!received.is_empty(), "what is empty has nothing foreign in it");
    let (mut kept, mut at) = (0, 0);
    while at < len {
        let packet = at..len.min(at + stride.max(1));
        at = packet.end;
        if is_foreign(buffer[packet.start]) {
            take(&buffer[packet]);
        } else {
            let bytes = packet.len();
            buffer.copy_within(packet, kept);
            kept += bytes;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use quinn::{Runtime as _, TokioRuntime};

    use super::*;

    /// Packets of which all but the last are as long as the first, filled with their first bytes.
    fn filter(firsts: &[u8], stride: usize, last: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let lens = (1..=firsts.len()).map(|number| if number == firsts.len() { last } else { stride });
        let mut buffer: Vec<u8> = firsts.iter().zip(lens).flat_map(|(first, len)| vec![*first; len]).collect();
        let (len, mut taken) = (buffer.len(), Vec::new());
        let kept = keep_quic(&mut buffer, len, stride, |packet| taken.push(packet.to_vec()));
        (buffer[..kept].to_vec(), taken)
    }

    #[test]
    fn quic_keeps_its_packets_wherever_the_others_are() {
        for last in [1, 19, 20] {
            let packet = |first: u8, is_last: bool| vec![first; if is_last { last } else { 20 }];
            for pattern in 0..32_u8 {
                let firsts: Vec<u8> = (0..5).map(|bit| if pattern >> bit & 1 == 1 { 4 } else { 0x40 + bit }).collect();
                let (kept, taken) = filter(&firsts, 20, last);
                let of = |foreign: bool| -> Vec<Vec<u8>> {
                    let numbered = firsts.iter().enumerate().filter(|(_, first)| is_foreign(**first) == foreign);
                    numbered.map(|(number, first)| packet(*first, number == 4)).collect()
                };
                assert_eq!((kept, taken), (of(false).concat(), of(true)), "{pattern:b}, {last}");
            }
        }
    }

    #[test]
    fn nothing_and_one_byte_are_packets_too() {
        assert_eq!(keep_quic(&mut [], 0, 0, |_| panic!("nothing came")), 0);
        assert_eq!(keep_quic(&mut [0x40], 1, 1, |_| panic!("QUIC's")), 1);
        let mut taken = 0;
        assert_eq!(keep_quic(&mut [0], 1, 1, |_| taken += 1), 0);
        assert_eq!(taken, 1);
    }

    #[test]
    fn only_what_looks_like_a_probe_is_kept() {
        let (filter, mut packets) = PacketFilter::new();
        let bound = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
        bound.set_nonblocking(true).expect("a socket");
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let _inside = tokio.enter();
        let inner = TokioRuntime.wrap_udp_socket(bound).expect("a socket");
        let socket = FilteringSocket { inner, probes: filter.0 };
        let mut probe = [7; PROBE_BYTES];
        probe[..4].copy_from_slice(&[4, 0, 0, 0]);
        for packet in [&probe[..35], &[4; PROBE_BYTES], &[0; PROBE_BYTES], &probe] {
            socket.take(packet);
        }
        assert_eq!(packets.try_recv().expect("one").0, probe);
        assert!(packets.try_recv().is_err());
    }
}
