//! Inputs to begin with: the published vectors (`proto-spec/vectors`), in the form in which each target takes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fsdfs_proto::gate::PAD_BYTES;
use serde_json::Value;

use crate::volume::opened;

const GATE: &str = include_str!("../../proto-spec/vectors/gate.json");
const MESSAGE: &str = include_str!("../../proto-spec/vectors/message.json");
const PACKET: &str = include_str!("../../proto-spec/vectors/packet.json");
const IDENTITY: &str = include_str!("../../proto-spec/vectors/identity.json");
const POOL: &str = include_str!("../../proto-spec/vectors/identity-pool.json");
const MERGE: &str = include_str!("../../proto-spec/vectors/merge-blocks.json");
const STORE: &str = include_str!("../../proto-spec/vectors/store.json");
const BLOCK: &str = include_str!("../../proto-spec/vectors/block.json");
const VOLUME: &str = include_str!("../../proto-spec/vectors/volume.json");

/// There are no vectors of the control API: one body of each kind, and a query.
const CONTROL: &[&str] = &[
    r#"{"volume":"pool","edits":[{"op":"folder","path":"/a%FF","attrs":{"mode":493,"mtime_ns":-1},"fresh":true},
        {"op":"link","path":"/l","target":"../x","mtime_ns":7},{"op":"remove","path":"/a","recursive":true},
        {"op":"move","from":"/a","to":"/b"}]}"#,
    r#"{"expires_s":3600,"uses":2,"role":"full"}"#,
    r#"{"ticket":"fsdfs-ticket-1:AAAA"}"#,
    r#"{"error":"no such file","hint":"look with fsdfs ls","code":"not_found"}"#,
    r#"{"outcome":"stored","copies":3,"target_copies":3,"sites":2,"bytes":10,"uploaded_bytes":0,"unchanged":true}"#,
    r#"{"copies":3,"offered_bytes":1,"usable_bytes":2,"copies_short":0,"sites_short":1,"stranded":[],
        "offers":[{"id":"ab","name":"zoe","bytes":5}],"disks":[{"id":"00","path":"/d","quota_bytes":1,"used_bytes":1,
        "live_bytes":1,"index_bytes":0,"reserve_bytes":0,"blocks":1,"read_only":false}]}"#,
    r#"{"version":"2.0.0","pid":1,"uptime_s":9,"home":"/h","node":"ab","name":"zoe","site":"hill","pool":"cd","pool_name":"friends",
        "port":4001,"addresses":[{"address":"zoe.example.org:4001","scope":"name"}],"copies":3,"ready":true,"has_key":true,
        "connected":2,"members":3,"disks":[],"repair":{"pending":1,"sent":2,"running":false},"clock_off_min":-3,"attention":[{"code":"members_away","names":["ann"],"text":"a"}]}"#,
    r#"{"members":[{"id":"ab","name":"zoe","site":"hill","me":true,"role":"storage_only","presence":"away","connected":false,
        "rtt_ms":7,"last_seen_s":null,"invited_by":"ann","offered_bytes":5,"disks":1,"addresses":[]}],"warnings":[{"code":"no_address","name":"zoe","text":"w"}]}"#,
    r#"{"ticket":"t","id":"i","expires_at_ms":1,"uses":1,"addresses":[{"address":"[::1]:1","scope":"loopback"}],"warnings":[]}"#,
    r#"{"invites":[{"id":"i","issued_by":"zoe","expires_at_ms":1,"uses":2,"used":1,"open":true,"revoked":false}]}"#,
    r#"{"pool":"ab","pool_name":"friends"}"#,
    r#"{"id":"ab","name":"zoe"}"#,
    r#"{"written":{"outcome":"degraded","copies":1,"target_copies":3,"sites":1,"bytes":0,"uploaded_bytes":9,"unchanged":false},
        "edits":["changed","unchanged",{"failed":{"error":"e","hint":"h","code":"no_space"}}]}"#,
    r#"{"entries":[{"name":"a","name_bytes":"/w==","kind":"link","size":1,"mode":420,"mtime_ns":-5,"target":"b",
        "target_bytes":"/w==","conflict_of":"c","written_ms":3}],"more":true,"maybe_stale":false}"#,
    r#"{"entry":{"name":"a","kind":"file","size":1,"mode":420,"mtime_ns":5,"written_ms":3},"maybe_stale":true,"placement":
        {"blocks":1,"target_copies":3,"copies_min":2,"copies_max":3,"sites_min":1,"holders":[{"id":"ab","name":"zoe","site":"hill",
        "stored_blocks":1,"expected_blocks":1}]}}"#,
    "path=%2Fa%20b%FF&recursive=true&max=3&volume=pool",
];

const CONFIG: &[&str] = &[
    "name = \"zoe\"\nlisten = \"24007\"\nsite = \"hill\"\naddresses = [\"zoe.example.org:24007\", \"[2001:db8::7]:4001\"]\n\
     mdns = false\nport_mapping = false\nuplink = \"5 MiB\"\ncontrol_group = \"users\"\n[log]\nfilter = \"debug\"\nformat = \"json\"\n\
     [[storage]]\npath = \"./blocks\"\nsize = \"10 GiB\"\n[[storage]]\npath = \"/mnt\"\nsize = \"1GiB\"\nif_missing = \"reinitialize\"\n",
    "name = \"a\"\nlisten = \"[::]:1\"\nstorage = []\n",
];

/// What a miniupnpd 2.3.1 answers: mapped by PCP and by NAT-PMP, its address, and that it speaks NAT-PMP only.
const PORTMAP: &str = r#"[
    "0281000000000258000006c50000000000000000000000004e4e4e4e4e4e4e4e4e4e4e4e110000001b5a1b5a00000000000000000000ffff64000001",
    "00810000000006c01b591b5900000258", "00800000000006c064000001", "0081000100000009"]"#;

/// The seeds of a target.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "gate" => hexes(GATE).into_iter().flat_map(|bytes| [padded(&bytes), bytes]).collect(),
        "message" => hexes(MESSAGE),
        "packets" => hexes(PACKET),
        "facts" => [hexes(IDENTITY), hexes(POOL), hexes(MERGE)].concat(),
        "strings" => strings(IDENTITY).into_iter().flat_map(|text| [pasted_value(&text), text.into_bytes()]).collect(),
        "segment" => [hexes(STORE), vec![segment()]].concat(),
        "log" => [hexes(STORE), hexes(POOL), vec![log()]].concat(),
        "volume" => [blocks(BLOCK), blocks(VOLUME)].concat(),
        "control" => CONTROL.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "portmap" => hexes(PORTMAP),
        "config" => CONFIG.iter().map(|text| text.as_bytes().to_vec()).collect(),
        _ => Vec::new(),
    }
}

fn parse(vectors: &str) -> Value {
    serde_json::from_str(vectors).expect("vectors are JSON")
}

/// Every string in a file of vectors.
fn strings(vectors: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![parse(vectors)];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    found
}

/// Every string of hexadecimal digits, as bytes, once.
fn hexes(vectors: &str) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = strings(vectors).iter().filter_map(|text| hex(text)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = (digits.len().is_multiple_of(2) && !digits.is_empty()).then(|| digits.chunks(2))?;
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The text of a gate frame that says this.
fn padded(value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("vectors of the gate are short");
    let mut text = [&len.to_be_bytes()[..], value].concat();
    text.resize(text.len().next_multiple_of(PAD_BYTES), 0);
    text
}

/// What a ticket or capability holds, without checksum.
fn pasted_value(text: &str) -> Vec<u8> {
    let body = text.rsplit(':').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(body).unwrap_or_default();
    bytes[..bytes.len().saturating_sub(4)].to_vec()
}

/// Block vectors as `be32(length) header payload`.
fn blocks(vectors: &str) -> Vec<Vec<u8>> {
    let vectors = parse(vectors);
    let blocks = vectors["blocks"].as_array().expect("a list of blocks");
    let field = |block: &Value, name: &str| hex(block[name].as_str()?);
    let open = |block: &Value| opened(&field(block, "block")?, &field(block, "key")?.try_into().ok()?);
    blocks.iter().flat_map(|block| [open(block), field(block, "block")]).flatten().collect()
}

/// A sealed segment of the published pieces.
fn segment() -> Vec<u8> {
    let store = parse(STORE);
    let names = ["segment_header", "block_head", "block_payload", "renewal_head", "footer"];
    pieces(&store, &names)
}

fn log() -> Vec<u8> {
    pieces(&parse(STORE), &["log_header", "log_frame_own", "log_frame_of_a_later_version"])
}

fn pieces(store: &Value, names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| hex(store[*name].as_str().expect("a published piece")).expect("hexadecimal")).collect()
}
