//! TLS of libp2p, with the ciphers in the order of their speed on this processor.
//!
//! libp2p-tls makes and reads the certificates; its own configurations put ChaCha20 first, and write the keys of connections
//! to a file if the environment names one. What its verifier demands, this one does (libp2p's specification of TLS).

use std::sync::Arc;

use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p_tls::certificate;
use quinn::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use quinn::rustls::client::{ResolvesClientCert, Resumption};
use quinn::rustls::crypto::CryptoProvider;
use quinn::rustls::crypto::aws_lc_rs::{self, cipher_suite};
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use quinn::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use quinn::rustls::server::{ClientHello, ResolvesServerCert};
use quinn::rustls::sign::CertifiedKey;
use quinn::rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, version,
};

const ALPN: &[u8] = b"libp2p";
static VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// A name has to be given to TLS, and none is meant: a certificate names a key. The shortest that is one.
pub(super) const SERVER_NAME: &str = "l";

/// For dialling and for being dialled, under one certificate of this node's key.
pub(super) fn configs(key: &Keypair) -> Result<(ClientConfig, ServerConfig), Error> {
    let (cert, secret) = certificate::generate(key).map_err(|error| Error::General(error.to_string()))?;
    let own = Arc::new(OwnCert::new(cert, &secret)?);
    let provider = Arc::new(provider());
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerCertVerifier))
        .with_client_cert_resolver(Arc::clone(&own) as Arc<dyn ResolvesClientCert>);
    client.alpn_protocols = vec![ALPN.to_vec()];
    // Sessions are kept by the server's name, and all have the same.
    client.resumption = Resumption::disabled();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)?
        .with_client_cert_verifier(Arc::new(PeerCertVerifier))
        .with_cert_resolver(own);
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.send_tls13_tickets = 0;
    Ok((client, server))
}

/// Whose certificate it is.
pub(super) fn peer(cert: &CertificateDer<'_>) -> Result<PeerId, Error> {
    Ok(certificate::parse(cert)?.peer_id())
}

/// A server takes the first of the client's list that it has, so each side decides for the connections that it dials.
fn provider() -> CryptoProvider {
    let [aes_128, aes_256, chacha] = [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let cipher_suites = if has_aes() { vec![aes_128, aes_256, chacha] } else { vec![chacha, aes_128, aes_256] };
    CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
}

/// Without instructions for it AES is slower than ChaCha20.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

#[derive(Debug)]
struct OwnCert(Arc<CertifiedKey>);

impl OwnCert {
    fn new(cert: CertificateDer<'static>, secret: &PrivateKeyDer<'_>) -> Result<Self, Error> {
        let key = aws_lc_rs::sign::any_ecdsa_type(secret)?;
        Ok(Self(Arc::new(CertifiedKey::new(vec![cert], key))))
    }
}

impl ResolvesClientCert for OwnCert {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for OwnCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Lets through who shows exactly one certificate, signed by itself, with libp2p's statement that it belongs to a peer's key.
/// Which peer that is, the connection is asked afterwards.
#[derive(Debug)]
struct PeerCertVerifier;

impl PeerCertVerifier {
    fn check(cert: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !more.is_empty() {
            return Err(Error::General("more than one certificate".into()));
        }
        peer(cert).map(drop)
    }

    fn check_signature(
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        certificate::parse(cert)?.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    /// libp2p-tls's own, the best first.
    fn schemes() -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }

    fn only_tls_1_3() -> Error {
        Error::General("TLS 1.2 is not spoken".into())
    }
}

impl ServerCertVerifier for PeerCertVerifier {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check(cert, more)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Self::only_tls_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for PeerCertVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::check(cert, more)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Self::only_tls_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use libp2p::identity::Keypair;
    use quinn::rustls::{CipherSuite, KeyLog, NamedGroup};

    use super::{configs, has_aes};

    #[test]
    fn the_fastest_cipher_comes_first() {
        let (client, server) = configs(&Keypair::generate_ed25519()).unwrap();
        let first =
            if has_aes() { CipherSuite::TLS13_AES_128_GCM_SHA256 } else { CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 };
        for provider in [client.crypto_provider(), server.crypto_provider()] {
            let suites: Vec<_> =
                provider.cipher_suites.iter().map(quinn::rustls::SupportedCipherSuite::suite).collect();
            assert_eq!(suites[0], first);
            assert!(suites.contains(&CipherSuite::TLS13_CHACHA20_POLY1305_SHA256), "what all others have, too");
            assert_eq!(provider.kx_groups[0].name(), NamedGroup::X25519MLKEM768, "as libp2p-tls has it");
        }
    }

    #[test]
    fn keys_of_connections_are_written_nowhere() {
        let (client, server) = configs(&Keypair::generate_ed25519()).unwrap();
        let labels = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "EXPORTER_SECRET"];
        for log in [client.key_log, server.key_log] {
            assert!(labels.iter().all(|label| !KeyLog::will_log(&*log, label)));
        }
    }
}
