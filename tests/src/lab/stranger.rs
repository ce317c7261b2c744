//! Somebody on the internet who sends packets by hand, and counts what comes back.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use tappers::{Interface, Tun};

use super::namespace::NetNamespace;
use super::router::FSDFS_PORT;

const DEVICE: &str = "stranger";

/// Has no namespace of its own: the device in the internet ends here.
pub struct LabStranger {
    address: Ipv4Addr,
    device: Arc<Tun>,
    received: Arc<AtomicU64>,
    internet: String,
    counting: Option<JoinHandle<()>>,
}

impl LabStranger {
    /// With an address that no home has.
    pub(super) fn new(number: u8, internet: &NetNamespace) -> Result<Self> {
        let name = format!("fs{}x{number}", std::process::id());
        let device = Arc::new(Tun::new_named(Interface::new(&name)?).context("a TUN device")?);
        internet.adopt(&name, DEVICE)?;
        internet.ip(&["link", "set", DEVICE, "up"])?;
        let address = Ipv4Addr::new(100, 0, number, 1);
        internet.ip(&["route", "replace", &format!("{address}/32"), "dev", DEVICE])?;
        let received = Arc::new(AtomicU64::new(0));
        let (from, count) = (Arc::clone(&device), Arc::clone(&received));
        let counting = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok(bytes) = from.recv(&mut buffer) {
                // The kernel itself announces the device by IPv6; the stranger has an IPv4 address.
                if buffer[0] >> 4 == 4 {
                    count.fetch_add(bytes as u64, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { address, device, received, internet: internet.name().to_owned(), counting: Some(counting) })
    }

    /// One packet to a node's port.
    pub fn send(&self, to: Ipv4Addr, payload: &[u8]) -> Result<()> {
        let builder = PacketBuilder::ipv4(self.address.octets(), to.octets(), 64).udp(FSDFS_PORT, FSDFS_PORT);
        let mut packet = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut packet, payload)?;
        self.device.send(&packet)?;
        Ok(())
    }

    /// Bytes that came back so far, with IP headers.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for LabStranger {
    fn drop(&mut self) {
        // The counting ends when the device is gone; nothing else can be done with an error here.
        let _ = super::namespace::run("ip", &["-n", &self.internet, "link", "del", DEVICE]);
        if let Some(counting) = self.counting.take() {
            let _ = counting.join();
        }
    }
}
