//! Putting events.
use api::logs::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Key};

use crate::error::Error;
use crate::names::{on_stream, scope};
use crate::records::{Chunk, Due, Group, Line, Lines, Place, chunk_key};
use crate::{Logs, limits};

/// Sequence tokens mean nothing any more, but clients still expect one.
pub(super) fn sequence_token(next: u64) -> String {
    format!("{next:056}")
}

impl Handle<PutLogEvents> for Logs {
    async fn access(&self, cx: &Cx, input: &PutLogEvents) -> Result<Vec<Access>, Fault> {
        Ok(on_stream(cx, "logs:PutLogEvents", &input.log_group_name, &input.log_stream_name))
    }

    async fn handle(&self, cx: &Cx, input: PutLogEvents) -> Result<PutLogEventsOutput, Fault> {
        let (scope, now) = (scope(cx), self.now());
        let group = self.group(&scope, &input.log_group_name).await?.value;
        let (lines, rejected) = accepted(input.log_events, &group, now)?;
        let next = self.append(&scope, &group, &input.log_stream_name, lines).await?;
        Ok(PutLogEventsOutput {
            next_sequence_token: Some(sequence_token(next)),
            rejected_log_events_info: rejected,
            rejected_entity_info: None,
        })
    }
}

impl Logs {
    /// Appends a chunk; answers the stream's next number.
    async fn append(&self, scope: &Key, group: &Group, stream: &str, lines: Vec<Line>) -> Result<u64, Error> {
        let Some(chunk) = chunk(&lines) else {
            return Ok(self.stream(scope, group, stream).await?.value.next);
        };
        let lines = Lines(lines);
        self.store
            .update(|| async {
                let mut row = self.stream(scope, group, stream).await?;
                let key = chunk_key(scope, &row.value.id, row.value.next);
                let due = row.value.take(&chunk, self.now()).then(|| scope.clone().text(&row.value.id));
                let batch = Batch::new().update(&row).put(&key, &chunk).put(&key, &lines);
                let batch = due.into_iter().fold(batch, |batch, due| batch.put(&due, &Due));
                Ok((batch, row.value.next))
            })
            .await
    }
}

/// What is known of some lines; none when there are none.
pub(crate) fn chunk(lines: &[Line]) -> Option<Chunk> {
    let from = lines.iter().map(|Line(at, ..)| *at).min()?;
    let to = lines.iter().map(|Line(at, ..)| *at).max()?;
    let bytes = lines.iter().map(|Line(_, _, message)| (message.len() + limits::EVENT_OVERHEAD) as u64).sum();
    Some(Chunk { from, to, count: lines.len() as u64, bytes, place: Place::Row })
}

/// The events that may be stored, and what is told of the others. Errors: the batch breaks a limit or is not in order.
fn accepted(
    events: Vec<InputLogEvent>,
    group: &Group,
    now: i64,
) -> Result<(Vec<Line>, Option<RejectedLogEventsInfo>), Error> {
    check(&events)?;
    let (cutoff, too_old, too_new) = (group.cutoff(now), now - limits::TOO_OLD, now + limits::TOO_NEW);
    // The batch is in order: the rejected ones are at its ends.
    let expired = events.iter().take_while(|event| event.timestamp < cutoff).count();
    let old = events.iter().take_while(|event| event.timestamp < too_old).count();
    let new = events.iter().take_while(|event| event.timestamp <= too_new).count();
    let index = |count: usize| i32::try_from(count).ok();
    let rejected = RejectedLogEventsInfo {
        too_new_log_event_start_index: index(new).filter(|_| new < events.len()),
        too_old_log_event_end_index: index(old).filter(|_| old > 0),
        expired_log_event_end_index: index(expired).filter(|_| expired > 0),
    };
    let any = rejected != RejectedLogEventsInfo::default();
    let kept = events.into_iter().take(new).skip(old.max(expired));
    let lines = kept.map(|event| Line(event.timestamp, now, event.message)).collect();
    Ok((lines, any.then_some(rejected)))
}

fn check(events: &[InputLogEvent]) -> Result<(), Error> {
    let size = |event: &InputLogEvent| event.message.len() + limits::EVENT_OVERHEAD;
    let total: usize = events.iter().map(size).sum();
    if let Some(large) = events.iter().map(size).find(|size| *size > limits::EVENT) {
        return Err(Error::invalid(format!(
            "Log event too large: {large} bytes exceeds limit of {} (each event counts {} bytes besides its message).",
            limits::EVENT,
            limits::EVENT_OVERHEAD
        )));
    }
    if total > limits::BATCH {
        return Err(Error::invalid(format!(
            "Upload too large: {total} bytes exceeds limit of {}",
            limits::BATCH
        )));
    }
    if events.len() > limits::PAGE {
        return Err(Error::invalid(format!("A batch can hold at most {} log events.", limits::PAGE)));
    }
    if events.windows(2).any(|pair| pair[1].timestamp < pair[0].timestamp) {
        let text = "Log events in a single PutLogEvents request must be in chronological order.";
        return Err(Error::invalid(text));
    }
    let span = events.last().zip(events.first()).map_or(0, |(last, first)| last.timestamp - first.timestamp);
    if span > limits::BATCH_SPAN {
        let text = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
        return Err(Error::invalid(text));
    }
    Ok(())
}
