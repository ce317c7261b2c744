//! One end of a connection, with its endpoint.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Event, ServerConfig,
};

use super::plain::PlainCrypto;

/// As in the transport: datagrams that are handed to the system at once.
const SEGMENTS_MAX: usize = 10;

pub(super) struct FlowSide {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    buffer: Vec<u8>,
    /// Something happened since the last `run`.
    pub woken: bool,
    /// When there is something to do beside what arrives.
    pub due: Option<Instant>,
}

impl FlowSide {
    /// Without a configuration it is the one that dials.
    pub fn new(server: Option<Arc<ServerConfig>>, seed: u64) -> Self {
        let config = Arc::new(EndpointConfig::new(Arc::new(PlainCrypto)));
        let mut rng_seed = [0; 32];
        rng_seed[..8].copy_from_slice(&seed.to_le_bytes());
        let endpoint = Endpoint::new(config, server, true, Some(rng_seed));
        Self { endpoint, connection: None, buffer: Vec::new(), woken: true, due: None }
    }

    pub fn connect(&mut self, now: Instant, config: ClientConfig) {
        self.connection = Some(self.endpoint.connect(now, config, peer(), "x").expect("the address is valid"));
    }

    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut().map(|(_, connection)| connection)
    }

    pub fn arrived(&mut self, now: Instant, datagram: BytesMut) {
        self.woken = true;
        self.buffer.clear();
        match self.endpoint.handle(now, peer(), None, None, datagram, &mut self.buffer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.connection = self.endpoint.accept(incoming, now, &mut self.buffer, None).ok();
            }
            Some(DatagramEvent::Response(_)) => panic!("both ends are of this test"),
            None => {}
        }
        self.exchange_events();
    }

    /// What is due by now.
    pub fn wake(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.woken = true;
        if let Some((_, connection)) = &mut self.connection
            && connection.poll_timeout().is_some_and(|at| at <= now)
        {
            connection.handle_timeout(now);
        }
        self.exchange_events();
    }

    /// Appends the datagrams that go out.
    pub fn transmit(&mut self, now: Instant, out: &mut Vec<BytesMut>, application_due: Option<Instant>) {
        self.woken = false;
        let Some((_, connection)) = &mut self.connection else { return };
        loop {
            self.buffer.clear();
            let Some(transmit) = connection.poll_transmit(now, SEGMENTS_MAX, &mut self.buffer) else { break };
            let segment = transmit.segment_size.unwrap_or(transmit.size);
            out.extend(self.buffer[..transmit.size].chunks(segment).map(BytesMut::from));
        }
        self.due = earlier(connection.poll_timeout(), application_due);
        self.exchange_events();
    }

    fn exchange_events(&mut self) {
        let Some((handle, connection)) = &mut self.connection else { return };
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(answer);
            }
        }
        while let Some(event) = connection.poll() {
            if let Event::ConnectionLost { reason } = event {
                panic!("the connection was lost: {reason}");
            }
        }
    }
}

pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The two know each other by connection ids, not by addresses.
fn peer() -> SocketAddr {
    ([10, 0, 0, 2], 1).into()
}
