//! Targets of rules.
use api::events::*;
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::{Batch, Key};

use super::{on_rule, only_default, page};
use crate::error::Error;
use crate::records::{Rule, Target as Record};
use crate::targets::{Kind, dead_letters};
use crate::{Events, PRINCIPAL, input, limits};

impl Handle<PutTargets> for Events {
    async fn access(&self, cx: &Cx, input: &PutTargets) -> Result<Vec<Access>, Fault> {
        let mut want = vec![on_rule(cx, "events:PutTargets", &input.rule)];
        let roles = input.targets.iter().filter_map(|target| target.role_arn.as_ref());
        want.extend(roles.map(|role| Access::pass_role(role, PRINCIPAL)));
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: PutTargets) -> Result<PutTargetsOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        for target in &input.targets {
            check(cx, target)?;
        }
        let put = self.store.update(|| async {
            let mut row = self.rule(cx, &input.rule).await?;
            let targets = input.targets.iter().map(|target| (target.id.clone(), Record(target.clone())));
            row.value.targets.extend(targets);
            if row.value.targets.len() > limits::TARGETS {
                let text = format!("The requested resource exceeds the maximum number allowed: a rule can have at most {} targets.", limits::TARGETS);
                return Err(Error::Limit(text));
            }
            Ok((Batch::new().update(&row), ()))
        });
        put.await?;
        Ok(PutTargetsOutput { failed_entry_count: Some(0), failed_entries: Some(Vec::new()) })
    }
}

/// Refuses what could not be delivered as asked.
fn check(cx: &Cx, target: &Target) -> Result<(), Error> {
    let kind = Kind::of(target)?;
    let here =
        target.arn.parse::<Arn>().is_ok_and(|arn| arn.account == cx.account() && arn.region == cx.region);
    if !here {
        let text =
            format!("Target {} is not in account {} and region {}.", target.arn, cx.account(), cx.region);
        return Err(Error::invalid(text));
    }
    if kind.needs_role() && target.role_arn.is_none() {
        return Err(Error::invalid(format!("RoleArn is required for target {}.", target.arn)));
    }
    let unserved = [
        ("KinesisParameters", target.kinesis_parameters.is_some()),
        ("RunCommandParameters", target.run_command_parameters.is_some()),
        ("EcsParameters", target.ecs_parameters.is_some()),
        ("BatchParameters", target.batch_parameters.is_some()),
        ("SqsParameters", target.sqs_parameters.is_some()),
        ("RedshiftDataParameters", target.redshift_data_parameters.is_some()),
        ("SageMakerPipelineParameters", target.sage_maker_pipeline_parameters.is_some()),
        ("AppSyncParameters", target.app_sync_parameters.is_some()),
    ];
    if let Some((name, _)) = unserved.iter().find(|(_, given)| *given) {
        let text = format!("{name} of target {} is not served by Longshore: leave it out.", target.id);
        return Err(Error::invalid(text));
    }
    if target.http_parameters.is_some() && !matches!(kind, Kind::Endpoint(_)) {
        let text = format!("HttpParameters of target {} are for API destinations.", target.id);
        return Err(Error::invalid(text));
    }
    dead_letters(target)?;
    input::check(target)
}

impl Handle<RemoveTargets> for Events {
    async fn access(&self, cx: &Cx, input: &RemoveTargets) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:RemoveTargets", &input.rule)])
    }

    async fn handle(&self, cx: &Cx, input: RemoveTargets) -> Result<RemoveTargetsOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let removed = self.store.update(|| async {
            let mut row = self.rule(cx, &input.rule).await?;
            row.value.targets.retain(|id, _| !input.ids.contains(id));
            Ok::<_, Error>((Batch::new().update(&row), ()))
        });
        removed.await?;
        Ok(RemoveTargetsOutput { failed_entry_count: Some(0), failed_entries: Some(Vec::new()) })
    }
}

impl Handle<ListTargetsByRule> for Events {
    async fn access(&self, cx: &Cx, input: &ListTargetsByRule) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:ListTargetsByRule", &input.rule)])
    }

    async fn handle(&self, cx: &Cx, input: ListTargetsByRule) -> Result<ListTargetsByRuleOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let targets = self.rule(cx, &input.rule).await?.value.targets;
        let targets = targets.into_iter().map(|(id, target)| (id, target.0));
        let (targets, next_token) =
            page("ListTargetsByRule", input.next_token.as_deref(), input.limit, targets)?;
        Ok(ListTargetsByRuleOutput { targets: Some(targets), next_token })
    }
}

impl Handle<ListRuleNamesByTarget> for Events {
    async fn access(&self, cx: &Cx, _: &ListRuleNamesByTarget) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_rule(cx, "events:ListRuleNamesByTarget", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: ListRuleNamesByTarget,
    ) -> Result<ListRuleNamesByTargetOutput, Fault> {
        only_default(cx, input.event_bus_name.as_deref())?;
        let rules = self.store.all::<Rule>(Key::new(cx.account(), &cx.region)).await.map_err(Error::from)?;
        let aimed = |rule: &Rule| rule.targets.values().any(|target| target.0.arn == input.target_arn);
        let names = rules
            .into_iter()
            .filter(|row| aimed(&row.value))
            .map(|row| (row.value.name.clone(), row.value.name));
        let (names, next_token) =
            page("ListRuleNamesByTarget", input.next_token.as_deref(), input.limit, names)?;
        Ok(ListRuleNamesByTargetOutput { rule_names: Some(names), next_token })
    }
}
