//! Cases through [`check`].
mod agree;
mod diagram;
mod model;
mod random;
mod rules;
mod schedules;
mod seen;

use super::*;
use crate::error::Error;

const MINUTE: Millis = 60_000;

/// A pipeline in a test: the state, the log, and a clock that only it moves.
#[derive(Clone, Default)]
struct Bench {
    state: State,
    log: Vec<Event>,
    now: Millis,
    names: u32,
}

impl Bench {
    /// `A B | C, D@2 | E!`: stages by bars, actions by blanks, `@n` for the order, `!` for an approval.
    fn new(mode: Mode, stages: &str) -> Self {
        let mut bench = Self::default();
        bench.define(mode, stages);
        bench
    }

    fn define(&mut self, mode: Mode, stages: &str) {
        let version = self.state.version + 1;
        self.put(update::define(version, mode, plan(stages)));
    }

    /// Folds an event and what follows from it in, as one batch; then stops, and starts again from what is stored.
    fn put(&mut self, kind: Kind) {
        let event = Event { at: self.now, cause: None, kind };
        self.state.apply(&event);
        self.log.push(event);
        self.settle();
    }

    fn settle(&mut self) {
        for event in decide(&self.state, self.now) {
            self.state.apply(&event);
            self.log.push(event);
        }
        let stored = serde_json::to_string(&self.state).unwrap();
        self.state = serde_json::from_str(&stored).unwrap();
        assert_eq!(decide(&self.state, self.now), [], "a decision left something to decide");
    }

    fn start(&mut self) -> Result<String, Error> {
        self.names += 1;
        let id = format!("x{}", self.names);
        let kind = starting::request(&self.state, Start { id: id.clone(), ..Start::default() })?;
        self.put(kind);
        Ok(id)
    }

    /// The id of the running action of this name.
    fn id(&self, action: &str) -> String {
        let found = self.state.running().find(|(_, _, a, _)| a.name == action);
        found.unwrap_or_else(|| panic!("{action} does not run:\n{}", self.show())).3.id.clone()
    }

    fn ok(&mut self, action: &str) {
        let id = self.id(action);
        self.put(Kind::ActionSucceeded { id, output: Output::default(), by: None });
    }

    fn fail(&mut self, action: &str) {
        let id = self.id(action);
        let failure = Failure { code: "JobFailed".into(), message: "no".into() };
        self.put(Kind::ActionFailed { id, failure, progress: Progress::default(), by: None });
    }

    /// Ends the running rule of this name: met, or not for this reason.
    fn rule(&mut self, name: &str, end: Result<(), &str>) {
        let found = self.state.running_rules().find(|(.., rule, _)| rule.name == name);
        let id = found.unwrap_or_else(|| panic!("{name} does not run:\n{}", self.show())).4.id.clone();
        self.put(match end {
            Ok(()) => Kind::ActionSucceeded { id, output: Output::default(), by: None },
            Err(code) => {
                let failure = Failure { code: code.into(), message: "no".into() };
                Kind::ActionFailed { id, failure, progress: Progress::default(), by: None }
            }
        });
    }

    fn why(&self, id: &str) -> String {
        why::summary(&self.state, self.state.execution(id).unwrap()).unwrap_or_default()
    }

    /// One line an execution: its status, where it stands, and the actions of that stage.
    fn show(&self) -> String {
        let mut lines = Vec::new();
        for e in &self.state.executions {
            let stage = self.state.stage_of(e).map_or("", |s| &s.name);
            let place = match e.place {
                Place::Before(_) => format!("before {stage}"),
                Place::In(_) => format!("in {stage}"),
                Place::Done => "done".into(),
            };
            let visit = e.visits.last().filter(|_| matches!(e.place, Place::In(_)));
            let runs = visit.into_iter().flat_map(|v| &v.actions);
            let mut runs: Vec<String> =
                runs.map(|(name, run)| format!("{name}:{}", run.status.name())).collect();
            let conditions = visit.into_iter().flat_map(|visit| &visit.conditions);
            runs.extend(conditions.map(|(moment, c)| format!("{}={}", moment.name(), c.status.name())));
            lines.push(
                format!("{} {} {place} {}", e.id, e.status.name(), runs.join(" ")).trim_end().to_owned(),
            );
        }
        lines.join("\n")
    }
}

fn plan(text: &str) -> Plan {
    let action = |word: &str| {
        let (word, work) = match word.strip_suffix('!') {
            Some(word) => (word, Work::Approval),
            None => (word, Work::Provider),
        };
        let (name, order) = word.split_once('@').unwrap_or((word, "1"));
        PlanAction { name: name.into(), order: order.parse().unwrap(), work, timeout: 60 * MINUTE }
    };
    // `in:`, `out:` and `bad:` for conditions: a result and its rules.
    let condition = |word: &str| {
        let (moment, rest) = word.split_once(':')?;
        let (result, rules) = rest.split_once('=')?;
        let moment = match moment {
            "in" => Moment::BeforeEntry,
            "out" => Moment::OnSuccess,
            _ => Moment::OnFailure,
        };
        let result = match result {
            "SKIP" => Consequence::Skip,
            "ROLLBACK" => Consequence::Rollback,
            _ => Consequence::Fail,
        };
        let rule = |name: &str| PlanRule { name: name.into(), timeout: 60 * MINUTE };
        Some((moment, PlanCondition { result, rules: rules.split(',').map(rule).collect() }))
    };
    let plain = |word: &&str| !matches!(*word, "retry" | "rollback") && !word.contains(':');
    let stage = |(index, text): (usize, &str)| PlanStage {
        name: format!("S{index}"),
        actions: text.split_whitespace().filter(plain).map(action).collect(),
        auto_retry: text.contains("retry").then_some(RetryMode::FailedActions),
        auto_rollback: text.split_whitespace().any(|word| word == "rollback"),
        conditions: text.split_whitespace().filter_map(condition).collect(),
    };
    Plan { stages: text.split('|').enumerate().map(stage).collect() }
}

#[track_caller]
fn check(bench: &Bench, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(bench.show(), expected.join("\n"));
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) {
    assert_eq!(result.unwrap_err().fault().code, code);
}

#[test]
fn orders_run_one_after_another_and_equal_ones_together() {
    let mut b = Bench::new(Mode::Superseded, "A | B C D@5");
    b.start().unwrap();
    b.ok("A");
    check(&b, "x1 InProgress in S1 B:InProgress C:InProgress");
    b.ok("C");
    check(&b, "x1 InProgress in S1 B:InProgress C:Succeeded");
    b.ok("B");
    check(&b, "x1 InProgress in S1 B:Succeeded C:Succeeded D:InProgress");
    b.ok("D");
    check(&b, "x1 Succeeded done");
}

#[test]
fn a_newer_execution_takes_the_waiting_ones_place() {
    let mut b = Bench::new(Mode::Superseded, "A | B");
    b.start().unwrap();
    b.start().unwrap();
    b.start().unwrap();
    check(&b, "x1 InProgress in S0 A:InProgress\nx2 Superseded before S0\nx3 InProgress before S0");
    assert_eq!(
        why::summary(&b.state, b.state.execution("x3").unwrap()).unwrap(),
        "Waiting to enter stage 'S0': held by execution x1"
    );
    b.ok("A");
    check(&b, "x1 InProgress in S1 B:InProgress\nx3 InProgress in S0 A:InProgress");
    // Failure releases the stage: the next enters, and the failed one is no longer the latest there.
    b.fail("B");
    b.ok("A");
    check(&b, "x3 InProgress in S1 B:InProgress");
    refused(
        retry::request(&b.state, "x1", "S1", RetryMode::FailedActions),
        "NotLatestPipelineExecutionException",
    );
}

#[test]
fn queued_executions_keep_their_order_and_have_a_limit() {
    let mut b = Bench::new(Mode::Queued, "A | B");
    for _ in 0..crate::limits::CONCURRENT_EXECUTIONS {
        b.start().unwrap();
    }
    refused(b.start(), "ConcurrentPipelineExecutionsLimitExceededException");
    b.ok("A");
    assert_eq!(locks::holder(&b.state, "S0").unwrap().id, "x2");
    assert_eq!(locks::waiting(&b.state, "S0").len(), crate::limits::CONCURRENT_EXECUTIONS - 2);
}

#[test]
fn parallel_executions_share_nothing_and_run_five_actions_each() {
    let mut b = Bench::new(Mode::Parallel, "A | B C D E F G");
    b.start().unwrap();
    b.start().unwrap();
    check(&b, "x1 InProgress in S0 A:InProgress\nx2 InProgress in S0 A:InProgress");
    b.ok("A");
    assert_eq!(b.state.running().count(), 5 + 1);
    b.ok("B");
    assert_eq!(b.state.running().count(), 5 + 1);
}

#[test]
fn a_disabled_transition_holds_the_latest() {
    let mut b = Bench::new(Mode::Superseded, "A | B");
    b.start().unwrap();
    let kind = transitions::close(&b.state, "S0", "Outbound", "hold".into(), "me".into()).unwrap();
    b.put(kind);
    b.ok("A");
    b.start().unwrap();
    b.ok("A");
    check(&b, "x1 Superseded before S1\nx2 InProgress before S1");
    assert_eq!(
        why::summary(&b.state, b.state.execution("x2").unwrap()).unwrap(),
        "Waiting to enter stage 'S1': the transition was disabled by me: hold"
    );
    let kind = transitions::open(&b.state, "S1", "Inbound", "me".into()).unwrap();
    b.put(kind);
    check(&b, "x2 InProgress in S1 B:InProgress");
    refused(transitions::open(&b.state, "S9", "Inbound", "me".into()), "StageNotFoundException");
    refused(transitions::open(&b.state, "S1", "Outbound", "me".into()), "ValidationException");
}

#[test]
fn stopping_waits_or_abandons() {
    let mut b = Bench::new(Mode::Superseded, "A B | C");
    b.start().unwrap();
    b.put(stop::request(&b.state, "x1", false, Some("enough".into())).unwrap());
    b.ok("A");
    check(&b, "x1 Stopping in S0 A:Succeeded B:InProgress");
    refused(stop::request(&b.state, "x1", false, None), "DuplicatedStopRequestException");
    b.put(stop::request(&b.state, "x1", true, None).unwrap());
    check(&b, "x1 Stopped in S0 A:Succeeded B:Abandoned");
    refused(stop::request(&b.state, "x1", true, None), "PipelineExecutionNotStoppableException");
    // A stopped stage is retryable; what succeeded is kept.
    b.put(retry::request(&b.state, "x1", "S0", RetryMode::FailedActions).unwrap());
    check(&b, "x1 InProgress in S0 A:Succeeded B:InProgress");
}

#[test]
fn a_stopped_inbound_execution_leaves_without_a_trace() {
    let mut b = Bench::new(Mode::Superseded, "A | B");
    b.start().unwrap();
    b.start().unwrap();
    b.put(stop::request(&b.state, "x2", false, None).unwrap());
    check(&b, "x1 InProgress in S0 A:InProgress\nx2 Stopped before S0");
    refused(
        retry::request(&b.state, "x2", "S0", RetryMode::AllActions),
        "NotLatestPipelineExecutionException",
    );
}

#[test]
fn a_failed_stage_runs_again_in_part_or_whole() {
    let mut b = Bench::new(Mode::Superseded, "A | B C D@2");
    b.start().unwrap();
    b.ok("A");
    b.fail("B");
    check(&b, "x1 Failed in S1 B:Failed C:InProgress");
    // The stage is held while its other actions run: a newer execution waits.
    b.start().unwrap();
    b.ok("A");
    check(&b, "x1 Failed in S1 B:Failed C:InProgress\nx2 InProgress before S1");
    refused(retry::request(&b.state, "x1", "S1", RetryMode::AllActions), "StageNotRetryableException");
    refused(
        retry::request(&b.state, "x1", "S0", RetryMode::AllActions),
        "NotLatestPipelineExecutionException",
    );
    let (first, running) = (b.state.run(&b.id("C")).unwrap().0.retries, b.id("C"));
    b.put(retry::request(&b.state, "x1", "S1", RetryMode::FailedActions).unwrap());
    assert_eq!((first, b.id("C")), (0, running));
    b.ok("B");
    b.ok("C");
    b.fail("D");
    // Its last action failed: the waiting one enters, and nothing shows the failed one any more.
    check(&b, "x2 InProgress in S1 B:InProgress C:InProgress");
}

#[test]
fn all_actions_means_all() {
    let mut b = Bench::new(Mode::Superseded, "A | B C@2");
    b.start().unwrap();
    b.ok("A");
    let before = b.id("B");
    b.ok("B");
    b.fail("C");
    b.put(retry::request(&b.state, "x1", "S1", RetryMode::AllActions).unwrap());
    check(&b, "x1 InProgress in S1 B:InProgress");
    assert_ne!(b.id("B"), before, "another run has another id");
}

#[test]
fn a_stage_may_retry_itself_once() {
    let mut b = Bench::new(Mode::Superseded, "A | B retry");
    b.start().unwrap();
    b.ok("A");
    b.fail("B");
    check(&b, "x1 InProgress in S1 B:InProgress");
    b.fail("B");
    check(&b, "x1 Failed in S1 B:Failed");
}

#[test]
fn an_update_cancels_what_runs_and_forbids_retries() {
    let mut b = Bench::new(Mode::Superseded, "A | B");
    b.start().unwrap();
    b.start().unwrap();
    b.define(Mode::Superseded, "A | C");
    check(&b, "x1 InProgress in S0 A:InProgress\nx2 Cancelled before S0");
    b.ok("A");
    check(&b, "x1 Cancelled in S0 A:Succeeded");
    b.start().unwrap();
    b.ok("A");
    b.fail("C");
    b.define(Mode::Superseded, "A | C");
    refused(retry::request(&b.state, "x3", "S1", RetryMode::AllActions), "StageNotRetryableException");

    let mut b = Bench::new(Mode::Parallel, "A | B");
    b.start().unwrap();
    b.define(Mode::Superseded, "A | C");
    b.ok("A");
    check(&b, "x1 InProgress in S1 B:InProgress");
}

#[test]
fn an_approval_is_decided_once_by_its_own_token() {
    let mut b = Bench::new(Mode::Superseded, "A | B! | C");
    b.start().unwrap();
    b.ok("A");
    assert_eq!(b.state.outstanding().count(), 0, "no provider runs an approval");
    let verdict = |token: &str, action: &str, approved| Verdict {
        stage: "S1".into(),
        action: action.into(),
        token: token.into(),
        approved,
        summary: "so be it".into(),
        by: "me".into(),
    };
    let token = b.id("B");
    refused(approvals::request(&b.state, verdict("other", "B", true)), "InvalidApprovalTokenException");
    refused(approvals::request(&b.state, verdict(&token, "C", true)), "ActionNotFoundException");
    b.put(approvals::request(&b.state, verdict(&token, "B", false)).unwrap());
    check(&b, "x1 Failed in S1 B:Failed");
    refused(approvals::request(&b.state, verdict(&token, "B", true)), "ApprovalAlreadyCompletedException");
    b.put(retry::request(&b.state, "x1", "S1", RetryMode::FailedActions).unwrap());
    refused(approvals::request(&b.state, verdict(&token, "B", true)), "InvalidApprovalTokenException");
    b.put(approvals::request(&b.state, verdict(&b.id("B"), "B", true)).unwrap());
    check(&b, "x1 InProgress in S2 C:InProgress");
}

#[test]
fn what_takes_too_long_fails() {
    let mut b = Bench::new(Mode::Superseded, "A | B!");
    b.start().unwrap();
    b.ok("A");
    assert_eq!(b.state.deadline(), Some(60 * MINUTE));
    b.now = 60 * MINUTE - 1;
    b.settle();
    check(&b, "x1 InProgress in S1 B:InProgress");
    b.now += 1;
    b.settle();
    check(&b, "x1 Failed in S1 B:Failed");
    assert_eq!(b.state.deadline(), None);
}

#[test]
fn an_action_is_shown_as_it_last_was_until_it_runs_again() {
    let mut b = Bench::new(Mode::Superseded, "A | B C@2");
    let shown = |b: &Bench, action: &str| b.state.last_run("S1", action).map(|run| run.status.name());
    b.start().unwrap();
    b.ok("A");
    assert_eq!(shown(&b, "C"), None);
    b.ok("B");
    b.fail("C");
    b.put(retry::request(&b.state, "x1", "S1", RetryMode::AllActions).unwrap());
    assert_eq!((shown(&b, "B"), shown(&b, "C")), (Some("InProgress"), Some("Failed")));
    b.fail("B");
    b.start().unwrap();
    b.ok("A");
    assert_eq!((shown(&b, "B"), shown(&b, "C")), (Some("InProgress"), Some("Failed")));
    b.define(Mode::Superseded, "A | B");
    assert_eq!((shown(&b, "B"), shown(&b, "C")), (Some("InProgress"), None));
}
