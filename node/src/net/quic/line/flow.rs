//! One connection over the line: bulk data one way, and a small message every 100 ms that the other end sends back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::congestion::ControllerFactory;
use quinn_proto::{ClientConfig, Dir, RecvStream, ServerConfig, StreamId, TransportConfig, VarInt};

use super::super::control::{DrainClock, send_window};
use super::bottleneck::millis;
use super::plain::PlainCrypto;
use super::side::{FlowSide, earlier};
use super::spec::FlowSpec;

/// Blocks go over several streams at once.
const BULK_STREAMS: usize = 3;
const MESSAGE: [u8; 8] = [1; 8];
const MESSAGE_EVERY: Duration = Duration::from_millis(100);

/// The small message that is next, or under way, with when it was due.
#[derive(Clone, Copy)]
enum MessageState {
    Due(Instant),
    /// There is no room behind the bulk.
    Blocked(Instant),
    Sent(Instant),
}

pub(super) struct BulkFlow {
    /// The end at which data goes in, and the one where it comes out.
    pub sender: FlowSide,
    pub receiver: FlowSide,
    spec: FlowSpec,
    start: Instant,
    bulk: Vec<StreamId>,
    /// At the receiver.
    accepted: Vec<StreamId>,
    messages: Option<StreamId>,
    message: MessageState,
    trickled: f64,
    pub received: u64,
    /// Milliseconds, with when the message was due.
    pub round_trips: Vec<(f32, f32)>,
    junk: Bytes,
}

impl BulkFlow {
    /// `clock`: that of the node.
    pub fn new(spec: FlowSpec, clock: &Arc<DrainClock>, start: Instant, now: Instant, seed: u64) -> Self {
        let transport = transport_config(spec.controller.factory(clock));
        let mut server = ServerConfig::new(Arc::new(PlainCrypto), Arc::new(PlainCrypto));
        server.transport_config(Arc::clone(&transport));
        let mut client = ClientConfig::new(Arc::new(PlainCrypto));
        client.transport_config(transport);
        let mut sender = FlowSide::new(None, 2 * seed);
        let receiver = FlowSide::new(Some(Arc::new(server)), 2 * seed + 1);
        sender.connect(now, client);
        Self {
            sender,
            receiver,
            spec,
            start,
            bulk: Vec::new(),
            accepted: Vec::new(),
            messages: None,
            message: MessageState::Due(now),
            trickled: 0.0,
            received: 0,
            round_trips: Vec::new(),
            junk: Bytes::from(vec![7; 64 << 10]),
        }
    }

    /// As the transport does ten times a second. More rarely, it is what slows a connection's first second down.
    pub fn set_send_window(&mut self) {
        if let Some(connection) = self.sender.connection() {
            let window = connection.congestion_state().window();
            connection.set_send_window(send_window(window));
        }
    }

    fn application_due(&self) -> Option<Instant> {
        self.messages?;
        let message = if let MessageState::Due(at) = self.message { Some(at) } else { None };
        let trickle = self.spec.trickle.map(|(from, until, rate)| {
            let next = from + Duration::from_secs_f64(self.trickled * 8.0 / rate);
            self.start + next.min(until)
        });
        // When it has ended, whatever is acknowledged makes room for more.
        let trickle = trickle.filter(|at| self.spec.trickle.is_some_and(|(_, until, _)| *at < self.start + until));
        earlier(message, trickle)
    }

    /// Gives data, takes answers, and appends the datagrams that go out.
    pub fn run_sender(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        self.send(now);
        let due = self.application_due();
        self.sender.transmit(now, out, due);
    }

    /// Takes data, answers, and appends the datagrams that go out.
    pub fn run_receiver(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        self.receive();
        self.receiver.transmit(now, out, None);
    }

    fn send(&mut self, now: Instant) {
        let Some(connection) = self.sender.connection() else { return };
        if connection.is_handshaking() {
            return;
        }
        let messages = *self.messages.get_or_insert_with(|| {
            self.bulk =
                (0..BULK_STREAMS).map(|_| connection.streams().open(Dir::Uni).expect("within limits")).collect();
            connection.streams().open(Dir::Bi).expect("within limits")
        });
        self.message = match self.message {
            MessageState::Due(due) | MessageState::Blocked(due) if now >= due => {
                match connection.send_stream(messages).write(&MESSAGE) {
                    Ok(written) if written == MESSAGE.len() => MessageState::Sent(due),
                    _ => MessageState::Blocked(due),
                }
            }
            MessageState::Sent(due) if read(&mut connection.recv_stream(messages)) > 0 => {
                self.round_trips.push((millis(due - self.start), millis(now - due)));
                MessageState::Due(now + MESSAGE_EVERY)
            }
            waiting => waiting,
        };
        self.send_bulk(now);
    }

    fn send_bulk(&mut self, now: Instant) {
        let Some(connection) = self.sender.connection() else { return };
        let since = now - self.start;
        if let Some((from, until, rate)) = self.spec.trickle
            && (from..until).contains(&since)
        {
            while self.trickled <= rate / 8.0 * (since - from).as_secs_f64() {
                // What finds no room is left out.
                let _ = connection.send_stream(self.bulk[0]).write(&self.junk[..4096]);
                self.trickled += 4096.0;
            }
            return;
        }
        for stream in &self.bulk {
            while connection.send_stream(*stream).write_chunks(&mut [self.junk.clone()]).is_ok_and(|w| w.bytes > 0) {}
        }
    }

    fn receive(&mut self) {
        let Some(connection) = self.receiver.connection() else { return };
        while let Some(stream) = connection.streams().accept(Dir::Uni) {
            self.accepted.push(stream);
        }
        while let Some(stream) = connection.streams().accept(Dir::Bi) {
            self.accepted.push(stream);
        }
        for stream in &self.accepted {
            let read = read(&mut connection.recv_stream(*stream));
            if stream.dir() == Dir::Uni {
                self.received += read as u64;
            } else if read > 0 {
                let _ = connection.send_stream(*stream).write(&vec![1; read]);
            }
        }
    }
}

/// Everything that is there, in whatever order.
fn read(stream: &mut RecvStream<'_>) -> usize {
    let Ok(mut chunks) = stream.read(false) else { return 0 };
    let mut bytes = 0;
    while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
        bytes += chunk.bytes.len();
    }
    let _ = chunks.finalize();
    bytes
}

fn transport_config(controller: Arc<dyn ControllerFactory + Send + Sync>) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.congestion_controller_factory(controller);
    config.stream_receive_window(VarInt::from_u32(8 << 20));
    config.receive_window(VarInt::from_u32(32 << 20));
    config.send_window(send_window(0));
    config.keep_alive_interval(Some(Duration::from_millis(2500)));
    Arc::new(config)
}
