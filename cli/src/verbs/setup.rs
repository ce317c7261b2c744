//! What `init` and `join` have in common: options of a new node, and what its owner has to know about it.

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use fsdfs_node::config::{self, Config, StorageArg};
use fsdfs_node::home::{CreatedPool, Home, Setup};
use fsdfs_proto::identity::SecretKey;

use crate::app::AppContext;
use crate::outcome::{CliResult, problem};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human, parse};

/// Options of a new node.
#[derive(Args, Clone, Debug)]
pub struct SetupArgs {
    /// The node's name, shown to the other members; default: the machine's.
    #[arg(long, value_parser = parse::label)]
    name: Option<String>,
    /// The site, such as a home or an office. Nodes at one site are expected to fail together, so copies go to different
    /// sites; default: a site of its own.
    #[arg(long, value_parser = parse::label)]
    site: Option<String>,
    /// A folder for blocks and its quota; once for each disk, or `none` for a node that stores nothing.
    /// Default: in the home folder, a quarter of the free space, at most 100 GiB.
    #[arg(long, value_name = "PATH[:SIZE]|none", value_parser = storage)]
    storage: Vec<StorageChoice>,
    /// The UDP port, or IP:PORT, to listen at; default: a free port, chosen now and kept.
    #[arg(long, value_name = "[IP:]PORT", value_parser = config::listen)]
    listen: Option<SocketAddr>,
    /// An address where other members reach this node from outside; may be given several times.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse::address)]
    address: Vec<String>,
    /// Do not look for members on the local network.
    #[arg(long)]
    no_mdns: bool,
    /// Do not ask the router to forward the UDP port.
    #[arg(long)]
    no_port_mapping: bool,
}

#[derive(Clone, Debug)]
enum StorageChoice {
    None,
    Folder(StorageArg),
}

/// No disk has as much.
const QUOTA_BYTES_MAX: u64 = 1 << 60;

fn storage(text: &str) -> Result<StorageChoice, String> {
    if text == "none" {
        return Ok(StorageChoice::None);
    }
    let folder = config::storage_arg(text).map_err(|bad| bad.to_string())?;
    match folder.quota_bytes {
        Some(_) if folder.path.as_os_str() == "none" => {
            Err("none takes no size (a folder of that name is ./none)".into())
        }
        Some(QUOTA_BYTES_MAX..) => Err("that is more than any disk holds".into()),
        _ => Ok(StorageChoice::Folder(folder)),
    }
}

impl SetupArgs {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        let Self { name, site, storage, listen, address, no_mdns, no_port_mapping } = self;
        let nothing_named = name.is_none() && site.is_none() && storage.is_empty();
        nothing_named && listen.is_none() && address.is_empty() && !no_mdns && !no_port_mapping
    }

    /// Checked against each other.
    pub fn checked(&self) -> CliResult<Setup> {
        let folders: Vec<StorageArg> = self.storage.iter().filter_map(StorageChoice::folder).collect();
        if !folders.is_empty() && folders.len() < self.storage.len() {
            return problem("--storage none and a storage folder contradict each other", "leave one of them out");
        }
        Ok(Setup {
            name: self.name.clone(),
            site: self.site.clone(),
            storage: (!self.storage.is_empty()).then_some(folders),
            listen: self.listen,
            addresses: self.address.clone(),
            mdns: self.no_mdns.then_some(false),
            port_mapping: self.no_port_mapping.then_some(false),
            ..Setup::default()
        })
    }
}

impl StorageChoice {
    fn folder(&self) -> Option<StorageArg> {
        match self {
            Self::None => None,
            Self::Folder(folder) => Some(folder.clone()),
        }
    }
}

/// The keys that went to no file, as words.
pub fn root_words(made: &CreatedPool) -> String {
    let shown = |what: &str, key: &Option<SecretKey>| {
        key.as_ref().map_or_else(String::new, |key| format!("{what}:\n{}", numbered_words(key)))
    };
    shown("root key", &made.root_words) + &shown("spare key", &made.spare_words)
}

/// A key as words, eight a line.
pub fn numbered_words(key: &SecretKey) -> String {
    let words = fsdfs_node::home::root_key_words(key);
    let words: Vec<&str> = words.split(' ').collect();
    let numbered = |(line, words): (usize, &[&str])| {
        let words = words.iter().enumerate().map(|(at, word)| format!("{:>2} {word}", 8 * line + at + 1));
        words.collect::<Vec<_>>().join("  ") + "\n"
    };
    words.chunks(8).enumerate().map(numbered).collect()
}

fn udp_port(config: &Config) -> String {
    let port = config.listen.port();
    match config.port_mapping {
        true => {
            format!("{port}: your router is asked to forward it to this machine; 'fsdfs status' says whether it does")
        }
        false => format!("{port}: forward it on your router to this machine, else only your own network reaches it"),
    }
}

/// What the owner of a new node has to know, seven lines; five if there are no keys to keep.
pub fn facts(home: &Home, made: &CreatedPool) -> String {
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| table.row([key.to_owned(), value]);
    row("data and keys", format!("blocks in {}; keys in {}", places(made), shown(&home.dir().join("pool"))));
    row("quota", quota(made));
    row("UDP port", udp_port(&made.config));
    match &made.root_key {
        Some(root) if root.starts_with(home.dir()) => row(
            "back up",
            format!("{}: the root key of the pool; move it to a safe place, it cannot be recreated", shown(root)),
        ),
        Some(root) => {
            row("root key", format!("{}: its holder owns the pool; keep it safe, it cannot be recreated", shown(root)));
        }
        None if made.root_words.is_some() => {
            row(
                "root key",
                "the words below: their holder owns the pool; write them down, they are stored nowhere; keep the spare key apart"
                    .into(),
            );
        }
        None => {}
    }
    match &made.spare_key {
        Some(spare) if spare.starts_with(home.dir()) => row(
            "back up",
            format!(
                "{}: makes the next root key if the first is lost or stolen; keep it apart from that one",
                shown(spare)
            ),
        ),
        Some(spare) => row(
            "spare key",
            format!(
                "{}: makes the next root key if the first is lost or stolen; keep it apart from that one",
                shown(spare)
            ),
        ),
        None => {}
    }
    row(
        "access",
        "every member can read, change and delete everything in `pool`; outsiders and disks see only ciphertext".into(),
    );
    row("deleting", "`rm` frees no space yet".into());
    table.to_string()
}

fn shown(path: &Path) -> String {
    escape::name(path.as_os_str().as_encoded_bytes())
}

fn places(made: &CreatedPool) -> String {
    let places: Vec<String> = made.config.storage.iter().map(|storage| shown(&storage.path)).collect();
    if places.is_empty() { "no folder (storage: none)".into() } else { human::list(&places) }
}

fn quota(made: &CreatedPool) -> String {
    match made.config.storage.as_slice() {
        [] => "none: this node stores no blocks; its files are on other members only".into(),
        storage => {
            let total = human::size(storage.iter().map(|storage| storage.quota_bytes).sum());
            format!("{total} of blocks at most; change it in config.toml, then restart")
        }
    }
}

/// What to type next, once the node runs.
pub fn next(app: &AppContext) -> String {
    let program = &app.program;
    let (invite, put, status) = (program.command("invite"), program.command("put FILE /"), program.command("status"));
    format!(
        "next, in another terminal:\n  {put}   store something\n  {invite}   a ticket for another machine\n  {status}   show the state\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_that_cannot_be_meant_is_refused() {
        assert!(matches!(storage("none"), Ok(StorageChoice::None)));
        assert!(matches!(storage("./none:5GiB"), Ok(StorageChoice::Folder(_))));
        for bad in ["none:5GiB", "/a:99999999TiB", "", ":1GiB"] {
            assert!(storage(bad).is_err(), "{bad}");
        }
    }
}
