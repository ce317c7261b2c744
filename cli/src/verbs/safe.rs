//! `fsdfs safe`: whether files survive, in one word, and what is missing if not.

use clap::Args;
use fsdfs_proto::control::{AbsenceReason, MemberBlocks, MissingHolder, MissingReason, SafetyReport, SafetyVerdict};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::progress::CountProgress;
use crate::remote::RemotePath;
use crate::text::{escape, human};

/// Show whether everything below a path is safe: how many sites may be destroyed at once, and what lacks copies.
///
/// All members that this node is connected to are asked now. A member that is away, does not answer, or was found to claim
/// blocks that it does not have counts as having nothing. Of more than 16,384 blocks a fair sample is checked, unless --all
/// is given. "Verified" means that the bytes were written, or read and compared with their id, at that time. With --prove
/// each member that says that it holds a block reads its copy now and proves it, and nothing else counts; this checks 1,000
/// blocks, a fair sample, unless --all is given, and yields to all that users do. Copies that turn out damaged are named, and
/// replaced by their holders. The exit code is 0 if it is safe, 1 if copies are missing or one site has all of them, and 2 if something cannot be read from any
/// member that answers.
#[derive(Args, Clone, Debug)]
pub struct SafeCommand {
    /// What to check, /PATH; without it, everything.
    #[arg(value_name = "PATH", default_value = "/", value_parser = crate::remote::remote())]
    path: RemotePath,
    /// Check all blocks, however many there are.
    #[arg(long)]
    all: bool,
    /// Have all copies read and proven by their holders.
    #[arg(long)]
    prove: bool,
}

impl SafeCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let report = if self.prove {
            let progress = CountProgress::new(app.output, "blocks proven");
            let report = api.safe_proof(&self.path, self.all, |at| progress.show(at.blocks, at.of_blocks)).await;
            progress.finish();
            report
        } else {
            api.safe(&self.path, self.all).await
        };
        let report = report.map_err(|error| api.stop_at(&self.path, &error))?;
        app.output.result(&report, shown(&self.path.to_string(), &report))?;
        if report.maybe_stale {
            app.output.note(super::MAYBE_STALE);
        }
        let mut verdict = match report.verdict {
            SafetyVerdict::Safe => ExitStatus::Fine,
            SafetyVerdict::AtRisk | SafetyVerdict::Other => ExitStatus::Attention,
            SafetyVerdict::Lost => ExitStatus::Failed,
        };
        if !report.unpublished_on.is_empty() {
            app.output.failed(&super::incomplete(&report.unpublished_on.iter().cloned().collect()));
            verdict = verdict.max(ExitStatus::Attention);
        }
        Ok(verdict)
    }
}

fn shown(path: &str, report: &SafetyReport) -> String {
    let word = match report.verdict {
        SafetyVerdict::Safe => "safe",
        SafetyVerdict::AtRisk | SafetyVerdict::Other => "AT RISK",
        SafetyVerdict::Lost => "LOST",
    };
    if report.blocks == 0 && report.unreadable_blocks == 0 {
        return format!("{word:<12}{path}: nothing is stored there\n");
    }
    let mut lines = vec![format!("{path}: {}", main_line(report))];
    if report.verdict == SafetyVerdict::Lost && report.short_blocks > 0 {
        lines.push(short(report));
    }
    let missing: Vec<String> = report.missing.iter().map(missing).collect();
    if !missing.is_empty() {
        lines.push(format!("missing: {}", missing.join("; ")));
    }
    if !report.damaged.is_empty() {
        lines.push(format!("damaged copies, which are replaced now: {}", members(&report.damaged)));
    }
    if !report.unproven.is_empty() {
        lines.push(format!("not proven, though they say that they have them: {}", members(&report.unproven)));
    }
    // Whoever has a damaged copy makes a good one of it: that is said already.
    let mending = report.mending.iter().filter_map(|holder| {
        let damaged = report.damaged.iter().find(|other| other.id == holder.id).map_or(0, |other| other.blocks);
        let blocks = holder.blocks.saturating_sub(damaged);
        (blocks > 0).then(|| MemberBlocks { id: holder.id.clone(), name: holder.name.clone(), blocks })
    });
    let mending: Vec<MemberBlocks> = mending.collect();
    if !mending.is_empty() {
        lines.push(format!("copies are still to be made at {}", members(&mending)));
    }
    let condemned = report.bad_copies.saturating_sub(report.damaged.iter().map(|holder| holder.blocks).sum());
    if condemned > 0 {
        lines.push(format!("{} about to be deleted", human::count(condemned, "copy is", "copies are")));
    }
    lines.push(verified(report));
    if report.checked_blocks < report.blocks {
        lines.push(format!(
            "checked {} of about {}, a fair sample; --all checks all",
            report.checked_blocks,
            blocks(report.blocks)
        ));
    }
    let lines: Vec<String> = lines
        .into_iter()
        .enumerate()
        .map(|(place, line)| format!("{:<12}{line}\n", if place == 0 { word } else { "" }))
        .collect();
    lines.concat()
}

fn main_line(report: &SafetyReport) -> String {
    let all = format!("{}, {}", blocks(report.blocks), human::size(report.checked_bytes));
    let sites = match report.sites_may_fail {
        0 => "no site may be destroyed".to_owned(),
        1 => "any 1 site may be destroyed".to_owned(),
        many => format!("any {many} sites may be destroyed"),
    };
    match report.verdict {
        SafetyVerdict::Lost => {
            format!("{} cannot be read from any member that answers", blocks(report.unreadable_blocks))
        }
        _ if report.short_blocks > 0 => format!("{sites}; {}", short(report)),
        SafetyVerdict::Safe => {
            format!("{all}; {sites}; {} of each", human::count(report.copies_min, "copy", "copies"))
        }
        _ => format!("{all}; {sites}: one site has all copies of some of it"),
    }
}

fn short(report: &SafetyReport) -> String {
    format!(
        "{} of {} ({}) have fewer copies than required, the worst {} of {}",
        report.short_blocks,
        blocks(report.checked_blocks),
        human::size(report.short_bytes),
        report.copies_min,
        report.target_copies
    )
}

fn missing(holder: &MissingHolder) -> String {
    let time = || human::time_ms(holder.until_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or_default());
    let why = match (holder.reason, holder.since_s) {
        (MissingReason::Away, Some(seconds)) => format!("away for {}", human::span(seconds)),
        (MissingReason::Away, None) => "away since before this node started".into(),
        (MissingReason::NotConnected, _) => "up, but not connected to this node".into(),
        (MissingReason::FailsAudits, _) => "says that it has blocks which it does not have".into(),
        (MissingReason::NoAnswer | MissingReason::Other, _) => "gave no answer".into(),
    };
    let excuse = match holder.away {
        Some(AbsenceReason::Announced) => format!(", as announced, until {}", time()),
        Some(AbsenceReason::UsualHours) => format!(", usually back by {}", time()),
        Some(AbsenceReason::Outage) => ", fell silent together with others".into(),
        _ => String::new(),
    };
    format!("{}, {why}{excuse} ({})", name(&holder.name), blocks(holder.blocks))
}

/// Each with the blocks that it is about.
fn members(members: &[MemberBlocks]) -> String {
    let each = members.iter().map(|member| format!("{} ({})", name(&member.name), blocks(member.blocks)));
    human::list(&each.collect::<Vec<_>>())
}

fn verified(report: &SafetyReport) -> String {
    if let Some(copies) = report.proven_copies {
        return format!("{} proven now", human::count(copies, "copy was", "copies were"));
    }
    match report.oldest_verified_h {
        Some(hours) if report.verified_blocks == report.checked_blocks => {
            format!("all copies were verified in the last {}", human::span(u64::from(hours) * 3600))
        }
        Some(hours) => format!(
            "all copies of {} were verified in the last {}; of the others it is not known yet",
            blocks(report.verified_blocks),
            human::span(u64::from(hours) * 3600)
        ),
        None => "when the copies were last verified is not known yet".into(),
    }
}

fn blocks(number: u64) -> String {
    human::count(number, "block", "blocks")
}

fn name(name: &str) -> String {
    escape::name(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> SafetyReport {
        SafetyReport {
            verdict: SafetyVerdict::Safe,
            blocks: 1_200,
            checked_blocks: 1_200,
            checked_bytes: 3 << 30,
            sites_may_fail: 2,
            copies_min: 3,
            target_copies: 3,
            short_blocks: 0,
            short_bytes: 0,
            unreadable_blocks: 0,
            bad_copies: 0,
            damaged: Vec::new(),
            unproven: Vec::new(),
            proven_copies: None,
            missing: Vec::new(),
            mending: Vec::new(),
            repair_pending: 0,
            verified_blocks: 1_200,
            oldest_verified_h: Some(12),
            maybe_stale: false,
            unpublished_on: Vec::new(),
        }
    }

    fn carol() -> MissingHolder {
        MissingHolder {
            id: "33".into(),
            name: "carol".into(),
            reason: MissingReason::Away,
            since_s: Some(26 * 3600),
            away: None,
            until_ms: None,
            blocks: 7,
        }
    }

    #[test]
    fn what_is_safe_says_how_many_sites_may_be_destroyed_and_how_old_the_proof_is() {
        let text = shown("/Photos", &report());
        assert!(text.starts_with("safe        /Photos: 1200 blocks, 3.0 GiB; any 2 sites may be destroyed"), "{text}");
        assert!(text.contains("3 copies of each\n") && text.contains("verified in the last"), "{text}");
        let nothing = SafetyReport { blocks: 0, checked_blocks: 0, ..report() };
        assert_eq!(shown("/", &nothing), "safe        /: nothing is stored there\n");
    }

    #[test]
    fn what_is_at_risk_says_what_is_missing_and_where() {
        let risk = SafetyReport {
            verdict: SafetyVerdict::AtRisk,
            sites_may_fail: 1,
            copies_min: 2,
            short_blocks: 7,
            short_bytes: 7 << 20,
            missing: vec![carol()],
            verified_blocks: 1_000,
            blocks: 70_000,
            ..report()
        };
        let text = shown("/Photos", &risk);
        for part in [
            "AT RISK     /Photos: any 1 site may be destroyed; 7 of 1200 blocks (7.0 MiB) have fewer copies",
            "the worst 2 of 3",
            "missing: carol, away for ",
            "(7 blocks)",
            "all copies of 1000 blocks were verified",
            "checked 1200 of about 70000 blocks",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        let one_site = SafetyReport { verdict: SafetyVerdict::AtRisk, sites_may_fail: 0, ..report() };
        assert!(shown("/", &one_site).contains("no site may be destroyed: one site has all copies"));
    }

    #[test]
    fn what_was_proven_and_what_was_not_is_said_with_names() {
        let of = |name: &str, blocks| MemberBlocks { id: name.into(), name: name.into(), blocks };
        let proven = SafetyReport { proven_copies: Some(3_600), ..report() };
        assert!(shown("/", &proven).contains("            3600 copies were proven now\n"));
        let found = SafetyReport {
            verdict: SafetyVerdict::AtRisk,
            short_blocks: 103,
            bad_copies: 101,
            damaged: vec![of("bob", 100)],
            unproven: vec![of("mallory", 3)],
            mending: vec![
                MemberBlocks { id: "bob".into(), name: "bob".into(), blocks: 100 },
                MemberBlocks { id: "mallory".into(), name: "mallory".into(), blocks: 3 },
            ],
            proven_copies: Some(3_497),
            ..report()
        };
        let text = shown("/", &found);
        for part in [
            "damaged copies, which are replaced now: bob (100 blocks)\n",
            "not proven, though they say that they have them: mallory (3 blocks)\n",
            "copies are still to be made at mallory (3 blocks)\n",
            "1 copy is about to be deleted\n",
            "3497 copies were proven now\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }

    #[test]
    fn what_is_lost_says_so_first() {
        let lost = SafetyReport {
            verdict: SafetyVerdict::Lost,
            unreadable_blocks: 2,
            short_blocks: 2,
            copies_min: 0,
            sites_may_fail: 0,
            missing: vec![carol()],
            ..report()
        };
        let text = shown("/Photos", &lost);
        assert!(
            text.starts_with("LOST        /Photos: 2 blocks cannot be read from any member that answers\n"),
            "{text}"
        );
        assert!(text.contains("missing: carol"), "{text}");
    }
}
