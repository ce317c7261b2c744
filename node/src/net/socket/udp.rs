//! The UDP sockets of the system below a node's one socket: one of each family, on the same port.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, ready};

use quinn::UdpPoller;
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::virtual_address::canonical;

/// Asked of the system for each direction: 40 ms of a line of 800 Mbit/s, as long as a busy machine may leave the socket alone.
const BUFFER_BYTES: usize = 4 << 20;

/// Linux shows twice what it was asked for: the other half is for its own bookkeeping.
const SHOWN_FACTOR: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

/// Where a node's socket is bound: IPv4, IPv6, or both.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct BoundAddresses {
    v4: Option<SocketAddr>,
    v6: Option<SocketAddr>,
}

impl BoundAddresses {
    /// Where packets of that family leave.
    pub fn of(&self, to: IpAddr) -> Option<SocketAddr> {
        if to.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// Whether packets can be sent there. Loopback is reached only from itself, and from everywhere.
    pub fn reaches(&self, to: SocketAddr) -> bool {
        let to = to.ip().to_canonical();
        self.of(to).is_some_and(|bound| bound.ip().is_unspecified() || bound.ip().is_loopback() == to.is_loopback())
    }

    /// Any of them: IPv4 if there is one.
    pub fn first(&self) -> SocketAddr {
        let none = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.v4.or(self.v6).unwrap_or(none)
    }
}

/// See the module.
pub(super) struct UdpSockets {
    /// Closed before the other one: whoever finds that port free again finds this one free, too.
    v6: Option<FamilySocket>,
    v4: Option<FamilySocket>,
    /// Which family is looked at first: the other one than last time.
    v6_first: AtomicBool,
}

struct FamilySocket {
    io: UdpSocket,
    /// What quinn knows of it: it asks for segmentation by the kernel (GSO, GRO), for the marks of congestion (ECN), and forbids
    /// fragments.
    state: UdpSocketState,
    bound: SocketAddr,
}

impl UdpSockets {
    /// `0.0.0.0` is both families, if this machine has IPv6; `[::]` is only that one.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let first = FamilySocket::bind(addr)?;
        let second = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), first.bound.port());
        let (v4, v6) = match addr.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                let v6 =
                    FamilySocket::bind(second).inspect_err(|error| tracing::info!(%error, "no IPv6 on this machine"));
                (Some(first), v6.ok())
            }
            IpAddr::V4(_) => (Some(first), None),
            IpAddr::V6(_) => (None, Some(first)),
        };
        Ok(Self { v4, v6, v6_first: AtomicBool::default() })
    }

    pub fn bound(&self) -> BoundAddresses {
        let bound = |socket: &Option<FamilySocket>| socket.as_ref().map(|socket| socket.bound);
        BoundAddresses { v4: bound(&self.v4), v6: bound(&self.v6) }
    }

    /// Sends, or says that it would have to wait. Where no socket leads, packets are lost, as on any line.
    pub fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.route(transmit).map_or(Ok(()), |(socket, transmit)| socket.try_send(&transmit))
    }

    /// Sends, or loses the packet. It does not matter whether somebody has waited for the socket before.
    pub fn send_or_lose(&self, transmit: &Transmit<'_>) {
        if let Some((socket, transmit)) = self.route(transmit) {
            let _ = socket.send_once(&transmit);
        }
    }

    fn route<'a>(&self, transmit: &Transmit<'a>) -> Option<(&FamilySocket, Transmit<'a>)> {
        #[cfg(test)]
        if walls::stand_between(self.bound().first().port(), transmit.destination) {
            return None;
        }
        let mut transmit = transmit.clone();
        let ip = transmit.destination.ip().to_canonical();
        if ip.is_ipv4() {
            transmit.destination = canonical(transmit.destination);
        }
        // A peer that moves to the other family is not answered from an address of the first one.
        transmit.src_ip = transmit.src_ip.filter(|from| from.is_ipv4() == ip.is_ipv4());
        let socket = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        socket.as_ref().map(|socket| (socket, transmit))
    }

    /// Sends as soon as it can be done.
    pub async fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        loop {
            match self.try_send(transmit) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                done => return done,
            }
        }
    }

    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut families = [&self.v4, &self.v6];
        if self.v6_first.fetch_xor(true, Ordering::Relaxed) {
            families.reverse();
        }
        for socket in families.into_iter().flatten() {
            if let Poll::Ready(received) = socket.poll_recv(cx, buffers, meta) {
                return Poll::Ready(received);
            }
        }
        Poll::Pending
    }

    /// What both of them can: whoever sends does not ask through which one it goes.
    pub fn segments_max(&self) -> usize {
        self.sockets().map(|socket| socket.state.max_gso_segments()).min().unwrap_or(1)
    }

    pub fn received_segments_max(&self) -> usize {
        self.sockets().map(|socket| socket.state.gro_segments()).max().unwrap_or(1)
    }

    pub fn may_fragment(&self) -> bool {
        self.sockets().any(|socket| socket.state.may_fragment())
    }

    /// Waits for both: who is told that one of them can send would try the other one, over and over.
    async fn writable(&self) -> io::Result<()> {
        for socket in self.sockets() {
            socket.io.writable().await?;
        }
        Ok(())
    }

    fn sockets(&self) -> impl Iterator<Item = &FamilySocket> {
        self.v4.iter().chain(&self.v6)
    }
}

impl FamilySocket {
    /// Of one family: `[::]` is not `0.0.0.0`.
    fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        enlarge_buffers(&socket);
        socket.bind(&addr.into())?;
        let socket = std::net::UdpSocket::from(socket);
        // This makes it one that does not block.
        let state = UdpSocketState::new((&socket).into())?;
        let bound = socket.local_addr()?;
        Ok(Self { io: UdpSocket::from_std(socket)?, state, bound })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.send_once(transmit))
    }

    /// Every error but "not now" is one packet lost, as on any line: a machine without a route is nothing to warn of, and packets
    /// that are too long for the line are how its length is found.
    fn send_once(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.state.try_send((&self.io).into(), transmit) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                tracing::trace!(to = %transmit.destination, %error, "not sent");
                Ok(())
            }
            done => done,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received =
                self.io.try_io(Interest::READABLE, || self.state.recv((&self.io).into(), &mut *buffers, &mut *meta));
            if let Ok(received) = received {
                return Poll::Ready(Ok(received));
            }
        }
    }
}

/// Tells one connection when it may send.
pub(super) struct WritablePoller {
    sockets: Arc<UdpSockets>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl WritablePoller {
    pub fn new(sockets: Arc<UdpSockets>) -> Self {
        Self { sockets, waiting: None }
    }
}

impl UdpPoller for WritablePoller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            // As a rule it may.
            if let Poll::Ready(writable) = pin!(this.sockets.writable()).poll(cx) {
                return Poll::Ready(writable);
            }
        }
        let sockets = &this.sockets;
        let waiting = this.waiting.get_or_insert_with(|| {
            let sockets = Arc::clone(sockets);
            Box::pin(async move { sockets.writable().await })
        });
        let writable = ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        Poll::Ready(writable)
    }
}

impl std::fmt::Debug for WritablePoller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WritablePoller").finish_non_exhaustive()
    }
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

/// Networks in which not everybody reaches everybody, for tests.
#[cfg(test)]
pub(in crate::net) mod walls {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;
    use std::sync::{Mutex, PoisonError};

    use super::canonical;

    static WALLS: Mutex<BTreeSet<(u16, SocketAddr)>> = Mutex::new(BTreeSet::new());

    /// Whether nothing gets from this port to that address.
    pub fn stand_between(port: u16, to: SocketAddr) -> bool {
        WALLS.lock().unwrap_or_else(PoisonError::into_inner).contains(&(port, canonical(to)))
    }

    /// Lets nothing through from now on, or everything.
    pub fn set(port: u16, to: SocketAddr, stands: bool) {
        let mut walls = WALLS.lock().unwrap_or_else(PoisonError::into_inner);
        if stands {
            walls.insert((port, to))
        } else {
            walls.remove(&(port, to))
        };
    }
}
