//! Conditions and rollbacks, case by case.
use super::*;

#[test]
fn an_entry_condition_holds_the_stage_until_it_is_met() {
    let mut b = Bench::new(Mode::Superseded, "A | B in:FAIL=r,s");
    b.start().unwrap();
    b.ok("A");
    check(&b, "x1 InProgress in S1 beforeEntry=InProgress");
    let waits = "Checking rule 'r' of the beforeEntry condition of stage 'S1'; \
                 Checking rule 's' of the beforeEntry condition of stage 'S1'";
    assert_eq!(b.why("x1"), waits);
    assert_eq!(b.state.outstanding_rules().count(), 2);
    b.rule("s", Ok(()));
    b.rule("r", Ok(()));
    check(&b, "x1 InProgress in S1 B:InProgress beforeEntry=Succeeded");
    b.ok("B");
    // The next is refused by one rule: nothing runs, and the other rule is not waited for.
    b.start().unwrap();
    b.ok("A");
    b.rule("r", Err(UNMET));
    check(&b, "x2 Failed in S1 beforeEntry=Failed");
    assert_eq!(b.state.running_rules().count(), 0);
    assert_eq!(b.why("x2"), "The beforeEntry condition of stage 'S1' failed: rule 'r': no");
    // A retry asks again.
    b.put(retry::request(&b.state, "x2", "S1", RetryMode::FailedActions).unwrap());
    check(&b, "x2 InProgress in S1 beforeEntry=InProgress");
    b.rule("s", Err("PermissionError"));
    check(&b, "x2 Failed in S1 beforeEntry=Errored");
}

#[test]
fn a_stage_may_be_skipped() {
    let mut b = Bench::new(Mode::Superseded, "A | B in:SKIP=r | C");
    b.start().unwrap();
    b.ok("A");
    refused(
        conditions::request(&b.state, "x1", "S1", Moment::BeforeEntry, "me".into()),
        "ConditionNotOverridableException",
    );
    b.rule("r", Err(UNMET));
    check(&b, "x1 InProgress in S2 C:InProgress");
    assert_eq!(b.state.shown("S1").unwrap().1.status, StageStatus::Skipped);
    refused(retry::request(&b.state, "x1", "S1", RetryMode::AllActions), "StageNotRetryableException");
    b.ok("C");
    let target = b.state.execution("x1").unwrap().clone();
    refused(
        rollback::request(&b.state, "S1", &target, "y".into(), Trigger::default()),
        "UnableToRollbackStageException",
    );
}

#[test]
fn a_condition_is_overridden_while_it_runs_and_after_it_failed() {
    let mut b = Bench::new(Mode::Superseded, "A | B in:FAIL=r out:FAIL=s | C");
    b.start().unwrap();
    b.ok("A");
    let pass = |b: &Bench, moment| conditions::request(&b.state, "x1", "S1", moment, "me".into());
    refused(pass(&b, Moment::OnSuccess), "ConditionNotOverridableException");
    let running = b.state.running_rules().next().unwrap().4.id.clone();
    b.put(pass(&b, Moment::BeforeEntry).unwrap());
    check(&b, "x1 InProgress in S1 B:InProgress beforeEntry=Overridden");
    assert_eq!(b.state.rule(&running).unwrap().4.status, ActionStatus::Abandoned);
    refused(pass(&b, Moment::BeforeEntry), "ConditionNotOverridableException");
    b.ok("B");
    b.rule("s", Err(UNMET));
    check(&b, "x1 Failed in S1 B:Succeeded beforeEntry=Overridden onSuccess=Failed");
    let unmet = b.state.executions[0].visits[1].conditions[&Moment::OnSuccess].rules["s"].id.clone();
    b.put(pass(&b, Moment::OnSuccess).unwrap());
    check(&b, "x1 InProgress in S2 C:InProgress");
    // The rule counts no more, and still says why it was not met.
    let rule = b.state.executions[0].visits[1].conditions[&Moment::OnSuccess].rules["s"].clone();
    assert_eq!((rule.id, rule.status, rule.failure.is_some()), (unmet, ActionStatus::Abandoned, true));
}

#[test]
fn a_resting_rule_is_woken_by_time() {
    let mut b = Bench::new(Mode::Superseded, "A | B in:FAIL=r");
    b.start().unwrap();
    b.ok("A");
    let id = b.state.running_rules().next().unwrap().4.id.clone();
    b.put(Kind::Rested { id, until: 10 * MINUTE, progress: Progress::default() });
    assert_eq!((b.state.outstanding_rules().count(), b.state.deadline()), (0, Some(10 * MINUTE)));
    b.now = 10 * MINUTE;
    b.settle();
    assert_eq!((b.state.outstanding_rules().count(), b.state.deadline()), (1, Some(60 * MINUTE)));
    b.now = 60 * MINUTE;
    b.settle();
    check(&b, "x1 Failed in S1 beforeEntry=Failed");
    let why = "The beforeEntry condition of stage 'S1' failed: rule 'r': \
               The rule was not met within its timeout of 60 minutes";
    assert_eq!(b.why("x1"), why);
}

#[test]
fn stops_and_updates_do_not_wait_for_rules() {
    let mut b = Bench::new(Mode::Superseded, "A | B in:FAIL=r");
    for (abandon, expected) in [(false, "Cancelled"), (true, "Abandoned")] {
        let id = b.start().unwrap();
        b.ok("A");
        b.put(stop::request(&b.state, &id, abandon, None).unwrap());
        check(&b, &format!("{id} Stopped in S1 beforeEntry={expected}"));
    }
    let id = b.start().unwrap();
    b.ok("A");
    b.define(Mode::Superseded, "A | B in:FAIL=r");
    check(&b, &format!("{id} Cancelled in S1 beforeEntry=Cancelled"));
}

/// An output to know again.
fn made(b: &mut Bench, action: &str, value: &str) {
    let id = b.id(action);
    let variables = [("v".to_owned(), value.to_owned())].into();
    b.put(Kind::ActionSucceeded { id, output: Output { variables, ..Output::default() }, by: None });
}

fn newest(b: &Bench) -> Execution {
    b.state.executions.last().unwrap().clone()
}

#[test]
fn a_failed_stage_is_rolled_back_to_the_last_that_succeeded_in_it() {
    let mut b = Bench::new(Mode::Superseded, "A | B rollback | C");
    // Nothing has succeeded yet.
    b.start().unwrap();
    made(&mut b, "A", "1");
    b.fail("B");
    check(&b, "x1 Failed in S1 B:Failed");
    b.start().unwrap();
    made(&mut b, "A", "2");
    b.ok("B");
    b.ok("C");
    b.start().unwrap();
    made(&mut b, "A", "3");
    b.fail("B");
    let back = newest(&b);
    assert_eq!((back.kind(), back.trigger.kind.as_str()), ("ROLLBACK", "AutomatedRollback"));
    assert_eq!(back.rollback.as_ref().unwrap().target, "x2");
    assert_eq!(back.made("S0", "A").unwrap().variables["v"], "2");
    assert_eq!((back.status, back.place), (Status::InProgress, Place::In(1)));
    // It fails too: a rollback is not rolled back.
    b.fail("B");
    assert_eq!((newest(&b).status, newest(&b).number), (Status::Failed, back.number));
    b.put(retry::request(&b.state, &back.id, "S1", RetryMode::FailedActions).unwrap());
    b.ok("B");
    // It ends with its stage.
    assert_eq!((newest(&b).status, newest(&b).place), (Status::Succeeded, Place::Done));
}

#[test]
fn a_rollback_waits_for_what_runs_and_goes_before_what_waits() {
    let mut b = Bench::new(Mode::Superseded, "A | B C rollback");
    b.start().unwrap();
    b.ok("A");
    b.ok("B");
    b.ok("C");
    b.start().unwrap();
    b.ok("A");
    b.start().unwrap();
    b.ok("A");
    b.fail("B");
    let back = newest(&b).id;
    assert_eq!(b.why(&back), "Waiting to enter stage 'S1': held by execution x2");
    refused(retry::request(&b.state, "x2", "S1", RetryMode::FailedActions), "StageNotRetryableException");
    let kind = transitions::close(&b.state, "S1", "Inbound", "hold".into(), "me".into()).unwrap();
    b.put(kind);
    b.ok("C");
    let shown = format!("x3 InProgress before S1\n{back} InProgress in S1 B:InProgress C:InProgress");
    assert_eq!(b.show().lines().filter(|l| !l.starts_with("x1")).collect::<Vec<_>>().join("\n"), shown);
}

#[test]
fn conditions_roll_back() {
    let mut b = Bench::new(Mode::Superseded, "A | B out:ROLLBACK=r | C bad:ROLLBACK=s");
    b.start().unwrap();
    b.ok("A");
    b.ok("B");
    b.rule("r", Ok(()));
    b.ok("C");
    b.start().unwrap();
    b.ok("A");
    b.ok("B");
    b.rule("r", Ok(()));
    // Not met: the failure stands, and nothing is rolled back.
    b.fail("C");
    check(&b, "x2 InProgress in S2 C:Failed onFailure=InProgress");
    b.rule("s", Err(UNMET));
    assert_eq!((newest(&b).id.as_str(), newest(&b).status), ("x2", Status::Failed));
    b.put(retry::request(&b.state, "x2", "S2", RetryMode::AllActions).unwrap());
    b.fail("C");
    b.rule("s", Ok(()));
    let back = newest(&b);
    assert_eq!((back.kind(), back.place), ("ROLLBACK", Place::In(2)));
    assert_eq!(back.rollback.as_ref().unwrap().target, "x1");
    b.ok("C");
    // What succeeded and was not found good is rolled back as well.
    b.start().unwrap();
    b.ok("A");
    b.ok("B");
    b.rule("r", Err(UNMET));
    assert_eq!((newest(&b).kind(), newest(&b).place), ("ROLLBACK", Place::In(1)));
    assert_eq!(newest(&b).rollback.as_ref().unwrap().target, "x2");
}

#[test]
fn a_rollback_is_refused_by_name() {
    let mut b = Bench::new(Mode::Superseded, "A | B | C");
    b.start().unwrap();
    b.ok("A");
    let back = |b: &Bench, stage: &str, target: &Execution| {
        rollback::request(&b.state, stage, target, "y".into(), Trigger::default())
    };
    let unable = "UnableToRollbackStageException";
    let first = b.state.execution("x1").unwrap().clone();
    refused(back(&b, "S1", &first), unable);
    b.ok("B");
    let first = b.state.execution("x1").unwrap().clone();
    refused(back(&b, "S9", &first), "StageNotFoundException");
    refused(back(&b, "S0", &first), unable);
    refused(back(&b, "S2", &first), unable);
    b.put(back(&b, "S1", &first).unwrap());
    let rolled = newest(&b);
    refused(back(&b, "S1", &first), unable);
    b.ok("B");
    refused(back(&b, "S1", &newest(&b)), unable);
    assert_eq!(rolled.rollback.unwrap().target, "x1");
    b.define(Mode::Superseded, "A | B | C");
    refused(back(&b, "S1", &first), "PipelineExecutionOutdatedException");
    let mut b = Bench::new(Mode::Parallel, "A | B");
    b.start().unwrap();
    b.ok("A");
    b.ok("B");
    refused(back(&b, "S1", &first), unable);
}
