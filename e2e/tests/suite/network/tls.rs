//! HTTPS: certificates from ACM, by a record or by hand, on a load balancer's listener.
use std::fs;

use e2e::eventually;
use serde_json::{Value, json};

use super::{Balancer, Site, says, text};

/// A certificate for a name, issued once the zone has the record that proves it.
fn requested(site: &Site, zone: &str, name: &str, further: &str) -> String {
    let more =
        if further.is_empty() { String::new() } else { format!("--subject-alternative-names {further}") };
    let made =
        site.aws(&format!("acm request-certificate --domain-name {name} --validation-method DNS {more}"));
    let arn = text(&made["CertificateArn"]);
    let certificate =
        || site.aws(&format!("acm describe-certificate --certificate-arn {arn}"))["Certificate"].clone();
    let proofs = eventually("the records that prove the names", || {
        let options = certificate()["DomainValidationOptions"].as_array()?.clone();
        options.iter().all(|option| option["ResourceRecord"].is_object()).then_some(options)
    });
    assert_eq!(certificate()["Status"], "PENDING_VALIDATION");
    for proof in proofs {
        let record = &proof["ResourceRecord"];
        let values = json!([{"Value": record["Value"]}]);
        site.record(
            zone,
            &json!({"Name": record["Name"], "Type": record["Type"], "TTL": 60, "ResourceRecords": values}),
        );
    }
    eventually("the certificate is issued", || Some(()).filter(|()| certificate()["Status"] == "ISSUED"));
    arn
}

/// A key and its certificate, made by hand, in `NAME.key` and `NAME.pem`.
fn handmade(site: &Site, name: &str) {
    site.client.sh(&format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout {name}.key -out {name}.pem \
         -subj /CN={name} -addext subjectAltName=DNS:{name} 2>/dev/null"
    ));
}

/// Asks the load balancer for a name. Answers what curl writes about it, then the body.
fn ask(site: &Site, address: &str, url: &str, authority: &str) -> (bool, String) {
    let host = url.split('/').nth(2).unwrap_or_default();
    let port = if url.starts_with("https") { 443 } else { 80 };
    let resolve = format!("{host}:{port}:{address}");
    let options = [
        "-sS",
        "--max-time",
        "20",
        "--cacert",
        authority,
        "--resolve",
        &resolve,
        "-w",
        "%{http_code} %{http_version} %{redirect_url}\n",
        url,
    ];
    let outcome = site.client.run("curl", &options);
    (outcome.ok, format!("{}{}", outcome.out, outcome.err))
}

#[test]
fn https_has_certificates_by_name_and_http_leads_to_it() {
    let site = Site::new();
    let vpc = site.vpc("10.64");
    let group = site.group(&vpc, "balancer");
    let zone = site.zone("tls.test");
    let first = requested(&site, &zone, "www.tls.test", "tls.test");
    let second = requested(&site, &zone, "api.tls.test", "");
    let balancer = site.balancer(&vpc, "tls", "internet-facing", &group);
    let default = format!("CertificateArn={first}");
    let listener = site.listener(&balancer, "HTTPS", 443, &says("secure"), &["--certificates", &default]);
    let config = json!({"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"});
    site.listener(&balancer, "HTTP", 80, &json!({"Type": "redirect", "RedirectConfig": config}), &[]);
    let address = site.address(&balancer.name);
    let bundle = site.server.data().join("trust/bundle.pem");
    let bundle = bundle.to_str().unwrap();

    // Verified against Longshore's authority, and HTTP/2 by ALPN.
    for name in ["www.tls.test", "tls.test"] {
        let (ok, said) = ask(&site, &address, &format!("https://{name}/"), bundle);
        assert!(ok && said.starts_with("secure200 2"), "{name}: {said}");
    }
    let (ok, said) = ask(&site, &address, "https://api.tls.test/", bundle);
    assert!(!ok && said.contains("api.tls.test"), "its name is not in the default certificate: {said}");
    site.aws(&format!(
        "elbv2 add-listener-certificates --listener-arn {listener} --certificates CertificateArn={second}"
    ));
    eventually("the second certificate answers for its name", || {
        let (ok, said) = ask(&site, &address, "https://api.tls.test/", bundle);
        (ok && said.starts_with("secure200 2")).then_some(())
    });
    let listed = site.aws(&format!("elbv2 describe-listener-certificates --listener-arn {listener}"));
    let all: Vec<String> =
        listed["Certificates"].as_array().unwrap().iter().map(|c| text(&c["CertificateArn"])).collect();
    assert!(all.contains(&first) && all.contains(&second), "{listed}");
    let (ok, said) = ask(&site, &address, "http://www.tls.test/a?b=c", bundle);
    assert!(
        ok && said.ends_with("301 1.1 https://www.tls.test:443/a?b=c\n")
            || said.contains("301 1.1 https://www.tls.test/a?b=c"),
        "{said}"
    );
    // What ACM hands out is the same chain.
    let got = site.aws(&format!("acm get-certificate --certificate-arn {first}"));
    fs::write(site.client.folder().join("leaf.pem"), text(&got["Certificate"])).unwrap();
    fs::write(site.client.folder().join("chain.pem"), text(&got["CertificateChain"])).unwrap();
    let verified = site.client.sh("openssl verify -CAfile chain.pem leaf.pem");
    assert!(verified.contains("leaf.pem: OK"), "{verified}");
    imported(&site, &balancer, &listener, &address);
    let used = site.client.aws_error(&format!("acm delete-certificate --certificate-arn {second}"));
    assert!(used.contains("(ResourceInUseException)"), "{used}");
}

/// A certificate of the user's own, and pairs that are none.
fn imported(site: &Site, balancer: &Balancer, listener: &str, address: &str) {
    handmade(site, "own.example");
    handmade(site, "other.example");
    let import = |certificate: &str, key: &str| {
        let (certificate, key) = (format!("fileb://{certificate}"), format!("fileb://{key}"));
        site.client.try_aws(&[
            "acm",
            "import-certificate",
            "--certificate",
            &certificate,
            "--private-key",
            &key,
        ])
    };
    for (certificate, key) in
        [("own.example.pem", "other.example.key"), ("own.example.key", "own.example.key")]
    {
        let refused = import(certificate, key);
        assert!(
            !refused.ok && refused.err.contains("(ValidationException)"),
            "{certificate} {key}: {}",
            refused.err
        );
    }
    let listed = site.aws("acm list-certificates");
    assert_eq!(
        listed["CertificateSummaryList"].as_array().map(Vec::len),
        Some(2),
        "nothing was stored: {listed}"
    );
    let imported = import("own.example.pem", "own.example.key");
    assert!(imported.ok, "{}", imported.err);
    let arn = text(&serde_json::from_str::<Value>(&imported.out).unwrap()["CertificateArn"]);
    site.aws(&format!(
        "elbv2 add-listener-certificates --listener-arn {listener} --certificates CertificateArn={arn}"
    ));
    eventually("the imported certificate answers for its name", || {
        let (ok, said) = ask(site, address, "https://own.example/", "own.example.pem");
        (ok && said.starts_with("secure200")).then_some(())
    });
    let pending = site.aws("acm request-certificate --domain-name nobody.example --validation-method DNS");
    let refused = site.client.aws_error(&format!(
        "elbv2 create-listener --load-balancer-arn {} --protocol HTTPS --port 8443 --default-actions Type=fixed-response,FixedResponseConfig={{StatusCode=200}} --certificates CertificateArn={}",
        balancer.arn,
        text(&pending["CertificateArn"])
    ));
    assert!(
        refused.contains("(UnsupportedCertificate)") || refused.contains("(CertificateNotFound)"),
        "{refused}"
    );
}
