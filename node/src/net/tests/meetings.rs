//! Members that may not reach each other, on real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::AttachedBlock;

use super::pool::{PATIENCE, TestNode, TestPool};
use super::{block, store};
use crate::net::NetEvent;
use crate::net::socket::walls;

/// How often it is looked what became of something.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Nothing gets from one to the other, as if their routers let nothing through; or everything.
fn part(a: &TestNode, b: &TestNode, stands: bool) {
    walls::set(a.net.port(), b.addr(), stands);
    walls::set(b.net.port(), a.addr(), stands);
}

/// Until a peer is reached through that member, or directly.
async fn until_via(node: &mut TestNode, peer: NodeId, wanted: Option<NodeId>) {
    let found = async {
        while node.net.paths().via(peer) != wanted {
            // What happens meanwhile has to be taken.
            let _ = tokio::time::timeout(LOOK_EVERY, node.next()).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the way did not change in time");
}

#[tokio::test]
async fn two_that_cannot_reach_each_other_talk_through_a_third_and_directly_as_soon_as_they_can() {
    let pool = TestPool::new(&[1, 2, 3]).with_cards(&[1, 2, 3]);
    let (mut a, mut b, mut c) = (pool.start(1).await, pool.start(2).await, pool.start(3).await);
    part(&a, &b, true);
    a.connect(&mut c).await;
    b.connect(&mut c).await;
    a.find(b.node, &[b.addr().to_string()]).await;
    until_via(&mut a, b.node, Some(c.node)).await;
    assert_eq!(a.net.paths().via(b.node), Some(c.node));
    a.reaches(&mut b).await;
    b.reaches(&mut a).await;
    for i in 0..8 {
        let sent = block(i);
        a.net.send(b.node, store(a.node, AttachedBlock::from(&sent)), Some(sent), TrafficClass::User);
    }
    assert_eq!(b.blocks(8).await, (0..8).map(|i| block(i).id()).collect());
    assert_eq!(b.net.paths().via(a.node), Some(c.node));
    part(&a, &b, false);
    // A new address is a reason to try again at once.
    a.net.addresses.lock().listening.insert(SocketAddr::from(([192, 0, 2, 1], 24_007)));
    until_via(&mut a, b.node, None).await;
    a.reaches(&mut b).await;
    b.reaches(&mut a).await;
    assert_eq!((a.net.paths().via(b.node), b.net.paths().via(a.node)), (None, None));
}

#[tokio::test]
async fn another_member_takes_the_place_of_a_relay_that_stops() {
    let pool = TestPool::new(&[1, 2, 3, 4]).with_cards(&[1, 2, 3, 4]);
    let (mut a, mut b, mut c) = (pool.start(1).await, pool.start(2).await, pool.start(3).await);
    part(&a, &b, true);
    a.connect(&mut c).await;
    b.connect(&mut c).await;
    a.find(b.node, &[]).await;
    until_via(&mut a, b.node, Some(c.node)).await;
    let mut d = pool.start(4).await;
    a.connect(&mut d).await;
    b.connect(&mut d).await;
    c.net.stop().await;
    until_via(&mut a, b.node, Some(d.node)).await;
    a.reaches(&mut b).await;
}

#[tokio::test]
async fn members_whose_programs_do_not_meet_are_not_asked() {
    let pool = TestPool::new(&[1, 2, 3]).with_cards(&[1, 2]);
    let (mut a, mut b, mut c) = (pool.start(1).await, pool.start(2).await, pool.start(3).await);
    part(&a, &b, true);
    a.connect(&mut c).await;
    b.connect(&mut c).await;
    a.net.find(b.node, vec![]);
    a.until(|event| matches!(event, NetEvent::Unreachable { .. })).await;
    assert!(!a.up || a.net.paths().via(b.node).is_none());
}
