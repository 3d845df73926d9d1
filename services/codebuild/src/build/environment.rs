//! What the agent is told: the plan, and in it the variables that AWS sets.
use std::path::PathBuf;

use api::codebuild::{Build, Project};
use engine::Trust;
use kernel::Timestamp;

use super::volume::{IN, OUT};
use crate::agent::docker::ENTRYPOINT;
use crate::agent::plan::{BuildspecAt, Plan, Source, VERSION, Wanted};
use crate::ops::validate::is_inline;
use crate::records::{BuildRow, Pipeline};

/// The plan of a build. `credentials` is the relative URI of its role's.
pub fn plan(row: &BuildRow, region: &str, credentials: &str, trust: Option<&Trust>) -> Plan {
    let (build, project) = (&row.build, &row.project);
    let buildspec = project.source.as_ref().and_then(|s| s.buildspec.clone()).unwrap_or_default();
    let buildspec = match buildspec.as_str() {
        "" => BuildspecAt::File("buildspec.yml".into()),
        text if is_inline(text) => BuildspecAt::Inline(buildspec),
        path => BuildspecAt::File(path.trim_start_matches('/').into()),
    };
    let mut set = aws(build, region, credentials);
    set.extend(sources(row));
    set.extend(trust.map(Trust::env).unwrap_or_default());
    let environment = project.environment.as_ref();
    let variables = environment.and_then(|e| e.environment_variables.as_ref()).into_iter().flatten();
    let mut identifiers = identifiers(row).into_iter().enumerate();
    Plan {
        version: VERSION,
        out: OUT.into(),
        work: "/codebuild/output".into(),
        sources: identifiers.by_ref().map(|(i, identifier)| Source { identifier, at: at(i) }).collect(),
        buildspec,
        set,
        variables: variables.map(|v| (v.name.clone(), v.value.clone())).collect(),
        secrets: Vec::new(),
        deadline_ms: row.run.deadline.as_millisecond(),
        dockerd: environment.and_then(|e| e.privileged_mode).unwrap_or(false).then(|| ENTRYPOINT.into()),
        artifacts: wanted(project, row.run.pipeline.as_ref()),
    }
}

fn at(index: usize) -> PathBuf {
    PathBuf::from(IN).join(source_at(index))
}

/// The name of a source in the volume: an archive, or the folder of a clone.
pub fn source_at(index: usize) -> String {
    format!("source-{index}")
}

/// The identifiers of a build's sources, in their order; none of the primary.
pub fn identifiers(row: &BuildRow) -> Vec<Option<String>> {
    if let Some(pipeline) = &row.run.pipeline {
        return pipeline.inputs.iter().enumerate().map(|(i, a)| (i > 0).then(|| a.name.clone())).collect();
    }
    let primary = row.project.source.as_ref().filter(|s| s.r#type != "NO_SOURCE").map(|_| None);
    let secondary = row.project.secondary_sources.iter().flatten().map(|s| s.source_identifier.clone());
    // Source 0 is the primary's: without one the secondary sources begin at 0, which their identifiers tell apart.
    primary.into_iter().chain(secondary).collect()
}

/// Artifacts that somebody waits for: a pipeline's single output is the primary one, several are secondary ones.
pub fn wanted(project: &Project, pipeline: Option<&Pipeline>) -> Vec<Wanted> {
    let identifiers: Vec<Option<String>> = match pipeline {
        Some(pipeline) => match pipeline.outputs.as_slice() {
            [_] => vec![None],
            several => several.iter().map(|output| Some(output.name.clone())).collect(),
        },
        None => {
            let primary = project.artifacts.as_ref().filter(|a| a.r#type == "S3").map(|_| None);
            let secondary = project.secondary_artifacts.iter().flatten().filter(|a| a.r#type == "S3");
            primary.into_iter().chain(secondary.map(|a| a.artifact_identifier.clone())).collect()
        }
    };
    let wanted =
        |(i, identifier): (usize, Option<String>)| Wanted { identifier, file: format!("artifact-{i}.zip") };
    identifiers.into_iter().enumerate().map(wanted).collect()
}

fn aws(build: &Build, region: &str, credentials: &str) -> Vec<(String, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let image = build.environment.as_ref().map(|e| e.image.clone()).unwrap_or_default();
    let log = build.logs.as_ref().and_then(|l| l.stream_name.clone()).unwrap_or_default();
    let start = build.start_time.map(Timestamp::as_millisecond).unwrap_or_default();
    let mut set = vec![
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", credentials.to_owned()),
        ("CODEBUILD_BATCH_BUILD_IDENTIFIER", String::new()),
        ("CODEBUILD_BUILD_ARN", text(&build.arn)),
        ("CODEBUILD_BUILD_ID", text(&build.id)),
        ("CODEBUILD_BUILD_IMAGE", image),
        ("CODEBUILD_BUILD_NUMBER", build.build_number.unwrap_or_default().to_string()),
        ("CODEBUILD_BUILD_SUCCEEDING", "1".to_owned()),
        ("CODEBUILD_CI", "true".to_owned()),
        ("CODEBUILD_INITIATOR", text(&build.initiator)),
        ("CODEBUILD_KMS_KEY_ID", text(&build.encryption_key)),
        ("CODEBUILD_LOG_PATH", log),
        ("CODEBUILD_START_TIME", start.to_string()),
        ("HOME", "/root".to_owned()),
    ];
    set.retain(|(name, value)| !value.is_empty() || *name == "CODEBUILD_KMS_KEY_ID");
    set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn sources(row: &BuildRow) -> Vec<(String, String)> {
    let mut set = Vec::new();
    let mut add = |name: String, value: Option<&String>| set.extend(value.map(|value| (name, value.clone())));
    let build = &row.build;
    add("CODEBUILD_SOURCE_VERSION".into(), build.source_version.as_ref());
    add("CODEBUILD_RESOLVED_SOURCE_VERSION".into(), build.resolved_source_version.as_ref());
    let location = build.source.as_ref().and_then(|s| s.location.as_ref());
    add("CODEBUILD_SOURCE_REPO_URL".into(), location);
    for source in build.secondary_sources.iter().flatten() {
        if let Some(id) = &source.source_identifier {
            add(format!("CODEBUILD_SOURCE_REPO_URL_{id}"), source.location.as_ref());
        }
    }
    for version in build.secondary_source_versions.iter().flatten() {
        add(format!("CODEBUILD_SOURCE_VERSION_{}", version.source_identifier), Some(&version.source_version));
    }
    set
}
