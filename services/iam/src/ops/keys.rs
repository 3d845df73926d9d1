//! Access keys.
use api::iam::*;
use kernel::Cx;
use store::{Batch, Key, Row};

use crate::directory::root;
use crate::entities::{Page, meant};
use crate::records::KeyUse;
use crate::root::access_key;
use crate::{Error, Iam, limits, records};

impl Iam {
    pub(super) async fn create_access_key(
        &self,
        cx: &Cx,
        input: CreateAccessKey,
    ) -> Result<CreateAccessKeyOutput, Error> {
        let user = match meant(cx, input.user_name)? {
            Some(name) => Some(self.own_name(cx.account(), &name).await?),
            None => None,
        };
        if self.keys_of(cx.account(), user.as_deref()).await?.len() >= limits::KEYS {
            return Err(Error::LimitExceeded("AccessKeysPerUser", limits::KEYS));
        }
        let (record, secret) = self.new_key(user)?;
        self.commit(Batch::new().create(&access_key(cx.account(), &record.id), &record)).await?;
        Ok(CreateAccessKeyOutput {
            access_key: AccessKey {
                user_name: record.user.clone().unwrap_or_default(),
                access_key_id: record.id.clone(),
                status: status(record.active).into(),
                secret_access_key: secret,
                create_date: Some(record.created),
            },
        })
    }

    pub(super) async fn list_access_keys(
        &self,
        cx: &Cx,
        input: ListAccessKeys,
    ) -> Result<ListAccessKeysOutput, Error> {
        let user = meant(cx, input.user_name)?;
        if let Some(name) = &user {
            self.require_user(cx.account(), name).await?;
        }
        let rows = self.keys_of(cx.account(), user.as_deref()).await?;
        let all = rows.into_iter().map(|row| {
            let key = row.value;
            let metadata = AccessKeyMetadata {
                user_name: key.user,
                access_key_id: Some(key.id),
                status: Some(status(key.active).into()),
                create_date: Some(key.created),
            };
            (row.created, metadata)
        });
        let page = Page::cut("ListAccessKeys", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListAccessKeysOutput {
            is_truncated: page.truncated(),
            access_key_metadata: page.items,
            marker: page.marker,
        })
    }

    pub(super) async fn update_access_key(
        &self,
        cx: &Cx,
        input: UpdateAccessKey,
    ) -> Result<UpdateAccessKeyOutput, Error> {
        let mut row = self.key_of(cx, input.user_name, &input.access_key_id).await?;
        row.value.active = active(&input.status)?;
        self.commit(Batch::new().update(&row)).await?;
        Ok(UpdateAccessKeyOutput {})
    }

    pub(super) async fn delete_access_key(
        &self,
        cx: &Cx,
        input: DeleteAccessKey,
    ) -> Result<DeleteAccessKeyOutput, Error> {
        let row = self.key_of(cx, input.user_name, &input.access_key_id).await?;
        self.commit(Batch::new().remove(&row).delete::<KeyUse>(&row.key)).await?;
        Ok(DeleteAccessKeyOutput {})
    }

    /// An action on whoever has the key. AWS words a key that nobody has so too.
    pub(super) async fn on_key(
        &self,
        cx: &Cx,
        action: &'static str,
        id: &str,
    ) -> Result<kernel::Access, Error> {
        let found = self.store.get::<records::AccessKey>(&access_key(cx.account(), id)).await?;
        Ok(match found.map(|row| row.value.user) {
            Some(Some(user)) => self.on::<records::User>(cx, action, &user).await?,
            Some(None) => kernel::Access::new(action, root(cx.account()).arn),
            None => kernel::Access::new(action, format!("access key {id}")),
        })
    }

    /// `N/A` is AWS's word for a key that was never used.
    pub(super) async fn get_access_key_last_used(
        &self,
        cx: &Cx,
        input: GetAccessKeyLastUsed,
    ) -> Result<GetAccessKeyLastUsedOutput, Error> {
        let id = &input.access_key_id;
        let key = self.store.get::<records::AccessKey>(&access_key(cx.account(), id)).await?;
        let key = key.ok_or_else(|| unknown(id))?.value;
        let last = self.last_use(cx.account(), id).await?;
        let last = last.map_or_else(
            || AccessKeyLastUsed { last_used_date: None, service_name: "N/A".into(), region: "N/A".into() },
            |last| AccessKeyLastUsed {
                last_used_date: Some(last.at),
                service_name: last.service,
                region: last.region,
            },
        );
        Ok(GetAccessKeyLastUsedOutput { user_name: key.user, access_key_last_used: Some(last) })
    }

    async fn key_of(
        &self,
        cx: &Cx,
        user: Option<String>,
        id: &str,
    ) -> Result<Row<records::AccessKey>, Error> {
        let user = meant(cx, user)?;
        let row = self.store.get::<records::AccessKey>(&access_key(cx.account(), id)).await?;
        row.filter(|row| same(row.value.user.as_deref(), user.as_deref())).ok_or_else(|| unknown(id))
    }

    /// The keys of a user, or of the root user.
    pub(super) async fn keys_of(
        &self,
        account: &str,
        user: Option<&str>,
    ) -> Result<Vec<Row<records::AccessKey>>, Error> {
        let rows = self.store.list_by_seq(Key::new(account, ""), 0, store::limits::PAGE).await?;
        Ok(rows
            .into_iter()
            .filter(|row: &Row<records::AccessKey>| same(row.value.user.as_deref(), user))
            .collect())
    }
}

fn unknown(id: &str) -> Error {
    Error::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
}

fn same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        (a, b) => a == b,
    }
}

/// `Active` or `Inactive`.
pub fn status(active: bool) -> &'static str {
    if active { "Active" } else { "Inactive" }
}

/// Reads it.
pub fn active(status: &str) -> Result<bool, Error> {
    match status {
        "Active" => Ok(true),
        "Inactive" => Ok(false),
        other => Err(Error::Validation(format!(
            "Value '{other}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"
        ))),
    }
}
