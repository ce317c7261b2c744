//! Nodes that find each other at an address that somebody names, and at those that they wrote down.

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, TestCluster, TestProgram};

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
