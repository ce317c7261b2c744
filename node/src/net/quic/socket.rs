//! The UDP sockets below QUIC.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Once};

use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

use super::packets::PacketFilter;

/// Asked of the system for each direction: 40 ms of a line of 800 Mbit/s, as long as a busy machine may leave the socket alone.
const BUFFER_BYTES: usize = 4 << 20;

/// Linux shows twice what it was asked for: the other half is for its own bookkeeping.
const SHOWN_FACTOR: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

/// A socket of one family: `[::]` is not `0.0.0.0`. What quinn does to it: it asks for segmentation by the kernel (GSO, GRO),
/// for the marks of congestion (ECN), and forbids fragments.
pub(super) fn bind(addr: SocketAddr, filter: &PacketFilter) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    enlarge_buffers(&socket);
    socket.bind(&addr.into())?;
    Ok(filter.filtered(TokioRuntime.wrap_udp_socket(socket.into())?))
}

/// What the system does not give is no reason not to start.
fn enlarge_buffers(socket: &Socket) {
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    let given = |shown: io::Result<usize>| shown.unwrap_or(0) / SHOWN_FACTOR;
    let (receive, send) = (given(socket.recv_buffer_size()), given(socket.send_buffer_size()));
    if receive.min(send) < BUFFER_BYTES {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::info!(
                receive_bytes = receive,
                send_bytes = send,
                "the system gives UDP sockets less than 4 MiB; net.core.rmem_max and net.core.wmem_max say how much"
            );
        });
    }
}
