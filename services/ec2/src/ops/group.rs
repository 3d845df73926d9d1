//! Security groups and their rules. A change wakes who watches the table: running tasks get the new rules at once.
use api::ec2 as e;
use kernel::{Arn, Cx};
use store::{Batch, Row};

use super::handle;
use crate::records::{Group, Interface, Peer, Rule, Vpc};
use crate::rules::{Asked, permissions, same, shown};
use crate::{Ec2, Error, Result, Selection, limits};

handle!(CreateSecurityGroup, create_group, |_input| "security-group/*".into(), dry_run);
handle!(DescribeSecurityGroups, describe_groups, |_input| "*".into(), dry_run);
handle!(DeleteSecurityGroup, delete_group, |input| arn(input.group_id.as_ref()), dry_run);
handle!(DescribeSecurityGroupRules, describe_rules, |_input| "*".into(), dry_run);
handle!(AuthorizeSecurityGroupIngress, authorize_ingress, |input| arn(input.group_id.as_ref()), dry_run);
handle!(AuthorizeSecurityGroupEgress, authorize_egress, |input| arn(Some(&input.group_id)), dry_run);
handle!(RevokeSecurityGroupIngress, revoke_ingress, |input| arn(input.group_id.as_ref()), dry_run);
handle!(RevokeSecurityGroupEgress, revoke_egress, |input| arn(Some(&input.group_id)), dry_run);

fn arn(id: Option<&String>) -> String {
    format!("security-group/{}", id.map_or("*", String::as_str))
}

/// What a call asks for: authorizing and revoking, in and out, name it by the same members.
macro_rules! asked {
    ($input:ident) => {
        Asked {
            permissions: $input.ip_permissions.as_ref(),
            protocol: $input.ip_protocol.as_ref(),
            from: $input.from_port,
            to: $input.to_port,
            cidr: $input.cidr_ip.as_ref(),
            group_name: $input.source_security_group_name.as_ref(),
        }
    };
}

impl Ec2 {
    async fn create_group(
        &self,
        cx: &Cx,
        input: e::CreateSecurityGroup,
    ) -> Result<e::CreateSecurityGroupOutput> {
        let vpc = match &input.vpc_id {
            Some(id) => self.find::<Vpc>(cx, id).await?.value.id,
            None => self.default_vpc_id(cx).await?,
        };
        let groups = self.every::<Group>(cx).await?;
        if groups.len() >= limits::GROUPS {
            return Err(Error::LimitExceeded("security groups"));
        }
        if input.group_name.is_empty() || input.group_name.len() > 255 || input.group_name.starts_with("sg-")
        {
            return Err(Error::InvalidParameterValue(format!(
                "Value ({}) for parameter GroupName is invalid. It has 1 to 255 characters and does not start with 'sg-'.",
                input.group_name
            )));
        }
        if groups.iter().any(|row| row.value.vpc == vpc && row.value.name == input.group_name) {
            let message = format!("The security group '{}' already exists for VPC '{vpc}'", input.group_name);
            return Err(Error::Duplicate { code: "InvalidGroup.Duplicate", message });
        }
        let id = self.new_id::<Group>();
        let group = Group {
            id: id.clone(),
            vpc,
            name: input.group_name,
            description: input.description,
            rules: vec![self.all_egress()],
        };
        let (batch, tags) = Self::create(cx, &group, input.tag_specifications.as_ref())?;
        self.store.commit(batch).await?;
        Ok(e::CreateSecurityGroupOutput {
            security_group_arn: Some(self.group_arn(cx, &id)),
            group_id: Some(id),
            tags: Some(tags),
        })
    }

    fn group_arn(&self, cx: &Cx, id: &str) -> String {
        Arn::new("ec2", &cx.region, cx.account(), format!("security-group/{id}")).to_string()
    }

    /// The default VPC, for calls that name none.
    pub async fn default_vpc_id(&self, cx: &Cx) -> Result<String> {
        let missing = || Error::State {
            code: "VPCIdNotSpecified",
            message: "No default VPC for this user; name a VpcId".into(),
        };
        self.every::<Vpc>(cx)
            .await?
            .into_iter()
            .find(|row| row.value.default)
            .map(|row| row.value.id)
            .ok_or_else(missing)
    }

    async fn describe_groups(
        &self,
        cx: &Cx,
        input: e::DescribeSecurityGroups,
    ) -> Result<e::DescribeSecurityGroupsOutput> {
        let selection = Selection {
            ids: input.group_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (mut page, next_token) = self.select::<Group>(cx, selection).await?;
        if let Some(names) = &input.group_names {
            page.retain(|(group, _)| names.contains(&group.name));
        }
        let groups = page.into_iter().map(|(group, tags)| e::SecurityGroup {
            ip_permissions: Some(permissions(group.direction(false), cx)),
            ip_permissions_egress: Some(permissions(group.direction(true), cx)),
            security_group_arn: Some(self.group_arn(cx, &group.id)),
            group_id: Some(group.id),
            vpc_id: Some(group.vpc),
            group_name: Some(group.name),
            description: Some(group.description),
            owner_id: Some(cx.account().into()),
            tags: Some(tags),
        });
        Ok(e::DescribeSecurityGroupsOutput { security_groups: Some(groups.collect()), next_token })
    }

    async fn delete_group(
        &self,
        cx: &Cx,
        input: e::DeleteSecurityGroup,
    ) -> Result<e::DeleteSecurityGroupOutput> {
        let row = self.group(cx, input.group_id.as_ref(), input.group_name.as_ref()).await?;
        let id = row.value.id.clone();
        if row.value.name == "default" {
            let message =
                format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
            return Err(Error::State { code: "CannotDelete", message });
        }
        self.no_dependents::<Interface>(cx, &id, |interface| interface.groups.contains(&id)).await?;
        self.no_dependents::<Group>(cx, &id, |g| {
            g.id != id && g.rules.iter().any(|rule| rule.peer == Peer::Group(id.clone()))
        })
        .await?;
        self.store.commit(Self::delete(&row)).await?;
        Ok(e::DeleteSecurityGroupOutput { r#return: Some(true), group_id: Some(id) })
    }

    async fn describe_rules(
        &self,
        cx: &Cx,
        input: e::DescribeSecurityGroupRules,
    ) -> Result<e::DescribeSecurityGroupRulesOutput> {
        let mut groups = Vec::new();
        for filter in input.filters.iter().flatten() {
            match filter.name.as_deref().unwrap_or_default() {
                "group-id" => groups.extend(filter.values.iter().flatten().cloned()),
                "security-group-rule-id" => {}
                name => return Err(Error::InvalidParameterValue(format!("The filter '{name}' is invalid"))),
            }
        }
        let named = |filter: &e::Filter| filter.name.as_deref() == Some("security-group-rule-id");
        let mut ids: Vec<String> = input.security_group_rule_ids.unwrap_or_default();
        ids.extend(
            input
                .filters
                .iter()
                .flatten()
                .filter(|f| named(f))
                .flat_map(|f| f.values.iter().flatten().cloned()),
        );
        let mut rules = Vec::new();
        for row in self.every::<Group>(cx).await? {
            let group = row.value;
            let wanted = |rule: &&Rule| {
                (groups.is_empty() || groups.contains(&group.id))
                    && (ids.is_empty() || ids.contains(&rule.id))
            };
            rules.extend(group.rules.iter().filter(wanted).map(|rule| shown(rule, &group, cx)));
        }
        if let Some(id) =
            ids.iter().find(|id| rules.iter().all(|rule| rule.security_group_rule_id.as_ref() != Some(id)))
        {
            let message = format!("The security group rule ID '{id}' does not exist");
            return Err(Error::State { code: "InvalidSecurityGroupRuleId.NotFound", message });
        }
        Ok(e::DescribeSecurityGroupRulesOutput { security_group_rules: Some(rules), next_token: None })
    }

    async fn group(&self, cx: &Cx, id: Option<&String>, name: Option<&String>) -> Result<Row<Group>> {
        match (id, name) {
            (Some(id), _) => self.find(cx, id).await,
            (None, Some(name)) => {
                let vpc = self.default_vpc_id(cx).await?;
                let found = self
                    .every::<Group>(cx)
                    .await?
                    .into_iter()
                    .find(|row| row.value.vpc == vpc && row.value.name == *name);
                found.ok_or_else(|| Self::missing::<Group>(name))
            }
            (None, None) => Err(Error::MissingParameter("GroupId")),
        }
    }

    async fn siblings(&self, cx: &Cx, vpc: &str) -> Result<Vec<Group>> {
        Ok(self
            .every::<Group>(cx)
            .await?
            .into_iter()
            .map(|row| row.value)
            .filter(|group| group.vpc == vpc)
            .collect())
    }

    async fn authorize(
        &self,
        cx: &Cx,
        id: Option<&String>,
        name: Option<&String>,
        asked: Asked<'_>,
        egress: bool,
    ) -> Result<Vec<e::SecurityGroupRule>> {
        let change = || async {
            let mut row = self.group(cx, id, name).await?;
            let new = self.asked(&asked, egress, &self.siblings(cx, &row.value.vpc).await?)?;
            for rule in &new {
                if row.value.rules.iter().any(|old| same(old, rule)) {
                    let message = format!(
                        "the specified rule \"peer: {:?}, {}, from port: {}, to port: {}, ALLOW\" already exists",
                        rule.peer, rule.protocol, rule.from, rule.to
                    );
                    return Err(Error::Duplicate { code: "InvalidPermission.Duplicate", message });
                }
            }
            if row.value.direction(egress).count() + new.len() > limits::RULES {
                return Err(Error::LimitExceeded("rules per security group"));
            }
            let answer = new.iter().map(|rule| shown(rule, &row.value, cx)).collect();
            row.value.rules.extend(new);
            Ok::<_, Error>((Batch::new().update(&row), answer))
        };
        self.store.update(change).await
    }

    async fn authorize_ingress(
        &self,
        cx: &Cx,
        input: e::AuthorizeSecurityGroupIngress,
    ) -> Result<e::AuthorizeSecurityGroupIngressOutput> {
        let asked = asked!(input);
        let rules =
            self.authorize(cx, input.group_id.as_ref(), input.group_name.as_ref(), asked, false).await?;
        Ok(e::AuthorizeSecurityGroupIngressOutput { r#return: Some(true), security_group_rules: Some(rules) })
    }

    async fn authorize_egress(
        &self,
        cx: &Cx,
        input: e::AuthorizeSecurityGroupEgress,
    ) -> Result<e::AuthorizeSecurityGroupEgressOutput> {
        let asked = asked!(input);
        let rules = self.authorize(cx, Some(&input.group_id), None, asked, true).await?;
        Ok(e::AuthorizeSecurityGroupEgressOutput { r#return: Some(true), security_group_rules: Some(rules) })
    }

    /// Removes rules by id or by what they admit; one that is not there is an error, as in VPCs of AWS.
    async fn revoke(
        &self,
        cx: &Cx,
        id: Option<&String>,
        name: Option<&String>,
        ids: Option<&Vec<String>>,
        asked: Asked<'_>,
        egress: bool,
    ) -> Result<()> {
        let change = || async {
            let mut row = self.group(cx, id, name).await?;
            let old = match ids.filter(|ids| !ids.is_empty()) {
                Some(ids) => {
                    let missing = |id: &&String| row.value.direction(egress).all(|rule| rule.id != **id);
                    if let Some(id) = ids.iter().find(missing) {
                        return Err(Error::UnknownRule(format!(
                            "The specified rule '{id}' does not exist in this security group."
                        )));
                    }
                    row.value.rules.iter().filter(|rule| ids.contains(&rule.id)).cloned().collect()
                }
                None => self.asked(&asked, egress, &self.siblings(cx, &row.value.vpc).await?)?,
            };
            if old.iter().any(|rule| row.value.rules.iter().all(|known| !same(known, rule))) {
                return Err(Error::UnknownRule(
                    "The specified rule does not exist in this security group.".into(),
                ));
            }
            row.value.rules.retain(|known| old.iter().all(|rule| !same(known, rule)));
            Ok::<_, Error>((Batch::new().update(&row), ()))
        };
        self.store.update(change).await
    }

    async fn revoke_ingress(
        &self,
        cx: &Cx,
        input: e::RevokeSecurityGroupIngress,
    ) -> Result<e::RevokeSecurityGroupIngressOutput> {
        let asked = asked!(input);
        self.revoke(
            cx,
            input.group_id.as_ref(),
            input.group_name.as_ref(),
            input.security_group_rule_ids.as_ref(),
            asked,
            false,
        )
        .await?;
        Ok(e::RevokeSecurityGroupIngressOutput { r#return: Some(true), ..Default::default() })
    }

    async fn revoke_egress(
        &self,
        cx: &Cx,
        input: e::RevokeSecurityGroupEgress,
    ) -> Result<e::RevokeSecurityGroupEgressOutput> {
        let asked = asked!(input);
        self.revoke(cx, Some(&input.group_id), None, input.security_group_rule_ids.as_ref(), asked, true)
            .await?;
        Ok(e::RevokeSecurityGroupEgressOutput { r#return: Some(true), ..Default::default() })
    }
}
