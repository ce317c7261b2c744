//! The first configuration: what the command line says, what a file says already, and defaults for the rest.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::config::{self, Config, ConfigError, RawConfig, StorageArg};
use crate::files::{self, SECRET, at};

/// Ports that systems do not hand out by themselves, so that the chosen one stays free.
const PORTS: std::ops::Range<u16> = 20_000..32_768;
/// With so many ports taken, something is wrong on this machine.
const PORT_TRIES: usize = 100;

/// What the command line says about a new node. What is not said is taken from the file, then from defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// The node's name; default: the machine's.
    pub name: Option<String>,
    /// Its site.
    pub site: Option<String>,
    /// Storage folders; Some of an empty list = none. Relative paths are taken from the working directory.
    pub storage: Option<Vec<StorageArg>>,
    /// The UDP socket; port 0 = any free one.
    pub listen: Option<SocketAddr>,
    /// Where others reach this node.
    pub addresses: Vec<String>,
    /// Whether members are looked for on the local network; default: yes.
    pub mdns: Option<bool>,
    /// Whether the router is asked to forward the port; default: yes.
    pub port_mapping: Option<bool>,
    /// Name of a pool that is founded.
    pub pool_name: Option<String>,
    /// Where the root key of a pool that is founded goes.
    pub root_key: RootKeyPlace,
    /// Where its spare key goes: the home folder, or a file; on paper if the root key does and no file is named.
    pub spare_key: Option<PathBuf>,
}

/// Where a new pool's root key goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootKeyPlace {
    /// Into the home folder, to be moved away.
    #[default]
    Home,
    /// Into this file, which must not exist.
    File(PathBuf),
    /// On paper: it is shown once and written nowhere.
    Words,
}

impl Setup {
    /// Completes the configuration, checks it, and writes it into the home folder.
    pub(super) fn write_config(&self, home: &Path) -> Result<Config, ConfigError> {
        let file = Config::file(home);
        let text = if file.exists() { files::read_text(&file)? } else { String::new() };
        let unit_bytes = config::unit_bytes()?;
        let before = RawConfig::parse(&file, &text)?;
        let raw = self.complete(before, home, unit_bytes)?;
        let body = toml::to_string(&raw).expect("texts, booleans and tables of them");
        let new_text = format!("{HEAD}\n{body}");
        let config = RawConfig::parse(&file, &new_text)?.check(home, &file, &new_text, unit_bytes)?;
        files::publish(&file, new_text.as_bytes(), SECRET)?;
        Ok(config)
    }

    /// The pool's name, if none was given: after its founder.
    pub(super) fn pool_name(&self, config: &Config) -> String {
        let name = self.pool_name.clone().unwrap_or_else(|| format!("{}'s pool", config.name));
        shortened(&name, 64)
    }

    fn complete(&self, mut raw: RawConfig, home: &Path, unit_bytes: u64) -> Result<RawConfig, ConfigError> {
        let said = |value: &Option<String>| value.clone().map(spanned);
        raw.name = said(&self.name).or(raw.name).or_else(|| Some(spanned(machine_name())));
        raw.site = said(&self.site).or(raw.site);
        raw.mdns = self.mdns.or(raw.mdns);
        raw.port_mapping = self.port_mapping.or(raw.port_mapping);
        if !self.addresses.is_empty() {
            raw.addresses = self.addresses.iter().cloned().map(spanned).collect();
        }
        if let Some(listen) = self.listen {
            raw.listen = Some(spanned(free_port(listen)?.to_string()));
        } else if raw.listen.is_none() {
            raw.listen = Some(spanned(default_listen()?.to_string()));
        }
        if let Some(storage) = &self.storage {
            let folders = storage.iter().map(|folder| raw_storage(folder, unit_bytes));
            raw.storage = Some(folders.collect::<Result<_, _>>()?);
        } else if raw.storage.is_none() {
            let storage = config::default_storage(home, unit_bytes)?;
            raw.storage = Some(vec![RawConfig::storage(Path::new("blocks"), storage.quota_bytes)]);
        }
        Ok(raw)
    }
}

const HEAD: &str = "\
# fsdfs: the configuration of this node. 'fsdfs config check' checks it; a restart applies it.
# name       shown to the other members
# site       members at one site are expected to fail together (default: a site of its own)
# listen     the UDP socket
# addresses  [\"HOST:PORT\", ...] where others reach this node from outside, besides what it finds out
# mdns       look for members on the local network
# relay      forward packets between members that cannot reach each other (default: true)
# congestion \"fsdfs\" (default) or \"cubic\": the congestion control of what this node sends
# port_mapping  ask the router to forward the UDP port (PCP, NAT-PMP, UPnP); 'fsdfs status' says what came of it
# uplink     upload of your line in bytes per second, such as \"5 MiB\"; others pass blocks on through it as far as it carries
# [bandwidth] upload, download = \"16 Mbit\"; repair = \"25 %\" of the upload at most; hours = [\"Mon-Fri 08:00-18:00 upload=4Mbit repair=0\"];
#            metered = true sends nothing that no user waits for; 'fsdfs bandwidth' shows and changes it while the node runs
# [scrub] days = 30: every stored block is read once in this time, to find damage
# [space] collect = true: what no state of the tree needs any more is deleted, days later; otherwise 'df --explain' says how much that is
# [[storage]] sections: path and size (\"500 GiB\") of each folder for blocks; storage = [] for none. A node starts without a disk
#            that is missing; if it is lost for good, 'fsdfs disk new PATH' begins a new one. if_missing = \"refuse\" does not start
# [log] filter = \"info\", format = \"text\" or \"json\"
";

fn spanned(text: String) -> Spanned<String> {
    Spanned::new(0..0, text)
}

fn raw_storage(folder: &StorageArg, unit_bytes: u64) -> Result<config::RawStorage, ConfigError> {
    let path = std::path::absolute(&folder.path).map_err(at("find", &folder.path))?;
    let quota_bytes = match folder.quota_bytes {
        Some(bytes) => bytes,
        None => config::default_quota(&path, unit_bytes)?,
    };
    Ok(RawConfig::storage(&path, quota_bytes))
}

/// The machine's own name, as far as a card allows it.
fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(|character| !character.is_control()).collect();
    let name = shortened(name.trim(), 64);
    if name.is_empty() { "node".to_owned() } else { name }
}

fn shortened(text: &str, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

fn default_listen() -> Result<SocketAddr, ConfigError> {
    free_port(SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// The address with its port, or with a free one instead of 0: of a range of which the system gives nobody a port by itself,
/// since it is kept, and has to be free again at the next start. Fails if it cannot be had.
fn free_port(addr: SocketAddr) -> Result<SocketAddr, ConfigError> {
    let tries = if addr.port() == 0 { PORT_TRIES } else { 0 };
    let mut addrs = std::iter::repeat_with(|| SocketAddr::new(addr.ip(), fastrand::u16(PORTS))).take(tries);
    addrs.find_map(|addr| bindable(addr).ok()).map_or_else(|| bindable(addr), Ok)
}

fn bindable(addr: SocketAddr) -> Result<SocketAddr, ConfigError> {
    let bound = UdpSocket::bind(addr).and_then(|socket| socket.local_addr());
    let shown = addr.to_string();
    Ok(bound.map_err(at("listen at UDP", Path::new(&shown)))?)
}
