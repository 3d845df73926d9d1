//! A build's output on its way into CloudWatch Logs, under the build's role.
use api::codebuild::Build;
use api::logs::{CreateLogGroup, CreateLogStream, DescribeLogStreams, InputLogEvent, PutLogEvents};
use kernel::{Cx, Fault};

use crate::agent::journal::Context;

/// Group and stream; none when logs are disabled.
pub fn place(build: &Build) -> Option<(String, String)> {
    let logs = build.logs.as_ref()?;
    Some((logs.group_name.clone()?, logs.stream_name.clone()?))
}

/// Makes group and stream, unless they are there. A role that may not is refused as AWS does, before the build runs.
pub async fn create(cx: &Cx, build: &Build) -> Result<(), Context> {
    let Some((group, stream)) = place(build) else { return Ok(()) };
    let denied = |fault: Fault| {
        let role = build.service_role.as_deref().unwrap_or_default();
        let arn = build.arn.as_deref().unwrap_or_default();
        let message = format!(
            "Service role {role} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for build {arn}. Error message: {}",
            fault.message
        );
        Context::new("ACCESS_DENIED", message)
    };
    let make_stream = || CreateLogStream { log_group_name: group.clone(), log_stream_name: stream.clone() };
    match cx.call(make_stream()).await {
        Err(fault) if fault.is("ResourceNotFound") => {}
        Err(fault) if fault.is("ResourceAlreadyExists") => return Ok(()),
        done => return done.map(drop).map_err(denied),
    }
    let make_group = CreateLogGroup { log_group_name: group.clone(), ..CreateLogGroup::default() };
    match cx.call(make_group).await {
        Err(fault) if !fault.is("ResourceAlreadyExists") => return Err(denied(fault)),
        _ => {}
    }
    match cx.call(make_stream()).await {
        Err(fault) if !fault.is("ResourceAlreadyExists") => Err(denied(fault)),
        _ => Ok(()),
    }
}

/// Appends lines; answers how many events the stream holds then, if the service tells.
pub async fn put(cx: &Cx, place: &(String, String), lines: &[(i64, String)]) -> Result<Option<u64>, Fault> {
    let (group, stream) = place.clone();
    let mut last = i64::MIN;
    let event = |(at, text): &(i64, String)| {
        // Events must come in the order of their times, and a clock may be set back.
        last = last.max(*at);
        InputLogEvent { timestamp: last, message: format!("{text}\n") }
    };
    let log_events = lines.iter().map(event).collect();
    let put = PutLogEvents {
        log_group_name: group,
        log_stream_name: stream,
        log_events,
        ..PutLogEvents::default()
    };
    let done = cx.call(put).await?;
    Ok(done.next_sequence_token.and_then(|token| token.parse().ok()))
}

/// How many events the stream holds. Its sequence token counts them: nobody else writes to a build's stream, so after
/// a restart the count tells whether the last put before it was done.
pub async fn held(cx: &Cx, place: &(String, String)) -> Option<u64> {
    let describe = DescribeLogStreams {
        log_group_name: Some(place.0.clone()),
        log_stream_name_prefix: Some(place.1.clone()),
        ..DescribeLogStreams::default()
    };
    let found = cx.call(describe).await.ok()?.log_streams?;
    let stream = found.into_iter().find(|s| s.log_stream_name.as_deref() == Some(&place.1))?;
    stream.upload_sequence_token?.parse().ok()
}
