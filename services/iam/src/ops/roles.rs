//! Roles, and the instance profiles that no EC2 instance here has.
use api::iam::*;
use kernel::Cx;
use store::Batch;

use crate::entities::{Page, open, size, tags_in, tags_out};
use crate::records::{self, Held};
use crate::{Error, Iam, limits};
use policy::{Document, Purpose};

impl Iam {
    pub(super) async fn create_role(&self, cx: &Cx, input: CreateRole) -> Result<CreateRoleOutput, Error> {
        self.check_trust(&input.assume_role_policy_document).await?;
        if let Some(boundary) = &input.permissions_boundary {
            self.require_policy(boundary).await?;
        }
        if input.path.as_deref().is_some_and(|path| path.starts_with("/aws-service-role/")) {
            return Err(Error::InvalidInput(
                "Path /aws-service-role/ is reserved; use CreateServiceLinkedRole".into(),
            ));
        }
        let role = records::Role {
            identity: self.identity(&input.role_name, input.path, "AROA", tags_in(input.tags)?),
            held: Held { boundary: input.permissions_boundary, ..Held::default() },
            trust: input.assume_role_policy_document,
            description: input.description,
            max_session: input.max_session_duration.unwrap_or(3600),
            linked: false,
        };
        self.create(cx.account(), &role).await?;
        Ok(CreateRoleOutput { role: role.out(cx.account()) })
    }

    /// A trust policy, and every user and role that it names.
    async fn check_trust(&self, document: &str) -> Result<(), Error> {
        if size(document) > limits::TRUST_POLICY {
            return Err(Error::LimitExceeded("ACLSizePerRole", limits::TRUST_POLICY));
        }
        for arn in Document::parse(document, Purpose::Trust)?.named() {
            if self.standing_of(arn).await?.is_none() {
                let why = format!("Invalid principal in policy: \"AWS\":\"{arn}\"");
                return Err(Error::Malformed(policy::Malformed(why)));
            }
        }
        Ok(())
    }

    pub(super) async fn get_role(&self, cx: &Cx, input: GetRole) -> Result<GetRoleOutput, Error> {
        let row = self.get::<records::Role>(cx.account(), &input.role_name).await?;
        Ok(GetRoleOutput { role: row.value.out(cx.account()) })
    }

    pub(super) async fn update_role(&self, cx: &Cx, input: UpdateRole) -> Result<UpdateRoleOutput, Error> {
        self.change(cx.account(), &input.role_name, |role: &mut records::Role| {
            open(role)?;
            role.description = input.description.clone().or_else(|| role.description.take());
            role.max_session = input.max_session_duration.unwrap_or(role.max_session);
            Ok(())
        })
        .await?;
        Ok(UpdateRoleOutput {})
    }

    pub(super) async fn update_role_description(
        &self,
        cx: &Cx,
        input: UpdateRoleDescription,
    ) -> Result<UpdateRoleDescriptionOutput, Error> {
        let describe = |role: &mut records::Role| {
            role.description = Some(input.description.clone());
            Ok(())
        };
        let (role, ()) = self.change(cx.account(), &input.role_name, describe).await?;
        Ok(UpdateRoleDescriptionOutput { role: Some(role.out(cx.account())) })
    }

    pub(super) async fn update_trust(
        &self,
        cx: &Cx,
        input: UpdateAssumeRolePolicy,
    ) -> Result<UpdateAssumeRolePolicyOutput, Error> {
        self.check_trust(&input.policy_document).await?;
        self.change(cx.account(), &input.role_name, |role: &mut records::Role| {
            open(role)?;
            role.trust.clone_from(&input.policy_document);
            Ok(())
        })
        .await?;
        Ok(UpdateAssumeRolePolicyOutput {})
    }

    pub(super) async fn delete_role(&self, cx: &Cx, input: DeleteRole) -> Result<DeleteRoleOutput, Error> {
        let row = self.get::<records::Role>(cx.account(), &input.role_name).await?;
        open(&row.value)?;
        if !row.value.held.attached.is_empty() {
            return Err(Error::DeleteConflict(
                "Cannot delete entity, must detach all policies first.".into(),
            ));
        }
        if !row.value.held.inline.is_empty() {
            return Err(Error::DeleteConflict("Cannot delete entity, must delete policies first.".into()));
        }
        self.commit(Batch::new().remove(&row)).await?;
        Ok(DeleteRoleOutput {})
    }

    pub(super) async fn list_roles(&self, cx: &Cx, input: ListRoles) -> Result<ListRolesOutput, Error> {
        let rows = self.all::<records::Role>(cx.account(), input.path_prefix.as_deref()).await?;
        let all = rows.into_iter().map(|row| (row.created, row.value.out(cx.account())));
        let page = Page::cut("ListRoles", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListRolesOutput { is_truncated: page.truncated(), roles: page.items, marker: page.marker })
    }

    pub(super) async fn tag_role(&self, cx: &Cx, input: TagRole) -> Result<TagRoleOutput, Error> {
        self.tag::<records::Role>(cx.account(), &input.role_name, input.tags).await?;
        Ok(TagRoleOutput {})
    }

    pub(super) async fn untag_role(&self, cx: &Cx, input: UntagRole) -> Result<UntagRoleOutput, Error> {
        self.untag::<records::Role>(cx.account(), &input.role_name, &input.tag_keys).await?;
        Ok(UntagRoleOutput {})
    }

    pub(super) async fn list_role_tags(
        &self,
        cx: &Cx,
        input: ListRoleTags,
    ) -> Result<ListRoleTagsOutput, Error> {
        let row = self.get::<records::Role>(cx.account(), &input.role_name).await?;
        let all = (1..).zip(tags_out(&row.value.identity.tags));
        let page = Page::cut("ListRoleTags", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListRoleTagsOutput { is_truncated: page.truncated(), tags: page.items, marker: page.marker })
    }

    /// CreateInstanceProfile is not served, so that there are none.
    pub(super) async fn list_instance_profiles_for_role(
        &self,
        cx: &Cx,
        input: ListInstanceProfilesForRole,
    ) -> Result<ListInstanceProfilesForRoleOutput, Error> {
        self.get::<records::Role>(cx.account(), &input.role_name).await?;
        Ok(ListInstanceProfilesForRoleOutput { is_truncated: Some(false), ..Default::default() })
    }

    pub(super) async fn list_instance_profiles(
        &self,
        _: &Cx,
        _: ListInstanceProfiles,
    ) -> Result<ListInstanceProfilesOutput, Error> {
        Ok(ListInstanceProfilesOutput { is_truncated: Some(false), ..Default::default() })
    }

    pub(super) async fn get_instance_profile(
        &self,
        _: &Cx,
        input: GetInstanceProfile,
    ) -> Result<GetInstanceProfileOutput, Error> {
        let name = input.instance_profile_name;
        Err(Error::NoSuchEntity(format!("Instance Profile {name} cannot be found.")))
    }
}
