//! Numbers as people read them.

/// With a comma after each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let group = |(nr, digit): (usize, char)| {
        let comma = nr > 0 && (digits.len() - nr).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(group).collect()
}

/// Two digits that count, then zeros.
pub fn rounded(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}");
    }
    let unit = 10f64.powi(libm::floor(libm::log10(value)) as i32 - 1);
    grouped(((value / unit).round() * unit).round() as u64)
}

/// A probability as odds if it is small, otherwise in percent.
pub fn odds(probability: f64) -> String {
    match probability {
        none if none <= 0.0 => "never seen".into(),
        rare if rare < 0.095 => format!("1 in {}", rounded(1.0 / rare)),
        often => format!("{:.0} %", 100.0 * often),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!([rounded(3.1234), rounded(12_345.0), rounded(99.9)], ["3.1", "12,000", "100"]);
        assert_eq!([odds(0.0), odds(1.0 / 34_567.0), odds(0.25)], ["never seen", "1 in 35,000", "25 %"]);
    }
}
