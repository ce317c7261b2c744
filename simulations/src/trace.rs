//! The history of a run: a hash over all events, and a log for people when asked for.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::queue::{MS, S, Us};

/// Equal seeds give equal traces; that is what makes a failure repeatable.
#[derive(Debug, Default)]
pub struct Trace {
    // SipHash with fixed keys: the same on every run and machine.
    hash: DefaultHasher,
    events: u64,
    print: bool,
}

impl Trace {
    /// A trace that is also printed while it happens.
    pub fn printing(print: bool) -> Self {
        Self { print, ..Self::default() }
    }

    /// Prints from now on, or no more.
    pub fn set_print(&mut self, print: bool) {
        self.print = print;
    }

    /// Takes in an event. `text` is only made when the trace is printed.
    pub fn note(&mut self, at: Us, event: &impl Hash, text: impl FnOnce() -> String) {
        self.events += 1;
        at.hash(&mut self.hash);
        event.hash(&mut self.hash);
        if self.print {
            println!("{:>5}.{:03} {}", at / S, at % S / MS, text());
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
