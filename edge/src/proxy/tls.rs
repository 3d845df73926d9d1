//! TLS towards clients (a certificate by name) and towards targets (none is verified, as ALB does not).
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use snapshot::{Certificate, Listener, TlsVersion};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The configuration of an HTTPS listener; the error names the certificate that is wrong.
pub fn server(listener: &Listener, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let spoken = [(TlsVersion::V12, &TLS12), (TlsVersion::V13, &TLS13)];
    let wanted = listener.tls_min..=listener.tls_max;
    let versions: Vec<_> = spoken.iter().filter(|(v, _)| wanted.contains(v)).map(|(_, v)| *v).collect();
    let resolver = Names::new(&listener.certificates)
        .ok_or_else(|| format!("listener {} has no certificate", listener.arn))??;
    let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&versions)
        .map_err(|e| format!("listener {}: {e}", listener.arn))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(config))
}

/// Certificates by the name that the client asks for.
#[derive(Debug)]
struct Names {
    default: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Names {
    fn new(certificates: &[Certificate]) -> Option<Result<Self, String>> {
        let keys = certificates.iter().map(|c| Ok((c, certified(c)?))).collect::<Result<Vec<_>, String>>();
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => return Some(Err(error)),
        };
        let default = keys.first()?.1.clone();
        let mut by_name = HashMap::new();
        for (certificate, key) in &keys {
            for name in &certificate.names {
                by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| key.clone());
            }
        }
        Some(Ok(Self { default, by_name }))
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            let wild = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
            self.by_name.get(&name).or_else(wild)
        });
        Some(found.unwrap_or(&self.default).clone())
    }
}

fn certified(certificate: &Certificate) -> Result<Arc<CertifiedKey>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("certificate {}: {e}", certificate.arn);
    let chain = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(&e))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).map_err(|e| wrong(&e))?;
    let certified = CertifiedKey::from_der(chain, key, &PROVIDER).map_err(|e| wrong(&e))?;
    Ok(Arc::new(certified))
}

/// The configuration towards targets.
pub fn trusting() -> Arc<ClientConfig> {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for the default versions");
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone));
        Arc::new(builder.with_no_client_auth())
    });
    CONFIG.clone()
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
