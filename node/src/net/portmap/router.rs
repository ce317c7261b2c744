//! Which router leads out of this network, as the system's table of routes says.

use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use procfs_core::FromBufRead as _;
use procfs_core::net::{RouteEntries, RouteEntry};
use tokio::net::UdpSocket;

use super::codec::ROUTER_PORT;
use super::machine::DefaultRouter;
use crate::files;
use crate::net::findings::is_public;

/// Each process sees the table of its own network namespace.
const ROUTES: &str = "/proc/net/route";
/// Flags of a route, `RTF_UP` and `RTF_GATEWAY` of the system's headers.
const USABLE: u16 = 0x1 | 0x2;

/// The router that has to be asked, if there is one: none before a machine that has a public address itself, nor if the node
/// listens elsewhere.
pub(super) async fn find(listen: SocketAddr) -> Option<DefaultRouter> {
    let table = files::read_system_text(Path::new(ROUTES)).ok()?;
    let gateway = default_gateway(&table)?;
    // No packet is sent: the system chooses the address that it would send from.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect((gateway, ROUTER_PORT)).await.ok()?;
    let SocketAddr::V4(local) = socket.local_addr().ok()? else { return None };
    let is_asked_there = listen.ip().is_unspecified() || listen.ip() == *local.ip();
    (is_asked_there && !is_public((*local.ip()).into())).then_some(DefaultRouter { gateway, local: *local.ip() })
}

/// The default route that the system prefers.
fn default_gateway(table: &str) -> Option<Ipv4Addr> {
    let RouteEntries(routes) = RouteEntries::from_buf_read(BufReader::new(table.as_bytes())).ok()?;
    let is_default = |route: &RouteEntry| {
        let leads_anywhere = route.destination.is_unspecified() && route.mask.is_unspecified();
        leads_anywhere && route.flags & USABLE == USABLE && !route.gateway.is_unspecified()
    };
    let usable = routes.into_iter().filter(is_default);
    usable.min_by_key(|route| route.metrics).map(|route| route.gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_with_the_least_metric_counts() {
        let wifi = "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n";
        let cable = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        let lan = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let tunnel = "tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0\n";
        let gateway = |lines: &[&str]| default_gateway(&format!("{HEAD}{}", lines.concat()));
        assert_eq!(gateway(&[wifi, lan, cable, tunnel]), Some([192, 168, 1, 1].into()));
        assert_eq!(gateway(&[wifi]), Some([192, 168, 2, 1].into()));
        assert_eq!(gateway(&[lan, tunnel]), None, "a tunnel has no router to ask");
        assert_eq!(gateway(&["what is this"]), None);
    }
}
