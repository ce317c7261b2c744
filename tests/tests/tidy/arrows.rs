//! Who may know whom.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Crates of this workspace, each with those it may name.
const BELOW: [(&str, &[&str]); 7] = [
    ("fsdfs-proto", &[]),
    ("fsdfs-proto-tests", &["fsdfs-proto"]),
    ("fsdfs-core", &["fsdfs-proto"]),
    ("fsdfs-node", &["fsdfs-proto", "fsdfs-core"]),
    ("fsdfs", &["fsdfs-proto", "fsdfs-core", "fsdfs-node"]),
    ("simulations", &["fsdfs-proto", "fsdfs-core"]),
    ("fsdfs-tests", &["fsdfs-proto", "fsdfs-core", "fsdfs-node", "fsdfs"]),
];

/// Everything the pure crates may name beside each other. What of it opens a file or a socket, reads
/// a clock, or starts a thread, the crates' clippy.toml forbids.
const PURE: [&str; 22] = [
    "allocation-counter",
    "aws-lc-rs",
    "base64",
    "blake3",
    "bytes",
    "crc32fast",
    "ed25519-dalek",
    "fastrand",
    "fsdfs-proto",
    "hkdf",
    "hmac",
    "jiff",
    "percent-encoding",
    "proptest",
    "rmp",
    "rmp-serde",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "utoipa",
    "zeroize",
];

/// The libraries a crate's manifest names, by crate.
fn manifests() -> BTreeMap<String, Vec<String>> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(super::root())
        .output()
        .expect("cargo runs, for it runs this test");
    let metadata: Value = serde_json::from_slice(&cargo.stdout).expect("cargo metadata prints JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let named = |package: &Value| package["dependencies"].as_array().expect("dependencies").iter().map(name).collect();
    packages.iter().map(|package| (name(package), named(package))).collect()
}

#[test]
fn crates_name_only_those_below_them() {
    let manifests = manifests();
    assert_eq!(manifests.len(), BELOW.len(), "a crate was added: give it its place here");
    for (name, below) in BELOW {
        for named in &manifests[name] {
            let above = manifests.contains_key(named) && !below.contains(&named.as_str());
            assert!(!above, "{name} names {named}, which does not stand below it");
        }
    }
}

#[test]
fn network_and_database_are_named_in_one_manifest() {
    for (name, named) in manifests() {
        for library in named {
            let allowed = match library.as_str() {
                "sled" => name == "fsdfs-node",
                other if other.starts_with("libp2p") || other.starts_with("quinn") => {
                    name == "fsdfs-node" || name == "fsdfs-tests"
                }
                _ => true,
            };
            assert!(allowed, "{name} names {library}; only node/Cargo.toml may (tests may name libp2p and quinn)");
        }
    }
}

#[test]
fn pure_crates_name_pure_libraries() {
    let manifests = manifests();
    for name in ["fsdfs-proto", "fsdfs-proto-tests", "fsdfs-core"] {
        for named in &manifests[name] {
            assert!(PURE.contains(&named.as_str()), "{name} names {named}: if it does no I/O at all, add it to PURE");
        }
    }
}
