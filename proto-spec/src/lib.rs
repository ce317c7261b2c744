//! The contract of fsdfs: everything that crosses a wire or lands on a disk, as types and codecs.
//!
//! Pure: no clock, no randomness, no files, sockets or threads. The chapters beside this crate (`spec/`) say the same in
//! prose, precisely enough for a second implementation; `vectors/` holds bytes that never change from 2.0.0-beta.1 on.
//!
//! The order in which to read it, each with its chapter:
//!
//! 1. [`ids`], [`time`], [`label`] and [`codec`]: names of things, stamps, every hash tag, and the one encoding of a value (04-wire §1).
//! 2. [`signed`] and [`identity`]: who belongs to a pool. Certificates, tickets and the other facts that every member keeps (01-identity).
//! 3. [`block`], [`receipt`] and [`volume`]: what is stored, and whose it is. Keys, sealed blocks, manifests, directories, commits and
//!    heads (02-block, 05-volume).
//! 4. [`placement`]: what the choice of holders reads (03-placement).
//! 5. [`gate`] and [`message`]: how two nodes let each other in, and what members say then; [`packet`]: beside QUIC (04-wire).
//! 6. [`mod@record`]: segments, log and superblock of a disk (06-store).
//! 7. [`control`]: what a node's owner asks of it (07-control).

pub mod audit;
pub mod block;
pub mod codec;
pub mod control;
pub mod gate;
pub mod identity;
pub mod ids;
pub mod label;
pub mod message;
pub mod packet;
pub mod pair;
pub mod placement;
pub mod receipt;
pub mod record;
pub mod signed;
pub mod time;
pub mod volume;
