//! Cut lines: rules of nftables that drop what one node sends and gets.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The ports that are cut off now. Its table goes with it.
#[derive(Default)]
pub struct CutLines(BTreeSet<u64>);

/// Whether this process may do it.
pub fn can_cut() -> bool {
    rustix::process::geteuid().is_root() && nft("list tables").is_ok()
}

impl CutLines {
    /// Nothing comes to or from this UDP port any more, on loopback.
    pub fn cut(&mut self, port: u64) -> Result<()> {
        self.0.insert(port);
        self.load()
    }

    /// It goes on.
    pub fn mend(&mut self, port: u64) -> Result<()> {
        self.0.remove(&port);
        self.load()
    }

    /// The whole table at once, so no packet meets half of it.
    fn load(&self) -> Result<()> {
        let table = table();
        let mut rules = format!("add table {table}\ndelete table {table}\n");
        if !self.0.is_empty() {
            let ports = self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            rules += &format!(
                "table {table} {{\n chain out {{\n  type filter hook output priority 0;\n  \
                 udp dport {{ {ports} }} drop;\n  udp sport {{ {ports} }} drop;\n }}\n}}\n"
            );
        }
        nft(&rules)
    }
}

impl Drop for CutLines {
    fn drop(&mut self) {
        self.0.clear();
        // With an error here nothing else can be done.
        let _ = self.load();
    }
}

/// Of this process: several runs may share a machine.
fn table() -> String {
    format!("inet fsdfs_chaos_{}", std::process::id())
}

fn nft(rules: &str) -> Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = nft.spawn().context("nft")?;
    child.stdin.take().context("piped")?.write_all(rules.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
