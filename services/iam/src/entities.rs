//! What users, groups, roles and policies have in common: names, quotas, tags, pages.
use kernel::{Access, Arn, Cx, PrincipalKind, ids};
use store::{Batch, Key, PageToken, Row};

use crate::records::{Entity, Group, Holder, Identity, Policy, Role, Tags, User, arn, key};
use crate::{Error, Iam, limits};

/// A page of a list, and the marker of the next.
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Absent on the last page.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a page out of all items, which stand in the order of their numbers.
    pub fn cut(
        list: &str,
        all: impl IntoIterator<Item = (u64, T)>,
        marker: Option<&str>,
        max: Option<i32>,
    ) -> Result<Self, Error> {
        let after = PageToken::<u64>::position(list, marker);
        let after = after
            .map_err(|_| Error::Validation(format!("Invalid Marker: {}", marker.unwrap_or_default())))?;
        let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(limits::PAGE).max(1);
        let mut rest = all.into_iter().filter(|(at, _)| after.is_none_or(|after| *at > after)).peekable();
        let (mut items, mut last) = (Vec::new(), 0);
        while let Some((at, item)) = rest.next_if(|_| items.len() < max) {
            items.push(item);
            last = at;
        }
        Ok(Self { items, marker: rest.peek().map(|_| PageToken::encode(list, last)) })
    }

    /// `IsTruncated`.
    pub fn truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

impl Iam {
    /// The entity of that name.
    pub(crate) async fn get<E: Entity>(&self, account: &str, name: &str) -> Result<Row<E>, Error> {
        self.store.get::<E>(&key(account, name)).await?.ok_or_else(|| missing::<E>(name))
    }

    /// All entities of a kind whose path begins so, in the order of their making.
    pub(crate) async fn all<E: Entity>(
        &self,
        account: &str,
        path: Option<&str>,
    ) -> Result<Vec<Row<E>>, Error> {
        let rows = self.store.list_by_seq::<E>(Key::new(account, ""), 0, store::limits::PAGE).await?;
        let path = path.unwrap_or("/");
        Ok(rows.into_iter().filter(|row| row.value.identity().path.starts_with(path)).collect())
    }

    /// Name and the like of a new entity; `prefix` is that of its id.
    pub(crate) fn identity(&self, name: &str, path: Option<String>, prefix: &str, tags: Tags) -> Identity {
        Identity {
            name: name.to_owned(),
            id: format!("{prefix}{}", ids::upper(&*self.entropy, 17)),
            path: path.unwrap_or_else(|| "/".into()),
            created: self.now(),
            tags,
        }
    }

    /// Stores a new entity, unless one has its name or there are too many.
    pub(crate) async fn create<E: Entity>(&self, account: &str, entity: &E) -> Result<(), Error> {
        let key = key(account, &entity.identity().name);
        let (quota, max) = E::QUOTA;
        if self.store.get::<E>(&key).await?.is_some() {
            return Err(exists(entity));
        }
        if self.store.count::<E>(Key::new(account, "")).await? >= max {
            return Err(Error::LimitExceeded(quota, usize::try_from(max).unwrap_or(usize::MAX)));
        }
        match self.store.commit(Batch::new().create(&key, entity)).await {
            Err(error) if error.is_conflict() => Err(exists(entity)),
            Err(error) => Err(error.into()),
            Ok(_) => {
                self.directory.forget();
                Ok(())
            }
        }
    }

    /// Changes an entity in place and answers it as it is then, with what the change answers.
    pub(crate) async fn change<E: Entity, T>(
        &self,
        account: &str,
        name: &str,
        change: impl Fn(&mut E) -> Result<T, Error>,
    ) -> Result<(E, T), Error> {
        let done: Result<_, Error> = self
            .store
            .update(|| async {
                let mut row = self.get::<E>(account, name).await?;
                let out = change(&mut row.value)?;
                Ok((Batch::new().update(&row), (row.value, out)))
            })
            .await;
        self.directory.forget();
        done
    }

    /// Adds tags to an entity, or replaces their values.
    pub(crate) async fn tag<E: Entity>(
        &self,
        account: &str,
        name: &str,
        tags: Vec<api::iam::Tag>,
    ) -> Result<(), Error> {
        let tag = |entity: &mut E| add_tags(&mut entity.identity_mut().tags, tags.clone(), false);
        self.change(account, name, tag).await.map(|_| ())
    }

    /// Removes tags of an entity; those it has not are fine.
    pub(crate) async fn untag<E: Entity>(
        &self,
        account: &str,
        name: &str,
        keys: &[String],
    ) -> Result<(), Error> {
        self.change(account, name, |entity: &mut E| {
            let gone = |key: &String| keys.iter().any(|gone| gone.eq_ignore_ascii_case(key));
            entity.identity_mut().tags.retain(|key, _| !gone(key));
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Commits a batch that decides what is allowed.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), Error> {
        self.store.commit(batch).await?;
        self.directory.forget();
        Ok(())
    }

    /// An action on an entity: its path is part of its ARN.
    pub(crate) async fn on<E: Entity>(
        &self,
        cx: &Cx,
        action: &'static str,
        name: &str,
    ) -> Result<Access, Error> {
        let found = self.store.get::<E>(&key(cx.account(), name)).await?;
        let resource =
            found.map_or_else(|| arn::<E>(cx.account(), "/", name), |row| row.value.arn(cx.account()));
        Ok(Access::new(action, resource))
    }

    /// An action on a user, the caller itself where none is named.
    pub(crate) async fn on_user(
        &self,
        cx: &Cx,
        action: &'static str,
        name: Option<&str>,
    ) -> Result<Access, Error> {
        match (name, &cx.caller.kind) {
            (Some(name), _) => self.on::<User>(cx, action, name).await,
            (None, PrincipalKind::User(name)) => self.on::<User>(cx, action, name).await,
            _ => Ok(Access::new(action, cx.caller.arn.clone())),
        }
    }
}

/// The user that is meant; `None` is the root user itself.
pub fn meant(cx: &Cx, name: Option<String>) -> Result<Option<String>, Error> {
    match (name, &cx.caller.kind) {
        (Some(name), _) => Ok(Some(name)),
        (None, PrincipalKind::User(name)) => Ok(Some(name.clone())),
        (None, PrincipalKind::Root) => Ok(None),
        (None, _) => {
            Err(Error::Validation("Must specify userName when calling with non-User credentials".into()))
        }
    }
}

/// `NoSuchEntity` of an entity.
pub fn missing<E: Entity>(name: &str) -> Error {
    Error::NoSuchEntity(format!("The {} with name {name} cannot be found.", E::KIND))
}

fn exists<E: Entity>(entity: &E) -> Error {
    let name = &entity.identity().name;
    Error::EntityAlreadyExists(match E::KIND {
        "policy" => format!("A policy called {name} already exists. Duplicate names are not allowed."),
        "user" => format!("User with name {name} already exists."),
        "group" => format!("Group with name {name} already exists."),
        _ => format!("Role with name {name} already exists."),
    })
}

/// Refuses to change a service's own role.
pub fn open<H: Holder>(holder: &H) -> Result<(), Error> {
    if holder.closed() { Err(Error::Unmodifiable(holder.identity().name.clone())) } else { Ok(()) }
}

/// Characters of a policy as quotas count them: white space is free.
pub fn size(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// The policy's own ARN, which its path is part of.
pub fn policy_name(policy_arn: &str) -> Result<String, Error> {
    let parsed: Arn =
        policy_arn.parse().map_err(|_| Error::InvalidInput(format!("ARN {policy_arn} is not valid.")))?;
    if parsed.service != "iam" || !parsed.resource.starts_with("policy/") {
        return Err(Error::InvalidInput(format!("ARN {policy_arn} is not valid.")));
    }
    Ok(parsed.resource.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Tags as the API gives them.
pub fn tags_out(tags: &Tags) -> Vec<api::iam::Tag> {
    tags.iter().map(|(key, value)| api::iam::Tag { key: key.clone(), value: value.clone() }).collect()
}

/// Tags as they are kept. A key stands once, whatever its case.
pub fn tags_in(tags: Option<Vec<api::iam::Tag>>) -> Result<Tags, Error> {
    let mut out = Tags::new();
    add_tags(&mut out, tags.unwrap_or_default(), true)?;
    Ok(out)
}

/// Adds tags; `once` refuses a key that is there already.
fn add_tags(tags: &mut Tags, new: Vec<api::iam::Tag>, once: bool) -> Result<(), Error> {
    for tag in new {
        if tag.key.to_lowercase().starts_with("aws:") {
            return Err(Error::InvalidInput(format!("Tag key {} must not begin with aws:", tag.key)));
        }
        let same = tags.keys().find(|key| key.eq_ignore_ascii_case(&tag.key)).cloned();
        if let Some(same) = same {
            if once {
                return Err(Error::InvalidInput(format!("Duplicate tag keys found: {same}")));
            }
            tags.remove(&same);
        }
        tags.insert(tag.key, tag.value);
    }
    if tags.len() > limits::TAGS {
        Err(Error::LimitExceeded("TagsPerResource", limits::TAGS))
    } else {
        Ok(())
    }
}

impl User {
    /// As the API gives it.
    pub fn out(&self, account: &str) -> api::iam::User {
        let Identity { name, id, path, created, tags } = &self.identity;
        api::iam::User {
            path: path.clone(),
            user_name: name.clone(),
            user_id: id.clone(),
            arn: self.arn(account),
            create_date: *created,
            permissions_boundary: boundary_out(self),
            tags: (!tags.is_empty()).then(|| tags_out(tags)),
            ..api::iam::User::default()
        }
    }
}

impl Group {
    /// As the API gives it.
    pub fn out(&self, account: &str) -> api::iam::Group {
        let Identity { name, id, path, created, .. } = &self.identity;
        api::iam::Group {
            path: path.clone(),
            group_name: name.clone(),
            group_id: id.clone(),
            arn: self.arn(account),
            create_date: *created,
        }
    }
}

impl Role {
    /// As the API gives it; documents are URL-encoded there.
    pub fn out(&self, account: &str) -> api::iam::Role {
        let Identity { name, id, path, created, tags } = &self.identity;
        api::iam::Role {
            path: path.clone(),
            role_name: name.clone(),
            role_id: id.clone(),
            arn: self.arn(account),
            create_date: *created,
            assume_role_policy_document: Some(encoded(&self.trust)),
            description: self.description.clone(),
            max_session_duration: Some(self.max_session),
            permissions_boundary: boundary_out(self),
            tags: (!tags.is_empty()).then(|| tags_out(tags)),
            ..api::iam::Role::default()
        }
    }
}

impl Policy {
    /// As the API gives it; `account` is `aws` for AWS's own.
    pub fn out(&self, account: &str, attached: usize, boundaries: usize) -> api::iam::Policy {
        let Identity { name, id, path, created, tags } = &self.identity;
        let count = |n: usize| Some(i32::try_from(n).unwrap_or(i32::MAX));
        api::iam::Policy {
            policy_name: Some(name.clone()),
            policy_id: Some(id.clone()),
            arn: Some(self.arn(account)),
            path: Some(path.clone()),
            default_version_id: Some(format!("v{}", self.default)),
            attachment_count: count(attached),
            permissions_boundary_usage_count: count(boundaries),
            is_attachable: Some(true),
            description: self.description.clone(),
            create_date: Some(*created),
            update_date: Some(self.updated),
            tags: (!tags.is_empty()).then(|| tags_out(tags)),
        }
    }
}

fn boundary_out<H: Holder>(holder: &H) -> Option<api::iam::AttachedPermissionsBoundary> {
    let arn = holder.held().boundary.clone()?;
    Some(api::iam::AttachedPermissionsBoundary {
        permissions_boundary_type: Some("Policy".into()),
        permissions_boundary_arn: Some(arn),
    })
}

/// A document as the API gives it: percent-encoded (RFC 3986).
pub fn encoded(document: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(document, SET).to_string()
}
