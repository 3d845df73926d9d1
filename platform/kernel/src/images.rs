//! Names of images in a registry of ours. One repository has two: AWS's own, which works inside builds and tasks, and
//! that of the endpoint the caller used, which works from the host's engine.

/// The parts of `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG|@DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryImage {
    /// Whose registry; of a local name, the server's own account.
    pub account: Option<String>,
    /// Where; of a local name, the server's own region.
    pub region: Option<String>,
    /// The repository, with its slashes.
    pub repository: String,
    /// `:tag` or `@sha256:…`, or nothing.
    pub reference: String,
}

impl RegistryImage {
    /// Reads an image's name. `local` are the hosts (with port) by which this server is reached. Names of other
    /// registries are `None`.
    pub fn parse(image: &str, local: &[&str]) -> Option<Self> {
        let (host, rest) = image.split_once('/')?;
        let (account, region) = match registry(host) {
            Some((account, region)) => (Some(account.to_owned()), Some(region.to_owned())),
            None if local.contains(&host) => (None, None),
            None => return None,
        };
        let (repository, reference) = split(rest);
        (!repository.is_empty()).then(|| Self {
            account,
            region,
            repository: repository.into(),
            reference: reference.into(),
        })
    }

    /// The name as a host (with port) serves it.
    pub fn at(&self, host: &str) -> String {
        format!("{host}/{}{}", self.repository, self.reference)
    }

    /// The tag, unless it is named by digest; `latest` if neither is given.
    pub fn tag(&self) -> Option<&str> {
        match self.reference.as_str() {
            "" => Some("latest"),
            reference => reference.strip_prefix(':'),
        }
    }

    /// The digest, if it is named by one.
    pub fn digest(&self) -> Option<&str> {
        self.reference.strip_prefix('@')
    }
}

/// Account and region of AWS's host name of a registry.
pub fn registry(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let region = rest.strip_suffix(".amazonaws.com")?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !region.is_empty())
        .then_some((account, region))
}

/// AWS's host name of a registry.
pub fn registry_host(account: &str, region: &str) -> String {
    format!("{account}.dkr.ecr.{region}.amazonaws.com")
}

fn split(rest: &str) -> (&str, &str) {
    let at = rest.find('@').or_else(|| rest.rfind(':')).unwrap_or(rest.len());
    // `repo:tag@sha256:…` names the digest; the tag before it is a remark.
    let name = &rest[..at];
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    (repository, &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_one_repository() {
        let check = |image: &str, expected: Option<(&str, &str)>| {
            let read = RegistryImage::parse(image, &["127.0.0.1:4566"]);
            assert_eq!(
                read.as_ref().map(|i| (i.repository.as_str(), i.reference.as_str())),
                expected,
                "{image}"
            );
        };
        check("000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app:v1", Some(("team/app", ":v1")));
        check("127.0.0.1:4566/team/app:v1", Some(("team/app", ":v1")));
        check("127.0.0.1:4566/app", Some(("app", "")));
        check("127.0.0.1:4566/app:v1@sha256:00", Some(("app", "@sha256:00")));
        check("127.0.0.1:5000/app", None);
        check("docker.io/library/debian:12", None);
        check("debian:12", None);
        check("1.dkr.ecr.us-east-1.amazonaws.com/app", None);
    }
}
