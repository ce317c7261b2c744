//! When this node is away, by its owner's word.

use fsdfs_proto::identity::{Absence, Fact};
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
use crate::limits::{ABSENCE_GONE_DAYS_MAX, DAY_MS};
use crate::report::AbsenceReport;
use crate::seam::{AbsenceChange, OpId, Refusal, Reply};

/// As it was announced last.
pub(in crate::engine) fn show_absence(cx: &mut Context, op: OpId) {
    let absence = own_absence(cx);
    cx.reply(op, Reply::Absence(absence));
}

fn own_absence(cx: &Context) -> AbsenceReport {
    let said = cx.facts.members().get(&cx.me).and_then(|me| me.absence.as_ref()).map(Signed::value);
    let until_ms = said.map_or(0, |absence| absence.until);
    AbsenceReport {
        until_ms: if until_ms > cx.now.wall { until_ms } else { 0 },
        daily: said.map(|absence| absence.daily.clone()).unwrap_or_default(),
    }
}

/// Announces another one. Nobody is waited for longer than [`ABSENCE_GONE_DAYS_MAX`], so nothing longer is announced.
pub(in crate::engine) fn change_absence(cx: &mut Context, gossip: &mut Gossip, op: OpId, change: AbsenceChange) {
    let now = own_absence(cx);
    let latest = cx.now.wall.saturating_add(ABSENCE_GONE_DAYS_MAX * DAY_MS);
    let announced = announce(cx, gossip, |absence| {
        let mut daily = change.daily.unwrap_or(now.daily);
        daily.sort();
        daily.dedup();
        absence.daily = daily;
        absence.until = change.until_ms.unwrap_or(now.until_ms).min(latest);
    });
    match announced {
        Ok(()) => {
            let absence = own_absence(cx);
            cx.raise(Event::Reply { op, reply: Reply::Absence(absence) });
        }
        Err(refusal) => cx.reply(op, Reply::Refused(refusal)),
    }
}

/// Signs the next statement of when this node is away and what it empties: the last one, changed.
pub(super) fn announce(
    cx: &mut Context,
    gossip: &mut Gossip,
    change: impl FnOnce(&mut Absence),
) -> Result<(), Refusal> {
    let me = cx.facts.members().get(&cx.me).ok_or(Refusal::NotYet)?;
    let last = me.absence.as_ref().map(|last| last.value().clone());
    let first = || Absence { version: 1, node: cx.me, seq: 0, until: 0, daily: Vec::new(), drained: Some(Vec::new()) };
    let mut absence = last.unwrap_or_else(first);
    absence.seq = absence.seq.saturating_add(1);
    change(&mut absence);
    let fact = Fact::from(Signed::sign(cx.pool, &cx.key, absence));
    gossip.insert_own(cx, vec![fact.clone()]).map_err(Refusal::NotKept)?;
    cx.raise(Event::FactMade(fact));
    Ok(())
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::identity::DailySpan;

    use super::*;
    use crate::engine::test_kit::{context, events, pass};

    fn change(cx: &mut Context, change: AbsenceChange) -> AbsenceReport {
        change_absence(cx, &mut Gossip::default(), 7, change);
        let said = events(cx).into_iter().find_map(|event| match event {
            Event::Reply { op: 7, reply: Reply::Absence(absence) } => Some(absence),
            _ => None,
        });
        said.expect("it is announced")
    }

    #[test]
    fn an_absence_is_announced_changed_and_ended() {
        let mut cx = context(0, 3);
        assert_eq!(own_absence(&cx), AbsenceReport::default());
        let until_ms = cx.now.wall + 5_000;
        let away = change(&mut cx, AbsenceChange { until_ms: Some(until_ms), daily: None });
        assert_eq!((away.until_ms, away.daily.len()), (until_ms, 0));
        let night = DailySpan { from: 1_380, to: 420 };
        let nights = change(&mut cx, AbsenceChange { until_ms: None, daily: Some(vec![night, night]) });
        assert_eq!((nights.until_ms, nights.daily), (until_ms, vec![night]));
        let back = change(&mut cx, AbsenceChange { until_ms: Some(0), daily: None });
        assert_eq!((back.until_ms, back.daily), (0, vec![night]), "the nights stay");
    }

    #[test]
    fn nobody_is_away_for_ever() {
        let mut cx = context(0, 3);
        let away = change(&mut cx, AbsenceChange { until_ms: Some(u64::MAX), daily: None });
        assert_eq!(away.until_ms, cx.now.wall + ABSENCE_GONE_DAYS_MAX * DAY_MS);
        pass(&mut cx, ABSENCE_GONE_DAYS_MAX * DAY_MS);
        assert_eq!(own_absence(&cx).until_ms, 0, "it is over by itself");
    }
}
