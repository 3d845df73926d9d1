use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{Method, Request};
use http_body_util::BodyExt;
use kernel::{Access, Authority, Cx, Door, Fault, Grant, ResourcePolicy, face};
use serde_json::{Value, json};
use testkit::{ACCOUNT, REGION, World};

use crate::{Deps, Iam};

struct Setup {
    world: World,
    iam: Arc<Iam>,
}

async fn serve(mut world: World) -> Setup {
    let iam = Iam::new(Deps {
        store: world.store.clone(),
        sealer: world.sealer.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
    });
    world.serve_under(iam.clone(), |ops| iam.register(ops));
    Setup { world, iam }
}

async fn setup() -> Setup {
    serve(World::new().await).await
}

impl Setup {
    /// `root`, a user by name, or `role/SESSION` assumed by ECS.
    async fn cx(&self, who: &str) -> Cx {
        let principal = match who.split_once('/') {
            _ if who == "root" => return self.world.cx(),
            Some((role, session)) => {
                let role = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
                self.iam.assume("ecs-tasks.amazonaws.com", &role, session).await.unwrap()
            }
            None => {
                let user = self.iam.get::<crate::records::User>(ACCOUNT, who).await.unwrap();
                crate::directory::user_principal(ACCOUNT, &user.value)
            }
        };
        self.world.ops().enter(principal, REGION, "test-request")
    }

    async fn call(&self, who: &str, op: &str, input: Value) -> Result<Value, Fault> {
        let op = if op.contains('.') { op.to_owned() } else { format!("iam.{op}") };
        self.world.call_as(&self.cx(who).await, &op, input).await
    }

    /// Each step: who calls what with what, and what the answer holds; text is the error's beginning.
    async fn check(&self, steps: Vec<(&str, &str, Value, Value)>) {
        for (who, op, input, expected) in steps {
            let answer = self.call(who, op, input.clone()).await;
            match (expected.as_str(), answer) {
                (Some(words), Err(fault)) => {
                    assert!(
                        fault.to_string().starts_with(words),
                        "{who} {op} {input}:\n{fault}\nnot\n{words}"
                    );
                }
                (None, Ok(answer)) => {
                    assert!(
                        holds(&answer, &expected),
                        "{who} {op} {input}:\n{answer:#}\nholds not\n{expected:#}"
                    );
                }
                (_, answer) => panic!("{who} {op} {input}: {answer:?}, not {expected}"),
            }
        }
    }
}

/// Whether the answer has all that is expected: of objects the members, of lists the items one by one.
fn holds(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => expected.iter().all(|(name, value)| {
            answer.get(name).is_some_and(|found| holds(found, value))
                || value.is_null() && !answer.contains_key(name)
        }),
        (Value::Array(answer), Value::Array(expected)) => {
            answer.len() == expected.len() && answer.iter().zip(expected).all(|(a, b)| holds(a, b))
        }
        _ => answer == expected,
    }
}

fn allow(action: &str, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}).to_string()
}

fn trust(principal: Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn tasks() -> String {
    trust(json!({"Service": "ecs-tasks.amazonaws.com"}))
}

fn iam_arn(resource: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{resource}")
}

#[tokio::test]
async fn users_from_first_to_last() {
    let own = allow("s3:*", "*");
    setup()
        .await
        .check(vec![
            (
                "root",
                "CreateUser",
                json!({"UserName": "Alice", "Path": "/dev/", "Tags": [{"Key": "team", "Value": "x"}]}),
                json!({"User": {"Arn": iam_arn("user/dev/Alice"), "Path": "/dev/"}}),
            ),
            (
                "root",
                "CreateUser",
                json!({"UserName": "alice"}),
                json!("EntityAlreadyExists: User with name alice already exists."),
            ),
            (
                "root",
                "CreateUser",
                json!({"UserName": "bob", "Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]}),
                json!("InvalidInput: Duplicate tag keys found: a"),
            ),
            ("root", "CreateUser", json!({"UserName": "bob"}), json!({})),
            (
                "root",
                "GetUser",
                json!({"UserName": "ALICE"}),
                json!({"User": {"UserName": "Alice", "Tags": [{"Key": "team", "Value": "x"}]}}),
            ),
            ("root", "GetUser", json!({}), json!({"User": {"Arn": iam_arn("root"), "UserId": ACCOUNT}})),
            (
                "root",
                "GetUser",
                json!({"UserName": "eve"}),
                json!("NoSuchEntity: The user with name eve cannot be found."),
            ),
            (
                "root",
                "ListUsers",
                json!({"PathPrefix": "/dev/"}),
                json!({"Users": [{"UserName": "Alice"}], "IsTruncated": false, "Marker": null}),
            ),
            (
                "root",
                "ListUsers",
                json!({"MaxItems": 1}),
                json!({"Users": [{"UserName": "Alice"}], "IsTruncated": true}),
            ),
            ("root", "ListUsers", json!({"Marker": "no"}), json!("ValidationError: Invalid Marker: no")),
            (
                "root",
                "TagUser",
                json!({"UserName": "Alice", "Tags": [{"Key": "Team", "Value": "y"}]}),
                json!({}),
            ),
            (
                "root",
                "ListUserTags",
                json!({"UserName": "Alice"}),
                json!({"Tags": [{"Key": "Team", "Value": "y"}]}),
            ),
            ("root", "UntagUser", json!({"UserName": "Alice", "TagKeys": ["team", "other"]}), json!({})),
            ("root", "GetUser", json!({"UserName": "Alice"}), json!({"User": {"Tags": null}})),
            (
                "root",
                "PutUserPolicy",
                json!({"UserName": "Alice", "PolicyName": "p", "PolicyDocument": own}),
                json!({}),
            ),
            (
                "root",
                "CreateAccessKey",
                json!({"UserName": "alice"}),
                json!({"AccessKey": {"UserName": "Alice", "Status": "Active"}}),
            ),
            (
                "root",
                "UpdateUser",
                json!({"UserName": "Alice", "NewUserName": "bob"}),
                json!("EntityAlreadyExists: User with name bob"),
            ),
            (
                "root",
                "UpdateUser",
                json!({"UserName": "Alice", "NewUserName": "Carol", "NewPath": "/"}),
                json!({}),
            ),
            (
                "root",
                "ListAccessKeys",
                json!({"UserName": "Carol"}),
                json!({"AccessKeyMetadata": [{"UserName": "Carol"}]}),
            ),
            (
                "root",
                "DeleteUser",
                json!({"UserName": "Carol"}),
                json!("DeleteConflict: Cannot delete entity, must delete policies first."),
            ),
            ("root", "DeleteUserPolicy", json!({"UserName": "Carol", "PolicyName": "p"}), json!({})),
            (
                "root",
                "DeleteUser",
                json!({"UserName": "Carol"}),
                json!("DeleteConflict: Cannot delete entity, must delete access keys first."),
            ),
            ("root", "DeleteUser", json!({"UserName": "bob"}), json!({})),
            ("root", "DeleteUser", json!({"UserName": "bob"}), json!("NoSuchEntity")),
        ])
        .await;
}

#[tokio::test]
async fn roles_and_policies() {
    let trust_alice = trust(json!({"AWS": iam_arn("user/alice")}));
    let doc = allow("s3:GetObject", "*");
    let arn = iam_arn("policy/read");
    let executes = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    setup()
        .await
        .check(vec![
            ("root", "CreateRole", json!({"RoleName": "r", "AssumeRolePolicyDocument": "{}"}), json!("MalformedPolicyDocument: Syntax errors in policy: Statement must be")),
            ("root", "CreateRole", json!({"RoleName": "r", "AssumeRolePolicyDocument": trust_alice}), json!(format!("MalformedPolicyDocument: Invalid principal in policy: \"AWS\":\"{}\"", iam_arn("user/alice")))),
            ("root", "CreateRole", json!({"RoleName": "r", "AssumeRolePolicyDocument": tasks()}), json!({"Role": {"Arn": iam_arn("role/r"), "MaxSessionDuration": 3600}})),
            ("root", "CreateRole", json!({"RoleName": "R", "AssumeRolePolicyDocument": tasks()}), json!("EntityAlreadyExists: Role with name R already exists.")),
            ("root", "GetRole", json!({"RoleName": "r"}), json!({"Role": {"AssumeRolePolicyDocument": crate::entities::encoded(&tasks())}})),
            ("root", "UpdateRole", json!({"RoleName": "r", "Description": "d", "MaxSessionDuration": 7200}), json!({})),
            ("root", "GetRole", json!({"RoleName": "r"}), json!({"Role": {"Description": "d", "MaxSessionDuration": 7200}})),
            ("root", "PutRolePolicy", json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": "no"}), json!("MalformedPolicyDocument: Syntax errors in policy: it is not valid JSON")),
            ("root", "PutRolePolicy", json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": doc}), json!({})),
            ("root", "GetRolePolicy", json!({"RoleName": "r", "PolicyName": "p"}), json!({"PolicyDocument": crate::entities::encoded(&doc)})),
            ("root", "GetRolePolicy", json!({"RoleName": "r", "PolicyName": "q"}), json!("NoSuchEntity: The role policy with name q cannot be found.")),
            ("root", "ListRolePolicies", json!({"RoleName": "r"}), json!({"PolicyNames": ["p"]})),
            ("root", "PutRolePolicy", json!({"RoleName": "r", "PolicyName": "big", "PolicyDocument": allow(&format!("s3:{}", "x".repeat(10_240)), "*")}), json!("LimitExceeded: Maximum policy size of 10240 bytes exceeded for role r")),
            ("root", "CreatePolicy", json!({"PolicyName": "read", "PolicyDocument": doc}), json!({"Policy": {"Arn": arn, "DefaultVersionId": "v1", "AttachmentCount": 0}})),
            ("root", "CreatePolicy", json!({"PolicyName": "Read", "PolicyDocument": doc}), json!("EntityAlreadyExists: A policy called Read already exists.")),
            ("root", "AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": iam_arn("policy/none")}), json!("NoSuchEntity: Policy arn:aws:iam::000000000000:policy/none does not exist or is not attachable.")),
            ("root", "AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": "arn:aws:s3:::read/policy/x"}), json!("InvalidInput: ARN arn:aws:s3:::read/policy/x is not valid.")),
            ("root", "AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn}), json!({})),
            ("root", "AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": executes}), json!({})),
            ("root", "ListAttachedRolePolicies", json!({"RoleName": "r"}), json!({"AttachedPolicies": [{"PolicyName": "read", "PolicyArn": arn}, {"PolicyName": "AmazonECSTaskExecutionRolePolicy"}]})),
            ("root", "ListAttachedRolePolicies", json!({"RoleName": "r", "PathPrefix": "/service-role/"}), json!({"AttachedPolicies": [{"PolicyArn": executes}]})),
            ("root", "ListEntitiesForPolicy", json!({"PolicyArn": executes}), json!({"PolicyRoles": [{"RoleName": "r"}], "PolicyUsers": []})),
            ("root", "ListPolicies", json!({"OnlyAttached": true}), json!({"Policies": [{"PolicyName": "read", "AttachmentCount": 1}, {"Arn": executes}]})),
            ("root", "ListPolicies", json!({"Scope": "Local"}), json!({"Policies": [{"PolicyName": "read"}]})),
            ("root", "CreatePolicyVersion", json!({"PolicyArn": arn, "PolicyDocument": doc, "SetAsDefault": true}), json!({"PolicyVersion": {"VersionId": "v2", "IsDefaultVersion": true}})),
            ("root", "ListPolicyVersions", json!({"PolicyArn": arn}), json!({"Versions": [{"VersionId": "v2"}, {"VersionId": "v1", "IsDefaultVersion": false}]})),
            ("root", "GetPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v3"}), json!("NoSuchEntity: Policy arn:aws:iam::000000000000:policy/read version v3 does not exist")),
            ("root", "DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": "v2"}), json!("DeleteConflict: Cannot delete the default version of a policy.")),
            ("root", "DeletePolicy", json!({"PolicyArn": arn}), json!("DeleteConflict: This policy has more than one version.")),
            ("root", "SetDefaultPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v1"}), json!({})),
            ("root", "DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": "v2"}), json!({})),
            ("root", "DeletePolicy", json!({"PolicyArn": arn}), json!("DeleteConflict: Cannot delete a policy attached to entities.")),
            ("root", "DeletePolicy", json!({"PolicyArn": executes}), json!("AccessDeniedException")),
            ("root", "DeleteRole", json!({"RoleName": "r"}), json!("DeleteConflict: Cannot delete entity, must detach all policies first.")),
            ("root", "DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn}), json!({})),
            ("root", "DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn}), json!("NoSuchEntity: Policy")),
            ("root", "DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": executes}), json!({})),
            ("root", "DeleteRole", json!({"RoleName": "r"}), json!("DeleteConflict: Cannot delete entity, must delete policies first.")),
            ("root", "DeleteRolePolicy", json!({"RoleName": "r", "PolicyName": "p"}), json!({})),
            ("root", "ListInstanceProfilesForRole", json!({"RoleName": "r"}), json!({"InstanceProfiles": []})),
            ("root", "DeleteRole", json!({"RoleName": "r"}), json!({})),
            ("root", "DeletePolicy", json!({"PolicyArn": arn}), json!({})),
            ("root", "CreateServiceLinkedRole", json!({"AWSServiceName": "ecs.amazonaws.com"}), json!({"Role": {"Arn": iam_arn("role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")}})),
            ("root", "CreateServiceLinkedRole", json!({"AWSServiceName": "ecs.amazonaws.com"}), json!("InvalidInput: Service role name AWSServiceRoleForECS has been taken")),
            ("root", "PutRolePolicy", json!({"RoleName": "AWSServiceRoleForECS", "PolicyName": "p", "PolicyDocument": doc}), json!("UnmodifiableEntity")),
            ("root", "DeleteRole", json!({"RoleName": "AWSServiceRoleForECS"}), json!("UnmodifiableEntity")),
            ("root", "DeleteServiceLinkedRole", json!({"RoleName": "AWSServiceRoleForECS"}), json!({})),
        ])
        .await;
}

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
    let policy = Some(ResourcePolicy { document, account: account.into() });
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
