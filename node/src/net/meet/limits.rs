//! The bounds of meetings, with their reasons. Times are in milliseconds.

/// A direct address that answers does so sooner; whoever is behind a router loses no more than this.
pub(super) const ASK_AFTER: u64 = 300;
/// Relays asked at once. One of three friends is awake and close.
pub(super) const ASKS_OPEN_MAX: usize = 3;
/// Between two of them, so that a first one that is quick spares the others the work.
pub(super) const ASK_EVERY: u64 = 100;
/// Relays asked in one search at most: each costs two members a message.
pub(super) const ASKS_MAX: usize = 8;
/// A relay waits a second for the other node; the rest is its round trip.
pub(super) const ASK_TIMEOUT: u64 = 2_000;
/// How long better answers are waited for after the first.
pub(super) const CHOOSE_AFTER: u64 = 150;
/// A search is no longer than this; the transport's own is as long.
pub(super) const SEARCH_MAX: u64 = 15_000;
/// Over a relay that failed no other session is opened for so long, if there is another one.
pub(super) const EXCLUDED_FOR: u64 = 30_000;
/// A second attempt with the only relay there is does not begin at once.
pub(super) const EXCLUDED_ALONE_FOR: u64 = 2_000;
/// Two relays that lose much are not changed for each other sooner, for each change is a cut: it may be the line of this node.
pub(super) const LOSSY_FOR: u64 = 10_000;
/// A session over which no connection came up is given up: a handshake takes 5 s at most, and the gate 3.
pub(super) const OPENING_MAX: u64 = 10_000;

/// How long a relay waits for the other node's candidates before it answers without them.
pub(super) const INTRODUCTION_MAX: u64 = 1_000;
/// Sessions forwarded at once, and of them of one node: as the socket has places.
pub(super) use crate::net::socket::{SESSIONS_MAX, SESSIONS_PER_NODE_MAX};

/// Introductions that are open here, of all relays and of one: as many as these may have.
pub(super) const INTRODUCED_MAX: usize = 64;
/// See [`INTRODUCED_MAX`].
pub(super) const INTRODUCED_PER_RELAY_MAX: usize = 16;

/// Messages about meetings that are heard of one member at once: when it starts it looks for all others of a pool of friends,
/// and says of each session that it does not take that it is over.
pub(super) const MESSAGES_BURST: u64 = 256;
/// And in a second over a longer time.
pub(super) const MESSAGES_PER_S: u64 = 16;

/// When knocks leave in a round. The first four cross those of the other side while both routers still learn, the last ones
/// outlast a burst of losses.
pub(super) const KNOCK_TIMES: [u64; 9] = [0, 20, 40, 60, 100, 200, 400, 800, 1_600];
/// How long knocks of a round are answered: the other side may have begun its own a while later.
pub(super) const ROUND_OPEN_FOR: u64 = 10_000;
/// Addresses knocked at in a round: the candidates, and a few from which knocks came that are none of them.
pub(super) const TARGETS_MAX: usize = fsdfs_proto::message::meeting::CANDIDATES_MAX + 4;
/// Meetings of which knocks are answered at once.
pub(super) const ROUNDS_MAX: usize = 64;
/// Knocks answered in one round: each side sends nine to each address, and a router may double them.
pub(super) const ANSWERS_PER_ROUND_MAX: usize = 2 * TARGETS_MAX * KNOCK_TIMES.len();
/// Of two nodes that hear each other the one with the smaller id dials. The other does so after this, if nothing came.
pub(super) const SECOND_DIALS_AFTER: u64 = 700;
/// Without luck it is tried again after these: routers forget, are switched, get other software.
pub(super) const KNOCK_AGAIN_AFTER: [u64; 4] = [15_000, 60_000, 300_000, 1_800_000];
/// Between two rounds, whatever the other side or the own addresses do.
pub(super) const ROUND_PAUSE_MIN: u64 = 5_000;
/// An answer to "knock again" that does not come is not waited for.
pub(super) const KNOCK_AGAIN_TIMEOUT: u64 = 3_000;

/// Half of what the most forgetful routers remember a mapping for (30 s).
pub(super) const STANDING_EVERY: u64 = 15_000;
/// Unreachable members that are knocked for.
pub(super) const STANDING_MAX: usize = 16;
/// Addresses of each: where it was seen last, and before.
pub(super) const STANDING_ADDRESSES_MAX: usize = 2;
