//! What EventBridge hears of builds.
use api::codebuild::Build;
use kernel::{Timestamp, json};
use serde_json::json;
use store::{Event, Key};

use crate::phases;
use crate::records::BuildId;

fn event(kind: &str, key: &Key, build: &Build, now: Timestamp, id: String) -> Event {
    // AWS tells nobody of the builds of a pipeline's own actions: rules for CodeBuild's events do not match these.
    let source = if BuildId::of(key).is_action() { "longshore.codebuild" } else { "aws.codebuild" };
    let event = Event::new(source, kind, &key.account(), &key.region(), id, now);
    event.resource(build.arn.clone().unwrap_or_default())
}

fn more(build: &Build) -> serde_json::Value {
    let whole = json::to_value(build);
    let mut more = serde_json::Map::new();
    for (name, member) in [
        ("artifact", "artifacts"),
        ("environment", "environment"),
        ("timeout-in-minutes", "timeoutInMinutes"),
        ("build-complete", "buildComplete"),
        ("build-number", "buildNumber"),
        ("initiator", "initiator"),
        ("build-start-time", "startTime"),
        ("source", "source"),
        ("source-version", "sourceVersion"),
        ("logs", "logs"),
        ("phases", "phases"),
    ] {
        if let Some(value) = whole.get(member) {
            more.insert(name.into(), value.clone());
        }
    }
    more.into()
}

/// `CodeBuild Build State Change`.
pub fn state(key: &Key, build: &Build, now: Timestamp, id: String) -> Event {
    event("CodeBuild Build State Change", key, build, now, id).detail(json!({
        "build-status": build.build_status,
        "project-name": build.project_name,
        "build-id": build.arn,
        "current-phase": build.current_phase,
        "current-phase-context": "[]",
        "version": "1",
        "additional-information": more(build),
    }))
}

/// `CodeBuild Build Phase Change`, of a phase that has ended.
pub fn phase(key: &Key, build: &Build, name: &str, now: Timestamp, id: String) -> Option<Event> {
    let phase = phases::get(build, name)?;
    let contexts: Vec<String> = phase
        .contexts
        .iter()
        .flatten()
        .map(|c| {
            format!(
                "{}: {}",
                c.status_code.as_deref().unwrap_or_default(),
                c.message.as_deref().unwrap_or_default()
            )
        })
        .collect();
    Some(event("CodeBuild Build Phase Change", key, build, now, id).detail(json!({
        "completed-phase": phase.phase_type,
        "completed-phase-status": phase.phase_status,
        "completed-phase-context": format!("[{}]", contexts.join(", ")),
        "completed-phase-duration-seconds": phase.duration_in_seconds,
        "completed-phase-start": phase.start_time.map(|at| at.to_string()),
        "completed-phase-end": phase.end_time.map(|at| at.to_string()),
        "project-name": build.project_name,
        "build-id": build.arn,
        "version": "1",
        "additional-information": more(build),
    })))
}
