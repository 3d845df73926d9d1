//! HTTPS: a certificate by name, HTTP/2 by ALPN, and targets that speak TLS.
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use snapshot::*;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::backend::Backend;
use super::rig::*;

pub fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
    Certificate {
        arn: format!("certificate/{}", names[0]),
        names,
        chain_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
    }
}

/// Trusts everything and remembers what it saw.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<u8>>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = end.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Connects under a name; answers the stream and the certificate that the other side showed.
async fn connect(ip: std::net::IpAddr, name: &str, alpn: &[&str]) -> (TlsStream<TcpStream>, Vec<u8>) {
    let witness = Arc::new(Witness::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect((ip, PORT)).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let seen = witness.0.lock().unwrap().clone();
    (stream, seen)
}

fn secure(mut all: Balancing, certificates: &[Certificate]) -> Balancing {
    let listener = &mut all.load_balancers[0].listeners[0];
    (listener.protocol, listener.certificates) = (Protocol::Https, certificates.to_vec());
    all
}

fn der(certificate: &Certificate) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(certificate.chain_pem.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn names_choose_certificates_and_clients_choose_http2() {
    let (rig, ip) = (Rig::new(), address());
    let backend = Backend::new("a").await;
    let certificates =
        [certificate(&["default.test"]), certificate(&["*.wild.test"]), certificate(&["a.wild.test"])];
    rig.serve_healthy(secure(simple(ip, &[backend.at]), &certificates)).await;
    for (name, expected) in [
        ("default.test", 0),
        ("unknown.test", 0),
        ("B.wild.test", 1),
        ("a.wild.test", 2),
        ("x.a.wild.test", 0),
    ] {
        let (stream, seen) = connect(ip, name, &[]).await;
        assert_eq!(seen, der(&certificates[expected]), "{name}");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/").header("host", name).body(Empty::<Bytes>::new()).unwrap();
        let body =
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("x-forwarded-proto: https\n"), "{body}");
    }
    let (stream, _) = connect(ip, "default.test", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let asked = (0..20).map(|i| {
        let mut sender = sender.clone();
        async move {
            let uri = format!("https://h2.test/{i}");
            let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
        }
    });
    for (i, body) in futures::future::join_all(asked).await.into_iter().enumerate() {
        assert!(body.starts_with(&format!("a GET /{i}\n")) && body.contains("host: h2.test"), "{body}");
    }
}

#[tokio::test]
async fn targets_may_speak_tls_and_keys_are_sealed_on_disk() {
    let (rig, inner, outer) = (Rig::new(), address(), address());
    let backend = Backend::new("a").await;
    let certificate = certificate(&["inner.test"]);
    let mut all = secure(simple(inner, &[backend.at]), std::slice::from_ref(&certificate));
    // The target of the outer load balancer is the inner one's HTTPS listener.
    let mut second = simple(outer, &[(inner, PORT).into()]);
    second.target_groups[0].arn = "outer".into();
    second.target_groups[0].protocol = Protocol::Https;
    second.target_groups[0].health.protocol = Protocol::Https;
    second.load_balancers[0].listeners[0].rules = vec![rule(vec![], forward("outer"))];
    all.load_balancers.append(&mut second.load_balancers);
    all.target_groups.append(&mut second.target_groups);
    rig.serve_healthy(all).await;
    let (status, body) = get(outer, "/").await;
    assert!(status == 200 && body.contains("x-forwarded-proto: https"), "{status} {body}");

    let folder = rig.data.path().join("edge");
    let kept = std::fs::read_to_string(folder.join("snapshot.json")).unwrap();
    assert!(kept.contains("sealed:1:") && !kept.contains("PRIVATE KEY"));
    use std::os::unix::fs::PermissionsExt;
    for name in ["snapshot.json", "key", "health.json", "lock"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}
