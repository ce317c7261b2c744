//! What people type on the command line, turned into checked values. Errors say what was expected.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

/// A span of time: `3days`, `12h`, `1week 2days`.
pub fn span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span.is_zero() => Err("a time span must be longer than zero".into()),
        Ok(span) if span > Duration::from_secs(100 * 366 * 86_400) => Err("that is more than a hundred years".into()),
        Ok(span) => Ok(span),
        Err(_) => Err("a time span is a number and a unit, such as 12h, 3days or 2weeks".into()),
    }
}

/// Milliseconds since 1970: in a span of time, or at a local date or time.
pub fn until(text: &str) -> Result<u64, String> {
    let wrong = || "a time is 3days, 2weeks, a date such as 2026-12-24, or 2026-12-24T18:00".to_owned();
    let now = Timestamp::now();
    let at = match span(text) {
        Ok(span) => now.checked_add(span).map_err(|_| wrong())?,
        Err(_) => {
            let local = text.parse::<DateTime>().map_err(|_| wrong())?;
            local.to_zoned(TimeZone::system()).map_err(|_| wrong())?.timestamp()
        }
    };
    if at <= now {
        return Err("that is over already".into());
    }
    u64::try_from(at.as_millisecond()).map_err(|_| wrong())
}

/// A time that has passed, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastTime {
    /// Milliseconds since 1970.
    At(u64),
    /// The beginning of a state's id.
    State(String),
}

/// A span of time before now, with or without `ago`; a local date or time; or the beginning of a state's id.
pub fn past(text: &str) -> Result<PastTime, String> {
    let wrong =
        || "a time is 3days, a date such as 2026-11-24, 2026-11-24T18:00, or a state of 8 digits or more".to_owned();
    let now = Timestamp::now();
    let before = text.strip_suffix("ago").map_or(text, str::trim_end);
    let at = match (span(before), text.parse::<DateTime>().or_else(|_| DateTime::strptime("%Y-%m-%d %H:%M", text))) {
        (Ok(span), _) => now.checked_sub(span).map_err(|_| wrong())?,
        (Err(_), Ok(local)) if text.contains('-') => {
            local.to_zoned(TimeZone::system()).map_err(|_| wrong())?.timestamp()
        }
        _ => return state(text).map(PastTime::State).map_err(|_| wrong()),
    };
    if at > now {
        return Err("that is still to come".into());
    }
    u64::try_from(at.as_millisecond()).map(PastTime::At).map_err(|_| wrong())
}

/// The beginning of a state's id.
pub fn state(text: &str) -> Result<String, String> {
    let is_id = (8..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_id { Ok(text.to_ascii_lowercase()) } else { Err("a state is 8 to 64 hexadecimal digits".into()) }
}

/// Minutes of a day in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalHours {
    /// No hours.
    None,
    /// From the first, up to the second.
    Span(u16, u16),
}

/// `HH:MM-HH:MM`, or `none`.
pub fn daily_hours(text: &str) -> Result<LocalHours, String> {
    let wrong = || "daily hours are HH:MM-HH:MM, such as 23:00-07:00, or none".to_owned();
    if text == "none" {
        return Ok(LocalHours::None);
    }
    let minute = |text: &str| {
        let time = Time::strptime("%H:%M", text).map_err(|_| wrong())?;
        Ok::<u16, String>(u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs()))
    };
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    match (minute(from)?, minute(to)?) {
        (from, to) if from == to => Err("the span is empty".into()),
        (from, to) => Ok(LocalHours::Span(from, to)),
    }
}

/// `HOST:PORT`, where friends reach this node. HOST may be a DNS name, an IPv4 address or an IPv6 address in brackets.
pub fn address(text: &str) -> Result<String, String> {
    let wrong = || "an address is HOST:PORT, such as home.example.org:4433 or [2001:db8::1]:4433".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    if port.parse::<u16>().map_err(|_| wrong())? == 0 {
        return Err("port 0 cannot be reached from outside; name the port that your router forwards".into());
    }
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match in_brackets {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    if good { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
}

/// The name of a node or site: 1 to 64 bytes that can be shown.
pub fn label(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 64 {
        return Err("a name is 1 to 64 bytes long".into());
    }
    if super::escape::name(text.as_bytes()) != text || text.trim() != text {
        return Err("a name has no control characters, backslashes, or spaces at its ends".into());
    }
    Ok(text.to_owned())
}

/// Part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRangeArg {
    /// From this byte to that one, both included; without an end, to the end of the file.
    From(u64, Option<u64>),
    /// This number of bytes at the end.
    Last(u64),
}

/// `FIRST-LAST` (both included), `FIRST-`, or `-COUNT` for the end of the file; as in HTTP.
pub fn range(text: &str) -> Result<ByteRangeArg, String> {
    let wrong = || "a range is FIRST-LAST (0-1023 is the first KiB), FIRST-, or -COUNT for the end".to_owned();
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    match text.split_once('-').ok_or_else(wrong)? {
        ("", count) => match number(count)? {
            0 => Err("a range has at least one byte".into()),
            count => Ok(ByteRangeArg::Last(count)),
        },
        (first, "") => Ok(ByteRangeArg::From(number(first)?, None)),
        (first, last) => match (number(first)?, number(last)?) {
            (first, last) if first <= last => Ok(ByteRangeArg::From(first, Some(last))),
            _ => Err("the range ends before it begins".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span("3days"), Ok(Duration::from_secs(3 * 86_400)));
        assert!(span("0s").is_err() && span("3").is_err() && span("-1h").is_err() && span("99999years").is_err());
    }

    #[test]
    fn times_and_hours() {
        assert!(until("2weeks").is_ok() && until("2999-12-24").is_ok() && until("2999-12-24T18:00").is_ok());
        assert!(until("2001-01-01").is_err_and(|why| why.contains("over")) && until("soon").is_err());
        assert_eq!(daily_hours("23:00-07:05"), Ok(LocalHours::Span(1_380, 425)));
        assert_eq!(daily_hours("none"), Ok(LocalHours::None));
        for bad in ["", "23-7", "24:00-07:00", "07:00-07:00", "7:00"] {
            assert!(daily_hours(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_that_have_passed() {
        let ms = |text| match past(text) {
            Ok(PastTime::At(ms)) => ms,
            other => panic!("{text}: {other:?}"),
        };
        let day = 86_400_000;
        assert_eq!(ms("3days") / 10_000, ms("3 days ago") / 10_000);
        assert_eq!(ms("2001-01-02") - ms("2001-01-01"), day);
        assert_eq!(ms("2001-01-02T06:00"), ms("2001-01-02 06:00"));
        assert_eq!(past("00AB34cd"), Ok(PastTime::State("00ab34cd".into())));
        assert!(past("2999-01-01").is_err_and(|why| why.contains("to come")));
        for bad in ["", "soon", "ago", "12", "abcdefg", "0x123456789"] {
            assert!(past(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["home.example.org:4433", "192.168.1.5:1", "[2001:db8::1]:65535", "localhost:99", "my_nas.lan.:5"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in
            ["", "home", "home:", "home:0", "home:70000", ":5", "2001:db8::1:5", "[::1:5", "[x]:5", "a b:5", "a..b:5"]
        {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(range("0-1023"), Ok(ByteRangeArg::From(0, Some(1023))));
        assert_eq!(range("7-"), Ok(ByteRangeArg::From(7, None)));
        assert_eq!(range("-5"), Ok(ByteRangeArg::Last(5)));
        for bad in ["", "-", "-0", "5", "5-2", "a-b", "--5", "1-2-3", "99999999999999999999-"] {
            assert!(range(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels() {
        assert!(label("Anna's cellar").is_ok());
        for bad in ["", " x", "a\nb", "a\u{202e}b", &"x".repeat(65)] {
            assert!(label(bad).is_err(), "{bad:?}");
        }
    }
}
