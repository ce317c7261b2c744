//! Who this node is in its pool: keys, certificates, and what it was told at the start.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fsdfs_proto::codec::{self, CanonicalCodec};
use fsdfs_proto::identity::{
    AdminList, Capability, CapabilityLevel, Cert, Fact, GateRefusal, RawFact, SecretKey, Ticket, VolEpoch,
    founder_cert, founding, pool_of, root_key,
};
use fsdfs_proto::ids::{NodeId, PoolId, PublicKey, hex, unhex};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;
use serde::{Deserialize, Serialize};

use super::error::HomeError;
use crate::files::{self, FileError, SECRET};
use crate::random;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The pool.
    pub pool: PoolId,
    /// Its name for people.
    pub pool_name: String,
    /// Opens the gate's frames.
    pub gate_secret: SecretKey,
    /// Seed of the node's key.
    pub key: SecretKey,
    /// Certificates from the root key's to the node's own.
    pub chain: Vec<Signed<Cert>>,
    /// Members to turn to while no cards are known.
    pub bootstrap: Vec<(NodeId, Vec<String>)>,
    /// What it knows before its log has anything: the pool's root keys; the founder, besides, the admins, the first epoch of the
    /// shared volume and its key.
    pub entries: Vec<LogEntry>,
}

/// What the owner of a new pool has to keep, apart from each other.
#[derive(Debug)]
pub(super) struct OwnerKeys {
    /// In use.
    pub root: SecretKey,
    /// For the day on which the root key is lost or stolen.
    pub spare: SecretKey,
}

/// Those of them that lie in the folder, until they are moved away.
#[derive(Debug, Default)]
pub(super) struct KeysHere {
    pub root: Option<SecretKey>,
    pub spare: Option<SecretKey>,
}

/// Names in the folder.
pub(super) const ROOT_KEY_NAME: &str = "pool-root.key";
pub(super) const SPARE_KEY_NAME: &str = "pool-spare.key";

/// `pool.toml`. Bytes are in base64, ids and secrets in hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolFile {
    version: u8,
    pool: PoolId,
    name: String,
    gate_secret: SecretKey,
    chain: Vec<String>,
    #[serde(default)]
    entries: Vec<String>,
    #[serde(default)]
    bootstrap: Vec<BootstrapNode>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BootstrapNode {
    node: NodeId,
    addrs: Vec<String>,
}

impl Identity {
    /// A new pool with this node as founder and first admin, and the keys that its owner has to keep.
    pub(super) fn found(pool_name: &str) -> (Self, OwnerKeys) {
        let (spare, key) = (SecretKey::new(random::bytes()), SecretKey::new(random::bytes()));
        let keys = OwnerKeys { root: root_key(&spare, 1), spare };
        let root = keys.root.signing_key();
        // It names the root keys, and nobody can have it say anything else: it is wiped at the end of this function.
        let own = SecretKey::new(random::bytes());
        let founding = founding(&own.signing_key(), &keys.spare);
        let pool = pool_of(&own.signing_key());
        let node = NodeId(key.signing_key().verifying_key().to_bytes());
        let signer = PublicKey(root.verifying_key().to_bytes());
        let admins = AdminList { version: 1, number: 1, previous: None, signer, admins: vec![node] };
        let secret = SecretKey::new(random::bytes());
        let volume_keys = VolumeKeys::from_write_secret(pool.volume(), 1, *secret.key());
        let epoch = VolEpoch {
            version: 1,
            volume: pool.volume(),
            epoch: 1,
            signer,
            write_pk: volume_keys.writer().expect("made from a write secret").write_pk(),
            read_check: volume_keys.read_check(),
            frozen_heads: Vec::new(),
            prev_sealed: None,
            without: Vec::new(),
            sponsor: None,
        };
        let capability = Capability {
            pool,
            volume: pool.volume(),
            level: CapabilityLevel::Write,
            epoch: 1,
            secret,
            owner_seed: None,
        };
        let fact = |fact: Fact| LogEntry::Fact(fact.raw());
        let identity = Self {
            pool,
            pool_name: pool_name.to_owned(),
            gate_secret: SecretKey::new(random::bytes()),
            chain: vec![founder_cert(pool, &root, node)],
            key,
            bootstrap: Vec::new(),
            entries: vec![
                fact(founding.into()),
                fact(Signed::sign(pool, &root, admins).into()),
                fact(Signed::sign(pool, &root, epoch).into()),
                LogEntry::Capability(CapabilityEntry {
                    volume: pool.volume(),
                    text: capability.text().as_str().to_owned(),
                }),
            ],
        };
        (identity, keys)
    }

    /// A newcomer with a ticket.
    pub(super) fn join(ticket: &Ticket) -> Result<Self, GateRefusal> {
        let key = SecretKey::new(random::bytes());
        let founding = ticket.roots.founding.iter().cloned().map(Fact::from);
        let succession = ticket.roots.succession.iter().cloned().map(Fact::from);
        Ok(Self {
            pool: ticket.pool,
            pool_name: ticket.pool_name.clone(),
            gate_secret: ticket.gate_secret.clone(),
            chain: ticket.redeem(&key.signing_key())?,
            key,
            bootstrap: ticket.bootstrap.clone(),
            // Others' chains begin with a root key, which it has to know.
            entries: founding.chain(succession).map(|fact| LogEntry::Fact(fact.raw())).collect(),
        })
    }

    /// The node's id.
    pub fn node(&self) -> NodeId {
        NodeId(self.key.signing_key().verifying_key().to_bytes())
    }

    /// Writes it into a folder of its own.
    pub(super) fn write(&self, folder: &Path, keys: &KeysHere) -> Result<(), FileError> {
        let pack = |bytes: Vec<u8>| STANDARD.encode(bytes);
        let certs = self.chain.iter().map(|cert| Fact::from(cert.clone()).raw());
        let file = PoolFile {
            version: 1,
            pool: self.pool,
            name: self.pool_name.clone(),
            gate_secret: self.gate_secret.clone(),
            chain: certs.map(|cert| pack(codec::encode(&cert))).collect(),
            entries: self.entries.iter().map(|entry| pack(codec::encode(entry))).collect(),
            bootstrap: self
                .bootstrap
                .iter()
                .map(|(node, addrs)| BootstrapNode { node: *node, addrs: addrs.clone() })
                .collect(),
        };
        let text = toml::to_string(&file).expect("texts, numbers and tables of them");
        let head = "# Who this node is. Secret: this file and node.key are all that is needed to act as this node.\n\n";
        files::publish(&folder.join("pool.toml"), format!("{head}{text}").as_bytes(), SECRET)?;
        write_key(&folder.join("node.key"), &self.key)?;
        let write =
            |name, key: &Option<SecretKey>| key.as_ref().map_or(Ok(()), |key| write_key(&folder.join(name), key));
        write(ROOT_KEY_NAME, &keys.root)?;
        write(SPARE_KEY_NAME, &keys.spare)
    }

    /// Reads it; every signature is checked, and that the parts belong together.
    pub(super) fn load(folder: &Path) -> Result<Self, HomeError> {
        let path = folder.join("pool.toml");
        let damaged = |problem: String| HomeError::Damaged { file: path.clone(), problem };
        let file: PoolFile =
            toml::from_str(&files::read_text(&path)?).map_err(|error| damaged(error.message().to_owned()))?;
        if file.version != 1 {
            return Err(damaged(format!("its version is {}; update fsdfs", file.version)));
        }
        let certs = file.chain.iter().map(|text| match unpack::<RawFact>(text)?.open(file.pool) {
            Ok(Fact::Cert(cert)) => Ok(cert),
            Ok(_) => Err("it is not a certificate".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        let identity = Self {
            pool: file.pool,
            pool_name: file.name,
            gate_secret: file.gate_secret,
            key: read_key(&folder.join("node.key"))?,
            chain: certs.collect::<Result<_, String>>().map_err(damaged)?,
            bootstrap: file.bootstrap.into_iter().map(|member| (member.node, member.addrs)).collect(),
            entries: file.entries.iter().map(|text| unpack(text)).collect::<Result<_, String>>().map_err(damaged)?,
        };
        let last = identity.chain.last().map(|cert| cert.value().subject);
        if last == Some(identity.node().into()) {
            Ok(identity)
        } else {
            Err(damaged("its certificate is for another key than node.key".into()))
        }
    }
}

fn unpack<T: CanonicalCodec>(text: &str) -> Result<T, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    codec::decode(&bytes).map_err(|error| error.to_string())
}

/// Which pool a folder is about, if that can still be told.
pub(super) fn pool_in(folder: &Path) -> Option<PoolId> {
    let text = files::read_text(&folder.join("pool.toml")).ok()?;
    toml::from_str::<PoolFile>(&text).ok().map(|file| file.pool)
}

fn write_key(path: &Path, key: &SecretKey) -> Result<(), FileError> {
    files::publish(path, format!("{}\n", hex(key.as_bytes())).as_bytes(), SECRET)
}

pub(super) fn read_key(path: &Path) -> Result<SecretKey, HomeError> {
    let text = files::read_text(path)?;
    let bytes = unhex(text.trim()).ok_or_else(|| HomeError::Damaged {
        file: path.to_owned(),
        problem: "a key is 64 hexadecimal digits".into(),
    })?;
    Ok(SecretKey::new(bytes))
}
