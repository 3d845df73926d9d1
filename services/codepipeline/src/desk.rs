//! Where a pipeline's executions are moved forward: what came in, what follows from it and all that reads show of it
//! go into one batch; what is outstanding after it is started.
//!
//! One request at a time is decided for a pipeline. Its state is kept in memory between requests; a commit that
//! conflicts, or is never heard of again, drops it, and it is read anew.
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use api::codepipeline as cp;
use kernel::{Clock, Entropy, Ops, Timestamp, ids};
use store::{Batch, Claim, Key, Lease, Sealer, Store};
use tokio::sync::Mutex as Turn;

use crate::Deps;
use crate::actions::lambda::Functions;
use crate::engine::{self, Event, Kind, Millis, State};
use crate::error::Error;
use crate::hub::Hub;
use crate::jobs::Openings;
use crate::limits;
use crate::projection;
use crate::records::{Alarm, DEADLINE, Definition, Place, Saved};
use crate::runs::Runs;

/// A declaration that executions run.
pub type Declaration = Arc<cp::PipelineDeclaration>;

/// See the module.
pub struct Desk {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) sealer: Sealer,
    pub(crate) functions: Functions,
    pub(crate) hub: Hub,
    pub(crate) runs: Runs,
    pub(crate) openings: Openings,
    ops: OnceLock<Weak<Ops>>,
    owner: String,
    pipelines: Mutex<HashMap<Key, Arc<Turn<Option<Loaded>>>>>,
}

/// A pipeline in memory.
#[derive(Clone)]
pub struct Loaded {
    /// The engine's state, and the number of the last event in it.
    pub saved: Saved,
    /// The stream's lease.
    lease: Lease,
    /// It is taken with the next commit.
    claim: Option<Claim>,
    /// When the timer fires that is set; the distant past when that is not known. One that fires too early does no
    /// harm, so that it is not moved by every action that starts.
    timer: Option<Millis>,
    /// The declarations of the state's plans.
    pub definitions: BTreeMap<i32, Declaration>,
}

/// What a request comes to.
pub struct Ask<T> {
    /// What happened, to be followed by all that follows from it.
    pub kinds: Vec<Kind>,
    /// What else the same commit does.
    pub batch: Batch,
    /// The declaration of a version that the kinds define.
    pub define: Option<Declaration>,
    /// What is answered once it is committed.
    pub answer: T,
}

impl<T> Ask<T> {
    /// One thing happened, or nothing did.
    pub fn of(kind: impl Into<Option<Kind>>, answer: T) -> Self {
        Self { kinds: kind.into().into_iter().collect(), batch: Batch::new(), define: None, answer }
    }
}

impl Desk {
    /// A desk on a store.
    pub fn new(deps: Deps) -> Arc<Self> {
        let Deps { store, sealer, clock, entropy, functions } = deps;
        let owner = ids::uuid(&*entropy);
        Arc::new(Self {
            store,
            clock,
            entropy,
            sealer,
            functions,
            hub: Hub::default(),
            runs: Runs::default(),
            openings: Openings::default(),
            ops: OnceLock::new(),
            owner,
            pipelines: Mutex::default(),
        })
    }

    /// Gives the way to other services; nothing is started before.
    pub fn attach(&self, ops: &Arc<Ops>) {
        // A second time is the same `Ops`.
        let _ = self.ops.set(Arc::downgrade(ops));
    }

    pub(crate) fn ops(&self) -> Option<Arc<Ops>> {
        self.ops.get()?.upgrade()
    }

    /// Now, in the engine's unit.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Decides a request, commits it, and starts what is outstanding. `ask` sees the state and may be called again
    /// when another writer was faster. `cause` is the request's id.
    pub async fn tell<T>(
        self: &Arc<Self>,
        place: &Place,
        cause: Option<&str>,
        ask: impl Fn(&State) -> Result<Ask<T>, Error>,
    ) -> Result<T, Error> {
        let turn = self.turn(place);
        let mut loaded = turn.lock().await;
        for _ in 0..limits::CONFLICT_TRIES {
            if loaded.is_none() {
                *loaded = Some(self.load(place).await?);
            }
            let Some(before) = loaded.as_ref() else { continue };
            let Ask { kinds, batch, define, answer } = ask(&before.saved.state)?;
            if before.saved.seq == 0 && define.is_none() {
                // Deleted since the caller found it: nothing may be written for it any more.
                let (account, name) = (place.account.clone(), place.name.clone());
                return Err(Error::PipelineNotFound { account, name });
            }
            let mut after = before.clone();
            if let Some(declaration) = define {
                after.definitions.insert(declaration.version.unwrap_or(1), declaration);
            }
            let batch = self.decide(place, &mut after, kinds, cause, batch);
            if batch.is_empty() {
                return Ok(answer);
            }
            // Taken out meanwhile: a commit that is never heard of leaves nothing behind that may be stale.
            *loaded = None;
            match self.store.commit(batch).await {
                Ok(_) => {
                    self.runs.reconcile(self, place, &after);
                    *loaded = Some(after);
                    return Ok(answer);
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::ConcurrentModification)
    }

    /// Folds in what happened and what follows, and says it all in a batch.
    fn decide(
        &self,
        place: &Place,
        loaded: &mut Loaded,
        kinds: Vec<Kind>,
        cause: Option<&str>,
        batch: Batch,
    ) -> Batch {
        let now = self.now().as_millisecond();
        let mut shown = projection::Rows::new(place, &*self.entropy);
        let events = loaded.happen(&mut shown, kinds, now, cause);
        let batch = loaded.set_timer(place, now, batch);
        if events.is_empty() {
            return batch;
        }
        shown.into_batch(loaded.append(place, &events, batch))
    }

    /// Starts what is outstanding of a pipeline: after a restart.
    pub async fn resume(self: &Arc<Self>, place: &Place) -> Result<(), Error> {
        self.tell(place, None, |_| Ok(Ask::of(None, ()))).await?;
        let turn = self.turn(place);
        let loaded = turn.lock().await;
        if let Some(loaded) = loaded.as_ref() {
            self.runs.reconcile(self, place, loaded);
        }
        Ok(())
    }

    /// Forgets a deleted pipeline and ends what runs for it. `delete` commits the deletion.
    pub async fn forget<T>(
        &self,
        place: &Place,
        delete: impl AsyncFnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let turn = self.turn(place);
        let mut loaded = turn.lock().await;
        *loaded = None;
        let answer = delete().await?;
        self.runs.end(&place.key());
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).remove(&place.key());
        Ok(answer)
    }

    fn turn(&self, place: &Place) -> Arc<Turn<Option<Loaded>>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.entry(place.key()).or_default().clone()
    }

    /// Reads a pipeline and takes its stream over. A pipeline that is being created has nothing yet.
    pub(crate) async fn load(&self, place: &Place) -> Result<Loaded, Error> {
        let key = place.key();
        // One process holds the folder: the lease has to raise the epoch, not to keep others away for a time.
        let now = self.now();
        let claim = self.store.claim(<Event as store::Record>::TABLE, &key, &self.owner, now, now).await;
        let claim = claim?.ok_or(Error::ConcurrentModification)?;
        let saved = self.store.get::<Saved>(&key).await?;
        let saved = saved.map(|row| row.value).unwrap_or_default();
        let mut definitions = BTreeMap::new();
        for version in saved.state.plans.keys() {
            if let Some(row) = self.store.get::<Definition>(&place.definition(*version)).await? {
                definitions.insert(*version, Arc::new(row.value.declaration));
            }
        }
        let (lease, claim) = (claim.lease.clone(), Some(claim));
        Ok(Loaded { saved, lease, claim, timer: Some(Millis::MIN), definitions })
    }
}

impl Loaded {
    /// Folds in what happened and all that follows; answers the events, and tells `shown` of each.
    pub(crate) fn happen(
        &mut self,
        shown: &mut projection::Rows<'_>,
        kinds: impl IntoIterator<Item = Kind>,
        now: Millis,
        cause: Option<&str>,
    ) -> Vec<Event> {
        let Self { saved: Saved { state, .. }, definitions, .. } = self;
        let mut events = Vec::new();
        let mut fold = |state: &mut State, mut event: Event| {
            event.cause = cause.map(str::to_owned);
            state.apply(&event);
            shown.after(state, definitions, &event);
            events.push(event);
        };
        kinds.into_iter().for_each(|kind| fold(state, Event { at: now, cause: None, kind }));
        engine::decide(state, now).into_iter().for_each(|event| fold(state, event));
        definitions.retain(|version, _| state.plans.contains_key(version));
        events
    }

    /// Writes the events behind those that are there, and the state that they add up to.
    pub(crate) fn append(&mut self, place: &Place, events: &[Event], batch: Batch) -> Batch {
        let (key, first) = (place.key(), self.saved.seq);
        self.saved.seq += events.len() as u64;
        let batch = self.claim.take().iter().fold(batch, |batch, claim| batch.claim(claim));
        batch.append(&key, first, self.lease.epoch, events).put(&key, &self.saved)
    }

    /// Sees to it that a timer fires at the deadline, or before.
    fn set_timer(&mut self, place: &Place, now: Millis, batch: Batch) -> Batch {
        let key = place.key();
        let ahead = self.timer.filter(|set| *set > now);
        let deadline = self.saved.state.deadline();
        match deadline.and_then(|at| Some((at, Timestamp::from_millisecond(at).ok()?))) {
            Some((at, time)) if ahead.is_none_or(|set| at < set) => {
                self.timer = Some(at);
                batch.timer(DEADLINE, &key, time, &Alarm { name: place.name.clone() })
            }
            None if ahead.is_none() && self.timer.is_some() => {
                self.timer = None;
                batch.cancel(DEADLINE, &key)
            }
            _ => batch,
        }
    }
}
