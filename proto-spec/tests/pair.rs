//! Keys and prints of pairs against what another implementation published (spec 04-wire, "Repair and grants").

use ed25519_dalek::SigningKey;
use fsdfs_proto::ids::{BlockId, IdSum, NodeId, PoolId, unhex};
use fsdfs_proto::message::repair::IdPrint;
use fsdfs_proto::message::{Redundancy, StripeShard};
use fsdfs_proto::pair::PairKey;
use serde::Deserialize;

#[derive(Deserialize)]
struct PairVector {
    pool: PoolId,
    seed: String,
    other: NodeId,
    prints: Vec<PrintVector>,
    count: u64,
    sum: String,
}

#[derive(Deserialize)]
struct PrintVector {
    id: BlockId,
    redundancy: RedundancyVector,
    print: String,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum RedundancyVector {
    Replicas { copies: u8 },
    Stripe { stripe: BlockId, i: u8, k: u8, m: u8 },
}

impl RedundancyVector {
    fn redundancy(&self) -> Redundancy {
        match *self {
            Self::Replicas { copies } => Redundancy::Replicas(copies),
            Self::Stripe { stripe, i, k, m } => Redundancy::Stripe(StripeShard { stripe, index: i, k, m }),
        }
    }
}

#[test]
fn prints_and_their_sums_are_what_is_published() {
    let vectors: Vec<PairVector> = serde_json::from_str(include_str!("../vectors/pair.json")).unwrap();
    for vector in vectors {
        let key = SigningKey::from_bytes(&unhex(&vector.seed).unwrap());
        let pair = PairKey::new(vector.pool, &key, vector.other).unwrap();
        let mut all = IdPrint::NONE;
        for PrintVector { id, redundancy, print } in &vector.prints {
            let redundancy = redundancy.redundancy();
            let made = pair.print(*id, redundancy);
            assert_eq!(made.short(), u64::from_str_radix(&print[..16], 16).unwrap());
            let mut alone = IdPrint::NONE;
            alone.add(made);
            assert_eq!(alone, IdPrint { count: 1, sum: IdSum(unhex(print).unwrap()) });
            all.add(made);
        }
        assert_eq!(all, IdPrint { count: vector.count, sum: IdSum(unhex(&vector.sum).unwrap()) });
    }
}
