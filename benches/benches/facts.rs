//! What follows from one more fact in a pool of 2,000 members with 20,000 certificates, and what judging a peer costs.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fsdfs_core::facts::{FactSet, TicketRedemption};
use fsdfs_proto::identity::{
    AdminList, Cert, Fact, FeatureLevel, Heartbeat, Invitation, Role, SecretKey, founder_cert, newcomer_cert, pool_of,
    ticket_cert,
};
use fsdfs_proto::ids::{NodeId, PublicKey};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

const MEMBERS: u64 = 2_000;
/// Tickets that nobody has used, beside those of the members.
const TICKETS: u64 = 16_000;

/// The key of the root (0), the founder (1), members, and from here on tickets.
const FIRST_TICKET: u64 = 1 << 32;

fn key(number: u64) -> SecretKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::new(seed)
}

fn public(number: u64) -> PublicKey {
    PublicKey(key(number).signing_key().verifying_key().to_bytes())
}

struct BenchPool {
    facts: FactSet,
    founder: Signed<Cert>,
}

impl BenchPool {
    fn new() -> Self {
        let root = key(0).signing_key();
        let pool = pool_of(&root);
        let founder = founder_cert(pool_of(&root), &root, public(1).into());
        let list =
            AdminList { version: 1, number: 1, previous: None, signer: pool.into(), admins: vec![public(1).into()] };
        let mut facts = FactSet::new(pool);
        facts.insert(founder.clone().into());
        facts.insert(Signed::sign(pool, &root, list).into());
        let mut made = Self { facts, founder };
        for number in 0..MEMBERS {
            let newcomer = made.newcomer(number);
            newcomer
                .into_iter()
                .for_each(|fact| assert!(made.facts.insert(fact) != fsdfs_core::facts::InsertOutcome::Crowded));
        }
        for number in MEMBERS..MEMBERS + TICKETS {
            let ticket = made.ticket(number);
            assert!(made.facts.insert(ticket.into()).is_kept());
        }
        assert!(made.facts.members().len() > MEMBERS as usize);
        made
    }

    fn ticket(&self, number: u64) -> Signed<Cert> {
        let subject = public(FIRST_TICKET + number);
        let invitation = Invitation { subject, role: Role::Full, redeem_by: 0, uses: 1, weight_gib_max: 0 };
        ticket_cert(self.facts.pool(), &key(1).signing_key(), &self.founder, invitation).expect("may invite")
    }

    /// A ticket, the certificate of who came by it, and its admission.
    fn newcomer(&self, number: u64) -> Vec<Fact> {
        let (pool, ticket) = (self.facts.pool(), self.ticket(number));
        let ticket_key = key(FIRST_TICKET + number).signing_key();
        let member = newcomer_cert(pool, &ticket_key, &ticket, &key(2 + number).signing_key()).expect("has room");
        let redeem = TicketRedemption { ticket: ticket.id(), member: member.id() };
        let now = Hlc { ms: 1_000 + number, count: 0 };
        let admission = self.facts.admission(NodeId::from(public(1)), now, redeem);
        let admission = Signed::sign(pool, &key(1).signing_key(), admission);
        vec![ticket.into(), member.into(), admission.into()]
    }
}

fn facts(criterion: &mut Criterion) {
    let pool = BenchPool::new();
    let level = FeatureLevel { version: 1, signer: public(1), level: 2 };
    let level: Fact = Signed::sign(pool.facts.pool(), &key(1).signing_key(), level).into();
    let beat = Heartbeat { version: 1, node: public(1).into(), boot: 1, counter: 1 };
    let beat: Fact = Signed::sign(pool.facts.pool(), &key(1).signing_key(), beat).into();
    let newcomer = pool.newcomer(MEMBERS + TICKETS);
    let mut group = criterion.benchmark_group("facts");
    for (name, facts) in [("a statement", vec![level]), ("a heartbeat", vec![beat]), ("a newcomer", newcomer)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || pool.facts.clone(),
                |mut set| {
                    facts.iter().cloned().for_each(|fact| {
                        set.insert(fact);
                    });
                    black_box(set.members().len());
                    set
                },
                BatchSize::LargeInput,
            );
        });
    }
    let node = NodeId::from(public(2));
    let (chain, admissions) = (pool.facts.chain_of(node).expect("a member"), pool.facts.admissions_of(node));
    group.bench_function("a hello", |bencher| {
        bencher.iter(|| pool.facts.judge(1, node, black_box(&chain), &admissions).expect("let in"));
    });
}

criterion_group!(benches, facts);
criterion_main!(benches);
