//! Containers' output into CloudWatch Logs: the awslogs driver.
use std::sync::Arc;

use api::ecs::ContainerDefinition;
use api::logs::{CreateLogGroup, CreateLogStream, DescribeLogStreams, InputLogEvent, PutLogEvents};
use engine::{LogLine, LogPosition, TaskId};
use futures::StreamExt;
use kernel::{Cx, Fault};
use store::{Batch, Key};

use crate::actor::Actor;
use crate::error::Result;
use crate::names::Scope;
use crate::prepare::execution_role;
use crate::records::{Definition, LogMark, Task};
use crate::{Ecs, TASKS, limits};

/// Bytes that CloudWatch Logs counts for an event beside its message.
const OVERHEAD: usize = 26;

/// Where a container's output goes.
#[derive(Clone, Debug)]
struct Destination {
    region: String,
    group: String,
    stream: String,
    create: bool,
}

/// Follows one container.
pub(crate) struct Follower {
    ecs: Arc<Ecs>,
    scope: Scope,
    task: String,
    engine_id: TaskId,
    container: String,
    role: Option<String>,
    to: Destination,
}

/// Where a container's position is kept.
pub(crate) fn mark(scope: &Scope, task: &str, container: &str) -> Key {
    scope.key().text(task).text(container)
}

fn destination(task: &Task, container: &ContainerDefinition) -> Option<Destination> {
    let options =
        container.log_configuration.as_ref().filter(|log| log.log_driver == "awslogs")?.options.as_ref()?;
    let name = container.name.as_deref()?;
    let stream = match options.get("awslogs-stream-prefix") {
        Some(prefix) => format!("{prefix}/{name}/{}", task.id),
        // As Docker's own driver names it: by the container.
        None => format!("{}-{name}", task.id),
    };
    Some(Destination {
        region: options.get("awslogs-region")?.clone(),
        group: options.get("awslogs-group")?.clone(),
        stream,
        create: options.get("awslogs-create-group").is_some_and(|create| create == "true"),
    })
}

/// Makes the streams that the task's containers write to, and the groups where that is asked for.
pub(crate) async fn create_streams(cx: &Cx, task: &Task, definition: &Definition) -> Result<(), Fault> {
    for to in definition.containers().iter().filter_map(|container| destination(task, container)) {
        to.create(cx).await?;
    }
    Ok(())
}

impl Destination {
    async fn create(&self, cx: &Cx) -> Result<(), Fault> {
        let mut cx = cx.clone();
        cx.region.clone_from(&self.region);
        let there = |result: Result<(), Fault>| match result {
            Err(fault) if fault.is("ResourceAlreadyExists") => Ok(()),
            other => other,
        };
        if self.create {
            let group = CreateLogGroup { log_group_name: self.group.clone(), ..Default::default() };
            there(cx.call(group).await.map(|_| ()))?;
        }
        let stream =
            CreateLogStream { log_group_name: self.group.clone(), log_stream_name: self.stream.clone() };
        there(cx.call(stream).await.map(|_| ()))
    }
}

impl Follower {
    /// None where the container logs nowhere.
    pub(crate) fn of(actor: &Actor, task: &Task, definition: &Definition, name: &str) -> Option<Self> {
        let container = definition.containers().iter().find(|c| c.name.as_deref() == Some(name))?;
        Some(Self {
            ecs: actor.ecs.clone(),
            scope: actor.scope.clone(),
            task: task.id.clone(),
            engine_id: actor.engine_id.clone(),
            container: name.to_owned(),
            role: execution_role(task, definition).cloned(),
            to: destination(task, container)?,
        })
    }

    /// Until the container has ended and all it wrote is written.
    pub(crate) async fn run(self) {
        loop {
            match self.pass().await {
                Ok(()) => return,
                Err(error) => {
                    let fault = Fault::from(error);
                    tracing::warn!(
                        task = self.task,
                        container = self.container,
                        ?fault,
                        "output could not be written"
                    );
                    tokio::time::sleep(limits::RETRY).await;
                }
            }
        }
    }

    async fn pass(&self) -> Result<()> {
        let key = mark(&self.scope, &self.task, &self.container);
        let mark = self.ecs.store.get::<LogMark>(&key).await?.map(|row| row.value);
        let mut logged = mark.as_ref().map_or(Some(0), |mark| mark.logged);
        let mut again = match logged {
            Some(logged) => self.further(logged).await?,
            None => 0,
        };
        let position = mark.map(|mark| mark.position);
        let lines = self.ecs.engine.logs(&self.engine_id, &self.container, position);
        let mut chunks = lines.ready_chunks(limits::LOG_EVENTS);
        while let Some(chunk) = chunks.next().await {
            let (mut lines, mut broken) = (Vec::with_capacity(chunk.len()), None);
            for line in chunk {
                match line {
                    Ok(line) => lines.push(line),
                    Err(error) => broken = Some(error),
                }
            }
            for (mut events, position) in batches(&lines) {
                let count = events.len() as u64;
                again -= events.drain(..again.min(events.len())).count();
                let held = self.put(events).await?;
                logged = held.or(logged.map(|logged| logged + count));
                self.ecs.store.commit(Batch::new().put(&key, &LogMark { position, logged })).await?;
            }
            match broken {
                None => {}
                // Removed from outside: there is nothing more to come.
                Some(engine::Error::NoTask(_) | engine::Error::NoContainer { .. }) => return Ok(()),
                Some(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many events the stream holds beyond those that were counted: a put whose mark was not committed. Its
    /// sequence token counts them, and nobody else writes to a container's stream. One that is gone, or cannot be
    /// looked at, is taken to hold none: a line twice is better than none at all.
    async fn further(&self, logged: u64) -> Result<usize> {
        let mut cx = self.ecs.own_cx(&self.scope)?;
        cx.region.clone_from(&self.to.region);
        let ask = DescribeLogStreams {
            log_group_name: Some(self.to.group.clone()),
            log_stream_name_prefix: Some(self.to.stream.clone()),
            ..Default::default()
        };
        let streams = match cx.call(ask).await {
            Err(fault) if fault.status < 500 => None,
            other => other?.log_streams,
        };
        let mut streams = streams.into_iter().flatten();
        let found = streams.find(|stream| stream.log_stream_name.as_ref() == Some(&self.to.stream));
        let held: Option<u64> = found.and_then(|stream| stream.upload_sequence_token?.parse().ok());
        let further = held.map_or(0, |held| held.saturating_sub(logged));
        // More than one put cannot be without its mark: what else is there is not ours, and no line is lost for it.
        Ok(usize::try_from(further).unwrap_or(usize::MAX).min(limits::LOG_EVENTS))
    }

    /// Answers how many events the stream holds then, if the service tells.
    async fn put(&self, log_events: Vec<InputLogEvent>) -> Result<Option<u64>> {
        if log_events.is_empty() {
            return Ok(None);
        }
        let own = self.ecs.own_cx(&self.scope)?;
        let mut cx = match &self.role {
            Some(role) => own.as_role(TASKS, role, &self.task).await?,
            None => own,
        };
        cx.region.clone_from(&self.to.region);
        let put = PutLogEvents {
            log_group_name: self.to.group.clone(),
            log_stream_name: self.to.stream.clone(),
            log_events,
            ..Default::default()
        };
        let done = match cx.call(put.clone()).await {
            // Somebody removed the stream: a new one takes the rest.
            Err(fault) if fault.is("ResourceNotFound") => {
                self.to.create(&cx).await?;
                cx.call(put).await?
            }
            other => other?,
        };
        Ok(done.next_sequence_token.and_then(|token| token.parse().ok()))
    }
}

/// Puts of bounded size, each with the position behind it. Empty lines are no events, but they are passed.
fn batches(lines: &[LogLine]) -> Vec<(Vec<InputLogEvent>, LogPosition)> {
    let mut batches: Vec<(Vec<InputLogEvent>, LogPosition)> = Vec::new();
    let mut bytes = usize::MAX;
    for line in lines {
        let mut message = String::from_utf8_lossy(&line.bytes).into_owned();
        if message.len() > limits::LOG_EVENT {
            message.truncate(
                (0..=limits::LOG_EVENT).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0),
            );
        }
        let size = message.len() + OVERHEAD;
        if bytes.saturating_add(size) > limits::LOG_BYTES {
            batches.push((Vec::new(), line.position));
            bytes = 0;
        }
        if let Some((events, last)) = batches.last_mut() {
            bytes += size;
            *last = line.position;
            if !message.is_empty() {
                events.push(InputLogEvent { timestamp: line.at().as_millisecond(), message });
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use engine::LogStream;
    use kernel::Timestamp;

    use super::*;

    #[test]
    fn puts_are_bounded_and_remember_their_end() {
        let line = |n: i64, length: usize| {
            let at = Timestamp::from_second(n).unwrap();
            let position = LogPosition::after(None, at);
            LogLine { position, stream: LogStream::Stdout, bytes: "x".repeat(length).into() }
        };
        let lines: Vec<LogLine> =
            [line(1, 3), line(2, 0)].into_iter().chain((3..9).map(|n| line(n, 400_000))).collect();
        let batches = batches(&lines);
        assert_eq!(batches.iter().map(|(events, _)| events.len()).collect::<Vec<_>>(), [4, 3]);
        let (events, last) = &batches[0];
        assert_eq!(last.at, Timestamp::from_second(5).unwrap());
        assert_eq!((events[0].timestamp, events[1].message.len()), (1000, limits::LOG_EVENT));
        assert_eq!(batches[1].1, lines[7].position);
    }
}
