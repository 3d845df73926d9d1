//! Users.
use api::iam::*;
use kernel::Cx;
use store::{Batch, Key};

use crate::entities::{Page, meant, missing, tags_in, tags_out};
use crate::records::{self, AccessKey, Credential, Entity, Held, key};
use crate::{Error, Iam};

impl Iam {
    pub(super) async fn create_user(&self, cx: &Cx, input: CreateUser) -> Result<CreateUserOutput, Error> {
        if let Some(boundary) = &input.permissions_boundary {
            self.require_policy(boundary).await?;
        }
        let user = records::User {
            identity: self.identity(&input.user_name, input.path, "AIDA", tags_in(input.tags)?),
            held: Held { boundary: input.permissions_boundary, ..Held::default() },
            groups: Vec::new(),
        };
        self.create(cx.account(), &user).await?;
        Ok(CreateUserOutput { user: Some(user.out(cx.account())) })
    }

    pub(super) async fn get_user(&self, cx: &Cx, input: GetUser) -> Result<GetUserOutput, Error> {
        let account = cx.account();
        let user = match meant(cx, input.user_name)? {
            Some(name) => self.get::<records::User>(account, &name).await?.value.out(account),
            None => User {
                path: "/".into(),
                user_name: "root".into(),
                user_id: account.to_owned(),
                arn: cx.caller.arn.clone(),
                create_date: self.root_since(account).await?,
                ..User::default()
            },
        };
        Ok(GetUserOutput { user })
    }

    async fn root_since(&self, account: &str) -> Result<kernel::Timestamp, Error> {
        let keys = self.store.list_by_seq::<AccessKey>(Key::new(account, ""), 0, store::limits::PAGE).await?;
        let first = keys.into_iter().find(|key| key.value.user.is_none());
        Ok(first.map_or_else(|| self.now(), |key| key.value.created))
    }

    /// A new name or path; keys and credentials follow.
    pub(super) async fn update_user(&self, cx: &Cx, input: UpdateUser) -> Result<UpdateUserOutput, Error> {
        let account = cx.account();
        let mut row = self.get::<records::User>(account, &input.user_name).await?;
        let (old, name) = (row.value.identity.name.clone(), input.new_user_name);
        let name = name.unwrap_or_else(|| old.clone());
        if let Some(path) = input.new_path {
            row.value.identity.path = path;
        }
        row.value.identity.name.clone_from(&name);
        let to = key(account, &name);
        if to == row.key {
            self.commit(Batch::new().update(&row)).await?;
            return Ok(UpdateUserOutput {});
        }
        if self.store.get::<records::User>(&to).await?.is_some() {
            return Err(Error::EntityAlreadyExists(format!("User with name {name} already exists.")));
        }
        let mut batch = Batch::new().remove(&row).create(&to, &row.value);
        for mut held in self.keys_of(account, Some(&old)).await? {
            held.value.user = Some(name.clone());
            batch = batch.update(&held);
        }
        for mut held in self.credentials_of(account, &old).await? {
            held.value.user.clone_from(&name);
            batch = batch.update(&held);
        }
        self.commit(batch).await?;
        Ok(UpdateUserOutput {})
    }

    pub(super) async fn delete_user(&self, cx: &Cx, input: DeleteUser) -> Result<DeleteUserOutput, Error> {
        let account = cx.account();
        let row = self.get::<records::User>(account, &input.user_name).await?;
        let user = &row.value;
        let conflicts = [
            (!user.held.inline.is_empty(), "must delete policies first."),
            (!user.held.attached.is_empty(), "must detach all policies first."),
            (!user.groups.is_empty(), "must remove users from group first."),
            (
                !self.keys_of(account, Some(&user.identity.name)).await?.is_empty(),
                "must delete access keys first.",
            ),
            (
                !self.credentials_of(account, &user.identity.name).await?.is_empty(),
                "must delete service specific credentials first.",
            ),
        ];
        if let Some((_, why)) = conflicts.iter().find(|(conflict, _)| *conflict) {
            return Err(Error::DeleteConflict(format!("Cannot delete entity, {why}")));
        }
        self.commit(Batch::new().remove(&row)).await?;
        Ok(DeleteUserOutput {})
    }

    pub(super) async fn list_users(&self, cx: &Cx, input: ListUsers) -> Result<ListUsersOutput, Error> {
        let rows = self.all::<records::User>(cx.account(), input.path_prefix.as_deref()).await?;
        let all = rows.into_iter().map(|row| (row.created, row.value.out(cx.account())));
        let page = Page::cut("ListUsers", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListUsersOutput { is_truncated: page.truncated(), users: page.items, marker: page.marker })
    }

    pub(super) async fn tag_user(&self, cx: &Cx, input: TagUser) -> Result<TagUserOutput, Error> {
        self.tag::<records::User>(cx.account(), &input.user_name, input.tags).await?;
        Ok(TagUserOutput {})
    }

    pub(super) async fn untag_user(&self, cx: &Cx, input: UntagUser) -> Result<UntagUserOutput, Error> {
        self.untag::<records::User>(cx.account(), &input.user_name, &input.tag_keys).await?;
        Ok(UntagUserOutput {})
    }

    pub(super) async fn list_user_tags(
        &self,
        cx: &Cx,
        input: ListUserTags,
    ) -> Result<ListUserTagsOutput, Error> {
        let row = self.get::<records::User>(cx.account(), &input.user_name).await?;
        let all = (1..).zip(tags_out(&row.value.identity.tags));
        let page = Page::cut("ListUserTags", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListUserTagsOutput { is_truncated: page.truncated(), tags: page.items, marker: page.marker })
    }

    /// The user must be there.
    pub(super) async fn require_user(&self, account: &str, name: &str) -> Result<records::User, Error> {
        let row = self.store.get::<records::User>(&key(account, name)).await?;
        row.map(|row| row.value).ok_or_else(|| missing::<records::User>(name))
    }

    pub(super) async fn credentials_of(
        &self,
        account: &str,
        user: &str,
    ) -> Result<Vec<store::Row<Credential>>, Error> {
        let rows =
            self.store.list_by_seq::<Credential>(Key::new(account, ""), 0, store::limits::PAGE).await?;
        Ok(rows.into_iter().filter(|row| row.value.user.eq_ignore_ascii_case(user)).collect())
    }

    /// A user's name as it is kept, for ids of things that refer to it.
    pub(super) async fn own_name(&self, account: &str, name: &str) -> Result<String, Error> {
        Ok(self.require_user(account, name).await?.identity().name.clone())
    }
}
