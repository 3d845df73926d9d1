//! Longshore's certificate authority: made once, kept in the state with its key sealed, its certificate beside it as
//! `ca.pem` for whoever is to trust it.
use std::io::Write;
use std::path::Path;

use kernel::{Clock, Entropy, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize,
    SerialNumber,
};
use serde::{Deserialize, Serialize};
use store::{Batch, Key, Record, Sealed, Sealer, Store};
use time::OffsetDateTime;

use crate::limits;

const CONTEXT: &str = "acm.ca";

/// The authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// State.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Its key.
    #[error(transparent)]
    Seal(#[from] store::SealError),
    /// A certificate cannot be made.
    #[error("certificate authority: {0}")]
    Make(#[from] rcgen::Error),
    /// `ca.pem` cannot be written.
    #[error("cannot write {0}: {1}")]
    File(String, std::io::Error),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    certificate: String,
    key: Sealed,
}

impl Record for Stored {
    const TABLE: &'static str = "acm.ca";
}

/// The authority. Issuing is pure computation.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Kinds of keys, by ACM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `RSA_2048`.
    Rsa2048,
    /// `EC_prime256v1`: what costs least to make and to use.
    P256,
    /// `EC_secp384r1`.
    P384,
}

/// What is to be issued.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// DNS names, wildcards too, and IP addresses; the first is the subject.
    pub names: &'a [String],
    /// The kind of its key.
    pub kind: KeyKind,
    /// How long it is good for.
    pub days: i64,
}

/// A certificate with its key, in PEM.
pub struct Issued {
    /// The certificate alone; the authority's own is [`Ca::pem`].
    pub certificate: String,
    /// PKCS #8; never log it.
    pub private_key: String,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Ca {
    /// The authority of this state, made if there is none yet; writes `ca.pem` into the data folder.
    pub async fn open(store: &Store, sealer: &Sealer, clock: &dyn Clock) -> Result<Self, CaError> {
        let key = Key::new("", "").text("ca");
        let stored = match store.get::<Stored>(&key).await? {
            Some(row) => row.value,
            None => {
                let made = make(sealer, clock.now())?;
                match store.commit(Batch::new().create(&key, &made)).await {
                    // Another server was faster: there is one authority.
                    Err(error) if error.is_conflict() => match store.get::<Stored>(&key).await? {
                        Some(row) => row.value,
                        None => return Err(error.into()),
                    },
                    Err(error) => return Err(error.into()),
                    Ok(_) => made,
                }
            }
        };
        let pair = KeyPair::from_pem(&sealer.open_text(CONTEXT, &stored.key)?)?;
        let issuer = Issuer::from_ca_cert_pem(&stored.certificate, pair)?;
        publish(&store.dir().join("ca.pem"), &stored.certificate)?;
        Ok(Self { issuer, pem: stored.certificate })
    }

    /// Its certificate: what clients trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's certificate.
    pub fn issue(&self, order: Order<'_>, entropy: &dyn Entropy, now: Timestamp) -> Result<Issued, CaError> {
        let mut params = CertificateParams::new(order.names)?;
        params.distinguished_name = DistinguishedName::new();
        // A common name holds 64 characters; the names themselves stand in the extension.
        if let Some(name) = order.names.first().filter(|name| name.len() <= 64) {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        let mut serial = [0; 16];
        entropy.fill(&mut serial);
        // The first bit is a sign, and a first byte of zero is not canonical.
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = span(now, order.days);
        let pair = order.kind.generate()?;
        let certificate = params.signed_by(&pair, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            private_key: pair.serialize_pem(),
            not_after: Timestamp::from_second(params.not_after.unix_timestamp()).unwrap_or(now),
        })
    }
}

impl KeyKind {
    /// By ACM's name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RSA_2048" => Self::Rsa2048,
            "EC_prime256v1" => Self::P256,
            "EC_secp384r1" => Self::P384,
            _ => return None,
        })
    }

    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        }
    }
}

fn make(sealer: &Sealer, now: Timestamp) -> Result<Stored, CaError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Longshore");
    params.distinguished_name.push(DnType::CommonName, "Longshore local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = span(now, limits::CA_DAYS);
    let certificate = params.self_signed(&pair)?;
    Ok(Stored { certificate: certificate.pem(), key: sealer.seal_text(CONTEXT, &pair.serialize_pem())? })
}

/// From an hour ago, for containers whose clock is behind.
fn span(now: Timestamp, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let at =
        |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (at(now.as_second() - 3600), at(now.as_second() + days * 86_400))
}

/// Written whole before it is named: containers mount it at any time.
fn publish(path: &Path, pem: &str) -> Result<(), CaError> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == pem) {
        return Ok(());
    }
    let write = || {
        let part = path.with_extension("pem.part");
        let mut file = std::fs::File::create(&part)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|error| CaError::File(path.display().to_string(), error))
}
