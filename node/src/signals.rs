//! Signals that ask a program to end: SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it is closed.

use std::fs;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens to them until it is dropped, and longer: once listened to, none of them ends the process by itself.
#[derive(Debug)]
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

/// Which one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    Hangup,
}

impl EndSignals {
    /// Begins to listen. Who starts a program with SIGHUP ignored, as `nohup` does, wants it to outlive the terminal.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for one of them. Cancelling it loses none.
    pub async fn recv(&mut self) -> EndSignal {
        let Self { terminate, interrupt, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => EndSignal::Terminate,
            _ = interrupt.recv() => EndSignal::Interrupt,
            _ = hung_up => EndSignal::Hangup,
        }
    }
}

/// As the kernel says; asking for a signal's action otherwise needs code that Rust cannot check.
fn is_hangup_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// SIGHUP is signal 1, the lowest bit of the mask.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_says_whether_a_hangup_is_ignored() {
        let status = |mask: &str| format!("Name:\tfsdfs\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores_hangup(&status("0000000000000001")) && ignores_hangup(&status("0000000000001003")));
        assert!(!ignores_hangup(&status("0000000000001000")) && !ignores_hangup("") && !ignores_hangup("SigIgn: x"));
    }
}
