//! Numbers that both answers tell.

use fsdfs_proto::control::{InventorySample, MemberUplink, PoolCapacity, ReplicationMargin};

use crate::text::{escape, human};

pub(super) fn copies(room: &PoolCapacity) -> String {
    human::count(room.copies.saturating_sub(room.copies_short).into(), "copy", "copies")
}

pub(super) fn percent(stored: u64, usable: u64) -> String {
    match (stored, usable) {
        (0, _) => " (0 %)".into(),
        (_, 0) => " (no room)".into(),
        _ => format!(" ({} %)", u128::from(stored) * 100 / u128::from(usable)),
    }
}

pub(super) fn blocks(count: u64) -> String {
    human::count(count, "block", "blocks")
}

/// Copies there are less those wanted.
pub fn margin(margin: Option<ReplicationMargin>) -> String {
    let signed = |number: i64| if number == 0 { "0".to_owned() } else { format!("{number:+}") };
    match margin {
        None => "not known yet".into(),
        Some(ReplicationMargin { min, max }) if min == max => format!("{} (K copies there are, N wanted)", signed(min)),
        Some(ReplicationMargin { min, max }) => {
            format!("{} to {} (K copies there are, N wanted)", signed(min), signed(max))
        }
    }
}

/// How the numbers came about.
pub(super) fn counted(found: &InventorySample) -> String {
    let mut lines = match (found.blocks, found.exact) {
        (0, _) => String::new(),
        (blocks, true) => format!("Counted block by block ({blocks}).\n"),
        (blocks, false) => format!("Concluded from {} of about {}.\n", found.blocks_listed, self::blocks(blocks)),
    };
    if !found.silent.is_empty() {
        let names: Vec<String> = found.silent.iter().map(|name| text(name)).collect();
        lines += &format!("! {} did not say what they hold: copies there are not counted\n", human::list(&names));
    }
    lines
}

pub(super) fn advice(advice: &str, attention: bool) -> String {
    let mark = if attention { "! " } else { "" };
    format!("{mark}{}\n", text(advice))
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
