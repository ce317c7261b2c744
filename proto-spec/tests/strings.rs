//! Tickets and capability strings as people paste them (spec 01-identity §9).

use ed25519_dalek::SigningKey;
use fsdfs_proto::identity::{
    Capability, CapabilityLevel, GateRefusal, Invitation, Role, RootFacts, SecretKey, StringKind, TextError, Ticket,
    founder_cert, pool_of, ticket_cert,
};
use fsdfs_proto::ids::{NodeId, PoolId, PublicKey, VolumeId};
use proptest::prelude::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn node(seed: u8) -> NodeId {
    NodeId(key(seed).verifying_key().to_bytes())
}

fn ticket() -> Ticket {
    let founder = founder_cert(pool_of(&key(1)), &key(1), node(2));
    let subject = PublicKey(key(3).verifying_key().to_bytes());
    let invitation = Invitation { subject, role: Role::Full, redeem_by: 1_800_000_000_000, uses: 1, weight_gib_max: 0 };
    let cert = ticket_cert(pool_of(&key(1)), &key(2), &founder, invitation).unwrap();
    Ticket {
        pool: pool_of(&key(1)),
        gate_secret: SecretKey::new([4; 32]),
        roots: RootFacts::default(),
        chain: vec![founder, cert],
        seed: SecretKey::new([3; 32]),
        bootstrap: vec![(node(2), vec!["home.example.org:4001".into(), "192.0.2.7:4001".into()])],
        pool_name: "friends".into(),
    }
}

fn capability() -> Capability {
    Capability {
        pool: PoolId([1; 32]),
        volume: VolumeId([2; 32]),
        level: CapabilityLevel::Write,
        epoch: 1,
        secret: SecretKey::new([3; 32]),
        owner_seed: None,
    }
}

#[test]
fn a_pasted_ticket_may_be_wrapped_and_indented() {
    let text = ticket().text();
    let wrapped: String =
        text.as_bytes().chunks(60).map(|line| format!("  {}\r\n", str::from_utf8(line).unwrap())).collect();
    assert_eq!(wrapped.parse::<Ticket>().unwrap(), ticket());
}

#[test]
fn what_is_wrong_with_a_ticket_is_said() {
    let text = ticket().text();
    let check =
        |pasted: &str, expected: TextError| assert_eq!(pasted.parse::<Ticket>().unwrap_err(), expected, "{pasted}");
    check("", TextError::Other(StringKind::Ticket));
    check("hello", TextError::Other(StringKind::Ticket));
    check(&text[8..], TextError::Other(StringKind::Ticket));
    check(&text.replace("ticket-1:", "ticket-7:"), TextError::OtherVersion { kind: StringKind::Ticket, version: 7 });
    check(&capability().text(), TextError::WrongKind { expected: StringKind::Ticket, found: StringKind::Capability });
    check(&text.replacen("AA", "A!", 1), TextError::Mistyped(StringKind::Ticket));
    check(&format!("{}AAAA", &**text), TextError::Mistyped(StringKind::Ticket));
    check(&"A".repeat(100_000), TextError::TooLong(StringKind::Ticket));
}

#[test]
fn a_cut_ticket_is_called_cut_wherever_it_was_cut() {
    let text = ticket().text();
    for len in 1..text.len() {
        assert_eq!(text[..len].parse::<Ticket>().unwrap_err(), TextError::Cut(StringKind::Ticket), "{len} characters");
    }
}

#[test]
fn one_wrong_character_never_passes() {
    let text = ticket().text();
    for at in "fsdfs-ticket-1:".len()..text.len() {
        let other = if text.as_bytes()[at] == b'x' { "y" } else { "x" };
        let wrong = [&text[..at], other, &text[at + 1..]].concat();
        let error = wrong.parse::<Ticket>().unwrap_err();
        assert!(matches!(error, TextError::Mistyped(_) | TextError::Cut(_)), "{at}: {error}");
    }
}

#[test]
fn a_ticket_whose_certificate_is_for_another_key_is_refused() {
    let wrong = Ticket { seed: SecretKey::new([9; 32]), ..ticket() };
    assert_eq!(wrong.text().parse::<Ticket>().unwrap_err(), TextError::Chain(GateRefusal::WrongPeer));
    let foreign = Ticket { pool: PoolId(node(7).0), ..ticket() };
    assert!(matches!(foreign.text().parse::<Ticket>(), Err(TextError::Invalid { kind: StringKind::Ticket, .. })));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?} {:?}", ticket(), capability());
    assert!(!shown.contains("0303") && !shown.contains("0404") && !shown.contains("[3, 3"), "{shown}");
}

#[test]
fn capabilities_come_back_as_they_were() {
    let manage =
        Capability { level: CapabilityLevel::Manage, owner_seed: Some(SecretKey::new([5; 32])), ..capability() };
    for capability in [capability(), manage] {
        assert_eq!(capability.text().parse::<Capability>().unwrap(), capability);
    }
    let wrong = Capability { level: CapabilityLevel::Manage, ..capability() };
    assert!(matches!(wrong.text().parse::<Capability>(), Err(TextError::Invalid { kind: StringKind::Capability, .. })));
}

proptest! {
    #[test]
    fn any_text_is_a_value_or_an_error(text in any::<String>(), tail in "[A-Za-z0-9_-]{0,200}") {
        for text in [text, format!("fsdfs-ticket-1:{tail}"), format!("fsdfs-cap-1:{tail}")] {
            let _ = text.parse::<Ticket>();
            let _ = text.parse::<Capability>();
        }
    }
}
