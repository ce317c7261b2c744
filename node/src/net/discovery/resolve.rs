//! Looks up the names in cards, anew for each dial: a home's address changes, its dynamic DNS name follows.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// A name server that does not answer must not keep the addresses that need none waiting for long.
const LOOKUP_MAX: Duration = Duration::from_secs(3);

/// Every address of every `HOST:PORT`, in their order: the best are named first. Names that cannot be looked up are left out.
pub(crate) async fn all(hosts: &[String]) -> Vec<SocketAddr> {
    let found = join_all(hosts.iter().map(|host| one(host))).await;
    let mut known = BTreeSet::new();
    found.into_iter().flatten().filter(|addr| known.insert(*addr)).collect()
}

async fn one(host: &str) -> Vec<SocketAddr> {
    if let Ok(addr) = host.parse() {
        return vec![addr];
    }
    match timeout(LOOKUP_MAX, lookup_host(host)).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "cannot be looked up");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
