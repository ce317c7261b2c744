//! Homes behind routers, as network namespaces of this machine: the world is one of them, with public addresses, and each home is
//! two, its router and the machine behind it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

/// Addresses of the world. The router's program refuses to map when its own address is one for documentation or a private one,
/// so these are taken from those that somebody really has; no packet leaves the namespaces.
pub const ROUTER_IP: &str = "100.0.0.1";
pub const FRIEND_IP: &str = "100.0.0.10";
pub const NEWCOMER_IP: &str = "100.0.0.11";
/// The machine behind the router.
const HOME_IP: &str = "192.168.1.2";

/// A world with one home in it, and two machines that have public addresses. Dropping it takes all of it away.
pub struct Homes {
    prefix: String,
    folder: tempfile::TempDir,
    router_program: Option<Child>,
}

/// What the router does for the machines behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterKind {
    /// Forwards what is asked for by UPnP.
    Upnp,
    /// By NAT-PMP.
    NatPmp,
    /// By PCP.
    Pcp,
}

/// Why the tests here cannot run on this machine, if they cannot.
pub fn missing() -> Option<&'static str> {
    let has = |program: &str, argument: &str| {
        let run = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok()
    };
    if !rustix::process::geteuid().is_root() {
        return Some("needs root, for network namespaces");
    }
    if !has("ip", "-V") || !has("nft", "-v") {
        return Some("needs the programs ip and nft");
    }
    // A container's root may not make any.
    let name = unique("try");
    let made = run("ip", &["netns", "add", &name]);
    drop(run("ip", &["netns", "del", &name]));
    made.is_err().then_some("no network namespace can be made here")
}

/// Why routers that map ports are not there, if they are not.
pub fn missing_router() -> Option<&'static str> {
    let found = Command::new("miniupnpd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_err().then_some("needs miniupnpd (Debian: miniupnpd-nftables)")
}

/// No other test's, nor that of a run beside this one.
fn unique(what: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("fsdfs{}{what}{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {args:?}: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Homes {
    /// The home's router translates addresses, as all do, and lets in nothing that was not asked for.
    pub fn new() -> Result<Self> {
        let homes = Self { prefix: unique("n"), folder: tempfile::tempdir()?, router_program: None };
        for name in ["world", "router", "home", "friend", "newcomer"] {
            run("ip", &["netns", "add", &homes.namespace(name)])?;
            homes.ip(name, "link set lo up")?;
        }
        homes.ip("world", "link add name lan type bridge")?;
        homes.ip("world", "link set lan up")?;
        for (name, ip) in [("router", ROUTER_IP), ("friend", FRIEND_IP), ("newcomer", NEWCOMER_IP)] {
            let (world, there) = (homes.namespace("world"), homes.namespace(name));
            let link = format!("link add name {name} netns {world} type veth peer name wan netns {there}");
            run("ip", &link.split(' ').collect::<Vec<_>>())?;
            homes.ip("world", &format!("link set {name} master lan up"))?;
            homes.ip(name, &format!("addr add {ip}/24 dev wan"))?;
            homes.ip(name, "link set wan up")?;
        }
        let (router, home) = (homes.namespace("router"), homes.namespace("home"));
        let link = format!("link add name lan netns {router} type veth peer name eth0 netns {home}");
        run("ip", &link.split(' ').collect::<Vec<_>>())?;
        homes.ip("router", "addr add 192.168.1.1/24 dev lan")?;
        homes.ip("router", "link set lan up")?;
        homes.ip("home", &format!("addr add {HOME_IP}/24 dev eth0"))?;
        homes.ip("home", "link set eth0 up")?;
        homes.ip("home", "route add default via 192.168.1.1")?;
        homes.inside("router", "sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
        homes.rules(ROUTER_RULES)?;
        Ok(homes)
    }

    /// The name of a namespace, for processes.
    pub fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The program that maps ports begins to run in the router, with nothing mapped.
    pub fn start_router(&mut self, kind: RouterKind) -> Result<()> {
        self.stop_router()?;
        self.rules(ROUTER_RULES)?;
        // One program does both protocols at one port: packets of the other one do not reach it.
        match kind {
            RouterKind::Upnp => {}
            RouterKind::NatPmp => {
                self.rules("add rule inet filter input iifname lan udp dport 5351 @th,64,8 2 drop\n")?;
            }
            RouterKind::Pcp => {
                self.rules("add rule inet filter input iifname lan udp dport 5351 @th,64,8 0 drop\n")?;
            }
        }
        let yes = |is: bool| if is { "yes" } else { "no" };
        let config = self.folder.path().join("miniupnpd.conf");
        let is_upnp = kind == RouterKind::Upnp;
        fs::write(&config, format!("{ROUTER_CONFIG}enable_upnp={}\nenable_natpmp={}\n", yes(is_upnp), yes(!is_upnp)))?;
        let log = fs::File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace("router"), "miniupnpd", "-d", "-f"]).arg(config);
        command.arg("-P").arg(self.folder.path().join("miniupnpd.pid"));
        self.router_program = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// It ends, and all that was mapped with it, as when the router loses power.
    pub fn stop_router(&mut self) -> Result<()> {
        if let Some(mut program) = self.router_program.take() {
            program.kill()?;
            program.wait()?;
        }
        Ok(())
    }

    /// The owner forwards a port to the home's machine by hand.
    pub fn forward_by_hand(&self, port: u16) -> Result<()> {
        self.rules(&format!(
            "add rule inet filter prerouting_miniupnpd iifname wan udp dport {port} dnat ip to {HOME_IP}:{port}\n\
             add rule inet filter miniupnpd iifname wan ip daddr {HOME_IP} udp dport {port} accept\n"
        ))
    }

    /// Whether the router forwards the port to the home's machine.
    pub fn forwards(&self, port: u16) -> Result<bool> {
        let rules = self.inside("router", "nft", &["list", "chain", "inet", "filter", "prerouting_miniupnpd"])?;
        Ok(rules.contains(&format!("dnat ip to {HOME_IP}:{port}")))
    }

    /// What the router's program logged, for whoever looks for the cause of a failure.
    pub fn router_log(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        format!("--- log of the router\n{log}")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("miniupnpd.log")
    }

    fn rules(&self, rules: &str) -> Result<()> {
        let file = self.folder.path().join("rules");
        fs::write(&file, rules)?;
        self.inside("router", "nft", &["-f", path_text(&file)?]).map(drop)
    }

    fn ip(&self, name: &str, args: &str) -> Result<String> {
        let namespace = self.namespace(name);
        let all: Vec<&str> = ["-n", &namespace].into_iter().chain(args.split(' ')).collect();
        run("ip", &all)
    }

    fn inside(&self, name: &str, program: &str, args: &[&str]) -> Result<String> {
        let namespace = self.namespace(name);
        run("ip", &[&["netns", "exec", &namespace, program], args].concat())
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of plain letters")
}

impl Drop for Homes {
    fn drop(&mut self) {
        // Nothing else can be done with an error here.
        drop(self.stop_router());
        for name in ["newcomer", "friend", "home", "router", "world"] {
            drop(run("ip", &["netns", "del", &self.namespace(name)]));
        }
    }
}

/// A home router: it translates addresses, and what comes in unasked is dropped. The chains with the program's name are its own.
const ROUTER_RULES: &str = "\
table inet filter
delete table inet filter
table inet filter {
 chain input {
  type filter hook input priority 0; policy accept;
  iifname wan ct state established,related accept
  iifname wan drop
 }
 chain forward {
  type filter hook forward priority 0; policy drop;
  ct state established,related accept
  iifname lan accept
  jump miniupnpd
 }
 chain miniupnpd { }
 chain prerouting {
  type nat hook prerouting priority -100;
  jump prerouting_miniupnpd
 }
 chain postrouting {
  type nat hook postrouting priority 100;
  jump postrouting_miniupnpd
  oifname wan masquerade
 }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
}
";

const ROUTER_CONFIG: &str = "\
ext_ifname=wan
listening_ip=lan
ext_ip=100.0.0.1
secure_mode=yes
system_uptime=yes
uuid=00000000-0000-0000-0000-000000000001
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.1.0/24 1024-65535
";
