//! The transport beside one that is made of quinn and libp2p-tls alone, as libp2p-quic is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub(in crate::net) mod kit;

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerEvent;
use libp2p::core::transport::{ListenerId, TransportError, TransportEvent};
use libp2p::identity::Keypair;
use libp2p_tls::certificate;
use quinn::ConnectionError;
use quinn::rustls::SignatureScheme;
use quinn::rustls::client::ResolvesClientCert;
use quinn::rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use quinn::rustls::sign::CertifiedKey;

use super::QuicError;
use super::address::{quic, socket_addr};
use kit::{LibraryPeer, Side, in_time};

#[tokio::test]
async fn a_peer_of_libp2p_dials() {
    let (mut own, other) = (Side::listen().await, LibraryPeer::new());
    let at = own.at;
    let ((peer, mut muxer), connection) = tokio::join!(own.accept(), other.dial(at));
    assert_eq!(peer, other.peer());
    assert_eq!(kit::peer_of(&connection), own.peer());
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"there").await.unwrap();
    send.finish().unwrap();
    let mut stream = kit::inbound(&mut muxer).await;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    stream.write_all(b"and back").await.unwrap();
    stream.close().await.unwrap();
    stream.close().await.unwrap();
    assert_eq!((&heard[..], &receive.read_to_end(100).await.unwrap()[..]), (&b"there"[..], &b"and back"[..]));
}

#[tokio::test]
async fn a_peer_of_libp2p_is_dialled() {
    let (mut own, other) = (Side::listen().await, LibraryPeer::new());
    let (dialled, connection) = tokio::join!(own.dial(other.at()), other.accept());
    let (peer, mut muxer) = dialled.unwrap();
    assert_eq!(peer, other.peer());
    assert_eq!(kit::peer_of(&connection), own.peer());
    assert_eq!(connection.remote_address(), own.at, "it dials from where it listens");
    let mut stream = kit::outbound(&mut muxer).await;
    stream.write_all(b"there").await.unwrap();
    stream.close().await.unwrap();
    let (_, mut receive) = in_time(connection.accept_bi()).await.unwrap();
    assert_eq!(receive.read_to_end(100).await.unwrap(), b"there");
    kit::close(&mut muxer).await.unwrap();
    assert!(matches!(in_time(connection.closed()).await, ConnectionError::ApplicationClosed(_)));
}

#[tokio::test]
async fn whoever_dials_an_address_that_is_dialled_waits_for_what_comes_of_it() {
    let (mut own, other) = (Side::listen().await, LibraryPeer::new());
    let (first, second) = (own.dial(other.at()), own.dial(other.at()));
    let (first, second, _connection) = tokio::join!(first, second, other.accept());
    assert_eq!(first.unwrap().0, other.peer());
    assert!(matches!(second, Err(QuicError::AlreadyDialled)));
    let (again, _connection) = tokio::join!(own.dial(other.at()), other.accept());
    assert_eq!(again.unwrap().0, other.peer(), "one after the other is no repetition");
}

#[tokio::test]
async fn what_is_no_first_packet_of_this_version_gets_no_answer() {
    let (mut own, other) = (Side::listen().await, LibraryPeer::new());
    let at = own.at;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    for version in [0, 2, 0x0a1a_2a3a, 0xff00_001d, 1] {
        for first in (0..=0xff).step_by(0x10) {
            // Eight bytes of either id, and then garbage.
            let head = [&[first][..], &u32::to_be_bytes(version), &[8], &[7; 8], &[8], &[9; 8]].concat();
            for len in [30, 600, 1_200] {
                let mut packet = head.clone();
                packet.resize(len, 0xa5);
                stranger.send_to(&packet, at).unwrap();
            }
        }
    }
    // Who comes behind all that is let in: it has been looked at.
    let ((peer, _muxer), _connection) = tokio::join!(own.accept(), other.dial(at));
    assert_eq!(peer, other.peer());
    let heard = stranger.recv_from(&mut [0; 2_000]);
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn who_does_not_say_who_it_is_as_libp2p_does_gets_no_connection() {
    let mut own = Side::listen().await;
    let other = LibraryPeer::new();
    let no_cert = other.tls(|tls| tls.client_auth_cert_resolver = Arc::new(Shows(None)));
    let two_certs = other.tls(|tls| tls.client_auth_cert_resolver = Arc::new(Shows(Some(two_certs()))));
    let other_protocol = other.tls(|tls| tls.alpn_protocols = vec![b"h3".to_vec()]);
    for (what, tls) in [("no certificate", no_cert), ("two", two_certs), ("another protocol", other_protocol)] {
        let at = own.at;
        let dial = async {
            match other.dial_with(at, tls).await {
                // A client has done its part before the server has read it.
                Ok(connection) => in_time(connection.closed()).await,
                Err(refused) => refused,
            }
        };
        let taken = async { while own.try_accept().await.is_err() {} };
        tokio::select! {
            refused = dial => {
                let by_tls = matches!(&refused, ConnectionError::ConnectionClosed(_) | ConnectionError::TransportError(_));
                assert!(by_tls, "{what}: {refused}");
            }
            () = taken => panic!("{what}: taken"),
        }
    }
}

/// Certificates that a client shows.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

fn two_certs() -> Arc<CertifiedKey> {
    let [(one, secret), (two, _)] = [(); 2].map(|()| certificate::generate(&Keypair::generate_ed25519()).unwrap());
    Arc::new(CertifiedKey::new(vec![one, two], any_ecdsa_type(&secret).unwrap()))
}

#[tokio::test]
async fn a_node_that_starts_again_resets_its_connections_of_before() {
    let key = Keypair::generate_ed25519();
    let life = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = life.spawn(Side::listen_as(key.clone(), "127.0.0.1:0".parse().unwrap()));
    let mut first = in_time(first).await.unwrap();
    let (at, other) = (first.at, LibraryPeer::new());
    let accept = life.spawn(async move {
        let accepted = first.accept().await;
        (first, accepted)
    });
    let (before, connection) = tokio::join!(in_time(accept), other.dial(at));
    // Killed: nothing is sent any more.
    tokio::task::spawn_blocking(move || life.shutdown_timeout(kit::PATIENCE)).await.unwrap();
    drop(before.unwrap());

    let _second = Side::listen_as(key, at).await;
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(b"are you there?").await.unwrap();
    assert!(matches!(in_time(connection.closed()).await, ConnectionError::Reset), "not only after ten seconds");
}

#[tokio::test]
async fn a_peer_that_moves_keeps_its_connection() {
    let (mut own, other) = (Side::listen().await, LibraryPeer::new());
    let at = own.at;
    let ((_, mut muxer), connection) = tokio::join!(own.accept(), other.dial(at));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let moved_to = socket.local_addr().unwrap();
    other.endpoint.rebind(socket).unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(b"from elsewhere").await.unwrap();
    let StreamMuxerEvent::AddressChange(now) = kit::event_of(&mut muxer).await.unwrap();
    assert_eq!(socket_addr(&now), Some(moved_to));
    let mut stream = kit::inbound(&mut muxer).await;
    stream.read_exact(&mut [0; 14]).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_is_removed_says_so_and_leaves_its_port() {
    let mut own = Side::listen().await;
    assert!(own.transport.remove_listener(own.listener));
    assert!(!own.transport.remove_listener(ListenerId::next()));
    let TransportEvent::ListenerClosed { listener_id, reason: Ok(()) } = own.event().await else {
        panic!("not closed")
    };
    assert_eq!(listener_id, own.listener);
    let at = own.at;
    let free = async {
        while UdpSocket::bind(at).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = own.event() => panic!("it said more than that"),
        () = in_time(free) => {}
    }
}

#[tokio::test]
async fn one_that_listens_elsewhere_dials_from_another_port() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let mut six = Side::listen_as(Keypair::generate_ed25519(), "[::1]:0".parse().unwrap()).await;
    let mut four = Side::listen().await;
    let dial = four.dial(six.at);
    let (accepted, dialled) = tokio::join!(six.accept(), dial);
    assert_eq!((accepted.0, dialled.unwrap().0), (four.peer(), six.peer()));
}

#[tokio::test]
async fn what_is_no_address_of_quic_is_neither_dialled_nor_listened_on() {
    let mut own = Side::listen().await;
    for nowhere in ["/ip4/127.0.0.1/tcp/7", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip6/::/udp/7/quic-v1"] {
        let dialled = own.transport.dial(nowhere.parse().unwrap(), kit::OPTIONS);
        assert!(matches!(dialled, Err(TransportError::MultiaddrNotSupported(_))), "{nowhere}");
    }
    let listened = own.transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse().unwrap());
    assert!(matches!(listened, Err(TransportError::MultiaddrNotSupported(_))));
    let in_use = own.transport.listen_on(ListenerId::next(), quic(own.at));
    assert!(matches!(in_use, Err(TransportError::Other(QuicError::Io(_)))));
}
