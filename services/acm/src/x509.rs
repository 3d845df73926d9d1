//! What stands in a certificate.
use kernel::Timestamp;
use rcgen::KeyPair;
use x509_parser::pem::Pem;
use x509_parser::prelude::{ASN1Time, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::{Error, limits};

/// What ACM tells of a certificate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// DNS names, the subject's own first.
    pub names: Vec<String>,
    /// As in `0a:1b`.
    pub serial: String,
    /// As in `CN=example.com`.
    pub subject: String,
    /// The issuer's organization, or its common name.
    pub issuer: String,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// ACM's name for the kind of its key.
    pub key_algorithm: String,
    /// ACM's name for its signature.
    pub signature_algorithm: String,
}

/// Reads one certificate in PEM.
pub fn facts(pem: &str) -> Result<Facts, Error> {
    let blocks = blocks(pem, "certificate")?;
    let [block] = blocks.as_slice() else {
        return Err(Error::Validation(format!(
            "The certificate field must hold exactly one certificate; it holds {}. Put the others in the certificate chain.",
            blocks.len()
        )));
    };
    let certificate = parse(block)?;
    Ok(Facts {
        names: names(&certificate),
        serial: certificate.raw_serial_as_string(),
        subject: certificate.subject().to_string(),
        issuer: issuer(&certificate),
        not_before: instant(certificate.validity().not_before),
        not_after: instant(certificate.validity().not_after),
        key_algorithm: key_algorithm(&certificate)?,
        signature_algorithm: signature_algorithm(&certificate),
    })
}

/// The private key must be the certificate's.
pub fn check_key(pem: &str, key: &str) -> Result<(), Error> {
    if key.contains("ENCRYPTED") {
        return Err(Error::Validation(
            "The private key is encrypted: import it without its passphrase.".into(),
        ));
    }
    let pair = KeyPair::from_pem(key)
        .map_err(|_| Error::Validation("The private key is not a valid PEM-encoded key.".into()))?;
    let blocks = blocks(pem, "certificate")?;
    let certificate =
        parse(blocks.first().ok_or_else(|| Error::Validation("There is no certificate.".into()))?)?;
    if certificate.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
        return Err(Error::Validation("The certificate's public key does not match the private key.".into()));
    }
    Ok(())
}

/// Each certificate of the chain must be the issuer of the one before, by name.
pub fn check_chain(pem: &str, chain: &str) -> Result<(), Error> {
    let (own, chain) = (blocks(pem, "certificate")?, blocks(chain, "certificate chain")?);
    if chain.is_empty() || chain.len() > limits::CHAIN {
        return Err(Error::Validation(format!(
            "The certificate chain must hold 1 to {} certificates.",
            limits::CHAIN
        )));
    }
    let all: Vec<&Pem> = own.iter().chain(&chain).collect();
    for pair in all.windows(2) {
        let (lower, upper) = (parse(pair[0])?, parse(pair[1])?);
        if lower.issuer() != upper.subject() {
            return Err(Error::Validation(
                "Could not validate the certificate with the certificate chain.".into(),
            ));
        }
    }
    Ok(())
}

fn blocks(pem: &str, what: &str) -> Result<Vec<Pem>, Error> {
    let malformed = || {
        Error::Validation(format!("The {what} field contains text that is not a PEM-encoded certificate."))
    };
    let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(pem.as_bytes()).collect();
    let blocks = blocks.map_err(|_| malformed())?;
    if blocks.iter().any(|block| block.label != "CERTIFICATE") { Err(malformed()) } else { Ok(blocks) }
}

fn parse(block: &Pem) -> Result<X509Certificate<'_>, Error> {
    block
        .parse_x509()
        .map_err(|_| Error::Validation("The certificate is not a valid X.509 certificate.".into()))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<String> = common.map(str::to_owned).collect();
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) if !names.iter().any(|n| n == name) => {
                    names.push((*name).to_owned())
                }
                _ => {}
            }
        }
    }
    names
}

fn issuer(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.issuer();
    let organization = name.iter_organization().next().or_else(|| name.iter_common_name().next());
    organization.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

fn instant(at: ASN1Time) -> Timestamp {
    Timestamp::from_second(at.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> Result<String, Error> {
    let unsupported =
        || Error::Validation("The certificate's key algorithm is not supported: use RSA or ECDSA.".into());
    Ok(match certificate.public_key().parsed().map_err(|_| unsupported())? {
        PublicKey::RSA(key) => format!("RSA_{}", key.key_size()),
        PublicKey::EC(point) => match point.key_size() {
            256 => "EC_prime256v1".into(),
            384 => "EC_secp384r1".into(),
            521 | 528 => "EC_secp521r1".into(),
            _ => return Err(unsupported()),
        },
        _ => return Err(unsupported()),
    })
}

fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.algorithm.to_id_string();
    match oid.as_str() {
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        _ => return oid,
    }
    .into()
}
