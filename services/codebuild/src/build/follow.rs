//! Follows the agent's journal: one read, one put of log events, one commit; then again from the new offset.
use std::time::Duration;

use engine::{Change, Changes, ContainerState, TaskId, TaskState};
use kernel::{Cx, Timestamp};
use store::Row;

use super::drive::{Backoff, Drive, End, Failure};
use super::logs;
use super::provision::CONTAINER;
use super::volume::Watch;
use crate::agent::journal::{self, Body, Context, Event, Record};
use crate::records::{BuildRow, Stage};
use crate::{limits, names, phases};

/// What is between reads of the journal.
struct Following {
    watch: Watch,
    changes: Changes,
    task: TaskId,
    cx: Cx,
    /// Lines at the journal's front that the log stream holds already.
    held: u64,
}

impl Drive {
    /// Until the agent has told how it ended, or cannot any more.
    pub async fn follow(&self, mut row: Row<BuildRow>) -> Result<(), Failure> {
        let mut following = self.following(&row.value).await?;
        loop {
            while self.take_in(&mut row, &mut following).await? {
                if row.value.run.ended.is_some() {
                    return Ok(());
                }
            }
            if !self.lives(&following.task).await {
                // What it wrote last came before it died.
                while self.take_in(&mut row, &mut following).await? {}
                return if row.value.run.ended.is_some() { Ok(()) } else { Box::pin(self.lost(row)).await };
            }
            self.hurry(&row.value, &following.task);
            self.rest(&row.value, &mut following).await?;
            row = match self.load().await? {
                Some(row) => row,
                None => return Ok(()),
            };
        }
    }

    async fn following(&self, row: &BuildRow) -> Result<Following, Failure> {
        let changes = self.service.engine.changes();
        self.volume.create().map_err(Failure::io)?;
        let watch = self.volume.watch().map_err(Failure::io)?;
        let task = names::task(&self.id).parse().map_err(Failure::engine)?;
        let cx = self.role_cx(row).await?;
        let held = match logs::place(&row.build) {
            Some(place) => {
                logs::held(&self.cx, &place).await.map_or(0, |held| held.saturating_sub(row.run.logged))
            }
            None => 0,
        };
        Ok(Following { watch, changes, task, cx, held })
    }

    /// One piece of the journal; answers whether there was one.
    async fn take_in(&self, row: &mut Row<BuildRow>, following: &mut Following) -> Result<bool, Failure> {
        let bytes = match self.volume.journal(row.value.run.offset, limits::JOURNAL_READ) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.broken(row, &error.to_string());
                self.commit(store::Batch::new().update(row)).await?;
                return Ok(true);
            }
        };
        let piece = Piece::cut(&bytes);
        if piece.bytes == 0 {
            if bytes.len() == limits::JOURNAL_READ {
                self.broken(row, "the journal has a record without end");
                self.commit(store::Batch::new().update(row)).await?;
                return Ok(true);
            }
            return Ok(false);
        }
        self.log(row, following, &piece).await?;
        row.value.run.offset += piece.bytes as u64;
        let mut closed = Vec::new();
        for record in piece.records {
            if let Body::Event(event) = record.body {
                let at =
                    Timestamp::from_millisecond(record.at_ms).unwrap_or_else(|_| self.service.clock.now());
                closed.extend(apply(&mut row.value, event, at));
            }
        }
        let batch = self.told(row, closed.iter().map(String::as_str));
        self.commit(batch.update(row)).await?;
        self.reread(row).await?;
        Ok(true)
    }

    async fn log(
        &self,
        row: &mut Row<BuildRow>,
        following: &mut Following,
        piece: &Piece,
    ) -> Result<(), Failure> {
        let Some(place) = logs::place(&row.value.build).filter(|_| !row.value.run.unlogged) else {
            return Ok(());
        };
        let line = |record: &Record| match &record.body {
            Body::Output(text) => Some((record.at_ms, text.clone())),
            Body::Event(_) => None,
        };
        let lines: Vec<_> = piece.records.iter().filter_map(line).collect();
        let known = usize::try_from(following.held).unwrap_or(usize::MAX).min(lines.len());
        following.held -= known as u64;
        row.value.run.logged += known as u64;
        if known == lines.len() {
            return Ok(());
        }
        match logs::put(&following.cx, &place, &lines[known..]).await {
            Ok(held) => {
                row.value.run.logged = held.unwrap_or(row.value.run.logged + (lines.len() - known) as u64)
            }
            Err(fault) if fault.status >= 500 => return Err(fault.into()),
            Err(fault) => {
                tracing::warn!(build = %self.id, ?fault, "the build's output cannot be logged any more");
                row.value.run.unlogged = true;
            }
        }
        Ok(())
    }

    /// The journal cannot be believed any more.
    fn broken(&self, row: &mut Row<BuildRow>, why: &str) {
        let now = self.service.clock.now();
        let context =
            Context::new("INTERNAL_SERVICE_ERROR", format!("The build's journal cannot be read: {why}"));
        if let Some(phase) = phases::current(&row.value.build).map(str::to_owned) {
            phases::close(&mut row.value.build, &phase, "FAULT", vec![context], now);
        }
        row.value.run.ended = Some(journal::Status::Fault);
        row.value.run.stage = Stage::Upload;
    }

    /// Whether the agent may still write. An engine that does not answer says nothing.
    async fn lives(&self, task: &TaskId) -> bool {
        match self.service.engine.task(task).await {
            Ok(found) => {
                let gone = matches!(found.state, TaskState::Stopped { .. });
                let ended = found
                    .container(CONTAINER)
                    .is_some_and(|c| matches!(c.state, ContainerState::Exited { .. }));
                !gone && !ended
            }
            Err(engine::Error::NoTask(_)) => false,
            Err(_) => true,
        }
    }

    /// Has the agent stopped when somebody asked for it or it is over its time. Whoever asked was told that it would: the
    /// engine is asked until it has, which it also has of a task that is gone. The journal is read meanwhile.
    fn hurry(&self, row: &BuildRow, task: &TaskId) {
        if !row.run.stop && !self.left(row).is_zero() {
            return;
        }
        self.stop.call_once(|| {
            let (engine, task) = (self.service.engine.clone(), task.clone());
            tokio::spawn(async move {
                let (grace, mut backoff) = (Duration::from_secs(limits::STOP_GRACE), Backoff::default());
                while let Err(error) = engine.stop(&task, Some(grace)).await {
                    tracing::warn!(%task, %error, "a build could not be stopped, which is tried again");
                    backoff.rest().await;
                }
            });
        });
    }

    /// How long the control plane leaves the agent to end by itself.
    fn left(&self, row: &BuildRow) -> Duration {
        let until = row
            .run
            .deadline
            .checked_add(jiff::SignedDuration::from_secs(limits::OVERTIME))
            .unwrap_or(row.run.deadline);
        Duration::try_from(until.duration_since(self.service.clock.now())).unwrap_or_default()
    }

    /// Until the journal grows, the task changes, somebody wants something, or the time is over.
    async fn rest(&self, row: &BuildRow, following: &mut Following) -> Result<(), Failure> {
        let left = if self.stop.is_completed() { Duration::from_secs(60) } else { self.left(row) };
        tokio::select! {
            changed = following.watch.changed() => changed.map_err(Failure::io)?,
            () = touched(&mut following.changes, &following.task) => {}
            () = self.wake.notified() => {}
            () = tokio::time::sleep(left) => {}
        }
        Ok(())
    }

    /// The container is gone and the journal has no end.
    async fn lost(&self, mut row: Row<BuildRow>) -> Result<(), Failure> {
        let now = self.service.clock.now();
        let (status, context) = if row.value.run.stop {
            ("STOPPED", None)
        } else if now >= row.value.run.deadline {
            ("TIMED_OUT", Some(Context::new("BUILD_TIMED_OUT", "Build has timed out. ")))
        } else {
            let message =
                format!("Build container found dead before completing the build. {}", self.why().await);
            ("FAILED", Some(Context::new("CLIENT_ERROR", message)))
        };
        if let Some(phase) = phases::current(&row.value.build).map(str::to_owned) {
            phases::close(&mut row.value.build, &phase, status, context.into_iter().collect(), now);
        }
        self.finish(row, End::new(status, now)).await
    }

    async fn why(&self) -> String {
        let Ok(task) = names::task(&self.id).parse() else { return String::new() };
        let Ok(found) = self.service.engine.task(&task).await else {
            return "The container engine knows no container of it.".into();
        };
        match found.container(CONTAINER).map(|c| &c.state) {
            Some(ContainerState::Exited { out_of_memory: true, .. }) => "It ran out of memory.".into(),
            Some(ContainerState::Exited { error: Some(error), .. }) => error.clone(),
            Some(ContainerState::Exited { code, .. }) => format!("ErrorCode: {code}"),
            _ => "Its network was taken away.".into(),
        }
    }
}

/// Until something happens to this task.
async fn touched(changes: &mut Changes, task: &TaskId) {
    loop {
        match changes.next().await {
            Some(Change::Task(id)) if id != *task => {}
            Some(_) => return,
            None => std::future::pending::<()>().await,
        }
    }
}

/// As much of the journal as goes into one put: whole records within the limits of PutLogEvents.
struct Piece {
    records: Vec<Record>,
    bytes: usize,
}

impl Piece {
    fn cut(bytes: &[u8]) -> Self {
        let (mut piece, mut lines, mut size) = (Self { records: Vec::new(), bytes: 0 }, 0, 0);
        while let Some(end) = bytes[piece.bytes..].iter().position(|b| *b == b'\n') {
            let line = &bytes[piece.bytes..piece.bytes + end];
            // A line that no agent wrote is passed over.
            let record = journal::parse(line);
            if matches!(&record, Some(Record { body: Body::Output(_), .. })) {
                (lines, size) = (lines + 1, size + line.len() + 26);
                if lines > limits::LOG_EVENTS || (size > limits::LOG_BYTES && lines > 1) {
                    break;
                }
            }
            piece.records.extend(record);
            piece.bytes += end + 1;
        }
        piece
    }
}

/// What the agent said, believed as far as it can be true; answers the phase that ended.
fn apply(row: &mut BuildRow, event: Event, at: Timestamp) -> Option<String> {
    let known = |phase: &String| phases::AGENT.contains(&phase.as_str());
    match event {
        Event::PhaseStarted { phase } if known(&phase) => phases::open(&mut row.build, &phase, at),
        Event::PhaseEnded { phase, status, contexts } if known(&phase) => {
            let closed = phases::close(&mut row.build, &phase, status.api(), contexts, at);
            return closed.then_some(phase);
        }
        Event::Exported { variables } => {
            let exported = variables.into_iter().take(limits::EXPORTED).map(|(name, value)| {
                api::codebuild::ExportedEnvironmentVariable { name: Some(name), value: Some(value) }
            });
            row.build.exported_environment_variables = Some(exported.collect());
        }
        Event::Packed { artifacts } => {
            row.run.packed = artifacts;
            row.run.packed.truncate(limits::BATCH);
        }
        Event::Ended { status, retry } => {
            row.run.ended = Some(status);
            row.run.retry = retry;
            row.run.stage = Stage::Upload;
        }
        Event::PhaseStarted { .. } | Event::PhaseEnded { .. } => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_whole_records_within_the_limits() {
        let check = |text: &str, want: (usize, usize)| {
            let piece = Piece::cut(text.as_bytes());
            assert_eq!((piece.records.len(), piece.bytes), want, "{text}");
        };
        check("", (0, 0));
        check("1 o unfinished", (0, 0));
        check("1 o a\n2 o b\n3 o", (2, 12));
        check("not ours\n1 o a\n", (1, 15));
        let many = "1 o x\n".repeat(limits::LOG_EVENTS + 1);
        check(&many, (limits::LOG_EVENTS, limits::LOG_EVENTS * 6));
        let long = format!("1 o {}\n", "x".repeat(limits::LOG_BYTES / 2));
        check(&long.repeat(3), (1, long.len()));
    }
}
