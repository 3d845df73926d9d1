//! Managed policies and their versions.
use api::iam::*;
use kernel::Cx;
use store::{Batch, Row};

use crate::entities::{Page, encoded, policy_name, size, tags_in, tags_out};
use crate::records::{self, Holder, Version};
use crate::{Error, Iam, limits, managed};
use policy::{Document, Purpose};

/// Who uses a policy: (kind, name, id, as boundary).
struct Use {
    kind: &'static str,
    name: String,
    id: String,
    path: String,
    boundary: bool,
}

impl Iam {
    pub(super) async fn create_policy(
        &self,
        cx: &Cx,
        input: CreatePolicy,
    ) -> Result<CreatePolicyOutput, Error> {
        check_document(&input.policy_document)?;
        let identity = self.identity(&input.policy_name, input.path, "ANPA", tags_in(input.tags)?);
        let created = identity.created;
        let policy = records::Policy {
            identity,
            description: input.description,
            updated: created,
            default: 1,
            next: 2,
            versions: vec![Version { number: 1, document: input.policy_document, created }],
        };
        self.create(cx.account(), &policy).await?;
        Ok(CreatePolicyOutput { policy: Some(policy.out(cx.account(), 0, 0)) })
    }

    pub(super) async fn get_policy(&self, cx: &Cx, input: GetPolicy) -> Result<GetPolicyOutput, Error> {
        let policy = self.any_policy(&input.policy_arn).await?;
        let uses = self.uses(cx.account(), &input.policy_arn).await?;
        Ok(GetPolicyOutput { policy: Some(policy_out(cx, &policy, &input.policy_arn, &uses)) })
    }

    pub(super) async fn delete_policy(
        &self,
        cx: &Cx,
        input: DeletePolicy,
    ) -> Result<DeletePolicyOutput, Error> {
        let row = self.changeable(&input.policy_arn).await?;
        if row.value.versions.len() > 1 {
            return Err(Error::DeleteConflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                 versions. The default version is deleted with the policy."
                    .into(),
            ));
        }
        if !self.uses(cx.account(), &input.policy_arn).await?.is_empty() {
            return Err(Error::DeleteConflict("Cannot delete a policy attached to entities.".into()));
        }
        self.commit(Batch::new().remove(&row)).await?;
        Ok(DeletePolicyOutput {})
    }

    pub(super) async fn list_policies(
        &self,
        cx: &Cx,
        input: ListPolicies,
    ) -> Result<ListPoliciesOutput, Error> {
        let scope = input.scope.as_deref().unwrap_or("All");
        let mut all = Vec::new();
        if scope != "AWS" {
            let rows = self.all::<records::Policy>(cx.account(), None).await?;
            all.extend(rows.into_iter().map(|row| (row.created, cx.account().to_owned(), row.value)));
        }
        if scope != "Local" {
            // AWS's own stand behind the account's: sequences never come near these numbers.
            all.extend((1 << 62..).zip(managed::all()).map(|(at, policy)| (at, "aws".to_owned(), policy)));
        }
        let mut listed = Vec::new();
        for (at, account, policy) in all {
            let arn = records::Entity::arn(&policy, &account);
            let uses = self.uses(cx.account(), &arn).await?;
            let wanted = policy.identity.path.starts_with(input.path_prefix.as_deref().unwrap_or("/"))
                && (input.only_attached != Some(true) || uses.iter().any(|used| !used.boundary))
                && usage(&uses, input.policy_usage_filter.as_deref());
            if wanted {
                listed.push((at, policy_out(cx, &policy, &arn, &uses)));
            }
        }
        let page = Page::cut("ListPolicies", listed, input.marker.as_deref(), input.max_items)?;
        Ok(ListPoliciesOutput {
            is_truncated: page.truncated(),
            policies: Some(page.items),
            marker: page.marker,
        })
    }

    pub(super) async fn list_entities(
        &self,
        cx: &Cx,
        input: ListEntitiesForPolicy,
    ) -> Result<ListEntitiesForPolicyOutput, Error> {
        self.any_policy(&input.policy_arn).await?;
        let boundary = input.policy_usage_filter.as_deref().map(|filter| filter == "PermissionsBoundary");
        let path = input.path_prefix.as_deref().unwrap_or("/");
        let kind = input.entity_filter.as_deref().map(str::to_lowercase);
        let uses = self.uses(cx.account(), &input.policy_arn).await?.into_iter().filter(|used| {
            boundary.is_none_or(|boundary| used.boundary == boundary)
                && used.path.starts_with(path)
                && kind.as_ref().is_none_or(|kind| kind == used.kind)
        });
        let page =
            Page::cut("ListEntitiesForPolicy", (1..).zip(uses), input.marker.as_deref(), input.max_items)?;
        let mut out = ListEntitiesForPolicyOutput {
            is_truncated: page.truncated(),
            marker: page.marker,
            ..Default::default()
        };
        let (mut groups, mut users, mut roles) = (Vec::new(), Vec::new(), Vec::new());
        for Use { kind, name, id, .. } in page.items {
            let (name, id) = (Some(name), Some(id));
            match kind {
                "group" => groups.push(PolicyGroup { group_name: name, group_id: id }),
                "user" => users.push(PolicyUser { user_name: name, user_id: id }),
                _ => roles.push(PolicyRole { role_name: name, role_id: id }),
            }
        }
        (out.policy_groups, out.policy_users, out.policy_roles) = (Some(groups), Some(users), Some(roles));
        Ok(out)
    }

    pub(super) async fn create_version(
        &self,
        cx: &Cx,
        input: CreatePolicyVersion,
    ) -> Result<CreatePolicyVersionOutput, Error> {
        check_document(&input.policy_document)?;
        self.changeable(&input.policy_arn).await?;
        let (now, default) = (self.now(), input.set_as_default == Some(true));
        let change = |policy: &mut records::Policy| {
            if policy.versions.len() >= limits::VERSIONS {
                return Err(Error::TooMany(
                    "A managed policy can have up to 5 versions. Before you create a new version, you must delete an \
                     existing version."
                        .into(),
                ));
            }
            let number = policy.next;
            policy.next += 1;
            policy.versions.push(Version { number, document: input.policy_document.clone(), created: now });
            policy.updated = now;
            if default {
                policy.default = number;
            }
            Ok(number)
        };
        let (_, number) = self.change(cx.account(), &policy_name(&input.policy_arn)?, change).await?;
        Ok(CreatePolicyVersionOutput {
            policy_version: Some(PolicyVersion {
                version_id: Some(format!("v{number}")),
                is_default_version: Some(default),
                create_date: Some(now),
                document: None,
            }),
        })
    }

    pub(super) async fn get_version(
        &self,
        _: &Cx,
        input: GetPolicyVersion,
    ) -> Result<GetPolicyVersionOutput, Error> {
        let policy = self.any_policy(&input.policy_arn).await?;
        let number = version(&policy, &input.policy_arn, &input.version_id)?;
        let found = policy.versions.iter().find(|version| version.number == number);
        Ok(GetPolicyVersionOutput { policy_version: found.map(|found| version_out(&policy, found, true)) })
    }

    pub(super) async fn list_versions(
        &self,
        _: &Cx,
        input: ListPolicyVersions,
    ) -> Result<ListPolicyVersionsOutput, Error> {
        let policy = self.any_policy(&input.policy_arn).await?;
        let all = (1..).zip(policy.versions.iter().rev().map(|version| version_out(&policy, version, false)));
        let page = Page::cut("ListPolicyVersions", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListPolicyVersionsOutput {
            is_truncated: page.truncated(),
            versions: Some(page.items),
            marker: page.marker,
        })
    }

    pub(super) async fn delete_version(
        &self,
        cx: &Cx,
        input: DeletePolicyVersion,
    ) -> Result<DeletePolicyVersionOutput, Error> {
        self.changeable(&input.policy_arn).await?;
        let change = |policy: &mut records::Policy| {
            let number = version(policy, &input.policy_arn, &input.version_id)?;
            if number == policy.default {
                return Err(Error::DeleteConflict("Cannot delete the default version of a policy.".into()));
            }
            policy.versions.retain(|version| version.number != number);
            Ok(())
        };
        self.change(cx.account(), &policy_name(&input.policy_arn)?, change).await?;
        Ok(DeletePolicyVersionOutput {})
    }

    pub(super) async fn set_default_version(
        &self,
        cx: &Cx,
        input: SetDefaultPolicyVersion,
    ) -> Result<SetDefaultPolicyVersionOutput, Error> {
        self.changeable(&input.policy_arn).await?;
        let now = self.now();
        let change = |policy: &mut records::Policy| {
            policy.default = version(policy, &input.policy_arn, &input.version_id)?;
            policy.updated = now;
            Ok(())
        };
        self.change(cx.account(), &policy_name(&input.policy_arn)?, change).await?;
        Ok(SetDefaultPolicyVersionOutput {})
    }

    pub(super) async fn tag_policy(&self, cx: &Cx, input: TagPolicy) -> Result<TagPolicyOutput, Error> {
        self.changeable(&input.policy_arn).await?;
        self.tag::<records::Policy>(cx.account(), &policy_name(&input.policy_arn)?, input.tags).await?;
        Ok(TagPolicyOutput {})
    }

    pub(super) async fn untag_policy(&self, cx: &Cx, input: UntagPolicy) -> Result<UntagPolicyOutput, Error> {
        self.changeable(&input.policy_arn).await?;
        self.untag::<records::Policy>(cx.account(), &policy_name(&input.policy_arn)?, &input.tag_keys)
            .await?;
        Ok(UntagPolicyOutput {})
    }

    pub(super) async fn list_policy_tags(
        &self,
        _: &Cx,
        input: ListPolicyTags,
    ) -> Result<ListPolicyTagsOutput, Error> {
        let policy = self.any_policy(&input.policy_arn).await?;
        let all = (1..).zip(tags_out(&policy.identity.tags));
        let page = Page::cut("ListPolicyTags", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListPolicyTagsOutput { is_truncated: page.truncated(), tags: page.items, marker: page.marker })
    }

    async fn any_policy(&self, arn: &str) -> Result<records::Policy, Error> {
        policy_name(arn)?;
        match managed::get(arn) {
            Some(policy) => Ok(policy),
            None => Ok(self.own_policy(arn).await?.ok_or_else(|| not_found(arn))?.value),
        }
    }

    /// One of the account's own: AWS's are not to be changed.
    async fn changeable(&self, arn: &str) -> Result<Row<records::Policy>, Error> {
        policy_name(arn)?;
        if managed::get(arn).is_some() {
            return Err(Error::AccessDenied(format!("Policy {arn} belongs to AWS and cannot be changed")));
        }
        self.own_policy(arn).await?.ok_or_else(|| not_found(arn))
    }

    async fn uses(&self, account: &str, arn: &str) -> Result<Vec<Use>, Error> {
        let mut uses = Vec::new();
        self.uses_by::<records::Group>(account, arn, &mut uses).await?;
        self.uses_by::<records::User>(account, arn, &mut uses).await?;
        self.uses_by::<records::Role>(account, arn, &mut uses).await?;
        Ok(uses)
    }

    async fn uses_by<H: Holder>(&self, account: &str, arn: &str, uses: &mut Vec<Use>) -> Result<(), Error> {
        for row in self.all::<H>(account, None).await? {
            let identity = row.value.identity();
            let held = row.value.held();
            let used = |boundary| Use {
                kind: H::KIND,
                name: identity.name.clone(),
                id: identity.id.clone(),
                path: identity.path.clone(),
                boundary,
            };
            uses.extend(held.attached.iter().any(|a| a == arn).then(|| used(false)));
            uses.extend((held.boundary.as_deref() == Some(arn)).then(|| used(true)));
        }
        Ok(())
    }
}

fn not_found(arn: &str) -> Error {
    Error::NoSuchEntity(format!("Policy {arn} was not found."))
}

fn check_document(document: &str) -> Result<(), Error> {
    if size(document) > limits::MANAGED_POLICY {
        return Err(Error::LimitExceeded("PolicySize", limits::MANAGED_POLICY));
    }
    Document::parse(document, Purpose::Identity)?;
    Ok(())
}

fn usage(uses: &[Use], filter: Option<&str>) -> bool {
    match filter {
        Some("PermissionsBoundary") => uses.iter().any(|used| used.boundary),
        Some("PermissionsPolicy") => uses.iter().any(|used| !used.boundary),
        _ => true,
    }
}

fn policy_out(cx: &Cx, policy: &records::Policy, arn: &str, uses: &[Use]) -> Policy {
    let account = if arn.starts_with("arn:aws:iam::aws:") { "aws" } else { cx.account() };
    let boundaries = uses.iter().filter(|used| used.boundary).count();
    policy.out(account, uses.len() - boundaries, boundaries)
}

/// The number of a version that is there.
fn version(policy: &records::Policy, arn: &str, id: &str) -> Result<u32, Error> {
    let number = id.strip_prefix('v').and_then(|number| number.parse().ok());
    number.filter(|number| policy.versions.iter().any(|version| version.number == *number)).ok_or_else(|| {
        Error::NoSuchEntity(format!("Policy {arn} version {id} does not exist or is not attachable."))
    })
}

fn version_out(policy: &records::Policy, version: &Version, document: bool) -> PolicyVersion {
    PolicyVersion {
        document: document.then(|| encoded(&version.document)),
        version_id: Some(format!("v{}", version.number)),
        is_default_version: Some(version.number == policy.default),
        create_date: Some(version.created),
    }
}
