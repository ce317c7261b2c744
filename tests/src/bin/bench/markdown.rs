//! The figures as a section of `docs/measurements.md`: with date, commit and machine, or nobody could compare them.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::report::{Row, number};

/// Where, when and with what the figures were measured.
pub struct Conditions {
    date: String,
    commit: String,
    machine: String,
    command: String,
}

impl Conditions {
    /// Of this machine, now, in this source tree.
    pub fn now() -> Result<Self> {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        let git = |arguments: &[&str]| -> Result<String> {
            let output = Command::new("git").args(arguments).output().context("git names the commit")?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let changed = if git(&["status", "--porcelain"])?.is_empty() { "" } else { " with changes" };
        let commit = git(&["rev-parse", "--short", "HEAD"])? + changed;
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        Ok(Self { date, commit, machine: machine(), command })
    }

    /// The section: a heading, the conditions, a table.
    pub fn section(&self, rows: &[Row]) -> String {
        let Self { date, commit, machine, command } = self;
        let head = format!("## Bench\n\n{date}, commit {commit}, `bench {command}`.\n{machine}\n\n");
        let table = "| figure | measured | floor of the same run | ratio | goal |\n| --- | ---: | --- | ---: | --- |\n";
        head + table + &rows.iter().map(row).collect::<String>()
    }
}

fn row(row: &Row) -> String {
    let floor = row.floor.as_ref().map_or(String::new(), |floor| format!("{}: {}", floor.name, number(floor.value)));
    let ratio = row.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let line = format!("{} | {} {} | {floor} | {ratio} | {}", row.name, number(row.value), row.unit, row.goal_text());
    format!("| {line} |\n")
}

/// Processor, cores, memory, kernel and load, as far as the machine says.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (processor, memory) = (field(&read("/proc/cpuinfo"), "model name"), field(&read("/proc/meminfo"), "MemTotal"));
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    format!("{cores} cores ({processor}), {memory} of memory, Linux {}, load {}.", kernel.trim(), load.trim())
}

#[test]
fn a_section_names_its_conditions() {
    let text = |text: &str| text.to_owned();
    let (date, commit, machine) = (text("2026-11-29"), text("41acca4"), text("2 cores."));
    let conditions = Conditions { date, commit, machine, command: text("--markdown") };
    let rows = [Row::new("put", 2.0, "s/GiB").floor("cp", 4.0)];
    let expected = "## Bench\n\n2026-11-29, commit 41acca4, `bench --markdown`.\n2 cores.\n\n\
                    | figure | measured | floor of the same run | ratio | goal |\n| --- | ---: | --- | ---: | --- |\n\
                    | put | 2.00 s/GiB | cp: 4.00 | 0.50 |  |\n";
    assert_eq!(conditions.section(&rows), expected);
}
