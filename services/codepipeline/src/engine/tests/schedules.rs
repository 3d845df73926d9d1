//! Random schedules, with a restart after every event, against rules that are read off the event log alone.
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A step of a random schedule; indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Start,
    Finish(usize, bool),
    Decide(usize, bool),
    Stop(usize, bool),
    Retry(usize, bool),
    Gate(usize, bool),
    Update(usize, usize),
    Wait(u8),
}

const SHAPES: [&str; 5] = [
    "A | B",
    "A A2 | B C D@2 | E",
    "A | B! C@2 | D retry",
    "A | B C | D! E@2 | F G@3 H@3",
    "A | B C D E F G H",
];
const MODES: [Mode; 3] = [Mode::Superseded, Mode::Queued, Mode::Parallel];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Start),
        12 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(i, ok)| Step::Finish(i, ok)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(i, ok)| Step::Decide(i, ok)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(i, abandon)| Step::Stop(i, abandon)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(i, all)| Step::Retry(i, all)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(i, open)| Step::Gate(i, open)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(m, s)| Step::Update(m, s)),
        1 => any::<u8>().prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

impl Bench {
    fn pick(&self, index: usize, work: Work) -> Option<String> {
        let ids: Vec<String> =
            self.state.running().filter(|r| r.2.work == work).map(|r| r.3.id.clone()).collect();
        (!ids.is_empty()).then(|| ids[index % ids.len()].clone())
    }

    fn finish(&mut self, id: String, ok: bool) {
        self.put(match ok {
            true => Kind::ActionSucceeded { id, output: Output::default(), by: None },
            false => Kind::ActionFailed {
                id,
                failure: Failure { code: "JobFailed".into(), message: "no".into() },
                progress: Progress::default(),
                by: None,
            },
        });
    }

    /// Does a step if the engine takes it; a refusal must change nothing, which it cannot: it has no access.
    fn step(&mut self, step: &Step) {
        let execution = |i: usize| {
            let all = &self.state.executions;
            (!all.is_empty()).then(|| all[i % all.len()].id.clone())
        };
        let stage = |i: usize| {
            let stages = &self.state.plan().unwrap().stages;
            stages[i % stages.len()].name.clone()
        };
        let asked = match *step {
            Step::Start => return drop(self.start()),
            Step::Finish(i, ok) | Step::Decide(i, ok) => {
                let work = if matches!(step, Step::Finish(..)) { Work::Provider } else { Work::Approval };
                if let Some(id) = self.pick(i, work) {
                    self.finish(id, ok);
                }
                return;
            }
            Step::Stop(i, abandon) => execution(i).map(|id| stop::request(&self.state, &id, abandon, None)),
            Step::Retry(i, all) => execution(i).and_then(|id| {
                let mode = if all { RetryMode::AllActions } else { RetryMode::FailedActions };
                let at = self.state.execution(&id)?.visits.last()?.stage.clone();
                Some(retry::request(&self.state, &id, &at, mode))
            }),
            Step::Gate(i, true) => Some(transitions::open(&self.state, &stage(i), "Inbound", "me".into())),
            Step::Gate(i, false) => {
                Some(transitions::close(&self.state, &stage(i), "Inbound", "no".into(), "me".into()))
            }
            Step::Update(m, s) => {
                self.define(MODES[m % MODES.len()], SHAPES[s % SHAPES.len()]);
                return;
            }
            Step::Wait(minutes) => {
                self.now += Millis::from(minutes) * MINUTE;
                return self.settle();
            }
        };
        if let Some(Ok(kind)) = asked {
            self.put(kind);
        }
    }

    /// Opens everything and lets every action succeed, until nothing moves.
    fn drain(&mut self) {
        let stages: Vec<String> = self.state.plan().unwrap().stages.iter().map(|s| s.name.clone()).collect();
        for stage in stages {
            let kind = transitions::open(&self.state, &stage, "Inbound", "me".into()).unwrap();
            self.put(kind);
        }
        let running = |b: &Self| b.state.running().next().map(|r| r.3.id.clone());
        while let Some(id) = running(self) {
            self.finish(id, true);
        }
    }
}

/// The rules, read off the log alone.
fn audit(log: &[Event]) -> BTreeMap<String, Option<Status>> {
    let mut ended: BTreeMap<String, Option<Status>> = BTreeMap::new();
    let mut modes: BTreeMap<&str, Mode> = BTreeMap::new();
    let mut mode = Mode::default();
    let mut inside: BTreeMap<&str, &str> = BTreeMap::new();
    let mut runs: BTreeSet<&str> = BTreeSet::new();
    let mut running: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for event in log {
        match &event.kind {
            Kind::Defined { mode: new, .. } => mode = *new,
            Kind::Started { execution, .. } => {
                modes.insert(execution, mode);
                assert!(ended.insert(execution.clone(), None).is_none(), "{execution} started twice");
            }
            Kind::Entered { execution, stage } | Kind::Retried { execution, stage, .. } => {
                inside.insert(execution, stage);
                *ended.get_mut(execution).unwrap() = None;
            }
            Kind::ActionStarted { execution, stage, id, .. } => {
                assert!(runs.insert(id), "a run started twice: {event:?}");
                assert_eq!(
                    inside.get(execution.as_str()),
                    Some(&stage.as_str()),
                    "not in the stage: {event:?}"
                );
                assert_eq!(ended[execution], None, "runs on after its end: {event:?}");
                // The lock: nobody else's action runs in this stage.
                let other = running.values().find(|(e, s)| s == stage && e != execution);
                let shared = modes[execution.as_str()] == Mode::Parallel;
                let locked = other.filter(|(e, _)| !shared && modes[e] != Mode::Parallel);
                assert_eq!(locked, None, "two executions in a stage: {event:?}");
                running.insert(id, (execution, stage));
            }
            Kind::ActionSucceeded { id, .. }
            | Kind::ActionFailed { id, .. }
            | Kind::ActionAbandoned { id } => {
                assert!(running.remove(id.as_str()).is_some(), "{id} ended twice, or before it began");
            }
            Kind::StageEnded { execution, stage, status } => {
                let mine = running.values().any(|(e, s)| e == execution && s == stage);
                assert!(
                    !mine || *status == StageStatus::Failed,
                    "a stage ended under its actions: {event:?}"
                );
            }
            Kind::Superseded { execution, by } => {
                assert_eq!(modes[execution.as_str()], Mode::Superseded);
                assert!(!running.values().any(|(e, _)| e == execution), "superseded inside a stage");
                assert!(ended.contains_key(by));
                *ended.get_mut(execution).unwrap() = Some(Status::Superseded);
            }
            Kind::Ended { execution, status } => {
                let end = ended.get_mut(execution).unwrap();
                assert_eq!(*end, None, "{execution} ended twice");
                *end = Some(*status);
            }
            _ => {}
        }
    }
    ended
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Locks hold, no action runs twice, nothing is lost, whatever happens and with a restart after every event.
    #[test]
    fn random_schedules(mode in 0..MODES.len(), shape in 0..SHAPES.len(), steps in steps()) {
        let mut b = Bench::new(MODES[mode], SHAPES[shape]);
        for step in &steps {
            b.step(step);
            for e in b.state.executions.iter().filter(|e| e.active()) {
                assert_ne!(why(&b.state, e), [], "no reason why it waits: {e:?}");
            }
        }
        let mut replayed = State::default();
        b.log.iter().for_each(|event| replayed.apply(event));
        assert_eq!(replayed, b.state, "the log says something else than the state");
        audit(&b.log);
        b.drain();
        for (execution, end) in audit(&b.log) {
            assert!(end.is_some(), "{execution} is lost:\n{}", b.show());
        }
    }
}
