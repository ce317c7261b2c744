//! What a member that lies can do to honest ones: real daemons, and a program that passed the gate with a ticket.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fsdfs_proto::ids::{BlockId, Digest, NodeId, Signature};
use fsdfs_proto::message::{
    AttachedBlock, FactBatch, FactsAck, FetchOutcome, FetchReply, FetchRequest, HaveReply, HaveRequest, HeadsReply,
    Message, Possession, Redundancy, StoreOutcome, StoreReply, StoreRequest,
};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_tests::adversary::{Liar, Link, frame_of};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram, wait_for};
use fsdfs_tests::tree;

/// No daemon may need more, whatever a member sends.
const RESIDENT_KIB_MAX: u64 = 200 << 10;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

/// Kilobytes that a process has, or had at most, in memory.
fn resident_kib(node: &ClusterNode, key: &str) -> Result<u64> {
    let pid = node.pid().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("a line of that name")?;
    Ok(line.split_whitespace().next().context("a number")?.parse()?)
}

fn store(request: u64, node: NodeId, id: BlockId, len: u32) -> Message {
    let (map, redundancy) = (Digest([0; 32]), Redundancy::Replicas(3));
    Message::Store(StoreRequest {
        request,
        map,
        redundancy,
        age_ms: 0,
        lease_ms: 0,
        receipt: BlockReceipt { member: node, signature: Signature([0; 64]) },
        more: false,
        block: AttachedBlock { id, len },
    })
}

/// A rudeness: its name, and what it does on a new connection. Returns whether the node is to end the connection.
type Rudeness = (&'static str, for<'a> fn(&'a mut Link, NodeId) -> futures::future::BoxFuture<'a, bool>);

const RUDE: &[Rudeness] = &[
    ("a length beyond all bounds", |link, _| Box::pin(async { link.write(0, &[0xff; 64]).await })),
    ("a message that is none", |link, _| Box::pin(async { link.write(0, &[0, 0, 0, 2, 0xc1, 0xc1]).await })),
    ("half a message, then silence", |link, _| Box::pin(async { !link.write(0, &[0, 0, 1, 0, 0x92]).await })),
    ("half a block, then silence", |link, node| {
        Box::pin(async move { !link.write(1, &frame_of(&store(1, node, BlockId([1; 32]), 1 << 20))).await })
    }),
    ("a block longer than any", |link, node| {
        Box::pin(async move { link.write(1, &frame_of(&store(1, node, BlockId([1; 32]), u32::MAX))).await })
    }),
    ("answers that nobody asked for", |link, _| Box::pin(unasked(link))),
    ("wrong bytes", |link, node| Box::pin(wrong_bytes(link, node))),
    ("streams without end", |link, _| Box::pin(many_streams(link))),
    ("questions without end", |link, _| Box::pin(many_questions(link))),
    ("pings without end", |link, _| Box::pin(many_pings(link))),
];

async fn unasked(link: &mut Link) -> bool {
    let request = 12_345;
    let bytes = b"nobody wanted this";
    let block = Some(AttachedBlock { id: BlockId::of(bytes), len: 18 });
    link.say(&Message::StoreReply(StoreReply { request, outcome: StoreOutcome::Stored })).await;
    link.say(&Message::HaveReply(HaveReply { request, answers: vec![Possession::Yes; 512] })).await;
    link.say(&Message::Pong(7)).await;
    let found = Message::FetchReply(FetchReply { request, outcome: FetchOutcome::Found, block });
    !link.write(1, &[frame_of(&found), bytes.to_vec()].concat()).await
}

/// The disk they come from may be failing: told, but the connection stays.
async fn wrong_bytes(link: &mut Link, node: NodeId) -> bool {
    link.write(1, &[frame_of(&store(77, node, BlockId([1; 32]), 5)), b"wrong".to_vec()].concat()).await;
    loop {
        match link.inbox.recv().await {
            Some(Message::StoreReply(StoreReply { request: 77, outcome })) => {
                assert_eq!(outcome, StoreOutcome::WrongBytes);
                return false;
            }
            Some(_) => {}
            None => panic!("dropped instead of told"),
        }
    }
}

async fn many_streams(link: &mut Link) -> bool {
    let mut streams = Vec::new();
    while streams.len() < 2_000 {
        match link.open_stream().await {
            Some(stream) => streams.push(stream),
            None => break,
        }
    }
    assert!(streams.len() < 2_000, "a peer may open any number of streams");
    false
}

async fn many_questions(link: &mut Link) -> bool {
    let ids: Vec<BlockId> = (0..512u32).map(|at| BlockId::of(&at.to_be_bytes())).collect();
    for request in 0..20_000 {
        let have = HaveRequest {
            request,
            renew: true,
            map: Digest([0; 32]),
            redundancy: Redundancy::Replicas(3),
            ids: ids.clone(),
        };
        if !link.say(&Message::Have(have)).await {
            break;
        }
    }
    false
}

async fn many_pings(link: &mut Link) -> bool {
    let pings = frame_of(&Message::Ping(1)).repeat(1_000);
    for _ in 0..1_000 {
        if !link.write(0, &pings).await {
            break;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rude_member_harms_only_itself() -> Result<()> {
    let cluster = TestCluster::of(program(), 2)?;
    let node = &cluster.nodes[0];
    let source = cluster.scratch("source");
    tree::random_file(&source, 3 << 20, 1)?;
    let mut liar = Liar::new(&node.ticket()?);
    for (name, rude) in RUDE {
        let mut link = liar.connect().await;
        let ends = rude(&mut link, liar.node).await;
        ensure!(!ends || link.is_dropped().await, "{name}: the connection stays");
        serves(&cluster, &source, &format!("/{name}")).with_context(|| format!("after {name}"))?;
        let (now, most) = (resident_kib(node, "VmRSS:")?, resident_kib(node, "VmHWM:")?);
        println!("{name}: {} MiB resident, {} MiB at most", now >> 10, most >> 10);
        ensure!(most < RESIDENT_KIB_MAX, "{name}: {} MiB", most >> 10);
    }
    Ok(())
}

/// A put through one node and a get through the other.
fn serves(cluster: &TestCluster, source: &Path, path: &str) -> Result<()> {
    let back = cluster.scratch("back");
    cluster.nodes[0].expect(&[0, 1], ["put".as_ref(), source.as_os_str(), path.as_ref()])?;
    cluster.nodes[1].get(path, &back, PATIENCE)?;
    ensure!(tree::same_bytes(source, &back)?, "other bytes came back");
    Ok(())
}

/// Asks for the same large block again and again and takes nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_asks_for_everything_fills_no_memory() -> Result<()> {
    let cluster = TestCluster::of(program(), 2)?;
    let node = &cluster.nodes[0];
    let source = cluster.scratch("source");
    tree::random_file(&source, 3 << 20, 1)?;
    serves(&cluster, &source, "/file")?;
    let mut liar = Liar::new(&node.ticket()?);
    let mut link = liar.connect().await;
    let bytes = liar.pool_block(1 << 20);
    let (id, len) = (BlockId::of(&bytes), u32::try_from(bytes.len())?);
    link.write(1, &[frame_of(&store(1, liar.node, id, len)), bytes].concat()).await;
    while !matches!(link.inbox.recv().await, Some(Message::StoreReply(_)) | None) {}
    link.take_no_blocks();
    for request in 0..2_000 {
        ensure!(link.say(&Message::Fetch(FetchRequest { request, id })).await, "the node is to bear this");
    }
    link.say(&Message::Ping(9)).await;
    let all_taken_in = async { while !matches!(link.inbox.recv().await, Some(Message::Pong(9)) | None) {} };
    tokio::time::timeout(PATIENCE, all_taken_in).await.context("an answer to the ping behind all questions")?;
    serves(&cluster, &source, "/file again")?;
    let most = resident_kib(node, "VmHWM:")?;
    println!("2,000 fetches of a block of 1 MiB: {} MiB at most", most >> 10);
    ensure!(most < RESIDENT_KIB_MAX, "{} MiB", most >> 10);
    Ok(())
}

/// Says that it stores everything, stores nothing, and sends other bytes when it is asked for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_holder_is_never_believed() -> Result<()> {
    let mut cluster = TestCluster::of(program(), 2)?;
    let ticket = cluster.nodes[0].ticket()?;
    let mut reader = cluster.new_node()?;
    reader.storage = "none".into();
    reader.join(&ticket)?;
    cluster.nodes.push(reader);
    cluster.wait_connected()?;
    let before = cluster.nodes[0].status()?["members"].clone();
    // Made by the reader, so that the liar's only connection is with the node that reads.
    let mut liar = Liar::new(&cluster.nodes[2].ticket()?);
    let mut link = liar.connect().await;
    let card = liar.boast();
    ensure!(link.say(&card).await, "the connection is open");
    tokio::spawn(lie(link));
    let reader = &cluster.nodes[2];
    wait_for(PATIENCE, "the liar to be a member", || Ok(cluster.nodes[0].status()?["members"] != before))?;
    let (source, back) = (cluster.scratch("source"), cluster.scratch("back"));
    wait_for(PATIENCE, "the liar to be found out", || {
        tree::random_file(&source, 4 << 20, fastrand::u64(..))?;
        reader.expect(&[0, 1], ["put".as_ref(), source.as_os_str(), "/file".as_ref()])?;
        std::fs::remove_file(&back).ok();
        // On a busy machine no honest node may answer in time.
        if reader.ok(["get".as_ref(), "/file".as_ref(), back.as_os_str()]).is_err() {
            return Ok(false);
        }
        ensure!(tree::same_bytes(&source, &back)?, "the liar's bytes were believed");
        // By its bytes, or by its audits: then it is not asked for any.
        let status = reader.status()?;
        Ok(reader.log().contains("liar sent bytes that are not block") || status.to_string().contains("fails_audits"))
    })
}

async fn lie(mut link: Link) {
    while let Some(message) = link.inbox.recv().await {
        match message {
            Message::Ping(number) => drop(link.say(&Message::Pong(number)).await),
            // Who leaves this out is asked for nothing else.
            Message::Heads(heads) => {
                let reply = HeadsReply { request: heads.request, finished: true, facts: Vec::new() };
                link.say(&Message::HeadsReply(reply)).await;
            }
            Message::Facts(FactBatch { request: request @ 1.., .. }) => {
                link.say(&Message::FactsAck(FactsAck { request, durable: true })).await;
            }
            Message::Store(StoreRequest { request, .. }) => {
                link.say(&Message::StoreReply(StoreReply { request, outcome: StoreOutcome::Stored })).await;
            }
            Message::Have(HaveRequest { request, ids, .. }) => {
                link.say(&Message::HaveReply(HaveReply { request, answers: vec![Possession::Yes; ids.len()] })).await;
            }
            Message::Fetch(FetchRequest { request, id }) => {
                let block = Some(AttachedBlock { id, len: 5 });
                let found = Message::FetchReply(FetchReply { request, outcome: FetchOutcome::Found, block });
                link.write(1, &[frame_of(&found), b"wrong".to_vec()].concat()).await;
            }
            _ => {}
        }
    }
}
