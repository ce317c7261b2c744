//! The fact set, told as what happens in a pool.

mod bounds;
mod branches;
mod linear;
mod members;
mod order;
pub(crate) mod pool;
mod roots;
mod servers;
mod state;
mod vectors;
mod writers;
