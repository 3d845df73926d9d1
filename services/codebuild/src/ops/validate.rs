//! What a project (or a build's overrides of one) may ask for.
use api::codebuild::{
    EnvironmentVariable, LogsConfig, Project, ProjectArtifacts, ProjectEnvironment, ProjectSource,
};

use crate::error::Error;
use crate::vpc;

type Result<T> = std::result::Result<T, Error>;

/// Letters, digits, `-` and `_`, 2 to 150 of them, a letter or digit first.
pub fn name(name: &str) -> Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && (2..=150).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid project name {name:?}: 2 to 150 letters, digits, hyphens and underscores, a letter or digit first"
    )))
}

/// A whole project, or a project as a build's overrides change it.
pub fn project(project: &Project) -> Result<()> {
    let source = project.source.as_ref().ok_or_else(|| Error::invalid("Invalid input: source is missing"))?;
    let artifacts =
        project.artifacts.as_ref().ok_or_else(|| Error::invalid("Invalid input: artifacts is missing"))?;
    self::source(source, "source")?;
    for (i, source) in project.secondary_sources.iter().flatten().enumerate() {
        self::source(source, &format!("secondarySources[{i}]"))?;
        if source.source_identifier.is_none() {
            return Err(Error::invalid(format!("secondarySources[{i}]: sourceIdentifier is missing")));
        }
    }
    self::artifacts(artifacts, "artifacts")?;
    for (i, artifacts) in project.secondary_artifacts.iter().flatten().enumerate() {
        self::artifacts(artifacts, &format!("secondaryArtifacts[{i}]"))?;
        if artifacts.artifact_identifier.is_none() {
            return Err(Error::invalid(format!("secondaryArtifacts[{i}]: artifactIdentifier is missing")));
        }
    }
    if (source.r#type == "CODEPIPELINE") != (artifacts.r#type == "CODEPIPELINE") {
        return Err(Error::invalid(
            "Invalid project: source type and artifacts type must both be CODEPIPELINE, or neither",
        ));
    }
    if source.r#type == "NO_SOURCE" && source.buildspec.as_deref().is_none_or(|b| !is_inline(b)) {
        return Err(Error::invalid("source: buildspec must be inline YAML when the type is NO_SOURCE"));
    }
    let environment = project
        .environment
        .as_ref()
        .ok_or_else(|| Error::invalid("Invalid input: environment is missing"))?;
    self::environment(environment)?;
    if project.service_role.as_deref().is_none_or(|role| !role.contains(":role/")) {
        return Err(Error::invalid("serviceRole: the ARN of an IAM role is required"));
    }
    minutes(project.timeout_in_minutes, 5, 2160, "timeoutInMinutes")?;
    minutes(project.queued_timeout_in_minutes, 5, 480, "queuedTimeoutInMinutes")?;
    if let Some(logs) = &project.logs_config {
        self::logs(logs)?;
    }
    if let Some(vpc) = vpc::wanted(project) {
        vpc::shape(vpc)?;
    }
    unserved(project)
}

/// What would change the build and is not done yet.
fn unserved(project: &Project) -> Result<()> {
    if project.file_system_locations.as_ref().is_some_and(|l| !l.is_empty()) {
        return Err(Error::invalid("fileSystemLocations is not served yet: leave it out"));
    }
    if project.build_batch_config.is_some() {
        return Err(Error::invalid("buildBatchConfig is not served yet: leave it out"));
    }
    Ok(())
}

fn source(source: &ProjectSource, field: &str) -> Result<()> {
    let location = source.location.as_deref().unwrap_or_default();
    match source.r#type.as_str() {
        "CODEPIPELINE" | "NO_SOURCE" => {}
        "S3" => {
            if s3_location(location).is_none_or(|(_, key)| key.is_empty() || key.ends_with('/')) {
                return Err(Error::invalid(format!(
                    "{field}: location {location:?} must be bucket/path/object.zip (folders are not served yet)"
                )));
            }
        }
        "CODECOMMIT" => {
            if repository(location).is_none() {
                return Err(Error::invalid(format!(
                    "{field}: location {location:?} must be a CodeCommit clone URL, as in https://git-codecommit.us-east-1.amazonaws.com/v1/repos/NAME"
                )));
            }
        }
        other @ ("GITHUB" | "GITHUB_ENTERPRISE" | "BITBUCKET" | "GITLAB" | "GITLAB_SELF_MANAGED") => {
            return Err(Error::invalid(format!(
                "{field}: source type {other} is not served yet: use CODECOMMIT, S3, CODEPIPELINE or NO_SOURCE"
            )));
        }
        other => return Err(Error::invalid(format!("{field}: {other:?} is not a source type"))),
    }
    let submodules = source.git_submodules_config.as_ref().is_some_and(|g| g.fetch_submodules);
    if submodules {
        return Err(Error::invalid(format!("{field}: gitSubmodulesConfig is not served yet")));
    }
    Ok(())
}

fn artifacts(artifacts: &ProjectArtifacts, field: &str) -> Result<()> {
    match artifacts.r#type.as_str() {
        "CODEPIPELINE" | "NO_ARTIFACTS" => Ok(()),
        "S3" if artifacts.location.as_deref().is_none_or(str::is_empty) => {
            Err(Error::invalid(format!("{field}: location must name the bucket")))
        }
        "S3" => match artifacts.packaging.as_deref() {
            None | Some("NONE" | "ZIP") => Ok(()),
            Some(other) => {
                Err(Error::invalid(format!("{field}: packaging {other:?} is neither NONE nor ZIP")))
            }
        },
        other => Err(Error::invalid(format!("{field}: {other:?} is not an artifacts type"))),
    }
}

fn environment(environment: &ProjectEnvironment) -> Result<()> {
    match environment.r#type.as_str() {
        "LINUX_CONTAINER" | "LINUX_GPU_CONTAINER" | "ARM_CONTAINER" | "LINUX_EC2" | "ARM_EC2" => {}
        other => {
            return Err(Error::invalid(format!(
                "environment: type {other:?} is not served: builds run in Linux containers (LINUX_CONTAINER)"
            )));
        }
    }
    if environment.fleet.as_ref().is_some_and(|f| f.fleet_arn.is_some()) {
        return Err(Error::invalid("environment: fleet is not served yet"));
    }
    if environment.docker_server.is_some() {
        return Err(Error::invalid("environment: dockerServer is not served yet: use privilegedMode"));
    }
    if environment.registry_credential.is_some() {
        return Err(Error::invalid(
            "environment: registryCredential needs Secrets Manager, which is not served yet",
        ));
    }
    variables(environment.environment_variables.as_deref().unwrap_or_default())
}

/// The types whose values live in services that are not served yet are refused by name.
pub fn variables(variables: &[EnvironmentVariable]) -> Result<()> {
    for variable in variables {
        let name = &variable.name;
        match variable.r#type.as_deref() {
            None | Some("PLAINTEXT") => {}
            Some("PARAMETER_STORE") => {
                return Err(Error::invalid(format!(
                    "environmentVariables: {name}: PARAMETER_STORE is not served yet"
                )));
            }
            Some("SECRETS_MANAGER") => {
                return Err(Error::invalid(format!(
                    "environmentVariables: {name}: SECRETS_MANAGER is not served yet"
                )));
            }
            Some(other) => {
                return Err(Error::invalid(format!("environmentVariables: {name}: unknown type {other:?}")));
            }
        }
        if !crate::buildspec::is_variable(name) {
            return Err(Error::invalid(format!("environmentVariables: {name:?} is not a variable's name")));
        }
    }
    Ok(())
}

fn logs(logs: &LogsConfig) -> Result<()> {
    if logs.s3_logs.as_ref().is_some_and(|s3| s3.status == "ENABLED") {
        return Err(Error::invalid("logsConfig: s3Logs is not served yet: use cloudWatchLogs"));
    }
    Ok(())
}

fn minutes(value: Option<i32>, from: i32, to: i32, field: &str) -> Result<()> {
    match value {
        Some(value) if !(from..=to).contains(&value) => {
            Err(Error::invalid(format!("{field}: {value} is not between {from} and {to} minutes")))
        }
        _ => Ok(()),
    }
}

/// Whether a buildspec member is YAML itself rather than a path: a path has one line and no `key: value`.
pub fn is_inline(buildspec: &str) -> bool {
    buildspec.contains('\n')
        || buildspec.trim_start().starts_with("version:")
        || buildspec.trim_start().starts_with('{')
}

/// `bucket/key`, or `arn:aws:s3:::bucket/key`.
pub fn s3_location(location: &str) -> Option<(&str, &str)> {
    location.strip_prefix("arn:aws:s3:::").unwrap_or(location).split_once('/')
}

/// The repository that a CodeCommit clone URL names.
pub fn repository(location: &str) -> Option<&str> {
    let (_, name) = location.trim_end_matches('/').rsplit_once("/v1/repos/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}
