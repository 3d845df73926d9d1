//! The service over data, by the API and by the registry protocol, in process.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blobs::Digest;
use http::{Request, Response};
use http_body_util::BodyExt;
use kernel::face::full;
use kernel::{Body, Door, Face};
use serde_json::{Value, json};
use testkit::{ACCOUNT, REGION, World, fault};

use crate::Ecr;

struct Registry {
    world: World,
    ecr: Arc<Ecr>,
    login: String,
}

async fn registry() -> Registry {
    let registry = over(World::new().await).await;
    registry.world.call("ecr.CreateRepository", json!({"repositoryName": "team/app"})).await.unwrap();
    registry
}

async fn over(mut world: World) -> Registry {
    let ecr = Ecr::new(
        world.store.clone(),
        world.blobs.clone(),
        world.sealer.clone(),
        world.clock.clone(),
        world.entropy.clone(),
    );
    world.serve(|ops| ecr.register(ops));
    let token = world.call("ecr.GetAuthorizationToken", json!({})).await.unwrap();
    let login = token["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    Registry { world, ecr, login }
}

impl Registry {
    async fn ask(&self, method: &str, path: &str, body: impl Into<bytes::Bytes>) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Basic {}", self.login));
        self.send(request.body(full(body)).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        let local = "127.0.0.1:4566".parse().unwrap();
        let door = Door {
            peer: local,
            local,
            base: "http://127.0.0.1:4566".into(),
            account: ACCOUNT.into(),
            region: REGION.into(),
            request_id: "r".into(),
            ops: self.world.ops().clone(),
        };
        self.ecr.face().serve(door, request).await
    }

    /// Pushes bytes as a layer, in two chunks; answers the digest.
    async fn layer(&self, name: &str, bytes: &'static [u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        let begun = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), "").await;
        assert_eq!(begun.status(), 202);
        let at = begun.headers()["location"].to_str().unwrap().to_owned();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        assert_eq!(self.ask("PATCH", &at, first).await.status(), 202);
        assert_eq!(self.ask("PUT", &format!("{at}?digest={digest}"), second).await.status(), 201);
        digest
    }

    async fn push(&self, name: &str, tag: &str, bytes: &'static [u8]) -> (String, Response<Body>) {
        let digest = self.layer(name, bytes).await;
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "c", "digest": digest, "size": bytes.len()}, "layers": []})
        .to_string();
        let own = Digest::of(manifest.as_bytes()).to_string();
        (own, self.ask("PUT", &format!("/v2/{name}/manifests/{tag}"), manifest).await)
    }
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_pushed_is_pulled_and_described() {
    let registry = registry().await;
    let (digest, pushed) = registry.push("team/app", "v1", b"a layer").await;
    assert_eq!(
        (pushed.status().as_u16(), pushed.headers()["docker-content-digest"].to_str().unwrap()),
        (201, digest.as_str())
    );
    let pulled = registry.ask("GET", "/v2/team/app/manifests/v1", "").await;
    assert_eq!(Digest::of(text(pulled).await.as_bytes()).to_string(), digest);
    let layer = Digest::of(b"a layer").to_string();
    assert_eq!(text(registry.ask("GET", &format!("/v2/team/app/blobs/{layer}"), "").await).await, "a layer");
    let described =
        registry.world.call("ecr.DescribeImages", json!({"repositoryName": "team/app"})).await.unwrap();
    assert_eq!(described["imageDetails"][0]["imageTags"], json!(["v1"]));
    assert_eq!(described["imageDetails"][0]["imageSizeInBytes"], 7);
    let events = registry.world.store.messages(store::EVENTS, 0, 10).await.unwrap();
    assert_eq!(events.len(), 1, "one push is one event");
}

#[tokio::test]
async fn a_range_and_a_mount() {
    let registry = registry().await;
    let digest = registry.layer("team/app", b"0123456789").await;
    let mut request = Request::get(format!("/v2/team/app/blobs/{digest}")).body(full("")).unwrap();
    request.headers_mut().insert("authorization", format!("Basic {}", registry.login).parse().unwrap());
    request.headers_mut().insert("range", "bytes=2-4".parse().unwrap());
    let part = registry.send(request).await;
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap().to_owned()),
        (206, "bytes 2-4/10".to_owned())
    );
    assert_eq!(text(part).await, "234");
    registry.world.call("ecr.CreateRepository", json!({"repositoryName": "other"})).await.unwrap();
    let mounted =
        registry.ask("POST", &format!("/v2/other/blobs/uploads/?mount={digest}&from=team/app"), "").await;
    assert_eq!(mounted.status(), 201);
    assert_eq!(registry.ask("HEAD", &format!("/v2/other/blobs/{digest}"), "").await.status(), 200);
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_nothing_is_kept() {
    let registry = registry().await;
    let wrong = format!("sha256:{}", "0".repeat(64));
    let begun = registry.ask("POST", "/v2/team/app/blobs/uploads/", "").await;
    let at = begun.headers()["location"].to_str().unwrap().to_owned();
    let refused = registry.ask("PUT", &format!("{at}?digest={wrong}"), "bytes").await;
    assert_eq!(refused.status(), 400);
    assert!(text(refused).await.contains("DIGEST_INVALID"));
    assert!(registry.world.blobs.names("ecr").await.unwrap().is_empty());
    let check = async |method: &str, path: &str, body: &str, status: u16, code: &str| {
        let response = registry.ask(method, path, body.to_owned()).await;
        assert_eq!(response.status(), status, "{method} {path}");
        let said = text(response).await;
        assert!(said.contains(code), "{method} {path}: {said}");
    };
    check("POST", "/v2/unknown/blobs/uploads/", "", 404, "NAME_UNKNOWN").await;
    check("PATCH", "/v2/team/app/blobs/uploads/nope", "x", 404, "BLOB_UPLOAD_UNKNOWN").await;
    check("GET", "/v2/team/app/manifests/nope", "", 404, "MANIFEST_UNKNOWN").await;
    check("PUT", "/v2/team/app/manifests/v1", "{", 400, "MANIFEST_INVALID").await;
    let dangling =
        format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{wrong}","size":1}}}}"#);
    check("PUT", "/v2/team/app/manifests/v1", &dangling, 404, "MANIFEST_BLOB_UNKNOWN").await;
    check("GET", "/v2/_catalog", "", 405, "UNSUPPORTED").await;
}

#[tokio::test]
async fn who_is_not_logged_in_or_not_allowed_is_told() {
    let registry = registry().await;
    let anonymous = registry.send(Request::get("/v2/").body(full("")).unwrap()).await;
    assert_eq!(anonymous.status(), 401);
    assert!(anonymous.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    registry.world.authority.deny("ecr:PutImage");
    let (_, denied) = registry.push("team/app", "v1", b"x").await;
    assert_eq!(denied.status(), 403);
    assert!(text(denied).await.contains("not authorized to perform: ecr:PutImage"));
    registry.world.clock.advance(std::time::Duration::from_secs(12 * 3600));
    assert_eq!(registry.ask("GET", "/v2/", "").await.status(), 401, "tokens live twelve hours");
    let forged = Registry { login: STANDARD.encode("AWS:eyJ9"), ..registry };
    assert_eq!(forged.ask("GET", "/v2/", "").await.status(), 401);
}

#[tokio::test]
async fn immutable_tags_stay() {
    let registry = registry().await;
    registry.push("team/app", "v1", b"one").await;
    let change = json!({"repositoryName": "team/app", "imageTagMutability": "IMMUTABLE"});
    registry.world.call("ecr.PutImageTagMutability", change).await.unwrap();
    assert_eq!(registry.push("team/app", "v1", b"one").await.1.status(), 201, "the same image again is fine");
    let (_, moved) = registry.push("team/app", "v1", b"two").await;
    assert_eq!(moved.status(), 400);
    assert!(text(moved).await.contains("TAG_INVALID"));
}

#[tokio::test]
async fn deleting_and_sweeping_leaves_what_is_held() {
    let registry = registry().await;
    let (kept, _) = registry.push("team/app", "kept", b"kept").await;
    registry.push("team/app", "gone", b"gone").await;
    let delete =
        json!({"repositoryName": "team/app", "imageIds": [{"imageTag": "gone"}, {"imageTag": "never"}]});
    let answer = registry.world.call("ecr.BatchDeleteImage", delete).await.unwrap();
    assert_eq!(answer["failures"][0]["failureCode"], "ImageNotFound");
    registry.ecr.sweep().await.unwrap();
    assert_eq!(
        registry.world.blobs.names("ecr").await.unwrap().len(),
        3,
        "a young layer may be part of a push under way"
    );
    registry.world.clock.advance(std::time::Duration::from_secs(25 * 3600));
    registry.ecr.sweep().await.unwrap();
    assert_eq!(registry.world.blobs.names("ecr").await.unwrap().len(), 2);
    let list = registry.world.call("ecr.ListImages", json!({"repositoryName": "team/app"})).await.unwrap();
    assert_eq!(list["imageIds"], json!([{"imageDigest": kept, "imageTag": "kept"}]));
}

#[tokio::test]
async fn the_api_refuses_with_awss_codes() {
    let registry = registry().await;
    let check = async |operation: &str, input: Value, said: &str| {
        let refused = fault(registry.world.call(&format!("ecr.{operation}"), input).await);
        assert!(refused.starts_with(said), "{operation}: {refused}");
    };
    check("CreateRepository", json!({"repositoryName": "team/app"}), "RepositoryAlreadyExistsException")
        .await;
    check("DescribeRepositories", json!({"repositoryNames": ["nope"]}), "RepositoryNotFoundException").await;
    check("GetRepositoryPolicy", json!({"repositoryName": "team/app"}), "RepositoryPolicyNotFoundException")
        .await;
    check("GetLifecyclePolicy", json!({"repositoryName": "team/app"}), "LifecyclePolicyNotFoundException")
        .await;
    registry.push("team/app", "v1", b"x").await;
    check("DeleteRepository", json!({"repositoryName": "team/app"}), "RepositoryNotEmptyException").await;
    let repository = registry
        .world
        .call("ecr.DeleteRepository", json!({"repositoryName": "team/app", "force": true}))
        .await
        .unwrap();
    assert_eq!(
        repository["repository"]["repositoryArn"],
        "arn:aws:ecr:us-east-1:000000000000:repository/team/app"
    );
}

impl From<Registry> for World {
    fn from(registry: Registry) -> Self {
        registry.world
    }
}

#[tokio::test]
async fn a_crash_after_any_commit_changes_nothing() {
    let broken =
        |status: http::StatusCode| kernel::Fault::internal(format!("the registry answered {status}"));
    let open = async |world: World, (): ()| over(world).await;
    let deed = async |registry: &Registry| {
        let repository = json!({"repositoryName": "team/app"});
        match registry.world.call("ecr.CreateRepository", repository).await {
            // As after a client's retry.
            Err(fault) if !fault.is("RepositoryAlreadyExistsException") => return Err(fault),
            _ => {}
        }
        let layer: &[u8] = b"a layer";
        let digest = Digest::of(layer).to_string();
        // As docker: what is there is not pushed again, and an upload that broke off is begun anew.
        let held = registry.ask("HEAD", &format!("/v2/team/app/blobs/{digest}"), "").await.status();
        if held != 200 {
            let begun = registry.ask("POST", "/v2/team/app/blobs/uploads/", "").await;
            let at = begun
                .headers()
                .get("location")
                .ok_or_else(|| broken(begun.status()))?
                .to_str()
                .unwrap()
                .to_owned();
            let sent = registry.ask("PATCH", &at, layer).await.status();
            let put = registry.ask("PUT", &format!("{at}?digest={digest}"), "").await.status();
            if sent != 202 || put != 201 {
                return Err(broken(put));
            }
        }
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "c", "digest": digest, "size": layer.len()}, "layers": []});
        let put = registry.ask("PUT", "/v2/team/app/manifests/v1", manifest.to_string()).await.status();
        if put == 201 { Ok(()) } else { Err(broken(put)) }
    };
    let outcome = async |registry: &Registry| {
        // What broke off is swept when it is old.
        registry.world.clock.advance(std::time::Duration::from_secs(25 * 3600));
        registry.ecr.sweep().await.unwrap();
        let list =
            registry.world.call("ecr.ListImages", json!({"repositoryName": "team/app"})).await.unwrap();
        let layer = Digest::of(b"a layer").to_string();
        let pulled = text(registry.ask("GET", &format!("/v2/team/app/blobs/{layer}"), "").await).await;
        let events = registry.world.store.messages(store::EVENTS, 0, 10).await.unwrap();
        let pushes = events.iter().filter(|told| told.event.detail["action-type"] == "PUSH").count();
        json!([list["imageIds"], pulled, registry.world.blobs.names("ecr").await.unwrap().len(), pushes])
    };
    testkit::killed_after_each_commit(2, open, deed, outcome).await;
}

#[tokio::test]
async fn a_repository_is_deleted_whole_or_not_at_all() {
    for stop_after in 1.. {
        let registry = registry().await;
        for layer in [&b"one"[..], b"two", b"three"] {
            registry.push("team/app", "v1", layer).await;
        }
        let options = store::Options { stop_after: Some(stop_after) };
        let registry = over(World::from(registry).restart_with(options).await).await;
        let delete = json!({"repositoryName": "team/app", "force": true});
        let killed = registry.world.call("ecr.DeleteRepository", delete).await.is_err();
        let registry = over(World::from(registry).restart().await).await;
        assert_eq!(registry.ask("GET", "/v2/team/app/manifests/v1", "").await.status(), 404);
        registry.world.clock.advance(std::time::Duration::from_secs(25 * 3600));
        registry.ecr.sweep().await.unwrap();
        assert!(registry.world.blobs.names("ecr").await.unwrap().is_empty());
        if !killed {
            assert!(stop_after > 2, "it commits the repository, then its layers");
            return;
        }
    }
}
