//! Cryptography that does nothing: time and chance are what matters on a simulated line.

use std::any::Any;
use std::sync::Arc;

use bytes::BytesMut;
use quinn_proto::crypto::{
    self, AeadKey, CryptoError, ExportKeyingMaterialError, HandshakeTokenKey, HeaderKey, HmacKey, KeyPair, Keys,
    PacketKey, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError};

/// As long as that of AES-GCM, so that packets have their usual length.
const TAG_BYTES: usize = 16;

/// All keys and configurations in one.
pub(super) struct PlainCrypto;

impl PacketKey for PlainCrypto {
    fn encrypt(&self, _packet: u64, _buf: &mut [u8], _header_len: usize) {}

    fn decrypt(&self, _packet: u64, _header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        let len = payload.len().checked_sub(TAG_BYTES).ok_or(CryptoError)?;
        payload.truncate(len);
        Ok(())
    }

    fn tag_len(&self) -> usize {
        TAG_BYTES
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

impl HeaderKey for PlainCrypto {
    fn decrypt(&self, _pn_offset: usize, _packet: &mut [u8]) {}

    fn encrypt(&self, _pn_offset: usize, _packet: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        TAG_BYTES
    }
}

impl HmacKey for PlainCrypto {
    /// Differs from connection to connection, and from the empty tags of packets: those must not look like resets.
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        for (at, byte) in signature_out.iter_mut().enumerate() {
            *byte = 0xA5 ^ data.get(at % data.len().max(1)).unwrap_or(&0);
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, _data: &[u8], _signature: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }
}

impl HandshakeTokenKey for PlainCrypto {
    fn aead_from_hkdf(&self, _random_bytes: &[u8]) -> Box<dyn AeadKey> {
        Box::new(Self)
    }
}

impl AeadKey for PlainCrypto {
    fn seal(&self, _data: &mut Vec<u8>, _additional_data: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }

    fn open<'a>(&self, data: &'a mut [u8], _additional_data: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        Ok(data)
    }
}

impl crypto::ClientConfig for PlainCrypto {
    fn start_session(
        self: Arc<Self>,
        _version: u32,
        _server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        Ok(Box::new(PlainSession::new(Side::Client, params)))
    }
}

impl crypto::ServerConfig for PlainCrypto {
    fn initial_keys(&self, _version: u32, _dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        Ok(keys())
    }

    fn retry_tag(&self, _version: u32, _orig_dst_cid: &ConnectionId, _packet: &[u8]) -> [u8; 16] {
        [0; 16]
    }

    fn start_session(self: Arc<Self>, _version: u32, params: &TransportParameters) -> Box<dyn Session> {
        Box::new(PlainSession::new(Side::Server, params))
    }
}

fn key_pair() -> KeyPair<Box<dyn PacketKey>> {
    KeyPair { local: Box::new(PlainCrypto), remote: Box::new(PlainCrypto) }
}

fn keys() -> Keys {
    Keys { header: KeyPair { local: Box::new(PlainCrypto), remote: Box::new(PlainCrypto) }, packet: key_pair() }
}

/// A handshake of as many flights as that of TLS: parameters; "hello" and parameters; "finished".
struct PlainSession {
    side: Side,
    own: Vec<u8>,
    peer: Option<TransportParameters>,
    greeted: bool,
    finished: bool,
    /// Handshake keys, then those of the connection.
    keys_given: u8,
}

impl PlainSession {
    fn new(side: Side, params: &TransportParameters) -> Self {
        let mut own = Vec::new();
        params.write(&mut own);
        Self { side, own, peer: None, greeted: false, finished: false, keys_given: 0 }
    }

    fn give_keys(&mut self) -> Option<Keys> {
        self.keys_given += 1;
        Some(keys())
    }
}

impl Session for PlainSession {
    fn initial_keys(&self, _dst_cid: &ConnectionId, _side: Side) -> Keys {
        keys()
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        !self.finished
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        match (self.side, self.greeted, &self.peer) {
            (Side::Client, false, _) => self.greeted = true,
            (_, _, None) => self.peer = TransportParameters::read(self.side, &mut &*buf).ok(),
            _ => self.finished = true,
        }
        Ok(false)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        Ok(self.peer)
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        match (self.side, self.keys_given) {
            (Side::Client, 0) => {
                buf.append(&mut self.own);
                if self.greeted { self.give_keys() } else { None }
            }
            (Side::Client, 1) if self.peer.is_some() => {
                buf.extend_from_slice(b"finished");
                self.finished = true;
                self.give_keys()
            }
            (Side::Server, 0) if self.peer.is_some() => {
                buf.extend_from_slice(b"hello");
                self.give_keys()
            }
            (Side::Server, 1) => {
                buf.append(&mut self.own);
                self.give_keys()
            }
            _ => None,
        }
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        Some(key_pair())
    }

    fn is_valid_retry(&self, _orig_dst_cid: &ConnectionId, _header: &[u8], _payload: &[u8]) -> bool {
        true
    }

    fn export_keying_material(
        &self,
        _output: &mut [u8],
        _label: &[u8],
        _context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}
