//! Filters of log lines. A misspelt one is valid, matches nothing, and silences everything; so its words are looked at.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Targets;

use super::values::{BadValue, bad};

/// Where log lines come from: this program's crates, and the libraries that log. A test holds them against the lock file.
const SOURCES: &[&str] = &[
    "fsdfs",
    "fsdfs_core",
    "fsdfs_node",
    "fsdfs_proto",
    "attohttpc",
    "axum",
    "h2",
    "hickory_net",
    "hickory_proto",
    "hickory_resolver",
    "hyper",
    "hyper_util",
    "if_watch",
    "igd_next",
    "jiff",
    "jiff_core",
    "jni",
    "libp2p",
    "libp2p_core",
    "libp2p_dns",
    "libp2p_identify",
    "libp2p_identity",
    "libp2p_kad",
    "libp2p_mdns",
    "libp2p_ping",
    "libp2p_quic",
    "libp2p_swarm",
    "libp2p_tcp",
    "libp2p_upnp",
    "mio",
    "multistream_select",
    "netlink_packet_route",
    "netlink_proto",
    "netlink_sys",
    "quinn",
    "quinn_proto",
    "quinn_udp",
    "reqwest",
    "rtnetlink",
    "rustls",
    "sled",
];

/// The modules of this program that write log lines. A test holds them against the sources.
const MODULES: &[&str] = &[
    "fsdfs_node::client::lease",
    "fsdfs_node::crypto_pool",
    "fsdfs_node::daemon::effect_runner",
    "fsdfs_node::daemon::lifecycle",
    "fsdfs_node::daemon::node_loop",
    "fsdfs_node::daemon::start",
    "fsdfs_node::net::discovery::book_file",
    "fsdfs_node::net::discovery::resolve",
    "fsdfs_node::net::libp2p::driver",
    "fsdfs_node::net::libp2p::gate",
    "fsdfs_node::net::libp2p::meeting_steps",
    "fsdfs_node::net::libp2p::moving_steps",
    "fsdfs_node::net::libp2p::start",
    "fsdfs_node::net::portmap",
    "fsdfs_node::net::portmap::upnp",
    "fsdfs_node::net::quic::listener",
    "fsdfs_node::net::reach",
    "fsdfs_node::net::reach::sender",
    "fsdfs_node::net::session",
    "fsdfs_node::net::session::hub",
    "fsdfs_node::net::session::link",
    "fsdfs_node::net::socket::udp",
    "fsdfs_node::store",
    "fsdfs_node::store::compaction",
    "fsdfs_node::store::compaction::rest",
    "fsdfs_node::store::disk::appender",
    "fsdfs_node::store::disk::handle",
    "fsdfs_node::store::disk::open",
    "fsdfs_node::store::disk::revive",
    "fsdfs_node::store::late",
    "fsdfs_node::store::links",
    "fsdfs_node::store::scrub",
];

/// Reads a filter: levels, and sources with levels, such as `info,fsdfs_node::net=debug`.
pub fn log_filter(text: &str) -> Result<String, BadValue> {
    let levels = "a level is off, error, warn, info, debug or trace";
    if text.trim().is_empty() {
        return bad(format!("{text:?} is empty; {levels}"));
    }
    EnvFilter::try_new(text).map_err(|error| {
        BadValue(format!("{text:?} is not a filter ({error}); write such as \"info\" or \"warn,fsdfs_node=debug\""))
    })?;
    // What has spans or fields is a filter for experts, and is taken as it is.
    let Ok(targets) = text.parse::<Targets>() else { return Ok(text.to_owned()) };
    match targets.iter().map(|(source, _)| source).find(|source| !is_source(source)) {
        None => Ok(text.to_owned()),
        Some(other) => bad(format!(
            "{text:?} names {other:?}, which is no level and nothing that logs; {levels}, and a source begins with such as \
             fsdfs_node::net, fsdfs_node::store or libp2p"
        )),
    }
}

/// A source is a crate or a module of one, or the beginning of several, which stands for all of them. Of libraries only the
/// crates are known.
fn is_source(name: &str) -> bool {
    match name.split_once("::") {
        None => SOURCES.iter().any(|source| source.starts_with(name)),
        Some((crate_name, _)) if crate_name.starts_with("fsdfs") => {
            MODULES.iter().any(|module| module.starts_with(name))
        }
        Some((crate_name, _)) => SOURCES.contains(&crate_name),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn filters_that_log_something() {
        for fine in [
            "info",
            "INFO",
            "off",
            "warn,libp2p_kad=error,fsdfs=info,fsdfs_node=info,fsdfs_core=info",
            "fsdfs_node::net=debug",
            "fsdfs_node::store::disk=trace",
            "libp2p=debug",
            "libp2p_kad::behaviour=debug",
            "fsdfs_node",
            "3",
        ] {
            assert_eq!(log_filter(fine), Ok(fine.to_owned()));
        }
    }

    #[test]
    fn a_filter_with_a_typo_is_refused_and_says_what_would_be_right() {
        for (wrong, named) in [
            ("inof", "\"inof\""),
            ("infos", "\"infos\""),
            ("info,fsdfs_nod::net=debug", "\"fsdfs_nod::net\""),
            ("info,fsdfs_node::nte=debug", "\"fsdfs_node::nte\""),
            ("fsdfs_node::store::dsik=debug", "\"fsdfs_node::store::dsik\""),
            ("fsdfs_node::gateway=debug", "\"fsdfs_node::gateway\""),
            ("libp2p_kda::behaviour=debug", "\"libp2p_kda::behaviour\""),
            ("fsfds=debug", "\"fsfds\""),
            ("warn,debg", "\"debg\""),
            ("fsdfs_node=inof", "not a filter"),
            ("fsdfs_node=debug=trace", "not a filter"),
            ("", "empty"),
            (" ", "empty"),
        ] {
            let BadValue(problem) = log_filter(wrong).expect_err(wrong);
            assert!(problem.contains(named) && problem.contains("info"), "{wrong:?}: {problem}");
        }
    }

    /// Files of the program's crates that have a line such as `tracing::warn!`, as modules.
    fn modules_that_log(crate_name: &str, folder: &Path) -> Vec<String> {
        let mut folders = vec![(folder.to_owned(), crate_name.to_owned())];
        let mut found = Vec::new();
        while let Some((folder, module)) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("sources").map(|entry| entry.expect("sources")) {
                let (path, name) = (entry.path(), entry.file_name().into_string().expect("text"));
                if path.is_dir() {
                    folders.push((path, format!("{module}::{name}")));
                } else if let Some(stem) = name.strip_suffix(".rs").filter(|stem| *stem != "tests") {
                    let text = std::fs::read_to_string(&path).expect("source");
                    let logs = ["error", "warn", "info", "debug", "trace"];
                    if logs.iter().any(|level| text.contains(&format!("tracing::{level}!("))) {
                        let is_folder = ["mod", "lib", "main"].contains(&stem);
                        found.push(if is_folder { module.clone() } else { format!("{module}::{stem}") });
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_module_that_logs_is_known_and_no_other() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let crates = [("fsdfs_node", "node/src"), ("fsdfs_core", "node/core/src"), ("fsdfs", "cli/src")];
        let mut found: Vec<String> =
            crates.iter().flat_map(|(name, folder)| modules_that_log(name, &sources.join(folder))).collect();
        // This file names them, and says nothing.
        found.retain(|module| module != "fsdfs_node::config::filter");
        found.sort();
        assert_eq!(found, MODULES);
    }

    /// What depends on `log` or `tracing` logs.
    #[test]
    fn every_library_that_logs_is_a_source() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        let lock: toml::Table = toml::from_str(&std::fs::read_to_string(lock).expect("committed")).expect("TOML");
        let mut missing = Vec::new();
        for package in lock["package"].as_array().expect("packages") {
            let name = package["name"].as_str().expect("a name").replace('-', "_");
            let dependencies = package.get("dependencies").and_then(toml::Value::as_array);
            let logs = dependencies
                .into_iter()
                .flatten()
                .filter_map(toml::Value::as_str)
                .any(|dependency| matches!(dependency.split(' ').next(), Some("log" | "tracing")));
            if logs && !name.starts_with("tracing") && !is_source(&name) {
                missing.push(name);
            }
        }
        assert!(missing.is_empty(), "add to the list: {missing:?}");
    }
}
