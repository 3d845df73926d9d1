//! AWS's rules as plainly as they can be said: numbers, vectors, and one loop that goes on until nothing moves. It
//! shares no code with the engine, and knows it by what both are told alone.
mod asked;

use std::collections::{BTreeMap, BTreeSet};

pub const SUPERSEDED: u8 = 0;
pub const PARALLEL: u8 = 2;
/// The conditions of a stage.
pub const ENTRY: usize = 0;
pub const SUCCESS: usize = 1;
pub const FAILURE: usize = 2;

/// A stage of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// By which it is known over updates.
    pub name: usize,
    /// Each action's order, and whether a person decides it.
    pub actions: Vec<(i32, bool)>,
    /// It retries itself: all of its actions, or those that failed.
    pub retry: Option<bool>,
    pub rollback: bool,
    /// Each condition's result, as AWS names it, and how many rules it has.
    pub conditions: [Option<(&'static str, usize)>; 3],
}

/// An action or a rule that was begun.
#[derive(Clone, Debug)]
pub struct Job {
    pub status: &'static str,
    pub since: i64,
    /// A rule that could not tell.
    pub error: bool,
}

#[derive(Clone, Debug)]
pub struct Condition {
    pub status: &'static str,
    pub rules: Vec<Job>,
}

#[derive(Clone, Debug)]
pub struct Visit {
    /// The stage's name.
    pub stage: usize,
    pub status: &'static str,
    pub jobs: Vec<Option<Job>>,
    pub conditions: [Option<Condition>; 3],
    /// Retries that somebody asked for, and those of the stage itself.
    pub retries: [u32; 2],
}

/// A place in the run's own plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    Before(usize),
    In(usize),
    Done,
}

/// An execution.
#[derive(Clone, Debug)]
pub struct Run {
    pub version: usize,
    pub mode: u8,
    /// What it goes back to.
    pub rollback: Option<usize>,
    pub status: &'static str,
    /// Who took its place.
    pub superseded: Option<usize>,
    pub at: At,
    pub arrival: u64,
    /// Asked to stop; to abandon what runs.
    pub stop: Option<bool>,
    pub visits: Vec<Visit>,
}

/// A pipeline with all the executions that it ever had.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub mode: u8,
    pub plans: Vec<Vec<Stage>>,
    pub runs: Vec<Run>,
    /// By name, as what follows.
    pub closed: BTreeSet<usize>,
    /// The last execution to enter each stage.
    pub latest: BTreeMap<usize, usize>,
    /// The last to succeed in each, where that could matter.
    pub good: BTreeMap<usize, usize>,
    pub arrivals: u64,
    pub now: i64,
}

/// How long anything may take.
pub const TIMEOUT: i64 = 60;

fn job(now: i64) -> Job {
    Job { status: "InProgress", since: now, error: false }
}

impl Run {
    pub fn active(&self) -> bool {
        matches!(self.status, "InProgress" | "Stopping")
    }

    pub fn busy(&self) -> bool {
        self.visits.last().is_some_and(|v| v.jobs.iter().flatten().any(|j| j.status == "InProgress"))
    }

    /// Its time in the stage that it stands in.
    fn visit(&mut self) -> Option<&mut Visit> {
        matches!(self.at, At::In(_)).then(|| self.visits.last_mut()).flatten()
    }
}

impl Model {
    pub fn update(&mut self, mode: u8, plan: Vec<Stage>) {
        let names: Vec<usize> = plan.iter().map(|stage| stage.name).collect();
        self.mode = mode;
        self.plans.push(plan);
        self.closed.retain(|stage| names.contains(stage));
        self.latest.retain(|stage, _| names.contains(stage));
        self.good.clear();
    }

    pub fn plan(&self) -> &[Stage] {
        self.plans.last().map_or(&[], Vec::as_slice)
    }

    fn stage(&self, run: &Run, index: usize) -> &Stage {
        &self.plans[run.version][index]
    }

    /// Where a stage stands in the current plan.
    fn index(&self, name: usize) -> Option<usize> {
        self.plan().iter().position(|stage| stage.name == name)
    }

    /// The name of the stage that a run stands before.
    fn before(&self, run: &Run) -> Option<usize> {
        let At::Before(index) = run.at else { return None };
        Some(self.stage(run, index).name)
    }

    /// The name of the stage that a run stands in.
    fn inside(&self, run: &Run) -> Option<usize> {
        let At::In(index) = run.at else { return None };
        Some(self.stage(run, index).name)
    }

    fn begin(&mut self, at: usize, rollback: Option<usize>) {
        self.arrivals += 1;
        self.runs.push(Run {
            version: self.plans.len() - 1,
            mode: self.mode,
            rollback,
            status: "InProgress",
            superseded: None,
            at: At::Before(at),
            arrival: self.arrivals,
            stop: None,
            visits: Vec::new(),
        });
    }

    /// Whether one more may run.
    fn room(&self) -> bool {
        self.mode == SUPERSEDED || self.runs.iter().filter(|r| r.active()).count() < 50
    }

    fn current(&self, run: &Run) -> bool {
        run.version == self.plans.len() - 1
    }

    /// Who stands in a stage, or has work there that still runs.
    fn holder(&self, stage: usize) -> Option<usize> {
        let holds = |r: &Run| r.mode != PARALLEL && self.inside(r) == Some(stage) && (r.active() || r.busy());
        self.runs.iter().position(holds)
    }

    fn pending(&self, stage: usize) -> bool {
        self.runs.iter().any(|r| r.rollback.is_some() && r.active() && self.before(r) == Some(stage))
    }

    fn again(&mut self, n: usize, all: bool, who: usize) {
        let run = &mut self.runs[n];
        run.status = "InProgress";
        run.stop = None;
        let Some(visit) = run.visits.last_mut() else { return };
        visit.status = "InProgress";
        visit.retries[who] += 1;
        for job in &mut visit.jobs {
            if all || job.as_ref().is_some_and(|j| matches!(j.status, "Failed" | "Abandoned")) {
                *job = None;
            }
        }
        let entered = visit.conditions[ENTRY].take();
        let passed = |c: &Condition| matches!(c.status, "Succeeded" | "Overridden");
        visit.conditions = [entered.filter(|c| !all && passed(c)), None, None];
    }

    /// All that follows, until nothing does.
    pub fn settle(&mut self) {
        self.expire();
        while (0..self.runs.len()).any(|n| self.advance(n)) || self.enter() || self.supersede() {}
    }

    fn expire(&mut self) {
        let now = self.now;
        for visit in self.runs.iter_mut().filter_map(|run| run.visits.last_mut()) {
            let rules = visit.conditions.iter_mut().flatten().flat_map(|c| &mut c.rules);
            for job in visit.jobs.iter_mut().flatten().chain(rules) {
                if job.status == "InProgress" && job.since + TIMEOUT <= now {
                    job.status = "Failed";
                }
            }
        }
    }

    /// Whether there was anything that an execution does by itself.
    fn advance(&mut self, n: usize) -> bool {
        if self.tidy(n) {
            return true;
        }
        let (status, outdated) = (self.runs[n].status, !self.current(&self.runs[n]));
        match status {
            "Stopping" => self.stopping(n),
            "InProgress" if outdated && self.runs[n].mode != PARALLEL => {
                let busy = self.runs[n].busy();
                self.cut(n, "Cancelled") || (!busy && self.end(n, "Cancelled", "Cancelled"))
            }
            "InProgress" => self.within(n),
            _ => false,
        }
    }

    /// Rules of conditions that are decided are abandoned; where one was overridden, also those that had failed.
    fn tidy(&mut self, n: usize) -> bool {
        let Some(visit) = self.runs[n].visits.last_mut() else { return false };
        let over = visit.conditions.iter_mut().flatten().filter(|c| c.status != "InProgress");
        let mut left = over.flat_map(|c| {
            let overridden = c.status == "Overridden";
            let open =
                move |rule: &&mut Job| rule.status == "InProgress" || (overridden && rule.status == "Failed");
            c.rules.iter_mut().filter(open)
        });
        left.next().map(|rule| rule.status = "Abandoned").is_some()
    }

    fn cut(&mut self, n: usize, how: &'static str) -> bool {
        let Some(visit) = self.runs[n].visit() else { return false };
        let mut open = visit.conditions.iter_mut().flatten().filter(|c| c.status == "InProgress");
        open.next().map(|condition| condition.status = how).is_some()
    }

    fn stopping(&mut self, n: usize) -> bool {
        let abandon = self.runs[n].stop == Some(true);
        if self.cut(n, if abandon { "Abandoned" } else { "Cancelled" }) {
            return true;
        }
        if !self.runs[n].busy() {
            return self.end(n, "Stopped", "Stopped");
        }
        if abandon {
            let jobs = self.runs[n].visits.last_mut().into_iter().flat_map(|v| v.jobs.iter_mut().flatten());
            jobs.filter(|job| job.status == "InProgress").for_each(|job| job.status = "Abandoned");
        }
        abandon
    }

    fn end(&mut self, n: usize, stage: &'static str, status: &'static str) -> bool {
        let run = &mut self.runs[n];
        run.status = status;
        if let Some(visit) = run.visit().filter(|visit| visit.status == "InProgress") {
            visit.status = stage;
        }
        true
    }

    fn within(&mut self, n: usize) -> bool {
        let At::In(index) = self.runs[n].at else {
            return self.runs[n].at == At::Done && self.end(n, "", "Succeeded");
        };
        let stage = self.stage(&self.runs[n], index).clone();
        match self.ask(n, &stage, ENTRY) {
            Err(moved) => return moved,
            Ok(false) => {
                let skip = stage.conditions[ENTRY].is_some_and(|(result, _)| result == "SKIP");
                return if skip { self.leave(n, index, "Skipped") } else { self.fail(n, index, false) };
            }
            Ok(true) => {}
        }
        let parallel = self.runs[n].mode == PARALLEL;
        let Some(visit) = self.runs[n].visits.last_mut() else { return false };
        let (mut running, mut failed) = (0, false);
        for job in visit.jobs.iter().flatten() {
            running += usize::from(job.status == "InProgress");
            failed |= matches!(job.status, "Failed" | "Abandoned");
        }
        if failed {
            if let Some(all) = stage.retry.filter(|_| visit.retries[1] == 0) {
                let now = !all || running == 0;
                if now {
                    self.again(n, all, 1);
                }
                return now;
            }
            return match self.ask(n, &stage, FAILURE) {
                Err(moved) => moved,
                Ok(met) => {
                    self.fail(n, index, stage.rollback || (met && stage.conditions[FAILURE].is_some()))
                }
            };
        }
        let done = |job: &Option<Job>| job.as_ref().is_some_and(|job| job.status == "Succeeded");
        let left = visit.jobs.iter().zip(&stage.actions).filter(|(job, _)| !done(job));
        if let Some(order) = left.map(|(_, (order, _))| *order).min() {
            let mut due = (0..visit.jobs.len()).filter(|i| stage.actions[*i].0 == order);
            let next = due.find(|i| visit.jobs[*i].is_none()).filter(|_| !parallel || running < 5);
            return next.map(|i| visit.jobs[i] = Some(job(self.now))).is_some();
        }
        match self.ask(n, &stage, SUCCESS) {
            Err(moved) => moved,
            Ok(true) => self.leave(n, index, "Succeeded"),
            Ok(false) => {
                let rolls = stage.conditions[SUCCESS].is_some_and(|(result, _)| result == "ROLLBACK");
                self.fail(n, index, rolls || stage.rollback)
            }
        }
    }

    /// Whether a condition is met, or `Err`: it does not say yet, and whether it moved.
    fn ask(&mut self, n: usize, stage: &Stage, which: usize) -> Result<bool, bool> {
        let Some((_, rules)) = stage.conditions[which] else { return Ok(true) };
        let now = self.now;
        let Some(visit) = self.runs[n].visits.last_mut() else { return Err(false) };
        let Some(condition) = &mut visit.conditions[which] else {
            let rules = vec![job(now); rules];
            visit.conditions[which] = Some(Condition { status: "InProgress", rules });
            return Err(true);
        };
        if condition.status != "InProgress" {
            return Ok(matches!(condition.status, "Succeeded" | "Overridden"));
        }
        let failed = condition.rules.iter().find(|rule| rule.status == "Failed");
        condition.status = match failed {
            Some(rule) if rule.error => "Errored",
            Some(_) => "Failed",
            None if condition.rules.iter().all(|rule| rule.status == "Succeeded") => "Succeeded",
            None => return Err(false),
        };
        Err(true)
    }

    fn fail(&mut self, n: usize, stage: usize, rolls: bool) -> bool {
        self.end(n, "Failed", "Failed");
        let run = &self.runs[n];
        let name = self.stage(run, stage).name;
        let target = self.good.get(&name).filter(|_| rolls && run.rollback.is_none() && self.current(run));
        if let Some(target) = target.copied() {
            self.begin(stage, Some(target));
        }
        true
    }

    fn leave(&mut self, n: usize, stage: usize, how: &'static str) -> bool {
        self.arrivals += 1;
        let (arrival, version) = (self.arrivals, self.runs[n].version);
        let last = stage + 1 == self.plans[version].len();
        let run = &mut self.runs[n];
        if let Some(visit) = run.visits.last_mut() {
            visit.status = how;
        }
        run.at = if last || run.rollback.is_some() { At::Done } else { At::Before(stage + 1) };
        run.arrival = arrival;
        let run = &self.runs[n];
        if how == "Succeeded" && self.current(run) && run.rollback.is_none() && run.mode != PARALLEL {
            self.good.insert(self.stage(run, stage).name, n);
        }
        true
    }

    /// Those that wait before a stage: rollbacks first, the others as they came.
    fn line(&self, stage: usize) -> Vec<usize> {
        let waits = |n: &usize| {
            let run = &self.runs[*n];
            run.active() && run.mode != PARALLEL && self.before(run) == Some(stage)
        };
        let mut line: Vec<usize> = (0..self.runs.len()).filter(waits).collect();
        line.sort_by_key(|n| (self.runs[*n].rollback.is_none(), self.runs[*n].arrival));
        line
    }

    fn enter(&mut self) -> bool {
        let may = |n: usize| {
            let run = &self.runs[n];
            let At::Before(index) = run.at else { return None };
            let stage = self.stage(run, index).name;
            let open = run.rollback.is_some() || !self.closed.contains(&stage);
            let first = self.line(stage).first() == Some(&n);
            let free = run.mode == PARALLEL || (open && first && self.holder(stage).is_none());
            (run.status == "InProgress" && free).then_some((n, index))
        };
        let Some((n, index)) = (0..self.runs.len()).find_map(may) else { return false };
        let Stage { name: stage, actions, .. } = self.stage(&self.runs[n], index);
        let (stage, jobs) = (*stage, vec![None; actions.len()]);
        let run = &mut self.runs[n];
        run.at = At::In(index);
        let conditions = [None, None, None];
        run.visits.push(Visit { stage, status: "InProgress", jobs, conditions, retries: [0, 0] });
        if run.mode != PARALLEL {
            self.latest.insert(stage, n);
        }
        true
    }

    fn supersede(&mut self) -> bool {
        let stages: BTreeSet<usize> = self.plans.iter().flatten().map(|stage| stage.name).collect();
        let yields = |n: &usize| {
            let run = &self.runs[*n];
            run.mode == SUPERSEDED && run.rollback.is_none() && run.status == "InProgress"
        };
        let older = stages.into_iter().find_map(|stage| {
            let line = self.line(stage);
            let (newest, before) = line.split_last()?;
            before.iter().copied().find(yields).map(|n| (n, *newest))
        });
        let Some((n, newest)) = older else { return false };
        self.runs[n].status = "Superseded";
        self.runs[n].superseded = Some(newest);
        true
    }
}
