//! The operations: this table names each with what it acts on and who does it.
//!
//! IAM's actions have its operations' names, all those served here; STS's differ and stand in `sts`.

mod account;
mod attach;
mod credentials;
mod groups;
mod keys;
mod linked;
mod policies;
mod roles;
mod sts;
mod users;

use std::sync::Arc;

use api::iam::*;
use kernel::{Access, Cx, Fault, Handle, Operation, Ops};

use crate::entities::policy_name;
use crate::records::{Group, Role, User, arn};
use crate::{Error, Iam};

pub use credentials::password_hash;

/// `Operation method kind(member)`: the kind says what the action's resource is.
macro_rules! table {
    ($($op:ident $method:ident $kind:ident $(($member:ident))?;)*) => {
        $(impl Handle<$op> for Iam {
            async fn access(&self, cx: &Cx, input: &$op) -> Result<Vec<Access>, Fault> {
                let action = concat!("iam:", stringify!($op));
                let access = table!(@$kind self cx action input $($member)?);
                Ok(vec![self.conditions(access, cx, input)])
            }
            async fn handle(&self, cx: &Cx, input: $op) -> Result<<$op as Operation>::Output, Fault> {
                Ok(self.$method(cx, input).await?)
            }
        })*
        /// Serves every operation of IAM.
        fn register_iam(iam: &Arc<Iam>, ops: &mut Ops) {
            $(ops.op::<$op, _>(iam);)*
        }
    };
    (@all $iam:ident $cx:ident $action:ident $input:ident) => {{ let _ = $input; Access::new($action, "*") }};
    (@user $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { $iam.on::<User>($cx, $action, &$input.$member).await? };
    (@own $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { $iam.on_user($cx, $action, $input.$member.as_deref()).await? };
    (@key $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { $iam.on_key($cx, $action, &$input.$member).await? };
    (@group $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { $iam.on::<Group>($cx, $action, &$input.$member).await? };
    (@role $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { $iam.on::<Role>($cx, $action, &$input.$member).await? };
    (@arn $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, $input.$member.clone()) };
    (@new_user $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, fresh::<User>($cx, &$input.path, &$input.$member)) };
    (@new_group $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, fresh::<Group>($cx, &$input.path, &$input.$member)) };
    (@new_role $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, fresh::<Role>($cx, &$input.path, &$input.$member)) };
    (@new_policy $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, fresh::<crate::records::Policy>($cx, &$input.path, &$input.$member)) };
    (@linked $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, linked::arn_of($cx.account(), &$input.$member)) };
    (@profile $iam:ident $cx:ident $action:ident $input:ident $member:ident) => { Access::new($action, format!("arn:aws:iam::{}:instance-profile/{}", $cx.account(), $input.$member)) };
}

table! {
    CreateUser create_user new_user(user_name);
    GetUser get_user own(user_name);
    UpdateUser update_user user(user_name);
    DeleteUser delete_user user(user_name);
    ListUsers list_users all;
    TagUser tag_user user(user_name);
    UntagUser untag_user user(user_name);
    ListUserTags list_user_tags user(user_name);
    PutUserPolicy put_user_policy user(user_name);
    GetUserPolicy get_user_policy user(user_name);
    DeleteUserPolicy delete_user_policy user(user_name);
    ListUserPolicies list_user_policies user(user_name);
    AttachUserPolicy attach_user_policy user(user_name);
    DetachUserPolicy detach_user_policy user(user_name);
    ListAttachedUserPolicies list_attached_user_policies user(user_name);
    PutUserPermissionsBoundary put_user_boundary user(user_name);
    DeleteUserPermissionsBoundary delete_user_boundary user(user_name);

    CreateAccessKey create_access_key own(user_name);
    ListAccessKeys list_access_keys own(user_name);
    UpdateAccessKey update_access_key own(user_name);
    DeleteAccessKey delete_access_key own(user_name);
    GetAccessKeyLastUsed get_access_key_last_used key(access_key_id);

    CreateServiceSpecificCredential create_credential user(user_name);
    ListServiceSpecificCredentials list_credentials own(user_name);
    UpdateServiceSpecificCredential update_credential own(user_name);
    ResetServiceSpecificCredential reset_credential own(user_name);
    DeleteServiceSpecificCredential delete_credential own(user_name);

    CreateGroup create_group new_group(group_name);
    GetGroup get_group group(group_name);
    DeleteGroup delete_group group(group_name);
    ListGroups list_groups all;
    ListGroupsForUser list_groups_for_user user(user_name);
    AddUserToGroup add_user_to_group group(group_name);
    RemoveUserFromGroup remove_user_from_group group(group_name);
    PutGroupPolicy put_group_policy group(group_name);
    GetGroupPolicy get_group_policy group(group_name);
    DeleteGroupPolicy delete_group_policy group(group_name);
    ListGroupPolicies list_group_policies group(group_name);
    AttachGroupPolicy attach_group_policy group(group_name);
    DetachGroupPolicy detach_group_policy group(group_name);
    ListAttachedGroupPolicies list_attached_group_policies group(group_name);

    CreateRole create_role new_role(role_name);
    GetRole get_role role(role_name);
    UpdateRole update_role role(role_name);
    UpdateRoleDescription update_role_description role(role_name);
    UpdateAssumeRolePolicy update_trust role(role_name);
    DeleteRole delete_role role(role_name);
    ListRoles list_roles all;
    TagRole tag_role role(role_name);
    UntagRole untag_role role(role_name);
    ListRoleTags list_role_tags role(role_name);
    PutRolePolicy put_role_policy role(role_name);
    GetRolePolicy get_role_policy role(role_name);
    DeleteRolePolicy delete_role_policy role(role_name);
    ListRolePolicies list_role_policies role(role_name);
    AttachRolePolicy attach_role_policy role(role_name);
    DetachRolePolicy detach_role_policy role(role_name);
    ListAttachedRolePolicies list_attached_role_policies role(role_name);
    PutRolePermissionsBoundary put_role_boundary role(role_name);
    DeleteRolePermissionsBoundary delete_role_boundary role(role_name);
    ListInstanceProfilesForRole list_instance_profiles_for_role role(role_name);
    ListInstanceProfiles list_instance_profiles all;
    GetInstanceProfile get_instance_profile profile(instance_profile_name);

    CreateServiceLinkedRole create_linked_role linked(aws_service_name);
    DeleteServiceLinkedRole delete_linked_role role(role_name);
    GetServiceLinkedRoleDeletionStatus linked_role_deletion all;

    CreatePolicy create_policy new_policy(policy_name);
    GetPolicy get_policy arn(policy_arn);
    DeletePolicy delete_policy arn(policy_arn);
    ListPolicies list_policies all;
    ListEntitiesForPolicy list_entities arn(policy_arn);
    CreatePolicyVersion create_version arn(policy_arn);
    GetPolicyVersion get_version arn(policy_arn);
    ListPolicyVersions list_versions arn(policy_arn);
    DeletePolicyVersion delete_version arn(policy_arn);
    SetDefaultPolicyVersion set_default_version arn(policy_arn);
    TagPolicy tag_policy arn(policy_arn);
    UntagPolicy untag_policy arn(policy_arn);
    ListPolicyTags list_policy_tags arn(policy_arn);

    GetAccountSummary account_summary all;
    ListAccountAliases account_aliases all;
    SimulatePrincipalPolicy simulate arn(policy_source_arn);
}

/// Serves every operation of IAM and STS.
pub fn register(iam: &Arc<Iam>, ops: &mut Ops) {
    register_iam(iam, ops);
    ops.op::<api::sts::AssumeRole, _>(iam)
        .op::<api::sts::GetCallerIdentity, _>(iam)
        .op::<api::sts::GetSessionToken, _>(iam)
        .op::<api::sts::GetAccessKeyInfo, _>(iam);
}

/// The ARN of an entity that is yet to be.
fn fresh<E: crate::records::Entity>(cx: &Cx, path: &Option<String>, name: &str) -> String {
    arn::<E>(cx.account(), path.as_deref().unwrap_or("/"), name)
}

impl Iam {
    /// The condition keys that policies on IAM itself are written with: what is attached, and which boundary.
    fn conditions<O: kernel::Shape>(&self, mut access: Access, _: &Cx, input: &O) -> Access {
        let value = kernel::json::to_value(input);
        let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        if let Some(arn) = text("PolicyArn").filter(|_| access.action.contains("tach")) {
            access = access.when("iam:PolicyARN", arn);
        }
        if let Some(boundary) = text("PermissionsBoundary") {
            access = access.when("iam:PermissionsBoundary", boundary);
        }
        if let Some(service) = text("AWSServiceName") {
            access = access.when("iam:AWSServiceName", service);
        }
        access
    }

    /// The managed policy must be there to be attached.
    async fn require_policy(&self, policy_arn: &str) -> Result<(), Error> {
        policy_name(policy_arn)?;
        if self.managed_text(policy_arn).await?.is_none() {
            return Err(Error::NoSuchEntity(format!(
                "Policy {policy_arn} does not exist or is not attachable."
            )));
        }
        Ok(())
    }
}
