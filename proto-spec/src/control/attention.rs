//! What the owner of a node should do something about: stable codes for programs, a sentence for people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DiskCondition;

/// One thing that needs attention: `{"code": ..., fields of the code, "text": ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttentionItem {
    /// Which, with its fields.
    #[serde(flatten)]
    pub reason: AttentionReason,
    /// The same as a sentence.
    pub text: String,
}

/// What needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum AttentionReason {
    /// Another running node has this node's identity.
    DuplicateIdentity,
    /// This node was revoked; the other members refuse it.
    NodeRevoked,
    /// This node was removed from the pool: it only hands over its blocks.
    NodeRemoved,
    /// This node hands over what it holds, as its owner wants.
    NodeDraining,
    /// The members that were reached do not let this node in.
    NodeRefused {
        /// Why, in words.
        why: String,
    },
    /// The ticket had been used up when this node came: it gets no key.
    GuestOnly,
    /// This node waits for a key of the shared volume.
    AwaitsKey {
        /// For so many seconds.
        seconds: u64,
        /// Names of members of which some have to know this node first, and which cannot be reached.
        away: Vec<String>,
    },
    /// The pool's root key signed two statements that contradict each other: somebody else has it, too.
    RootKeyCopied {
        /// Its number.
        number: u8,
    },
    /// This machine's clock is wrong.
    ClockOff {
        /// Minutes off the other members' median; positive = ahead.
        minutes: i64,
    },
    /// The home folder cannot be written: nothing is acknowledged.
    HomeNotWritable,
    /// Changes that only this node has; published when a second server stores their folders.
    UnpublishedChanges,
    /// A change that some member published cannot be used; everything else is shown and written on without it.
    QuarantinedChange {
        /// Name of the member.
        name: String,
        /// The block that describes the change.
        commit: String,
        /// Why, in words.
        why: String,
        /// It is looked at again when more members are up.
        may_pass: bool,
    },
    /// A disk of this node takes no new blocks: full, read-only or failing.
    DiskReadOnly {
        /// Its folder.
        #[serde(default)]
        path: String,
        /// Why.
        #[serde(default)]
        condition: DiskCondition,
    },
    /// A disk of this node is nearly full.
    DiskNearlyFull {
        /// Its folder.
        path: String,
        /// How full.
        percent: u8,
    },
    /// Too few members have room for all copies of new files.
    PoolFull {
        /// Members that have room.
        members_with_room: usize,
        /// Copies required, as far as there are members for them.
        copies: u8,
    },
    /// The members have little room left together.
    PoolNearlyFull {
        /// How full.
        percent: u8,
    },
    /// Members that fell silent together: nothing is copied for their sake at first.
    Outage {
        /// Their names.
        names: Vec<String>,
    },
    /// Members that were not seen for a minute, and for which nothing speaks.
    MembersAway {
        /// Their names.
        names: Vec<String>,
    },
    /// No packet of any other member comes: all of them are off, or UDP is blocked where this node is.
    NoMemberHeard {
        /// How many others there are.
        members: usize,
        /// For so many seconds.
        seconds: u64,
    },
    /// There are fewer servers than copies.
    TooFewServers {
        /// Copies that are possible.
        possible_copies: u8,
        /// Copies required.
        copies: u8,
    },
    /// A member says that it keeps blocks and failed audits: its copies do not count.
    FailsAudits {
        /// Its name.
        name: String,
    },
    /// Of what members offer only a part is used: their invitations allow no more.
    OfferCapped {
        /// Their names.
        names: Vec<String>,
    },
    /// Members invited by a member that is no admin are bound in what they hold together.
    BranchBound {
        /// Their names.
        names: Vec<String>,
        /// What that costs of the pool's capacity, in percent.
        percent: u8,
    },
    /// A member sent damaged blocks.
    DamagedBlocks {
        /// Its name.
        name: String,
        /// How many since this node started.
        blocks: u64,
    },
    /// A storage folder of the configuration is not in use: the node runs without the disk.
    DiskMissing {
        /// The folder.
        path: String,
        /// Nothing is there; otherwise what is there cannot be used.
        empty: bool,
        /// Why, in words.
        why: String,
        /// Seconds until others take its place, unless it comes back; 0: they have; none: that is not known yet.
        counted_on_s: Option<u64>,
        /// No disk is left: this node stores nothing.
        last: bool,
    },
    /// A member publishes no address: others cannot connect to it.
    NoAddress {
        /// Its name.
        name: String,
    },
    /// A member listens on its own machine only.
    LoopbackAddressOnly {
        /// Its name.
        name: String,
        /// The address.
        address: String,
    },
    /// A member has addresses of its local network only.
    PrivateAddressOnly {
        /// Its name.
        name: String,
        /// The address.
        address: String,
    },
    /// Members of which none can connect to the others directly.
    MembersUnreachable {
        /// Their names.
        names: Vec<String>,
    },
    /// No one in a ticket can be reached from outside, as far as this node knows.
    NoOneReachable,
    /// A ticket without any address in it.
    NoAddressInTicket,
    /// A code of a later version. No node of this version sends it.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_its_fields_and_a_sentence_lie_side_by_side() {
        let item = AttentionItem { reason: AttentionReason::ClockOff { minutes: -3 }, text: "set it right".into() };
        let json = r#"{"code":"clock_off","minutes":-3,"text":"set it right"}"#;
        assert_eq!(serde_json::to_string(&item).expect("plain data"), json);
        assert_eq!(serde_json::from_str::<AttentionItem>(json).expect("the same"), item);
    }

    #[test]
    fn a_code_of_a_later_version_is_read_with_its_sentence() {
        let json = r#"{"code":"moon_too_full","phase":4,"text":"wait"}"#;
        let item: AttentionItem = serde_json::from_str(json).expect("readers ignore what they do not know");
        assert_eq!(item, AttentionItem { reason: AttentionReason::Other, text: "wait".into() });
    }
}
