//! What became of each row.

use std::fmt::Write as _;
use std::time::Duration;

use crate::party::AttackRole;
use crate::row::AttackRow;
use crate::rows;

pub enum RowOutcome {
    /// Nobody but the adversary lost anything.
    Held,
    /// Somebody did, and what.
    Failed(String),
}

impl RowOutcome {
    pub fn failed(error: &anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

pub struct RowResult {
    name: &'static str,
    role: &'static str,
    pub outcome: RowOutcome,
    took: Option<Duration>,
    note: String,
}

impl RowResult {
    pub fn of(row: &AttackRow, role: AttackRole, outcome: RowOutcome, took: Duration) -> Self {
        Self { name: row.name, role: role.word(), outcome, took: Some(took), note: String::new() }
    }

    pub fn of_restart(outcome: RowOutcome) -> Self {
        let note = "after all of these: every node is started again".into();
        Self { name: "restart", role: "", outcome, took: None, note }
    }

    pub fn noting(self, note: String) -> Self {
        Self { note, ..self }
    }

    /// One line of the table.
    pub fn line(&self) -> String {
        let (verdict, why) = match &self.outcome {
            RowOutcome::Held => ("held", self.note.as_str()),
            RowOutcome::Failed(why) => ("FAILED", why.as_str()),
        };
        let took = self.took.map(|took| format!("{:.1} s", took.as_secs_f64())).unwrap_or_default();
        format!("{:<16} {:<13} {verdict:<7} {took:>7}  {why}\n", self.name, self.role)
    }
}

/// The table, in the order of the rows, with those that are not played in this run.
pub fn shown(results: &[RowResult]) -> String {
    let mut text = format!("\n{:<16} {:<13} {:<7} {:>7}  {}\n", "ATTACK", "BY", "", "", "NOTE");
    for row in rows::ALL.iter().copied().flatten() {
        let played: Vec<&RowResult> = results.iter().filter(|result| result.name == row.name).collect();
        if played.is_empty() {
            let _ = writeln!(text, "{:<16} {:<13} not played in this run", row.name, row.roles[0].word());
        }
        played.iter().for_each(|result| text.push_str(&result.line()));
        let _ = writeln!(text, "{}{}", " ".repeat(19), row.does);
    }
    results.iter().filter(|result| result.name == "restart").for_each(|result| text.push_str(&result.line()));
    let count = |is: fn(&RowOutcome) -> bool| results.iter().filter(|result| is(&result.outcome)).count();
    let held = count(|outcome| matches!(outcome, RowOutcome::Held));
    let failed = count(|outcome| matches!(outcome, RowOutcome::Failed(_)));
    let _ = writeln!(text, "{held} held, {failed} failed");
    text
}
