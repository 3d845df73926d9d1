//! How providers prove that a delivery is theirs. Compared in constant time.
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use http::HeaderMap;

use super::Provider;

/// Whether it is authentic.
pub fn holds(provider: Provider, secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = |name: &str| {
        let digits = header(name).and_then(|value| value.strip_prefix("sha256="));
        let given = digits.and_then(|digits| hex::decode(digits).ok());
        let key = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        given.is_some_and(|given| hmac::verify(&key, body, &given).is_ok())
    };
    match provider {
        Provider::GitHub => signed("x-hub-signature-256"),
        Provider::Bitbucket => signed("x-hub-signature"),
        Provider::GitLab => header("x-gitlab-token")
            .is_some_and(|given| verify_slices_are_equal(given.as_bytes(), secret.as_bytes()).is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_in_its_own_way() {
        let body = b"{}";
        let mac = |key: &str| hex::encode(hmac::sign(&hmac::Key::new(HMAC_SHA256, key.as_bytes()), body));
        let good = format!("sha256={}", mac("secret"));
        let check = |provider, name: &'static str, value: &str, expected: bool| {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
            assert_eq!(holds(provider, "secret", &headers, body), expected, "{provider:?} {name}: {value}");
        };
        check(Provider::GitHub, "x-hub-signature-256", &good, true);
        check(Provider::GitHub, "x-hub-signature-256", &format!("sha256={}", mac("other")), false);
        check(Provider::GitHub, "x-hub-signature-256", &good[..30], false);
        // Another provider's header proves nothing.
        check(Provider::GitHub, "x-hub-signature", &good, false);
        check(Provider::GitHub, "x-gitlab-token", "secret", false);
        check(Provider::Bitbucket, "x-hub-signature", &good, true);
        check(Provider::GitLab, "x-gitlab-token", "secret", true);
        check(Provider::GitLab, "x-gitlab-token", "secre", false);
        check(Provider::GitLab, "x-hub-signature", &good, false);
    }
}
