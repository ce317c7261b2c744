//! Files on their way between homes, and what lines and machines say meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Lab;
use crate::cluster::wait_for;
use crate::tree;

/// A put that is under way.
pub struct LabPut {
    child: Child,
    source: PathBuf,
    path: String,
    bytes: u64,
    begun: Instant,
}

/// A put that has ended.
#[derive(Debug)]
pub struct EndedPut {
    /// What the command said.
    pub said: Value,
    /// How long it took.
    pub took: Duration,
    /// What was put.
    pub source: PathBuf,
    /// Where it lies in the pool.
    pub path: String,
    bytes: u64,
}

impl LabPut {
    /// Waits for its end, which has to be an acknowledgement: `stored`, or `degraded` with the number of copies.
    pub fn wait(mut self, most: Duration) -> Result<EndedPut> {
        let left = most.saturating_sub(self.begun.elapsed());
        let ended =
            wait_for(left, &format!("the put of {} to end", self.path), || Ok(self.child.try_wait()?.is_some()));
        if let Err(error) = ended {
            self.child.kill()?;
            return Err(error);
        }
        let took = self.begun.elapsed();
        let output = self.child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(matches!(output.status.code(), Some(0 | 1)), "the put failed: {said}{complaint}");
        let said = serde_json::from_str(&said).with_context(|| format!("{said}{complaint}"))?;
        Ok(EndedPut { said, took, source: self.source, path: self.path, bytes: self.bytes })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl EndedPut {
    /// Megabits of the file a second.
    pub fn mbit(&self) -> f64 {
        self.bytes as f64 * 8e-6 / self.took.as_secs_f64()
    }

    /// How many copies it said there are.
    pub fn copies(&self) -> Result<u64> {
        self.said["copies"].as_u64().with_context(|| format!("no number of copies in {}", self.said))
    }
}

impl Lab {
    /// Begins a put of random bytes.
    pub fn start_put(&self, at: usize, name: &str, bytes: u64) -> Result<LabPut> {
        let source = self.cluster.scratch(&format!("source-{at}-{name}"));
        tree::random_file(&source, bytes, fastrand::u64(..))?;
        let path = format!("/{name}");
        let mut command = self.cluster.nodes[at].command(["--json", "put"]);
        command.arg(&source).arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        Ok(LabPut { child: command.spawn()?, source, path, bytes, begun })
    }

    /// The same to its end.
    pub fn put(&self, at: usize, name: &str, bytes: u64, most: Duration) -> Result<EndedPut> {
        self.start_put(at, name, bytes)?.wait(most)
    }

    /// Gets what was put, in another home, and compares it. Returns how long it took; asks again until it succeeds.
    pub fn get_back(&self, at: usize, put: &EndedPut, most: Duration) -> Result<Duration> {
        let target = self.cluster.scratch(&format!("back-{at}-{}", &put.path[1..]));
        let begun = Instant::now();
        self.cluster.nodes[at].get(&put.path, &target, most)?;
        let took = begun.elapsed();
        ensure!(tree::same_bytes(&put.source, &target)?, "other bytes came back in home {at}");
        fs::remove_file(&target)?;
        Ok(took)
    }

    /// `placement` of `stat`: how many copies there are of what was put.
    pub fn placement(&self, at: usize, put: &EndedPut) -> Result<Value> {
        Ok(self.cluster.nodes[at].json(["stat", &put.path])?["placement"].clone())
    }

    /// Waits until this many bytes have left a home since `before`.
    pub fn wait_sent(&self, at: usize, before: u64, bytes: u64, most: Duration) -> Result<()> {
        wait_for(most, &format!("{bytes} bytes to leave home {at}"), || {
            Ok(self.line_counts(at).0.bytes.saturating_sub(before) >= bytes)
        })
    }

    /// What a node's process has used of a processor so far, in seconds.
    pub fn cpu_s(&self, at: usize) -> Result<f64> {
        let pid = self.cluster.nodes[at].pid().context("it runs")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name, which may hold anything: state is the first field there, user and system time the twelfth and after.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| -> Result<u64> { Ok(fields.get(at).context("a field")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_S)
    }
}

/// `USER_HZ`, which Linux has fixed for programs.
const TICKS_PER_S: f64 = 100.0;

/// The value below which this share of all values lies.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.95), 96.0);
        assert_eq!(percentile(&mut values, 1.0), 100.0);
        assert!(percentile(&mut [], 0.5).is_nan());
    }
}
