//! What containers trust: the host's own authorities, so that a company's proxy works inside as it does outside, and
//! Longshore's. As PEM for everyone, and as a Java key store, since Java reads nothing else.
use std::io::Write as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where hosts keep their bundle; `SSL_CERT_FILE` goes before.
const BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The password that every Java installation expects: a key store of certificates holds no secret.
const PASSWORD: &str = "changeit";

/// The files.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM.
    pub bundle: PathBuf,
    /// JKS.
    pub java: PathBuf,
}

/// Writes both into the folder, whole before they are named: containers mount them at any time.
pub fn write(dir: &Path, authority: &str) -> std::io::Result<Files> {
    std::fs::create_dir_all(dir)?;
    let mut bundle = host_bundle();
    if !bundle.is_empty() && !bundle.ends_with('\n') {
        bundle.push('\n');
    }
    bundle.push_str(authority);
    let files = Files { bundle: dir.join("bundle.pem"), java: dir.join("cacerts.jks") };
    replace(&files.bundle, bundle.as_bytes())?;
    replace(&files.java, &key_store(&bundle))?;
    Ok(files)
}

fn host_bundle() -> String {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let all = named.into_iter().chain(BUNDLES.iter().map(PathBuf::from));
    all.filter_map(|path| std::fs::read_to_string(path).ok()).next().unwrap_or_default()
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    super::folder::world_readable(&new)?;
    std::fs::rename(new, path)
}

/// A JKS of trusted certificates: magic, version 2, entries, and a digest that is salted with the password and a phrase
/// of the format's own. Layout: docs/notes-build-containers.md.
fn key_store(pem: &str) -> Vec<u8> {
    let certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect();
    let mut out = Vec::new();
    out.extend(0xFEED_FEED_u32.to_be_bytes());
    out.extend(2_u32.to_be_bytes());
    out.extend((certificates.len() as u32).to_be_bytes());
    for (index, certificate) in certificates.iter().enumerate() {
        out.extend(2_u32.to_be_bytes());
        text(&mut out, &format!("ca{index}"));
        out.extend(0_u64.to_be_bytes());
        text(&mut out, "X.509");
        out.extend((certificate.len() as u32).to_be_bytes());
        out.extend_from_slice(certificate);
    }
    let mut salted: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    salted.extend(b"Mighty Aphrodite");
    salted.extend(&out);
    out.extend(digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted).as_ref());
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}
