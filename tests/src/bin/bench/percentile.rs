//! Of many measured values the one that counts.

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// The one that so many percent do not exceed.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(f64::NAN)
}
