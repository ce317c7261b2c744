//! Handshakes that are begun and left, from addresses that are nobody's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ed25519_dalek::SigningKey;
use futures::future::join_all;
use tokio::time::timeout;

use super::link::random_seed;
use super::quic::RawEndpoint;

/// No further attempt comes when there was none for so long.
const QUIET: Duration = Duration::from_secs(5);

/// What a program that speaks libp2p sends first, over and over from new: the datagrams of one attempt an item. At most so many;
/// fewer on a machine that does not get to make them.
pub async fn first_words(count: usize) -> Result<Vec<Vec<Vec<u8>>>> {
    let trap = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    let to = trap.local_addr()?;
    let knocking = tokio::spawn(knock(to, count));
    let mut attempts = BTreeMap::<Vec<u8>, Vec<Vec<u8>>>::new();
    let mut datagram = vec![0; 2048];
    let mut newest = Instant::now();
    while attempts.len() < count {
        let left = QUIET.saturating_sub(newest.elapsed());
        let Ok(received) = timeout(left, trap.recv_from(&mut datagram)).await else { break };
        let (len, _) = received?;
        // Of a long header: flags, version, then the id that the client drew for the server.
        let id = datagram.get(6..6 + usize::from(datagram[5])).unwrap_or_default().to_vec();
        if !attempts.contains_key(&id) {
            newest = Instant::now();
        }
        attempts.entry(id).or_default().push(datagram[..len].to_vec());
    }
    knocking.abort();
    ensure!(!attempts.is_empty(), "a program that dials sends something");
    Ok(attempts.into_values().collect())
}

/// Dials that nobody answers.
async fn knock(to: SocketAddr, times: usize) -> Result<()> {
    let own = RawEndpoint::bind(&SigningKey::from_bytes(&random_seed()), (Ipv4Addr::LOCALHOST, 0).into())?;
    join_all((0..times).map(|_| own.dial(to))).await;
    Ok(())
}

/// Sends the first words of an attempt from one of nine hundred addresses of this machine, never to be heard of again.
pub fn half_open(to: SocketAddr, attempts: &[Vec<Vec<u8>>], at: usize) {
    let number = u16::try_from(at % 900).unwrap_or(0);
    let [high, low] = number.to_be_bytes();
    let ip = Ipv4Addr::new(127, 1, high, low.max(1));
    if let Ok(socket) = UdpSocket::bind((ip, 0)) {
        for datagram in &attempts[at % attempts.len()] {
            let _ = socket.send_to(datagram, to);
        }
    }
}
