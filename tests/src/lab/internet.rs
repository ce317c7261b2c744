//! What lies between homes: one namespace that routes, and providers that translate for their customers.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::namespace::NetNamespace;
use super::router::{carrier_rules, internet_rules};

/// Answers for packets that are too long. No home has it.
const OWN_V4: &str = "100.0.0.254/32";
const OWN_V6: &str = "2a00:ffff::254/128";
/// The two ends of a provider's cable.
const INTERNET_LINK: &str = "fe80::1";
const CARRIER_LINK: &str = "fe80::2";

/// The namespace to which all lines lead.
pub struct LabInternet {
    namespace: NetNamespace,
    hides_icmp: bool,
    scratch: PathBuf,
}

impl LabInternet {
    /// Nothing is connected yet. With `hides_icmp` no router here says that a packet is too long.
    pub(super) fn new(hides_icmp: bool, scratch: &Path) -> Result<Self> {
        let namespace = NetNamespace::new("internet")?;
        namespace.route_packets()?;
        namespace.ip(&["addr", "add", OWN_V4, "dev", "lo"])?;
        namespace.ip(&["addr", "add", OWN_V6, "dev", "lo"])?;
        namespace.load_rules(&internet_rules(hides_icmp), scratch)?;
        Ok(Self { namespace, hides_icmp, scratch: scratch.to_owned() })
    }

    pub(super) fn namespace(&self) -> &NetNamespace {
        &self.namespace
    }

    pub(super) fn hides_icmp(&self) -> bool {
        self.hides_icmp
    }

    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The way to a home's IPv6 network, which leads through its provider if that one translates IPv4.
    pub(super) fn route_v6(&self, home: u8, prefix: &str, carrier: Option<&Carrier>) -> Result<()> {
        let Some(carrier) = carrier else {
            return self.namespace.ip(&["-6", "route", "replace", prefix, "dev", &format!("sub{home}")]).map(drop);
        };
        carrier.namespace.ip(&["-6", "route", "replace", prefix, "dev", &format!("sub{home}")])?;
        self.namespace.ip(&["-6", "route", "replace", prefix, "via", CARRIER_LINK, "dev", &carrier.device]).map(drop)
    }
}

/// A provider that gives its customers addresses of 100.64/10 and translates them once more.
pub struct Carrier {
    namespace: NetNamespace,
    /// Its device in the internet.
    device: String,
}

impl Carrier {
    pub(super) fn new(number: usize, is_symmetric: bool, internet: &LabInternet) -> Result<Self> {
        let namespace = NetNamespace::new("carrier")?;
        namespace.route_packets()?;
        let device = format!("carrier{number}");
        namespace.plug("wan", &internet.namespace, &device, 1500)?;
        let address = format!("100.0.{}.1/32", 200 + number);
        namespace.ip(&["addr", "add", &address, "dev", "wan"])?;
        namespace.ip(&["route", "add", "100.0.0.254/32", "dev", "wan"])?;
        namespace.ip(&["route", "add", "default", "via", "100.0.0.254", "dev", "wan"])?;
        internet.namespace.ip(&["route", "add", &address, "dev", &device])?;
        internet.namespace.ip(&["addr", "add", &format!("{INTERNET_LINK}/64"), "dev", &device])?;
        namespace.ip(&["addr", "add", &format!("{CARRIER_LINK}/64"), "dev", "wan"])?;
        namespace.ip(&["-6", "route", "add", "default", "via", INTERNET_LINK, "dev", "wan"])?;
        namespace.load_rules(&carrier_rules(is_symmetric), &internet.scratch)?;
        Ok(Self { namespace, device })
    }

    pub(super) fn namespace(&self) -> &NetNamespace {
        &self.namespace
    }
}
