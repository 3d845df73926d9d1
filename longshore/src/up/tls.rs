//! TLS inside containers: a certificate of Longshore's authority for each AWS name that is asked for.
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use acm::{Ca, KeyKind, Order};
use kernel::{Clock, Entropy, Timestamp};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Names kept at hand; beyond, all are made anew when next asked for.
const NAMES: usize = 1000;
/// A certificate's life in days, and how old a used one may become.
const DAYS: i64 = 90;
const RENEW: i64 = 30 * 86_400;

/// The configuration of the listeners for containers.
pub fn config(
    ca: Arc<Ca>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Names { ca, clock, entropy, made: Mutex::default() }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

struct Names {
    ca: Arc<Ca>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    made: Mutex<HashMap<String, (Timestamp, Arc<CertifiedKey>)>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Names {
    fn make(&self, name: &str, now: Timestamp) -> Result<Arc<CertifiedKey>, String> {
        let order = Order { names: &[name.to_owned()], kind: KeyKind::P256, days: DAYS };
        let issued = self.ca.issue(order, &*self.entropy, now).map_err(|e| e.to_string())?;
        let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(issued.private_key.as_bytes()).map_err(|e| e.to_string())?;
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|e| e.to_string())?;
        Ok(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_lowercase();
        // The authority vouches for AWS's names inside containers, and for nothing else.
        if !name.ends_with(".amazonaws.com") && !name.ends_with(".api.aws") {
            return None;
        }
        let now = self.clock.now();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, key)) = made.get(&name)
            && now.as_second() - at.as_second() < RENEW
        {
            return Some(key.clone());
        }
        let key =
            self.make(&name, now).inspect_err(|error| tracing::error!(name, error, "no certificate")).ok()?;
        if made.len() >= NAMES {
            made.clear();
        }
        made.insert(name, (now, key.clone()));
        Some(key)
    }
}
