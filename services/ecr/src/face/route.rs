//! Paths of the OCI distribution specification.

/// What a path names.
#[derive(Debug, PartialEq)]
pub enum Path<'a> {
    /// `/v2/`: whether this is a registry, and whether one may enter.
    Base,
    /// `/v2/NAME/blobs/DIGEST`.
    Blob(&'a str, &'a str),
    /// `/v2/NAME/blobs/uploads/`.
    Uploads(&'a str),
    /// `/v2/NAME/blobs/uploads/ID`.
    Upload(&'a str, &'a str),
    /// `/v2/NAME/manifests/REFERENCE`.
    Manifest(&'a str, &'a str),
    /// `/v2/NAME/tags/list`.
    Tags(&'a str),
}

/// Reads a path; names may hold slashes, so it is read from its end.
pub fn read(path: &str) -> Option<Path<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if rest.is_empty() || rest == "/" {
        return Some(Path::Base);
    }
    let rest = rest.strip_prefix('/')?;
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some(Path::Tags(name));
    }
    if let Some(name) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
        return Some(Path::Uploads(name));
    }
    let (head, last) = rest.rsplit_once('/')?;
    let named = |suffix: &str| head.strip_suffix(suffix);
    if let Some(name) = named("/blobs/uploads") {
        return Some(Path::Upload(name, last));
    }
    match (named("/blobs"), named("/manifests")) {
        (Some(name), _) => Some(Path::Blob(name, last)),
        (_, Some(name)) => Some(Path::Manifest(name, last)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_slashes() {
        for (path, expected) in [
            ("/v2/", Some(Path::Base)),
            ("/v2", Some(Path::Base)),
            ("/v2/a/b/blobs/sha256:0", Some(Path::Blob("a/b", "sha256:0"))),
            ("/v2/a/blobs/uploads/", Some(Path::Uploads("a"))),
            ("/v2/a/blobs/uploads/1-2", Some(Path::Upload("a", "1-2"))),
            ("/v2/blobs/manifests/v1", Some(Path::Manifest("blobs", "v1"))),
            ("/v2/a/tags/list", Some(Path::Tags("a"))),
            ("/v2/_catalog", None),
            ("/v2x/a", None),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
    }
}
