//! What is measured, what is wanted of it, and what is allowed until then.

/// One measure with its bounds. In the end what is allowed is the goal.
pub struct Budget {
    pub name: &'static str,
    pub unit: &'static str,
    pub bound: Bound,
    /// What the project wants.
    pub goal: f64,
    /// What does not break the test yet.
    pub allowed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    AtMost,
    AtLeast,
}

/// A measure that was taken.
pub struct Measured {
    pub budget: &'static Budget,
    pub value: f64,
    /// Where it is missed most, the worst first.
    pub worst: Vec<String>,
}

/// Share of the engine's functions that are methods of its largest type.
pub static LARGEST_TYPE: Budget =
    Budget { name: "engine: methods of the largest type", unit: "%", bound: Bound::AtMost, goal: 15.0, allowed: 15.0 };

/// Files in which that type has methods.
pub static LARGEST_TYPE_FILES: Budget =
    Budget { name: "engine: files with methods of it", unit: "", bound: Bound::AtMost, goal: 1.0, allowed: 1.0 };

/// Files of the engine that call each other in a ring.
pub static CALL_RINGS: Budget = Budget {
    name: "engine: files that call each other in a ring",
    unit: "",
    bound: Bound::AtMost,
    goal: 0.0,
    allowed: 0.0,
};

/// Calls from a floor of the engine to a higher one.
pub static FLOORS: Budget =
    Budget { name: "engine: calls to a higher floor", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

/// Rings of imports in all crates of the workspace.
pub static IMPORT_RINGS: Budget =
    Budget { name: "rings of imports", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

/// The same, where a part may name what stands in the head of its own folder (`super::Thing`).
pub static PART_RINGS: Budget =
    Budget { name: "rings of imports, not counting super::", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

/// Names of the node in gateways beyond those they may know.
pub static GATEWAY_WALL: Budget =
    Budget { name: "gateways: names beyond the client", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

/// Files of the node that name libp2p outside its folders.
pub static LIBP2P_WALL: Budget = Budget {
    name: "files that name libp2p outside its folders",
    unit: "",
    bound: Bound::AtMost,
    goal: 0.0,
    allowed: 0.0,
};

/// Files of the core that know of seeded bugs.
pub static SEEDED_BUGS: Budget =
    Budget { name: "core: files that know of seeded bugs", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

/// Test lines per production line of the engine.
pub static ENGINE_TESTS: Budget =
    Budget { name: "engine: test lines per production line", unit: "", bound: Bound::AtLeast, goal: 0.5, allowed: 0.5 };

/// Share of types whose name is one word.
pub static ONE_WORD_TYPES: Budget =
    Budget { name: "types named by one word", unit: "%", bound: Bound::AtMost, goal: 40.0, allowed: 40.0 };

/// Share of type definitions whose name is defined elsewhere, too.
pub static HOMONYMS: Budget =
    Budget { name: "types whose name is defined twice", unit: "%", bound: Bound::AtMost, goal: 10.0, allowed: 10.0 };

/// Comment lines per line of production code of the engine.
pub static ENGINE_COMMENTS: Budget =
    Budget { name: "engine: comment lines per code line", unit: "", bound: Bound::AtLeast, goal: 0.2, allowed: 0.18 };

/// Assertions per production function of the engine.
pub static ENGINE_ASSERTIONS: Budget =
    Budget { name: "engine: assertions per function", unit: "", bound: Bound::AtLeast, goal: 0.15, allowed: 0.15 };

/// Words in documents that users must not meet.
pub static BANNED_WORDS: Budget =
    Budget { name: "banned words in documents", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

/// Words of ARCHITECTURE.md.
pub static ARCHITECTURE_WORDS: Budget =
    Budget { name: "ARCHITECTURE.md: words", unit: "", bound: Bound::AtMost, goal: 1800.0, allowed: 1800.0 };

/// Modules that its code map does not name.
pub static UNNAMED_MODULES: Budget =
    Budget { name: "ARCHITECTURE.md: modules not named", unit: "", bound: Bound::AtMost, goal: 0.0, allowed: 0.0 };

impl Budget {
    pub fn measured(&'static self, value: f64, worst: Vec<String>) -> Measured {
        Measured { budget: self, value, worst }
    }

    fn keeps(&self, value: f64, limit: f64) -> bool {
        match self.bound {
            Bound::AtMost => value <= limit,
            Bound::AtLeast => value >= limit,
        }
    }
}

impl Measured {
    pub fn is_allowed(&self) -> bool {
        self.budget.keeps(self.value, self.budget.allowed)
    }

    pub fn is_at_goal(&self) -> bool {
        self.budget.keeps(self.value, self.budget.goal)
    }

    /// A line of the table.
    pub fn row(&self) -> String {
        let sign = if self.budget.bound == Bound::AtMost { "<=" } else { ">=" };
        let verdict = match (self.is_at_goal(), self.is_allowed()) {
            (true, _) => "ok",
            (false, true) => "over",
            (false, false) => "FAILED",
        };
        let (now, goal) = (self.shown(self.value), self.shown(self.budget.goal));
        let allowed = self.shown(self.budget.allowed);
        format!("{:<46} {now:>9}   {sign} {goal:>7}   {allowed:>9}   {verdict}", self.budget.name)
    }

    fn shown(&self, value: f64) -> String {
        let digits = if value.fract() == 0.0 { 0 } else { 2 };
        let space = if self.budget.unit.is_empty() { "" } else { " " };
        format!("{value:.digits$}{space}{}", self.budget.unit)
    }
}

#[test]
fn allowed_values_never_ask_for_more_than_the_goals() {
    for budget in [&LARGEST_TYPE, &ENGINE_TESTS] {
        let at = |value| budget.measured(value, Vec::new());
        assert!(at(budget.goal).is_allowed() && at(budget.goal).row().ends_with("ok"));
    }
    assert!(LARGEST_TYPE.measured(99.0, Vec::new()).row().ends_with("FAILED"));
}
