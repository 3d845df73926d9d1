//! Webhooks: what is stored, and what their URLs start.
use std::net::SocketAddr;

use aws_lc_rs::hmac;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kernel::{Body, Door, Face};
use serde_json::{Value, json};
use testkit::World;

use super::*;
use crate::Webhooks;

const SECRET: &str = "a good secret";
const BODY: &str = r#"{"ref": "refs/heads/main", "after": "c0ffee2"}"#;

/// The service with its webhooks.
struct Hooked {
    bench: Bench,
    webhooks: Arc<Webhooks>,
}

impl Hooked {
    async fn new() -> Self {
        Self::on(World::new().await, Fakes::new())
    }

    fn on(world: World, fakes: Arc<Fakes>) -> Self {
        let mut hooks = None;
        let bench = Bench::with(world, fakes, |service, ops| {
            let webhooks = service.webhooks();
            webhooks.register(ops);
            hooks = Some(webhooks);
        });
        Self { bench, webhooks: hooks.expect("made above") }
    }

    async fn create(&self) {
        let created = json!({"pipeline": pipeline(&[vec![source()], vec![approval()]])});
        match self.bench.call("CreatePipeline", created).await {
            Err(fault) if fault.is("PipelineNameInUse") => {}
            other => drop(other.unwrap()),
        }
    }

    async fn put(&self, authentication: &str, with: Value) -> String {
        let put = self.bench.ok("PutWebhook", json!({"webhook": hook(authentication, with)})).await;
        put["webhook"]["url"].as_str().unwrap().to_owned()
    }

    /// What a request is answered: status and text.
    async fn send(&self, request: Request<Body>, peer: &str) -> (StatusCode, String) {
        let door = Door {
            peer: SocketAddr::new(peer.parse().unwrap(), 4711),
            local: "127.0.0.1:4566".parse().unwrap(),
            base: String::new(),
            account: ACCOUNT.into(),
            region: REGION.into(),
            request_id: "delivery".into(),
            ops: self.bench.world.ops().clone(),
        };
        let face = self.webhooks.face();
        let (head, body) = request.into_parts();
        assert!(face.claims(&head, &door));
        let response: Response<Body> = face.serve(door, Request::from_parts(head, body)).await;
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn deliver(&self, url: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, String) {
        let request = headers.iter().fold(Request::post(url), |r, (name, value)| r.header(*name, *value));
        self.send(request.body(kernel::face::full(body.to_owned())).unwrap(), "192.0.2.7").await
    }

    /// Triggers of all executions but the first, which the pipeline's creation started.
    async fn started(&self) -> Vec<Value> {
        let list = self.bench.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
        let all = list["pipelineExecutionSummaries"].as_array().unwrap();
        all[..all.len() - 1].iter().map(|execution| execution["trigger"].clone()).collect()
    }
}

fn hook(authentication: &str, with: Value) -> Value {
    json!({
        "name": "hook", "targetPipeline": "p", "targetAction": "Src",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{BranchName}"}],
        "authentication": authentication, "authenticationConfiguration": with,
    })
}

fn secret() -> Value {
    json!({"SecretToken": SECRET})
}

fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
}

#[tokio::test]
async fn a_signed_delivery_starts_the_pipeline_once() {
    let h = Hooked::new().await;
    h.create().await;
    let url = h.put("GITHUB_HMAC", secret()).await;
    let signed = signature(BODY);
    let github = [("x-github-delivery", "d1"), ("x-hub-signature-256", &*signed)];
    let (status, text) = h.deliver(&url, &github, BODY).await;
    assert_eq!(status, 200, "{text}");
    // Replayed, even under another id, which no signature covers: the same execution, not another.
    let again = h.deliver(&url, &[("x-github-delivery", "d2"), ("x-hub-signature-256", &signed)], BODY).await;
    assert_eq!(again, (status, text));
    let arn = "arn:aws:codepipeline:us-east-1:000000000000:webhook:hook";
    assert_eq!(h.started().await, [json!({"triggerType": "Webhook", "triggerDetail": arn})]);
    let list = h.bench.ok("ListWebhooks", json!({})).await;
    assert!(list["webhooks"][0]["lastTriggered"].is_number());
}

#[tokio::test]
async fn what_is_not_authentic_or_no_delivery_starts_nothing() {
    let h = Hooked::new().await;
    h.create().await;
    let url = h.put("GITHUB_HMAC", secret()).await;
    let good = signature(BODY);
    let status =
        async |url: &str, headers: &[(&str, &str)], body: &str| h.deliver(url, headers, body).await.0;
    assert_eq!(status(&url, &[], BODY).await, 401);
    assert_eq!(status(&url, &[("x-hub-signature-256", "sha256=00")], BODY).await, 401);
    assert_eq!(status(&url, &[("x-hub-signature-256", &good)], &BODY.replace("main", "mein")).await, 401);
    let broken = "{\"ref\": ";
    assert_eq!(status(&url, &[("x-hub-signature-256", &signature(broken))], broken).await, 400);
    let large = format!("\"{}\"", "x".repeat(crate::limits::WEBHOOK_BODY));
    assert_eq!(status(&url, &[("x-hub-signature-256", &signature(&large))], &large).await, 413);
    let deep = "[".repeat(100_000);
    assert_eq!(status(&url, &[("x-hub-signature-256", &signature(&deep))], &deep).await, 400);
    assert_eq!(status("/-/webhooks/unknown", &[("x-hub-signature-256", &good)], BODY).await, 404);
    assert_eq!(status("/-/webhooks/", &[], BODY).await, 404);
    let get = Request::get(&url).body(kernel::face::full("")).unwrap();
    assert_eq!(h.send(get, "192.0.2.7").await.0, 405);
    // Authentic, but another branch: taken, and nothing started.
    let other = BODY.replace("main", "other");
    assert_eq!(status(&url, &[("x-hub-signature-256", &signature(&other))], &other).await, 200);
    assert_eq!(h.started().await, [] as [Value; 0]);
}

#[tokio::test]
async fn addresses_and_the_url_alone_authenticate() {
    let h = Hooked::new().await;
    h.create().await;
    let url = h.put("IP", json!({"AllowedIPRange": "192.0.2.0/28"})).await;
    let from = async |peer: &str, id: &str| {
        let request = Request::post(&url).header("x-github-delivery", id);
        h.send(request.body(kernel::face::full(BODY)).unwrap(), peer).await.0
    };
    assert_eq!(from("192.0.2.16", "a").await, 403);
    assert_eq!(from("192.0.2.7", "b").await, 200);
    assert_eq!(from("192.0.2.7", "b").await, 200);
    assert_eq!(h.started().await.len(), 1);
    // The same webhook, changed, keeps its URL.
    assert_eq!(h.put("UNAUTHENTICATED", json!({})).await, url);
    assert_eq!(from("192.0.2.16", "c").await, 200);
    assert_eq!(h.started().await.len(), 2);
    // A pipeline that cannot start is told to the sender and kept for ListWebhooks.
    h.bench.ok("DeletePipeline", json!({"name": "p"})).await;
    assert_eq!(from("192.0.2.16", "d").await, 422);
    let list = h.bench.ok("ListWebhooks", json!({})).await;
    assert_eq!(list["webhooks"][0]["errorCode"], "PipelineNotFoundException");
}

#[tokio::test]
async fn webhooks_are_kept_listed_tagged_and_deleted() {
    let h = Hooked::new().await;
    let b = &h.bench;
    let refused = async |webhook: Value| b.refused("PutWebhook", json!({"webhook": webhook})).await;
    let missing = refused(hook("UNAUTHENTICATED", json!({}))).await;
    assert!(missing.starts_with("PipelineNotFoundException"), "{missing}");
    h.create().await;
    let url = h.put("GITHUB_HMAC", secret()).await;
    let list = b.ok("ListWebhooks", json!({})).await;
    let shown = &list["webhooks"][0];
    assert_eq!((&shown["url"], &shown["definition"]["name"]), (&json!(url), &json!("hook")));
    assert_eq!(shown["definition"]["authenticationConfiguration"], json!({"SecretToken": "****"}));
    // What a read shows can be put back: the mask keeps the secret.
    assert_eq!(h.put("GITHUB_HMAC", json!({"SecretToken": "****"})).await, url);
    assert_eq!(h.deliver(&url, &[("x-hub-signature-256", &signature(BODY))], BODY).await.0, 200);

    for (authentication, with) in [
        ("GITHUB_HMAC", json!({})),
        ("GITHUB_HMAC", json!({"SecretToken": "s", "AllowedIPRange": "192.0.2.0/24"})),
        ("IP", json!({})),
        ("IP", json!({"AllowedIPRange": "192.0.2.0/33"})),
        ("UNAUTHENTICATED", json!({"SecretToken": "s"})),
    ] {
        let got = refused(hook(authentication, with)).await;
        assert!(got.starts_with("InvalidWebhookAuthenticationParametersException"), "{got}");
    }
    let other = |member: &str, value: Value| with(hook("UNAUTHENTICATED", json!({})), json!({member: value}));
    let got = refused(other("targetAction", json!("Ok"))).await;
    assert!(
        got.starts_with("ValidationException: webhook.targetAction 'Ok' is not a source action"),
        "{got}"
    );
    for filter in [json!({"jsonPath": "$..x"}), json!({"jsonPath": "$.x", "matchEquals": "{Nope}"})] {
        let got = refused(other("filters", json!([filter]))).await;
        assert!(got.starts_with("InvalidWebhookFilterPatternException: webhook.filters[0]"), "{got}");
    }

    b.ok("PutWebhook", json!({"webhook": other("name", json!("second"))})).await;
    let first = b.ok("ListWebhooks", json!({"MaxResults": 1})).await;
    assert_eq!(first["webhooks"][0]["definition"]["name"], "hook");
    let rest = b.ok("ListWebhooks", json!({"MaxResults": 1, "NextToken": first["NextToken"]})).await;
    assert_eq!(
        (&rest["webhooks"][0]["definition"]["name"], &rest["NextToken"]),
        (&json!("second"), &Value::Null)
    );

    let arn = shown["arn"].clone();
    b.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "k", "value": "v"}]})).await;
    let tags = b.ok("ListTagsForResource", json!({"resourceArn": arn})).await;
    assert_eq!(tags["tags"], json!([{"key": "k", "value": "v"}]));
    b.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["k"]})).await;

    let register = |name: &str| json!({"webhookName": name});
    let got = b.refused("RegisterWebhookWithThirdParty", register("nobody")).await;
    assert!(got.starts_with("WebhookNotFoundException"), "{got}");
    let got = b.refused("RegisterWebhookWithThirdParty", register("hook")).await;
    assert!(got.starts_with("ValidationException: Webhook 'hook' targets no GitHub (OAuth) action"), "{got}");
    b.ok("DeregisterWebhookWithThirdParty", register("hook")).await;

    b.ok("DeleteWebhook", json!({"name": "hook"})).await;
    b.ok("DeleteWebhook", json!({"name": "hook"})).await;
    assert_eq!(h.deliver(&url, &[("x-hub-signature-256", &signature(BODY))], BODY).await.0, 404);
    assert_ne!(h.put("GITHUB_HMAC", secret()).await, url);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_starts_once_whatever_commit_a_crash_follows() {
    let signed = signature(BODY);
    let github = [("x-hub-signature-256", &*signed)];
    for commits in 1..60 {
        let h = Hooked::on(World::stopping_after(commits).await, Fakes::new());
        let created = json!({"pipeline": pipeline(&[vec![source()], vec![approval()]])});
        let mut answered = h.bench.call("CreatePipeline", created).await.is_ok();
        let put = json!({"webhook": hook("GITHUB_HMAC", secret())});
        if answered && let Ok(put) = h.bench.call("PutWebhook", put).await {
            answered = h.deliver(put["webhook"]["url"].as_str().unwrap(), &github, BODY).await.0 == 200;
        }
        h.bench.service.stop();
        h.bench.driver.stop().await;
        // The sender sends again whatever it was not told was taken, and some do even then.
        let h = Hooked::on(h.bench.world.restart().await, h.bench.fakes);
        h.create().await;
        let url = h.put("GITHUB_HMAC", secret()).await;
        assert_eq!(h.deliver(&url, &github, BODY).await.0, 200, "after {commits} commits");
        assert_eq!(h.started().await.len(), 1, "after {commits} commits");
        h.bench.service.stop();
        h.bench.driver.stop().await;
        if answered && commits > 12 {
            return;
        }
    }
    panic!("a delivery was never answered");
}
