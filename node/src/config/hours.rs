//! Rules for some hours of the day: `Mon-Fri 08:00-18:00 upload=4Mbit repair=0`. In local time, as the clock on the wall shows it:
//! an hour that is left out in spring has no rule, one that comes twice in autumn has it twice.

use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use jiff::fmt::strtime::BrokenDownTime;

use super::values::{BadValue, bad, percent, rate};

/// Of a day.
const MINUTES: u16 = 24 * 60;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourRule {
    /// From Monday; on which it begins.
    days: [bool; 7],
    /// Minute of the day.
    from: u16,
    /// The first minute behind it; not later than `from`: of the next day.
    to: u16,
    /// See [`super::BandwidthLimits`]; none: not named.
    pub upload: Option<Option<u64>>,
    /// The same.
    pub download: Option<Option<u64>>,
    /// The same.
    pub repair_percent: Option<u8>,
}

impl HourRule {
    /// Whether it holds at this time.
    pub fn fits(&self, local: DateTime) -> bool {
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let (today, yesterday) = (self.begins_on(local.weekday()), self.begins_on(local.weekday().previous()));
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }

    fn begins_on(&self, day: Weekday) -> bool {
        self.days[number(day)]
    }
}

impl FromStr for HourRule {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let mut words = text.split_whitespace().peekable();
        let days = match words.next_if(|word| !word.starts_with(|first: char| first.is_ascii_digit())) {
            Some(word) => days(word).ok_or_else(|| wrong(text, &format!("{word} names no days")))?,
            None => [true; 7],
        };
        let span =
            words.next().and_then(|word| word.split_once('-')).and_then(|(from, to)| minute(from).zip(minute(to)));
        let Some((from, to)) = span.filter(|(from, _)| *from < MINUTES) else {
            return Err(wrong(text, "the time is no span from HH:MM to HH:MM"));
        };
        if from == to {
            return Err(wrong(text, "the span is empty; a whole day is 00:00-24:00"));
        }
        let mut rule = Self { days, from, to, upload: None, download: None, repair_percent: None };
        for word in words {
            rule.set(text, word)?;
        }
        if (rule.upload, rule.download, rule.repair_percent) == (None, None, None) {
            return Err(wrong(text, "it sets nothing"));
        }
        Ok(rule)
    }
}

impl HourRule {
    fn set(&mut self, text: &str, word: &str) -> Result<(), BadValue> {
        let (key, value) = word.split_once('=').ok_or_else(|| wrong(text, &format!("{word:?} is not KEY=VALUE")))?;
        let said_before = match key {
            "upload" => self.upload.replace(rate(value)?).is_some(),
            "download" => self.download.replace(rate(value)?).is_some(),
            "repair" => self.repair_percent.replace(percent(value)?).is_some(),
            _ => return Err(wrong(text, &format!("{key:?} is none of upload, download and repair"))),
        };
        if said_before { bad(format!("{text:?} says {key} twice")) } else { Ok(()) }
    }
}

fn wrong(text: &str, problem: &str) -> BadValue {
    BadValue(format!(
        "{text:?} is no rule for hours: {problem}; write such as \"Mon-Fri 08:00-18:00 upload=4Mbit repair=0\" or \
         \"23:00-07:00 upload=none\""
    ))
}

/// `Mon`, `Mon-Fri`, `Fri-Mon`, or several with commas between.
fn days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        days[number(day)] = true;
        while day != last {
            day = day.next();
            days[number(day)] = true;
        }
    }
    Some(days)
}

fn weekday(text: &str) -> Option<Weekday> {
    BrokenDownTime::parse("%a", text).ok()?.weekday()
}

fn number(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// Of the day; `24:00` is its end.
fn minute(text: &str) -> Option<u16> {
    if text == "24:00" {
        return Some(MINUTES);
    }
    let time = BrokenDownTime::parse("%H:%M", text).ok()?;
    let (hour, minute) = (time.hour()?, time.minute()?);
    Some(u16::from(hour.unsigned_abs()) * 60 + u16::from(minute.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;

    fn rule(text: &str) -> HourRule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_rule_says_when_and_what() {
        let rule = rule("Mon-Fri 08:00-18:30 upload=4Mbit download=none repair=10%");
        assert_eq!(rule.days, [true, true, true, true, true, false, false]);
        assert_eq!((rule.from, rule.to), (480, 18 * 60 + 30));
        assert_eq!((rule.upload, rule.download, rule.repair_percent), (Some(Some(500_000)), Some(None), Some(10)));
    }

    #[test]
    fn days_may_be_named_singly_and_over_the_end_of_the_week() {
        assert_eq!(rule("Sat,Sun 00:00-24:00 repair=0").days, [false, false, false, false, false, true, true]);
        assert_eq!(rule("Fri-Mon 00:00-24:00 repair=0").days, [true, false, false, false, true, true, true]);
        assert_eq!(rule("00:00-24:00 repair=0").days, [true; 7]);
    }

    #[test]
    fn what_ends_on_the_next_day_belongs_to_the_day_on_which_it_began() {
        let night = rule("Fri 23:00-07:00 upload=none");
        let (friday, saturday) = (date(2026, 3, 6), date(2026, 3, 7));
        for (day, hour, fits) in
            [(friday, 6, false), (friday, 22, false), (friday, 23, true), (saturday, 6, true), (saturday, 7, false)]
        {
            assert_eq!(night.fits(day.at(hour, 0, 0, 0)), fits, "{day} {hour}");
        }
        assert!(!night.fits(saturday.at(23, 30, 0, 0)));
    }

    /// Central Europe: on 29 March 2026 02:00 to 03:00 is left out, on 25 October it comes twice.
    #[test]
    fn hours_are_those_of_the_clock_on_the_wall_also_when_it_is_put_on_or_back() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let night = rule("02:00-03:00 repair=0");
        let minutes = |day: &str| {
            let start: Timestamp = day.parse().expect("a time");
            let local = |minute| (start + jiff::SignedDuration::from_mins(minute)).to_zoned(zone.clone()).datetime();
            (0..25 * 60).filter(|minute| night.fits(local(*minute))).count()
        };
        assert_eq!(minutes("2026-03-27T23:00:00Z"), 60, "an ordinary day");
        assert_eq!(minutes("2026-03-28T23:00:00Z"), 0);
        assert_eq!(minutes("2026-10-24T22:00:00Z"), 120);
    }

    #[test]
    fn what_is_no_rule_says_what_is_wrong_and_what_would_be_right() {
        for (text, problem) in [
            ("", "no span"),
            ("Mon-Fri upload=4Mbit", "no span"),
            ("Mo-Fr 08:00-18:00 upload=4Mbit", "Mo-Fr names no days"),
            ("08:00 upload=4Mbit", "no span"),
            ("08:00-25:00 upload=4Mbit", "no span"),
            ("24:00-08:00 upload=4Mbit", "no span"),
            ("08:00-08:00 upload=4Mbit", "the span is empty"),
            ("08:00-18:00", "it sets nothing"),
            ("08:00-18:00 uplaod=4Mbit", "\"uplaod\" is none of"),
            ("08:00-18:00 upload", "\"upload\" is not KEY=VALUE"),
        ] {
            let BadValue(said) = text.parse::<HourRule>().expect_err(text);
            assert!(said.contains(problem) && said.contains("write such as"), "{text}: {said}");
        }
        for (text, problem) in [
            ("08:00-18:00 upload=4 Mbit", "\"4\" is less than 256 kbit"),
            ("08:00-18:00 repair=200%", "\"200%\" is no share"),
            ("08:00-18:00 repair=1% repair=2%", "says repair twice"),
        ] {
            let BadValue(said) = text.parse::<HourRule>().expect_err(text);
            assert!(said.contains(problem), "{text}: {said}");
        }
    }
}
