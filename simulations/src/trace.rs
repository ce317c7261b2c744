//! The history of a run: a hash over all events, and a log for people when asked for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};

use crate::world::queue::{MS, Micros, S};

/// Equal seeds give equal traces; that is what makes a failure repeatable.
#[derive(Default)]
pub struct EventTrace {
    // SipHash with fixed keys: the same on every run and machine.
    hash: DefaultHasher,
    events: u64,
    log: Option<Box<dyn Write>>,
}

impl EventTrace {
    /// A trace that is also written down while it happens.
    pub fn to(log: impl Write + 'static) -> Self {
        Self { log: Some(Box::new(BufWriter::new(log))), ..Self::default() }
    }

    /// Takes in an event. `text` is only made when the trace is written down.
    pub fn note(&mut self, at: Micros, event: &impl Hash, text: impl FnOnce() -> String) {
        self.events += 1;
        at.hash(&mut self.hash);
        event.hash(&mut self.hash);
        if let Some(log) = &mut self.log {
            // A log that cannot be written (a closed pipe) ends; the run goes on.
            let written = writeln!(log, "{:>5}.{:03} {}", at / S, at % S / MS, text());
            self.log.take_if(|_| written.is_err());
        }
    }

    /// Hash over everything so far.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }
}
