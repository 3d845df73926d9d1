//! Rows and notices: what a batch of events changes in what others see.
use std::collections::BTreeMap;

use kernel::Entropy;
use store::{Batch, Event as Notice, Key};

use crate::desk::Declaration;
use crate::engine::{self, Event, Kind, StageStatus, State};
use crate::jobs::{self, JobRow};
use crate::notices;
use crate::records::{ActionRow, ExecutionRow, Place, RuleRow, Succeeded};
use crate::scope::Scope;

/// Collects over the events of a batch; what a later event says of the same row replaces the earlier.
pub struct Rows<'a> {
    place: &'a Place,
    entropy: &'a dyn Entropy,
    executions: BTreeMap<String, ExecutionRow>,
    actions: BTreeMap<String, ActionRow>,
    rules: BTreeMap<String, RuleRow>,
    jobs: BTreeMap<String, JobRow>,
    succeeded: Vec<(Key, Succeeded)>,
    notices: Vec<Notice>,
}

impl<'a> Rows<'a> {
    /// None yet.
    pub fn new(place: &'a Place, entropy: &'a dyn Entropy) -> Self {
        let (executions, actions, rules, jobs) = Default::default();
        let (succeeded, notices) = (Vec::new(), Vec::new());
        Self { place, entropy, executions, actions, rules, jobs, succeeded, notices }
    }

    /// Takes what an event changed, from the state right after it: a later one may drop the execution from it.
    pub fn after(&mut self, state: &State, definitions: &BTreeMap<i32, Declaration>, event: &Event) {
        let row = run(&event.kind).and_then(|id| action_row(state, definitions, id));
        let rule = run(&event.kind).and_then(|id| rule_row(state, definitions, id));
        self.notices.extend(notices::of(self.place, state, event, row.as_ref(), self.entropy));
        let of_run = row.as_ref().or(rule.as_ref().map(|RuleRow(row)| row));
        let concerned = execution(&event.kind).or(of_run.map(|row| row.execution.as_str()));
        if let Some(execution) = concerned.and_then(|id| state.execution(id)) {
            let summary = engine::summary(state, execution).filter(|_| !execution.active());
            let shown = ExecutionRow { execution: execution.clone(), summary };
            self.executions.insert(execution.id.clone(), shown);
        }
        if let Some(row) = row {
            let job = jobs::ended(self.place, &event.kind, &row);
            self.jobs.extend(job.map(|job| (row.run.id.clone(), job)));
            self.actions.insert(row.run.id.clone(), row);
        }
        if let Some(rule) = rule {
            self.rules.insert(rule.0.run.id.clone(), rule);
        }
        if let Kind::StageEnded { execution, stage, status: StageStatus::Succeeded } = &event.kind
            && let Some(execution) = state.execution(execution)
        {
            let key = self.place.succeeded(execution.version, stage).number(execution.number);
            self.succeeded.push((key, Succeeded { execution: execution.id.clone() }));
        }
    }

    /// All of it, in the batch.
    pub fn into_batch(mut self, batch: Batch) -> Batch {
        let notices = std::mem::take(&mut self.notices);
        notices.into_iter().fold(self.rows(batch), Batch::event)
    }

    /// The rows alone.
    pub fn rows(self, mut batch: Batch) -> Batch {
        // In the order in which they were started: lists show the order of creation.
        let mut executions: Vec<ExecutionRow> = self.executions.into_values().collect();
        executions.sort_by_key(|row| row.execution.number);
        for row in &executions {
            batch = batch.put(&self.place.execution(&row.execution.id), row);
        }
        for row in self.actions.values() {
            batch = batch.put(&self.place.action(&row.execution, &row.run.id), row);
        }
        for row in self.rules.values() {
            batch = batch.put(&self.place.action(&row.0.execution, &row.0.run.id), row);
        }
        for (id, job) in &self.jobs {
            batch = batch.put(&jobs::key(&self.place.account, &self.place.region, id), job);
        }
        for (key, mark) in &self.succeeded {
            batch = batch.put(key, mark);
        }
        batch
    }
}

fn action_row(state: &State, definitions: &BTreeMap<i32, Declaration>, id: &str) -> Option<ActionRow> {
    let (execution, visit, name, run) = state.run(id)?;
    let pipeline = definitions.get(&execution.version)?;
    Some(Scope::of(pipeline, execution, &visit.stage, name)?.row(&visit.stage, run))
}

fn rule_row(state: &State, definitions: &BTreeMap<i32, Declaration>, id: &str) -> Option<RuleRow> {
    let (execution, visit, moment, name, run) = state.rule(id)?;
    let pipeline = definitions.get(&execution.version)?;
    Some(RuleRow(Scope::of_rule(pipeline, execution, &visit.stage, moment, name)?.row(&visit.stage, run)))
}

/// The run that an event is about.
fn run(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::ActionStarted { id, .. }
        | Kind::ActionProgressed { id, .. }
        | Kind::ActionSucceeded { id, .. }
        | Kind::ActionFailed { id, .. }
        | Kind::ActionAbandoned { id }
        | Kind::RuleStarted { id, .. }
        | Kind::Rested { id, .. }
        | Kind::Woken { id } => Some(id),
        _ => None,
    }
}

/// The execution that an event names.
fn execution(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::Started { execution, .. }
        | Kind::RolledBack { execution, .. }
        | Kind::RuleStarted { execution, .. }
        | Kind::ConditionEnded { execution, .. }
        | Kind::ConditionOverridden { execution, .. }
        | Kind::Superseded { execution, .. }
        | Kind::Entered { execution, .. }
        | Kind::ActionStarted { execution, .. }
        | Kind::StageEnded { execution, .. }
        | Kind::Ended { execution, .. }
        | Kind::StopRequested { execution, .. }
        | Kind::Retried { execution, .. } => Some(execution),
        _ => None,
    }
}
