//! Randomness from the system.

/// Fresh random bytes.
///
/// # Panics
/// If the system has none: then it cannot make keys at all, and nothing sensible can be done.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
