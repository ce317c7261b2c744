//! Messages whose places are fixed before a program says them.

use fsdfs_proto::ids::{
    BlockId, Digest, IdSum, MeetingId, NodeId, ProbeNonce, SessionToken, Signature, UdpAddress, VolumeId,
};
use fsdfs_proto::message::meeting::{
    Candidate, CandidateKind, Introduced, MeetOutcome, MeetReply, MeetRequest, MeetingCandidates, NextHolder,
    NotRelayed, ProbeRequest, RelaySession, RelayedStore, RelayedStoreReply,
};
use fsdfs_proto::message::repair::{
    AssureReply, AssureRequest, AssuredCopy, AssuredState, CompareState, GrantReply, GrantRequest, HeardMember,
    HeardMembers, Holding, HoldingsReply, HoldingsRequest, IdPrefix, IdPrint, OfferOutcome, OfferReply, OfferRequest,
    PrintsReply, PrintsRequest, PullOutcome, PullReply, PullRequest,
};
use fsdfs_proto::message::{AttachedBlock, Message, Redundancy, StoreOutcome};
use fsdfs_proto::receipt::BlockReceipt;

const BLOCK: BlockId = BlockId([0xb1; 32]);
const OTHER: BlockId = BlockId([0xb2; 32]);
const MAP: Digest = Digest([0xd1; 32]);
const VOLUME: VolumeId = VolumeId([0x11; 32]);
const NODE: NodeId = NodeId([0x22; 32]);

pub fn repair(attached: AttachedBlock) -> Vec<(&'static str, Message)> {
    let mut from = [0; 32];
    from[0] = 0xb0;
    let prefixes = vec![IdPrefix { bits: 4, from: BlockId(from) }];
    let sums = vec![IdPrint { count: 70_000, sum: IdSum([0x5a; 16]) }];
    let item = Holding {
        id: BLOCK,
        len: 70_000,
        redundancy: Redundancy::Replicas(3),
        age_ms: 86_400_000,
        lease_ms: 3_600_000,
        receipt: BlockReceipt { member: NODE, signature: Signature([0x5e; 64]) },
        flags: 1,
    };
    let (map, state) = (MAP, CompareState::Here);
    let copies = vec![AssuredCopy { state: AssuredState::Held, len: 70_000, verified_h: Some(30) }, AssuredCopy::NONE];
    let range = HoldingsRequest { request: 12, map, class: 0, after: None, to: OTHER, have: vec![] };
    let none = HoldingsReply { request: 12, state, items: vec![], lacks: vec![], next: None };
    vec![
        ("prints, of all", Message::Prints(PrintsRequest { request: 11, map, class: 0, prefixes: vec![] })),
        ("prints", Message::Prints(PrintsRequest { request: 11, map, class: 0, prefixes })),
        ("prints reply", Message::PrintsReply(PrintsReply { request: 11, map, state, sums })),
        (
            "prints reply, another map",
            Message::PrintsReply(PrintsReply { request: 11, map, state: CompareState::OtherMap, sums: vec![] }),
        ),
        (
            "holdings",
            Message::Holdings(HoldingsRequest { after: None, have: vec![0x1122_3344_5566_7788, 7], ..range.clone() }),
        ),
        ("holdings, from there on", Message::Holdings(HoldingsRequest { after: Some(BLOCK), have: vec![], ..range })),
        ("holdings reply", Message::HoldingsReply(HoldingsReply { items: vec![item], lacks: vec![1], ..none.clone() })),
        (
            "holdings reply, a page",
            Message::HoldingsReply(HoldingsReply { items: vec![item], next: Some(OTHER), ..none }),
        ),
        ("offer", Message::Offer(OfferRequest { request: 13, map, items: vec![item] })),
        ("offer reply", Message::OfferReply(OfferReply { request: 13, outcomes: vec![OfferOutcome::WillPull] })),
        ("pull", Message::Pull(PullRequest { request: 14, id: BLOCK })),
        ("pull reply, found", Message::PullReply(pulled(PullOutcome::Found, 0, Some(attached)))),
        ("pull reply, later", Message::PullReply(pulled(PullOutcome::Later, 1500, None))),
        (
            "heard",
            Message::Heard(HeardMembers {
                unpublished: false,
                members: vec![HeardMember { node: NODE, age_ms: Some(9_000), connected: true }],
            }),
        ),
        (
            "grant",
            Message::Grant(GrantRequest {
                request: 15,
                volume: VOLUME,
                name: "photos".into(),
                capability: "fsdfs-cap-1:example".into(),
            }),
        ),
        ("grant reply", Message::GrantReply(GrantReply { request: 15, durable: true })),
        ("assure", Message::Assure(AssureRequest { request: 16, map, ids: vec![BLOCK, OTHER] })),
        ("assure reply", Message::AssureReply(AssureReply { request: 16, copies })),
    ]
}

fn pulled(outcome: PullOutcome, wait_ms: u64, block: Option<AttachedBlock>) -> PullReply {
    PullReply { request: 14, outcome, wait_ms, block }
}

pub fn meeting(block: AttachedBlock) -> Vec<(&'static str, Message)> {
    let mut address = [0; 18];
    address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7, 0x5d, 0xc7]);
    let address = UdpAddress(address);
    let candidates = vec![Candidate { kind: CandidateKind::Seen, address }];
    let (token, meeting) = (SessionToken([0x70; 8]), MeetingId([0x3e; 16]));
    let session = RelaySession { token, meeting, candidates: candidates.clone() };
    let said = MeetingCandidates { meeting, candidates: candidates.clone() };
    let relayed = RelayedStore {
        request: 17,
        map: MAP,
        redundancy: Redundancy::Replicas(3),
        age_ms: 0,
        receipt: BlockReceipt { member: NODE, signature: Signature([0x5e; 64]) },
        origin: NODE,
        holders: vec![NextHolder { node: NodeId([0x33; 32]), request: 18 }],
        block,
    };
    let kept = RelayedStoreReply {
        request: 18,
        id: BLOCK,
        redundancy: Redundancy::Replicas(3),
        age_ms: 0,
        outcome: StoreOutcome::Stored,
    };
    let met = |outcome, session| MeetReply { request: 19, outcome, session, rtt_ms: 40 };
    vec![
        ("relayed store", Message::RelayedStore(relayed)),
        ("not relayed", Message::NotRelayed(NotRelayed { requests: vec![18] })),
        ("relayed store reply", Message::RelayedStoreReply(kept)),
        ("seen at", Message::SeenAt(address)),
        ("meet", Message::Meet(MeetRequest { request: 19, node: NODE, candidates })),
        ("meet reply", Message::MeetReply(met(MeetOutcome::Met, Some(session.clone())))),
        ("meet reply, not connected", Message::MeetReply(met(MeetOutcome::NotConnected, None))),
        ("introduced", Message::Introduced(Introduced { node: NODE, session })),
        ("introduced reply", Message::IntroducedReply(said.clone())),
        ("session ended", Message::SessionEnded(token)),
        ("knock again", Message::KnockAgain(said)),
        ("probe", Message::Probe(ProbeRequest { request: 20, nonce: ProbeNonce([9; 16]), addresses: vec![address] })),
        ("probe reply", Message::ProbeReply(20)),
    ]
}
