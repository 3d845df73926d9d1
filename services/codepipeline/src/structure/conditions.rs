//! Conditions and their rules, and what a stage does when it fails.
use api::codepipeline as cp;

use super::references::{self, Place};
use super::{artifacts, retry_mode, twice};
use crate::catalog::Settings;
use crate::engine::{Consequence, Mode, Moment, PlanCondition, PlanRule, PlanStage};
use crate::error::Error;
use crate::limits;
use crate::rules::{self, RuleType};

/// The conditions that a stage declares.
fn declared(stage: &cp::StageDeclaration) -> impl Iterator<Item = (Moment, &Vec<cp::Condition>)> {
    let entry = stage.before_entry.as_ref().map(|entry| (Moment::BeforeEntry, &entry.conditions));
    let success = stage.on_success.as_ref().map(|success| (Moment::OnSuccess, &success.conditions));
    let failure = stage.on_failure.as_ref().and_then(|failure| failure.conditions.as_ref());
    entry.into_iter().chain(success).chain(failure.map(|conditions| (Moment::OnFailure, conditions)))
}

/// Every rule with the condition that it belongs to.
pub(super) fn each_rule(
    stage: &cp::StageDeclaration,
) -> impl Iterator<Item = (Moment, &cp::Condition, &cp::RuleDeclaration)> {
    declared(stage).flat_map(|(moment, conditions)| {
        let rules = conditions.iter().flat_map(|c| c.rules.iter().flatten().map(move |rule| (c, rule)));
        rules.map(move |(condition, rule)| (moment, condition, rule))
    })
}

/// The rule of that name in that condition of that stage.
pub fn rule<'a>(
    pipeline: &'a cp::PipelineDeclaration,
    stage: &str,
    moment: Moment,
    name: &str,
) -> Option<&'a cp::RuleDeclaration> {
    let stage = pipeline.stages.iter().find(|declared| declared.name == stage)?;
    rules_of(stage, moment).find(|rule| rule.name == name)
}

/// The rules of a stage's condition; none if it has no such condition.
pub fn rules_of(stage: &cp::StageDeclaration, moment: Moment) -> impl Iterator<Item = &cp::RuleDeclaration> {
    each_rule(stage).filter(move |(of, ..)| *of == moment).map(|(.., rule)| rule)
}

pub(super) fn check(pipeline: &cp::PipelineDeclaration, region: &str) -> Result<(), Error> {
    for (index, stage) in pipeline.stages.iter().enumerate() {
        failure(pipeline, index, stage)?;
        for (moment, conditions) in declared(stage) {
            condition(pipeline, index, stage, moment, conditions)?;
        }
        for (moment, condition, rule) in each_rule(stage) {
            let checked = type_of(rule)
                .and_then(|kind| members(kind, condition, rule, region).map(|()| kind))
                .and_then(|kind| configuration(kind, rule))
                .and_then(|()| inputs(pipeline, index, moment, rule))
                .and_then(|()| variables(pipeline, index, moment, rule));
            checked.map_err(|what| {
                let (moment, stage, rule) = (moment.name(), &stage.name, &rule.name);
                Error::InvalidStage(format!("Stage '{stage}', {moment}, rule '{rule}': {what}"))
            })?;
        }
    }
    Ok(())
}

fn invalid(stage: &cp::StageDeclaration, field: &str, what: &str) -> Error {
    Error::InvalidStage(format!("Stage '{}', {field}: {what}", stage.name))
}

/// What a stage does when it fails: one thing, directly or by a condition.
fn failure(
    pipeline: &cp::PipelineDeclaration,
    index: usize,
    stage: &cp::StageDeclaration,
) -> Result<(), Error> {
    let Some(failure) = &stage.on_failure else { return Ok(()) };
    let conditions = failure.conditions.as_ref().is_some_and(|conditions| !conditions.is_empty());
    if failure.retry_configuration.is_some() && failure.result.as_deref() != Some("RETRY") {
        return Err(invalid(stage, "onFailure.retryConfiguration", "is for the result RETRY alone"));
    }
    match failure.result.as_deref() {
        Some("RETRY") if conditions => {
            Err(invalid(stage, "onFailure.result", "RETRY cannot be combined with onFailure.conditions"))
        }
        Some(_) if conditions => {
            Err(invalid(stage, "onFailure.result", "give the result in onFailure.conditions alone"))
        }
        Some("RETRY") => Ok(()),
        Some("ROLLBACK") => rollback(pipeline, index, stage, "onFailure.result"),
        None if conditions => Ok(()),
        _ => Err(invalid(stage, "onFailure.result", "must be RETRY or ROLLBACK")),
    }
}

fn rollback(
    pipeline: &cp::PipelineDeclaration,
    index: usize,
    stage: &cp::StageDeclaration,
    field: &str,
) -> Result<(), Error> {
    if super::mode(pipeline) == Mode::Parallel {
        return Err(invalid(stage, field, "ROLLBACK is not available in the execution mode PARALLEL"));
    }
    match index {
        0 => Err(invalid(stage, field, "ROLLBACK is not available in the source stage")),
        _ => Ok(()),
    }
}

fn condition(
    pipeline: &cp::PipelineDeclaration,
    index: usize,
    stage: &cp::StageDeclaration,
    moment: Moment,
    conditions: &[cp::Condition],
) -> Result<(), Error> {
    let field = format!("{}.conditions", moment.name());
    let [condition] = conditions else {
        let what = format!("has {} conditions: give exactly one", conditions.len());
        return Err(invalid(stage, &field, &what));
    };
    let results: &[&str] = match moment {
        Moment::BeforeEntry => &["FAIL", "SKIP"],
        Moment::OnSuccess => &["ROLLBACK", "FAIL"],
        Moment::OnFailure => &["ROLLBACK"],
    };
    match condition.result.as_deref() {
        Some("ROLLBACK") if results.contains(&"ROLLBACK") => {
            rollback(pipeline, index, stage, &format!("{field}.result"))?;
        }
        Some(result) if results.contains(&result) => {}
        _ => {
            let what = format!("must be {}", results.join(" or "));
            return Err(invalid(stage, &format!("{field}.result"), &what));
        }
    }
    let rules = condition.rules.as_deref().unwrap_or_default();
    if rules.is_empty() || rules.len() > limits::RULES {
        let what = format!("has {} rules: give from 1 to {}", rules.len(), limits::RULES);
        return Err(invalid(stage, &field, &what));
    }
    match twice(rules.iter().map(|rule| rule.name.as_str())) {
        Some(name) => {
            let what =
                format!("the rule name '{name}' is used more than once: names are unique in a condition");
            Err(invalid(stage, &field, &what))
        }
        None => Ok(()),
    }
}

fn type_of(rule: &cp::RuleDeclaration) -> Result<&'static RuleType, String> {
    rules::find(&rule.rule_type_id).ok_or_else(|| rules::missing(&rule.rule_type_id))
}

fn members(
    kind: &RuleType,
    condition: &cp::Condition,
    rule: &cp::RuleDeclaration,
    region: &str,
) -> Result<(), String> {
    let provider = kind.provider;
    if condition.result.as_deref() == Some("SKIP") && !kind.skips {
        return Err(format!("{provider} cannot decide a condition whose result is SKIP"));
    }
    if !kind.commands && rule.commands.as_ref().is_some_and(|commands| !commands.is_empty()) {
        return Err(format!("commands is not a field of rules of provider {provider}"));
    }
    let count = rule.input_artifacts.as_ref().map_or(0, Vec::len);
    if !kind.inputs.contains(&count) {
        let (least, most) = (kind.inputs.start(), kind.inputs.end());
        return Err(format!("it has {count} inputArtifacts, and {provider} takes from {least} to {most}"));
    }
    match rule.region.as_deref().filter(|asked| *asked != region) {
        Some(asked) => Err(format!(
            "region '{asked}': rules outside of the pipeline's Region, {region}, are not served yet"
        )),
        None => Ok(()),
    }
}

fn configuration(kind: &RuleType, rule: &cp::RuleDeclaration) -> Result<(), String> {
    for (key, value) in rule.configuration.iter().flatten() {
        let property = kind.properties.iter().find(|property| property.name == key.as_str());
        let property =
            property.ok_or_else(|| format!("configuration key '{key}' is not one of {}", kind.provider))?;
        if let Some(wrong) = property.refuse(value) {
            return Err(format!("configuration key '{key}' {wrong}"));
        }
    }
    let action = rules::as_action(rule);
    let settings = Settings { action: &action };
    let missing = |name: &str| settings.get(name).is_none_or(str::is_empty);
    match kind.properties.iter().find(|property| property.required && missing(&property.name)) {
        Some(property) => Err(format!("the required configuration key '{}' is missing", property.name)),
        None => (kind.check)(&settings),
    }
}

/// Where a rule stands among the actions: before all of its stage, or after.
fn place(index: usize, moment: Moment) -> Place {
    let order = if moment == Moment::BeforeEntry { i32::MIN } else { i32::MAX };
    Place { stage: index, order, source: false }
}

fn inputs(
    pipeline: &cp::PipelineDeclaration,
    index: usize,
    moment: Moment,
    rule: &cp::RuleDeclaration,
) -> Result<(), String> {
    let made = artifacts::made_before(pipeline, place(index, moment));
    let input = rule.input_artifacts.iter().flatten().find(|input| !made.contains(input.name.as_str()));
    match input {
        Some(input) => Err(format!(
            "the input artifact '{}' is not an output artifact of any earlier action",
            input.name
        )),
        None => Ok(()),
    }
}

fn variables(
    pipeline: &cp::PipelineDeclaration,
    index: usize,
    moment: Moment,
    rule: &cp::RuleDeclaration,
) -> Result<(), String> {
    for (key, value) in rule.configuration.iter().flatten() {
        if let Some(wrong) = references::wrong(pipeline, place(index, moment), value) {
            return Err(format!("configuration key '{key}': {wrong}"));
        }
    }
    let mut wrong = rule
        .commands
        .iter()
        .flatten()
        .filter_map(|text| references::wrong(pipeline, place(index, moment), text));
    wrong.next().map_or(Ok(()), |wrong| Err(format!("commands: {wrong}")))
}

/// What the engine needs of a stage's conditions, and of what it does when it fails.
pub(super) fn plan(stage: &cp::StageDeclaration) -> PlanStage {
    let failure = stage.on_failure.as_ref();
    let result = failure.and_then(|failure| failure.result.as_deref());
    let retry = || retry_mode(failure.and_then(|failure| failure.retry_configuration.as_ref()));
    PlanStage {
        name: stage.name.clone(),
        actions: Vec::new(),
        auto_retry: (result == Some("RETRY")).then(retry),
        auto_rollback: result == Some("ROLLBACK"),
        conditions: declared(stage).filter_map(|(moment, list)| Some((moment, of(list.first()?)))).collect(),
    }
}

fn of(condition: &cp::Condition) -> PlanCondition {
    let rule = |rule: &cp::RuleDeclaration| {
        let kind = rules::find(&rule.rule_type_id);
        let minutes = rule.timeout_in_minutes.map(i64::from).or(kind.map(|kind| kind.timeout)).unwrap_or(60);
        PlanRule { name: rule.name.clone(), timeout: minutes.saturating_mul(60_000) }
    };
    PlanCondition {
        result: match condition.result.as_deref() {
            Some("SKIP") => Consequence::Skip,
            Some("ROLLBACK") => Consequence::Rollback,
            _ => Consequence::Fail,
        },
        rules: condition.rules.iter().flatten().map(rule).collect(),
    }
}

/// The roles that rules are given.
pub fn roles(pipeline: &cp::PipelineDeclaration) -> impl Iterator<Item = &String> {
    pipeline.stages.iter().flat_map(each_rule).filter_map(|(.., rule)| rule.role_arn.as_ref())
}
