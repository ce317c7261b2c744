//! Which parts of the node may name which: the walls that let one part be replaced without the others.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// What gateways use besides themselves. Not the store, not the network, not the daemon.
const GATEWAYS_SEE: [&str; 5] = ["client", "config", "gateway", "home", "metrics"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// Lines of code of all files below a folder of the crate, each with its file's path from `src`.
fn lines(below: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    for path in sources(&root.join(below)) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        all.extend(code.map(|line| (name.clone(), line.to_owned())));
    }
    all
}

#[test]
fn libp2p_is_named_in_its_own_folders_only() {
    // The network's front says which folder is the transport: `mod libp2p;`, `libp2p::start(…)`.
    let elsewhere: Vec<_> = lines("")
        .into_iter()
        .filter(|(file, _)| !file.starts_with("net/libp2p/") && !file.starts_with("net/quic/") && file != "net/mod.rs")
        .filter(|(_, line)| line.contains("libp2p"))
        // A log filter may name where log lines come from.
        .filter(|(file, _)| file != "config/filter.rs")
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    let imported = lines("net").into_iter().filter(|(file, line)| file == "net/mod.rs" && line.contains("use libp2p"));
    assert_eq!(imported.count(), 0);
}

#[test]
fn quinn_is_named_by_transport_and_socket_only() {
    // The socket hands out packets in quinn's own form, so that none is copied on its way to a connection.
    let elsewhere: Vec<_> = lines("")
        .into_iter()
        .filter(|(file, _)| !file.starts_with("net/quic/") && !file.starts_with("net/socket/"))
        .filter(|(_, line)| line.contains("quinn"))
        .filter(|(file, _)| file != "config/filter.rs")
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn gateways_see_neither_store_nor_network_nor_daemon() {
    for (file, line) in lines("gateway") {
        for used in line.split("crate::").skip(1) {
            // Randomness for a ticket's key is no part of the node either.
            let is_allowed = used.starts_with("random::") || GATEWAYS_SEE.iter().any(|part| used.starts_with(part));
            let is_group = used.starts_with("{addresses, clock}");
            assert!(is_allowed || is_group, "{file}: {line}");
        }
    }
}
