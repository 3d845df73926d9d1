//! Runs of actions that are under way in this process. After every commit, and after a restart, those that the state
//! says are outstanding and that are not here are started; those that are here and no longer outstanding are ended.
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::Key;
use tokio::task::AbortHandle;

use crate::actions::{self, Failed};
use crate::desk::{Ask, Desk, Loaded};
use crate::engine::{Failure, Kind};
use crate::error::Error;
use crate::job::Order;
use crate::limits;
use crate::records::Place;

/// Between tries to tell an outcome that the store did not take.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// See the module.
#[derive(Default)]
pub struct Runs(Mutex<HashMap<String, Run>>);

struct Run {
    /// Of which pipeline.
    pipeline: Key,
    /// Absent once its outcome is being told: it must not end itself by what it tells.
    abort: Option<AbortHandle>,
}

impl Runs {
    /// Makes what runs be what is outstanding.
    pub fn reconcile(&self, desk: &Arc<Desk>, place: &Place, loaded: &Loaded) {
        let Some(ops) = desk.ops() else { return };
        let pipeline = place.key();
        let outstanding: BTreeSet<&str> =
            loaded.state.outstanding().map(|(.., run)| run.id.as_str()).collect();
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|id, run| {
            let keep = run.pipeline != pipeline || outstanding.contains(id.as_str());
            if let (false, Some(abort)) = (keep, &run.abort) {
                abort.abort();
            }
            keep
        });
        for (execution, visit, action, run) in loaded.state.outstanding() {
            if runs.contains_key(&run.id) {
                continue;
            }
            let Some(definition) = loaded.definitions.get(&execution.version) else { continue };
            let order = Order {
                place: place.clone(),
                pipeline: definition.clone(),
                execution: execution.clone(),
                stage: visit.stage.clone(),
                action: action.name.clone(),
                run: run.clone(),
            };
            let task = tokio::spawn(carry_out(desk.clone(), ops.clone(), order));
            let started = Run { pipeline: pipeline.clone(), abort: Some(task.abort_handle()) };
            runs.insert(run.id.clone(), started);
        }
    }

    /// Ends what runs for a pipeline.
    pub fn end(&self, pipeline: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, run| {
            let keep = run.pipeline != *pipeline;
            if let (false, Some(abort)) = (keep, &run.abort) {
                abort.abort();
            }
            keep
        });
    }

    /// Ends everything: the service stops. What was outstanding stays so, and is started again by the next.
    pub fn end_all(&self) {
        for (_, run) in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            if let Some(abort) = run.abort {
                abort.abort();
            }
        }
    }

    /// From here on the run ends by itself.
    fn ending(&self, id: &str) {
        if let Some(run) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            run.abort = None;
        }
    }
}

/// Carries one run out and tells how it ended.
async fn carry_out(desk: Arc<Desk>, ops: Arc<kernel::Ops>, order: Order) {
    let (place, id) = (order.place.clone(), order.run.id.clone());
    // The action runs in a task of its own, so that a panic in it is a failure of the action like others.
    let mut task = EndOnDrop(tokio::spawn(actions::carry_out(desk.clone(), ops, order)));
    let failed = |code: &str, message: String, progress| {
        let failure = Failure { code: code.into(), message: limits::cut(&message) };
        Kind::ActionFailed { id: id.clone(), failure, progress, by: None }
    };
    let kind = match (&mut task.0).await {
        Ok(Ok(output)) => Kind::ActionSucceeded { id: id.clone(), output, by: None },
        Ok(Err(Failed { code, message, progress })) => failed(code, message, *progress),
        Err(broken) => {
            tracing::error!(run = id, "an action broke: {broken}");
            let message = "The action failed because of an internal error; the server's log has the details.";
            failed("SystemUnavailable", message.into(), Default::default())
        }
    };
    desk.runs.ending(&id);
    let mut delay = RETRY.0;
    loop {
        let told = desk.tell(&place, Some(&id), |state| {
            let running = state.is_running(&id);
            Ok(Ask::of(running.then(|| kind.clone()), ()))
        });
        match told.await {
            Ok(()) => return,
            // The service stops: the next one finds the run outstanding. Or the pipeline is gone, and with it the run.
            Err(Error::Store(store::Error::Closed) | Error::PipelineNotFound { .. }) => return,
            Err(error) => tracing::warn!(run = id, "an outcome could not be told, trying again: {error}"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY.1);
    }
}

struct EndOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for EndOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
