//! What starts executions from outside of AWS: changes of repositories behind connections, judged by a pipeline's
//! triggers, and the webhooks of CodePipeline's first version.
//!
//! - [`filters`]: whether a trigger's filters let a change start the pipeline. [`glob`]: their patterns.
//! - [`check`](self::declared::check): what a declared trigger must fulfil.
//! - [`follow`]: which repositories CodeConnections is to look at.
//! - [`webhooks`]: PutWebhook and its family, and the URL that receives.
pub mod declared;
pub mod filters;
pub mod follow;
mod glob;
pub mod webhooks;

use std::collections::BTreeMap;

use api::codepipeline as cp;
use serde::Deserialize;
use serde_json::json;
use store::Event;

use crate::engine::{Override, Trigger};
use crate::start::{self, Wish};

/// The provider of source actions that follow a connection.
pub const CONNECTION: &str = "CodeStarSourceConnection";
/// The trigger type of changes that connections tell of.
const TYPE: &str = "WebhookV2";
/// Who tells of them: an event that Longshore's services alone hear of.
const SOURCE: &str = "longshore.codeconnections";

/// A change of a repository, as CodeConnections tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The connection's id.
    pub connection: String,
    /// As the provider names it, `owner/name`.
    pub repository: String,
    /// What changed.
    pub reference_type: Reference,
    /// The branch or tag; of a pull request the branch that it asks to be merged into.
    pub reference_name: String,
    /// The branch or tag is new.
    #[serde(default)]
    pub created: bool,
    /// What became of a pull request: OPEN, UPDATED, CLOSED.
    #[serde(default)]
    pub event: Option<String>,
    /// The pull request's own branch.
    #[serde(default)]
    pub source_branch: Option<String>,
    /// The pull request's number.
    #[serde(default)]
    pub number: Option<String>,
    /// The commit to run: of the branch or tag, or of the pull request's own branch.
    pub commit_id: String,
    /// Paths that it changed, the first hundred; absent where they could not be told.
    #[serde(default)]
    pub files: Option<Vec<String>>,
}

/// The kinds of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reference {
    /// A branch moved, or is new.
    #[default]
    Branch,
    /// A tag is new, or moved.
    Tag,
    /// A pull request was opened, updated or closed.
    PullRequest,
}

impl Change {
    /// The change that an event tells of, if it is one.
    pub fn of(event: &Event) -> Option<Self> {
        if event.source != SOURCE {
            return None;
        }
        let read = serde_json::from_value(event.detail.clone());
        read.inspect_err(|error| tracing::error!(event.id, "a change cannot be read: {error}")).ok()
    }

    /// The source that changed, as pipelines are indexed by it.
    pub fn source(&self) -> String {
        source(&self.connection, &self.repository)
    }

    /// What is kept of it with the execution that it starts: the trigger's detail.
    fn detail(&self, action: &str, arn: &str) -> String {
        let mut detail = json!({
            "actionName": action,
            "connectionArn": arn,
            "fullRepositoryName": self.repository,
            "commitId": self.commit_id,
        });
        match self.reference_type {
            Reference::Branch => detail["branchName"] = json!(self.reference_name),
            Reference::Tag => detail["tagName"] = json!(self.reference_name),
            Reference::PullRequest => {
                detail["branchName"] = json!(self.source_branch);
                detail["targetBranchName"] = json!(self.reference_name);
                detail["pullRequestId"] = json!(self.number);
                detail["pullRequestEvent"] = json!(self.event);
            }
        }
        detail.to_string()
    }
}

/// The source of a connection's repository. Providers tell names apart without their case.
fn source(connection: &str, repository: &str) -> String {
    format!("connection:{connection}:{}", repository.to_lowercase())
}

/// The source that an action of a connection follows.
pub fn watched(configuration: &BTreeMap<String, String>) -> Option<String> {
    let (arn, repository) = (configuration.get("ConnectionArn")?, configuration.get("FullRepositoryId")?);
    Some(source(arn.rsplit('/').next()?, repository))
}

/// What a change starts a pipeline with, if it does, with the commit for each of its source actions that are to
/// start it: by the action's trigger where it has one, else by a push to its branch unless it detects none.
pub fn wish(pipeline: &cp::PipelineDeclaration, change: &Change, event: &str) -> Option<Wish> {
    let sources = pipeline.stages.first().into_iter().flat_map(|stage| &stage.actions);
    let mut started: Option<Wish> = None;
    for action in sources.filter(|action| action.action_type_id.provider == CONNECTION) {
        let Some(configuration) = &action.configuration else { continue };
        if watched(configuration).as_deref() != Some(&*change.source()) {
            continue;
        }
        let mut triggers = pipeline.triggers.iter().flatten().map(|trigger| &trigger.git_configuration);
        let fires = match triggers.find(|trigger| trigger.source_action_name == action.name) {
            Some(trigger) => filters::pass(trigger, change),
            None => detected(configuration, change),
        };
        if !fires {
            continue;
        }
        let arn = configuration.get("ConnectionArn").map_or("", String::as_str);
        let wish = started.get_or_insert_with(|| Wish {
            trigger: start::caused(TYPE, &change.detail(&action.name, arn)),
            token: Some(format!("event/{event}")),
            ..Wish::default()
        });
        wish.overrides.push(Override {
            action: action.name.clone(),
            kind: "COMMIT_ID".into(),
            value: change.commit_id.clone(),
        });
    }
    started
}

/// Whether the default detection starts the pipeline: a push to the action's own branch.
fn detected(configuration: &BTreeMap<String, String>, change: &Change) -> bool {
    change.reference_type == Reference::Branch
        && configuration.get("DetectChanges").is_none_or(|value| value != "false")
        && configuration.get("BranchName") == Some(&change.reference_name)
}

/// The branch that a change started an execution for, where the trigger tells one for this action.
pub fn branch(trigger: &Trigger, action: &str) -> Option<String> {
    if trigger.kind != TYPE {
        return None;
    }
    let detail: serde_json::Value = serde_json::from_str(&trigger.detail).ok()?;
    (detail["actionName"] == action).then(|| detail["branchName"].as_str().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(detect: Option<&str>, triggers: serde_json::Value) -> cp::PipelineDeclaration {
        let mut action = json!({
            "name": "Src",
            "actionTypeId": {"category": "Source", "owner": "AWS", "provider": CONNECTION, "version": "1"},
            "configuration": {
                "ConnectionArn": "arn:aws:codestar-connections:us-east-1:000000000000:connection/c1",
                "FullRepositoryId": "Me/App", "BranchName": "main",
            },
        });
        if let Some(detect) = detect {
            action["configuration"]["DetectChanges"] = json!(detect);
        }
        let pipeline = json!({
            "name": "p", "roleArn": "r", "stages": [{"name": "S", "actions": [action]}], "triggers": triggers,
        });
        kernel::json::from_value(&pipeline).expect("the shape")
    }

    fn push(branch: &str) -> Change {
        Change {
            connection: "c1".into(),
            repository: "me/app".into(),
            reference_name: branch.into(),
            commit_id: "beef".into(),
            ..Change::default()
        }
    }

    #[test]
    fn without_a_trigger_pushes_to_the_branch_start() {
        let starts = |detect, change: &Change| wish(&pipeline(detect, json!([])), change, "e").is_some();
        assert!(starts(None, &push("main")));
        assert!(starts(Some("true"), &push("main")));
        assert!(!starts(Some("false"), &push("main")));
        assert!(!starts(None, &push("other")));
        assert!(!starts(None, &Change { reference_type: Reference::Tag, ..push("main") }));
        assert!(!starts(None, &Change { repository: "me/other".into(), ..push("main") }));
        assert!(!starts(None, &Change { connection: "c2".into(), ..push("main") }));
    }

    #[test]
    fn with_a_trigger_its_filters_decide_and_the_commit_is_run() {
        let filter = json!({"sourceActionName": "Src", "push": [{"branches": {"includes": ["feature/*"]}}]});
        let triggers = json!([{"providerType": CONNECTION, "gitConfiguration": filter}]);
        let declared = pipeline(Some("false"), triggers);
        assert!(wish(&declared, &push("main"), "e").is_none());
        let wish = wish(&declared, &push("feature/x"), "e").expect("a start");
        assert_eq!(wish.trigger.kind, "WebhookV2");
        assert_eq!(branch(&wish.trigger, "Src").as_deref(), Some("feature/x"));
        assert_eq!(branch(&wish.trigger, "Other"), None);
        let [Override { action, kind, value }] = &wish.overrides[..] else { panic!("one override") };
        assert_eq!((&**action, &**kind, &**value), ("Src", "COMMIT_ID", "beef"));
    }

    #[test]
    fn an_event_of_anyone_else_is_no_change() {
        let detail = json!({"connection": "c1", "repository": "me/app", "referenceType": "branch", "referenceName": "main", "commitId": "beef"});
        let event = |source: &str| {
            let at = kernel::Timestamp::UNIX_EPOCH;
            Event::new(source, "Repository Change", "000000000000", "us-east-1", "e".into(), at)
                .detail(detail.clone())
        };
        assert_eq!(Change::of(&event("aws.codecommit")), None);
        assert_eq!(Change::of(&event(SOURCE)), Some(push("main")));
    }
}
