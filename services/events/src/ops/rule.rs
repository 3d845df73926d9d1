//! Rules.
use api::events::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Key};

use super::{DEFAULT, on_rule, only_default, page, rule_key};
use crate::error::Error;
use crate::pattern::Pattern;
use crate::records::Rule as Record;
use crate::{Events, PRINCIPAL, limits};

impl Handle<PutRule> for Events {
    async fn access(&self, cx: &Cx, input: &PutRule) -> Result<Vec<Access>, Fault> {
        let mut want = vec![on_rule(cx, "events:PutRule", &input.name)];
        want.extend(input.role_arn.iter().map(|role| Access::pass_role(role, PRINCIPAL)));
        want.extend(input.tags.iter().map(|_| on_rule(cx, "events:TagResource", &input.name)));
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: PutRule) -> Result<PutRuleOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let pattern = checked(&input)?;
        let tags = super::tags::named(input.tags.clone().unwrap_or_default())?;
        let key = rule_key(cx, &input.name);
        let rule = Record {
            name: input.name.clone(),
            pattern,
            enabled: input.state.as_deref() != Some("DISABLED"),
            description: input.description.clone(),
            role_arn: input.role_arn.clone(),
            tags,
            targets: Default::default(),
        };
        let put = self.store.update(|| async {
            let mut rule = rule.clone();
            let known = self.store.get::<Record>(&key).await?;
            match &known {
                // A rule that is put again keeps its targets and tags.
                Some(row) => {
                    rule.targets = row.value.targets.clone();
                    rule.tags = row.value.tags.clone();
                }
                None => self.room(cx).await?,
            }
            Ok::<_, Error>((Batch::new().expect_same(&key, known.as_ref()).put(&key, &rule), ()))
        });
        put.await?;
        Ok(PutRuleOutput { rule_arn: Some(rule.arn(cx.account(), &cx.region)) })
    }
}

/// The pattern, once the input asks for nothing that is not served.
fn checked(input: &PutRule) -> Result<String, Error> {
    if input.schedule_expression.as_ref().is_some_and(|schedule| !schedule.is_empty()) {
        return Err(Error::invalid("ScheduleExpression is not served by Longshore: give an EventPattern."));
    }
    let Some(pattern) = input.event_pattern.clone().filter(|pattern| !pattern.is_empty()) else {
        let text = "Parameter(s) EventPattern or ScheduleExpression must be specified.";
        return Err(Error::invalid(text));
    };
    Pattern::parse(&pattern)?;
    Ok(pattern)
}

impl Events {
    async fn room(&self, cx: &Cx) -> Result<(), Error> {
        let rules = self.store.count::<Record>(Key::new(cx.account(), &cx.region)).await?;
        match rules < limits::RULES {
            true => Ok(()),
            false => Err(Error::Limit(format!("An event bus can have at most {} rules.", limits::RULES))),
        }
    }

    async fn enable(&self, cx: &Cx, bus: Option<&str>, name: &str, enabled: bool) -> Result<(), Error> {
        only_default(cx, bus)?;
        self.store
            .update(|| async {
                let mut row = self.rule(cx, name).await?;
                row.value.enabled = enabled;
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }
}

fn state(rule: &Record) -> String {
    if rule.enabled { "ENABLED" } else { "DISABLED" }.to_owned()
}

impl Handle<DescribeRule> for Events {
    async fn access(&self, cx: &Cx, input: &DescribeRule) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:DescribeRule", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: DescribeRule) -> Result<DescribeRuleOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let rule = self.rule(cx, &input.name).await?.value;
        Ok(DescribeRuleOutput {
            arn: Some(rule.arn(cx.account(), &cx.region)),
            state: Some(state(&rule)),
            name: Some(rule.name),
            event_pattern: Some(rule.pattern),
            description: rule.description,
            role_arn: rule.role_arn,
            event_bus_name: Some(DEFAULT.into()),
            created_by: Some(cx.account().to_owned()),
            ..DescribeRuleOutput::default()
        })
    }
}

impl Handle<DeleteRule> for Events {
    async fn access(&self, cx: &Cx, input: &DeleteRule) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:DeleteRule", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: DeleteRule) -> Result<DeleteRuleOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let deleted = self.store.update(|| async {
            // As on AWS, a rule that is not there is deleted already.
            let Some(row) = self.store.get::<Record>(&rule_key(cx, &input.name)).await? else {
                return Ok((Batch::new(), ()));
            };
            if !row.value.targets.is_empty() {
                return Err(Error::invalid("Rule can't be deleted since it has targets."));
            }
            Ok((Batch::new().remove(&row), ()))
        });
        Ok(deleted.await.map(|()| DeleteRuleOutput {})?)
    }
}

impl Handle<EnableRule> for Events {
    async fn access(&self, cx: &Cx, input: &EnableRule) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:EnableRule", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: EnableRule) -> Result<EnableRuleOutput, Fault> {
        self.enable(cx, input.event_bus_name.as_deref(), &input.name, true).await?;
        Ok(EnableRuleOutput {})
    }
}

impl Handle<DisableRule> for Events {
    async fn access(&self, cx: &Cx, input: &DisableRule) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:DisableRule", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: DisableRule) -> Result<DisableRuleOutput, Fault> {
        self.enable(cx, input.event_bus_name.as_deref(), &input.name, false).await?;
        Ok(DisableRuleOutput {})
    }
}

impl Handle<ListRules> for Events {
    async fn access(&self, cx: &Cx, _: &ListRules) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:ListRules", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListRules) -> Result<ListRulesOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let scope = Key::new(cx.account(), &cx.region);
        let prefix = scope.starting(input.name_prefix.as_deref().unwrap_or_default());
        let rules = self.store.all::<Record>(prefix).await.map_err(Error::from)?;
        let rules = rules.into_iter().map(|row| (row.value.name.clone(), listed(cx, row.value)));
        let (rules, next_token) = page("ListRules", input.next_token.as_deref(), input.limit, rules)?;
        Ok(ListRulesOutput { rules: Some(rules), next_token })
    }
}

fn listed(cx: &Cx, rule: Record) -> Rule {
    Rule {
        arn: Some(rule.arn(cx.account(), &cx.region)),
        state: Some(state(&rule)),
        name: Some(rule.name),
        event_pattern: Some(rule.pattern),
        description: rule.description,
        role_arn: rule.role_arn,
        event_bus_name: Some(DEFAULT.into()),
        ..Rule::default()
    }
}
