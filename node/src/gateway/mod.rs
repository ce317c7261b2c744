//! The ways into the node for programs and people. Gateways know [`crate::client`], the metrics and what their own process
//! was configured with; blocks, peers and disks they never see.

pub mod control;
pub(crate) mod words;
