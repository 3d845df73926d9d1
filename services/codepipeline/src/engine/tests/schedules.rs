//! Random pipelines under random schedules against the model of [`super::model`]; one in ten restarts after every event.
//!
//! A schedule follows from its number alone. One that fails says it: `SCHEDULE=number cargo test -p codepipeline
//! schedules` runs that one and shows what happens in it.
use std::collections::{BTreeMap, BTreeSet};

use super::model::{self, At, Model};
use super::*;

/// How many are run.
const SCHEDULES: u64 = 100_000;
/// Of so many, one restarts after every event: it costs ten times the time.
const RESTARTS: u64 = 10;
const THREADS: u64 = 2;
const STAGES: [&str; 4] = ["s0", "s1", "s2", "s3"];
const ACTIONS: [&str; 7] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6"];
const RULES: [&str; 2] = ["r0", "r1"];
const MOMENTS: [Moment; 3] = [Moment::BeforeEntry, Moment::OnSuccess, Moment::OnFailure];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % sides.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())].clone())
    }
}

fn stages(dice: &mut Dice, mode: u8) -> Vec<model::Stage> {
    let count = 2 + dice.roll(3);
    (0..count).map(|index| stage(dice, index > 0 && mode != model::PARALLEL)).collect()
}

fn stage(dice: &mut Dice, rolls: bool) -> model::Stage {
    let count = if dice.chance(3) { ACTIONS.len() } else { 1 + dice.roll(3) };
    let actions = (0..count).map(|_| (1 + dice.roll(2) as i32, dice.chance(20))).collect();
    let mut stage = model::Stage { actions, ..model::Stage::default() };
    let rules = |dice: &mut Dice| 1 + dice.roll(2);
    if dice.chance(20) {
        let result = if dice.chance(40) { "SKIP" } else { "FAIL" };
        stage.conditions[model::ENTRY] = Some((result, rules(dice)));
    }
    if dice.chance(20) {
        let result = if rolls && dice.chance(60) { "ROLLBACK" } else { "FAIL" };
        stage.conditions[model::SUCCESS] = Some((result, rules(dice)));
    }
    match dice.roll(8) {
        0 | 1 => stage.retry = Some(dice.chance(50)),
        2 | 3 if rolls => stage.rollback = true,
        4 if rolls => stage.conditions[model::FAILURE] = Some(("ROLLBACK", rules(dice))),
        _ => {}
    }
    stage
}

/// The same for the engine.
fn plan(stages: &[model::Stage]) -> Plan {
    let timeout = model::TIMEOUT;
    let stage = |(index, stage): (usize, &model::Stage)| {
        let action = |(index, (order, person)): (usize, &(i32, bool))| PlanAction {
            name: ACTIONS[index].into(),
            order: *order,
            work: if *person { Work::Approval } else { Work::Provider },
            timeout,
        };
        let condition = |which: usize| {
            let (result, rules) = stage.conditions[which]?;
            let result = match result {
                "SKIP" => Consequence::Skip,
                "ROLLBACK" => Consequence::Rollback,
                _ => Consequence::Fail,
            };
            let rules = (0..rules).map(|rule| PlanRule { name: RULES[rule].into(), timeout }).collect();
            Some((MOMENTS[which], PlanCondition { result, rules }))
        };
        PlanStage {
            name: STAGES[index].into(),
            actions: stage.actions.iter().enumerate().map(action).collect(),
            auto_retry: stage.retry.map(mode_of),
            auto_rollback: stage.rollback,
            conditions: (0..3).filter_map(condition).collect(),
        }
    };
    Plan { stages: stages.iter().enumerate().map(stage).collect() }
}

fn mode_of(all: bool) -> RetryMode {
    if all { RetryMode::AllActions } else { RetryMode::FailedActions }
}

/// Transitions that were seen: of what, from, to, by which event.
pub(super) type Seen = BTreeSet<(&'static str, &'static str, &'static str, &'static str)>;

#[derive(Default)]
struct Rig {
    state: State,
    model: Model,
    log: Vec<Event>,
    now: Millis,
    /// Executions as rows keep them, by number.
    rows: BTreeMap<u64, Execution>,
    /// It restarts after every event, and looks at what each has changed.
    restarts: bool,
    before: Vec<Standing>,
    seen: Seen,
    show: bool,
}

impl Rig {
    fn put(&mut self, kind: Kind) {
        self.fold(Event { at: self.now, cause: None, kind });
        self.settle();
    }

    /// What follows; then the process dies, and another goes on from what is stored.
    fn settle(&mut self) {
        for event in decide(&self.state, self.now) {
            self.fold(event);
        }
        for execution in &self.state.executions {
            let row = self.rows.entry(execution.number).or_insert_with(|| execution.clone());
            if row != execution {
                row.clone_from(execution);
            }
        }
        if self.restarts {
            let stored = serde_json::to_vec(&self.state).unwrap();
            self.state = serde_json::from_slice(&stored).unwrap();
        }
    }

    fn fold(&mut self, event: Event) {
        if self.show {
            eprintln!("    {:?}", event.kind);
        }
        self.state.apply(&event);
        if self.restarts {
            let now = standings(&self.state);
            for (key, to) in &now {
                let from =
                    self.before.iter().find(|(other, _)| other == key).map_or("[*]", |(_, from)| *from);
                if from != *to {
                    self.seen.insert((key.0, from, *to, name(&event.kind)));
                }
            }
            self.before = now;
        }
        // The next event may drop one that has ended.
        for execution in self.state.executions.iter().filter(|e| !e.active() && !e.busy()) {
            let row = self.rows.entry(execution.number).or_insert_with(|| execution.clone());
            if row.status != execution.status || row.busy() {
                row.clone_from(execution);
            }
        }
        self.log.push(event);
    }

    /// Compares what is known of every execution; those that have not ended must be in the engine's state.
    fn compare(&self) {
        for (index, run) in self.model.runs.iter().enumerate() {
            let number = index as u64 + 1;
            let row = self.rows.get(&number).unwrap_or_else(|| panic!("the engine never started {number}"));
            assert!(agree(row, run), "execution {number} is\n{row:#?}\nand not\n{run:#?}");
            let known = || self.state.executions.iter().any(|e| e.number == number);
            assert!(!(run.active() || run.busy()) || known(), "execution {number} is lost");
        }
        assert_eq!(self.rows.len(), self.model.runs.len(), "the engine started more");
        for e in self.state.executions.iter().filter(|e| e.active()) {
            assert_ne!(why(&self.state, e), [], "no reason why it waits: {e:?}");
        }
    }

    /// What both are asked for; they must agree whether it may be.
    fn ask(&mut self, kind: Result<Kind, Error>, allowed: bool) {
        match kind {
            Ok(kind) => {
                assert!(allowed, "the engine allows {kind:?}");
                self.put(kind);
            }
            Err(error) => assert!(!allowed, "the engine refuses: {error}"),
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        let executions: Vec<(u64, String)> =
            self.rows.values().map(|row| (row.number, row.id.clone())).collect();
        // The younger are the more interesting.
        let recent = executions.len().saturating_sub(4);
        let chosen = dice.pick(&executions[recent..]);
        let stage = dice.roll(self.model.plan().len());
        let name = STAGES[stage];
        let last = chosen.as_ref().and_then(|(number, _)| self.rows[number].visits.last());
        let there = last.map(|visit| visit.stage.clone());
        let chosen = chosen.map(|(number, id)| (number as usize - 1, id));
        match (dice.roll(40), chosen) {
            (0..=4, _) => {
                let id = format!("x{}", self.log.len());
                let kind = starting::request(&self.state, Start { id, ..Start::default() });
                let allowed = self.model.start();
                self.ask(kind, allowed);
            }
            (5, Some((run, id))) => {
                let abandon = dice.chance(50);
                let kind = stop::request(&self.state, &id, abandon, None);
                let allowed = self.model.stop(run, abandon);
                self.ask(kind, allowed);
            }
            (6..=8, Some((run, id))) => {
                let all = dice.chance(50);
                let Some(there) = there else { return };
                let kind = retry::request(&self.state, &id, &there, mode_of(all));
                let allowed = self.model.retry(run, all);
                self.ask(kind, allowed);
            }
            (9..=11, Some((run, id))) => {
                let Some(there) = there else { return };
                let which = dice.roll(2);
                let kind = conditions::request(&self.state, &id, &there, MOMENTS[which], "me".into());
                let allowed = self.model.pass(run, which);
                self.ask(kind, allowed);
            }
            (12..=13, Some((run, _))) => {
                let (id, target) = (format!("x{}", self.log.len()), &self.rows[&(run as u64 + 1)]);
                let kind = rollback::request(&self.state, name, target, id, Trigger::default());
                let allowed = self.model.roll_back(stage, run);
                self.ask(kind, allowed);
            }
            (14, _) => {
                self.model.closed.insert(stage);
                let kind = transitions::close(&self.state, name, "Inbound", "no".into(), "me".into());
                self.ask(kind, true);
            }
            (15, _) => self.open(stage),
            (16, _) if dice.chance(50) => {
                let mode = dice.roll(3) as u8;
                self.define(mode, stages(dice, mode));
            }
            (17, _) => self.wait(1 + dice.roll(model::TIMEOUT as usize) as i64),
            _ => {
                self.work(dice, 75);
            }
        }
    }

    fn define(&mut self, mode: u8, stages: Vec<model::Stage>) {
        let (version, of) = (self.state.version + 1, [Mode::Superseded, Mode::Queued, Mode::Parallel]);
        let kind = update::define(version, of[usize::from(mode)], plan(&stages));
        self.model.update(mode, stages);
        self.put(kind);
    }

    fn open(&mut self, stage: usize) {
        self.model.closed.remove(&stage);
        let kind = transitions::open(&self.state, STAGES[stage], "Inbound", "me".into());
        self.ask(kind, true);
    }

    fn wait(&mut self, time: i64) {
        self.now += time;
        self.model.now = self.now;
        self.settle();
    }

    /// Something that runs comes to an end; whether anything runs.
    fn work(&mut self, dice: &mut Dice, luck: usize) -> bool {
        let actions = self
            .state
            .running()
            .map(|(e, v, a, run)| (e.number, v.stage.clone(), None, a.name.clone(), run.id.clone()));
        let rules = self.state.running_rules().map(|(e, v, moment, rule, run)| {
            (e.number, v.stage.clone(), Some(moment), rule.name.clone(), run.id.clone())
        });
        let all: Vec<_> = actions.chain(rules).collect();
        let Some((number, stage, moment, name, id)) = dice.pick(&all) else { return false };
        if moment.is_some() && luck < 100 && dice.chance(10) {
            self.put(Kind::Rested { id, until: self.now + 5, progress: Progress::default() });
            return true;
        }
        let (good, error) = (dice.chance(luck), moment.is_some() && dice.chance(40));
        let run = &mut self.model.runs[number as usize - 1];
        let visit = run.visits.last_mut().filter(|visit| STAGES[visit.stage] == stage).unwrap();
        let job = match moment {
            None => visit.jobs[place(&ACTIONS, &name)].as_mut().unwrap(),
            Some(moment) => {
                let condition = visit.conditions[place(&MOMENTS, &moment)].as_mut().unwrap();
                &mut condition.rules[place(&RULES, &name)]
            }
        };
        assert_eq!(job.status, "InProgress", "the engine runs {name} of {stage} for {number}");
        job.status = if good { "Succeeded" } else { "Failed" };
        job.error = error;
        let code = if error { "ConfigurationError" } else { UNMET };
        let failure = Failure { code: code.into(), message: "no".into() };
        self.put(match good {
            true => Kind::ActionSucceeded { id, output: Output::default(), by: None },
            false => Kind::ActionFailed { id, failure, progress: Progress::default(), by: None },
        });
        true
    }

    /// Opens everything and lets everything succeed, until nothing moves.
    fn drain(&mut self, dice: &mut Dice) {
        for stage in 0..self.model.plan().len() {
            self.open(stage);
            self.model.settle();
        }
        while self.work(dice, 100) {
            self.model.settle();
        }
        self.compare();
        let open: Vec<_> = self.rows.values().filter(|e| e.active() || e.busy()).collect();
        assert!(open.is_empty(), "never end: {open:#?}");
    }
}

/// A status, and whose: by level, execution, stage, condition and place there.
type Standing = ((&'static str, u64, usize, usize, usize), &'static str);

/// The status of everything.
fn standings(state: &State) -> Vec<Standing> {
    let mut all = Vec::new();
    for e in &state.executions {
        all.push((("Executions", e.number, 0, 0, 0), e.status.name()));
        for visit in &e.visits {
            let stage = place(&STAGES, &visit.stage);
            all.push((("Stages", e.number, stage, 0, 0), visit.status.name()));
            for (name, run) in &visit.actions {
                let key = ("Actions and rules", e.number, stage, 0, place(&ACTIONS, name));
                all.push((key, run.status.name()));
            }
            for (moment, condition) in &visit.conditions {
                let which = 1 + place(&MOMENTS, moment);
                all.push((("Conditions", e.number, stage, which, 0), condition.status.name()));
                for (name, run) in &condition.rules {
                    let key = ("Actions and rules", e.number, stage, which, place(&RULES, name));
                    all.push((key, run.status.name()));
                }
            }
        }
    }
    all
}

fn place<T: PartialEq<U>, U: ?Sized>(all: &[T], one: &U) -> usize {
    all.iter().position(|other| other == one).expect("a name that the schedule gave")
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Defined { .. } => "Defined",
        Kind::Started { .. } => "Started",
        Kind::RolledBack { .. } => "RolledBack",
        Kind::Superseded { .. } => "Superseded",
        Kind::Entered { .. } => "Entered",
        Kind::ActionStarted { .. } => "ActionStarted",
        Kind::RuleStarted { .. } => "RuleStarted",
        Kind::Rested { .. } => "Rested",
        Kind::Woken { .. } => "Woken",
        Kind::ConditionEnded { .. } => "ConditionEnded",
        Kind::ConditionOverridden { .. } => "ConditionOverridden",
        Kind::ActionProgressed { .. } => "ActionProgressed",
        Kind::ActionSucceeded { .. } => "ActionSucceeded",
        Kind::ActionFailed { .. } => "ActionFailed",
        Kind::ActionAbandoned { .. } => "ActionAbandoned",
        Kind::StageEnded { .. } => "StageEnded",
        Kind::Ended { .. } => "Ended",
        Kind::StopRequested { .. } => "StopRequested",
        Kind::Retried { .. } => "Retried",
        Kind::TransitionDisabled { .. } => "TransitionDisabled",
        Kind::TransitionEnabled { .. } => "TransitionEnabled",
    }
}

/// Whether the two say the same of an execution, and of the last stage that it was in.
fn agree(row: &Execution, run: &model::Run) -> bool {
    let at = match run.at {
        At::Before(stage) => Place::Before(stage),
        At::In(stage) => Place::In(stage),
        At::Done => Place::Done,
    };
    let (visit, seen) = match (row.visits.last(), run.visits.last()) {
        (None, None) => return row.status.name() == run.status && row.place == at,
        (Some(visit), Some(seen)) => (visit, seen),
        _ => return false,
    };
    let job = |(index, job): (usize, &Option<model::Job>)| {
        let mine = visit.actions.get(ACTIONS[index]).map(|run| run.status.name());
        mine == job.as_ref().map(|job| job.status)
    };
    let condition = |which: usize| match (visit.conditions.get(&MOMENTS[which]), &seen.conditions[which]) {
        (None, None) => true,
        (Some(mine), Some(theirs)) => {
            let mut rules = theirs.rules.iter().enumerate();
            mine.status.name() == theirs.status
                && mine.rules.len() == theirs.rules.len()
                && rules.all(|(index, rule)| mine.rules[RULES[index]].status.name() == rule.status)
        }
        _ => false,
    };
    row.status.name() == run.status
        && row.place == at
        && row.rollback.is_some() == run.rollback
        && row.visits.len() == run.visits.len()
        && visit.stage == STAGES[seen.stage]
        && visit.status.name() == seen.status
        && seen.jobs.iter().enumerate().all(job)
        && (0..3).all(condition)
}

/// The rules that can be read off the log alone.
fn audit(log: &[Event]) {
    let mut runs: BTreeSet<&str> = BTreeSet::new();
    let mut running: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut parallel: BTreeSet<&str> = BTreeSet::new();
    let mut modes: BTreeMap<&str, Mode> = BTreeMap::new();
    let mut mode = Mode::default();
    for event in log {
        match &event.kind {
            Kind::Defined { mode: new, .. } => mode = *new,
            Kind::Started { execution, .. } | Kind::RolledBack { execution, .. } => {
                assert!(modes.insert(execution, mode).is_none(), "{execution} started twice");
                if mode == Mode::Parallel {
                    parallel.insert(execution);
                }
            }
            Kind::ActionStarted { execution, stage, id, .. } => {
                assert!(runs.insert(id), "a run started twice: {event:?}");
                let others = running.values().filter(|(e, s)| s == stage && e != execution);
                let locked = others.filter(|(e, _)| !parallel.contains(e)).count();
                let shared = parallel.contains(execution.as_str());
                assert!(shared || locked == 0, "two executions in a stage: {event:?}");
                running.insert(id, (execution, stage));
            }
            Kind::RuleStarted { id, .. } => assert!(runs.insert(id), "a rule started twice: {event:?}"),
            Kind::ActionSucceeded { id, .. }
            | Kind::ActionFailed { id, .. }
            | Kind::ActionAbandoned { id } => {
                assert!(runs.contains(id.as_str()), "{id} ended before it began");
                running.remove(id.as_str());
            }
            Kind::Superseded { execution, by } => {
                assert_eq!(modes[execution.as_str()], Mode::Superseded);
                assert!(!running.values().any(|(e, _)| e == execution), "superseded inside a stage");
                assert!(modes.contains_key(by.as_str()));
            }
            _ => {}
        }
    }
}

/// Says which schedule failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("schedule {0} failed: SCHEDULE={0} shows it", self.0);
        }
    }
}

fn run(number: u64, show: bool) -> Seen {
    let _named = Named(number);
    let mut dice = Dice(number.wrapping_mul(0x2545_F491_4F6C_DD1D));
    let mode = dice.roll(3) as u8;
    let mut rig = Rig { show, restarts: show || number.is_multiple_of(RESTARTS), ..Rig::default() };
    rig.define(mode, stages(&mut dice, mode));
    rig.model.settle();
    let steps = if dice.chance(10) { 40 } else { 12 };
    for step in 0..dice.roll(steps) {
        if show {
            eprintln!("step {step}");
        }
        rig.step(&mut dice);
        rig.model.settle();
        rig.compare();
    }
    let mut replayed = State::default();
    rig.log.iter().for_each(|event| replayed.apply(event));
    assert_eq!(replayed, rig.state, "the log says something else than the state");
    rig.drain(&mut dice);
    audit(&rig.log);
    rig.seen
}

/// Runs them all; what was seen to change to what.
#[test]
fn schedules() {
    let one = std::env::var("SCHEDULE").ok().and_then(|number| number.parse().ok());
    if let Some(number) = one {
        run(number, true);
        return;
    }
    let share = |thread: u64| (thread..SCHEDULES).step_by(THREADS as usize);
    let seen = std::thread::scope(|scope| {
        let all = |thread| {
            move || {
                share(thread).fold(Seen::new(), |mut seen, number| {
                    seen.extend(run(number, false));
                    seen
                })
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(all(thread))).collect();
        threads.into_iter().fold(Seen::new(), |seen, thread| &seen | &thread.join().expect("every schedule"))
    });
    super::diagram::check(&seen);
}
