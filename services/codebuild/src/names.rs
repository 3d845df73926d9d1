//! Names that follow from a build.
use api::codebuild::{CloudWatchLogsConfig, LogsLocation, Project};
use store::Key;

use crate::records::{BuildId, Run};

/// Where a build's logs go; without a group when they are disabled.
pub fn logs(scope: &Key, project: &Project, id: &BuildId) -> LogsLocation {
    let configured = project.logs_config.as_ref().and_then(|logs| logs.cloud_watch_logs.as_ref());
    let status = configured.map_or("ENABLED", |logs| logs.status.as_str());
    if status == "DISABLED" {
        let disabled = CloudWatchLogsConfig { status: "DISABLED".into(), ..CloudWatchLogsConfig::default() };
        return LogsLocation { cloud_watch_logs: Some(disabled), ..LogsLocation::default() };
    }
    let (account, region) = (scope.account(), scope.region());
    let group = configured.and_then(|logs| logs.group_name.clone());
    let group = group.unwrap_or_else(|| format!("/aws/codebuild/{}", id.project));
    let stream = match configured.and_then(|logs| logs.stream_name.as_deref()) {
        Some(prefix) => format!("{prefix}/{}", id.uuid),
        None => id.uuid.clone(),
    };
    LogsLocation {
        deep_link: Some(format!(
            "https://console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{}/log-events/{}",
            escape(&group),
            escape(&stream)
        )),
        cloud_watch_logs_arn: Some(format!(
            "arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
        )),
        group_name: Some(group),
        stream_name: Some(stream),
        cloud_watch_logs: Some(CloudWatchLogsConfig {
            status: "ENABLED".into(),
            ..CloudWatchLogsConfig::default()
        }),
        ..LogsLocation::default()
    }
}

/// The console's own escaping: percent-encoding twice, with `$` for `%`.
fn escape(text: &str) -> String {
    text.replace('/', "$252F")
}

/// The engine's task of a build.
pub fn task(id: &BuildId) -> String {
    format!("codebuild-{}", id.uuid)
}

/// The service that takes a build's role.
pub fn taker(run: &Run) -> &'static str {
    if run.action.is_some() { "codepipeline.amazonaws.com" } else { "codebuild.amazonaws.com" }
}

/// The session under which the service role acts.
pub fn session(id: &BuildId) -> String {
    format!("AWSCodeBuild-{}", id.uuid)
}
