//! Routers: which packets they let through and what they make of addresses.

use std::fmt::Write as _;

/// On which all nodes listen, each in its own network.
pub const FSDFS_PORT: u16 = 24_007;

/// The kinds of routers that stand in homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterKind {
    /// None: the machine itself has the public address.
    Absent,
    /// Its owner forwarded the node's port.
    Open,
    /// One mapping for all destinations, and nothing comes in that was not asked for.
    Cone,
    /// Another mapping for each destination.
    Symmetric,
    /// As cone, and it lets no UDP through.
    UdpBlocked,
    /// As cone, and programs may ask it for ports, in this way only.
    Maps(MappingWay),
}

/// How programs ask a router for ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingWay {
    /// UPnP IGD.
    Upnp,
    /// PCP.
    Pcp,
    /// NAT-PMP, which came before PCP and has the same port.
    NatPmp,
}

/// What decides about the packets of one home.
#[derive(Clone, Copy, Debug)]
pub struct RouterRules {
    /// Of which kind.
    pub kind: RouterKind,
    /// The home's number, which is in its addresses.
    pub number: u8,
    /// Says nothing about packets that are too long.
    pub hides_icmp: bool,
}

impl RouterRules {
    /// For `nft -f`. The devices are `wan` and `lan`.
    pub fn text(&self) -> String {
        let mut text = self.translation();
        let _ = write!(
            text,
            "table inet filter {{\n{}\
             chain input {{\n type filter hook input priority 0; policy accept;\n \
             iifname \"wan\" ct state established,related accept\n iifname \"wan\" icmp type echo-request accept\n \
             iifname \"wan\" drop\n{}}}\n\
             chain output {{\n type filter hook output priority 0; policy accept;\n{}}}\n\
             chain forward {{\n type filter hook forward priority 0; policy drop;\n{}{} \
             ct state established,related accept\n iifname \"lan\" accept\n ct status dnat accept\n{}}}\n}}\n",
            self.mapping_chains(),
            self.refused_way(),
            silence(self.hides_icmp),
            if self.kind == RouterKind::UdpBlocked { " meta l4proto udp drop\n" } else { "" },
            silence(self.hides_icmp),
            self.forwarding(),
        );
        text
    }

    fn maps(&self) -> bool {
        matches!(self.kind, RouterKind::Maps(_))
    }

    /// What else may come in.
    fn forwarding(&self) -> String {
        match self.kind {
            // Of IPv6 nothing is translated, but the port is opened all the same.
            RouterKind::Open => format!(" iifname \"wan\" udp dport {FSDFS_PORT} accept\n"),
            RouterKind::Maps(_) => " jump miniupnpd\n".into(),
            _ => String::new(),
        }
    }

    /// For IPv4 only: IPv6 goes through as it is, behind the same filter.
    fn translation(&self) -> String {
        let masquerade = if self.kind == RouterKind::Symmetric { "masquerade fully-random" } else { "masquerade" };
        let (number, port) = (self.number, FSDFS_PORT);
        let forwarded = match self.kind {
            RouterKind::Open => format!(" iifname \"wan\" udp dport {port} dnat to 192.168.{number}.2:{port}\n"),
            _ => String::new(),
        };
        format!(
            "table ip nat {{\nchain prerouting {{\n type nat hook prerouting priority -100;\n{forwarded}}}\n\
             chain postrouting {{\n type nat hook postrouting priority 100;\n oifname \"wan\" {masquerade}\n}}\n}}\n"
        )
    }

    /// `miniupnpd` speaks both protocols of its port or none. They differ in the first byte, which is a version.
    fn refused_way(&self) -> &'static str {
        match self.kind {
            RouterKind::Maps(MappingWay::Pcp) => " iifname \"lan\" udp dport 5351 @th,64,8 0 drop\n",
            RouterKind::Maps(MappingWay::NatPmp) => " iifname \"lan\" udp dport 5351 @th,64,8 2 drop\n",
            _ => "",
        }
    }

    /// Where `miniupnpd` puts what it was asked for.
    fn mapping_chains(&self) -> &'static str {
        if !self.maps() {
            return "";
        }
        "chain miniupnpd {}\nchain prerouting_miniupnpd {}\nchain postrouting_miniupnpd {}\n\
         chain prerouting {\n type nat hook prerouting priority -90;\n jump prerouting_miniupnpd\n}\n\
         chain postrouting {\n type nat hook postrouting priority 90;\n jump postrouting_miniupnpd\n}\n"
    }
}

/// A provider's own translation, for the homes at the devices `sub*`. They do not reach each other: it has no hairpin. IPv6
/// passes as it is; on the cable to the internet neighbours ask for each other.
pub fn carrier_rules(is_symmetric: bool) -> String {
    let masquerade = if is_symmetric { "masquerade fully-random" } else { "masquerade" };
    format!(
        "table ip nat {{\nchain postrouting {{\n type nat hook postrouting priority 100;\n oifname \"wan\" {masquerade}\n}}\n}}\n\
         table inet filter {{\nchain input {{\n type filter hook input priority 0; policy accept;\n iifname \"wan\" ct state \
         established,related accept\n iifname \"wan\" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept\n \
         iifname \"wan\" drop\n}}\n\
         chain forward {{\n type filter hook forward priority 0; policy drop;\n ct state established,related accept\n \
         meta nfproto ipv6 accept\n iifname \"sub*\" oifname \"wan\" accept\n}}\n}}\n"
    )
}

/// What the internet between the homes does: nothing, or it says nothing about packets that are too long.
pub fn internet_rules(hides_icmp: bool) -> String {
    format!(
        "table inet filter {{\nchain output {{\n type filter hook output priority 0;\n{}}}\n}}\n",
        silence(hides_icmp)
    )
}

fn silence(hides_icmp: bool) -> &'static str {
    if hides_icmp { " icmp type destination-unreachable drop\n icmpv6 type packet-too-big drop\n" } else { "" }
}

/// The configuration of `miniupnpd` for a home.
pub fn miniupnpd_config(number: u8, public: &str, way: MappingWay) -> String {
    let word = |is: bool| if is { "yes" } else { "no" };
    format!(
        "ext_ifname=wan\nlistening_ip=lan\next_ip={public}\nenable_upnp={}\nenable_natpmp={}\nsecure_mode=yes\n\
         system_uptime=yes\nuuid=00000000-0000-0000-0000-0000000000{number:02x}\nupnp_table_name=filter\n\
         upnp_nat_table_name=filter\nupnp_forward_chain=miniupnpd\nupnp_nat_chain=prerouting_miniupnpd\n\
         upnp_nat_postrouting_chain=postrouting_miniupnpd\nallow 1024-65535 192.168.{number}.0/24 1024-65535\n",
        word(way == MappingWay::Upnp),
        word(way != MappingWay::Upnp)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: RouterKind) -> String {
        RouterRules { kind, number: 7, hides_icmp: false }.text()
    }

    #[test]
    fn each_kind_differs_from_cone_in_one_thing() {
        let cone = text(RouterKind::Cone);
        let added = |kind| {
            let lines = text(kind);
            lines.lines().filter(|line| !cone.contains(line)).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            added(RouterKind::Open),
            ["iifname \"wan\" udp dport 24007 dnat to 192.168.7.2:24007", "iifname \"wan\" udp dport 24007 accept"]
        );
        assert_eq!(added(RouterKind::Symmetric), ["oifname \"wan\" masquerade fully-random"]);
        assert_eq!(added(RouterKind::UdpBlocked), ["meta l4proto udp drop"]);
        assert!(added(RouterKind::Maps(MappingWay::Pcp)).contains(&"jump miniupnpd".to_owned()));
    }

    #[test]
    fn what_hides_icmp_hides_it_at_the_router_and_beyond() {
        let quiet = RouterRules { kind: RouterKind::Cone, number: 7, hides_icmp: true }.text();
        assert_eq!(quiet.matches("packet-too-big drop").count(), 2);
        assert!(internet_rules(true).contains("packet-too-big drop"));
        assert!(!internet_rules(false).contains("drop"));
    }
}
