//! What processes used, as the kernel tells in `/proc`.

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result};

/// Ticks in a second: what `/proc` counts in, on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// CPU seconds of a process so far, ended threads included.
pub fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).context("/proc/PID/stat");
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// CPU seconds of this process so far.
pub fn own_cpu_s() -> Result<f64> {
    cpu_s(std::process::id())
}

/// CPU seconds of processes that this one started and that ended.
pub fn ended_children_cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).context("/proc/PID/stat");
    Ok((ticks(13)? + ticks(14)?) / TICKS_PER_S)
}

/// CPU seconds of this process's living threads of a name.
pub fn threads_cpu_s(name: &str) -> Result<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if fs::read_to_string(thread.join("comm"))?.trim() == name {
            let stat = fs::read_to_string(thread.join("schedstat"))?;
            nanos += stat.split(' ').next().and_then(|text| text.parse::<f64>().ok()).context("schedstat")?;
        }
    }
    Ok(nanos / 1e9)
}

/// Seconds in which the living threads of a process ran or were ready and waited for a core.
pub fn wanted_cores_s(pid: u32) -> Result<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let stat = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanos += stat.split(' ').take(2).filter_map(|text| text.parse::<f64>().ok()).sum::<f64>();
    }
    Ok(nanos / 1e9)
}

/// Resident memory of a process in MiB: now, and at most since [`forget_peak`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub now: f64,
    pub peak: f64,
}

/// Reads it.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).context("/proc/PID/status");
    let mib = |name| Ok::<_, anyhow::Error>(line(name)?.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0);
    Ok(Memory { now: mib("VmRSS:")?, peak: mib("VmHWM:")? })
}

/// Lets the peak begin anew.
pub fn forget_peak(pid: u32) -> Result<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// Bytes that crossed the loopback interface so far, of whatever program in this network namespace.
pub fn loopback_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/dev")?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).context("no loopback interface")?;
    Ok(line.split_whitespace().next().context("/proc/net/dev")?.parse()?)
}

/// What all daemons did together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub cpu_s: f64,
    /// Of this process, which drives them.
    pub client_cpu_s: f64,
    /// Of both, what they would have taken: also the time in which somebody else had the cores.
    pub wanted_cores_s: f64,
    pub syncs: f64,
    pub appended_mib: f64,
    pub wire_mib: f64,
    /// Of [`Work::wire_mib`], messages.
    pub messages_mib: f64,
}

impl Sub for Work {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - before.cpu_s,
            client_cpu_s: self.client_cpu_s - before.client_cpu_s,
            wanted_cores_s: self.wanted_cores_s - before.wanted_cores_s,
            syncs: self.syncs - before.syncs,
            appended_mib: self.appended_mib - before.appended_mib,
            wire_mib: self.wire_mib - before.wire_mib,
            messages_mib: self.messages_mib - before.messages_mib,
        }
    }
}
