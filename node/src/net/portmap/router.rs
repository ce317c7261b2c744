//! Which router leads out of this network, as the system's table of routes says.

use std::io::BufReader;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
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
const ROUTES_V6: &str = "/proc/net/ipv6_route";
/// This machine's IPv6 addresses, with the numbers of their interfaces.
const ADDRESSES_V6: &str = "/proc/net/if_inet6";
/// Of the space from which all public addresses are given (RFC 4291 §2.4). Nothing is ever sent there.
const ANYWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1);
/// Flags of a route, `RTF_UP` and `RTF_GATEWAY` of the system's headers.
const USABLE: u16 = 0x1 | 0x2;

/// The router that has to be asked for IPv4, if there is one: none before a machine that has a public address itself, nor if the node
/// listens elsewhere.
pub(super) async fn find_v4(listen: SocketAddr) -> Option<DefaultRouter> {
    let table = files::read_system_text(Path::new(ROUTES)).ok()?;
    let gateway = default_gateway(&table)?;
    // No packet is sent: the system chooses the address that it would send from.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect((gateway, ROUTER_PORT)).await.ok()?;
    let SocketAddr::V4(local) = socket.local_addr().ok()? else { return None };
    let is_asked_there = listen.ip().is_unspecified() || listen.ip() == *local.ip();
    let router = DefaultRouter { gateway: gateway.into(), interface: 0, local: (*local.ip()).into() };
    (is_asked_there && !is_public(router.local)).then_some(router)
}

/// The router whose firewall has to be asked, if there is one, and the address that it has to be asked for: that from which
/// this machine speaks to the world.
pub(super) async fn find_v6(is_listening: impl Fn(SocketAddr) -> bool, port: u16) -> Option<DefaultRouter> {
    let (gateway, interface) = default_gateway_v6(&files::read_system_text(Path::new(ROUTES_V6)).ok()?)?;
    let interface = interface_number(&files::read_system_text(Path::new(ADDRESSES_V6)).ok()?, &interface)?;
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect((ANYWHERE_V6, ROUTER_PORT)).await.ok()?;
    let local = socket.local_addr().ok()?.ip();
    let interface = if gateway.is_unicast_link_local() { interface } else { 0 };
    let is_open = is_public(local) && is_listening(SocketAddr::new(local, port));
    is_open.then_some(DefaultRouter { gateway: gateway.into(), interface, local })
}

/// The default route that the system prefers, and the name of its interface. No library reads this table: destination, bits of
/// it, source, bits of it, gateway, metric, users, uses, flags, interface.
fn default_gateway_v6(table: &str) -> Option<(Ipv6Addr, String)> {
    let usable = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, "00", _, "00", gateway, metric, _, _, flags, interface] = columns[..] else { return None };
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        let (metric, flags) = (u32::from_str_radix(metric, 16).ok()?, u32::from_str_radix(flags, 16).ok()?);
        let is_usable = flags & u32::from(USABLE) == u32::from(USABLE) && !gateway.is_unspecified();
        is_usable.then(|| (metric, gateway, interface.to_owned()))
    });
    usable.min_by_key(|(metric, ..)| *metric).map(|(_, gateway, interface)| (gateway, interface))
}

/// Address, number of the interface, bits, scope, flags, its name.
fn interface_number(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, number, _, _, _, interface] = columns[..] else { return None };
        (interface == name).then(|| u32::from_str_radix(number, 16).ok()).flatten()
    })
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

    #[test]
    fn the_default_route_of_ipv6_has_an_interface() {
        let zero = "0".repeat(32);
        let route = |bits: &str, gateway: &str, metric: &str, flags: &str, name: &str| {
            format!("{zero} {bits} {zero} 00 {gateway} {metric} 00000001 00000000 {flags} {name:>8}\n")
        };
        let near = "fe800000000000000000000000000001";
        let wifi = route("00", "fe800000000000000000000000000002", "00000400", "00000003", "wlan0");
        let cable = route("00", near, "00000064", "00450003", "eth0");
        let lan = route("40", near, "00000001", "00000003", "eth1");
        let nowhere = route("00", &zero, "ffffffff", "00200200", "lo");
        let table = [nowhere.clone(), lan, wifi, cable].concat();
        let found = default_gateway_v6(&table);
        assert_eq!(found, Some((Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), "eth0".to_owned())));
        assert_eq!(default_gateway_v6(&nowhere), None);
        assert_eq!(default_gateway_v6("what is this"), None);
        let addresses = format!("{zero} 01 80 10 80       lo\n{near} 1f 40 20 80     eth0\n");
        assert_eq!((interface_number(&addresses, "eth0"), interface_number(&addresses, "eth1")), (Some(31), None));
    }
}
