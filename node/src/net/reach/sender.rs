//! Sends packets to addresses that members ask about.
//!
//! Whoever asks chooses where they go, so there are few, they are short, and they go into no local network.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::ProbeRequest;
use fsdfs_proto::packet::{PROBE_BYTES, PacketDirection};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::net::findings::is_public;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::session::SessionHub;

/// When the packets to one address leave. Three of them are rarely lost together.
const PACKETS_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300)];
/// Requests under way at most, of all members.
const UNDER_WAY_MAX: usize = 32;
/// Requests that one member may make at once: eight addresses of its own, after a change, twice.
const REQUESTS_MAX: u32 = 16;
/// It may make one more so often.
const REQUEST_EVERY: Duration = Duration::from_secs(10);

pub(super) struct ProbeSender {
    hub: Arc<SessionHub>,
    keeper: Arc<Gatekeeper>,
    under_way: JoinSet<()>,
    allowances: BTreeMap<NodeId, ProbeAllowance>,
}

/// What a member may still ask for, at a time since the start.
#[derive(Clone, Copy)]
struct ProbeAllowance {
    left: u32,
    since: Duration,
}

impl ProbeSender {
    pub fn new(hub: Arc<SessionHub>, keeper: Arc<Gatekeeper>) -> Self {
        Self { hub, keeper, under_way: JoinSet::new(), allowances: BTreeMap::new() }
    }

    /// Sends in the background, and answers when the packets have left. What may not or cannot be sent is not answered.
    pub fn send(&mut self, asker: NodeId, request: &ProbeRequest, now: Duration) {
        while self.under_way.try_join_next().is_some() {}
        let allowance = self.allowances.entry(asker).or_insert(ProbeAllowance { left: REQUESTS_MAX, since: now });
        let targets: Vec<SocketAddr> = request.addresses.iter().copied().map(SocketAddr::from).collect();
        let is_fine = !targets.is_empty() && targets.iter().all(|target| may_be_sent_to(*target));
        if !is_fine || self.under_way.len() >= UNDER_WAY_MAX || !allowance.spend(now) {
            return;
        }
        let gate = self.keeper.to(asker);
        let way = PacketDirection { secret: gate.secret, sender: gate.sender, receiver: asker };
        let packet = way.probe(request.nonce);
        let (hub, number) = (Arc::clone(&self.hub), request.request);
        self.under_way.spawn(async move {
            for target in targets {
                if let Err(error) = send_to(target, &packet).await {
                    return tracing::debug!(%target, %error, "a probe cannot be sent");
                }
            }
            hub.send(asker, Message::ProbeReply(number), None, TrafficClass::User);
        });
    }
}

impl ProbeAllowance {
    fn spend(&mut self, now: Duration) -> bool {
        let earned = now.saturating_sub(self.since).as_secs() / REQUEST_EVERY.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.since += REQUEST_EVERY * earned.min(REQUESTS_MAX);
        self.left = self.left.saturating_add(earned).min(REQUESTS_MAX);
        if self.left == REQUESTS_MAX {
            self.since = now;
        }
        let may = self.left > 0;
        self.left -= u32::from(may);
        may
    }
}

/// Not into a local network, of which this node may be the only way in.
fn may_be_sent_to(target: SocketAddr) -> bool {
    is_public(target.ip()) && !target.ip().is_multicast() && target.port() > 0 && !is_broadcast(target)
}

fn is_broadcast(target: SocketAddr) -> bool {
    matches!(target, SocketAddr::V4(target) if target.ip().is_broadcast())
}

/// From a socket that nothing was ever sent to: what comes through then, comes through for everybody.
async fn send_to(target: SocketAddr, packet: &[u8; PROBE_BYTES]) -> io::Result<()> {
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    for after in PACKETS_AFTER {
        sleep(after).await;
        socket.send_to(packet, target).await?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_member_may_ask_a_little_and_later_more() {
        let (mut allowance, start) =
            (ProbeAllowance { left: REQUESTS_MAX, since: Duration::ZERO }, Duration::from_secs(5));
        let spent = |allowance: &mut ProbeAllowance, now| (0..100).filter(|_| allowance.spend(now)).count();
        assert_eq!(spent(&mut allowance, start), 16);
        assert_eq!(spent(&mut allowance, start + REQUEST_EVERY - Duration::from_millis(1)), 0);
        assert_eq!(spent(&mut allowance, start + REQUEST_EVERY * 3), 3);
        assert_eq!(spent(&mut allowance, Duration::from_secs(1 << 40)), 16, "and never more at once");
    }

    #[test]
    fn nothing_is_sent_into_local_networks() {
        for target in ["192.168.1.1:1900", "10.0.0.1:7", "127.0.0.1:7", "[fe80::1]:7", "[fd00::1]:7", "224.0.0.1:7"] {
            assert!(!may_be_sent_to(target.parse().unwrap()), "{target}");
        }
        for target in ["255.255.255.255:7", "[ff02::1]:7", "0.0.0.0:7", "[::]:7", "100.0.0.1:0", "[::ffff:10.0.0.1]:7"]
        {
            assert!(!may_be_sent_to(target.parse().unwrap()), "{target}");
        }
        for target in ["100.0.0.1:24007", "[2001:db8::1]:24007"] {
            assert!(may_be_sent_to(target.parse().unwrap()), "{target}");
        }
    }
}
