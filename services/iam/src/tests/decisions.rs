use kernel::{Access, ResourcePolicy};
use serde_json::json;

use super::*;

/// The whole of it: what is attached decides at once, and refusals say in AWS's words what is missing.
#[tokio::test]
async fn every_call_is_decided() {
    let setup = setup().await;
    let bounded = iam_arn("policy/bound");
    let not = |why: &str| {
        json!(format!(
            "AccessDeniedException: User: {} is not authorized to perform: iam:ListUsers on resource: *{why}",
            iam_arn("user/alice")
        ))
    };
    let deny = allow("iam:*", "*").replace("Allow", "Deny");
    setup
        .check(vec![
            ("root", "CreateUser", json!({"UserName": "alice"}), json!({})),
            ("alice", "ListUsers", json!({}), not(" because no identity-based policy allows the iam:ListUsers action")),
            ("root", "PutUserPolicy", json!({"UserName": "alice", "PolicyName": "p", "PolicyDocument": allow("iam:List*", "*")}), json!({})),
            ("alice", "ListUsers", json!({}), json!({"Users": [{}]})),
            ("alice", "CreateUser", json!({"UserName": "x"}), json!("AccessDeniedException: User: arn:aws:iam::000000000000:user/alice is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::000000000000:user/x because")),
            ("root", "CreatePolicy", json!({"PolicyName": "bound", "PolicyDocument": allow("iam:Get*", "*")}), json!({})),
            ("root", "PutUserPermissionsBoundary", json!({"UserName": "alice", "PermissionsBoundary": bounded}), json!({})),
            ("alice", "ListUsers", json!({}), not(" because no permissions boundary allows the iam:ListUsers action")),
            ("root", "CreatePolicyVersion", json!({"PolicyArn": bounded, "PolicyDocument": allow("*", "*"), "SetAsDefault": true}), json!({})),
            ("alice", "ListUsers", json!({}), json!({})),
            ("root", "CreateGroup", json!({"GroupName": "g"}), json!({})),
            ("root", "PutGroupPolicy", json!({"GroupName": "g", "PolicyName": "no", "PolicyDocument": deny}), json!({})),
            ("alice", "ListUsers", json!({}), json!({})),
            ("root", "AddUserToGroup", json!({"GroupName": "g", "UserName": "alice"}), json!({})),
            ("alice", "ListUsers", json!({}), not(" with an explicit deny in an identity-based policy")),
            ("root", "DeleteGroup", json!({"GroupName": "g"}), json!("DeleteConflict")),
            ("root", "RemoveUserFromGroup", json!({"GroupName": "g", "UserName": "alice"}), json!({})),
            ("alice", "ListUsers", json!({}), json!({})),
            ("alice", "sts.GetCallerIdentity", json!({}), json!({"Arn": iam_arn("user/alice"), "Account": ACCOUNT})),
            ("root", "SimulatePrincipalPolicy", json!({"PolicySourceArn": iam_arn("user/alice"), "ActionNames": ["iam:ListRoles", "s3:PutObject"]}), json!({"EvaluationResults": [{"EvalDecision": "allowed"}, {"EvalDecision": "implicitDeny"}]})),
        ])
        .await;
    // Variables, PassRole's condition, resource policies.
    let own = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:*AccessKey*", "Resource": iam_arn("user/${aws:username}")},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}},
    ]});
    setup
        .check(vec![
            (
                "root",
                "PutUserPolicy",
                json!({"UserName": "alice", "PolicyName": "p", "PolicyDocument": own.to_string()}),
                json!({}),
            ),
            ("root", "CreateUser", json!({"UserName": "bob"}), json!({})),
            ("alice", "CreateAccessKey", json!({}), json!({"AccessKey": {"UserName": "alice"}})),
            ("alice", "CreateAccessKey", json!({"UserName": "bob"}), json!("AccessDeniedException")),
        ])
        .await;
    let alice = setup.cx("alice").await;
    let nobody = setup.world.ops().enter(kernel::Principal::anonymous(), REGION, "r");
    for (principal, allowed) in
        [(r#""*""#, true), (r#"{"AWS":"*"}"#, true), (r#"{"AWS":"000000000000"}"#, false)]
    {
        assert_eq!(nobody.authorize(&[bucket(principal, ACCOUNT)]).await.is_ok(), allowed, "{principal}");
    }
    assert!(nobody.authorize(&[Access::new("s3:GetObject", "arn:aws:s3:::b/k")]).await.is_err());
    // What cannot be read lets nobody but the root user, who must be able to mend it.
    let mut unreadable = bucket(r#""*""#, ACCOUNT);
    unreadable.policy.iter_mut().for_each(|policy| policy.document = Some("{}".into()));
    assert!(nobody.authorize(std::slice::from_ref(&unreadable)).await.is_err());
    assert!(setup.world.cx().authorize(&[unreadable]).await.is_ok());
    for (access, allowed) in [
        (Access::pass_role(iam_arn("role/r"), "ecs-tasks.amazonaws.com"), true),
        (Access::pass_role(iam_arn("role/r"), "ec2.amazonaws.com"), false),
        (bucket(r#"{"AWS":"arn:aws:iam::000000000000:user/alice"}"#, ACCOUNT), true),
        (bucket(r#"{"AWS":"000000000000"}"#, ACCOUNT), false),
        (bucket(r#"{"AWS":"arn:aws:iam::000000000000:user/alice"}"#, "111111111111"), false),
        (Access::new("s3:GetObject", "arn:aws:s3:::b/k"), false),
    ] {
        assert_eq!(alice.authorize(std::slice::from_ref(&access)).await.is_ok(), allowed, "{access:?}");
    }
}

fn bucket(principal: &str, account: &str) -> Access {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}}}"#
    );
    let policy = Some(ResourcePolicy { document: Some(document), account: account.into() });
    Access { policy, ..Access::new("s3:GetObject", "arn:aws:s3:::b/k") }
}

#[tokio::test]
async fn roles_are_assumed_by_whom_they_trust() {
    let setup = setup().await;
    let role = |name: &str| iam_arn(&format!("role/{name}"));
    let assume = |name: &str, more: Value| {
        let mut input = json!({"RoleArn": role(name), "RoleSessionName": "s1"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let refused = |name: &str| {
        json!(format!(
            "AccessDeniedException: User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            iam_arn("user/alice"),
            role(name)
        ))
    };
    setup
        .check(vec![
            ("root", "CreateUser", json!({"UserName": "alice"}), json!({})),
            ("root", "CreateRole", json!({"RoleName": "named", "AssumeRolePolicyDocument": trust(json!({"AWS": iam_arn("user/alice")}))}), json!({})),
            ("root", "CreateRole", json!({"RoleName": "anyone", "AssumeRolePolicyDocument": trust(json!({"AWS": iam_arn("root")}))}), json!({})),
            ("root", "CreateRole", json!({"RoleName": "tasks", "AssumeRolePolicyDocument": tasks()}), json!({})),
            ("alice", "sts.AssumeRole", assume("named", json!({})), json!({"AssumedRoleUser": {"Arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/named/s1")}})),
            ("alice", "sts.AssumeRole", assume("anyone", json!({})), refused("anyone")),
            ("alice", "sts.AssumeRole", assume("tasks", json!({})), refused("tasks")),
            ("alice", "sts.AssumeRole", assume("none", json!({})), refused("none")),
            ("root", "sts.AssumeRole", assume("anyone", json!({})), json!("AccessDeniedException: Roles may not be assumed by root accounts.")),
            ("root", "PutUserPolicy", json!({"UserName": "alice", "PolicyName": "p", "PolicyDocument": allow("sts:AssumeRole", "*")}), json!({})),
            ("alice", "sts.AssumeRole", assume("anyone", json!({})), json!({"Credentials": {}})),
            ("alice", "sts.AssumeRole", assume("tasks", json!({})), refused("tasks")),
            ("alice", "sts.AssumeRole", assume("anyone", json!({"DurationSeconds": 3601})), json!("ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration")),
            ("alice", "sts.AssumeRole", assume("anyone", json!({"Policy": "{}"})), json!("MalformedPolicyDocument")),
            ("tasks/t1", "sts.GetCallerIdentity", json!({}), json!({"Arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/tasks/t1")})),
        ])
        .await;
    let other = setup.iam.assume("codebuild.amazonaws.com", &role("tasks"), "b").await.unwrap_err();
    assert!(other.is("AccessDenied") && other.message.contains("trust policy does not allow"), "{other}");
    assert!(setup.iam.assume("ecs-tasks.amazonaws.com", &role("none"), "b").await.is_err());
    assert!(setup.iam.assume("ecs-tasks.amazonaws.com", "no arn", "b").await.is_err());
}

/// A commit that another server made is seen after the worker's pass.
#[tokio::test]
async fn the_directory_forgets_what_others_change() {
    let one = setup().await;
    one.call("root", "CreateUser", json!({"UserName": "alice"})).await.unwrap();
    assert!(one.call("alice", "ListUsers", json!({})).await.is_err());
    let deps = || Deps {
        store: one.world.store.clone(),
        sealer: one.world.sealer.clone(),
        clock: one.world.clock.clone(),
        entropy: one.world.entropy.clone(),
    };
    let other = Iam::new(deps());
    let put = |user: &mut crate::records::User| {
        user.held.inline.insert("p".into(), allow("iam:ListUsers", "*"));
        Ok(())
    };
    other.change(ACCOUNT, "alice", put).await.unwrap();
    assert!(one.call("alice", "ListUsers", json!({})).await.is_err(), "it is kept until then");
    one.iam.workers()[0].run().await.unwrap();
    one.call("alice", "ListUsers", json!({})).await.unwrap();
}
