//! What a connection does in a round trip: look for more, give back the queue that this made, or neither.

/// What is done in this round. Looking for more costs queue, so it is one round of eight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ControlPhase {
    /// Twice as much each round trip, until that brings no more. With the highest rate that counted as growth, and for how
    /// many rounds there was none.
    Startup { best: f64, flat_rounds: u8 },
    /// Is there more to be had than `before`?
    Probe { before: f64 },
    /// Gives back the queue that the probe has made. What the probe found is known at the end of this round.
    Yield { before: f64 },
    /// Rounds left.
    Cruise(u8),
}

/// Rounds without growth after which a line counts as full: one may be a pause of its Wi-Fi.
const FLAT_ROUNDS: u8 = 3;
const CRUISE_ROUNDS: u8 = 6;

/// `limited`: in this round there was too little to send to learn how much more would arrive.
pub(super) fn next_phase(phase: ControlPhase, rate: f64, congested: bool, limited: bool) -> ControlPhase {
    match phase {
        ControlPhase::Startup { .. } if congested => ControlPhase::Yield { before: rate },
        ControlPhase::Startup { .. } if limited => phase,
        ControlPhase::Startup { best, .. } if rate >= 1.25 * best => {
            ControlPhase::Startup { best: rate, flat_rounds: 0 }
        }
        ControlPhase::Startup { best, flat_rounds } if flat_rounds + 1 < FLAT_ROUNDS => {
            ControlPhase::Startup { best, flat_rounds: flat_rounds + 1 }
        }
        ControlPhase::Startup { .. } => ControlPhase::Yield { before: rate },
        ControlPhase::Probe { before } => ControlPhase::Yield { before },
        ControlPhase::Yield { .. } | ControlPhase::Cruise(_) if congested => phase,
        // There was more: at once look for more still.
        ControlPhase::Yield { before } if rate > 1.15 * before => ControlPhase::Probe { before: rate },
        ControlPhase::Yield { .. } => ControlPhase::Cruise(CRUISE_ROUNDS),
        ControlPhase::Cruise(left) if left > 1 => ControlPhase::Cruise(left - 1),
        ControlPhase::Cruise(_) => ControlPhase::Probe { before: rate },
    }
}
