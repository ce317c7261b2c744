//! Scenarios that today's program does not pass. A feature that lands takes its lines out.

/// A scenario, and what it waits for.
pub struct Pending {
    pub scenario: &'static str,
    pub waits_for: &'static str,
}

/// All of them.
pub const ALL: &[Pending] = &[
    Pending { scenario: "L7-cost", waits_for: "a machine of its own: 93 and 94 B/s alone, more beside others" },
    Pending { scenario: "L14", waits_for: "a quiet machine: shares were 0.87 of each other once, and less once" },
    Pending { scenario: "L17", waits_for: "forwarders that are busy from the first second on" },
    Pending { scenario: "eight", waits_for: "the others" },
];

impl Pending {
    /// The entry of a scenario, if it has one.
    pub fn of(scenario: &str) -> Option<&'static Self> {
        ALL.iter().find(|pending| pending.scenario == scenario)
    }
}
