//! Runs of actions and rules that are under way in this process. After every commit, and after a restart, those that the state
//! says are outstanding and that are not here are started; those that are here and no longer outstanding are ended.
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::Timestamp;
use store::Key;
use tokio::task::AbortHandle;

use crate::actions::{self, Failed};
use crate::desk::{Ask, Desk, Loaded};
use crate::engine::{ActionRun, Execution, Failure, Kind, Moment, Output, Progress, State, UNMET, Visit};
use crate::error::Error;
use crate::job::Order;
use crate::limits;
use crate::records::Place;
use crate::rules::{self, Verdict};

/// Between tries to tell an outcome that the store did not take.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// See the module.
#[derive(Default)]
pub struct Runs(Mutex<HashMap<Part, Run>>);

/// A run's id, and how often it went on after a rest: until then it does not run, and then anew.
type Part = (String, u32);

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
        let outstanding: BTreeSet<Part> = due(&loaded.saved.state).map(|due| due.part()).collect();
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|part, run| {
            let keep = run.pipeline != pipeline || outstanding.contains(part);
            if let (false, Some(abort)) = (keep, &run.abort) {
                abort.abort();
            }
            keep
        });
        for due in due(&loaded.saved.state) {
            if runs.contains_key(&due.part()) {
                continue;
            }
            let Some(definition) = loaded.definitions.get(&due.execution.version) else { continue };
            let order = Order {
                place: place.clone(),
                pipeline: definition.clone(),
                execution: due.execution.clone(),
                stage: due.visit.stage.clone(),
                moment: due.moment,
                action: due.name.to_owned(),
                run: due.run.clone(),
            };
            let task = tokio::spawn(carry_out(desk.clone(), ops.clone(), order));
            let started = Run { pipeline: pipeline.clone(), abort: Some(task.abort_handle()) };
            runs.insert(due.part(), started);
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
    fn ending(&self, part: &Part) {
        if let Some(run) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(part) {
            run.abort = None;
        }
    }
}

/// A run that should be under way.
struct Due<'a> {
    execution: &'a Execution,
    visit: &'a Visit,
    /// Of a rule's condition.
    moment: Option<Moment>,
    /// The action's, or the rule's.
    name: &'a str,
    run: &'a ActionRun,
}

impl Due<'_> {
    fn part(&self) -> Part {
        (self.run.id.clone(), self.run.wakes)
    }
}

fn due(state: &State) -> impl Iterator<Item = Due<'_>> {
    let actions = state.outstanding().map(|(execution, visit, action, run)| Due {
        execution,
        visit,
        moment: None,
        name: &action.name,
        run,
    });
    let rules = state.outstanding_rules().map(|(execution, visit, moment, rule, run)| Due {
        execution,
        visit,
        moment: Some(moment),
        name: &rule.name,
        run,
    });
    actions.chain(rules)
}

/// What a run came to.
enum Done {
    /// Its end.
    Made(Output),
    /// Nothing before an instant.
    Later(Timestamp, Progress),
}

async fn work(desk: Arc<Desk>, ops: Arc<kernel::Ops>, order: Order) -> Result<Done, Failed> {
    if order.moment.is_none() {
        return Ok(Done::Made(actions::carry_out(desk, ops, order).await?));
    }
    match rules::carry_out(desk, ops, order).await? {
        Verdict::Met(progress) => Ok(Done::Made(Output { progress, ..Output::default() })),
        Verdict::Unmet(why) => Err(Failed::new(UNMET, why)),
        Verdict::Later(at, progress) => Ok(Done::Later(at, progress)),
    }
}

/// Carries one run out and tells how it ended.
async fn carry_out(desk: Arc<Desk>, ops: Arc<kernel::Ops>, order: Order) {
    let (place, id, part) =
        (order.place.clone(), order.run.id.clone(), (order.run.id.clone(), order.run.wakes));
    // The action runs in a task of its own, so that a panic in it is a failure of the action like others.
    let mut task = EndOnDrop(tokio::spawn(work(desk.clone(), ops, order)));
    let failed = |code: &str, message: String, progress| {
        let failure = Failure { code: code.into(), message: limits::cut(&message) };
        Kind::ActionFailed { id: id.clone(), failure, progress, by: None }
    };
    let kind = match (&mut task.0).await {
        Ok(Ok(Done::Made(output))) => Kind::ActionSucceeded { id: id.clone(), output, by: None },
        Ok(Ok(Done::Later(at, progress))) => {
            Kind::Rested { id: id.clone(), until: at.as_millisecond(), progress }
        }
        Ok(Err(Failed { code, message, progress })) => failed(code, message, *progress),
        Err(broken) => {
            tracing::error!(run = id, "an action broke: {broken}");
            let message = "The action failed because of an internal error; the server's log has the details.";
            failed("SystemUnavailable", message.into(), Default::default())
        }
    };
    desk.runs.ending(&part);
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
