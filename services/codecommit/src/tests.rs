//! The API over data, and the real git against the face.
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kernel::{
    Access, Authority, Credentials, Cx, Door, Face as _, Fault, Fut, Grant, Key, Ops, Principal,
    PrincipalKind,
};
use serde_json::{Value, json};
use testkit::{ACCOUNT, REGION, Witness, World, fault};
use tokio::net::TcpListener;

use crate::CodeCommit;

/// Knows one user with Git credentials, and one key.
struct Knows(Arc<Witness>);

fn user() -> Principal {
    Principal {
        arn: format!("arn:aws:iam::{ACCOUNT}:user/dev"),
        account: ACCOUNT.into(),
        id: "AIDADEV".into(),
        kind: PrincipalKind::User("dev".into()),
        session_policies: Vec::new(),
    }
}

impl Authority for Knows {
    fn check<'a>(&'a self, cx: &'a Cx, want: &'a [Access]) -> Fut<'a, Result<(), Fault>> {
        self.0.check(cx, want)
    }
    fn assume<'a>(
        &'a self,
        service: &'static str,
        role: &'a str,
        session: &'a str,
    ) -> Fut<'a, Result<Principal, Fault>> {
        self.0.assume(service, role, session)
    }
    fn issue<'a>(
        &'a self,
        service: &'static str,
        role: &'a str,
        session: &'a str,
        policy: Option<&'a str>,
    ) -> Fut<'a, Result<Credentials, Fault>> {
        self.0.issue(service, role, session, policy)
    }
    fn key<'a>(&'a self, id: &'a str, token: Option<&'a str>) -> Fut<'a, Result<Key, Fault>> {
        if id == "AKIADEV" && token == Some("tok/en") {
            return Box::pin(async { Ok(Key { secret: "secret".into(), principal: user() }) });
        }
        self.0.key(id, token)
    }
    fn used(&self, id: &str, service: &str, region: &str) {
        self.0.used(id, service, region);
    }
    fn git_user<'a>(&'a self, name: &'a str, password: &'a str) -> Fut<'a, Result<Principal, Fault>> {
        if (name, password) == ("dev-at-0", "pass word") {
            return Box::pin(async { Ok(user()) });
        }
        self.0.git_user(name, password)
    }
    fn grant<'a>(&'a self, id: &'a str, grant: Grant) -> Fut<'a, Result<String, Fault>> {
        self.0.grant(id, grant)
    }
    fn revoke<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), Fault>> {
        self.0.revoke(id)
    }
}

struct Bench {
    world: World,
    service: Arc<CodeCommit>,
    ops: Arc<Ops>,
}

impl Bench {
    async fn new() -> Self {
        Self::over(World::new().await)
    }

    fn over(mut world: World) -> Self {
        let service = CodeCommit::new(world.store.clone(), world.clock.clone(), world.entropy.clone());
        world.serve(|ops| service.register(ops));
        let mut ops = Ops::new(Arc::new(Knows(world.authority.clone())));
        service.register(&mut ops);
        Self { world, service, ops: Arc::new(ops) }
    }

    /// Calls each operation: its input, and what the answer contains, or the whole of the error's code.
    async fn check(&self, steps: &[(&str, Value, Value)]) {
        for (operation, input, expected) in steps {
            let answer = self.world.call(&format!("codecommit.{operation}"), input.clone()).await;
            match (answer, expected) {
                (Ok(answer), Value::Object(_)) => {
                    assert!(contains(&answer, expected), "{operation}: {answer}")
                }
                (Err(fault), Value::String(code)) => assert_eq!(fault.code, *code, "{operation}: {fault:?}"),
                (answer, _) => panic!("{operation} {input}: {answer:?}"),
            }
        }
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.world
            .call(&format!("codecommit.{operation}"), input)
            .await
            .unwrap_or_else(|e| panic!("{operation}: {e}"))
    }

    /// What was told since `after`: event, full name of the ref, commit.
    async fn told(&self, after: u64) -> Vec<String> {
        let messages = self.world.store.messages(store::EVENTS, after, 100).await.unwrap();
        let text = |detail: &Value, name: &str| detail[name].as_str().unwrap_or("-").to_owned();
        let detail = messages.iter().map(|message| message.event.detail.clone());
        detail.map(|d| format!("{} {}", text(&d, "event"), text(&d, "referenceFullName"))).collect()
    }

    /// Serves the face on a port of its own; answers its address.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (face, ops) = (self.service.face(), self.ops.clone());
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (face, ops) = (face.clone(), ops.clone());
                tokio::spawn(async move {
                    let serve = service_fn(move |request: http::Request<Incoming>| {
                        let door = Door {
                            peer,
                            local: address,
                            base: format!("http://{address}"),
                            account: ACCOUNT.into(),
                            region: REGION.into(),
                            request_id: "r".into(),
                            ops: ops.clone(),
                        };
                        let face = face.clone();
                        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
                        async move { Ok::<_, std::convert::Infallible>(face.serve(door, request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), serve)
                        .await;
                });
            }
        });
        address.to_string()
    }
}

fn contains(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| answer.get(name).is_some_and(|found| contains(found, value)))
        }
        (answer, expected) => answer == expected,
    }
}

/// Runs the real git.
async fn git(folder: &Path, args: &[&str]) -> Output {
    let (folder, args) = (folder.to_owned(), args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
    let run = move || {
        let mut command = Command::new("git");
        command.current_dir(folder).args([
            "-c",
            "user.name=Dev",
            "-c",
            "user.email=dev@example.com",
            "-c",
            "init.defaultBranch=main",
        ]);
        command
            .args(args)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command.output().expect("git")
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn must(folder: &Path, args: &[&str]) -> String {
    let output = git(folder, args).await;
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn repositories_come_and_go() {
    let b = Bench::new().await;
    let arn = format!("arn:aws:codecommit:{REGION}:{ACCOUNT}:app");
    b.check(&[
        ("GetRepository", json!({"repositoryName": "app"}), json!("RepositoryDoesNotExistException")),
        ("CreateRepository", json!({"repositoryName": "app.git"}), json!("InvalidRepositoryNameException")),
        ("CreateRepository", json!({"repositoryName": "a", "kmsKeyId": "k"}), json!("NotImplemented")),
        (
            "CreateRepository",
            json!({"repositoryName": "app", "repositoryDescription": "d", "tags": {"k": "v"}}),
            json!({"repositoryMetadata": {"Arn": arn, "repositoryDescription": "d",
                "cloneUrlHttp": "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/app"}}),
        ),
        ("CreateRepository", json!({"repositoryName": "app"}), json!("RepositoryNameExistsException")),
        ("ListTagsForResource", json!({"resourceArn": arn}), json!({"tags": {"k": "v"}})),
        (
            "TagResource",
            json!({"resourceArn": arn, "tags": {"aws:k": "v"}}),
            json!("InvalidSystemTagUsageException"),
        ),
        (
            "TagResource",
            json!({"resourceArn": "arn:aws:codecommit:eu-west-1:000000000000:app", "tags": {"k": "v"}}),
            json!("InvalidResourceArnException"),
        ),
        ("UpdateRepositoryName", json!({"oldName": "app", "newName": "web"}), json!({})),
        (
            "GetRepository",
            json!({"repositoryName": "web"}),
            json!({"repositoryMetadata": {"repositoryDescription": "d"}}),
        ),
        (
            "BatchGetRepositories",
            json!({"repositoryNames": ["web", "app"]}),
            json!({"repositoriesNotFound": ["app"]}),
        ),
        (
            "UpdateDefaultBranch",
            json!({"repositoryName": "web", "defaultBranchName": "x"}),
            json!("BranchDoesNotExistException"),
        ),
        (
            "GetBranch",
            json!({"repositoryName": "web", "branchName": "main"}),
            json!("BranchDoesNotExistException"),
        ),
        (
            "GetFolder",
            json!({"repositoryName": "web", "folderPath": "/"}),
            json!("CommitDoesNotExistException"),
        ),
        ("ListRepositories", json!({"nextToken": "x"}), json!("InvalidContinuationTokenException")),
    ])
    .await;
    assert_eq!(b.service.git.ids().await.unwrap().len(), 1);
    let gone = b.call("DeleteRepository", json!({"repositoryName": "web"})).await;
    assert!(gone["repositoryId"].is_string());
    b.check(&[("DeleteRepository", json!({"repositoryName": "web"}), json!({}))]).await;
    assert!(b.service.git.ids().await.unwrap().is_empty());
}

#[tokio::test]
async fn commits_are_made_and_read_through_the_api() {
    let b = Bench::new().await;
    b.call("CreateRepository", json!({"repositoryName": "app"})).await;
    let text = |text: &str| STANDARD.encode(text);
    let put = |path: &str, content: &str| json!({"filePath": path, "fileContent": text(content)});
    let commit = |parent: Option<&str>, more: Value| {
        let mut input = json!({"repositoryName": "app", "branchName": "main", "authorName": "A", "email": "a@b", "commitMessage": "why"});
        input
            .as_object_mut()
            .unwrap()
            .extend(parent.map(|parent| ("parentCommitId".to_owned(), json!(parent))));
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    b.check(&[
        ("CreateCommit", commit(None, json!({})), json!("FileEntryRequiredException")),
        (
            "CreateCommit",
            commit(None, json!({"putFiles": [put("../x", "1")]})),
            json!("InvalidPathException"),
        ),
        (
            "CreateCommit",
            commit(Some(&"1".repeat(40)), json!({"putFiles": [put("x", "1")]})),
            json!("ParentCommitDoesNotExistException"),
        ),
        (
            "CreateCommit",
            commit(None, json!({"putFiles": [put("a", "1"), put("a/b", "2")]})),
            json!("DirectoryNameConflictsWithFileNameException"),
        ),
    ])
    .await;
    let first = b
        .call("CreateCommit", commit(None, json!({"putFiles": [put("a.txt", "one"), put("d/b.txt", "two")]})))
        .await;
    let first = first["commitId"].as_str().unwrap().to_owned();
    b.check(&[
        ("GetRepository", json!({"repositoryName": "app"}), json!({"repositoryMetadata": {"defaultBranch": "main"}})),
        ("GetBranch", json!({"repositoryName": "app", "branchName": "main"}), json!({"branch": {"commitId": first}})),
        ("GetCommit", json!({"repositoryName": "app", "commitId": first}), json!({"commit": {"message": "why", "parents": [],
            "author": {"name": "A", "email": "a@b", "date": "1767225600 +0000"}}})),
        ("GetCommit", json!({"repositoryName": "app", "commitId": "main"}), json!("InvalidCommitIdException")),
        ("GetCommit", json!({"repositoryName": "app", "commitId": "0".repeat(40)}), json!("CommitIdDoesNotExistException")),
        ("CreateCommit", commit(None, json!({"putFiles": [put("a.txt", "1")]})), json!("ParentCommitIdRequiredException")),
        ("CreateCommit", commit(Some(&first), json!({"putFiles": [put("a.txt", "one")]})), json!("NoChangeException")),
        ("PutFile", json!({"repositoryName": "app", "branchName": "main", "parentCommitId": first, "filePath": "a.txt", "fileContent": text("one")}), json!("SameFileContentException")),
        ("PutFile", json!({"repositoryName": "app", "branchName": "other", "filePath": "a.txt", "fileContent": text("one")}), json!("BranchDoesNotExistException")),
        ("GetFile", json!({"repositoryName": "app", "filePath": "d/b.txt"}), json!({"fileContent": text("two"), "fileMode": "NORMAL", "fileSize": 3})),
        ("GetFile", json!({"repositoryName": "app", "filePath": "d"}), json!("FileDoesNotExistException")),
        ("GetFile", json!({"repositoryName": "app", "filePath": "none", "commitSpecifier": "main"}), json!("FileDoesNotExistException")),
        ("CreateBranch", json!({"repositoryName": "app", "branchName": "b..d", "commitId": first}), json!("InvalidBranchNameException")),
        ("CreateBranch", json!({"repositoryName": "app", "branchName": "side", "commitId": first}), json!({})),
        ("CreateBranch", json!({"repositoryName": "app", "branchName": "side", "commitId": first}), json!("BranchNameExistsException")),
        ("DeleteBranch", json!({"repositoryName": "app", "branchName": "main"}), json!("DefaultBranchCannotBeDeletedException")),
    ])
    .await;
    let moved = json!({"putFiles": [{"filePath": "e/c.txt", "fileMode": "EXECUTABLE", "sourceFile": {"filePath": "d/b.txt", "isMove": true}}], "keepEmptyFolders": true});
    let second = b.call("CreateCommit", commit(Some(&first), moved)).await;
    let second = second["commitId"].as_str().unwrap().to_owned();
    let changed = b
        .call(
            "GetDifferences",
            json!({"repositoryName": "app", "beforeCommitSpecifier": first, "afterCommitSpecifier": "main"}),
        )
        .await;
    let changed = changed["differences"].as_array().unwrap().iter().map(|change| {
        let path = |side: &str| change[side]["path"].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", change["changeType"].as_str().unwrap(), path("beforeBlob"), path("afterBlob"))
    });
    assert_eq!(changed.collect::<Vec<_>>(), ["A - d/.gitkeep", "D d/b.txt -", "A - e/c.txt"]);
    b.check(&[
        ("CreateCommit", commit(Some(&first), json!({"putFiles": [put("z", "1")]})), json!("ParentCommitIdOutdatedException")),
        ("DeleteFile", json!({"repositoryName": "app", "branchName": "main", "filePath": "e/c.txt", "parentCommitId": second}), json!({"filePath": "e/c.txt"})),
        ("GetFolder", json!({"repositoryName": "app", "folderPath": "d", "commitSpecifier": "main"}), json!({"folderPath": "d", "subFolders": []})),
        ("DeleteBranch", json!({"repositoryName": "app", "branchName": "side"}), json!({"deletedBranch": {"commitId": first}})),
        ("ListBranches", json!({"repositoryName": "app"}), json!({"branches": ["main"]})),
    ])
    .await;
    let told = b.told(0).await;
    let main = "refs/heads/main";
    let side = "refs/heads/side";
    let expected =
        [("Created", main), ("Created", side), ("Updated", main), ("Updated", main), ("Deleted", side)];
    assert_eq!(told, expected.map(|(what, name)| format!("reference{what} {name}")));
}

#[tokio::test]
async fn git_clones_and_pushes() {
    let b = Bench::new().await;
    b.call("CreateRepository", json!({"repositoryName": "app"})).await;
    let address = b.listen().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://dev-at-0:pass%20word@{address}/v1/repos/app");
    let work = folder.path().join("work");
    must(folder.path(), &["clone", "--quiet", &url, "work"]).await;
    std::fs::write(work.join("a.txt"), "one\n").unwrap();
    std::fs::write(work.join(".gitattributes"), "a.txt export-ignore\n").unwrap();
    must(&work, &["add", "."]).await;
    must(&work, &["commit", "--quiet", "-m", "first"]).await;
    must(&work, &["tag", "v1"]).await;
    must(&work, &["push", "--quiet", "origin", "HEAD:refs/heads/trunk", "v1"]).await;
    let head = must(&work, &["rev-parse", "HEAD"]).await;
    // What git has heard of, everyone has.
    assert_eq!(b.told(0).await, ["referenceCreated refs/heads/trunk", "referenceCreated refs/tags/v1"]);
    b.check(&[
        (
            "GetRepository",
            json!({"repositoryName": "app"}),
            json!({"repositoryMetadata": {"defaultBranch": "trunk"}}),
        ),
        (
            "GetBranch",
            json!({"repositoryName": "app", "branchName": "trunk"}),
            json!({"branch": {"commitId": head}}),
        ),
    ])
    .await;
    must(folder.path(), &["clone", "--quiet", &url, "again"]).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("again/a.txt")).unwrap(), "one\n");
    // A large push comes chunked, and compressed requests are understood.
    let large: Vec<u8> =
        (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(work.join("large"), large).unwrap();
    must(&work, &["add", "."]).await;
    must(&work, &["commit", "--quiet", "-m", "large"]).await;
    must(&work, &["push", "--quiet", "origin", "HEAD:refs/heads/trunk"]).await;
    must(&folder.path().join("again"), &["pull", "--quiet"]).await;
    // Hooks and histories: what is not a fast-forward is the client's to force, the default branch stays.
    let refused = git(&work, &["push", "--quiet", "origin", ":refs/heads/trunk"]).await;
    assert!(!refused.status.success());
    let archive = api::internal::UploadArchive { repository_name: "app".into(), commit_id: head.clone() };
    let zip =
        b.world.cx().call(archive).await.unwrap().archive.into_body().collect().await.unwrap().to_bytes();
    let holds = |name: &str| zip.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(zip.starts_with(b"PK") && holds("a.txt"), "an archive holds what the commit holds");
    let archive = api::internal::UploadArchive { repository_name: "app".into(), commit_id: "HEAD".into() };
    assert!(fault(b.world.cx().call(archive).await.map(|_| ())).starts_with("CommitDoesNotExistException"));
    for action in ["codecommit:UploadArchive", "codecommit:GetUploadArchiveStatus"] {
        b.world.authority.deny(action);
        let archive = api::internal::UploadArchive { repository_name: "app".into(), commit_id: head.clone() };
        let refused = fault(b.world.cx().call(archive).await.map(|_| ()));
        assert!(refused.starts_with("AccessDenied") && refused.contains(action), "{refused}");
        b.world.authority.allow(action);
    }
}

#[tokio::test]
async fn builds_get_clones() {
    let b = Bench::new().await;
    b.call("CreateRepository", json!({"repositoryName": "app"})).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://dev-at-0:pass%20word@{}/v1/repos/app", b.listen().await);
    must(folder.path(), &["init", "--quiet", "work"]).await;
    let work = folder.path().join("work");
    let mut commits = Vec::new();
    for text in ["one", "two", "three"] {
        std::fs::write(work.join("a.txt"), text).unwrap();
        must(&work, &["add", "."]).await;
        must(&work, &["commit", "--quiet", "-m", text]).await;
        commits.push(must(&work, &["rev-parse", "HEAD"]).await);
    }
    must(&work, &["tag", "v1", &commits[0]]).await;
    must(&work, &["push", "--quiet", &url, "main", "v1"]).await;

    let cloned = async |version: Option<&str>, depth: Option<u32>, name: &str| {
        let into = folder.path().join(name);
        let clone = api::internal::CloneRepository {
            repository_name: "app".into(),
            version: version.map(str::to_owned),
            depth,
            into: into.clone(),
        };
        let output = b.world.cx().call(clone).await?;
        let count = must(&into, &["rev-list", "--count", "HEAD"]).await;
        let text = std::fs::read_to_string(into.join("a.txt")).unwrap();
        assert_eq!(must(&into, &["rev-parse", "HEAD"]).await, output.commit_id);
        assert_eq!(must(&into, &["status", "--porcelain"]).await, "");
        Ok::<_, kernel::Fault>((output.commit_id, text, count))
    };
    let found = |index: usize, text: &str, count: &str| (commits[index].clone(), text.into(), count.into());
    assert_eq!(cloned(None, None, "whole").await.unwrap(), found(2, "three", "3"));
    assert_eq!(cloned(Some("v1"), None, "tag").await.unwrap(), found(0, "one", "1"));
    assert_eq!(cloned(Some("refs/heads/main"), Some(1), "shallow").await.unwrap(), found(2, "three", "1"));
    // A commit that is no branch's head, out of a shallow clone's reach.
    assert_eq!(cloned(Some(&commits[1]), Some(1), "middle").await.unwrap(), found(1, "two", "1"));
    let whole = folder.path().join("whole");
    let origin = must(&whole, &["remote", "get-url", "origin"]).await;
    assert_eq!(origin, "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/app");
    assert_eq!(
        must(&whole, &["describe", "--tags", "origin/main"]).await,
        format!("v1-2-g{}", &commits[2][..7])
    );
    let refused = fault(cloned(Some("none"), None, "none").await);
    assert!(refused.starts_with("CommitDoesNotExistException"), "{refused}");
    b.world.authority.deny("codecommit:GitPull");
    assert!(fault(cloned(None, None, "denied").await).starts_with("AccessDenied"));
}

#[tokio::test]
async fn git_is_refused() {
    let b = Bench::new().await;
    b.call("CreateRepository", json!({"repositoryName": "app"})).await;
    let address = b.listen().await;
    let folder = tempfile::tempdir().unwrap();
    let says = async |user: &str, path: &str| {
        let url = format!("http://{user}{address}{path}");
        let output = git(folder.path(), &["ls-remote", &url]).await;
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let ok = "dev-at-0:pass%20word@";
    assert!(says(ok, "/v1/repos/app").await.0);
    assert!(says(ok, "/v1/repos/app.git").await.0);
    for (user, path, text) in [
        ("", "/v1/repos/app", "could not read Username"),
        ("dev-at-0:wrong@", "/v1/repos/app", "403"),
        (ok, "/v1/repos/none", "not found"),
        (ok, "/v1/repos/..%2fapp", "not found"),
    ] {
        let (success, said) = says(user, path).await;
        assert!(!success && said.contains(text), "{user} {path}: {said}");
    }
    b.world.authority.deny("codecommit:GitPull");
    let (success, said) = says(ok, "/v1/repos/app").await;
    assert!(!success && said.contains("not authorized to perform: codecommit:GitPull"), "{said}");
    assert!(
        b.world
            .authority
            .asked()
            .contains(&("codecommit:GitPull".into(), format!("arn:aws:codecommit:{REGION}:{ACCOUNT}:app")))
    );
}

#[tokio::test]
async fn refs_that_were_not_told_are_told_at_the_start() {
    let b = Bench::new().await;
    b.call("CreateRepository", json!({"repositoryName": "app"})).await;
    let id = b.service.git.ids().await.unwrap().remove(0);
    let repo = b.service.git.repo(&id);
    let author = crate::git::Author { name: "A".into(), email: String::new(), at: 1 };
    let mut tree = crate::git::Tree::default();
    let blob = repo.write_blob(b"x".to_vec()).await.unwrap();
    tree.put("x", crate::git::Entry { mode: "100644".into(), id: blob }).unwrap();
    let tree = repo.write_tree(&tree).await.unwrap();
    let commit = repo.write_commit(&tree, None, &author, "why").await.unwrap();
    // As if the process had been killed between git's work and ours.
    assert!(repo.move_branch("main", crate::git::NONE, &commit).await.unwrap());
    let b = Bench::over(b.world.restart().await);
    for _ in 0..2 {
        b.service.workers()[0].run().await.unwrap();
        assert_eq!(b.told(0).await, ["referenceCreated refs/heads/main"]);
    }
}
