//! Under which addresses this node can be reached.

use fsdfs_proto::control::AddressScope;

use crate::config::Config;
use crate::net::Net;

/// What this node's card says: what the owner named, then what the system names, public addresses first.
pub(super) fn addresses(config: &Config, net: &Net) -> Vec<String> {
    let mut found: Vec<String> = net.listen_addrs().iter().map(ToString::to_string).collect();
    let others = found.iter().any(|addr| AddressScope::of(addr) != AddressScope::Loopback);
    found.retain(|addr| !others || AddressScope::of(addr) != AddressScope::Loopback);
    // Of one scope IPv4 goes first: a link-local IPv6 address needs an interface's name that no other machine knows.
    found.retain(|addr| !addr.starts_with("[fe80"));
    found.sort_by_key(|addr| (AddressScope::of(addr), addr.starts_with('['), addr.clone()));
    let mut all: Vec<String> = config.addresses.clone();
    all.extend(found.into_iter().filter(|addr| !config.addresses.contains(addr)));
    all.truncate(8);
    all
}
