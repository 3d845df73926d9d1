use serde_json::json;

use super::*;

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
