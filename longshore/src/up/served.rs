//! The AWS host names that Longshore answers inside containers; every other name resolves as usual, AWS's included.
use std::net::IpAddr;

use engine::gateway::ENDPOINTS;
use snapshot::Served;

/// Endpoints that have no region in their name.
const GLOBAL: &[&str] =
    &["iam.amazonaws.com", "sts.amazonaws.com", "route53.amazonaws.com", "s3.amazonaws.com"];

/// All of them, for one account, region and the buckets that exist.
pub fn names(account: &str, region: &str, buckets: &[String]) -> Vec<Served> {
    let regional = api::SERVICES.iter().map(|service| format!("{}.{region}.amazonaws.com", service.endpoint));
    let own = [
        format!("s3.{region}.amazonaws.com"),
        format!("git-codecommit.{region}.amazonaws.com"),
        format!("{account}.dkr.ecr.{region}.amazonaws.com"),
    ];
    // A bucket of somebody else's stays reachable: only ours are answered.
    let buckets = buckets.iter().flat_map(|bucket| {
        [format!("{bucket}.s3.{region}.amazonaws.com"), format!("{bucket}.s3.amazonaws.com")]
    });
    let mut names: Vec<String> =
        GLOBAL.iter().map(|name| (*name).to_owned()).chain(regional).chain(own).chain(buckets).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| Served { name, addresses: vec![IpAddr::V4(*ENDPOINTS.ip())] }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_is_ours() {
        let names = super::names("000000000000", "eu-west-1", &["mine".to_owned()]);
        let has = |name: &str| names.iter().any(|served| served.name == name);
        for name in [
            "api.ecr.eu-west-1.amazonaws.com",
            "000000000000.dkr.ecr.eu-west-1.amazonaws.com",
            "mine.s3.amazonaws.com",
            "sts.eu-west-1.amazonaws.com",
            "logs.eu-west-1.amazonaws.com",
        ] {
            assert!(has(name), "{name}");
        }
        for name in [
            "111111111111.dkr.ecr.eu-west-1.amazonaws.com",
            "theirs.s3.amazonaws.com",
            "ecs.us-east-1.amazonaws.com",
        ] {
            assert!(!has(name), "{name}");
        }
    }
}
