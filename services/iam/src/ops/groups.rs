//! Groups and who is in them.
use api::iam::*;
use kernel::Cx;
use store::Batch;

use crate::entities::Page;
use crate::records::{self, Held, Tags};
use crate::{Error, Iam, limits};

impl Iam {
    pub(super) async fn create_group(&self, cx: &Cx, input: CreateGroup) -> Result<CreateGroupOutput, Error> {
        let identity = self.identity(&input.group_name, input.path, "AGPA", Tags::new());
        let group = records::Group { identity, held: Held::default() };
        self.create(cx.account(), &group).await?;
        Ok(CreateGroupOutput { group: group.out(cx.account()) })
    }

    pub(super) async fn get_group(&self, cx: &Cx, input: GetGroup) -> Result<GetGroupOutput, Error> {
        let group = self.get::<records::Group>(cx.account(), &input.group_name).await?.value;
        let members = self.members(cx.account(), &group.identity.name).await?;
        let all = members.into_iter().map(|row| (row.created, row.value.out(cx.account())));
        let page = Page::cut("GetGroup", all, input.marker.as_deref(), input.max_items)?;
        Ok(GetGroupOutput {
            group: group.out(cx.account()),
            is_truncated: page.truncated(),
            users: page.items,
            marker: page.marker,
        })
    }

    pub(super) async fn delete_group(&self, cx: &Cx, input: DeleteGroup) -> Result<DeleteGroupOutput, Error> {
        let row = self.get::<records::Group>(cx.account(), &input.group_name).await?;
        let conflicts = [
            (
                !self.members(cx.account(), &row.value.identity.name).await?.is_empty(),
                "must remove users from group first.",
            ),
            (!row.value.held.inline.is_empty(), "must delete policies first."),
            (!row.value.held.attached.is_empty(), "must detach all policies first."),
        ];
        if let Some((_, why)) = conflicts.iter().find(|(conflict, _)| *conflict) {
            return Err(Error::DeleteConflict(format!("Cannot delete entity, {why}")));
        }
        self.commit(Batch::new().remove(&row)).await?;
        Ok(DeleteGroupOutput {})
    }

    pub(super) async fn list_groups(&self, cx: &Cx, input: ListGroups) -> Result<ListGroupsOutput, Error> {
        let rows = self.all::<records::Group>(cx.account(), input.path_prefix.as_deref()).await?;
        let all = rows.into_iter().map(|row| (row.created, row.value.out(cx.account())));
        let page = Page::cut("ListGroups", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListGroupsOutput { is_truncated: page.truncated(), groups: page.items, marker: page.marker })
    }

    pub(super) async fn list_groups_for_user(
        &self,
        cx: &Cx,
        input: ListGroupsForUser,
    ) -> Result<ListGroupsForUserOutput, Error> {
        let user = self.require_user(cx.account(), &input.user_name).await?;
        let mut groups = Vec::new();
        for (at, name) in (1..).zip(&user.groups) {
            groups.push((at, self.get::<records::Group>(cx.account(), name).await?.value.out(cx.account())));
        }
        let page = Page::cut("ListGroupsForUser", groups, input.marker.as_deref(), input.max_items)?;
        Ok(ListGroupsForUserOutput {
            is_truncated: page.truncated(),
            groups: page.items,
            marker: page.marker,
        })
    }

    pub(super) async fn add_user_to_group(
        &self,
        cx: &Cx,
        input: AddUserToGroup,
    ) -> Result<AddUserToGroupOutput, Error> {
        let group = self.get::<records::Group>(cx.account(), &input.group_name).await?.value.identity.name;
        self.change(cx.account(), &input.user_name, |user: &mut records::User| {
            if user.groups.contains(&group) {
                return Ok(());
            }
            if user.groups.len() >= limits::GROUPS_PER_USER {
                return Err(Error::LimitExceeded("GroupsPerUser", limits::GROUPS_PER_USER));
            }
            user.groups.push(group.clone());
            Ok(())
        })
        .await?;
        Ok(AddUserToGroupOutput {})
    }

    pub(super) async fn remove_user_from_group(
        &self,
        cx: &Cx,
        input: RemoveUserFromGroup,
    ) -> Result<RemoveUserFromGroupOutput, Error> {
        let group = self.get::<records::Group>(cx.account(), &input.group_name).await?.value.identity.name;
        let leave = |user: &mut records::User| {
            user.groups.retain(|name| *name != group);
            Ok(())
        };
        self.change(cx.account(), &input.user_name, leave).await?;
        Ok(RemoveUserFromGroupOutput {})
    }

    async fn members(&self, account: &str, group: &str) -> Result<Vec<store::Row<records::User>>, Error> {
        let users = self.all::<records::User>(account, None).await?;
        Ok(users.into_iter().filter(|row| row.value.groups.iter().any(|name| name == group)).collect())
    }
}
