//! A log group gets the event as a line. CloudWatch Logs asks no resource policy of the service that writes: on AWS the
//! group's owner has to allow it, here the administrator who put the target is that owner.
use api::logs::{CreateLogStream, DescribeLogStreams, InputLogEvent, PutLogEvents};
use kernel::{Cx, Fault};
use serde_json::Value;

use crate::input::is_shaped;
use crate::records::Delivery;

/// A log stream of its own holds the event: that it has one already tells that an earlier try got through.
pub(super) async fn write(
    cx: &Cx,
    group: String,
    stream: String,
    (timestamp, message): (i64, String),
) -> Result<(), Fault> {
    let (log_group_name, log_stream_name) = (group.clone(), stream.clone());
    match cx.call(CreateLogStream { log_group_name, log_stream_name }).await {
        Ok(_) => {}
        Err(fault) if fault.is("ResourceAlreadyExistsException") => {
            let (log_group_name, prefix) = (Some(group.clone()), Some(stream.clone()));
            let describe = DescribeLogStreams {
                log_group_name,
                log_stream_name_prefix: prefix,
                ..DescribeLogStreams::default()
            };
            let found = cx.call(describe).await?.log_streams.unwrap_or_default();
            if found.iter().any(|stream| stream.last_event_timestamp.is_some()) {
                return Ok(());
            }
        }
        Err(fault) => return Err(fault),
    }
    let put = PutLogEvents {
        log_group_name: group,
        log_stream_name: stream,
        log_events: vec![InputLogEvent { timestamp, message }],
        ..PutLogEvents::default()
    };
    cx.call(put).await.map(drop)
}

/// The event as it is, unless the target's template made `{"timestamp": …, "message": …}` of it.
pub(super) fn line(text: String, delivery: &Delivery) -> (i64, String) {
    let since = delivery.since.as_millisecond();
    let shaped: Option<Value> = serde_json::from_str(&text).ok().filter(|_| is_shaped(&delivery.target.0));
    match shaped.as_ref().and_then(|shaped| shaped.get("message")?.as_str()) {
        Some(message) => {
            let at = shaped.as_ref().and_then(|shaped| shaped["timestamp"].as_i64());
            (at.unwrap_or(since), message.to_owned())
        }
        None => (since, text),
    }
}
