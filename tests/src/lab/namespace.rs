//! Network namespaces: made, entered and deleted by `ip`, with names that say whose they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Of all namespaces of all labs. The number of the process follows.
const PREFIX: &str = "fsdfs-lab-";

/// A network namespace. Dropping it deletes it with all that is in it.
#[derive(Debug)]
pub struct NetNamespace {
    name: String,
}

impl NetNamespace {
    /// An empty one, with a loopback device. `role` is for whoever lists them while a test runs.
    pub fn new(role: &str) -> Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        let this = Self { name };
        this.ip(&["link", "set", "lo", "up"])?;
        // An address counts at once, and all of them are this machine's.
        this.sysctl("net.ipv6.conf.all.accept_dad", "0")?;
        this.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        Ok(this)
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip` with these arguments, in it.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        run("ip", &[&["-n", &self.name], args].concat())
    }

    /// Takes in a device that was made outside of it.
    pub fn adopt(&self, device: &str, as_name: &str) -> Result<()> {
        run("ip", &["link", "set", device, "netns", &self.name, "name", as_name]).map(drop)
    }

    /// A cable to another namespace, as pairs of device and namespace; both ends are up.
    pub fn plug(&self, device: &str, other: &Self, other_device: &str, mtu: u32) -> Result<()> {
        let far = ["peer", "name", other_device, "netns", &other.name];
        self.ip(&[&["link", "add", "name", device, "type", "veth"][..], &far].concat())?;
        for (namespace, device) in [(self, device), (other, other_device)] {
            namespace.ip(&["link", "set", device, "up", "mtu", &mtu.to_string()])?;
        }
        Ok(())
    }

    /// Runs a program in it to its end.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        run("ip", &[&["netns", "exec", &self.name, program], args].concat())
    }

    /// A setting of its kernel.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.run("sysctl", &["-q", "-w", &format!("{name}={value}")]).map(drop)
    }

    /// Passes packets on between its devices, whatever way they came in.
    pub fn route_packets(&self) -> Result<()> {
        for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            self.sysctl(name, "1")?;
        }
        for name in ["net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"] {
            self.sysctl(name, "0")?;
        }
        Ok(())
    }

    /// Rules for its packets, in place of those before.
    pub fn load_rules(&self, rules: &str, scratch: &Path) -> Result<()> {
        let file = scratch.join(format!("{}.nft", self.name));
        fs::write(&file, format!("flush ruleset\n{rules}"))?;
        self.run("nft", &["-f", &file.display().to_string()]).with_context(|| rules.to_owned()).map(drop)
    }

    /// What the programs in it take the names of hosts from: `address name` on each line. Programs that run see it at once.
    pub fn set_hosts(&self, lines: &str) -> Result<()> {
        let folder = self.files();
        fs::create_dir_all(&folder)?;
        // In place: what is mounted in a running program's view is this very file.
        Ok(fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n::1 localhost\n{lines}"))?)
    }

    fn files(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }
}

impl Drop for NetNamespace {
    fn drop(&mut self) {
        // Nothing else can be done with an error here; the next lab tries again.
        let _ = delete(&self.name);
    }
}

fn delete(name: &str) -> Result<()> {
    let files = Path::new("/etc/netns").join(name);
    if files.exists() {
        fs::remove_dir_all(files)?;
    }
    run("ip", &["netns", "del", name]).map(drop)
}

/// Deletes what labs left behind whose process was killed.
pub fn sweep() -> Result<()> {
    for line in run("ip", &["netns", "list"])?.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another process may be doing the same.
            let _ = end_processes(name).and_then(|()| delete(name));
        }
    }
    Ok(())
}

/// Ends what still runs in a namespace of ours: nodes and routers of a test that was killed.
fn end_processes(name: &str) -> Result<()> {
    for pid in run("ip", &["netns", "pids", name])?.lines().filter_map(|line| line.trim().parse().ok()) {
        if let Some(pid) = Pid::from_raw(pid) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}

/// The process that made a namespace of this name, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Runs a program to its end, which has to be a good one; returns what it printed.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        assert_eq!(owner("fsdfs-lab-4711-3-router"), Some(4711));
        assert_eq!(owner("fsdfs-lab-x-3-router"), None);
        assert_eq!(owner("someone-else"), None);
    }
}
