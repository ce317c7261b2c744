//! Bounds on the candidates, and what each of them does.

pub const COPIES: u8 = 3;
pub const SIGMA: f64 = 1.0;
/// Candidates.
pub const NEAREST: [usize; 4] = [16, 64, 256, 1_024];
/// One member of so many is unknown to the reader.
pub const UNKNOWN: usize = 20;

/// What one bound does in one pool.
pub struct ClosenessCut {
    pub servers: usize,
    pub nearest: usize,
    /// Standard deviation of load / share, weighted with the shares.
    pub spread: f64,
    /// Copies that move when one server leaves (or joins) / least possible without a bound.
    pub movement: f64,
    /// Copies looked for in the wrong place / weight that is unknown.
    pub disagreement: f64,
}
