//! Figures, each beside its floor, as a table or as JSON.

use serde::Serialize;

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureGoal {
    AtLeast(f64),
    AtMost(f64),
    /// Of the ratio to the floor.
    RatioAtLeast(f64),
    /// Of the ratio to the floor.
    RatioAtMost(f64),
}

/// What was measured in the same run without any of fsdfs's own work.
#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    pub name: &'static str,
    /// In the figure's unit.
    pub value: f64,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub floor: Option<Floor>,
    pub goal: Option<FigureGoal>,
}

impl Row {
    pub fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, floor: None, goal: None }
    }

    pub fn floor(self, name: &'static str, value: f64) -> Self {
        Self { floor: Some(Floor { name, value }), ..self }
    }

    pub fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub fn goal(self, goal: FigureGoal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    pub fn ratio(&self) -> Option<f64> {
        self.floor.as_ref().map(|floor| self.value / floor.value)
    }

    /// Whether the goal is reached, if there is one.
    fn reached(&self) -> Option<bool> {
        let ratio = self.ratio().unwrap_or(f64::NAN);
        Some(match self.goal? {
            FigureGoal::AtLeast(least) => self.value >= least,
            FigureGoal::AtMost(most) => self.value <= most,
            FigureGoal::RatioAtLeast(least) => ratio >= least,
            FigureGoal::RatioAtMost(most) => ratio <= most,
        })
    }

    pub fn goal_text(&self) -> String {
        let Some(goal) = self.goal else { return String::new() };
        let (sign, value, of) = match goal {
            FigureGoal::AtLeast(value) => (">=", value, ""),
            FigureGoal::AtMost(value) => ("<=", value, ""),
            FigureGoal::RatioAtLeast(value) => (">=", value, " x"),
            FigureGoal::RatioAtMost(value) => ("<=", value, " x"),
        };
        let verdict = if self.reached() == Some(true) { "reached" } else { "MISSED" };
        format!("{sign} {}{of} {verdict}", number(value))
    }

    /// One line of the table.
    pub fn line(&self) -> String {
        let floor =
            self.floor.as_ref().map_or(String::new(), |floor| format!("{} {}", number(floor.value), floor.name));
        let ratio = self.ratio().map_or(String::new(), |ratio| format!("{ratio:.2} x"));
        let line = format!(
            "{:<40} {:>9} {:<9} {ratio:>8}  {floor:<34} {}",
            self.name,
            number(self.value),
            self.unit,
            self.goal_text()
        );
        line.trim_end().to_owned()
    }
}

/// The line above all lines.
pub fn heading() -> String {
    format!("{:<40} {:>9} {:<9} {:>8}  {:<34} goal", "figure", "measured", "", "to floor", "floor of the same run")
}

/// Everything, for programs.
pub fn json(rows: &[Row], conditions: &serde_json::Value) -> String {
    let row = |row: &Row| {
        let mut value = serde_json::to_value(row).unwrap_or_default();
        value["ratio"] = row.ratio().into();
        value["reached"] = row.reached().into();
        value
    };
    serde_json::json!({ "conditions": conditions, "rows": rows.iter().map(row).collect::<Vec<_>>() }).to_string()
}

/// Three digits that matter.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
