//! Which way packets leave this machine, and how much time passes while it sleeps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Of the ranges for documentation (RFC 5737, RFC 3849): routed as the world is. Nothing is ever sent there.
const WORLD: [(SocketAddr, SocketAddr); 2] = [
    (
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    ),
    (
        SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
    ),
];

/// The addresses of this machine from which packets to the world leave, of each family. Another default route shows by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WayOut([Option<IpAddr>; 2]);

impl WayOut {
    /// Whether there is any.
    pub fn exists(self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    /// As the system's table of routes says now.
    pub fn now() -> Self {
        Self(WORLD.map(|(from, to)| {
            let socket = UdpSocket::bind(from).ok()?;
            // Of a datagram socket this only looks up the route.
            socket.connect(to).ok()?;
            Some(socket.local_addr().ok()?.ip())
        }))
    }
}

/// Whether this machine has a route to that address, as the system's table of routes says now.
pub(super) fn leads_to(to: SocketAddr) -> bool {
    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
    let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect(to).is_ok())
}

/// Time that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
pub(super) fn with_sleep() -> Duration {
    let shown = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(shown.tv_sec.try_into().unwrap_or(0), shown.tv_nsec.try_into().unwrap_or(0))
}

/// The wall clock goes on, too; where it is set, links are tried once more than needed.
#[cfg(not(target_os = "linux"))]
pub(super) fn with_sleep() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_the_way_out_stays() {
        let (before, way) = (with_sleep(), WayOut::now());
        assert!(with_sleep() >= before && before > Duration::ZERO);
        assert_eq!(WayOut::now(), way);
    }
}
