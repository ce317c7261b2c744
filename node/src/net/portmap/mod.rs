//! Asks the router to forward the node's UDP port, by whichever of three protocols it speaks, as long as the node runs; and to
//! let it through its firewall as to IPv6, by the one of them that knows how.
//!
//! What is asked when, and what an answer means, is in [`machine`]; here are socket, clock and the search for the router.

mod codec;
mod machine;
mod router;
mod upnp;

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use codec::{ANSWER_BYTES_MAX, PcpNonce, ROUTER_PORT};
pub use codec::{RouterAnswer, read as read_answer};
use machine::{DefaultRouter, MapperInput, MapperOutput, PortMapper};
use upnp::UpnpClient;

use super::command::OwnAddresses;

/// How often the table of routes is looked at: another network, another router.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What the mapping's end may take when the node stops. A router that does not hear of it forgets the mapping after its lease.
const STOP_MAX: Duration = Duration::from_secs(1);
/// Between two requests to end a mapping that was not confirmed.
const END_AGAIN: Duration = Duration::from_millis(250);
/// Hashed with the node's key, so that a node that was killed may renew what it left behind, and nobody else.
const NONCE_TAG: &[u8] = b"fsdfs port mapping\0";

/// The tasks that keep the mappings, one a family.
pub(super) struct PortMapping {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Each has a router and a mapping of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressFamily {
    V4,
    V6,
}

impl PortMapping {
    /// Nothing is ever sent for a node that listens on this machine only.
    pub fn start(listen: SocketAddr, key: &SigningKey, addresses: &Arc<OwnAddresses>) -> Option<Self> {
        let families: &[AddressFamily] = match listen.ip() {
            ip if ip.is_loopback() => return None,
            // Then the node listens at every address of the other family, too.
            IpAddr::V4(ip) if ip.is_unspecified() => &[AddressFamily::V4, AddressFamily::V6],
            IpAddr::V4(_) => &[AddressFamily::V4],
            IpAddr::V6(_) => &[AddressFamily::V6],
        };
        let stop = CancellationToken::new();
        let start = |family: &AddressFamily| {
            let task = MappingTask::new(listen, *family, key, Arc::clone(addresses));
            tokio::spawn(task.run(stop.clone()))
        };
        let tasks = families.iter().map(start).collect();
        Some(Self { stop, tasks })
    }

    /// Ends the mappings, within [`STOP_MAX`].
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

struct MappingTask {
    listen: SocketAddr,
    family: AddressFamily,
    addresses: Arc<OwnAddresses>,
    mapper: PortMapper,
    router: Option<DefaultRouter>,
    /// Connected to the router, so that nobody else is heard.
    socket: Option<UdpSocket>,
    upnp: UpnpWork,
    /// That this machine slept or moved.
    moves: watch::Receiver<()>,
    begun: Instant,
}

enum UpnpWork {
    Idle(UpnpClient),
    Running(BoxFuture<'static, (UpnpClient, Option<SocketAddrV4>)>),
}

/// What the task woke up for.
enum Wakeup {
    Look,
    Moved,
    Timeout,
    Received(io::Result<usize>),
    Upnp(Option<SocketAddrV4>),
}

impl MappingTask {
    fn new(listen: SocketAddr, family: AddressFamily, key: &SigningKey, addresses: Arc<OwnAddresses>) -> Self {
        let mapper = PortMapper::new(listen.port(), nonce(key));
        let upnp = UpnpWork::Idle(UpnpClient::default());
        let moves = addresses.watch_moves();
        Self { listen, family, addresses, mapper, router: None, socket: None, upnp, moves, begun: Instant::now() }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut look_at = Instant::now();
        let mut packet = [0; ANSWER_BYTES_MAX];
        loop {
            let wakeup = tokio::select! {
                () = stop.cancelled() => break,
                wakeup = self.wait(look_at, &mut packet) => wakeup,
            };
            match wakeup {
                Wakeup::Look => {
                    look_at = Instant::now() + LOOK_EVERY;
                    self.look().await;
                }
                Wakeup::Moved => {
                    self.look().await;
                    self.handle(MapperInput::Moved).await;
                }
                Wakeup::Timeout => self.handle(MapperInput::Timeout).await,
                Wakeup::Received(Ok(len)) => self.handle(MapperInput::Packet(&packet[..len])).await,
                Wakeup::Received(Err(_)) => self.handle(MapperInput::PortClosed).await,
                Wakeup::Upnp(external) => self.handle(MapperInput::Upnp(external)).await,
            }
        }
        let _ = timeout(STOP_MAX, self.end()).await;
    }

    async fn wait(&mut self, look_at: Instant, packet: &mut [u8]) -> Wakeup {
        let deadline = self.mapper.deadline().map(|at| self.begun + Duration::from_millis(at));
        let (socket, upnp, moves) = (&self.socket, &mut self.upnp, &mut self.moves);
        let due = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let received = async {
            match socket {
                Some(socket) => socket.recv(packet).await,
                None => std::future::pending().await,
            }
        };
        let mapped = async {
            match upnp {
                UpnpWork::Running(work) => work.await,
                UpnpWork::Idle(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            received = received => Wakeup::Received(received),
            (client, external) = mapped => {
                self.upnp = UpnpWork::Idle(client);
                Wakeup::Upnp(external)
            }
            Ok(()) = moves.changed() => Wakeup::Moved,
            () = due => Wakeup::Timeout,
            () = sleep_until(look_at) => Wakeup::Look,
        }
    }

    async fn look(&mut self) {
        let router = match self.family {
            AddressFamily::V4 => router::find_v4(self.listen).await,
            AddressFamily::V6 => {
                let is_listening = |address| self.addresses.lock().listening.contains(&address);
                router::find_v6(is_listening, self.listen.port()).await
            }
        };
        if router != self.router {
            let socket = match router {
                Some(router) => open(router).await.inspect_err(|error| tracing::debug!(%error, "no socket")).ok(),
                None => None,
            };
            (self.router, self.socket) = (router, socket);
            self.upnp = UpnpWork::Idle(UpnpClient::default());
        }
        self.handle(MapperInput::Router(router)).await;
    }

    async fn handle(&mut self, input: MapperInput<'_>) {
        let mut outputs = Vec::new();
        let now = u64::try_from(self.begun.elapsed().as_millis()).expect("584 million years");
        self.mapper.handle(now, input, &mut outputs);
        for output in outputs {
            match output {
                MapperOutput::Send(request) => self.send(&request).await,
                MapperOutput::Upnp { external } => self.ask_upnp(external),
                MapperOutput::UpnpEnd { external } => self.end_upnp(external).await,
            }
        }
        let state = self.mapper.state();
        let family = self.family;
        let is_news = self.addresses.change(|table| {
            let known = match family {
                AddressFamily::V4 => &mut table.mapping,
                AddressFamily::V6 => &mut table.pinhole,
            };
            std::mem::replace(known, state) != state
        });
        if is_news {
            tracing::info!(?family, ?state, "the router and the node's port");
        }
    }

    async fn send(&mut self, request: &[u8]) {
        if let Some(socket) = &self.socket {
            // What is lost is asked again; a closed port is told with the next receive.
            let _ = socket.send(request).await;
        }
    }

    fn ask_upnp(&mut self, external: u16) {
        let (Some(router), UpnpWork::Idle(client)) = (self.router, &mut self.upnp) else { return };
        let work = std::mem::take(client).map(router, self.listen.port(), external);
        self.upnp = UpnpWork::Running(work.boxed());
    }

    async fn end_upnp(&mut self, external: u16) {
        match std::mem::replace(&mut self.upnp, UpnpWork::Idle(UpnpClient::default())) {
            UpnpWork::Idle(client) => client.end(external).await,
            // It was just being renewed.
            UpnpWork::Running(work) => work.await.0.end(external).await,
        }
    }

    /// Until the router has confirmed it, or the time for it is over.
    async fn end(&mut self) {
        let mut outputs = Vec::new();
        self.mapper.handle(0, MapperInput::Stop, &mut outputs);
        for output in outputs {
            match output {
                MapperOutput::UpnpEnd { external } => self.end_upnp(external).await,
                MapperOutput::Send(request) => self.end_by_packet(&request).await,
                MapperOutput::Upnp { .. } => {}
            }
        }
    }

    async fn end_by_packet(&mut self, request: &[u8]) {
        let Some(socket) = self.socket.take() else { return };
        let mut packet = [0; ANSWER_BYTES_MAX];
        loop {
            let _ = socket.send(request).await;
            match timeout(END_AGAIN, socket.recv(&mut packet)).await {
                Ok(Ok(len)) if is_ended(&packet[..len]) => return,
                // It keeps the mapping until its lease is over; some do so with every one of IPv6.
                Ok(Ok(len)) if matches!(read_answer(&packet[..len]), Some(RouterAnswer::PcpRefused(_))) => return,
                // Nobody is there to be told.
                Ok(Err(_)) => return,
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    }
}

fn is_ended(answer: &[u8]) -> bool {
    matches!(
        read_answer(answer),
        Some(RouterAnswer::PcpMapped { lease_s: 0, .. } | RouterAnswer::PmpMapped { lease_s: 0, .. })
    )
}

async fn open(router: DefaultRouter) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((router.local, 0)).await?;
    match router.gateway {
        IpAddr::V4(gateway) => socket.connect((gateway, ROUTER_PORT)).await?,
        IpAddr::V6(gateway) => socket.connect(SocketAddrV6::new(gateway, ROUTER_PORT, 0, router.interface)).await?,
    }
    Ok(socket)
}

/// Twelve bytes that only this node knows.
fn nonce(key: &SigningKey) -> PcpNonce {
    let hash = Sha256::new().chain_update(NONCE_TAG).chain_update(key.as_bytes()).finalize();
    *hash.first_chunk().expect("a hash has 32 bytes")
}
