//! Keys of a simulated pool and its first facts: what `fsdfs init` and `fsdfs join` make in the real one.

use ed25519_dalek::SigningKey;
use fsdfs_proto::identity::{
    AdminList, Capability, CapabilityLevel, Cert, Fact, Invitation, PoolRules, Role, SecretKey, VolEpoch, founder_cert,
    newcomer_cert, pool_of, ticket_cert,
};
use fsdfs_proto::ids::{Key, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{VolumeKeys, WriteKeys};

/// Copies that users ask for.
pub const COPIES: u8 = 3;

/// Keys from a seed.
#[derive(Debug)]
pub struct PoolKeys {
    /// Its id.
    pub id: PoolId,
    /// Of its shared volume.
    pub keys: VolumeKeys,
    root: SigningKey,
    rng: fastrand::Rng,
    /// Key and certificate of the first member.
    founder: Option<(SigningKey, Signed<Cert>)>,
    /// Days after which a member is gone; none: as the rules are where nobody said anything.
    gone_days: Option<u32>,
}

impl PoolKeys {
    /// A pool without members.
    pub fn found(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let root = signing_key(&mut rng);
        let id = pool_of(&root);
        let keys = VolumeKeys::from_write_secret(id.volume(), 1, Key(random(&mut rng)));
        Self { id, keys, root, rng, founder: None, gone_days: None }
    }

    /// The root key states rules by which members are gone after so many days. Before the founder's machine is added.
    pub fn set_gone_days(&mut self, days: u32) {
        self.gone_days = Some(days);
    }

    fn rules(&self) -> Option<PoolRules> {
        Some(PoolRules {
            version: 1,
            number: 1,
            previous: None,
            signer: self.id.into(),
            copies: COPIES,
            away_grace_hours: 1,
            gone_days: self.gone_days?,
            garbage_grace_hours: 72,
            retain_days: 7,
            weight_gib_max: 0,
            member_bytes_max: 0,
        })
    }

    /// Its shared volume.
    pub fn volume(&self) -> VolumeId {
        self.keys.volume
    }

    /// Keys that writers hold.
    pub fn writer(&self) -> &WriteKeys {
        self.keys.writer().expect("the pool is made with its write secret")
    }

    /// A new member's secret key, node id and chain: the founder's by the root key, the others' by a ticket of the founder.
    pub fn enrol(&mut self, role: Role) -> ([u8; 32], NodeId, Vec<Signed<Cert>>) {
        let key = signing_key(&mut self.rng);
        let node = NodeId(key.verifying_key().to_bytes());
        let chain = match &self.founder {
            None => {
                let cert = founder_cert(pool_of(&self.root), &self.root, node);
                self.founder = Some((key.clone(), cert.clone()));
                vec![cert]
            }
            Some((founder, own)) => {
                let ticket_key = signing_key(&mut self.rng);
                let subject = PublicKey(ticket_key.verifying_key().to_bytes());
                let invitation = Invitation { subject, role, redeem_by: 0, uses: 1, weight_gib_max: 0 };
                let ticket = ticket_cert(self.id, founder, own, invitation).expect("a founder may invite");
                let member = newcomer_cert(self.id, &ticket_key, &ticket, &key).expect("one step below a ticket");
                vec![own.clone(), ticket, member]
            }
        };
        (key.to_bytes(), node, chain)
    }

    /// The log of a founder that has just made the pool. Its node is an admin's: it begins new epochs.
    pub fn founding(&self) -> Vec<LogEntry> {
        let epoch = VolEpoch {
            version: 1,
            volume: self.volume(),
            epoch: 1,
            signer: self.id.into(),
            write_pk: self.writer().write_pk(),
            read_check: self.keys.read_check(),
            frozen_heads: Vec::new(),
            prev_sealed: None,
            without: Vec::new(),
            sponsor: None,
        };
        let epoch = Fact::from(Signed::sign(self.id, &self.root, epoch));
        let founder = self.founder.as_ref().map(|(key, _)| NodeId(key.verifying_key().to_bytes()));
        let admins = founder.into_iter().collect();
        let admins = AdminList { version: 1, number: 1, previous: None, signer: self.id.into(), admins };
        let admins = Fact::from(Signed::sign(self.id, &self.root, admins));
        let capability = Capability {
            pool: self.id,
            volume: self.volume(),
            level: CapabilityLevel::Write,
            epoch: 1,
            secret: SecretKey::new(self.writer().secret().0),
            owner_seed: None,
        };
        let capability = CapabilityEntry { volume: self.volume(), text: capability.text().to_string() };
        let rules = self.rules().map(|rules| Fact::from(Signed::sign(self.id, &self.root, rules)));
        let facts = [admins, epoch].into_iter().chain(rules).map(|fact| LogEntry::Fact(fact.raw()));
        facts.chain([LogEntry::Capability(capability)]).collect()
    }
}

fn signing_key(rng: &mut fastrand::Rng) -> SigningKey {
    SigningKey::from_bytes(&random(rng))
}

fn random(rng: &mut fastrand::Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    bytes
}
