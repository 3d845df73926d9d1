//! What changes is told: delivered, or seen by looking.
use super::*;

fn push(before: &str, after: &str) -> Value {
    json!({"ref": "refs/heads/main", "before": before, "after": after})
}

#[tokio::test]
async fn what_a_provider_delivers_is_told_once_with_its_files() {
    let b = Bench::new().await;
    let (arn, url, secret) = b.connected().await;
    let before = b.fetch(&arn, "main", None).await.unwrap().commit.id;
    let after = b.server.commit("src/a.rs", "second").await;
    b.server.push("main").await;
    let delivery = push(&before, &after);
    assert_eq!(b.deliver(&url, "another", "push", &delivery).await.0, 401);
    assert_eq!(b.deliver(&format!("{HOOKS}x"), &secret, "push", &delivery).await.0, 404);
    assert_eq!(b.deliver(&url, &secret, "ping", &json!({})).await.0, 200);
    let taken = b.deliver(&url, &secret, "push", &delivery).await;
    assert_eq!((taken.0, taken.1.as_str()), (StatusCode::OK, "taken\n"));
    let replayed = b.deliver(&url, &secret, "push", &delivery).await;
    assert_eq!(replayed.1, "taken before: nothing follows\n");
    let id = arn.rsplit('/').next().unwrap();
    let told = json!({
        "connection": id, "repository": "me/app", "referenceType": "branch", "referenceName": "main",
        "created": false, "commitId": after, "files": ["src/a.rs"],
    });
    assert_eq!(b.changes(1).await, [told]);

    // A pull request: its own branch's commit, and its files since it left the branch that it is for.
    let mine = b.server.commit("docs/b.md", "third").await;
    b.server.push("mine").await;
    git(&b.server.dir.path().join("me/app.git"), &["update-ref", "refs/pull/7/head", &mine]).await;
    let pull = json!({"action": "opened", "pull_request": {
        "number": 7, "head": {"ref": "mine", "sha": mine}, "base": {"ref": "main"},
    }});
    assert_eq!(b.deliver(&url, &secret, "pull_request", &pull).await.0, 200);
    let told = b.changes(2).await.pop().unwrap();
    let expected = json!({
        "connection": id, "repository": "me/app", "referenceType": "pullRequest", "referenceName": "main",
        "created": false, "commitId": mine, "files": ["docs/b.md"],
        "event": "OPEN", "number": "7", "sourceBranch": "mine",
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn repositories_without_a_webhook_are_looked_at() {
    let b = Bench::new().await;
    let (arn, ..) = b.connected().await;
    let connection = arn.rsplit('/').next().unwrap().to_owned();
    b.fetch(&arn, "main", None).await.unwrap();
    let after = b.server.commit("src/a.rs", "second").await;
    b.server.push("main").await;
    b.server.push("new").await;
    b.world.clock.advance(limits::POLL + Duration::from_secs(1));
    let followed = |repository: &str| FollowedRepository {
        account: ACCOUNT.into(),
        region: REGION.into(),
        connection: connection.clone(),
        repository: repository.into(),
    };
    // One that is not there keeps nobody from looking at the other.
    let repositories = vec![followed("me/absent"), followed("me/app")];
    b.world.cx().call(FollowRepositories { repositories }).await.unwrap();
    let told = b.changes(2).await;
    let branch = |name: &str| told.iter().find(|change| change["referenceName"] == name).unwrap();
    assert_eq!(
        (&branch("main")["commitId"], &branch("main")["files"]),
        (&json!(after), &json!(["src/a.rs"]))
    );
    assert_eq!((&branch("new")["created"], &branch("new")["files"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_silent_server_keeps_no_other_waiting() {
    let b = Bench::new().await;
    let (arn, url, secret) = b.connected().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (other, other_url, other_secret) = b.connected_to(silent.local_addr().unwrap()).await;
    b.fetch(&arn, "main", None).await.unwrap();
    let followed = |arn: &str| FollowedRepository {
        account: ACCOUNT.into(),
        region: REGION.into(),
        connection: arn.rsplit('/').next().unwrap().into(),
        repository: "me/app".into(),
    };
    let repositories = vec![followed(&arn), followed(&other)];
    b.world.cx().call(FollowRepositories { repositories }).await.unwrap();
    // It is being looked at, and will not answer.
    let (_stream, _) = tokio::time::timeout(PATIENCE, silent.accept()).await.expect("a look").unwrap();
    let before = b.server.commit("a.txt", "looked at").await;
    b.server.push("main").await;
    b.world.clock.advance(limits::POLL + Duration::from_secs(1));
    // The test's clock wakes nobody: a wake of the table does.
    let repositories = vec![
        followed(&arn),
        followed(&other),
        FollowedRepository { repository: "me/new".into(), ..followed(&other) },
    ];
    b.world.cx().call(FollowRepositories { repositories }).await.unwrap();
    assert_eq!(b.changes(1).await[0]["commitId"], json!(before));

    assert_eq!(b.deliver(&other_url, &other_secret, "push", &push(NONE, &before)).await.0, 200);
    let after = b.server.commit("a.txt", "delivered").await;
    b.server.push("main").await;
    assert_eq!(b.deliver(&url, &secret, "push", &push(&before, &after)).await.0, 200);
    assert_eq!(b.changes(2).await[1]["commitId"], json!(after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_told_once_whatever_commit_a_crash_follows() {
    let mut server = Server::start().await;
    let before = git(&server.work(), &["rev-parse", "HEAD"]).await;
    let after = server.commit("src/a.rs", "second").await;
    server.push("main").await;
    let delivery = push(&before, &after);
    for commits in 1..40 {
        let bare = server.dir.path().join("me/app.git");
        git(&bare, &["update-ref", "refs/heads/main", &before]).await;
        // The service is set up before the process that will crash.
        let b = Bench::on(World::new().await, server).await;
        let (arn, url, secret) = b.connected().await;
        b.fetch(&arn, "main", None).await.unwrap();
        git(&bare, &["update-ref", "refs/heads/main", &after]).await;
        let (world, back) = b.stop().await;
        let b = Bench::on(world.restart_with(store::Options { stop_after: Some(commits) }).await, back).await;
        let wake = b.world.store.watch(&[EVENTS, <Delivered as store::Record>::TABLE]);
        let taken = b.deliver(&url, &secret, "push", &delivery).await.0 == 200;
        let survived = loop {
            match b.world.store.messages(EVENTS, 0, 10).await {
                Ok(told) if !told.is_empty() => break true,
                Ok(_) if taken => tokio::time::timeout(PATIENCE, wake.notified()).await.expect("a commit"),
                _ => break false,
            }
        };
        let (world, back) = b.stop().await;
        // The provider sends again what it was not told was taken, and perhaps even what it was.
        let b = Bench::on(world.restart().await, back).await;
        assert_eq!(b.deliver(&url, &secret, "push", &delivery).await.0, 200, "after {commits} commits");
        let told = b.changes(1).await;
        assert_eq!((told.len(), &told[0]["commitId"]), (1, &json!(after)), "after {commits} commits");
        let (_, back) = b.stop().await;
        server = back;
        if survived {
            assert!(commits > 1, "nothing was crashed after");
            return;
        }
    }
    panic!("a delivery was never told");
}
