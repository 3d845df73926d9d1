//! Log groups and their retention.
use api::logs::*;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, PageToken, Row};

use super::limit;
use crate::error::Error;
use crate::names::{group_arn, of_arn, on_group, scope};
use crate::records::{Group, Stream, Trash};
use crate::{Logs, limits};

impl Handle<CreateLogGroup> for Logs {
    async fn access(&self, cx: &Cx, input: &CreateLogGroup) -> Result<Vec<Access>, Fault> {
        let mut want = on_group(cx, "logs:CreateLogGroup", &input.log_group_name);
        if input.tags.is_some() {
            want.push(Access::new("logs:TagResource", group_arn(cx, &input.log_group_name)));
        }
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: CreateLogGroup) -> Result<CreateLogGroupOutput, Fault> {
        let group = Group {
            id: ids::hex(&*self.entropy, 24),
            name: input.log_group_name.clone(),
            created: self.now(),
            retention: None,
            class: class(&input)?,
            tags: input.tags.unwrap_or_default(),
        };
        if group.tags.len() > limits::TAGS {
            return Err(Error::TooManyTags.into());
        }
        let key = scope(cx).text(&group.name);
        match self.store.commit(Batch::new().create(&key, &group)).await {
            Err(error) if error.is_conflict() => Err(Error::GroupExists.into()),
            done => Ok(done.map(|_| CreateLogGroupOutput {}).map_err(Error::from)?),
        }
    }
}

/// The class, once nothing else asks for what is not served.
fn class(input: &CreateLogGroup) -> Result<String, Error> {
    if input.kms_key_id.is_some() {
        return Err(Error::invalid("kmsKeyId is not served by Longshore: leave it out."));
    }
    if input.deletion_protection_enabled == Some(true) {
        return Err(Error::invalid("deletionProtectionEnabled is not served by Longshore: leave it out."));
    }
    match input.log_group_class.as_deref().unwrap_or("STANDARD") {
        class @ ("STANDARD" | "INFREQUENT_ACCESS") => Ok(class.to_owned()),
        other => Err(Error::invalid(format!(
            "logGroupClass {other} is not served by Longshore: use STANDARD or INFREQUENT_ACCESS."
        ))),
    }
}

impl Handle<DeleteLogGroup> for Logs {
    async fn access(&self, cx: &Cx, input: &DeleteLogGroup) -> Result<Vec<Access>, Fault> {
        Ok(on_group(cx, "logs:DeleteLogGroup", &input.log_group_name))
    }

    async fn handle(&self, cx: &Cx, input: DeleteLogGroup) -> Result<DeleteLogGroupOutput, Fault> {
        let scope = scope(cx);
        let deleted = self.store.update(|| async {
            let group = self.group(&scope, &input.log_group_name).await?;
            let trash = scope.clone().text(&group.value.id);
            Ok::<_, Error>((Batch::new().remove(&group).put(&trash, &Trash::Group), ()))
        });
        Ok(deleted.await.map(|()| DeleteLogGroupOutput {})?)
    }
}

impl Handle<DescribeLogGroups> for Logs {
    async fn access(&self, cx: &Cx, _: &DescribeLogGroups) -> Result<Vec<Access>, Fault> {
        Ok(on_group(cx, "logs:DescribeLogGroups", ""))
    }

    async fn handle(&self, cx: &Cx, input: DescribeLogGroups) -> Result<DescribeLogGroupsOutput, Fault> {
        let wanted = Wanted::new(cx, &input)?;
        let after: Option<String> =
            PageToken::position("DescribeLogGroups", input.next_token.as_deref()).map_err(Error::from)?;
        let (scope, limit) = (scope(cx), limit(input.limit, limits::DESCRIBED));
        let prefix = scope.starting(input.log_group_name_prefix.as_deref().unwrap_or_default());
        let mut after = after.map(|name| scope.clone().text(name));
        let mut found: Vec<Row<Group>> = Vec::new();
        // What is wanted may be sparse; each turn reads as many as a page has, and one more to know of a next page.
        loop {
            let rows =
                self.store.list::<Group>(&prefix, after.as_ref(), limit + 1).await.map_err(Error::from)?;
            let last = rows.len() <= limit;
            after = rows.last().map(|row| row.key.clone());
            found.extend(rows.into_iter().filter(|row| wanted.takes(&row.value)));
            if last || found.len() > limit {
                break;
            }
        }
        let next_token = (found.len() > limit).then(|| {
            found.truncate(limit);
            found.last().map(|row| PageToken::encode("DescribeLogGroups", row.value.name.clone()))
        });
        let mut log_groups = Vec::with_capacity(found.len());
        for row in found {
            log_groups.push(self.described(cx, row.value).await?);
        }
        Ok(DescribeLogGroupsOutput { log_groups: Some(log_groups), next_token: next_token.flatten() })
    }
}

/// The filters of DescribeLogGroups beside the prefix.
struct Wanted {
    pattern: Option<String>,
    class: Option<String>,
    names: Option<Vec<String>>,
    ours: bool,
}

impl Wanted {
    fn new(cx: &Cx, input: &DescribeLogGroups) -> Result<Self, Error> {
        if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
            return Err(Error::invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        let name = |id: &String| match id.starts_with("arn:") {
            true => of_arn(cx, id).unwrap_or_default(),
            false => id.clone(),
        };
        let accounts = input.account_identifiers.as_deref().unwrap_or_default();
        Ok(Self {
            pattern: input.log_group_name_pattern.as_ref().map(|pattern| pattern.to_lowercase()),
            class: input.log_group_class.clone(),
            names: input.log_group_identifiers.as_ref().map(|ids| ids.iter().map(name).collect()),
            ours: accounts.is_empty() || accounts.iter().any(|account| account == cx.account()),
        })
    }

    fn takes(&self, group: &Group) -> bool {
        self.ours
            && self.pattern.as_ref().is_none_or(|pattern| group.name.to_lowercase().contains(pattern))
            && self.class.as_ref().is_none_or(|class| *class == group.class)
            && self.names.as_ref().is_none_or(|names| names.contains(&group.name))
    }
}

impl Logs {
    async fn described(&self, cx: &Cx, group: Group) -> Result<LogGroup, Error> {
        let streams = self.store.all::<Stream>(scope(cx).text(&group.id)).await?;
        let bytes: u64 = streams.iter().map(|stream| stream.value.bytes).sum();
        let arn = group_arn(cx, &group.name);
        Ok(LogGroup {
            log_group_name: Some(group.name),
            creation_time: Some(group.created),
            retention_in_days: group.retention,
            metric_filter_count: Some(0),
            arn: Some(format!("{arn}:*")),
            stored_bytes: i64::try_from(bytes).ok(),
            log_group_class: Some(group.class),
            log_group_arn: Some(arn),
            ..LogGroup::default()
        })
    }

    async fn retain(&self, cx: &Cx, name: &str, days: Option<i32>) -> Result<(), Error> {
        let scope = scope(cx);
        self.store
            .update(|| async {
                let mut group = self.group(&scope, name).await?;
                group.value.retention = days;
                Ok((Batch::new().update(&group), ()))
            })
            .await
    }
}

impl Handle<PutRetentionPolicy> for Logs {
    async fn access(&self, cx: &Cx, input: &PutRetentionPolicy) -> Result<Vec<Access>, Fault> {
        Ok(on_group(cx, "logs:PutRetentionPolicy", &input.log_group_name))
    }

    async fn handle(&self, cx: &Cx, input: PutRetentionPolicy) -> Result<PutRetentionPolicyOutput, Fault> {
        let days = input.retention_in_days;
        if !limits::RETENTION.contains(&days) {
            let text = format!(
                "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: \
                 Member must satisfy enum value set: {:?}",
                limits::RETENTION
            );
            return Err(Error::invalid(text).into());
        }
        self.retain(cx, &input.log_group_name, Some(days)).await?;
        Ok(PutRetentionPolicyOutput {})
    }
}

impl Handle<DeleteRetentionPolicy> for Logs {
    async fn access(&self, cx: &Cx, input: &DeleteRetentionPolicy) -> Result<Vec<Access>, Fault> {
        Ok(on_group(cx, "logs:DeleteRetentionPolicy", &input.log_group_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DeleteRetentionPolicy,
    ) -> Result<DeleteRetentionPolicyOutput, Fault> {
        self.retain(cx, &input.log_group_name, None).await?;
        Ok(DeleteRetentionPolicyOutput {})
    }
}
