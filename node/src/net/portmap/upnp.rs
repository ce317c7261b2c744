//! UPnP: the router is searched on the local network and asked over HTTP. All of that is the library's; here is what to do
//! about a router's peculiarities.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, RequestError, SearchOptions};
use tokio::time::timeout;

use super::machine::{DefaultRouter, LEASE_S};

/// Devices may wait three seconds before they answer a search.
const SEARCH_MAX: Duration = Duration::from_secs(4);
/// A router of this house answers within milliseconds; some think about it.
const CALL_MAX: Duration = Duration::from_secs(3);
/// External ports tried, if others have them.
const PORTS_MAX: u16 = 4;
/// What owners read in their router's list.
const DESCRIPTION: &str = "fsdfs";
/// A code of the protocol ("Invalid Args") by which some routers say that they know no leases that end.
const INVALID_ARGUMENTS: u16 = 402;

/// Knows the router once it has been found. Handed into each call and out of it again.
#[derive(Default)]
pub(super) struct UpnpClient(Option<Gateway<Tokio>>);

/// What is asked for: a port of the router's, for so many seconds; 0 = until it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UpnpAttempt {
    external: u16,
    lease_s: u32,
    /// Ports that were tried.
    ports: u16,
}

impl UpnpClient {
    /// Maps or renews; the client comes back with the mapping's address. A router that was found before and does not answer is
    /// searched anew: it may have been restarted, and listen elsewhere.
    pub async fn map(self, router: DefaultRouter, port: u16, external: u16) -> (Self, Option<SocketAddrV4>) {
        let local = SocketAddr::new(router.local, port);
        if let Some(known) = self.0
            && let Some(mapped) = map(&known, local, external).await
        {
            return (Self(Some(known)), Some(mapped));
        }
        let Some(found) = search(router).await else { return (Self(None), None) };
        let mapped = map(&found, local, external).await;
        (Self(Some(found)), mapped)
    }

    pub async fn end(self, external: u16) {
        if let Some(gateway) = self.0
            && let Ok(Err(error)) = timeout(CALL_MAX, gateway.remove_port(PortMappingProtocol::UDP, external)).await
        {
            tracing::debug!(%error, "the router keeps the port mapping");
        }
    }
}

async fn search(router: DefaultRouter) -> Option<Gateway<Tokio>> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::new(router.local, 0);
    options.timeout = Some(SEARCH_MAX);
    let gateway = search_gateway(options).await;
    // Whatever else answers on the network leads nowhere, or to somebody who wants this node's packets.
    let is_ours = |gateway: &Gateway<Tokio>| gateway.addr.ip() == router.gateway;
    gateway.inspect_err(|error| tracing::debug!(%error, "no router that speaks UPnP")).ok().filter(is_ours)
}

async fn map(gateway: &Gateway<Tokio>, local: SocketAddr, external: u16) -> Option<SocketAddrV4> {
    let ip = timeout(CALL_MAX, gateway.get_external_ip()).await.ok()?;
    let Ok(IpAddr::V4(ip)) = ip.inspect_err(|error| tracing::debug!(%error, "the router has no address")) else {
        return None;
    };
    let mut attempt = UpnpAttempt { external, lease_s: LEASE_S, ports: 1 };
    loop {
        let UpnpAttempt { external, lease_s, .. } = attempt;
        let add = gateway.add_port(PortMappingProtocol::UDP, external, local, lease_s, DESCRIPTION);
        match timeout(CALL_MAX, add).await.ok()? {
            Ok(()) => return Some(SocketAddrV4::new(ip, external)),
            Err(error) => {
                tracing::debug!(%error, external, lease_s, "the router does not map");
                attempt = attempt.after(&error, local.port())?;
            }
        }
    }
}

impl UpnpAttempt {
    /// What to try next, if anything.
    fn after(self, error: &AddPortError, own: u16) -> Option<Self> {
        let knows_no_lease = matches!(
            error,
            AddPortError::OnlyPermanentLeasesSupported
                | AddPortError::RequestError(RequestError::ErrorCode(INVALID_ARGUMENTS, _))
        );
        match error {
            _ if knows_no_lease && self.lease_s > 0 => Some(Self { lease_s: 0, ..self }),
            AddPortError::PortInUse if self.ports < PORTS_MAX => {
                Some(Self { external: another_port(own, self.ports), ports: self.ports + 1, ..self })
            }
            AddPortError::SamePortValuesRequired if self.external != own => Some(Self { external: own, ..self }),
            _ => None,
        }
    }
}

/// The same ones for one node each time, far apart and none of the system's.
fn another_port(own: u16, tried: u16) -> u16 {
    const FIRST: u32 = 1_024;
    const APART: u32 = 9_973;
    let place = (u32::from(own) + u32::from(tried) * APART) % (u32::from(u16::MAX) - FIRST);
    u16::try_from(FIRST + place).expect("below the greatest port")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: UpnpAttempt = UpnpAttempt { external: 24_007, lease_s: LEASE_S, ports: 1 };

    #[test]
    fn a_router_that_knows_no_leases_maps_for_ever() {
        let invalid = AddPortError::RequestError(RequestError::ErrorCode(402, "Invalid Args".into()));
        for error in [AddPortError::OnlyPermanentLeasesSupported, invalid] {
            let next = FIRST.after(&error, 24_007).expect("another attempt");
            assert_eq!(next, UpnpAttempt { lease_s: 0, ..FIRST });
            assert_eq!(next.after(&error, 24_007), None, "once");
        }
    }

    #[test]
    fn a_port_of_others_is_left_to_them() {
        let (mut attempt, mut tried) = (FIRST, vec![FIRST.external]);
        while let Some(next) = attempt.after(&AddPortError::PortInUse, 24_007) {
            assert!(!tried.contains(&next.external) && next.external >= 1_024, "{next:?}");
            tried.push(next.external);
            attempt = next;
        }
        assert_eq!(tried.len(), usize::from(PORTS_MAX));
        assert_eq!(attempt.after(&AddPortError::ActionNotAuthorized, 24_007), None);
        assert_eq!(
            attempt.after(&AddPortError::SamePortValuesRequired, 24_007).map(|next| next.external),
            Some(24_007)
        );
        assert!((0..=u16::MAX).all(|own| another_port(own, 3) >= 1_024));
    }
}
