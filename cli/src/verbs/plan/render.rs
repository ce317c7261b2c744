//! What both answers show.

use fsdfs_proto::control::{AdviceItem, InventorySample, MemberUplink, PoolCapacity, ReplicationMargin};

use crate::text::{escape, human};

pub(super) fn copies(capacity: &PoolCapacity) -> String {
    human::count(capacity.copies.saturating_sub(capacity.copies_short).into(), "copy", "copies")
}

pub(super) fn percent(stored: u64, usable: u64) -> String {
    match (stored, usable) {
        (0, _) => " (0 %)".into(),
        (_, 0) => " (no capacity)".into(),
        _ => format!(" ({} %)", u128::from(stored) * 100 / u128::from(usable)),
    }
}

pub(super) fn blocks(count: u64) -> String {
    human::count(count, "block", "blocks")
}

/// Copies that exist less those required, of the block with the fewest and that with the most: `1 short ... 0 spare`.
pub fn replication(margin: Option<ReplicationMargin>) -> String {
    match margin {
        None => "not known yet".into(),
        Some(ReplicationMargin { min, max }) if min == max => copies_off(min),
        Some(ReplicationMargin { min, max }) => format!("{} ... {}", copies_off(min), copies_off(max)),
    }
}

fn copies_off(number: i64) -> String {
    let word = if number < 0 { "short" } else { "spare" };
    format!("{} {word}", number.unsigned_abs())
}

/// How the numbers came about.
pub(super) fn counted(inventory: &InventorySample) -> String {
    let mut lines = match (inventory.blocks, inventory.exact) {
        (0, _) => String::new(),
        (blocks, true) => format!("Exact: {} counted.\n", self::blocks(blocks)),
        (blocks, false) => {
            format!("Estimated from {} of about {}.\n", inventory.blocks_listed, self::blocks(blocks))
        }
    };
    if !inventory.unresponsive.is_empty() {
        let names: Vec<String> = inventory.unresponsive.iter().map(|name| text(name)).collect();
        lines += &format!("! {} did not answer: copies there are not counted\n", human::list(&names));
    }
    lines
}

pub(super) fn advice(advice: &AdviceItem) -> String {
    let mark = if advice.action_needed { "! " } else { "" };
    format!("{mark}{}\n", text(&advice.text))
}

pub(super) fn uplink(uplink: MemberUplink) -> String {
    let tenths = uplink.bytes_per_s.saturating_mul(8) / 100_000;
    let speed = match tenths {
        0..100 => format!("{}.{} Mbit/s", tenths / 10, tenths % 10),
        _ => format!("{} Mbit/s", tenths / 10),
    };
    if uplink.assumed { format!("unknown, {speed} assumed") } else { speed }
}

pub(super) fn text(text: &str) -> String {
    escape::name(text.as_bytes())
}
