//! Nodes behind routers: which addresses they tell, and who gets in by their tickets. Real routers' programs in network
//! namespaces; without root, and where the programs are missing, the tests say so and end.

mod homes;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, TestCluster, TestProgram, wait_for};
use serde_json::Value;

use homes::{FRIEND_IP, Homes, NEWCOMER_IP, ROUTER_IP, RouterKind, missing, missing_router};

/// Every node listens there: each has a machine of its own.
const PORT: u16 = 24_007;
/// A router that was restarted is asked again within half a minute, and may take its time.
const RESTART_MAX: Duration = Duration::from_secs(120);

fn cluster() -> Result<TestCluster> {
    TestCluster::new(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")))
}

/// What `init` and `join` are told.
fn choices(node: &ClusterNode) -> Vec<String> {
    let storage = format!("{}:1GiB", node.home.join("blocks").display());
    let listen = PORT.to_string();
    let all = ["--name", &node.name, "--storage", &storage, "--listen", &listen, "--no-mdns"];
    all.map(str::to_owned).to_vec()
}

/// A node of a pool of its own, in a namespace.
fn founded(cluster: &TestCluster, homes: &Homes, name: &str) -> Result<ClusterNode> {
    let mut node = cluster.new_node_inside(name.to_owned(), Some(&homes.namespace(name)))?;
    node.ok([vec!["init".to_owned()], choices(&node)].concat())?;
    node.up()?;
    Ok(node)
}

/// A node in a namespace that joins with a ticket.
fn joined(cluster: &TestCluster, homes: &Homes, name: &str, ticket: &str) -> Result<ClusterNode> {
    let mut node = cluster.new_node_inside(name.to_owned(), Some(&homes.namespace(name)))?;
    node.spawn([vec!["join".to_owned(), ticket.to_owned()], choices(&node)].concat())?;
    node.wait("the newcomer to hold the pool's key", |status| status["has_key"] == true && status["ready"] == true)?;
    Ok(node)
}

fn first_address(status: &Value) -> &str {
    status["addresses"][0]["address"].as_str().unwrap_or_default()
}

fn mapped() -> String {
    format!("{ROUTER_IP}:{PORT}")
}

fn is_kind(kind: &str) -> impl Fn(&Value) -> bool {
    move |status| status["reachability"]["kind"] == kind
}

#[test]
fn a_router_is_asked_in_whichever_way_it_understands() -> Result<()> {
    if let Some(why) = missing().or_else(missing_router) {
        println!("skipped: {why}");
        return Ok(());
    }
    // Side by side, for most of the time is waiting.
    let kinds = [RouterKind::Pcp, RouterKind::NatPmp, RouterKind::Upnp];
    let tested = kinds.map(|kind| std::thread::spawn(move || a_router_of_one_kind(kind)));
    for test in tested {
        test.join().expect("a test does not panic")?;
    }
    Ok(())
}

fn a_router_of_one_kind(kind: RouterKind) -> Result<()> {
    let (mut homes, cluster) = (Homes::new()?, cluster()?);
    homes.start_router(kind)?;
    let mapped = maps_for_as_long_as_the_node_runs(&mut homes, &cluster, kind);
    mapped.with_context(|| format!("{kind:?}\n{}", homes.router_log()))
}

fn maps_for_as_long_as_the_node_runs(homes: &mut Homes, cluster: &TestCluster, kind: RouterKind) -> Result<()> {
    let mut home = founded(cluster, homes, "home")?;
    let begun = Instant::now();
    home.wait("the mapped address to stand first in the card", |status| first_address(status) == mapped())?;
    println!("{kind:?}: in the card after {:.1} s", begun.elapsed().as_secs_f32());
    let status = home.status()?;
    let text = status["reachability"]["text"].as_str().unwrap_or_default();
    let name = match kind {
        RouterKind::Upnp => "UPnP",
        RouterKind::NatPmp => "NAT-PMP",
        RouterKind::Pcp => "PCP",
    };
    ensure!(is_kind("mapped")(&status) && text.contains(name), "{status}");
    ensure!(homes.forwards(PORT)?, "the router does not forward");

    // A friend outside comes in by the ticket, and tells whether the port is open to everybody.
    let ticket = home.ticket()?;
    let friend = joined(cluster, homes, "friend", &ticket)?;
    home.wait("the friend's packets to come", is_kind("open"))?;
    // Behind no router: nobody has to be asked, and the home's node shows by its packets that the way is open.
    friend.wait("the friend to be open, too", is_kind("open"))?;

    homes.start_router(kind)?;
    ensure!(!homes.forwards(PORT)?, "a router that starts again has forgotten it");
    let begun = Instant::now();
    wait_for(RESTART_MAX, "the port to be mapped again", || homes.forwards(PORT))?;
    println!("{kind:?}: again after {:.1} s", begun.elapsed().as_secs_f32());
    home.stop()?;
    ensure!(!homes.forwards(PORT)?, "it is still mapped after the end\n{}", home.last_log());
    Ok(())
}

#[test]
fn members_find_out_whether_a_port_is_open() -> Result<()> {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return Ok(());
    }
    let (homes, cluster) = (Homes::new()?, cluster()?);
    let friend = founded(&cluster, &homes, "friend")?;
    let mut home = joined(&cluster, &homes, "home", &friend.ticket()?)?;
    home.wait("it to be known that the port is closed", is_kind("closed"))?;
    let status = home.status()?;
    let text = status["reachability"]["text"].as_str().unwrap_or_default();
    ensure!(text.contains("forward UDP port 24007"), "what would help: {text}");
    ensure!(!first_address(&status).starts_with(ROUTER_IP), "{status}");

    // The ticket of one that nobody reaches works by the other member in it.
    let invite = home.json(["invite"])?;
    ensure!(invite["addresses"][0]["address"] == format!("{FRIEND_IP}:{PORT}"), "{invite}");
    ensure!(invite["warnings"] == serde_json::json!([]), "{invite}");
    let newcomer = joined(&cluster, &homes, "newcomer", invite["ticket"].as_str().context("a ticket")?)?;
    ensure!(first_address(&newcomer.status()?).starts_with(NEWCOMER_IP));

    // The owner forwards the port and says nothing to the node: it finds out by itself.
    home.stop()?;
    homes.forward_by_hand(PORT)?;
    home.spawn(["up"])?;
    home.wait("the forwarded port to be found", is_kind("open"))?;
    home.wait("its address to stand first", |status| first_address(status) == mapped())
}

#[test]
fn a_friend_is_met_where_it_says_it_is() -> Result<()> {
    let mut cluster = TestCluster::of(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")), 2)?;
    let (port, id) = {
        let status = cluster.nodes[0].status()?;
        (status["port"].as_u64().context("a port")?, status["node"].as_str().context("an id")?.to_owned())
    };
    let address = format!("127.0.0.1:{port}");
    let met = cluster.nodes[1].json(["meet", &address])?;
    ensure!(met["id"] == id.as_str() && met["was_connected"] == true, "{met}");
    let nobody = cluster.nodes[1].run(["meet", "127.0.0.1:9"])?;
    ensure!(nobody.status.code() == Some(2), "{nobody:?}");
    // Where it was is written down when the node ends.
    cluster.nodes[1].stop()?;
    let book = std::fs::read_to_string(cluster.nodes[1].home.join("peers.book"))?;
    ensure!(book.contains(&id) && book.contains(&address), "{book}");
    // Both are up elsewhere, and nobody knows of the other: only the address that is typed leads there.
    cluster.nodes[0].stop()?;
    let elsewhere = moved(&cluster.nodes[0], &address)?;
    let was = format!("127.0.0.1:{}", port_of_config(&cluster.nodes[1])?);
    moved(&cluster.nodes[1], &was)?;
    cluster.nodes[0].up()?;
    cluster.nodes[1].up()?;
    let met = cluster.nodes[1].json(["meet", &elsewhere])?;
    ensure!(met["id"] == id.as_str(), "{met}");
    cluster.nodes[1].wait("both to be connected", |status| status["connected"] == 1)
}

/// The port in a node's configuration.
fn port_of_config(node: &ClusterNode) -> Result<u16> {
    let text = std::fs::read_to_string(node.home.join("config.toml"))?;
    let config: toml::Table = text.parse()?;
    let listen = config["listen"].as_str().context("an address")?;
    Ok(listen.parse::<std::net::SocketAddr>()?.port())
}

/// Another port in its configuration, wherever it named the one before.
fn moved(node: &ClusterNode, before: &str) -> Result<String> {
    let config = node.home.join("config.toml");
    let now = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let text = std::fs::read_to_string(&config)?;
    ensure!(text.contains(before), "{text}");
    std::fs::write(&config, text.replace(before, &now))?;
    Ok(now)
}
