//! Published cases of the chain check and of what facts amount to (spec 01-identity): facts in, verdict or members out.
#![allow(clippy::disallowed_methods, reason = "the vectors are written by hand-run test")]

use ed25519_dalek::SigningKey;
use fsdfs_proto::codec;
use fsdfs_proto::identity::{
    Admission, Cert, CertKind, Fact, RawFact, Revocation, Role, Succession, consented, founder_cert, founding,
};
use fsdfs_proto::ids::{PublicKey, hex};
use fsdfs_proto::signed::Signed;
use serde_json::{Value, json};

use super::super::{FactSet, GateRefusal, InsertOutcome, MemberStatus};
use super::pool::{
    TestPool, admins, admins_by, beat, card, epoch, features, gone, head, key, node, pool_id, public, remove, root,
    root_number, rules, spare, succession, ticket_key, vouch,
};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto-spec/vectors/identity-pool.json");
const PUBLISHED: &str = include_str!("../../../../../proto-spec/vectors/identity-pool.json");

/// A chain at the gate of a node that knows `facts`.
struct GateVector<'a> {
    facts: &'a [Fact],
    wall_ms: u64,
    peer: u8,
    chain: Vec<Signed<Cert>>,
    admissions: Vec<Signed<Admission>>,
}

fn raw(fact: &Fact) -> String {
    hex(&codec::encode(&fact.raw()))
}

fn all_raw<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<String> {
    facts.into_iter().map(raw).collect()
}

fn set(facts: &[Fact]) -> FactSet {
    let mut set = FactSet::new(pool_id());
    for fact in facts {
        set.insert(fact.clone());
    }
    set
}

fn gate(name: &str, case: GateVector) -> Value {
    let judged = set(case.facts).judge(case.wall_ms, node(case.peer), &case.chain, &case.admissions);
    let verdict = match &judged {
        Ok(judged) if judged.redeem.is_some() => "in, to be admitted".to_owned(),
        Ok(_) => "in".to_owned(),
        Err(refusal) => format!("{refusal:?}"),
    };
    json!({
        "name": name,
        "facts": all_raw(case.facts),
        "wall_ms": case.wall_ms,
        "peer": node(case.peer),
        "chain": all_raw(&case.chain.into_iter().map(Fact::from).collect::<Vec<_>>()),
        "admissions": all_raw(&case.admissions.into_iter().map(Fact::from).collect::<Vec<_>>()),
        "verdict": verdict,
    })
}

/// What a set of facts amounts to.
fn state(name: &str, facts: &[Fact]) -> Value {
    let set = set(facts);
    let members: Vec<Value> = set
        .members()
        .iter()
        .map(|(node, member)| {
            json!({
                "node": node,
                "role": format!("{:?}", member.role),
                "invited_by": member.invited_by,
                "branch": member.branch.map(|branch| branch.0),
                "status": format!("{:?}", member.status),
                "card": member.card.as_ref().map(Signed::id),
            })
        })
        .collect();
    let servers: Vec<Value> = set
        .servers()
        .iter()
        .map(|server| {
            let disks: Vec<_> = server.disks.iter().map(|disk| (disk.id, disk.weight)).collect();
            json!({ "id": server.id, "site": server.site, "disks": disks })
        })
        .collect();
    json!({
        "name": name,
        "facts": all_raw(facts),
        "members": members,
        "servers": servers,
        "rules": set.rules().number,
        "features": set.features(),
        "epoch": set.epoch(pool_id().volume()).map(Signed::id),
        "heads": set.heads(pool_id().volume()).iter().map(Signed::id).collect::<Vec<_>>(),
        "root": {
            "number": set.root_facts().current(),
            "key": set.root_key(),
            "copied": set.is_root_key_contradicted(),
            "signed": set.signed_by_roots().into_iter().map(Fact::id).collect::<Vec<_>>(),
        },
        "kept": set.all().filter(|fact| !matches!(fact, Fact::Heartbeat(_))).count(),
        "gossip_digest": set.gossip_digest(),
        "map_digest": set.map_digest(),
    })
}

/// What becomes of one more fact.
fn one(name: &str, facts: &[Fact], fact: &Fact) -> Value {
    let becomes = match set(facts).insert(fact.clone()) {
        InsertOutcome::Invalid(_) => "invalid".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    json!({ "name": name, "facts": all_raw(facts), "fact": raw(fact), "becomes": becomes })
}

fn cert(issuer: &SigningKey, change: impl FnOnce(&mut Cert)) -> (SigningKey, Cert) {
    let mut cert = Cert {
        version: 1,
        kind: CertKind::Member,
        issuer: public(issuer),
        subject: node(1).into(),
        role: Role::Full,
        may_invite: true,
        depth: 5,
        grant_until: 0,
        redeem_by: 0,
        uses: 0,
        parent: None,
        consent: None,
        weight_gib_max: 0,
    };
    change(&mut cert);
    (issuer.clone(), cert)
}

/// Signs a certificate below another one, with its subject's consent.
fn below(parent: Option<&Signed<Cert>>, (issuer, cert): &(SigningKey, Cert)) -> Signed<Cert> {
    let cert = Cert { parent: parent.map(Signed::id), ..cert.clone() };
    let subject = (0..100).map(key).find(|key| public(key) == cert.subject);
    let cert = match subject {
        Some(subject) if parent.is_some() && cert.kind == CertKind::Member => consented(cert, &subject),
        _ => cert,
    };
    Signed::sign(pool_id(), issuer, cert)
}

fn chain(links: &[&(SigningKey, Cert)]) -> Vec<Signed<Cert>> {
    let mut chain = Vec::<Signed<Cert>>::new();
    for link in links {
        chain.push(below(chain.last(), link));
    }
    chain
}

/// Chains that are wrong in themselves.
fn links() -> Vec<Value> {
    let pool = TestPool::of(2);
    let top = cert(&root(), |cert| cert.subject = node(0).into());
    let narrow = |change: fn(&mut Cert)| {
        cert(&root(), |cert| {
            cert.subject = node(0).into();
            change(cert);
        })
    };
    let second = |change: fn(&mut Cert)| {
        cert(&key(0), |cert| {
            cert.depth = 4;
            change(cert);
        })
    };
    let shown = |name: &str, chain: Vec<Signed<Cert>>| {
        gate(name, GateVector { facts: &pool.said, wall_ms: 1000, peer: 1, chain, admissions: Vec::new() })
    };
    let case = |name: &str, links: &[&(SigningKey, Cert)]| shown(name, chain(links));
    let fine = second(|_| {});
    let mut long = vec![cert(&root(), |cert| (cert.subject, cert.depth) = (node(20).into(), 40))];
    long.extend(
        (20..36u8).map(|number| {
            cert(&key(number), |cert| (cert.subject, cert.depth) = (node(number + 1).into(), 59 - number))
        }),
    );
    let again = cert(&key(1), |cert| (cert.subject, cert.depth) = (node(0).into(), 3));
    let third = cert(&key(0), |cert| cert.depth = 2);
    let mut weak = [0; 32];
    weak[0] = 1;
    let weak = cert(&root(), |cert| cert.subject = PublicKey(weak));
    let foreign = cert(&key(9), |cert| cert.subject = node(0).into());
    let other = below(None, &cert(&root(), |cert| (cert.subject, cert.depth) = (node(0).into(), 9)));
    vec![
        case("a member certified by a member", &[&top, &fine]),
        case("no certificate", &[]),
        case("17 certificates", &long.iter().collect::<Vec<_>>()),
        case("begins below another root key", &[&foreign, &fine]),
        case("a link is missing", &[&top, &cert(&key(7), |_| {})]),
        shown("names another certificate of its issuer", vec![below(None, &top), below(Some(&other), &fine)]),
        case("a subject twice", &[&top, &fine, &again, &third]),
        case("a weak subject", &[&weak]),
        case(
            "by somebody who may not invite",
            &[&narrow(|cert| cert.may_invite = false), &second(|cert| cert.may_invite = false)],
        ),
        case("as deep as its issuer", &[&top, &second(|cert| cert.depth = 5)]),
        case("a wider role", &[&narrow(|cert| cert.role = Role::Reader), &fine]),
        case("granted for longer", &[&narrow(|cert| cert.grant_until = 2000), &second(|cert| cert.grant_until = 2001)]),
        case("granted for ever by somebody granted for a time", &[&narrow(|cert| cert.grant_until = 2000), &fine]),
        case("granted until now", &[&top, &second(|cert| cert.grant_until = 1000)]),
        case("granted until just before now", &[&top, &second(|cert| cert.grant_until = 999)]),
        case("another node's chain", &[&top]),
        case("ends in a ticket", &[&top, &second(|cert| (cert.kind, cert.uses) = (CertKind::Ticket, 1))]),
    ]
}

/// Chains with tickets, and revocations.
fn gates() -> Vec<Value> {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(0, 1, 5000);
    let before = pool.said.clone();
    let chain = pool.chain_by(0, ticket, 2);
    let case =
        |name: &str, facts: &[Fact], wall_ms: u64, chain: &[Signed<Cert>], admissions: Vec<Signed<Admission>>| {
            gate(name, GateVector { facts, wall_ms, peer: 2, chain: chain.to_vec(), admissions })
        };
    let mut cases = vec![
        case("a ticket in time", &before, 5000, &chain, Vec::new()),
        case("an expired ticket without admission", &before, 5001, &chain, Vec::new()),
    ];
    pool.join(0, ticket, 2, 4000);
    let admissions = pool.facts.admissions_of(node(2));
    cases.push(case("an expired ticket with an admission that is known", &pool.said, 9000, &chain, Vec::new()));
    cases.push(case("an expired ticket with an admission that is shown", &before, 9000, &chain, admissions));
    let by_stranger = Admission {
        version: 1,
        ticket: pool.tickets[ticket].id(),
        member: chain[2].id(),
        witness: node(8),
        hlc: fsdfs_proto::time::Hlc { ms: 1, count: 0 },
    };
    let by_stranger = Signed::sign(pool_id(), &key(8), by_stranger);
    cases.push(case("an expired ticket with a stranger's admission", &before, 9000, &chain, vec![by_stranger]));
    let other = pool.chain_by(0, ticket, 3);
    let surplus = GateVector { facts: &pool.said, wall_ms: 1000, peer: 3, chain: other, admissions: Vec::new() };
    cases.push(gate("a ticket that was used as often as it may be", surplus));
    let kept = pool.facts.signed_by(node(0).into());
    let revoked = |subject: PublicKey, keep: Vec<_>| {
        let revoke = Revocation { version: 1, signer: public(&root()), subject, reason: "test".into(), keep };
        let revoke: Fact = Signed::sign(pool_id(), &root(), revoke).into();
        [&pool.said[..], &[revoke]].concat()
    };
    let ticket_pk = public(&ticket_key(ticket));
    cases.push(case("revoked", &revoked(node(2).into(), Vec::new()), 1000, &chain, Vec::new()));
    cases.push(case("its inviter was revoked", &revoked(node(0).into(), Vec::new()), 1000, &chain, Vec::new()));
    cases.push(case(
        "its inviter was revoked but what it signed is kept",
        &revoked(node(0).into(), kept),
        1000,
        &chain,
        Vec::new(),
    ));
    cases.push(case("its ticket was revoked", &revoked(ticket_pk, Vec::new()), 1000, &chain, Vec::new()));
    cases.push(case(
        "its ticket was revoked but its certificate is kept",
        &revoked(ticket_pk, vec![chain[2].id()]),
        1000,
        &chain,
        Vec::new(),
    ));
    cases.extend(second_hand());
    cases.extend(earlier_roots());
    cases
}

/// Below a root key that another one took the place of.
fn earlier_roots() -> Vec<Value> {
    let mut pool = TestPool::founded(3);
    pool.say(succession(2, pool.facts.signed_by_roots().into_iter().map(Fact::id).collect::<Vec<_>>()));
    let kept = pool.facts.chain_of(node(2)).expect("a member");
    let (stolen, early) = (root_number(1), root_number(3));
    let case = |name: &str, peer: u8, chain: Vec<Signed<Cert>>| {
        gate(name, GateVector { facts: &pool.said, wall_ms: 1000, peer, chain, admissions: Vec::new() })
    };
    vec![
        case("below an earlier root key, kept", 2, kept),
        case("by an earlier root key, not kept", 6, vec![founder_cert(pool_id(), &stolen, node(6))]),
        case("by a root key that is to come", 6, vec![founder_cert(pool_id(), &early, node(6))]),
    ]
}

/// Invited by somebody of whom nobody knows that it was let in itself.
fn second_hand() -> Vec<Value> {
    let mut pool = TestPool::of(1);
    let first = pool.ticket(0, 1, 0);
    let here = pool.said.clone();
    pool.join(0, first, 1, 10);
    let second = pool.ticket(1, 1, 0);
    let chain = pool.chain_by(1, second, 2);
    let shown = pool.facts.admissions_of(node(1));
    let case = |name: &str, admissions| {
        gate(name, GateVector { facts: &here, wall_ms: 0, peer: 2, chain: chain.clone(), admissions })
    };
    vec![
        case("invited by somebody whose own admission is not known", Vec::new()),
        case("invited by somebody whose own admission is shown", shown),
    ]
}

fn states() -> Vec<Value> {
    let mut pool = TestPool::of(4);
    let mut states = vec![state("a founder and three friends", &pool.said)];
    let group = pool.ticket(1, 1, 0);
    pool.join(0, group, 4, 60);
    pool.join(2, group, 5, 50);
    let late = pool.ticket(4, 1, 0);
    pool.join(0, late, 6, 70);
    states.push(state("two users of a ticket for one; the later one's friend is a guest as well", &pool.said));
    let rival = card(0, 2, &[(1, 60)], 0);
    for card in [card(0, 1, &[(9, 10)], 0), card(0, 2, &[(1, 50)], 0), rival, card(1, 1, &[(1, 70), (2, 30)], 0)] {
        pool.say(card);
    }
    pool.say(card(2, 1, &[(3, 40)], 1));
    pool.say(card(4, 1, &[(4, 40)], 0));
    states.push(state("cards: a rival of equal number, one nonce on two, a full node, a guest", &pool.said));
    let first = rules(0, 1, None, 2);
    pool.say(rules(0, 2, Some(first.id()), 5));
    pool.say(first);
    pool.say(features(3, 2));
    pool.say(epoch(&key(0), 1, Vec::new()));
    for seen in [&[(1, 1)][..], &[(2, 1)], &[(3, 1), (1, 1)]] {
        pool.say(head(1, seen));
    }
    states.push(state("rules, features, an epoch, heads", &pool.said));
    pool.say(beat(3, 1, 5));
    for issuer in [0, 1, 2, 4] {
        pool.say(gone(issuer, 3, (1, 5)));
    }
    states.push(state("a majority of the branches says that one is gone", &pool.said));
    let inner = pool.ticket(1, 1, 0);
    pool.join(1, inner, 7, 80);
    pool.say(vouch(0, 7));
    states.push(state("an admin vouches for somebody whom a member invited", &pool.said));
    pool.say(remove(2, 2));
    let list = pool.said[1].id();
    pool.say(admins(2, Some(list), &[1, 0]));
    pool.revoke(0, node(1).into(), Vec::new());
    pool.revoke(1, node(0).into(), pool.facts.signed_by(node(0).into()));
    states.push(state("one leaves, and an admin revokes a lower one, keeping what that one signed", &pool.said));
    states.extend(successions());
    states
}

/// Root keys that take each other's place.
fn successions() -> Vec<Value> {
    let mut pool = TestPool::founded(3);
    let honest: Vec<_> = pool.facts.signed_by_roots().into_iter().map(Fact::id).collect();
    let mut states = vec![state("a pool with spare root keys", &pool.said)];
    let list = pool.facts.admin_list().expect("the first").id();
    pool.say(admins_by(&root_number(1), 2, Some(list), &[2]));
    states.push(state("root key 1 names an admin: perhaps a thief", &pool.said));
    pool.say(succession(2, honest.clone()));
    pool.say(founder_cert(pool_id(), &root_number(1), node(7)));
    pool.say(admins_by(&root_number(2), 2, Some(list), &[0, 1]));
    states.push(state("root key 2 takes its place and keeps the rest", &pool.said));
    pool.say(succession(2, []));
    states.push(state("root key 2 was copied: two successions", &pool.said));
    let keep = honest.into_iter().chain(pool.said.iter().filter(|fact| is_by(fact, 2)).map(Fact::id));
    pool.say(succession(3, keep));
    states.push(state("root key 3 ends it", &pool.said));
    states
}

/// A list of admins by this root key.
fn is_by(fact: &Fact, number: u8) -> bool {
    matches!(fact, Fact::AdminList(_)) && fact.signer() == public(&root_number(number))
}

fn facts() -> Vec<Value> {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(0, 1, 0);
    let signer = public(&ticket_key(ticket));
    let revoke = |signer: PublicKey| Revocation {
        version: 1,
        signer,
        subject: node(1).into(),
        reason: String::new(),
        keep: Vec::new(),
    };
    let by_ticket = Signed::sign(pool_id(), &ticket_key(ticket), revoke(signer)).into();
    let by_stranger = Signed::sign(pool_id(), &key(9), revoke(node(9).into())).into();
    let own = Signed::sign(pool_id(), &key(0), {
        let Fact::AdminList(list) = &pool.said[1] else { unreachable!("the pool's second fact") };
        fsdfs_proto::identity::AdminList { signer: node(0).into(), ..list.value().clone() }
    });
    let founded = TestPool::founded(2).said;
    let early = admins_by(&root_number(2), 1, None, &[1]);
    let other_succession = Succession { version: 1, number: 2, signer: public(&key(3)), keep: Vec::new() };
    let other_succession = Signed::sign(pool_id(), &key(3), other_succession).into();
    let old = card(1, 1, &[], 0).into();
    pool.say(card(1, 2, &[], 0));
    let said = pool.said.clone();
    vec![
        one("a succession by a key that the founding does not name", &founded, &other_succession),
        one("a founding by another key", &founded, &founding(&key(3), &spare()).into()),
        one("admins named by a root key that is to come", &founded, &early.into()),
        one("a revocation signed by a ticket's key", &said, &by_ticket),
        one("a revocation signed by a stranger", &said, &by_stranger),
        one("admins not named by the root key", &said, &own.into()),
        one("an older card", &said, &old),
        one("a fact that is there", &said, &said[0]),
        one("a head before its epoch", &said, &head(1, &[(1, 1)]).into()),
        one("an epoch of the shared volume by a member who is no admin", &said, &epoch(&key(1), 1, Vec::new()).into()),
        one("an epoch of the shared volume by an admin", &said, &epoch(&key(0), 1, Vec::new()).into()),
    ]
}

fn made() -> Value {
    let gates: Vec<Value> = links().into_iter().chain(gates()).collect();
    json!({ "pool": pool_id(), "gates": gates, "states": states(), "facts": facts() })
}

#[test]
fn verdicts_and_states_match_the_published_vectors() {
    let published: Value = serde_json::from_str(PUBLISHED).expect("JSON");
    let made = made();
    for part in ["gates", "states", "facts"] {
        let (old, new) = (published[part].as_array().expect("a list"), made[part].as_array().expect("a list"));
        old.iter().zip(new).for_each(|(old, new)| same(old, new));
        assert_eq!(old.len(), new.len());
    }
}

/// Names the fields that differ: a whole case would fill screens.
#[track_caller]
fn same(published: &Value, made: &Value) {
    let fields = published.as_object().expect("an object");
    let wrong: Vec<_> = fields.iter().filter(|(name, value)| made[*name] != **value).map(|(name, _)| name).collect();
    assert!(wrong.is_empty() && published == made, "{}: {wrong:?}", published["name"]);
}

#[test]
fn published_facts_open() {
    let published: Value = serde_json::from_str(PUBLISHED).expect("JSON");
    for raw in
        published["states"].as_array().into_iter().flatten().flat_map(|state| state["facts"].as_array()).flatten()
    {
        let text = raw.as_str().expect("a string");
        let bytes: Vec<u8> =
            (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect();
        codec::decode::<RawFact>(&bytes).and_then(|raw| raw.open(pool_id())).expect("published");
    }
}

/// The refusals that need no vector are those of bounds too large to publish.
#[test]
fn every_refusal_is_published() {
    let made = made();
    let verdicts: Vec<&str> =
        made["gates"].as_array().expect("a list").iter().filter_map(|case| case["verdict"].as_str()).collect();
    for refusal in [
        GateRefusal::ChainLength,
        GateRefusal::OtherPool,
        GateRefusal::Broken,
        GateRefusal::BadSubject,
        GateRefusal::MayNotInvite,
        GateRefusal::TooDeep,
        GateRefusal::Wider,
        GateRefusal::NotAdmitted,
        GateRefusal::TicketExpired,
        GateRefusal::TicketUsedUp,
        GateRefusal::GrantEnded,
        GateRefusal::Revoked,
        GateRefusal::WrongPeer,
    ] {
        assert!(verdicts.contains(&format!("{refusal:?}").as_str()), "{refusal:?}");
    }
    let standings = [
        MemberStatus::Member,
        MemberStatus::Guest,
        MemberStatus::Departed,
        MemberStatus::Removed,
        MemberStatus::Revoked,
    ];
    let shown = made["states"].to_string();
    standings.iter().for_each(|standing| assert!(shown.contains(&format!("\"{standing:?}\"")), "{standing:?}"));
}

/// Run by hand when a rule is added. Published cases never change.
#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::write(PATH, serde_json::to_string_pretty(&made()).expect("JSON") + "\n").expect("written");
}
