//! What a declared trigger must fulfil, beyond the model's own constraints on its lists and patterns.
use api::codepipeline as cp;

use super::CONNECTION;
use super::glob::Glob;
use crate::error::Error;
use crate::limits;

/// A list of patterns and where it stands.
type Patterns<'a> = (String, &'a Option<Vec<String>>);

/// Checks every trigger of a pipeline.
pub fn check(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    let triggers = pipeline.triggers.as_deref().unwrap_or_default();
    if triggers.len() > limits::TRIGGERS {
        let message =
            format!("triggers: the pipeline has {}, and {} are allowed", triggers.len(), limits::TRIGGERS);
        return Err(Error::InvalidStructure(message));
    }
    for (index, trigger) in triggers.iter().enumerate() {
        one(pipeline, trigger).map_err(|what| {
            let name = &trigger.git_configuration.source_action_name;
            Error::InvalidStructure(format!(
                "triggers[{index}], of source action '{name}', gitConfiguration{what}"
            ))
        })?;
        let name = &trigger.git_configuration.source_action_name;
        if triggers[..index].iter().any(|before| before.git_configuration.source_action_name == *name) {
            return Err(Error::InvalidStructure(format!(
                "triggers[{index}]: the source action '{name}' has more than one trigger"
            )));
        }
    }
    let size: usize = triggers.iter().map(size).sum();
    if size > limits::TRIGGERS_SIZE {
        let most = limits::TRIGGERS_SIZE;
        return Err(Error::InvalidStructure(format!("triggers: the patterns exceed {most} characters")));
    }
    Ok(())
}

/// The message goes on after `gitConfiguration`.
fn one(pipeline: &cp::PipelineDeclaration, trigger: &cp::PipelineTriggerDeclaration) -> Result<(), String> {
    let git = &trigger.git_configuration;
    let mut sources = pipeline.stages.first().into_iter().flat_map(|stage| &stage.actions);
    let connection = |action: &cp::ActionDeclaration| {
        action.name == git.source_action_name && action.action_type_id.provider == CONNECTION
    };
    if trigger.provider_type != CONNECTION || !sources.any(connection) {
        return Err(format!(
            ".sourceActionName must name a source action of provider {CONNECTION}, which is the only providerType"
        ));
    }
    let (push, pull) =
        (git.push.as_deref().unwrap_or_default(), git.pull_request.as_deref().unwrap_or_default());
    if push.is_empty() && pull.is_empty() {
        return Err(
            ": give push or pullRequest a filter; without either nothing would start the pipeline".into()
        );
    }
    for (what, count) in [("push", push.len()), ("pullRequest", pull.len())] {
        if count > limits::TRIGGER_FILTERS {
            return Err(format!(".{what} has {count} filters, and {} are allowed", limits::TRIGGER_FILTERS));
        }
    }
    for (index, filter) in push.iter().enumerate() {
        self::push(filter).map_err(|what| format!(".push[{index}]{what}"))?;
    }
    for (index, filter) in pull.iter().enumerate() {
        self::pull_request(filter).map_err(|what| format!(".pullRequest[{index}]{what}"))?;
    }
    lists(git).iter().try_for_each(patterns)
}

fn push(filter: &cp::GitPushFilter) -> Result<(), String> {
    match (&filter.tags, &filter.branches, &filter.file_paths) {
        (None, None, None) => Err(": give tags or branches".into()),
        (Some(_), None, None) | (None, Some(_), _) => Ok(()),
        (None, None, Some(_)) => Err(".filePaths: give branches beside it".into()),
        (Some(_), ..) => {
            Err(".tags cannot stand beside branches or filePaths: use a filter of its own".into())
        }
    }
}

fn pull_request(filter: &cp::GitPullRequestFilter) -> Result<(), String> {
    if filter.file_paths.is_some() && filter.branches.is_none() {
        return Err(".filePaths: give branches beside it".into());
    }
    let events = filter.events.as_deref().unwrap_or_default();
    match events.iter().enumerate().find(|(index, event)| events[..*index].contains(event)) {
        Some((_, event)) => Err(format!(".events names {event} twice")),
        None => Ok(()),
    }
}

/// Every list of patterns, with its place.
fn lists(git: &cp::GitConfiguration) -> Vec<Patterns<'_>> {
    let mut lists = Vec::new();
    let mut add = |at: String, includes, excludes| {
        lists.push((format!("{at}.includes"), includes));
        lists.push((format!("{at}.excludes"), excludes));
    };
    for (index, filter) in git.push.iter().flatten().enumerate() {
        let at = format!(".push[{index}]");
        if let Some(tags) = &filter.tags {
            add(format!("{at}.tags"), &tags.includes, &tags.excludes);
        }
        if let Some(branches) = &filter.branches {
            add(format!("{at}.branches"), &branches.includes, &branches.excludes);
        }
        if let Some(paths) = &filter.file_paths {
            add(format!("{at}.filePaths"), &paths.includes, &paths.excludes);
        }
    }
    for (index, filter) in git.pull_request.iter().flatten().enumerate() {
        let at = format!(".pullRequest[{index}]");
        if let Some(branches) = &filter.branches {
            add(format!("{at}.branches"), &branches.includes, &branches.excludes);
        }
        if let Some(paths) = &filter.file_paths {
            add(format!("{at}.filePaths"), &paths.includes, &paths.excludes);
        }
    }
    lists
}

fn patterns((at, list): &Patterns<'_>) -> Result<(), String> {
    let Some(list) = list else { return Ok(()) };
    if list.len() > limits::TRIGGER_PATTERNS {
        let (count, most) = (list.len(), limits::TRIGGER_PATTERNS);
        return Err(format!("{at} has {count} patterns, and {most} are allowed"));
    }
    for (index, pattern) in list.iter().enumerate() {
        if pattern.chars().count() > limits::TRIGGER_PATTERN {
            let most = limits::TRIGGER_PATTERN;
            return Err(format!("{at}[{index}] has more than the {most} characters that are allowed"));
        }
        if list[..index].contains(pattern) {
            return Err(format!("{at} holds the pattern '{pattern}' twice"));
        }
        Glob::new(pattern).map_err(|wrong| format!("{at}: '{pattern}' is no glob pattern: {wrong}"))?;
    }
    Ok(())
}

fn size(trigger: &cp::PipelineTriggerDeclaration) -> usize {
    let lists = lists(&trigger.git_configuration);
    lists.iter().flat_map(|(_, list)| list.iter().flatten()).map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn declared(triggers: Value) -> cp::PipelineDeclaration {
        let source = |name: &str, provider: &str| json!({"name": name, "actionTypeId": {"category": "Source", "owner": "AWS", "provider": provider, "version": "1"}});
        let named = |index| source(&format!("Src{index}"), CONNECTION);
        let mut actions: Vec<Value> = (0..9).map(named).collect();
        actions.extend([source("Src", CONNECTION), source("Repo", "CodeCommit")]);
        let pipeline = json!({
            "name": "p", "roleArn": "r", "stages": [{"name": "S", "actions": actions}], "triggers": triggers,
        });
        kernel::json::from_value(&pipeline).expect("the shape")
    }

    fn trigger(filters: Value) -> Value {
        let mut git = json!({"sourceActionName": "Src"});
        git.as_object_mut().unwrap().extend(filters.as_object().unwrap().clone());
        json!({"providerType": CONNECTION, "gitConfiguration": git})
    }

    #[track_caller]
    fn refused(triggers: Value, message: &str) {
        let fault = check(&declared(triggers)).expect_err(message).fault();
        assert_eq!(fault.code, "InvalidStructureException");
        assert!(fault.message.contains(message), "{}\nlacks\n{message}", fault.message);
    }

    #[test]
    fn good_triggers_pass() {
        let filters = json!({
            "push": [
                {"tags": {"includes": ["v*"], "excludes": ["v0.*"]}},
                {"branches": {"includes": ["main"]}, "filePaths": {"excludes": ["docs/**"]}},
                {"branches": {"excludes": ["dependabot/**"]}},
            ],
            "pullRequest": [{"events": ["OPEN", "CLOSED"], "branches": {"includes": ["main"]}}],
        });
        check(&declared(json!([trigger(filters)]))).unwrap();
        check(&declared(json!([]))).unwrap();
    }

    #[test]
    fn every_rule() {
        let main = || json!({"push": [{"branches": {"includes": ["main"]}}]});
        let of = |filters: Value| json!([trigger(filters)]);
        let push = |filter: Value| of(json!({"push": [filter]}));
        refused(
            of(json!({})),
            "triggers[0], of source action 'Src', gitConfiguration: give push or pullRequest",
        );
        refused(
            json!([trigger(main()), trigger(main())]),
            "triggers[1]: the source action 'Src' has more than one",
        );
        let mut other = trigger(main());
        other["gitConfiguration"]["sourceActionName"] = json!("Repo");
        refused(
            json!([other]),
            "'Repo', gitConfiguration.sourceActionName must name a source action of provider",
        );
        refused(json!(vec![trigger(main()); 51]), "triggers: the pipeline has 51, and 50 are allowed");
        let four = vec![json!({"branches": {"includes": ["main"]}}); 4];
        refused(of(json!({"push": four})), ".push has 4 filters, and 3 are allowed");
        refused(push(json!({})), ".push[0]: give tags or branches");
        refused(
            push(json!({"filePaths": {"includes": ["x"]}})),
            ".push[0].filePaths: give branches beside it",
        );
        let both = json!({"tags": {"includes": ["v1"]}, "branches": {"includes": ["main"]}});
        refused(push(both), ".push[0].tags cannot stand beside branches");
        let nine: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        refused(
            push(json!({"branches": {"excludes": nine}})),
            ".push[0].branches.excludes has 9 patterns, and 8",
        );
        refused(
            push(json!({"tags": {"includes": ["v", "v"]}})),
            ".push[0].tags.includes holds the pattern 'v' twice",
        );
        refused(push(json!({"tags": {"includes": ["v".repeat(256)]}})), ".includes[0] has more than the 255");
        refused(push(json!({"branches": {"includes": ["["]}})), "'[' is no glob pattern: its [ has no ]");
        let pull = |filter: Value| of(json!({"pullRequest": [filter]}));
        refused(pull(json!({"events": ["OPEN", "OPEN"]})), ".pullRequest[0].events names OPEN twice");
        refused(pull(json!({"filePaths": {"includes": ["x"]}})), ".pullRequest[0].filePaths: give branches");
    }

    #[test]
    fn patterns_have_a_size_together() {
        let full = || (0..8).map(|n| format!("{n}{}", "v".repeat(254))).collect::<Vec<_>>();
        let lists = || json!({"includes": full(), "excludes": full()});
        let filter = || json!({"branches": lists(), "filePaths": lists()});
        let largest = |index| {
            let mut trigger = trigger(json!({"push": [filter(), filter(), filter()]}));
            trigger["gitConfiguration"]["sourceActionName"] = json!(format!("Src{index}"));
            trigger
        };
        let mut triggers: Vec<Value> = (0..8).map(largest).collect();
        check(&declared(json!(triggers))).unwrap();
        triggers.push(largest(8));
        refused(json!(triggers), "triggers: the patterns exceed 204800 characters");
    }
}
