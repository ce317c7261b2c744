//! QUIC as this node uses it.

#[cfg_attr(not(test), expect(dead_code, reason = "the transport that uses it comes with the next change"))]
mod control;
#[cfg(test)]
mod line;
