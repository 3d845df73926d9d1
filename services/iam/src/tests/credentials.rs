use std::net::{IpAddr, Ipv4Addr};

use http::{Method, Request};
use http_body_util::BodyExt;
use kernel::{Clock, Door, Grant, face};
use serde_json::json;

use super::*;

#[tokio::test]
async fn sessions_are_sealed_narrowed_and_end() {
    let setup = setup().await;
    let role = iam_arn("role/anyone");
    setup
        .check(vec![
            ("root", "CreateUser", json!({"UserName": "alice"}), json!({})),
            (
                "root",
                "PutUserPolicy",
                json!({"UserName": "alice", "PolicyName": "p", "PolicyDocument": allow("sts:*", "*")}),
                json!({}),
            ),
            (
                "root",
                "CreateRole",
                json!({"RoleName": "anyone", "AssumeRolePolicyDocument": trust(json!({"AWS": ACCOUNT}))}),
                json!({}),
            ),
            (
                "root",
                "AttachRolePolicy",
                json!({"RoleName": "anyone", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
                json!({}),
            ),
        ])
        .await;
    let session = json!({"RoleArn": role, "RoleSessionName": "s1", "DurationSeconds": 900, "Policy": allow("iam:ListUsers", "*")});
    let answer = setup.call("alice", "sts.AssumeRole", session).await.unwrap();
    let text = |name: &str| answer["Credentials"][name].as_str().unwrap().to_owned();
    let (id, token) = (text("AccessKeyId"), text("SessionToken"));
    let key = setup.iam.key(&id, Some(&token)).await.unwrap();
    assert_eq!(key.secret, text("SecretAccessKey"));
    let cx = setup.world.ops().enter(key.principal, REGION, "r");
    setup.world.call_as(&cx, "iam.ListUsers", json!({})).await.unwrap();
    let narrowed = setup.world.call_as(&cx, "iam.ListRoles", json!({})).await.unwrap_err();
    assert!(
        narrowed.message.ends_with("because no session policy allows the iam:ListRoles action"),
        "{narrowed}"
    );

    let mut altered = token.clone();
    altered.replace_range(80..81, if &token[80..81] == "A" { "B" } else { "A" });
    for (id, token) in
        [(&*id, Some(&*altered)), ("ASIAOTHER", Some(&*token)), (&*id, None), ("AKIANOBODY", None)]
    {
        let fault = setup.iam.key(id, token).await.map(|_| ()).unwrap_err();
        assert!(fault.is("InvalidClientTokenId"), "{fault}");
    }
    setup.world.clock.advance(std::time::Duration::from_secs(899));
    assert!(setup.iam.key(&id, Some(&token)).await.is_ok());
    setup.world.clock.advance(std::time::Duration::from_secs(1));
    assert!(setup.iam.key(&id, Some(&token)).await.map(|_| ()).unwrap_err().is("ExpiredToken"));

    // A role made anew under the same name is another role.
    let again = setup.iam.issue("ecs-tasks.amazonaws.com", &role, "s", None).await;
    assert!(again.is_err(), "the role does not trust ECS");
    let session = setup.call("alice", "sts.GetSessionToken", json!({})).await.unwrap();
    let text = |name: &str| session["Credentials"][name].as_str().unwrap().to_owned();
    let (id, token) = (text("AccessKeyId"), text("SessionToken"));
    assert_eq!(setup.iam.key(&id, Some(&token)).await.unwrap().principal.arn, iam_arn("user/alice"));
    setup
        .check(vec![
            ("root", "DeleteUserPolicy", json!({"UserName": "alice", "PolicyName": "p"}), json!({})),
            ("root", "DeleteUser", json!({"UserName": "alice"}), json!({})),
            ("root", "CreateUser", json!({"UserName": "alice"}), json!({})),
        ])
        .await;
    assert!(setup.iam.key(&id, Some(&token)).await.map(|_| ()).unwrap_err().is("InvalidClientTokenId"));
}

#[tokio::test]
async fn keys_survive_a_restart_and_can_be_turned_off() {
    let setup = setup().await;
    let root = setup.iam.root_key(ACCOUNT).await.unwrap();
    setup.call("root", "CreateUser", json!({"UserName": "alice"})).await.unwrap();
    let created = setup.call("root", "CreateAccessKey", json!({"UserName": "alice"})).await.unwrap();
    let id = created["AccessKey"]["AccessKeyId"].as_str().unwrap().to_owned();
    let setup = serve(setup.world.restart().await).await;
    assert!(setup.iam.root_key(ACCOUNT).await.unwrap() == root, "the root key stays");
    assert_eq!(setup.iam.key(&root.access_key_id, None).await.unwrap().principal.arn, iam_arn("root"));
    let key = setup.iam.key(&id, None).await.unwrap();
    assert_eq!(
        (Some(&*key.secret), &*key.principal.arn),
        (created["AccessKey"]["SecretAccessKey"].as_str(), &*iam_arn("user/alice"))
    );
    for (op, input) in [
        ("UpdateAccessKey", json!({"UserName": "alice", "AccessKeyId": id, "Status": "Inactive"})),
        ("DeleteAccessKey", json!({"UserName": "alice", "AccessKeyId": id})),
    ] {
        setup.call("root", op, input).await.unwrap();
        assert!(setup.iam.key(&id, None).await.is_err(), "after {op}");
    }
    let files =
        std::fs::read_dir(setup.world.store.dir()).unwrap().flatten().filter(|file| file.path().is_file());
    let stored: Vec<u8> = files.flat_map(|file| std::fs::read(file.path()).unwrap()).collect();
    let id = root.access_key_id.as_bytes();
    assert!(stored.windows(id.len()).any(|window| window == id), "the files hold the state");
    let secret = root.secret_access_key.as_bytes();
    assert!(!stored.windows(secret.len()).any(|window| window == secret), "secrets are sealed at rest");
}

#[tokio::test]
async fn the_last_use_of_a_key() {
    let setup = setup().await;
    let mut ids = Vec::new();
    for user in ["alice", "bob"] {
        setup.call("root", "CreateUser", json!({"UserName": user})).await.unwrap();
        let made = setup.call("root", "CreateAccessKey", json!({"UserName": user})).await.unwrap();
        ids.push(made["AccessKey"]["AccessKeyId"].as_str().unwrap().to_owned());
    }
    let (id, other) = (&*ids[0], &*ids[1]);
    let asked = async |setup: &Setup, id: &str, user: &str, used: Value| {
        let expected = json!({"UserName": user, "AccessKeyLastUsed": used});
        setup.check(vec![("root", "GetAccessKeyLastUsed", json!({"AccessKeyId": id}), expected)]).await;
    };
    let never = || json!({"LastUsedDate": null, "ServiceName": "N/A", "Region": "N/A"});
    let at = |setup: &Setup, service: &str, region: &str| {
        let date = kernel::json::to_value(&api::iam::AccessKeyLastUsed {
            last_used_date: Some(setup.world.clock.now()),
            ..Default::default()
        });
        json!({"LastUsedDate": date["LastUsedDate"], "ServiceName": service, "Region": region})
    };
    asked(&setup, id, "alice", never()).await;
    setup.iam.used(id, "s3", REGION);
    setup.iam.used("ASIASESSION", "s3", REGION);
    setup.iam.used(id, &"s".repeat(1000), REGION);
    let first = at(&setup, "s3", REGION);
    asked(&setup, id, "alice", first.clone()).await;
    let commits = setup.world.store.counts().commits;
    setup.iam.save_uses().await.unwrap();
    setup.iam.save_uses().await.unwrap();
    assert_eq!(setup.world.store.counts().commits, commits + 1, "what is written is not written again");
    setup.world.clock.advance(std::time::Duration::from_secs(60));
    setup.iam.used(id, "sts", "eu-west-1");
    asked(&setup, id, "alice", at(&setup, "sts", "eu-west-1")).await;
    asked(&setup, other, "bob", never()).await;

    // Killed: the use before is known still.
    let setup = serve(setup.world.restart().await).await;
    asked(&setup, id, "alice", first).await;
    for id in [id, other] {
        setup.iam.used(id, "ecs", REGION);
    }
    let last = at(&setup, "ecs", REGION);
    let delete = json!({"UserName": "bob", "AccessKeyId": other});
    setup.call("root", "DeleteAccessKey", delete).await.unwrap();
    setup.iam.save_uses().await.unwrap();
    let setup = serve(setup.world.restart().await).await;
    asked(&setup, id, "alice", last).await;
    let uses = setup.world.store.all::<crate::records::KeyUse>(store::Key::all()).await.unwrap();
    assert_eq!(uses.len(), 1, "a deleted key leaves none: {uses:?}");

    let mine = allow("iam:GetAccessKeyLastUsed", &iam_arn("user/alice"));
    let policy = json!({"UserName": "bob", "PolicyName": "p", "PolicyDocument": mine});
    setup.call("root", "PutUserPolicy", policy).await.unwrap();
    let denied = json!("AccessDenied");
    setup
        .check(vec![
            ("bob", "GetAccessKeyLastUsed", json!({"AccessKeyId": id}), json!({"UserName": "alice"})),
            ("bob", "GetAccessKeyLastUsed", json!({"AccessKeyId": other}), denied.clone()),
            ("alice", "GetAccessKeyLastUsed", json!({"AccessKeyId": id}), denied),
            ("root", "GetAccessKeyLastUsed", json!({"AccessKeyId": other}), json!("NoSuchEntity")),
        ])
        .await;
}

#[tokio::test]
async fn git_credentials() {
    let setup = setup().await;
    let service = "codecommit.amazonaws.com";
    setup
        .check(vec![
            ("root", "CreateUser", json!({"UserName": "alice"}), json!({})),
            (
                "root",
                "CreateServiceSpecificCredential",
                json!({"UserName": "alice", "ServiceName": "x.amazonaws.com"}),
                json!("NoSuchEntity"),
            ),
        ])
        .await;
    let input = json!({"UserName": "alice", "ServiceName": service});
    let made = setup.call("root", "CreateServiceSpecificCredential", input.clone()).await.unwrap();
    let text =
        |value: &Value, name: &str| value["ServiceSpecificCredential"][name].as_str().unwrap().to_owned();
    let (name, password) = (text(&made, "ServiceUserName"), text(&made, "ServicePassword"));
    assert_eq!(name, format!("alice-at-{ACCOUNT}"));
    assert_eq!(setup.iam.git_user(&name, &password).await.unwrap().arn, iam_arn("user/alice"));
    assert!(setup.iam.git_user(&name, "wrong").await.is_err());
    let second = setup.call("root", "CreateServiceSpecificCredential", input.clone()).await.unwrap();
    assert_ne!(text(&second, "ServiceUserName"), name);
    let id = json!({"UserName": "alice", "ServiceSpecificCredentialId": text(&made, "ServiceSpecificCredentialId")});
    let reset = setup.call("root", "ResetServiceSpecificCredential", id.clone()).await.unwrap();
    assert!(setup.iam.git_user(&name, &password).await.is_err(), "the old password is over");
    assert!(setup.iam.git_user(&name, &text(&reset, "ServicePassword")).await.is_ok());
    let off = json!({"UserName": "alice", "ServiceSpecificCredentialId": text(&made, "ServiceSpecificCredentialId"), "Status": "Inactive"});
    setup
        .check(vec![
            ("root", "CreateServiceSpecificCredential", input, json!("LimitExceeded")),
            (
                "root",
                "ListServiceSpecificCredentials",
                json!({"UserName": "alice"}),
                json!({"ServiceSpecificCredentials": [{"ServiceUserName": name}, {"Status": "Active"}]}),
            ),
            ("root", "UpdateServiceSpecificCredential", off, json!({})),
        ])
        .await;
    assert!(setup.iam.git_user(&name, &text(&reset, "ServicePassword")).await.is_err(), "it is turned off");
    setup.check(vec![("root", "DeleteServiceSpecificCredential", id, json!({}))]).await;
}

#[tokio::test]
async fn containers_fetch_credentials_from_their_own_address_only() {
    let setup = setup().await;
    let role = json!({"RoleName": "tasks", "AssumeRolePolicyDocument": tasks()});
    setup.call("root", "CreateRole", role).await.unwrap();
    let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    let grant = |last| Grant {
        through: None,
        service: "ecs-tasks.amazonaws.com",
        role_arn: iam_arn("role/tasks"),
        session: "t1".into(),
        address: address(last),
    };
    let uri = setup.iam.grant("task/t1", grant(5)).await.unwrap();
    let setup = serve(setup.world.restart().await).await;
    assert_eq!(setup.iam.grant("task/t1", grant(6)).await.unwrap(), uri, "a grant's URI stays");
    let fetch = async |method: Method, uri: &str, last: u8| {
        let door = Door {
            peer: (address(last), 40_000).into(),
            local: (address(1), 80).into(),
            base: String::new(),
            account: ACCOUNT.into(),
            region: REGION.into(),
            request_id: "r".into(),
            ops: setup.world.ops().clone(),
        };
        let request = Request::builder().method(method).uri(uri).body(face::full("")).unwrap();
        let response = setup.iam.face().serve(door, request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (status, body) = fetch(Method::GET, &uri, 6).await;
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    assert_eq!((status, text("RoleArn")), (200, iam_arn("role/tasks")));
    let key = setup.iam.key(&text("AccessKeyId"), Some(&text("Token"))).await.unwrap();
    assert_eq!(key.principal.arn, format!("arn:aws:sts::{ACCOUNT}:assumed-role/tasks/t1"));
    assert_eq!(fetch(Method::GET, &uri, 5).await.0, 400, "another container's address");
    assert_eq!(fetch(Method::GET, "/v2/credentials/guess", 6).await.0, 400);
    assert_eq!(fetch(Method::POST, &uri, 6).await.0, 405);
    setup.iam.revoke("task/t1").await.unwrap();
    setup.iam.revoke("task/t1").await.unwrap();
    assert_eq!(fetch(Method::GET, &uri, 6).await.0, 400, "after the task has ended");
}
