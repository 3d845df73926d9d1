//! AWS's own managed policies that are served, under `arn:aws:iam::aws:policy/`.
use kernel::Timestamp;

use crate::records::{Identity, Policy, Tags, Version};

/// Policies by path and name, with their documents.
const ALL: &[(&str, &str, &str)] = &[
    ("/", "AdministratorAccess", include_str!("managed/AdministratorAccess.json")),
    ("/", "PowerUserAccess", include_str!("managed/PowerUserAccess.json")),
    ("/", "ReadOnlyAccess", include_str!("managed/ReadOnlyAccess.json")),
    (
        "/",
        "AmazonEC2ContainerRegistryFullAccess",
        include_str!("managed/AmazonEC2ContainerRegistryFullAccess.json"),
    ),
    (
        "/",
        "AmazonEC2ContainerRegistryPowerUser",
        include_str!("managed/AmazonEC2ContainerRegistryPowerUser.json"),
    ),
    (
        "/",
        "AmazonEC2ContainerRegistryReadOnly",
        include_str!("managed/AmazonEC2ContainerRegistryReadOnly.json"),
    ),
    ("/", "AmazonECS_FullAccess", include_str!("managed/AmazonECS_FullAccess.json")),
    ("/", "AWSCodeCommitFullAccess", include_str!("managed/AWSCodeCommitFullAccess.json")),
    ("/", "AWSCodeCommitReadOnly", include_str!("managed/AWSCodeCommitReadOnly.json")),
    ("/", "AWSCodeCommitPowerUser", include_str!("managed/AWSCodeCommitPowerUser.json")),
    ("/", "AWSCodePipeline_FullAccess", include_str!("managed/AWSCodePipeline_FullAccess.json")),
    ("/", "AWSCodeBuildAdminAccess", include_str!("managed/AWSCodeBuildAdminAccess.json")),
    ("/", "AmazonS3FullAccess", include_str!("managed/AmazonS3FullAccess.json")),
    ("/", "CloudWatchLogsFullAccess", include_str!("managed/CloudWatchLogsFullAccess.json")),
    (
        "/service-role/",
        "AmazonECSTaskExecutionRolePolicy",
        include_str!("managed/AmazonECSTaskExecutionRolePolicy.json"),
    ),
    (
        "/aws-service-role/",
        "AmazonECSServiceRolePolicy",
        include_str!("managed/AmazonECSServiceRolePolicy.json"),
    ),
];

/// The ARN of a policy of AWS's own.
pub fn arn(path: &str, name: &str) -> String {
    format!("arn:aws:iam::aws:policy{path}{name}")
}

/// The policy with this ARN.
pub fn get(wanted: &str) -> Option<Policy> {
    wanted.strip_prefix("arn:aws:iam::aws:policy")?;
    ALL.iter().find(|(path, name, _)| arn(path, name) == wanted).map(policy)
}

/// All of them.
pub fn all() -> impl Iterator<Item = Policy> {
    ALL.iter().map(policy)
}

fn policy((path, name, document): &(&str, &str, &str)) -> Policy {
    // The day when AWS began to have managed policies: theirs are not ours to date.
    let created = Timestamp::constant(1_423_180_800, 0);
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_uppercase()));
    let id: String = "ANPA".chars().chain(letters).chain(std::iter::repeat('A')).take(21).collect();
    Policy {
        identity: Identity { name: (*name).into(), id, path: (*path).into(), created, tags: Tags::new() },
        description: None,
        updated: created,
        default: 1,
        next: 2,
        versions: vec![Version { number: 1, document: document.trim().to_owned(), created }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Document, Purpose};

    #[test]
    fn every_document_is_one() {
        for policy in all() {
            Document::parse(&policy.versions[0].document, Purpose::Identity)
                .unwrap_or_else(|e| panic!("{}: {e}", policy.identity.name));
        }
        assert_eq!(
            get("arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy").map(|p| p.identity.name),
            None
        );
    }
}
