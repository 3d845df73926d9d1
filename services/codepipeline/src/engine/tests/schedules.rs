//! Random pipelines under random schedules against the model of [`super::model`].
//!
//! In one schedule of a hundred the process dies after every event, also between those of one commit, and in every other
//! after events at random, one in 24. The next goes on with what is read from what is stored, and at the end of a commit
//! finds nothing to decide that the commit did not have.
//!
//! A schedule follows from its number alone. One that fails says it: `SCHEDULE=number cargo test -p codepipeline
//! schedules` runs that one and shows what happens in it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::agree::{Rows, agree, audit};
use super::model::{self, Model};
use super::random::{ACTIONS, Dice, MOMENTS, RULES, STAGES, mode_of, plan, stages};
use super::seen::{Seen, Standing, name, place, standings};
use super::*;

/// How many are run.
const SCHEDULES: u64 = 100_000;
/// Of so many, one is looked at closely: what each event has changed.
const LOOKED_AT: u64 = 10;
/// Of so many schedules, in one the process dies after every event.
const MORTAL: u64 = 100;
/// Of so many events, it dies after one in the others.
const DEATHS: usize = 24;
/// Of so many, one has about as many executions as a pipeline may have.
const CROWDED: u64 = 1000;
/// Percent in which an execution has been through before, which stages can be rolled back to.
const USED: usize = 25;
const THREADS: u64 = 2;

#[derive(Default)]
struct Rig {
    state: State,
    model: Model,
    log: Vec<Event>,
    now: Millis,
    rows: Rows,
    /// It notes what each event has changed.
    looks: bool,
    before: Vec<Standing>,
    seen: Seen,
    /// When the process dies; another die, so that the schedule is the same without.
    fate: Dice,
    /// It dies after every event.
    mortal: bool,
    /// The kinds of events that it died after.
    deaths: BTreeSet<&'static str>,
    show: bool,
}

impl Rig {
    fn put(&mut self, kind: Kind) {
        self.fold(Event { at: self.now, cause: None, kind });
        self.settle();
    }

    /// What follows.
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
        if self.dies() {
            self.restart();
            assert_eq!(decide(&self.state, self.now), [], "a restart finds something to decide");
        }
    }

    fn dies(&mut self) -> bool {
        self.mortal || self.fate.roll(DEATHS) == 0
    }

    /// The process dies, and another reads what is stored.
    fn restart(&mut self) {
        let stored = serde_json::to_vec(&self.state).unwrap();
        self.state = serde_json::from_slice(&stored).unwrap();
    }

    fn fold(&mut self, event: Event) {
        if self.show {
            eprintln!("    {:?}", event.kind);
        }
        self.state.apply(&event);
        if self.dies() {
            self.deaths.insert(name(&event.kind));
            self.restart();
        }
        if self.looks {
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
            assert!(agree(&self.rows, row, run), "execution {number} is\n{row:#?}\nand not\n{run:#?}");
            let known = || self.state.executions.iter().any(|e| e.number == number);
            assert!(!(run.active() || run.busy()) || known(), "execution {number} is lost");
        }
        assert_eq!(self.rows.len(), self.model.runs.len(), "the engine started more");
        for (stage, name) in STAGES.iter().enumerate() {
            let shown = self.state.shown(name).map(|(execution, _)| execution.number);
            let latest = self.model.latest.get(&stage).map(|run| *run as u64 + 1);
            assert_eq!(shown, latest, "the last execution in {name}");
        }
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
        let index = dice.roll(self.model.plan().len());
        let stage = self.model.plan()[index].name;
        let name = STAGES[stage];
        let last = chosen.as_ref().and_then(|(number, _)| self.rows[number].visits.last());
        let there = last.map(|visit| visit.stage.clone());
        let chosen = chosen.map(|(number, id)| (number as usize - 1, id));
        match (dice.roll(40), chosen) {
            (0..=4, _) => self.start(),
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
                let (from, side) = self.way_in(dice, index);
                let kind = transitions::close(&self.state, from, side, "no".into(), "me".into());
                self.ask(kind, true);
            }
            (15, _) => {
                let (from, side) = self.way_in(dice, index);
                self.open(stage, from, side);
            }
            (16, _) if dice.chance(50) => {
                let mode = dice.roll(3) as u8;
                self.define(mode, stages(dice, mode, self.model.plan()));
            }
            (17, _) => self.wait(dice),
            (18, _) => self.late(dice),
            _ => {
                self.work(dice, 75);
            }
        }
    }

    fn start(&mut self) {
        let id = format!("x{}", self.log.len());
        let variables = [("id".to_owned(), id.clone())].into();
        let kind = starting::request(&self.state, Start { id, variables, ..Start::default() });
        let allowed = self.model.start();
        self.ask(kind, allowed);
    }

    /// About as many as may run at a time; they may find themselves in a pipeline of another mode.
    fn crowd(&mut self, dice: &mut Dice) {
        for _ in 0..limits::CONCURRENT_EXECUTIONS - 2 + dice.roll(4) {
            self.start();
            self.model.settle();
        }
        if dice.chance(75) {
            let mode = dice.roll(3) as u8;
            self.define(mode, stages(dice, mode, self.model.plan()));
            self.model.settle();
            self.start();
            self.model.settle();
        }
    }

    fn define(&mut self, mode: u8, stages: Vec<model::Stage>) {
        let (version, of) = (self.state.version + 1, [Mode::Superseded, Mode::Queued, Mode::Parallel]);
        let kind = update::define(version, of[usize::from(mode)], plan(&stages));
        self.model.update(mode, stages);
        self.put(kind);
    }

    /// The way into a stage of the plan, by either of its names.
    fn way_in(&self, dice: &mut Dice, index: usize) -> (&'static str, &'static str) {
        let name = |index: usize| STAGES[self.model.plan()[index].name];
        if index > 0 && dice.chance(50) { (name(index - 1), "Outbound") } else { (name(index), "Inbound") }
    }

    fn open(&mut self, stage: usize, from: &str, side: &str) {
        self.model.closed.remove(&stage);
        let kind = transitions::open(&self.state, from, side, "me".into());
        self.ask(kind, true);
    }

    /// Time passes: some, or until the engine asked to be woken. Then something happens, and never before.
    fn wait(&mut self, dice: &mut Dice) {
        let deadline = self.state.deadline();
        let some = self.now + 1 + dice.roll(model::TIMEOUT as usize) as i64;
        self.now = deadline.filter(|_| dice.chance(50)).unwrap_or(some);
        self.model.now = self.now;
        let (events, due) = (self.log.len(), deadline.is_some_and(|deadline| deadline <= self.now));
        self.settle();
        assert_eq!(self.log.len() > events, due, "asked to be woken at {deadline:?}; it is {}", self.now);
    }

    /// A result comes of a run that is over, which changes nothing.
    fn late(&mut self, dice: &mut Dice) {
        let ended = |event: &Event| match &event.kind {
            Kind::ActionStarted { id, .. } | Kind::RuleStarted { id, .. } => {
                (!self.state.is_running(id)).then(|| id.clone())
            }
            _ => None,
        };
        let over: Vec<String> = self.log.iter().filter_map(ended).collect();
        let Some(id) = dice.pick(&over) else { return };
        let failure = Failure { code: UNMET.into(), message: "late".into() };
        self.put(match dice.chance(50) {
            true => Kind::ActionSucceeded { id, output: Output::default(), by: None },
            false => Kind::ActionFailed { id, failure, progress: Progress::default(), by: None },
        });
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
            true => {
                let variables = [("run".to_owned(), id.clone())].into();
                Kind::ActionSucceeded { id, output: Output { variables, ..Output::default() }, by: None }
            }
            false => Kind::ActionFailed { id, failure, progress: Progress::default(), by: None },
        });
        true
    }

    /// Opens everything and lets everything succeed, until nothing moves.
    fn drain(&mut self, dice: &mut Dice) {
        let stages: Vec<usize> = self.model.plan().iter().map(|stage| stage.name).collect();
        for stage in stages {
            self.open(stage, STAGES[stage], "Inbound");
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

/// Says which schedule failed, and that no more are needed.
struct Named<'a>(u64, &'a AtomicU64);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.store(SCHEDULES, Ordering::Relaxed);
            eprintln!("schedule {0} failed: SCHEDULE={0} shows it", self.0);
        }
    }
}

fn run(number: u64, show: bool, next: &AtomicU64) -> (Seen, BTreeSet<&'static str>) {
    let _named = Named(number, next);
    let mut dice = Dice(number.wrapping_mul(0x2545_F491_4F6C_DD1D));
    let mode = dice.roll(3) as u8;
    let (looks, fate) = (number.is_multiple_of(LOOKED_AT), Dice(number));
    let mortal = number % MORTAL == 2;
    let mut rig = Rig { show, looks, fate, mortal, ..Rig::default() };
    rig.define(mode, stages(&mut dice, mode, &[]));
    rig.model.settle();
    if number % CROWDED == 1 {
        rig.crowd(&mut dice);
    } else if dice.chance(USED) {
        rig.start();
        rig.model.settle();
        rig.drain(&mut dice);
    }
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
    (rig.seen, rig.deaths)
}

/// Runs them all; what was seen to change to what.
#[test]
fn schedules() {
    let next = AtomicU64::new(0);
    let one = std::env::var("SCHEDULE").ok().and_then(|number| number.parse().ok());
    if let Some(number) = one {
        run(number, true, &next);
        return;
    }
    let all = || {
        let (mut seen, mut deaths) = (Seen::new(), BTreeSet::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= SCHEDULES {
                return (seen, deaths);
            }
            let (more, died) = run(number, false, &next);
            seen.extend(more);
            deaths.extend(died);
        }
    };
    let (seen, deaths) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(all)).collect();
        let ends = threads.into_iter().map(|thread| thread.join().expect("every schedule"));
        ends.fold(Default::default(), |(seen, deaths): (Seen, BTreeSet<_>), (more, died)| {
            (&seen | &more, &deaths | &died)
        })
    });
    super::diagram::check(&seen);
    let kinds: BTreeSet<_> = seen.iter().map(|(.., event)| *event).collect();
    assert_eq!(kinds.difference(&deaths).collect::<Vec<_>>(), Vec::<&&str>::new(), "no death after these");
}
