//! What containers trust, besides what their images bring.
use std::path::PathBuf;

use crate::{Mount, Source};

/// Certificates for the inside of containers: the host's authorities and Longshore's own.
#[derive(Clone, Debug)]
pub struct Trust {
    /// PEM.
    pub bundle: PathBuf,
    /// The same as a JKS with password `changeit`, since Java reads nothing else.
    pub java: Option<PathBuf>,
}

/// Where most images keep the bundle that is read by everything that is told nothing else.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where it also is, whatever an image has or does at the other place.
const BUNDLE: &str = "/longshore/trust/bundle.pem";
/// Where Java's is.
const JAVA: &str = "/longshore/trust/trust.jks";
/// Who reads certificates from somewhere else than the system's place.
const READERS: [&str; 7] = [
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
];

impl Trust {
    /// The files, in a container.
    pub fn mounts(&self) -> Vec<Mount> {
        let mount = |path: &PathBuf, target: &str| Mount {
            source: Source::Host(path.clone()),
            target: target.to_owned(),
            read_only: true,
        };
        let java = self.java.iter().map(|java| mount(java, JAVA));
        [SYSTEM, BUNDLE].into_iter().map(|target| mount(&self.bundle, target)).chain(java).collect()
    }

    /// The variables that point the usual tools at them.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env: Vec<_> = READERS.iter().map(|name| ((*name).to_owned(), BUNDLE.to_owned())).collect();
        if self.java.is_some() {
            let options =
                format!("-Djavax.net.ssl.trustStore={JAVA} -Djavax.net.ssl.trustStorePassword=changeit");
            env.push(("JAVA_TOOL_OPTIONS".into(), options));
        }
        env
    }
}
