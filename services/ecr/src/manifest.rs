//! Manifests: what an image holds, in Docker's and OCI's forms.
use serde::Deserialize;

use crate::limits::{MANIFEST, REFERENCES};
use crate::{Error, Result};

/// What a manifest names.
#[derive(Debug, PartialEq)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// Media type of the configuration, or the artifact type.
    pub artifact_type: Option<String>,
    /// Layers and configuration that must be in the repository.
    pub blobs: Vec<String>,
    /// Images that must be in the repository.
    pub images: Vec<String>,
    /// Bytes of all blobs.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    /// Foreign layers are fetched from elsewhere and never pushed.
    #[serde(default)]
    urls: Vec<String>,
}

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media types that are served; schema 1 is not.
const SERVED: &[&str] = &[
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    OCI_MANIFEST,
    OCI_INDEX,
];

/// Reads a manifest; `declared` is the media type that the client sent beside it.
pub fn read(bytes: &[u8], declared: Option<&str>) -> Result<Manifest> {
    let wrong = Error::Manifest;
    if bytes.len() > MANIFEST {
        return Err(wrong(format!("it is larger than {MANIFEST} bytes")));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    if document.schema_version != 2 {
        return Err(wrong(format!("schemaVersion {} is not served, only 2", document.schema_version)));
    }
    let declared = declared
        .map(|text| text.split(';').next().unwrap_or_default().trim())
        .filter(|text| SERVED.contains(text));
    let media_type = match (&document.media_type, declared) {
        (Some(own), Some(declared)) if own != declared => {
            return Err(wrong(format!("its mediaType is '{own}', but it was sent as '{declared}'")));
        }
        (Some(own), _) => own.clone(),
        (None, Some(declared)) => declared.to_owned(),
        (None, None) if document.manifests.is_empty() => OCI_MANIFEST.to_owned(),
        (None, None) => OCI_INDEX.to_owned(),
    };
    if !SERVED.contains(&media_type.as_str()) {
        return Err(wrong(format!(
            "mediaType '{media_type}' is not served; these are: {}",
            SERVED.join(", ")
        )));
    }
    let index = media_type.contains("index") || media_type.contains("list");
    if !index && document.config.is_none() {
        return Err(wrong("it has no config".into()));
    }
    let artifact_type =
        document.artifact_type.or_else(|| document.config.as_ref().map(|config| config.media_type.clone()));
    let held: Vec<Descriptor> =
        document.config.into_iter().chain(document.layers).filter(|d| d.urls.is_empty()).collect();
    if held.len() + document.manifests.len() > REFERENCES {
        return Err(wrong(format!("it names more than {REFERENCES} blobs and images")));
    }
    let size = held.iter().map(|d| d.size).fold(0, u64::saturating_add);
    let digests = |list: Vec<Descriptor>| {
        list.into_iter().map(|d| digest(&d.digest).map(|_| d.digest)).collect::<Result<Vec<_>>>()
    };
    Ok(Manifest {
        media_type,
        artifact_type,
        blobs: digests(held)?,
        images: digests(document.manifests)?,
        size,
    })
}

/// A `sha256:` digest; others are not served.
pub fn digest(text: &str) -> Result<blobs::Digest> {
    text.parse().map_err(|_| Error::Digest {
        expected: text.to_owned(),
        found: "unknown: only sha256 digests of 64 hexadecimal digits are served".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, declared: Option<&str>) -> std::result::Result<Manifest, String> {
        read(text.as_bytes(), declared).map_err(|e| e.to_string())
    }

    #[test]
    fn forms_and_refusals() {
        let d = format!("sha256:{}", "0".repeat(64));
        let image = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"c","digest":"{d}","size":3}},"layers":[{{"mediaType":"l","digest":"{d}","size":4}},{{"mediaType":"f","digest":"{d}","size":9,"urls":["https://x"]}}]}}"#
        );
        let read = check(&image, Some(OCI_MANIFEST)).unwrap();
        assert_eq!((read.blobs.len(), read.size, read.artifact_type.as_deref()), (2, 7, Some("c")));
        assert!(check(&image, Some(OCI_INDEX)).unwrap_err().contains("was sent as"));
        assert!(check(r#"{"schemaVersion":1}"#, None).unwrap_err().contains("schemaVersion 1"));
        assert!(
            check(&format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}"}}"#), None)
                .unwrap_err()
                .contains("no config")
        );
        assert!(check("{", None).is_err());
        assert!(check(&image.replace("sha256:", "md5:"), None).unwrap_err().contains("only sha256"));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{d}"}}]}}"#);
        assert_eq!(check(&index, None).unwrap().images, [d]);
    }
}
