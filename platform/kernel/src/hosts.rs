//! What host names say of themselves. A port at their end is no part of them.

fn name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Whether the name is one of AWS's own.
pub fn is_aws(host: &str) -> bool {
    name(host).ends_with(".amazonaws.com")
}

/// Whether the name is one of AWS's own, and S3's.
pub fn is_s3(host: &str) -> bool {
    name(host).strip_suffix(".amazonaws.com").is_some_and(|name| s3_label(name).is_some())
}

/// The bucket that a host names: `BUCKET.s3.REGION.amazonaws.com`, `BUCKET.s3.localhost`, `BUCKET.localhost`.
pub fn bucket(host: &str) -> Option<&str> {
    if let Some(name) = name(host).strip_suffix(".localhost") {
        let bucket = if name == "s3" { "" } else { name.strip_suffix(".s3").unwrap_or(name) };
        return (!bucket.is_empty()).then_some(bucket);
    }
    let name = name(host).strip_suffix(".amazonaws.com")?;
    let at = s3_label(name)?;
    name.get(..at.checked_sub(1)?)
}

/// Where the label `s3` of an AWS name begins: the last one, since a bucket may have it in its own name.
fn s3_label(name: &str) -> Option<usize> {
    let (mut start, mut found) = (0, None);
    for label in name.split('.') {
        if label == "s3" || label.starts_with("s3-") {
            found = Some(start);
        }
        start += label.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_buckets() {
        for (host, named, s3) in [
            ("127.0.0.1:4566", None, false),
            ("localhost:4566", None, false),
            ("s3.localhost:4566", None, false),
            ("my.bucket.s3.localhost:4566", Some("my.bucket"), false),
            ("b-1.localhost:4566", Some("b-1"), false),
            ("ecs.us-east-1.amazonaws.com", None, false),
            ("s3.us-east-1.amazonaws.com", None, true),
            ("s3.amazonaws.com", None, true),
            ("a.s3.b.s3.us-east-1.amazonaws.com", Some("a.s3.b"), true),
            ("b.s3.dualstack.eu-west-1.amazonaws.com", Some("b"), true),
            ("b.s3-eu-west-1.amazonaws.com:443", Some("b"), true),
        ] {
            assert_eq!((bucket(host), is_s3(host)), (named, s3), "{host}");
        }
    }
}
