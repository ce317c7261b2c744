//! Scenarios that today's program does not pass. A feature that lands takes its lines out.

/// A scenario, and what it waits for.
pub struct Pending {
    pub scenario: &'static str,
    pub waits_for: &'static str,
}

const MEETING: &str = "relaying and knocking";

/// All of them.
pub const ALL: &[Pending] = &[
    Pending { scenario: "L1", waits_for: MEETING },
    Pending { scenario: "L2", waits_for: MEETING },
    Pending { scenario: "L3", waits_for: MEETING },
    Pending { scenario: "L4", waits_for: MEETING },
    Pending { scenario: "L7-cost", waits_for: "dials that pause where UDP is blocked" },
    Pending { scenario: "L7-said", waits_for: "the kind of line in `status`" },
    Pending { scenario: "L8-direct", waits_for: MEETING },
    Pending { scenario: "L8-relayed", waits_for: MEETING },
    Pending { scenario: "L10-relayed", waits_for: MEETING },
    Pending { scenario: "L13-bytes", waits_for: "links that are quieter while idle" },
    Pending { scenario: "L14", waits_for: MEETING },
    Pending { scenario: "L21", waits_for: "standing knocks" },
    Pending { scenario: "L22-stranger", waits_for: "the one socket, which drops what it does not know" },
    Pending { scenario: "L22-relay", waits_for: MEETING },
    Pending { scenario: "eight", waits_for: MEETING },
];

impl Pending {
    /// The entry of a scenario, if it has one.
    pub fn of(scenario: &str) -> Option<&'static Self> {
        ALL.iter().find(|pending| pending.scenario == scenario)
    }
}
