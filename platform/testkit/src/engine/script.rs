//! What a test tells the engine, and asks it.
use bytes::Bytes;
use engine::{
    Change, ContainerState, ContainerStatus, Error, Exec, Health, LogLine, LogPosition, LogStream, Result,
    TaskId, TaskSpec, TaskState,
};

use super::{FakeEngine, State};

impl FakeEngine {
    /// Whether anybody answers. Coming back tells that everything may have changed.
    pub fn unreachable(&self, unreachable: bool) {
        self.state().unreachable = unreachable;
        if !unreachable {
            self.notifier.notify(Change::All);
        }
    }

    /// From now on this image cannot be had, for this reason; none: it can.
    pub fn refuse_image(&self, reference: &str, reason: Option<Error>) {
        let mut state = self.state();
        state.refused.remove(reference);
        state.refused.extend(reason.map(|reason| (reference.to_owned(), reason)));
    }

    /// From now on pulls of this image never end.
    pub fn stall_image(&self, reference: &str) {
        self.state().stalled.insert(reference.to_owned());
    }

    /// The next `times` times, what the log would call so fails: `rules ID`, `stop ID`.
    pub fn fail(&self, deed: &str, times: usize) {
        self.state().failing.insert(deed.to_owned(), times);
    }

    /// From now on this task cannot be removed.
    pub fn refuse_removal(&self, id: &TaskId) {
        self.state().stuck.insert(id.clone());
    }

    /// Ends a container.
    ///
    /// # Panics
    /// When there is no such container.
    pub fn exit(&self, id: &TaskId, container: &str, code: i64) {
        let now = self.clock.now();
        self.alter(id, container, |status| {
            status.state = ContainerState::Exited { code, out_of_memory: false, error: None };
            status.finished_at = Some(now);
        });
    }

    /// Says what a container's health check finds.
    ///
    /// # Panics
    /// When there is no such container.
    pub fn health(&self, id: &TaskId, container: &str, health: Health) {
        self.alter(id, container, |status| status.health = health);
    }

    fn alter(&self, id: &TaskId, container: &str, change: impl FnOnce(&mut ContainerStatus)) {
        let mut state = self.state();
        let task = &mut state.tasks.get_mut(id).unwrap_or_else(|| panic!("no task {id}")).task;
        let found = task.containers.iter_mut().find(|c| c.name == container);
        change(found.unwrap_or_else(|| panic!("no container {container} in {id}")));
        drop(state);
        self.change(id);
    }

    /// The task's namespace dies, as when somebody kills the container that holds it.
    pub fn kill(&self, id: &TaskId) {
        if let Some(running) = self.state().tasks.get_mut(id) {
            running.task.state = TaskState::Stopped { reason: "its network namespace has ended".into() };
        }
        self.change(id);
    }

    /// A container writes a line.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn write(&self, id: &TaskId, container: &str, line: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        let running = state.tasks.get_mut(id).unwrap_or_else(|| panic!("no task {id}"));
        let lines = running.lines.entry(container.to_owned()).or_default();
        let position = LogPosition::after(lines.last().map(|line| line.position), now);
        let bytes = Bytes::copy_from_slice(line.as_bytes());
        lines.push(LogLine { position, stream: LogStream::Stdout, bytes });
        drop(state);
        self.change(id);
    }

    /// What a task was started with; its rules as they were last replaced.
    pub fn spec(&self, id: &TaskId) -> Option<TaskSpec> {
        self.state().tasks.get(id).map(|running| running.spec.clone())
    }

    /// What was done, in order: `run ID`, `start ID NAME`, `rules ID`, `stop ID`, `remove ID`; and `break ID`, when
    /// a start was given up whose task had not been stopped.
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Commands that were run in containers.
    pub fn execs(&self) -> Vec<(TaskId, String, Exec)> {
        self.state().execs.clone()
    }
}

impl State {
    /// Logs a deed, unless it is to fail.
    pub(super) fn does(&mut self, deed: String) -> Result<()> {
        match self.failing.get_mut(&deed) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(Error::Engine("a test says so".into()))
            }
            _ => {
                self.log.push(deed);
                Ok(())
            }
        }
    }
}
