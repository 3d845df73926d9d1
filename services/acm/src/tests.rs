use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::internal::ExportForListener;
use api::{elb, route53};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Access, Cx, Fault, Handle};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use store::Key;
use testkit::World;
use work::{Next, Worker};

use crate::{Acm, Ca, Deps, KeyKind, Order, x509};

/// The two services that ACM asks: a zone `example.com` with these records, and one load balancer.
#[derive(Default)]
struct Neighbours {
    records: Mutex<Vec<(String, String)>>,
    listener: Mutex<Option<String>>,
}

macro_rules! answer {
    ($op:ty, $out:ty, |$me:ident, $input:ident| $answer:expr) => {
        impl Handle<$op> for Neighbours {
            async fn access(&self, _: &Cx, _: &$op) -> Result<Vec<Access>, Fault> {
                Ok(Vec::new())
            }
            async fn handle(&self, _: &Cx, $input: $op) -> Result<$out, Fault> {
                let $me = self;
                Ok($answer)
            }
        }
    };
}

answer!(route53::ListHostedZones, route53::ListHostedZonesOutput, |_me, _input| {
    let zone =
        |id: &str, name: &str| route53::HostedZone { id: id.into(), name: name.into(), ..Default::default() };
    route53::ListHostedZonesOutput {
        hosted_zones: vec![zone("/hostedzone/ZOTHER", "ample.com."), zone("/hostedzone/Z1", "example.com.")],
        ..Default::default()
    }
});

answer!(route53::ListResourceRecordSets, route53::ListResourceRecordSetsOutput, |me, input| {
    assert_eq!(input.hosted_zone_id, "Z1", "only zones that the name is in are asked");
    let wanted = input.start_record_name.unwrap_or_default();
    let records = me.records.lock().unwrap();
    let found =
        records.iter().filter(|(name, _)| *name == wanted).map(|(name, value)| route53::ResourceRecordSet {
            name: name.clone(),
            r#type: "CNAME".into(),
            resource_records: Some(vec![route53::ResourceRecord { value: value.clone() }]),
            ..Default::default()
        });
    route53::ListResourceRecordSetsOutput { resource_record_sets: found.collect(), ..Default::default() }
});

answer!(elb::DescribeLoadBalancers, elb::DescribeLoadBalancersOutput, |_me, _input| {
    let balancer = elb::LoadBalancer { load_balancer_arn: Some("lb".into()), ..Default::default() };
    elb::DescribeLoadBalancersOutput { load_balancers: Some(vec![balancer]), ..Default::default() }
});

answer!(elb::DescribeListeners, elb::DescribeListenersOutput, |me, _input| {
    let default = me.listener.lock().unwrap().as_ref().map(|_| "default".to_owned());
    let certificates = vec![elb::Certificate { certificate_arn: default, ..Default::default() }];
    let listener_arn = Some("listener".into());
    let listener = elb::Listener { listener_arn, certificates: Some(certificates), ..Default::default() };
    elb::DescribeListenersOutput { listeners: Some(vec![listener]), ..Default::default() }
});

// The listener's own, after one that it is not asked about.
answer!(elb::DescribeListenerCertificates, elb::DescribeListenerCertificatesOutput, |me, _input| {
    let own = me.listener.lock().unwrap().clone();
    let certificate = |certificate_arn| elb::Certificate { certificate_arn, ..Default::default() };
    let certificates = Some(vec![certificate(Some("default".into())), certificate(own)]);
    elb::DescribeListenerCertificatesOutput { certificates, ..Default::default() }
});

struct Setup {
    world: World,
    neighbours: Arc<Neighbours>,
    worker: Arc<dyn Worker>,
}

async fn serve(mut world: World) -> Setup {
    let neighbours = Arc::<Neighbours>::default();
    let ca = Arc::new(Ca::open(&world.store, &world.sealer, &*world.clock).await.unwrap());
    let acm = Acm::new(Deps {
        store: world.store.clone(),
        sealer: world.sealer.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        ca,
    });
    let ops = world.serve(|ops| {
        acm.register(ops);
        ops.op::<route53::ListHostedZones, _>(&neighbours)
            .op::<route53::ListResourceRecordSets, _>(&neighbours)
            .op::<elb::DescribeLoadBalancers, _>(&neighbours)
            .op::<elb::DescribeListeners, _>(&neighbours)
            .op::<elb::DescribeListenerCertificates, _>(&neighbours);
    });
    let worker = acm.workers(&ops).remove(0);
    Setup { world, neighbours, worker }
}

impl Setup {
    async fn call(&self, op: &str, input: Value) -> Result<Value, Fault> {
        self.world.call(&format!("acm.{op}"), input).await
    }

    async fn arn(&self, op: &str, input: Value) -> String {
        self.call(op, input).await.unwrap()["CertificateArn"].as_str().unwrap().to_owned()
    }

    async fn describe(&self, arn: &str) -> Value {
        self.call("DescribeCertificate", json!({"CertificateArn": arn})).await.unwrap()["Certificate"].clone()
    }

    async fn export(&self, arn: &str) -> Result<(String, String), Fault> {
        let cx = self.world.cx().as_service("elasticloadbalancing.amazonaws.com");
        let out = cx.call(ExportForListener { certificate_arn: arn.into() }).await?;
        Ok((out.certificate_chain, out.private_key))
    }
}

async fn setup() -> Setup {
    serve(World::new().await).await
}

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

/// A self-signed certificate: (certificate, key).
fn made(names: &[&str], from: i32, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, names[0]);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_request_is_issued_once_its_records_are_served() {
    let setup = setup().await;
    let request = json!({
        "DomainName": "App.example.com",
        "SubjectAlternativeNames": ["*.app.example.com", "app.example.com", "api.example.com"],
        "IdempotencyToken": "t1", "KeyAlgorithm": "EC_prime256v1", "Tags": [{"Key": "a", "Value": "b"}],
    });
    let arn = setup.arn("RequestCertificate", request.clone()).await;
    assert_eq!(setup.arn("RequestCertificate", request).await, arn, "the same token, the same certificate");
    let detail = setup.describe(&arn).await;
    assert_eq!(detail["Status"], "PENDING_VALIDATION");
    assert_eq!(
        detail["SubjectAlternativeNames"],
        json!(["app.example.com", "*.app.example.com", "api.example.com"])
    );
    let options = detail["DomainValidationOptions"].as_array().unwrap();
    assert_eq!(
        options[0]["ResourceRecord"], options[1]["ResourceRecord"],
        "a wildcard is proven by its name's record"
    );
    let record = |at: usize| {
        let text = |name: &str| options[at]["ResourceRecord"][name].as_str().unwrap().to_owned();
        (text("Name"), text("Value"))
    };
    assert!(record(0).0.ends_with(".app.example.com.") && record(0).1.ends_with(".acm-validations.aws."));
    let early = setup.call("GetCertificate", json!({"CertificateArn": arn})).await;
    assert!(early.unwrap_err().is("RequestInProgress") && setup.export(&arn).await.is_err());

    assert!(
        matches!(setup.worker.run().await.unwrap(), Next::At(_)),
        "the worker waits until the request runs out"
    );
    setup.neighbours.records.lock().unwrap().push(record(0));
    setup.worker.run().await.unwrap();
    let detail = setup.describe(&arn).await;
    let states: Vec<_> = detail["DomainValidationOptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["ValidationStatus"].clone())
        .collect();
    assert_eq!(
        (&detail["Status"], states),
        (&json!("PENDING_VALIDATION"), vec![json!("SUCCESS"), json!("SUCCESS"), json!("PENDING_VALIDATION")])
    );

    setup.neighbours.records.lock().unwrap().push((record(2).0, "_wrong.acm-validations.aws.".into()));
    setup.worker.run().await.unwrap();
    assert_eq!(setup.describe(&arn).await["Status"], "PENDING_VALIDATION", "another value proves nothing");
    setup.neighbours.records.lock().unwrap().pop();
    setup.neighbours.records.lock().unwrap().push(record(2));
    assert!(matches!(setup.worker.run().await.unwrap(), Next::Idle));
    let detail = setup.describe(&arn).await;
    for (member, value) in [
        ("Status", "ISSUED"),
        ("Type", "AMAZON_ISSUED"),
        ("Subject", "CN=app.example.com"),
        ("Issuer", "Longshore"),
        ("KeyAlgorithm", "EC_prime256v1"),
        ("SignatureAlgorithm", "SHA256WITHECDSA"),
    ] {
        assert_eq!(detail[member], value, "{member}");
    }
    let events = setup.world.store.messages(store::EVENTS, 0, 10).await.unwrap();
    assert_eq!(events[0].event.detail_type, "ACM Certificate Available");

    // It survives a restart, and the authority with it.
    let setup = serve(setup.world.restart().await).await;
    let got = setup.call("GetCertificate", json!({"CertificateArn": arn})).await.unwrap();
    let (certificate, chain) =
        (got["Certificate"].as_str().unwrap(), got["CertificateChain"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(setup.world.store.dir().join("ca.pem")).unwrap(), chain);
    let (exported, key) = setup.export(&arn).await.unwrap();
    assert_eq!(exported, format!("{}\n{chain}", certificate.trim_end()));
    x509::check_key(certificate, &key).unwrap();
    x509::check_chain(certificate, chain).unwrap();
    let root = setup.world.cx().call(ExportForListener { certificate_arn: arn.clone() }).await.map(|_| ());
    assert!(root.unwrap_err().is("AccessDenied"), "no user exports a key this way");
}

#[tokio::test]
async fn a_request_that_nobody_proves_runs_out() {
    let setup = setup().await;
    let arn = setup.arn("RequestCertificate", json!({"DomainName": "late.example.com"})).await;
    setup.world.clock.advance(Duration::from_secs(72 * 3600 - 1));
    assert!(matches!(setup.worker.run().await.unwrap(), Next::At(_)));
    setup.world.clock.advance(Duration::from_secs(1));
    setup.worker.run().await.unwrap();
    let detail = setup.describe(&arn).await;
    assert_eq!(
        (&detail["Status"], &detail["DomainValidationOptions"][0]["ValidationStatus"]),
        (&json!("VALIDATION_TIMED_OUT"), &json!("FAILED"))
    );
}

#[tokio::test]
async fn imports_are_checked() {
    let setup = setup().await;
    let (certificate, key) = made(&["a.example.com", "b.example.com"], 2025, 2030);
    let (other, other_key) = made(&["c.example.com"], 2025, 2030);
    let (expired, expired_key) = made(&["d.example.com"], 2020, 2025);
    let (future, future_key) = made(&["e.example.com"], 2029, 2030);
    let input = |c: &str, k: &str, chain: Option<&str>| {
        let mut input = json!({"Certificate": b64(c), "PrivateKey": b64(k)});
        chain.into_iter().for_each(|chain| input["CertificateChain"] = json!(b64(chain)));
        input
    };
    for (input, words) in [
        (input("no", &key, None), "must hold exactly one certificate; it holds 0"),
        (input(&key, &key, None), "not a PEM-encoded certificate"),
        (input(&format!("{certificate}{other}"), &key, None), "it holds 2"),
        (input(&certificate.replace("MII", "MIX"), &key, None), "not a valid X.509 certificate"),
        (input(&certificate, "no", None), "The private key is not a valid PEM-encoded key."),
        (input(&certificate, &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), None), "is encrypted"),
        (input(&certificate, &other_key, None), "does not match the private key"),
        (
            input(&certificate, &key, Some(&other)),
            "Could not validate the certificate with the certificate chain.",
        ),
        (input(&expired, &expired_key, None), "has expired"),
        (input(&future, &future_key, None), "not in effect yet"),
    ] {
        let fault = setup.call("ImportCertificate", input).await.unwrap_err();
        assert!(fault.message.contains(words), "{fault} should say: {words}");
    }
    assert_eq!(setup.world.store.count::<crate::records::Certificate>(Key::all()).await.unwrap(), 0);

    let arn = setup.arn("ImportCertificate", input(&certificate, &key, Some(&certificate))).await;
    let detail = setup.describe(&arn).await;
    assert_eq!((&detail["Type"], &detail["DomainName"]), (&json!("IMPORTED"), &json!("a.example.com")));
    assert_eq!(detail["SubjectAlternativeNames"], json!(["a.example.com", "b.example.com"]));
    let mut again = input(&other, &other_key, None);
    again["CertificateArn"] = json!(arn);
    assert_eq!(setup.arn("ImportCertificate", again.clone()).await, arn);
    assert_eq!(setup.describe(&arn).await["DomainName"], "c.example.com");
    assert_eq!(setup.export(&arn).await.unwrap().1, other_key);
    again["Tags"] = json!([{"Key": "a"}]);
    assert!(setup.call("ImportCertificate", again).await.unwrap_err().is("InvalidParameter"));
}

#[tokio::test]
async fn certificates_are_listed_tagged_and_deleted() {
    let setup = setup().await;
    let (certificate, key) = made(&["a.example.com"], 2025, 2030);
    let first = setup.arn("RequestCertificate", json!({"DomainName": "x.example.com"})).await;
    let second = setup.arn("RequestCertificate", json!({"DomainName": "y.example.com"})).await;
    let imported = setup
        .arn("ImportCertificate", json!({"Certificate": b64(&certificate), "PrivateKey": b64(&key)}))
        .await;
    let list = async |input: Value| {
        let page = setup.call("ListCertificates", input).await.unwrap();
        let arns: Vec<String> = page["CertificateSummaryList"]
            .as_array()
            .unwrap()
            .iter()
            .map(|summary| summary["CertificateArn"].as_str().unwrap().to_owned())
            .collect();
        (arns, page["NextToken"].as_str().map(str::to_owned))
    };
    let kinds = json!({"keyTypes": ["EC_prime256v1"]});
    assert_eq!(
        list(json!({})).await.0,
        [first.clone(), second.clone()],
        "RSA alone unless others are asked for"
    );
    assert_eq!(list(json!({"Includes": kinds})).await.0, std::slice::from_ref(&imported));
    assert_eq!(list(json!({"CertificateStatuses": ["ISSUED"]})).await.0, Vec::<String>::new());
    let (page, next) = list(json!({"MaxItems": 1, "SortOrder": "DESCENDING", "SortBy": "CREATED_AT"})).await;
    assert_eq!(page, std::slice::from_ref(&second));
    let (page, next) =
        list(json!({"MaxItems": 1, "SortOrder": "DESCENDING", "SortBy": "CREATED_AT", "NextToken": next}))
            .await;
    assert_eq!((page, next), (vec![first.clone()], None));

    let tags = |tags: Value| json!({"CertificateArn": first, "Tags": tags});
    setup
        .call("AddTagsToCertificate", tags(json!([{"Key": "a", "Value": "1"}, {"Key": "b"}])))
        .await
        .unwrap();
    setup
        .call("RemoveTagsFromCertificate", tags(json!([{"Key": "a", "Value": "2"}, {"Key": "b"}])))
        .await
        .unwrap();
    let listed = setup.call("ListTagsForCertificate", json!({"CertificateArn": first})).await.unwrap();
    assert_eq!(listed, json!({"Tags": [{"Key": "a", "Value": "1"}]}));

    *setup.neighbours.listener.lock().unwrap() = Some(imported.clone());
    assert_eq!(setup.describe(&imported).await["InUseBy"], json!(["lb"]));
    let gone = json!({"CertificateArn": imported});
    assert!(setup.call("DeleteCertificate", gone.clone()).await.unwrap_err().is("ResourceInUse"));
    *setup.neighbours.listener.lock().unwrap() = None;
    setup.call("DeleteCertificate", gone.clone()).await.unwrap();
    assert!(setup.call("DeleteCertificate", gone).await.unwrap_err().is("ResourceNotFound"));
    for (op, input, code) in [
        (
            "DescribeCertificate",
            json!({"CertificateArn": "arn:aws:acm:us-east-1:000000000000:key/1234567890"}),
            "InvalidArn",
        ),
        (
            "DescribeCertificate",
            json!({"CertificateArn": first.replace("us-east-1", "eu-west-1")}),
            "ResourceNotFound",
        ),
        ("RequestCertificate", json!({"DomainName": "a.b", "ValidationMethod": "EMAIL"}), "InvalidParameter"),
        ("RequestCertificate", json!({"DomainName": "a.b", "KeyAlgorithm": "RSA_4096"}), "InvalidParameter"),
        (
            "RequestCertificate",
            json!({"DomainName": "a.b", "SubjectAlternativeNames": (0..10).map(|n| format!("{n}.b")).collect::<Vec<_>>()}),
            "LimitExceeded",
        ),
    ] {
        let fault = setup.call(op, input).await.unwrap_err();
        assert!(fault.is(code), "{op}: {fault}, not {code}");
    }
}

#[tokio::test]
async fn the_authority_issues_for_names_and_addresses() {
    let world = World::new().await;
    let ca = Ca::open(&world.store, &world.sealer, &*world.clock).await.unwrap();
    let names = [
        "ecs.us-east-1.amazonaws.com".to_owned(),
        "*.dkr.ecr.us-east-1.amazonaws.com".into(),
        "127.0.0.1".into(),
    ];
    for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384] {
        let order = Order { names: &names, kind, days: 30 };
        let issued = ca.issue(order, &*world.entropy, kernel::Clock::now(&*world.clock)).unwrap();
        let facts = x509::facts(&issued.certificate).unwrap();
        assert_eq!(KeyKind::parse(&facts.key_algorithm), Some(kind));
        assert_eq!((facts.names, facts.not_after), (names[..2].to_vec(), issued.not_after));
        x509::check_key(&issued.certificate, &issued.private_key).unwrap();
        x509::check_chain(&issued.certificate, ca.pem()).unwrap();
    }
    let key = std::fs::read_dir(world.store.dir()).unwrap().flatten().filter(|file| file.path().is_file());
    assert!(
        key.map(|file| std::fs::read(file.path()).unwrap())
            .all(|bytes| !bytes.windows(11).any(|w| w == b"PRIVATE KEY"))
    );
}
