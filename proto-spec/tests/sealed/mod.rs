//! What the tests of chapters 02 and 05 share: fixed keys, published vectors, and sealing by hand, so that blocks can be
//! made that the library refuses to make.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, Key, VolumeId, hex};
use fsdfs_proto::volume::{BlockKind, BlockRef, KIND_BYTES, VolumeKeys, header, kind_of};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

pub const VOLUME: VolumeId = VolumeId([0x11; 32]);
pub const EPOCH: u32 = 3;
pub const SECRET: Key = Key([0x55; 32]);

/// A file of vectors: the keys, and blocks sealed with them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorFile {
    pub keys: KeyVector,
    pub blocks: Vec<BlockVector>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audits: Vec<AuditVector>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReceiptVector>,
}

/// The proof over the first block of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditVector {
    pub nonce: String,
    pub challenger: String,
    pub prover: String,
    pub proof: String,
}

/// For the first block of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiptVector {
    pub pool: String,
    pub member_seed: String,
    pub member: String,
    pub signature: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyVector {
    pub volume: String,
    pub epoch: u32,
    pub write_secret: String,
    pub read: String,
    pub read_check: String,
    pub seal: String,
    pub commit_salt: String,
    pub commit_open: String,
    pub write_pk: String,
}

/// One block. `header` and `value` (of the payload) are MessagePack shown as JSON, with bytes in hexadecimal. With `error`,
/// a reader must refuse the block, though it opens.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockVector {
    pub name: String,
    pub block: String,
    pub id: String,
    pub key: String,
    pub header: JsonValue,
    pub payload: String,
    pub value: JsonValue,
    pub error: Option<String>,
}

pub fn keys() -> VolumeKeys {
    VolumeKeys::from_write_secret(VOLUME, EPOCH, SECRET)
}

/// `D(x, l)` by hand.
pub fn derive(from: Key, label: &str) -> Key {
    expand(from, &[b"fsdfs/2/", label.as_bytes(), &[0], &VOLUME.0, &EPOCH.to_be_bytes()].concat())
}

pub fn expand(from: Key, info: &[u8]) -> Key {
    let mut key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&[]), &from.0).expand(info, &mut key).unwrap();
    Key(key)
}

pub fn published_keys() -> KeyVector {
    let read = derive(SECRET, "vol-read");
    let sign = ed25519_dalek::SigningKey::from_bytes(&derive(SECRET, "vol-write-sign").0);
    KeyVector {
        volume: VOLUME.to_string(),
        epoch: EPOCH,
        write_secret: SECRET.to_string(),
        read: read.to_string(),
        read_check: derive(read, "vol-read-check").to_string(),
        seal: derive(SECRET, "vol-seal").to_string(),
        commit_salt: derive(SECRET, "vol-commit-salt").to_string(),
        commit_open: derive(read, "vol-commit-open").to_string(),
        write_pk: hex(&sign.verifying_key().to_bytes()),
    }
}

/// Any header and payload as a block of kind 1 to 3.
pub fn seal(header: &impl Serialize, payload: &[u8]) -> (Block, BlockRef) {
    let aad = aad(header);
    let key = keyed(derive(SECRET, "vol-seal"), &aad, payload);
    let block = encrypt(key, aad, payload);
    let at = BlockRef { id: block.id(), key };
    (block, at)
}

pub fn aad(header: &impl Serialize) -> Vec<u8> {
    let header = rmp_serde::to_vec(header).unwrap();
    [&u32::try_from(header.len()).unwrap().to_be_bytes()[..], &header].concat()
}

pub fn keyed(key: Key, aad: &[u8], payload: &[u8]) -> Key {
    let message = [&(aad.len() as u64).to_be_bytes()[..], aad, payload].concat();
    Key(*blake3::keyed_hash(&key.0, &message).as_bytes())
}

pub fn encrypt(key: Key, aad: Vec<u8>, payload: &[u8]) -> Block {
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).unwrap());
    let mut text = payload.to_vec();
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::from(&aad), &mut text).unwrap();
    Block::new([aad, text].concat().into())
}

pub fn decrypt(key: Key, block: &[u8]) -> Vec<u8> {
    let len = 4 + u32::from_be_bytes(*block.first_chunk().unwrap()) as usize;
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).unwrap());
    let mut text = block[len..].to_vec();
    cipher.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::from(&block[..len]), &mut text).unwrap().to_vec()
}

impl BlockVector {
    pub fn new(name: &str, block: &Block, key: Key, error: Option<String>) -> Self {
        let bytes = block.bytes();
        let len = 4 + u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
        let payload = decrypt(key, bytes);
        Self {
            name: name.into(),
            block: hex(bytes),
            id: block.id().to_string(),
            key: key.to_string(),
            header: JsonValue::of(&bytes[4..len]),
            value: if payload_is_data(bytes) { JsonValue(serde_json::Value::Null) } else { JsonValue::of(&payload) },
            payload: hex(&payload),
            error,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        bytes(&self.block)
    }

    pub fn parts(&self) -> (Block, BlockRef) {
        let block = Block::new(self.bytes().into());
        let at = BlockRef { id: block.id(), key: self.key.parse().unwrap() };
        assert_eq!(self.id.parse::<BlockId>().unwrap(), at.id);
        if let Ok(header) = header(block.bytes()) {
            assert_eq!(kind_of(&block.bytes()[..KIND_BYTES]), Some(header.kind), "a few bytes say it, too");
        }
        (block, at)
    }
}

fn payload_is_data(block: &[u8]) -> bool {
    header(block).is_ok_and(|header| header.kind == BlockKind::Data)
}

pub fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub fn check(path: &str, fresh: &VectorFile) {
    let published: VectorFile = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&published.keys, &published.audits), (&fresh.keys, &fresh.audits));
    assert_eq!(published.blocks.len(), fresh.blocks.len());
    for (published, fresh) in published.blocks.iter().zip(&fresh.blocks) {
        assert_eq!(published, fresh);
    }
}

pub fn write(path: &str, file: &VectorFile) {
    std::fs::write(path, serde_json::to_string_pretty(file).unwrap() + "\n").unwrap();
}

/// The salt of a commit, whose header may be refused: the last field of the last field.
pub fn salt(block: &[u8]) -> [u8; 32] {
    let len = 4 + u32::from_be_bytes(*block.first_chunk().unwrap()) as usize;
    *block[..len].last_chunk().unwrap()
}

/// MessagePack as JSON. What is not MessagePack is null.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct JsonValue(serde_json::Value);

impl JsonValue {
    fn of(bytes: &[u8]) -> Self {
        rmp_serde::from_slice(bytes).unwrap_or(Self(serde_json::Value::Null))
    }
}

impl<'de> Deserialize<'de> for JsonValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return serde_json::Value::deserialize(from).map(Self);
        }
        from.deserialize_any(AnyVisitor).map(Self)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = serde_json::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessagePack without maps and floats")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(serde_json::Value::Null)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(format!("text {value}").into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Self::Value, E> {
        Ok(hex(value).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(JsonValue(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }
}
