//! Sizes of the pools.

/// Members of the simulated pools.
pub const SIMULATED: [usize; 4] = [10, 30, 100, 200];
/// Members that a model stands for.
pub const MODELLED: [usize; 2] = [1_000, 10_000];
