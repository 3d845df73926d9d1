//! Conditions, rules and rollbacks, as callers see them.
use serde_json::{Value, json};

use super::*;

fn rule(provider: &str, configuration: Value) -> Value {
    let kind = json!({"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"});
    json!({"name": "r", "ruleTypeId": kind, "configuration": configuration})
}

/// The branch is `main` in all tests.
fn branch_is(value: &str) -> Value {
    rule("VariableCheck", json!({"Variable": "#{src.BranchName}", "Operator": "EQ", "Value": value}))
}

/// `p` of a source, of the stage with members, and of an approval.
fn declared(stage: Vec<Value>, members: Value) -> Value {
    let mut pipeline = pipeline(&[vec![source()], stage, vec![approval()]]);
    pipeline["stages"][1].as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    json!({"pipeline": pipeline})
}

fn condition(result: &str, rule: Value) -> Value {
    json!({"conditions": [{"result": result, "rules": [rule]}]})
}

impl Bench {
    async fn state(&self) -> Value {
        self.ok("GetPipelineState", json!({"name": "p"})).await
    }

    /// Waits until the second stage of `p` has this status.
    async fn stage(&self, status: &str) -> Value {
        let stage = |s: &Value| s["stageStates"][1].clone();
        let state = self.until("GetPipelineState", json!({"name": "p"}), |s| {
            stage(s)["latestExecution"]["status"] == *status
        });
        stage(&state.await)
    }
}

#[tokio::test]
async fn a_variable_lets_a_stage_in_or_passes_it_over() {
    let b = Bench::new().await;
    let entry =
        |value: &str| declared(vec![build()], json!({"beforeEntry": condition("SKIP", branch_is(value))}));
    b.ok("CreatePipeline", entry("dev")).await;
    let skipped = b.stage("Skipped").await;
    assert_eq!(skipped["actionStates"], json!([{"actionName": "Build"}]));
    let state = &skipped["beforeEntryConditionState"];
    assert_eq!(state["latestExecution"]["status"], "Failed");
    let ran = &state["conditionStates"][0]["ruleStates"][0];
    assert_eq!((&ran["ruleName"], &ran["latestExecution"]["status"]), (&json!("r"), &json!("Failed")));
    assert_eq!(ran["latestExecution"]["errorDetails"]["message"], "'main' EQ 'dev' does not hold");
    b.action(2, 0, "InProgress").await;

    let runs = b.ok("ListRuleExecutions", json!({"pipelineName": "p"})).await;
    let run = &runs["ruleExecutionDetails"][0];
    assert_eq!(
        (&run["stageName"], &run["ruleName"], &run["status"]),
        (&json!("B"), &json!("r"), &json!("Failed"))
    );
    assert_eq!(run["input"]["resolvedConfiguration"]["Variable"], "main");
    assert_eq!(run["input"]["ruleTypeId"]["provider"], "VariableCheck");
    let latest = json!({"latestInPipelineExecution": {
        "pipelineExecutionId": run["pipelineExecutionId"], "startTimeRange": "Latest"}});
    let latest = b.ok("ListRuleExecutions", json!({"pipelineName": "p", "filter": latest})).await;
    assert_eq!(latest["ruleExecutionDetails"].as_array().unwrap().len(), 1);
    let none = json!({"pipelineExecutionId": "11111111-1111-4111-8111-111111111111"});
    let refused = b.refused("ListRuleExecutions", json!({"pipelineName": "p", "filter": none})).await;
    assert!(refused.starts_with("PipelineExecutionNotFoundException"), "{refused}");

    b.ok("UpdatePipeline", entry("main")).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.action(1, 0, "InProgress").await;
    let types = b.ok("ListRuleTypes", json!({})).await;
    let types = types["ruleTypes"].as_array().unwrap();
    assert!(types.iter().any(|kind| kind["id"]["provider"] == "DeploymentWindow"));
}

#[tokio::test]
async fn a_failed_condition_is_overridden() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok(
        "CreatePipeline",
        declared(vec![build()], json!({"onSuccess": condition("FAIL", branch_is("dev"))})),
    )
    .await;
    let failed = b.newest("Failed").await;
    let summary = "The onSuccess condition of stage 'B' failed: rule 'r': 'main' EQ 'dev' does not hold";
    assert_eq!(failed["statusSummary"], summary);
    let pass = |kind: &str| {
        json!({
            "pipelineName": "p", "stageName": "B", "conditionType": kind,
            "pipelineExecutionId": failed["pipelineExecutionId"],
        })
    };
    let refused = b.refused("OverrideStageCondition", pass("BEFORE_ENTRY")).await;
    assert!(refused.starts_with("ConditionNotOverridableException"), "{refused}");
    b.ok("OverrideStageCondition", pass("ON_SUCCESS")).await;
    b.action(2, 0, "InProgress").await;
    let state = b.state().await;
    let condition = &state["stageStates"][1]["onSuccessConditionState"]["latestExecution"];
    assert_eq!(condition["status"], "Overridden");
    assert_eq!(condition["summary"], "Overridden by arn:aws:iam::000000000000:root");
    // The rule that had failed is abandoned, in lists as well.
    let rule = &state["stageStates"][1]["onSuccessConditionState"]["conditionStates"][0]["ruleStates"][0];
    assert_eq!(rule["latestExecution"]["status"], "Abandoned");
    let runs = b.ok("ListRuleExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(runs["ruleExecutionDetails"][0]["status"], "Abandoned");
    assert_eq!(state["stageStates"][1]["latestExecution"]["status"], "Succeeded");
}

#[tokio::test]
async fn a_deployment_window_is_waited_for_over_a_restart() {
    let b = Bench::new().await;
    // The clock begins at midnight of a Thursday.
    let window = rule("DeploymentWindow", json!({"Cron": "* * 9-17 ? * MON-FRI", "TimeZone": "UTC"}));
    b.ok("CreatePipeline", declared(vec![build()], json!({"beforeEntry": condition("FAIL", window)}))).await;
    let waits = "Checking rule 'r' of the beforeEntry condition of stage 'B': \
                 The deployment window opens at 2026-01-01T09:00:00+00:00[UTC]";
    let list = json!({"pipelineName": "p"});
    let summary = |l: &Value| l["pipelineExecutionSummaries"][0]["statusSummary"].clone();
    b.until("ListPipelineExecutions", list, |l| summary(l) == waits).await;
    let asked = b.world.call("longshore.GetPipelineWaits", json!({"name": "p"})).await.unwrap();
    let [wait] = &asked["waits"].as_array().unwrap()[..] else { panic!("one wait: {asked}") };
    let of = [&wait["reason"], &wait["conditionType"], &wait["ruleName"], &wait["message"]];
    assert_eq!(of, ["Condition", "beforeEntry", "r", waits]);
    let ran =
        b.ok("ListRuleExecutions", json!({"pipelineName": "p"})).await["ruleExecutionDetails"][0].clone();
    assert_eq!(wait["ruleExecutionId"], ran["ruleExecutionId"]);
    b.world.clock.advance(Duration::from_secs(9 * 3600 - 60));
    let b = b.restart().await;
    assert_eq!(summary(&b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await), waits);
    b.world.clock.advance(Duration::from_secs(60));
    // A clock in a test wakes nobody: a restart looks at the time.
    let b = b.restart().await;
    b.action(1, 0, "InProgress").await;
    let runs = b.ok("ListRuleExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(runs["ruleExecutionDetails"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_build_that_fails_rolls_the_stage_back() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    let mut check = rule("CodeBuild", json!({"ProjectName": "proj"}));
    check["inputArtifacts"] = json!([{"name": "SourceOutput"}]);
    b.ok("CreatePipeline", declared(vec![build()], json!({"onSuccess": condition("ROLLBACK", check)}))).await;
    b.action(2, 0, "InProgress").await;
    let first = b.newest("InProgress").await["pipelineExecutionId"].clone();
    // The next build succeeds, and the rule's does not.
    b.fakes.memory().builds_end = None;
    b.push("beef").await;
    let built = |id: &str| {
        let id = id.to_owned();
        move |s: &Value| {
            s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == *id
        }
    };
    b.until("GetPipelineState", json!({"name": "p"}), built("proj:3")).await;
    b.build_ends("SUCCEEDED").await;
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        let rule = &s["stageStates"][1]["onSuccessConditionState"]["conditionStates"][0]["ruleStates"][0];
        rule["latestExecution"]["externalExecutionId"] == "proj:4"
    })
    .await;
    b.build_ends("FAILED").await;
    b.until("GetPipelineState", json!({"name": "p"}), built("proj:5")).await;
    {
        let memory = b.fakes.memory();
        let (asked, _) = memory.builds.last().unwrap();
        assert_eq!(asked.revision.as_deref(), Some("c0ffee1"), "what the target had");
        assert_eq!(asked.inputs[0].key, memory.builds[0].0.inputs[0].key);
    }
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    let list = &list["pipelineExecutionSummaries"];
    assert_eq!(
        (&list[0]["executionType"], &list[0]["trigger"]["triggerType"]),
        (&json!("ROLLBACK"), &json!("AutomatedRollback"))
    );
    assert_eq!(list[0]["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], first);
    assert_eq!(list[0]["sourceRevisions"][0]["revisionId"], "c0ffee1");
    assert_eq!((&list[1]["status"], &list[1]["executionType"]), (&json!("Failed"), &json!("STANDARD")));
    assert_eq!(b.stage("InProgress").await["latestExecution"]["type"], "ROLLBACK");
}

#[tokio::test]
async fn a_stage_is_rolled_back_by_hand() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok("CreatePipeline", declared(vec![build()], json!({}))).await;
    b.action(2, 0, "InProgress").await;
    let first = b.newest("InProgress").await["pipelineExecutionId"].clone();
    b.push("beef").await;
    b.until("ListPipelineExecutions", json!({"pipelineName": "p"}), |l| {
        l["pipelineExecutionSummaries"][0]["statusSummary"].as_str().is_some_and(|s| s.contains("held by"))
    })
    .await;
    let back = |stage: &str, target: &Value| json!({"pipelineName": "p", "stageName": stage, "targetPipelineExecutionId": target});
    let none = json!("11111111-1111-4111-8111-111111111111");
    let refused = b.refused("RollbackStage", back("B", &none)).await;
    assert!(refused.starts_with("PipelineExecutionNotFoundException"), "{refused}");
    let refused = b.refused("RollbackStage", back("A", &first)).await;
    assert!(
        refused
            .starts_with("UnableToRollbackStageException: Stage 'A' cannot be rolled back: it is the source"),
        "{refused}"
    );
    let id = b.ok("RollbackStage", back("B", &first)).await["pipelineExecutionId"].clone();
    let get = json!({"pipelineName": "p", "pipelineExecutionId": id});
    let got = b.until("GetPipelineExecution", get, |e| e["pipelineExecution"]["status"] == "Succeeded").await;
    let got = &got["pipelineExecution"];
    assert_eq!(
        (&got["executionType"], &got["trigger"]["triggerType"]),
        (&json!("ROLLBACK"), &json!("ManualRollback"))
    );
    assert_eq!(got["artifactRevisions"][0]["revisionId"], "c0ffee1");
    let refused = b.refused("RollbackStage", back("B", &id)).await;
    assert!(refused.contains("is a rollback itself"), "{refused}");
}

impl Bench {
    /// CloudWatch says that the alarm has this state from now on.
    async fn alarm(&self, state: &'static str) {
        self.world.clock.advance(Duration::from_secs(1));
        self.fakes.memory().alarm = Some((state, kernel::Clock::now(&*self.world.clock)));
        self.publish("aws.cloudwatch", "CloudWatch Alarm State Change", json!({"alarmName": "errors"})).await;
    }

    /// Waits until the newest execution watches the alarm.
    async fn watches(&self) {
        let list = json!({"pipelineName": "p"});
        self.until("ListPipelineExecutions", list, |l| {
            let summary = l["pipelineExecutionSummaries"][0]["statusSummary"].as_str();
            summary.is_some_and(|text| text.contains("The alarm 'errors' is watched until"))
        })
        .await;
    }
}

#[tokio::test]
async fn an_alarm_that_comes_while_it_is_watched_closes_the_gate() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.alarm("OK").await;
    let alarm = rule("CloudWatchAlarm", json!({"AlarmName": "errors", "WaitTime": "10"}));
    b.ok("CreatePipeline", declared(vec![build()], json!({"onSuccess": condition("FAIL", alarm)}))).await;
    b.watches().await;
    let b = b.restart().await;
    b.alarm("ALARM").await;
    let failed = b.newest("Failed").await;
    let summary = "The onSuccess condition of stage 'B' failed: rule 'r': The alarm 'errors' is in state ALARM: because";
    assert_eq!(failed["statusSummary"], summary);

    // In alarm from the beginning, it has the time to leave it.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.watches().await;
    b.alarm("OK").await;
    b.world.clock.advance(Duration::from_secs(600));
    // A clock in a test wakes nobody: a restart looks at the time.
    let b = b.restart().await;
    b.action(2, 0, "InProgress").await;
}

#[tokio::test]
async fn an_alarm_rolls_back_what_failed() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.alarm("OK").await;
    let alarm = rule("CloudWatchAlarm", json!({"AlarmName": "errors"}));
    let stage = declared(vec![build()], json!({"onFailure": condition("ROLLBACK", alarm)}));
    b.ok("CreatePipeline", stage).await;
    b.action(2, 0, "InProgress").await;
    b.fakes.memory().builds_end = Some("FAILED");
    b.push("beef1").await;
    b.stage("Failed").await;
    let executions = async || {
        let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
        let list = list["pipelineExecutionSummaries"].as_array().unwrap().clone();
        list.iter().map(|run| run["executionType"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    b.newest("Failed").await;
    assert_eq!(executions().await, ["STANDARD", "STANDARD"], "without an alarm it stays failed");
    b.alarm("ALARM").await;
    b.push("beef2").await;
    let list = json!({"pipelineName": "p"});
    let rolled = |l: &Value| l["pipelineExecutionSummaries"][0]["executionType"] == "ROLLBACK";
    b.until("ListPipelineExecutions", list, rolled).await;
}

/// The rule of `p` in its last answer, as the stage's condition of this name has it.
fn ran(state: &Value, condition: &str) -> Value {
    let rule = &state["stageStates"][1][condition]["conditionStates"][0]["ruleStates"][0];
    rule["latestExecution"].clone()
}

#[tokio::test]
async fn an_alarm_that_cannot_be_seen_is_an_error() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.alarm("OK").await;
    let watching = |name: &str| {
        let alarm = rule("CloudWatchAlarm", json!({"AlarmName": name, "WaitTime": "10"}));
        declared(vec![build()], json!({"onSuccess": condition("ROLLBACK", alarm)}))
    };
    b.ok("CreatePipeline", watching("no such")).await;
    b.stage("Failed").await;
    let state = b.state().await;
    assert_eq!(state["stageStates"][1]["onSuccessConditionState"]["latestExecution"]["status"], "Errored");
    let error = &ran(&state, "onSuccessConditionState")["errorDetails"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("ConfigurationError"), &json!("There is no alarm named 'no such'"))
    );

    b.world.authority.deny("cloudwatch:DescribeAlarms");
    b.ok("UpdatePipeline", watching("errors")).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    let denied = |s: &Value| ran(s, "onSuccessConditionState")["errorDetails"]["code"] == "PermissionError";
    let state = b.until("GetPipelineState", json!({"name": "p"}), denied).await;
    let message = ran(&state, "onSuccessConditionState")["errorDetails"]["message"].clone();
    assert!(message.as_str().unwrap().contains("not authorized to perform: cloudwatch:DescribeAlarms"));

    // Denied while it watches: what it cannot see, it does not vouch for.
    b.world.authority.allow("cloudwatch:DescribeAlarms");
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.watches().await;
    b.world.authority.deny("cloudwatch:DescribeAlarms");
    b.alarm("OK").await;
    b.until("GetPipelineState", json!({"name": "p"}), denied).await;
}

#[tokio::test]
async fn a_wait_from_a_variable_is_checked_when_it_is_known() {
    let b = Bench::new().await;
    b.alarm("ALARM").await;
    let alarm = rule("CloudWatchAlarm", json!({"AlarmName": "errors", "WaitTime": "#{src.BranchName}"}));
    b.ok("CreatePipeline", declared(vec![build()], json!({"beforeEntry": condition("FAIL", alarm)}))).await;
    b.newest("Failed").await;
    let error = &ran(&b.state().await, "beforeEntryConditionState")["errorDetails"];
    let message = "The configuration key 'WaitTime' is 'main' and must be a whole number from 1 to 86400";
    assert_eq!((&error["code"], &error["message"]), (&json!("ConfigurationError"), &json!(message)));
}

#[tokio::test]
async fn a_rule_whose_time_is_over_while_nobody_serves_has_timed_out() {
    let b = Bench::new().await;
    b.alarm("ALARM").await;
    let mut alarm = rule("CloudWatchAlarm", json!({"AlarmName": "errors", "WaitTime": "5"}));
    alarm["timeoutInMinutes"] = json!(6);
    b.ok("CreatePipeline", declared(vec![build()], json!({"beforeEntry": condition("FAIL", alarm)}))).await;
    b.watches().await;
    // The server is away until the rule's time is over, and not only the wait's.
    b.world.clock.advance(Duration::from_secs(6 * 60));
    let b = b.restart().await;
    b.newest("Failed").await;
    let error = &ran(&b.state().await, "beforeEntryConditionState")["errorDetails"];
    assert_eq!(error["message"], "The rule was not met within its timeout of 6 minutes");
}

/// A rule that runs a command over the source.
fn shell(command: &str) -> Value {
    let mut shell = rule("Commands", json!({}));
    shell["commands"] = json!([command]);
    shell["inputArtifacts"] = json!([{"name": "SourceOutput"}]);
    shell
}

#[tokio::test]
async fn commands_decide_a_condition() {
    let b = Bench::new().await;
    let shell = shell("test -n #{src.CommitId}");
    b.ok("CreatePipeline", declared(vec![build()], json!({"beforeEntry": condition("FAIL", shell)}))).await;
    b.action(1, 0, "InProgress").await;
    let memory = b.fakes.memory();
    let [(asked, _)] = &memory.commands[..] else { panic!("one build: {:?}", memory.done) };
    assert_eq!(asked.commands, ["test -n c0ffee1"]);
    assert_eq!((asked.inputs.len(), asked.minutes), (1, 55));
}

impl Bench {
    /// Waits until the rule of the second stage's entry condition shows its build.
    async fn builds(&self, id: &str) {
        let shows = |s: &Value| ran(s, "beforeEntryConditionState")["externalExecutionId"] == *id;
        self.until("GetPipelineState", json!({"name": "p"}), shows).await;
    }
}

#[tokio::test]
async fn commands_go_on_over_a_restart() {
    let b = Bench::new().await;
    b.fakes.memory().commands_wait = true;
    b.ok("CreatePipeline", declared(vec![build()], json!({"beforeEntry": condition("FAIL", shell("true"))})))
        .await;
    b.builds("codepipeline/p:1").await;
    let b = b.restart().await;
    b.commands_end("FAILED").await;
    let failed = b.newest("Failed").await;
    let summary = "The beforeEntry condition of stage 'B' failed: rule 'r': Build terminated with state: FAILED. \
                   Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: \
                   Error while executing command: false. Reason: exit status 1";
    assert_eq!(failed["statusSummary"], summary);

    // It ends while the server is away, and nobody hears of it.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.builds("codepipeline/p:2").await;
    b.fakes.end_commands("SUCCEEDED");
    let b = b.restart().await;
    b.action(1, 0, "InProgress").await;
    let memory = b.fakes.memory();
    assert_eq!(memory.commands.len(), 2, "{:?}", memory.done);
}

#[tokio::test]
async fn commands_end_with_their_rule() {
    let b = Bench::new().await;
    b.fakes.memory().commands_wait = true;
    let timed = |minutes: i64| {
        let mut shell = shell("sleep 1d");
        shell["timeoutInMinutes"] = json!(minutes);
        declared(vec![build()], json!({"beforeEntry": condition("FAIL", shell)}))
    };
    b.ok("CreatePipeline", timed(5)).await;
    b.builds("codepipeline/p:1").await;
    b.world.clock.advance(Duration::from_secs(5 * 60));
    // A clock in a test wakes nobody: a restart looks at the time.
    let b = b.restart().await;
    b.newest("Failed").await;
    let error = &ran(&b.state().await, "beforeEntryConditionState")["errorDetails"];
    assert_eq!(error["message"], "The rule was not met within its timeout of 5 minutes");
    b.ok("UpdatePipeline", timed(86_400)).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.builds("codepipeline/p:2").await;
    let memory = b.fakes.memory();
    let minutes: Vec<i32> = memory.commands.iter().map(|(asked, _)| asked.minutes).collect();
    assert_eq!(minutes, [5, 36 * 60], "the build's own time");
}

#[tokio::test]
async fn commands_and_times_of_rules_are_bounded() {
    let b = Bench::new().await;
    let refused = async |change: &dyn Fn(&mut Value), words: &str| {
        let mut shell = shell("true");
        change(&mut shell);
        let asked = declared(vec![build()], json!({"beforeEntry": condition("FAIL", shell)}));
        let refused = b.refused("CreatePipeline", asked).await;
        assert!(refused.starts_with("ValidationException") && refused.contains(words), "{refused}");
    };
    refused(&|r| r["commands"] = vec!["true"; 51].into(), "length less than or equal to 50").await;
    refused(&|r| r["commands"] = json!(["x".repeat(1001)]), "length less than or equal to 1000").await;
    refused(&|r| r["timeoutInMinutes"] = json!(4), "greater than or equal to 5").await;
    refused(&|r| r["timeoutInMinutes"] = json!(86_401), "less than or equal to 86400").await;
}
