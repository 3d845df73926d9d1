//! The service in process, in front of a real git server: `git http-backend` behind Basic authentication, on loopback.
mod changes;
mod clone;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use api::internal::{FetchSource, FetchSourceOutput, FollowRepositories, FollowedRepository};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kernel::{Body, Cx, Door, Face, Fault};
use serde_json::{Value, json};
use store::{EVENTS, Event};
use testkit::{ACCOUNT, REGION, World};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use work::{Driver, Options};

use crate::hooks::face::{CONNECTIONS, HOOKS};
use crate::records::Delivered;
use crate::{CodeConnections, limits};

/// Past this a test fails; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-that-must-not-show";
const NONE: &str = "0000000000000000000000000000000000000000";

/// A git server with one repository, `me/app`, and somebody's clone of it.
struct Server {
    dir: tempfile::TempDir,
    address: SocketAddr,
    _task: Task,
}

struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = tokio::process::Command::new("git");
    command.args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]);
    let out = command.args(args).current_dir(dir).stdin(Stdio::null()).output().await.expect("git");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("longshore-git-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("me")).unwrap();
        git(dir.path(), &["init", "-q", "--bare", "-b", "main", "me/app.git"]).await;
        git(dir.path(), &["init", "-q", "-b", "main", "work"]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let root = dir.path().to_owned();
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let root = root.clone();
                let service = hyper::service::service_fn(move |request| backend(root.clone(), request));
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        };
        let server = Self { dir, address, _task: Task(tokio::spawn(serve)) };
        server.commit("README.md", "first").await;
        server.push("main").await;
        server
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    async fn commit(&self, file: &str, content: &str) -> String {
        let path = self.work().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        git(&self.work(), &["add", "-A"]).await;
        git(&self.work(), &["commit", "-q", "-m", content]).await;
        git(&self.work(), &["rev-parse", "HEAD"]).await
    }

    async fn push(&self, reference: &str) {
        git(&self.work(), &["push", "-q", "../me/app.git", &format!("HEAD:refs/heads/{reference}")]).await;
    }
}

/// CGI, as far as git needs it.
async fn backend(root: PathBuf, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let expected = format!("Basic {}", STANDARD.encode(format!("x-access-token:{TOKEN}")));
    let header =
        |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if header("authorization") != expected {
        let response = Response::builder().status(401).header("www-authenticate", "Basic realm=\"git\"");
        return Ok(response.body(Full::default()).unwrap());
    }
    let mut command = tokio::process::Command::new("git");
    command.arg("http-backend").env("GIT_PROJECT_ROOT", &root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("PATH_INFO", request.uri().path()).env("REQUEST_METHOD", request.method().as_str());
    command.env("QUERY_STRING", request.uri().query().unwrap_or_default());
    command
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"));
    command.env("HTTP_GIT_PROTOCOL", header("git-protocol"));
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    command.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let (written, out) = tokio::join!(
        async move {
            drop(stdin.write_all(&body).await);
        },
        child.wait_with_output()
    );
    let () = written;
    let out = out?.stdout;
    let end = out.windows(4).position(|w| w == b"\r\n\r\n").expect("CGI headers");
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&out[..end]).lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    Ok(response.body(Full::from(Bytes::from(out).slice(end + 4..))).unwrap())
}

/// The service with a connection to the server.
struct Bench {
    world: World,
    service: Arc<CodeConnections>,
    driver: Driver,
    server: Server,
}

impl Bench {
    async fn new() -> Self {
        Self::on(World::new().await, Server::start().await).await
    }

    async fn on(mut world: World, server: Server) -> Self {
        let (store, sealer) = (world.store.clone(), world.sealer.clone());
        let service =
            CodeConnections::new(store, sealer, world.clock.clone(), world.entropy.clone(), limits::POLL);
        world.serve(|ops| service.register(ops));
        drop(world.store.subscribe(EVENTS, "test").await);
        let driver = Driver::new(world.clock.clone(), Options::default());
        service.workers().into_iter().for_each(|worker| driver.start(worker));
        Self { world, service, driver, server }
    }

    async fn stop(self) -> (World, Server) {
        self.driver.stop().await;
        (self.world, self.server)
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        let answer = self.world.call(&format!("codeconnections.{operation}"), input).await;
        answer.unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    async fn refused(&self, operation: &str, input: Value) -> String {
        testkit::fault(self.world.call(&format!("codeconnections.{operation}"), input).await)
    }

    async fn create(&self, provider: &str) -> String {
        let create = json!({"ProviderType": provider, "ConnectionName": "c"});
        self.ok("CreateConnection", create).await["ConnectionArn"].as_str().unwrap().to_owned()
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let door = Door {
            peer: "127.0.0.1:4711".parse().unwrap(),
            local: "127.0.0.1:4566".parse().unwrap(),
            base: "http://here".into(),
            account: ACCOUNT.into(),
            region: REGION.into(),
            request_id: "r".into(),
            ops: self.world.ops().clone(),
        };
        let face = self.service.face();
        let (head, body) = request.into_parts();
        assert!(face.claims(&head, &door));
        let response = face.serve(door, Request::from_parts(head, body)).await;
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&text).into_owned())
    }

    async fn connect(&self, cx: Option<Cx>, arn: &str, body: &Value) -> (StatusCode, String) {
        let id = arn.rsplit('/').next().unwrap();
        let mut request =
            Request::put(format!("{CONNECTIONS}{id}")).body(kernel::face::full(body.to_string())).unwrap();
        request.extensions_mut().extend(
            cx.map(|cx| {
                let mut extensions = http::Extensions::new();
                extensions.insert(cx);
                extensions
            })
            .unwrap_or_default(),
        );
        self.send(request).await
    }

    /// A connection to the server: its ARN, its webhook's path and secret.
    async fn connected(&self) -> (String, String, String) {
        self.connected_to(self.server.address).await
    }

    async fn connected_to(&self, server: SocketAddr) -> (String, String, String) {
        let arn = self.create("GitHub").await;
        let body = json!({"url": format!("http://{server}"), "token": TOKEN});
        let (status, text) = self.connect(Some(self.world.cx()), &arn, &body).await;
        assert_eq!(status, 200, "{text}");
        let shown: Value = serde_json::from_str(&text).unwrap();
        let url = shown["webhookUrl"].as_str().unwrap().strip_prefix("http://here").unwrap().to_owned();
        (arn, url, shown["webhookSecret"].as_str().unwrap().to_owned())
    }

    async fn fetch(&self, arn: &str, branch: &str, commit: Option<&str>) -> Result<FetchSourceOutput, Fault> {
        let fetch = FetchSource {
            connection_arn: arn.into(),
            repository: "me/app".into(),
            branch: branch.into(),
            commit: commit.map(str::to_owned),
            archived: true,
        };
        self.world.cx().call(fetch).await
    }

    async fn deliver(&self, url: &str, secret: &str, event: &str, body: &Value) -> (StatusCode, String) {
        let body = with_repository(body).to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())));
        let request =
            Request::post(url).header("x-github-event", event).header("x-hub-signature-256", signature);
        self.send(request.body(kernel::face::full(body)).unwrap()).await
    }

    async fn events(&self) -> Vec<Event> {
        let messages = self.world.store.messages(EVENTS, 0, 1000).await.unwrap();
        messages.into_iter().map(|m| (*m.event).clone()).collect()
    }

    /// Waits for so many changes, and answers their details.
    async fn changes(&self, count: usize) -> Vec<Value> {
        let wake = self.world.store.watch(&[EVENTS]);
        let watch = async {
            loop {
                let events = self.events().await;
                if events.len() >= count {
                    return events;
                }
                wake.notified().await;
            }
        };
        let events = tokio::time::timeout(PATIENCE, watch).await.expect("the changes");
        assert!(events.iter().all(|event| event.internal));
        events.into_iter().map(|event| event.detail).collect()
    }
}

fn with_repository(body: &Value) -> Value {
    let mut body = body.clone();
    body["repository"] = json!({"full_name": "me/app"});
    body
}

fn files(archive: Option<std::fs::File>) -> BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(archive.unwrap()).unwrap();
    let mut all = BTreeMap::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        if file.is_file() {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            all.insert(file.name().unwrap().into_owned(), text);
        }
    }
    all
}

#[tokio::test]
async fn connections_and_hosts_are_kept() {
    let b = Bench::new().await;
    let arn = b.create("GitHub").await;
    let older = arn.replace("codeconnections", "codestar-connections");
    for arn in [&arn, &older] {
        let got = b.ok("GetConnection", json!({"ConnectionArn": arn})).await;
        assert_eq!(got["Connection"]["ConnectionStatus"], "PENDING");
    }
    let needs_host =
        b.refused("CreateConnection", json!({"ProviderType": "GitLabSelfManaged", "ConnectionName": "g"}));
    assert!(
        needs_host.await.starts_with("InvalidInputException: ProviderType GitLabSelfManaged needs HostArn")
    );
    let host = json!({"Name": "h", "ProviderType": "GitLabSelfManaged", "ProviderEndpoint": "https://git.example.com"});
    let host = b.ok("CreateHost", host).await["HostArn"].clone();
    b.ok("CreateConnection", json!({"HostArn": host, "ConnectionName": "g"})).await;
    let list = b.ok("ListConnections", json!({"ProviderTypeFilter": "GitLabSelfManaged"})).await;
    assert_eq!(list["Connections"].as_array().unwrap().len(), 1);
    let used = b.refused("DeleteHost", json!({"HostArn": host})).await;
    assert!(used.starts_with("ResourceUnavailableException"), "{used}");
    let first = b.ok("ListConnections", json!({"MaxResults": 1})).await;
    let rest = b.ok("ListConnections", json!({"MaxResults": 1, "NextToken": first["NextToken"]})).await;
    assert_eq!((&rest["Connections"][0]["ConnectionName"], &rest["NextToken"]), (&json!("g"), &Value::Null));
    b.ok("TagResource", json!({"ResourceArn": older, "Tags": [{"Key": "k", "Value": "v"}]})).await;
    let tags = b.ok("ListTagsForResource", json!({"ResourceArn": arn})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "k", "Value": "v"}]));
    b.ok("UntagResource", json!({"ResourceArn": arn, "TagKeys": ["k"]})).await;
    b.ok("DeleteConnection", json!({"ConnectionArn": arn})).await;
    let gone = b.refused("GetConnection", json!({"ConnectionArn": arn})).await;
    assert!(gone.starts_with("ResourceNotFoundException"), "{gone}");
}

#[tokio::test]
async fn who_connects_may_do_so_and_says_a_url_that_is_allowed() {
    let b = Bench::new().await;
    let arn = b.create("GitHub").await;
    let good = json!({"url": "https://git.example.com", "token": TOKEN});
    assert_eq!(b.connect(None, &arn, &good).await.0, 403);
    b.world.authority.deny("codeconnections:UpdateConnectionInstallation");
    assert_eq!(b.connect(Some(b.world.cx()), &arn, &good).await.0, 400);
    b.world.authority.allow("codeconnections:UpdateConnectionInstallation");
    let mut user = b.world.cx();
    user.caller.kind = kernel::PrincipalKind::User("u".into());
    for bad in [
        json!({"url": "file:///etc"}),
        json!({"url": format!("http://{}", b.server.address), "token": TOKEN}),
        json!({"url": "https://git.example.com", "token": "two\nlines"}),
        json!({"url": "https://git.example.com", "sshKey": "x"}),
        json!({"url": "ssh://git@git.example.com", "token": TOKEN}),
        json!({"url": "ssh://git@git.example.com", "sshKey": "-----BEGIN OPENSSH PRIVATE KEY-----"}),
        json!({"url": "https://git.example.com", "surprise": 1}),
    ] {
        let (status, text) = b.connect(Some(user.clone()), &arn, &bad).await;
        assert!(status == 400 && text.starts_with("InvalidInputException"), "{bad}: {status} {text}");
    }
    let got = b.ok("GetConnection", json!({"ConnectionArn": arn})).await;
    assert_eq!(got["Connection"]["ConnectionStatus"], "PENDING");
    assert_eq!(b.connect(Some(user), &arn, &good).await.0, 200);
    let got = b.ok("GetConnection", json!({"ConnectionArn": arn})).await;
    assert_eq!(got["Connection"]["ConnectionStatus"], "AVAILABLE");
    let unknown = "arn:aws:codeconnections:us-east-1:000000000000:connection/x";
    let (status, text) = b.connect(Some(b.world.cx()), unknown, &good).await;
    assert!(status == 400 && text.starts_with("ResourceNotFoundException"), "{text}");
}

#[tokio::test]
async fn a_commit_is_fetched_with_the_stored_token() {
    let b = Bench::new().await;
    let pending = b.create("GitHub").await;
    let fault = b.fetch(&pending, "main", None).await.err().unwrap();
    assert!(fault.is("ResourceUnavailable"), "{fault}");
    let (arn, ..) = b.connected().await;
    let first = b.fetch(&arn, "main", None).await.unwrap();
    assert_eq!(files(first.archive), BTreeMap::from([("README.md".to_owned(), "first".to_owned())]));
    assert_eq!(first.commit.message.trim_end(), "first");
    let second = b.server.commit("src/a.rs", "second").await;
    b.server.push("feature/x").await;
    let fetched = b.fetch(&arn, "feature/x", None).await.unwrap();
    assert_eq!(fetched.commit.id, second);
    assert_eq!(files(fetched.archive)["src/a.rs"], "second");
    // A commit is what it is, whatever the branch says.
    let again = b.fetch(&arn, "feature/x", Some(&first.commit.id)).await.unwrap();
    assert!(!files(again.archive).contains_key("src/a.rs"));
    for (branch, commit) in
        [("nope", None), ("main", Some(NONE)), ("main", Some("--upload-pack=x")), ("a..b", None)]
    {
        let fault = b.fetch(&arn, branch, commit).await.err().unwrap();
        assert!(fault.is("RevisionUnavailable"), "{branch} {commit:?}: {fault}");
    }
    let older = arn.replace("codeconnections", "codestar-connections");
    b.world.authority.deny("codestar-connections:UseConnection");
    assert!(b.fetch(&older, "main", None).await.err().unwrap().is("AccessDenied"));
    b.fetch(&arn, "main", None).await.unwrap();
    // A token that does not hold is said, and never shown.
    let body = json!({"url": format!("http://{}", b.server.address), "token": "another-secret"});
    assert_eq!(b.connect(Some(b.world.cx()), &arn, &body).await.0, 200);
    let fault = b.fetch(&arn, "feature/y", None).await.err().unwrap();
    assert!(
        fault.is("RepositoryUnavailable") && !format!("{fault:?}").contains("another-secret"),
        "{fault:?}"
    );
}
