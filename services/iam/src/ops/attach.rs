//! Inline policies, attached policies and boundaries: the same for users, groups and roles.
use api::iam::*;
use kernel::Cx;

use crate::entities::{Page, encoded, open, size};
use crate::records::{self, Holder};
use crate::{Error, Iam, limits};
use policy::{Document, Purpose};

/// The seven operations of one kind of holder.
macro_rules! holder {
    (
        $record:ident $name:ident:
        $put:ident $put_op:ident $put_out:ident, $get:ident $get_op:ident $get_out:ident,
        $delete:ident $delete_op:ident $delete_out:ident, $list:ident $list_op:ident $list_out:ident,
        $attach:ident $attach_op:ident $attach_out:ident, $detach:ident $detach_op:ident $detach_out:ident,
        $attached:ident $attached_op:ident $attached_out:ident
    ) => {
        impl Iam {
            pub(super) async fn $put(&self, cx: &Cx, input: $put_op) -> Result<$put_out, Error> {
                self.put_inline::<records::$record>(
                    cx,
                    &input.$name,
                    &input.policy_name,
                    &input.policy_document,
                )
                .await?;
                Ok($put_out {})
            }

            pub(super) async fn $get(&self, cx: &Cx, input: $get_op) -> Result<$get_out, Error> {
                let row = self.get::<records::$record>(cx.account(), &input.$name).await?;
                let document = row.value.held.inline.get(&input.policy_name);
                let document = document.ok_or_else(|| no_inline::<records::$record>(&input.policy_name))?;
                Ok($get_out {
                    $name: row.value.identity.name.clone(),
                    policy_name: input.policy_name,
                    policy_document: encoded(document),
                })
            }

            pub(super) async fn $delete(&self, cx: &Cx, input: $delete_op) -> Result<$delete_out, Error> {
                self.change(cx.account(), &input.$name, |holder: &mut records::$record| {
                    open(holder)?;
                    let gone = holder.held.inline.remove(&input.policy_name);
                    gone.map(drop).ok_or_else(|| no_inline::<records::$record>(&input.policy_name))
                })
                .await?;
                Ok($delete_out {})
            }

            pub(super) async fn $list(&self, cx: &Cx, input: $list_op) -> Result<$list_out, Error> {
                let row = self.get::<records::$record>(cx.account(), &input.$name).await?;
                let all = (1..).zip(row.value.held.inline.into_keys());
                let page = Page::cut(stringify!($list_op), all, input.marker.as_deref(), input.max_items)?;
                Ok($list_out {
                    is_truncated: page.truncated(),
                    policy_names: page.items,
                    marker: page.marker,
                })
            }

            pub(super) async fn $attach(&self, cx: &Cx, input: $attach_op) -> Result<$attach_out, Error> {
                self.attach::<records::$record>(cx, &input.$name, &input.policy_arn).await?;
                Ok($attach_out {})
            }

            pub(super) async fn $detach(&self, cx: &Cx, input: $detach_op) -> Result<$detach_out, Error> {
                self.detach::<records::$record>(cx, &input.$name, &input.policy_arn).await?;
                Ok($detach_out {})
            }

            pub(super) async fn $attached(
                &self,
                cx: &Cx,
                input: $attached_op,
            ) -> Result<$attached_out, Error> {
                let row = self.get::<records::$record>(cx.account(), &input.$name).await?;
                let prefix = input.path_prefix.as_deref().unwrap_or("/");
                let all = (1..).zip(row.value.held.attached).filter(|(_, arn)| path(arn).starts_with(prefix));
                let all = all.map(|(at, arn)| (at, attached_out(arn)));
                let page =
                    Page::cut(stringify!($attached_op), all, input.marker.as_deref(), input.max_items)?;
                Ok($attached_out {
                    is_truncated: page.truncated(),
                    attached_policies: Some(page.items),
                    marker: page.marker,
                })
            }
        }
    };
}

holder! {
    User user_name:
    put_user_policy PutUserPolicy PutUserPolicyOutput, get_user_policy GetUserPolicy GetUserPolicyOutput,
    delete_user_policy DeleteUserPolicy DeleteUserPolicyOutput,
    list_user_policies ListUserPolicies ListUserPoliciesOutput,
    attach_user_policy AttachUserPolicy AttachUserPolicyOutput,
    detach_user_policy DetachUserPolicy DetachUserPolicyOutput,
    list_attached_user_policies ListAttachedUserPolicies ListAttachedUserPoliciesOutput
}

holder! {
    Group group_name:
    put_group_policy PutGroupPolicy PutGroupPolicyOutput, get_group_policy GetGroupPolicy GetGroupPolicyOutput,
    delete_group_policy DeleteGroupPolicy DeleteGroupPolicyOutput,
    list_group_policies ListGroupPolicies ListGroupPoliciesOutput,
    attach_group_policy AttachGroupPolicy AttachGroupPolicyOutput,
    detach_group_policy DetachGroupPolicy DetachGroupPolicyOutput,
    list_attached_group_policies ListAttachedGroupPolicies ListAttachedGroupPoliciesOutput
}

holder! {
    Role role_name:
    put_role_policy PutRolePolicy PutRolePolicyOutput, get_role_policy GetRolePolicy GetRolePolicyOutput,
    delete_role_policy DeleteRolePolicy DeleteRolePolicyOutput,
    list_role_policies ListRolePolicies ListRolePoliciesOutput,
    attach_role_policy AttachRolePolicy AttachRolePolicyOutput,
    detach_role_policy DetachRolePolicy DetachRolePolicyOutput,
    list_attached_role_policies ListAttachedRolePolicies ListAttachedRolePoliciesOutput
}

impl Iam {
    async fn put_inline<H: Holder>(
        &self,
        cx: &Cx,
        name: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), Error> {
        Document::parse(document, Purpose::Identity)?;
        let put = |holder: &mut H| {
            open(holder)?;
            let inline = &mut holder.held_mut().inline;
            inline.insert(policy.to_owned(), document.to_owned());
            if inline.values().map(|text| size(text)).sum::<usize>() > H::INLINE {
                let kind = H::KIND;
                return Err(Error::TooMany(format!(
                    "Maximum policy size of {} bytes exceeded for {kind} {name}",
                    H::INLINE
                )));
            }
            Ok(())
        };
        self.change(cx.account(), name, put).await?;
        Ok(())
    }

    async fn attach<H: Holder>(&self, cx: &Cx, name: &str, arn: &str) -> Result<(), Error> {
        self.require_policy(arn).await?;
        let attach = |holder: &mut H| {
            open(holder)?;
            let attached = &mut holder.held_mut().attached;
            if attached.iter().any(|there| there == arn) {
                return Ok(());
            }
            if attached.len() >= limits::ATTACHED {
                return Err(Error::LimitExceeded("PoliciesPerEntity", limits::ATTACHED));
            }
            attached.push(arn.to_owned());
            Ok(())
        };
        self.change(cx.account(), name, attach).await?;
        Ok(())
    }

    async fn detach<H: Holder>(&self, cx: &Cx, name: &str, arn: &str) -> Result<(), Error> {
        let detach = |holder: &mut H| {
            open(holder)?;
            let attached = &mut holder.held_mut().attached;
            let at = attached.iter().position(|there| there == arn);
            let at = at.ok_or_else(|| Error::NoSuchEntity(format!("Policy {arn} was not found.")))?;
            attached.remove(at);
            Ok(())
        };
        self.change(cx.account(), name, detach).await?;
        Ok(())
    }

    async fn set_boundary<H: Holder>(&self, cx: &Cx, name: &str, arn: Option<&str>) -> Result<(), Error> {
        if let Some(arn) = arn {
            self.require_policy(arn).await?;
        }
        let set = |holder: &mut H| {
            open(holder)?;
            if arn.is_none() && holder.held().boundary.is_none() {
                return Err(Error::NoSuchEntity(format!(
                    "The {} {name} has no permissions boundary.",
                    H::KIND
                )));
            }
            holder.held_mut().boundary = arn.map(str::to_owned);
            Ok(())
        };
        self.change(cx.account(), name, set).await?;
        Ok(())
    }

    pub(super) async fn put_user_boundary(
        &self,
        cx: &Cx,
        input: PutUserPermissionsBoundary,
    ) -> Result<PutUserPermissionsBoundaryOutput, Error> {
        self.set_boundary::<records::User>(cx, &input.user_name, Some(&input.permissions_boundary)).await?;
        Ok(PutUserPermissionsBoundaryOutput {})
    }

    pub(super) async fn delete_user_boundary(
        &self,
        cx: &Cx,
        input: DeleteUserPermissionsBoundary,
    ) -> Result<DeleteUserPermissionsBoundaryOutput, Error> {
        self.set_boundary::<records::User>(cx, &input.user_name, None).await?;
        Ok(DeleteUserPermissionsBoundaryOutput {})
    }

    pub(super) async fn put_role_boundary(
        &self,
        cx: &Cx,
        input: PutRolePermissionsBoundary,
    ) -> Result<PutRolePermissionsBoundaryOutput, Error> {
        self.set_boundary::<records::Role>(cx, &input.role_name, Some(&input.permissions_boundary)).await?;
        Ok(PutRolePermissionsBoundaryOutput {})
    }

    pub(super) async fn delete_role_boundary(
        &self,
        cx: &Cx,
        input: DeleteRolePermissionsBoundary,
    ) -> Result<DeleteRolePermissionsBoundaryOutput, Error> {
        self.set_boundary::<records::Role>(cx, &input.role_name, None).await?;
        Ok(DeleteRolePermissionsBoundaryOutput {})
    }
}

fn no_inline<H: Holder>(policy: &str) -> Error {
    Error::NoSuchEntity(format!("The {} policy with name {policy} cannot be found.", H::KIND))
}

fn attached_out(arn: String) -> AttachedPolicy {
    AttachedPolicy { policy_name: arn.rsplit('/').next().map(str::to_owned), policy_arn: Some(arn) }
}

/// `/` of `arn:…:policy/Name`, `/service-role/` of `arn:…:policy/service-role/Name`.
fn path(arn: &str) -> &str {
    let from = arn.find('/').unwrap_or(0);
    let to = arn.rfind('/').map_or(from, |at| at + 1);
    &arn[from..to]
}
