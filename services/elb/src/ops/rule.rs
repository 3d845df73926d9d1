//! Rules of listeners.
use std::collections::BTreeMap;

use api::elb as e;
use kernel::{Access, Cx};
use snapshot::Action;
use store::{Batch, Row};

use super::operation;
use super::tags::of;
use crate::error::{Error, Result};
use crate::names::{Named, on, own, scope};
use crate::records::{Listener, Rule};
use crate::{Elb, limits, page, rules};

operation!(CreateRule, create_rule, |_cx, input| {
    let mut want = on("elasticloadbalancing:CreateRule", &input.listener_arn);
    if input.tags.is_some() {
        want.push(Access::new("elasticloadbalancing:AddTags", &input.listener_arn));
    }
    want
});
operation!(DescribeRules, describe_rules, |_cx, _input| on("elasticloadbalancing:DescribeRules", "*"));
operation!(ModifyRule, modify_rule, |_cx, input| on("elasticloadbalancing:ModifyRule", &input.rule_arn));
operation!(DeleteRule, delete_rule, |_cx, input| on("elasticloadbalancing:DeleteRule", &input.rule_arn));
operation!(SetRulePriorities, set_priorities, |_cx, input| {
    let arns = input.rule_priorities.iter().filter_map(|pair| pair.rule_arn.clone());
    arns.map(|arn| Access::new("elasticloadbalancing:SetRulePriorities", arn)).collect()
});

fn check_priority(priority: i32) -> Result<i32> {
    match (1..=50_000).contains(&priority) {
        true => Ok(priority),
        false => Err(Error::validation(format!("Rule priority '{priority}' must be from 1 to 50000"))),
    }
}

fn in_use(priority: i32) -> Error {
    Error::Duplicate { code: "PriorityInUse", message: format!("Priority '{priority}' is currently in use") }
}

fn check_redirect(listener: &Listener, action: &Action) -> Result<()> {
    match action {
        Action::Redirect { protocol, .. } if listener.protocol == "HTTPS" && protocol == "HTTP" => {
            Err(Error::Configuration("An HTTPS listener cannot redirect to HTTP".into()))
        }
        _ => Ok(()),
    }
}

fn refuse_transforms(given: Option<&Vec<e::RuleTransform>>) -> Result<()> {
    match given.is_some_and(|list| !list.is_empty()) {
        true => Err(Error::unserved("Transforms", "leave it out")),
        false => Ok(()),
    }
}

impl Elb {
    async fn create_rule(&self, cx: &Cx, input: e::CreateRule) -> Result<e::CreateRuleOutput> {
        refuse_transforms(input.transforms.as_ref())?;
        let (priority, id) = (check_priority(input.priority)?, self.new_id());
        let conditions = rules::conditions(&input.conditions)?;
        let (action, tags) = (rules::action(&input.actions)?, of(input.tags.as_ref())?);
        let create = || async {
            let listener = self.listener(cx, &input.listener_arn).await?;
            check_redirect(&listener.value, &action)?;
            let balancer = scope(cx).text(listener.key.part(2));
            if self.store.count::<Rule>(balancer).await? >= limits::RULES as u64 {
                let what = "rules on the load balancer";
                return Err(Error::TooMany { code: "TooManyRules", what, most: limits::RULES });
            }
            let held = self.store.all::<Rule>(listener.key.clone()).await?;
            if held.iter().any(|row| row.value.priority == priority) {
                return Err(in_use(priority));
            }
            let rule = Rule {
                id: id.clone(),
                listener: format!("{}/{}", listener.value.balancer, listener.value.id),
                priority,
                conditions: conditions.clone(),
                action: action.clone(),
                tags: tags.clone(),
            };
            let batch = self.hold_groups(cx, &listener.value.balancer, &action).await?;
            // The listener's row guards against two rules of one priority.
            Ok((batch.update(&listener).create(&listener.key.clone().text(&id), &rule), rule))
        };
        let rule = self.store.update(create).await?;
        Ok(e::CreateRuleOutput { rules: Some(vec![shown(cx, &rule)]) })
    }

    async fn describe_rules(&self, cx: &Cx, input: e::DescribeRules) -> Result<e::DescribeRulesOutput> {
        if let (Some(arn), None) = (&input.listener_arn, &input.rule_arns) {
            let listener = self.listener(cx, arn).await?;
            let rows = self.store.all::<Rule>(listener.key.clone()).await?;
            let (rows, next_marker) = page("DescribeRules", rows, input.marker.as_deref(), input.page_size)?;
            let mut held: Vec<&Rule> = rows.iter().map(|row| &row.value).collect();
            held.sort_by_key(|rule| rule.priority);
            let mut rules: Vec<e::Rule> = held.into_iter().map(|rule| shown(cx, rule)).collect();
            if next_marker.is_none() {
                rules.push(shown_default(cx, &listener.value));
            }
            return Ok(e::DescribeRulesOutput { rules: Some(rules), next_marker });
        }
        let (Some(arns), None) = (&input.rule_arns, &input.listener_arn) else {
            return Err(Error::validation("Either ListenerArn or RuleArns must be specified"));
        };
        let mut found = Vec::with_capacity(arns.len());
        for arn in arns {
            found.push(match Named::parse(cx, arn)? {
                Named::Rule { balancer, listener, id } if id == listener => {
                    let key = scope(cx).text(balancer).text(listener);
                    let row = self.store.get::<Listener>(&key).await?;
                    let missing = || Error::NotFound { code: "RuleNotFound", what: "rules", id: arn.clone() };
                    shown_default(cx, &row.ok_or_else(missing)?.value)
                }
                _ => shown(cx, &self.rule(cx, arn).await?.value),
            });
        }
        Ok(e::DescribeRulesOutput { rules: Some(found), next_marker: None })
    }

    async fn modify_rule(&self, cx: &Cx, input: e::ModifyRule) -> Result<e::ModifyRuleOutput> {
        refuse_transforms(input.transforms.as_ref())?;
        let conditions = input.conditions.as_deref().map(rules::conditions).transpose()?;
        let action = input.actions.as_deref().map(rules::action).transpose()?;
        let modify = || async {
            let mut row = self.rule(cx, &input.rule_arn).await?;
            let mut batch = Batch::new();
            if let Some(action) = &action {
                let listener =
                    self.listener(cx, &own(cx, format!("listener/{}", row.value.listener))).await?;
                check_redirect(&listener.value, action)?;
                batch = self.hold_groups(cx, &listener.value.balancer, action).await?;
                row.value.action.clone_from(action);
            }
            if let Some(conditions) = &conditions {
                row.value.conditions.clone_from(conditions);
            }
            Ok::<_, Error>((batch.update(&row), row.value))
        };
        let rule = self.store.update(modify).await?;
        Ok(e::ModifyRuleOutput { rules: Some(vec![shown(cx, &rule)]) })
    }

    async fn delete_rule(&self, cx: &Cx, input: e::DeleteRule) -> Result<e::DeleteRuleOutput> {
        let delete = || async {
            let row = self.rule(cx, &input.rule_arn).await?;
            Ok::<_, Error>((Batch::new().remove(&row), ()))
        };
        self.store.update(delete).await?;
        Ok(e::DeleteRuleOutput {})
    }

    /// All at once, so that two rules can trade places.
    async fn set_priorities(
        &self,
        cx: &Cx,
        input: e::SetRulePriorities,
    ) -> Result<e::SetRulePrioritiesOutput> {
        let set = || async {
            let mut changed: BTreeMap<String, Row<Rule>> = BTreeMap::new();
            for pair in &input.rule_priorities {
                let mut row = self.rule(cx, pair.rule_arn.as_deref().unwrap_or_default()).await?;
                row.value.priority = check_priority(pair.priority.unwrap_or_default())?;
                changed.insert(row.value.id.clone(), row);
            }
            let mut batch = Batch::new();
            let mut listeners: Vec<&String> = changed.values().map(|row| &row.value.listener).collect();
            listeners.dedup();
            let [path] = *listeners else {
                return Err(Error::validation("All rules must belong to the same listener"));
            };
            let listener = self.listener(cx, &own(cx, format!("listener/{path}"))).await?;
            let held = self.store.all::<Rule>(listener.key.clone()).await?;
            let mut priorities: Vec<i32> =
                held.iter().map(|row| changed.get(&row.value.id).unwrap_or(row).value.priority).collect();
            priorities.sort_unstable();
            if let Some(pair) = priorities.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(in_use(pair[0]));
            }
            for row in changed.values() {
                batch = batch.update(row);
            }
            let rules = changed.values().map(|row| shown(cx, &row.value)).collect::<Vec<_>>();
            Ok((batch.update(&listener), rules))
        };
        Ok(e::SetRulePrioritiesOutput { rules: Some(self.store.update(set).await?) })
    }
}

fn shown(cx: &Cx, rule: &Rule) -> e::Rule {
    e::Rule {
        rule_arn: Some(own(cx, format!("listener-rule/{}/{}", rule.listener, rule.id))),
        priority: Some(rule.priority.to_string()),
        conditions: Some(rule.conditions.iter().map(rules::shown_condition).collect()),
        actions: Some(vec![rules::shown_action(&rule.action)]),
        is_default: Some(false),
        transforms: None,
    }
}

/// The default rule's id is its listener's.
fn shown_default(cx: &Cx, listener: &Listener) -> e::Rule {
    let Listener { balancer, id, default, .. } = listener;
    e::Rule {
        rule_arn: Some(own(cx, format!("listener-rule/{balancer}/{id}/{id}"))),
        priority: Some("default".into()),
        conditions: Some(Vec::new()),
        actions: Some(vec![rules::shown_action(default)]),
        is_default: Some(true),
        transforms: None,
    }
}
