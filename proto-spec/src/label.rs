//! Every label and hash tag of the formats, in one place.
//!
//! Editing any of these orphans stored data and breaks every signature made before. Add, never edit.

/// Hash tag of a block id (spec 02-block).
pub const BLOCK: &str = "fsdfs/2/block";
/// Hash tag of a disk id (spec 01-identity).
pub const DISK: &str = "fsdfs/2/disk";
/// Hash tag of a writer's node (spec 05-volume).
pub const WRITER: &str = "fsdfs/2/writer";
/// Prefix of everything that is signed: `"fsdfs/2/" label 00 pool_id payload` (spec 01-identity).
pub const SIGN_PREFIX: &str = "fsdfs/2/";

/// Labels of signed structures, behind [`SIGN_PREFIX`].
pub mod sign {
    /// A certificate.
    pub const CERT: &str = "cert";
    /// An admission of a newcomer by its first member.
    pub const ADMISSION: &str = "admission";
    /// A node's card.
    pub const CARD: &str = "card";
    /// A node's heartbeat.
    pub const HEARTBEAT: &str = "heartbeat";
    /// "This member is gone."
    pub const GONE: &str = "gone";
    /// The pool's list of admins.
    pub const ADMINS: &str = "admins";
    /// The pool's rules.
    pub const RULES: &str = "rules";
    /// A revocation.
    pub const REVOKE: &str = "revoke";
    /// A removal that keeps the node as a guest.
    pub const REMOVE: &str = "remove";
    /// The pool's feature level.
    pub const FEATURES: &str = "features";
    /// The current key of a volume.
    pub const VOL_EPOCH: &str = "vol-epoch";
    /// A head of a volume.
    pub const HEAD: &str = "head";
    /// "This member stands for itself."
    pub const VOUCH: &str = "vouch";
    /// When a node is away.
    pub const ABSENCE: &str = "absence";
    /// A pool's root keys.
    pub const FOUNDING: &str = "founding";
    /// The root key that counts from now on.
    pub const SUCCESSION: &str = "succession";
    /// Whose block it is.
    pub const RECEIPT: &str = "receipt";
    /// A member's word that a volume is kept at its expense.
    pub const SPONSOR: &str = "sponsor";
    /// A member's agreement to a certificate of its key.
    pub const CONSENT: &str = "consent";
    /// The author's signature inside a head.
    pub const AUTHOR: &str = "author";
    /// That a node's writer used a number.
    pub const MARK: &str = "mark";
}

/// HKDF info labels and hash tags of keys (spec 02-block, 05-volume).
pub mod key {
    /// Prefix of `D(x, l)`.
    pub const DERIVE_PREFIX: &str = "fsdfs/2/";
    /// Read capability of an epoch.
    pub const VOL_READ: &str = "vol-read";
    /// Seed of the write key of an epoch.
    pub const VOL_WRITE_SIGN: &str = "vol-write-sign";
    /// Key of the content-derived block keys.
    pub const VOL_SEAL: &str = "vol-seal";
    /// Key of the commit salts.
    pub const VOL_COMMIT_SALT: &str = "vol-commit-salt";
    /// Key that opens commits.
    pub const VOL_COMMIT_OPEN: &str = "vol-commit-open";
    /// Public check value of a read capability.
    pub const VOL_READ_CHECK: &str = "vol-read-check";
    /// Key that seals the read capability of the epoch before.
    pub const VOL_PREVIOUS: &str = "vol-previous";
    /// Key material of an epoch that a node begins.
    pub const VOL_EPOCH_SECRET: &str = "vol-epoch-secret";
    /// A root key, from the spare key.
    pub const ROOT_KEY: &str = "root-key";
    /// Info of a commit's own key.
    pub const COMMIT_KEY: &str = "fsdfs/2/commit-key";
    /// Prefix of an audit answer.
    pub const AUDIT: &str = "fsdfs/2/audit";
    /// Key of the sums by which two nodes compare what they hold.
    pub const PAIR: &str = "fsdfs/2/pair";
    /// Prefix of the secret from which audits' nonces are made.
    pub const AUDIT_NONCE: &str = "fsdfs/2/audit-nonce";
    /// Info and associated data of a gate frame.
    pub const GATE: &str = "fsdfs/2/gate";
    /// Info and associated data of a gate verdict.
    pub const GATE_VERDICT: &str = "fsdfs/2/gate-verdict";
    /// Info from which the pool's Kademlia protocol name is made.
    pub const KADEMLIA: &str = "fsdfs/2/kademlia";
    /// Info of the key of packets that are not QUIC's.
    pub const KNOCK: &str = "fsdfs/2/knock";
    /// Prefix of the info from which the id of a pair's standing meeting is made.
    pub const STANDING_MEETING: &str = "fsdfs/2/standing-meeting";
}

/// Tags of placement seeds (spec 03-placement).
pub mod place {
    /// Seed of a disk.
    pub const DISK: &str = "fsdfs/place/disk/1";
    /// Seed of a site.
    pub const SITE: &str = "fsdfs/place/site/1";
    /// Seed of an invitation branch.
    pub const BRANCH: &str = "fsdfs/place/branch/1";
}

/// Tags of digests over sets of facts (spec 04-wire).
pub mod digest {
    /// Digest over all facts.
    pub const GOSSIP: &str = "fsdfs/2/gossip";
    /// Digest over what placement reads.
    pub const MAP: &str = "fsdfs/2/map";
    /// Checksum of tickets and capability strings.
    pub const CHECKSUM: &str = "fsdfs/2/checksum";
    /// Hash by which a large directory is split (spec 05-volume).
    pub const DIRECTORY_SPLIT: &str = "fsdfs/2/directory-split";
}

/// Prefix of a ticket string.
pub const TICKET: &str = "fsdfs-ticket-1:";
/// Prefix of a capability string.
pub const CAPABILITY: &str = "fsdfs-cap-1:";
