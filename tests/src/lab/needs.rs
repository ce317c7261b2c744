//! What a lab needs of the machine, and what is missing here.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::namespace::{NetNamespace, run};
use super::router::{RouterKind, RouterRules};

/// Why no lab can be set up here, if none can: one line.
pub fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(look).as_deref()
}

fn look() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".into());
    }
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables"), ("sysctl", "procps")] {
        if !has(program) {
            return Some(format!("needs {program} (package {package})"));
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("needs /dev/net/tun".into());
    }
    // Root of a container may have neither the right to make namespaces nor a kernel with NAT.
    try_one().err().map(|error| format!("needs network namespaces with NAT: {error:#}").replace('\n', " "))
}

fn try_one() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let namespace = NetNamespace::new("probe")?;
    let rules = RouterRules { kind: RouterKind::Symmetric, number: 1, hides_icmp: false };
    namespace.load_rules(&rules.text(), scratch.path())?;
    namespace.run("true", &[]).map(drop)
}

/// Whether a program of this name is found.
pub fn has(program: &str) -> bool {
    // Most of them know one of these, and all say something without reading input.
    ["-V", "--version"].iter().any(|argument| Command::new(program).arg(argument).output().is_ok())
}

/// Whether this one, which maps ports as routers at home do, can be used.
pub fn has_miniupnpd() -> bool {
    run("miniupnpd", &["--version"]).is_ok() || Path::new("/usr/sbin/miniupnpd").exists()
}
