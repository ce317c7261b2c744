//! A home: a router, a line, and one machine behind it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::internet::{Carrier, LabInternet};
use super::line::emulator::{HomeLine, LineEnd};
use super::line::model::LineSettings;
use super::namespace::NetNamespace;
use super::needs;
use super::router::{FSDFS_PORT, RouterKind, RouterRules, miniupnpd_config};

/// A router's address in the home's network of IPv6, by which machines know it: it stays when the provider gives another prefix.
const ROUTER_LINK: &str = "fe80::1";

/// What home is wanted.
#[derive(Clone, Debug)]
pub struct HomePlan {
    pub(super) router: RouterKind,
    pub(super) up: LineSettings,
    pub(super) down: LineSettings,
    pub(super) families: AddressFamilies,
    /// Behind this provider's translation.
    pub(super) carrier: Option<usize>,
    pub(super) mtu: u32,
    pub(super) udp_timeout_s: Option<u32>,
    /// What its owner has put on the node's card.
    pub(super) addresses: Vec<String>,
    pub(super) storage: String,
}

/// Which addresses a home has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamilies {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    Both,
}

impl HomePlan {
    /// A home behind a router of this kind, with IPv4, a line that loses nothing, and 4 ms to everybody else.
    pub fn behind(router: RouterKind) -> Self {
        let line = LineSettings::unlimited().delay_ms(2);
        let (families, addresses) = (AddressFamilies::V4, Vec::new());
        let storage = "4GiB".into();
        Self {
            router,
            up: line,
            down: line,
            families,
            carrier: None,
            mtu: 1500,
            udp_timeout_s: None,
            addresses,
            storage,
        }
    }

    /// With the same line in both directions.
    pub fn line(self, line: LineSettings) -> Self {
        Self { up: line, down: line, ..self }
    }

    /// With these addresses.
    pub fn families(self, families: AddressFamilies) -> Self {
        Self { families, ..self }
    }

    /// As a customer of a provider that translates IPv4 addresses once more.
    pub fn at_carrier(self, carrier: usize) -> Self {
        Self { carrier: Some(carrier), ..self }
    }

    /// With a line that takes no longer packets.
    pub fn mtu(self, mtu: u32) -> Self {
        Self { mtu, ..self }
    }

    /// With a router that forgets after so many seconds without a packet.
    pub fn udp_timeout_s(self, udp_timeout_s: u32) -> Self {
        Self { udp_timeout_s: Some(udp_timeout_s), ..self }
    }

    /// With this on the node's card, in place of the public address that an open router has.
    pub fn named(self, address: &str) -> Self {
        Self { addresses: vec![address.into()], ..self }
    }

    /// With so much storage for the pool, or `none`.
    pub fn storage(self, storage: &str) -> Self {
        Self { storage: storage.into(), ..self }
    }
}

/// A home that stands.
pub struct LabHome {
    plan: HomePlan,
    number: u8,
    /// Changes when the provider gives another address.
    address_round: u8,
    // The devices go before the namespaces they lie in.
    line: HomeLine,
    mapper: Option<Child>,
    router: Option<NetNamespace>,
    machine: NetNamespace,
}

impl LabHome {
    /// Builds it. `carriers` are the providers of the lab.
    pub(super) fn build(plan: HomePlan, number: u8, internet: &LabInternet, carriers: &[Carrier]) -> Result<Self> {
        let machine = NetNamespace::new("home")?;
        let router = if plan.router == RouterKind::Absent { None } else { Some(NetNamespace::new("router")?) };
        let edge = router.as_ref().unwrap_or(&machine);
        let provider = plan.carrier.map(|at| carriers.get(at).context("a carrier of this lab")).transpose()?;
        let there = provider.map_or(internet.namespace(), Carrier::namespace);
        let far_device = format!("sub{number}");
        let (home_end, far_end) = (
            LineEnd { namespace: edge, device: "wan", mtu: plan.mtu },
            LineEnd { namespace: there, device: &far_device, mtu: plan.mtu },
        );
        let line = HomeLine::lay(&home_end, &far_end, plan.up, plan.down, u64::from(number) + 1)?;
        let mut home = Self { plan, number, address_round: 0, line, mapper: None, router, machine };
        home.furnish(internet)?;
        home.connect(internet, carriers)?;
        Ok(home)
    }

    /// The line to the internet.
    pub fn line(&self) -> &HomeLine {
        &self.line
    }

    /// The namespace in which its programs run.
    pub fn machine(&self) -> &NetNamespace {
        &self.machine
    }

    /// Which kind it is.
    pub fn plan(&self) -> &HomePlan {
        &self.plan
    }

    /// The address by which the outside knows this home's router, or its provider knows it.
    pub fn public_v4(&self) -> Ipv4Addr {
        match self.plan.carrier {
            Some(_) => Ipv4Addr::new(100, 64, self.number, 1 + self.address_round),
            None => Ipv4Addr::new(100, 0, self.number, 1 + self.address_round),
        }
    }

    /// The machine's own IPv6 address, which everybody sees.
    pub fn public_v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2a00, u16::from(self.number), u16::from(self.address_round), 0, 0, 0, 0, 2)
    }

    /// What belongs on the node's card: what its owner named, and nothing if the owner did nothing.
    pub(super) fn card_addresses(&self) -> Vec<String> {
        let is_open = matches!(self.plan.router, RouterKind::Open | RouterKind::Absent);
        if !self.plan.addresses.is_empty() || !is_open {
            return self.plan.addresses.clone();
        }
        match self.plan.families {
            AddressFamilies::V6 => vec![format!("[{}]:{FSDFS_PORT}", self.public_v6())],
            _ => vec![format!("{}:{FSDFS_PORT}", self.public_v4())],
        }
    }

    fn has_v4(&self) -> bool {
        self.plan.families != AddressFamilies::V6
    }

    fn has_v6(&self) -> bool {
        self.plan.families != AddressFamilies::V4
    }

    fn edge(&self) -> &NetNamespace {
        self.router.as_ref().unwrap_or(&self.machine)
    }

    /// What stays when the address changes: the network in the home, and the router's rules.
    fn furnish(&mut self, internet: &LabInternet) -> Result<()> {
        let Some(router) = &self.router else { return Ok(()) };
        router.route_packets()?;
        router.plug("lan", &self.machine, "eth0", 1500)?;
        let (gateway, machine) = (format!("192.168.{}.1", self.number), format!("192.168.{}.2/24", self.number));
        if self.has_v4() {
            router.ip(&["addr", "add", &format!("{gateway}/24"), "dev", "lan"])?;
            self.machine.ip(&["addr", "add", &machine, "dev", "eth0"])?;
            self.machine.ip(&["route", "add", "default", "via", &gateway])?;
        }
        if self.has_v6() {
            router.ip(&["addr", "add", &format!("{ROUTER_LINK}/64"), "dev", "lan"])?;
        }
        let hides_icmp = internet.hides_icmp();
        let rules = RouterRules { kind: self.plan.router, number: self.number, hides_icmp };
        router.load_rules(&rules.text(), internet.scratch())?;
        if let Some(timeout_s) = self.plan.udp_timeout_s {
            for name in ["udp_timeout", "udp_timeout_stream"] {
                router.sysctl(&format!("net.netfilter.nf_conntrack_{name}"), &timeout_s.to_string())?;
            }
        }
        Ok(())
    }

    /// Gives the home its addresses and the world the way to them.
    fn connect(&mut self, internet: &LabInternet, carriers: &[Carrier]) -> Result<()> {
        let far = self.plan.carrier.map_or(internet.namespace(), |at| carriers[at].namespace());
        let device = format!("sub{}", self.number);
        let edge = self.edge();
        if self.has_v4() {
            let address = format!("{}/32", self.public_v4());
            edge.ip(&["addr", "add", &address, "dev", "wan"])?;
            edge.ip(&["route", "replace", "default", "dev", "wan"])?;
            far.ip(&["route", "replace", &address, "dev", &device])?;
        }
        if self.has_v6() {
            let prefix = format!("{}/64", self.public_v6());
            edge.ip(&["-6", "route", "replace", "default", "dev", "wan"])?;
            // A provider that translates IPv4 passes IPv6 on as it is.
            internet.route_v6(self.number, &prefix, self.plan.carrier.map(|at| &carriers[at]))?;
            self.connect_machine_v6()?;
        }
        self.start_mapper(internet)
    }

    fn connect_machine_v6(&self) -> Result<()> {
        let address = self.public_v6();
        let Some(router) = &self.router else {
            return self.machine.ip(&["addr", "add", &format!("{address}/64"), "dev", "wan"]).map(drop);
        };
        let gateway = Ipv6Addr::from(u128::from(address) - 1);
        router.ip(&["addr", "add", &format!("{gateway}/64"), "dev", "lan"])?;
        self.machine.ip(&["addr", "add", &format!("{address}/64"), "dev", "eth0"])?;
        self.machine.ip(&["-6", "route", "replace", "default", "via", ROUTER_LINK, "dev", "eth0"]).map(drop)
    }

    fn disconnect(&mut self, internet: &LabInternet, carriers: &[Carrier]) -> Result<()> {
        self.stop_mapper()?;
        let far = self.plan.carrier.map_or(internet.namespace(), |at| carriers[at].namespace());
        if self.has_v4() {
            let address = format!("{}/32", self.public_v4());
            far.ip(&["route", "del", &address])?;
            self.edge().ip(&["addr", "del", &address, "dev", "wan"])?;
        }
        if self.has_v6() {
            self.edge().ip(&["-6", "addr", "flush", "scope", "global"])?;
            self.machine.ip(&["-6", "addr", "flush", "scope", "global"])?;
        }
        Ok(())
    }

    /// Another address of the provider from now on; the router forgets what it translated. The machine behind a router notices
    /// nothing of it.
    pub(super) fn renumber(&mut self, internet: &LabInternet, carriers: &[Carrier]) -> Result<()> {
        self.disconnect(internet, carriers)?;
        self.address_round += 1;
        self.connect(internet, carriers)
    }

    /// Another router takes its place; nothing else changes.
    pub(super) fn replace_router(&mut self, kind: RouterKind, internet: &LabInternet) -> Result<()> {
        self.plan.router = kind;
        let rules = RouterRules { kind, number: self.number, hides_icmp: internet.hides_icmp() };
        self.edge().load_rules(&rules.text(), internet.scratch())
    }

    /// Bytes that its machine has sent to the router so far, whatever became of them.
    pub fn machine_bytes(&self) -> Result<u64> {
        let said = self.machine.ip(&["-j", "-s", "link", "show", "dev", "eth0"])?;
        let links: serde_json::Value = serde_json::from_str(&said)?;
        links[0]["stats64"]["tx"]["bytes"].as_u64().context("bytes of the device")
    }

    /// The router starts again: it forgets what it translated and which ports it was asked for.
    pub(super) fn restart_router(&mut self, internet: &LabInternet, carriers: &[Carrier]) -> Result<()> {
        self.line.set_cut(true);
        self.disconnect(internet, carriers)?;
        let kind = self.plan.router;
        let rules = RouterRules { kind, number: self.number, hides_icmp: internet.hides_icmp() };
        self.edge().load_rules(&rules.text(), internet.scratch())?;
        self.connect(internet, carriers)?;
        self.line.set_cut(false);
        Ok(())
    }

    /// The ports that programs have asked the router for, as rules.
    pub fn mapped_ports(&self) -> Result<String> {
        self.edge().run("nft", &["list", "chain", "inet", "filter", "prerouting_miniupnpd"])
    }

    /// What programs have asked its IPv6 firewall to let through, as rules; of IPv4 what goes with a mapped port.
    pub fn pinholes(&self) -> Result<String> {
        self.edge().run("nft", &["list", "chain", "inet", "filter", "miniupnpd"])
    }

    fn start_mapper(&mut self, internet: &LabInternet) -> Result<()> {
        let RouterKind::Maps(way) = self.plan.router else { return Ok(()) };
        ensure!(needs::has_miniupnpd(), "miniupnpd is not installed");
        let router = self.edge();
        let file = internet.scratch().join(format!("{}.conf", router.name()));
        std::fs::write(&file, miniupnpd_config(self.number, &self.public_v4().to_string(), way))?;
        let log = std::fs::File::create(file.with_extension("log"))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", router.name(), "miniupnpd", "-d", "-P"]).arg(file.with_extension("pid"));
        command.arg("-f").arg(&file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.mapper = Some(command.spawn().context("miniupnpd")?);
        Ok(())
    }

    fn stop_mapper(&mut self) -> Result<()> {
        if let Some(mut mapper) = self.mapper.take() {
            mapper.kill()?;
            mapper.wait()?;
        }
        Ok(())
    }
}

impl Drop for LabHome {
    fn drop(&mut self) {
        // Nothing else can be done with an error here.
        let _ = self.stop_mapper();
    }
}
