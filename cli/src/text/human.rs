//! Numbers as people read them.

use std::time::Duration;

use bytesize::ByteSize;

/// `1.5 GiB`, `17 B`.
pub fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// Bytes per second as lines are sold: `16 Mbit/s`, `1.25 Mbit/s`.
pub fn speed(bytes_per_s: u64) -> String {
    let bits = bytes_per_s.saturating_mul(8);
    let (unit, name) = match bits {
        0..1_000_000 => (1_000, "kbit/s"),
        1_000_000..1_000_000_000 => (1_000_000, "Mbit/s"),
        _ => (1_000_000_000, "Gbit/s"),
    };
    // Three digits at most, and none that say nothing.
    let hundredths = u128::from(bits) * 100 / unit;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let digits = if whole >= 100 { String::new() } else { format!(".{part:02}") };
    format!("{whole}{} {name}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// `1 file`, `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `3 days`, `2h 5m`, `12s`: the two largest units.
pub fn span(seconds: u64) -> String {
    let whole = match seconds {
        0..60 => seconds,
        60..3_600 => seconds,
        3_600..86_400 => seconds / 60 * 60,
        _ => seconds / 3_600 * 3_600,
    };
    humantime::format_duration(Duration::from_secs(whole)).to_string()
}

/// A list as in a sentence: `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Local time to the second; the number itself if it is no time of this world.
pub fn time_ms(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

/// Local time to the minute, from nanoseconds.
pub fn time_ns(ns: i64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => format!("{ns} ns"),
    }
}

/// `drwxr-xr-x`.
pub fn mode(kind: char, mode: u32) -> String {
    let bit = |mask: u32, char: char| if mode & mask == 0 { '-' } else { char };
    let last = |execute: u32, special: u32, both: char, only: char| match (mode & execute != 0, mode & special != 0) {
        (true, true) => both,
        (false, true) => only,
        (true, false) => 'x',
        (false, false) => '-',
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        last(0o100, 0o4000, 's', 'S'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        last(0o010, 0o2000, 's', 'S'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        last(0o001, 0o1000, 't', 'T'),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        for (bytes, shown) in [
            (32_000, "256 kbit/s"),
            (156_250, "1.25 Mbit/s"),
            (2_000_000, "16 Mbit/s"),
            (8_388_608, "67.1 Mbit/s"),
            (67_108_864, "536 Mbit/s"),
            (125_000_000, "1 Gbit/s"),
            (0, "0 kbit/s"),
        ] {
            assert_eq!(speed(bytes), shown);
        }
    }

    #[test]
    fn sizes_counts_and_spans() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(3 << 30), "3.0 GiB");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(0, "file", "files"), "0 files");
        assert_eq!(span(12), "12s");
        assert_eq!(span(3_600 * 30 + 59), "1day 6h");
    }

    #[test]
    fn lists() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(list(&[]), "");
        assert_eq!(list(&words("a")), "a");
        assert_eq!(list(&words("a b c")), "a, b and c");
    }

    #[test]
    fn modes() {
        assert_eq!(mode('d', 0o755), "drwxr-xr-x");
        assert_eq!(mode('-', 0o4640), "-rwSr-----");
        assert_eq!(mode('-', 0o1777), "-rwxrwxrwt");
    }

    #[test]
    fn times_of_no_world_are_numbers() {
        assert_eq!(time_ms(i64::MAX), format!("{} ms", i64::MAX));
        assert_eq!(time_ns(0).len(), "1970-01-01 00:00".len());
    }
}
