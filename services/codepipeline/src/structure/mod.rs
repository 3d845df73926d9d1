//! What a pipeline's declaration must fulfil, beyond the model's own constraints: AWS's rules, with AWS's codes and
//! messages that name stage, action and field.
mod actions;
mod artifacts;
mod conditions;
mod references;
mod stages;

#[cfg(test)]
mod tests;

use api::codepipeline as cp;

pub use artifacts::own as artifact_store;
pub use conditions::{roles, rule, rules_of};

use crate::actions::needs_v2;
use crate::catalog::{self, Carrier};
use crate::engine::{Mode, Plan, PlanAction, PlanStage, RetryMode, Work};
use crate::error::Error;
use crate::jobs::{self, Types};

/// Checks every rule. `region` is the pipeline's own, `types` are those that it may use.
pub fn check(pipeline: &cp::PipelineDeclaration, region: &str, types: &Types) -> Result<(), Error> {
    stages::check(pipeline)?;
    actions::check(pipeline, region, types)?;
    artifacts::check(pipeline, region)?;
    conditions::check(pipeline, region)?;
    references::check(pipeline)
}

/// Fills in what AWS fills in, so that a declaration is read as AWS would echo it.
pub fn normalized(mut pipeline: cp::PipelineDeclaration, version: i32) -> cp::PipelineDeclaration {
    pipeline.version = Some(version);
    let mode = pipeline.execution_mode.get_or_insert_with(|| Mode::Superseded.name().into());
    let filled =
        |list: &Option<Vec<cp::PipelineVariableDeclaration>>| list.as_ref().is_some_and(|l| !l.is_empty());
    let second = *mode != Mode::Superseded.name()
        || filled(&pipeline.variables)
        || pipeline.triggers.as_ref().is_some_and(|l| !l.is_empty())
        || pipeline
            .stages
            .iter()
            .any(|s| s.on_failure.is_some() || s.before_entry.is_some() || s.on_success.is_some());
    // A parameter that only V2 has makes the pipeline V2, whatever type was asked for.
    match second {
        true => pipeline.pipeline_type = Some("V2".into()),
        false => {
            let kind =
                if each(&pipeline).any(|(_, action)| needs_v2(&action.action_type_id)) { "V2" } else { "V1" };
            pipeline.pipeline_type.get_or_insert_with(|| kind.into());
        }
    }
    for action in pipeline.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
        action.run_order.get_or_insert(1);
        action.configuration.get_or_insert_default();
        action.input_artifacts.get_or_insert_default();
        action.output_artifacts.get_or_insert_default();
    }
    pipeline
}

/// The execution mode of a declaration.
pub fn mode(pipeline: &cp::PipelineDeclaration) -> Mode {
    match pipeline.execution_mode.as_deref() {
        Some("QUEUED") => Mode::Queued,
        Some("PARALLEL") => Mode::Parallel,
        _ => Mode::Superseded,
    }
}

/// What the engine needs of a declaration that was checked.
pub fn plan(pipeline: &cp::PipelineDeclaration) -> Plan {
    let stage = |stage: &cp::StageDeclaration| PlanStage {
        actions: stage.actions.iter().map(action).collect(),
        ..conditions::plan(stage)
    };
    Plan { stages: pipeline.stages.iter().map(stage).collect() }
}

fn action(action: &cp::ActionDeclaration) -> PlanAction {
    let kind = catalog::find(&action.action_type_id);
    let approval = kind.is_some_and(|kind| matches!(kind.carrier, Carrier::Person));
    // AWS heeds the declared timeout of approvals alone; some types have a configuration key for it.
    let declared = action.timeout_in_minutes.filter(|_| approval).map(i64::from);
    let key = kind.and_then(|kind| kind.timeout_key);
    let configured = key.and_then(|key| action.configuration.as_ref()?.get(key)?.parse().ok());
    let minutes = declared.or(configured).or_else(|| kind.map(|kind| kind.timeout)).unwrap_or(jobs::TIMEOUT);
    PlanAction {
        name: action.name.clone(),
        order: order(action),
        work: if approval { Work::Approval } else { Work::Provider },
        timeout: minutes.saturating_mul(60_000),
    }
}

/// An action's place in its stage.
fn order(action: &cp::ActionDeclaration) -> i32 {
    action.run_order.unwrap_or(1)
}

/// The mode of a declared retry.
fn retry_mode(configuration: Option<&cp::RetryConfiguration>) -> RetryMode {
    match configuration.and_then(|c| c.retry_mode.as_deref()) {
        Some("ALL_ACTIONS") => RetryMode::AllActions,
        _ => RetryMode::FailedActions,
    }
}

/// Names an action in a message.
fn at(stage: &cp::StageDeclaration, action: &cp::ActionDeclaration) -> String {
    format!("action '{}' in stage '{}'", action.name, stage.name)
}

/// Every action with its stage, in the order of the declaration.
fn each(
    pipeline: &cp::PipelineDeclaration,
) -> impl Iterator<Item = (&cp::StageDeclaration, &cp::ActionDeclaration)> {
    pipeline.stages.iter().flat_map(|stage| stage.actions.iter().map(move |action| (stage, action)))
}

/// The first name that occurs twice.
fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
