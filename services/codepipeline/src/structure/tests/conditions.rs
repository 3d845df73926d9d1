//! Conditions, rules, and what a stage does when it fails.
use super::*;
use crate::engine::{Consequence, Moment};

fn rule(provider: &str, configuration: Value) -> Value {
    json!({
        "name": "r",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    })
}

fn variable(value: &str) -> Value {
    rule("VariableCheck", json!({"Variable": value, "Value": "v", "Operator": "EQ"}))
}

fn condition(result: &str, rules: Vec<Value>) -> Value {
    json!({"conditions": [{"result": result, "rules": rules}]})
}

/// Sets a member of a stage.
fn set(stage: usize, member: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |p| p["stages"][stage][member] = value
}

/// The entry condition of stage B with this rule.
fn entry(rule: Value) -> impl FnOnce(&mut Value) {
    set(1, "beforeEntry", condition("FAIL", vec![rule]))
}

#[test]
fn conditions_are_planned() {
    let pipeline = declared(|p| {
        p["variables"] = json!([]);
        at(p, 2, 1)["configuration"]["ServiceName"] = json!("s");
        let mut timed = variable("#{src.CommitId}");
        timed["timeoutInMinutes"] = json!(5);
        p["stages"][1]["beforeEntry"] = condition("SKIP", vec![timed]);
        p["stages"][1]["onSuccess"] = condition("ROLLBACK", vec![variable("#{bld.X}")]);
        p["stages"][1]["onFailure"] = condition("ROLLBACK", vec![variable("#{src.CommitId}")]);
        p["stages"][2]["onFailure"] = json!({"result": "ROLLBACK"});
    });
    super::super::check(&pipeline, "us-east-1", &crate::jobs::Types::default()).unwrap();
    assert_eq!(normalized(pipeline.clone(), 1).pipeline_type.as_deref(), Some("V2"));
    let stages = plan(&pipeline).stages;
    let of = |moment| stages[1].conditions[&moment].clone();
    assert_eq!(of(Moment::BeforeEntry).result, Consequence::Skip);
    assert_eq!(of(Moment::BeforeEntry).rules[0].timeout, 5 * 60_000);
    assert_eq!(of(Moment::OnSuccess).result, Consequence::Rollback);
    assert_eq!(of(Moment::OnFailure).rules[0].name, "r");
    assert_eq!((stages[1].auto_rollback, stages[2].auto_rollback), (false, true));
}

#[test]
fn a_stage_does_one_thing_when_it_fails() {
    let retry = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}});
    let pipeline = declared(set(0, "onFailure", retry));
    super::super::check(&pipeline, "us-east-1", &crate::jobs::Types::default()).unwrap();
    assert_eq!(plan(&pipeline).stages[0].auto_retry, Some(RetryMode::AllActions));
    check(
        set(1, "onFailure", json!({"result": "SKIP"})),
        "StageDeclaration: Stage 'B', onFailure.result: must be RETRY or ROLLBACK",
    );
    check(
        set(
            1,
            "onFailure",
            json!({"result": "ROLLBACK", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}}),
        ),
        "StageDeclaration: 'B', onFailure.retryConfiguration: is for the result RETRY alone",
    );
    check(
        set(0, "onFailure", json!({"result": "ROLLBACK"})),
        "StageDeclaration: Stage 'S', onFailure.result: ROLLBACK is not available in the source stage",
    );
    let parallel = |p: &mut Value| {
        p["executionMode"] = json!("PARALLEL");
        p["stages"][1]["onFailure"] = json!({"result": "ROLLBACK"});
    };
    check(
        parallel,
        "StageDeclaration: 'B', onFailure.result: ROLLBACK is not available in the execution mode",
    );
    let parallel = |p: &mut Value| {
        p["executionMode"] = json!("PARALLEL");
        p["stages"][1]["onSuccess"] = condition("ROLLBACK", vec![variable("x")]);
    };
    check(parallel, "StageDeclaration: 'B', onSuccess.conditions.result: ROLLBACK is not available");
    let both = |result: &str| {
        let mut both = condition("ROLLBACK", vec![variable("x")]);
        both["result"] = json!(result);
        both
    };
    check(
        set(1, "onFailure", both("RETRY")),
        "StageDeclaration: RETRY cannot be combined with onFailure.conditions",
    );
    check(
        set(1, "onFailure", both("ROLLBACK")),
        "StageDeclaration: give the result in onFailure.conditions alone",
    );
}

#[test]
fn conditions_have_one_result_and_some_rules() {
    let field = "StageDeclaration: Stage 'B', beforeEntry.conditions";
    check(set(1, "beforeEntry", json!({"conditions": []})), &format!("{field}: has 0 conditions"));
    let two = json!({"conditions": [{"result": "FAIL", "rules": []}, {"result": "FAIL", "rules": []}]});
    check(set(1, "beforeEntry", two), &format!("{field}: has 2 conditions: give exactly one"));
    check(
        set(1, "beforeEntry", condition("ROLLBACK", vec![variable("x")])),
        &format!("{field}.result: must be FAIL or SKIP"),
    );
    check(
        set(1, "onSuccess", condition("SKIP", vec![variable("x")])),
        "StageDeclaration: onSuccess.conditions.result: must be ROLLBACK or FAIL",
    );
    check(
        set(1, "onFailure", condition("FAIL", vec![variable("x")])),
        "StageDeclaration: onFailure.conditions.result: must be ROLLBACK",
    );
    check(
        set(1, "beforeEntry", condition("FAIL", vec![])),
        &format!("{field}: has 0 rules: give from 1 to 5"),
    );
    check(
        set(1, "beforeEntry", condition("FAIL", vec![variable("x"), variable("y")])),
        &format!("{field}: the rule name 'r' is used more than once"),
    );
}

#[test]
fn rules_are_checked_as_actions_are() {
    let rule_r = "StageDeclaration: Stage 'B', beforeEntry, rule 'r': ";
    let refused = |rule: Value, expected: &str| check(entry(rule), &format!("{rule_r}{expected}"));
    refused(rule("Weather", json!({})), "ruleTypeId (category 'Rule', owner 'AWS', provider 'Weather'");
    refused(
        rule("LambdaInvoke", json!({})),
        "ruleTypeId.provider: LambdaInvoke is not served: there are no Lambda",
    );
    let compare = |operator: &str, value: &str| {
        rule("VariableCheck", json!({"Variable": "x", "Value": value, "Operator": operator}))
    };
    refused(compare("LIKE", "v"), "configuration key 'Operator' must be one of EQ, NE, CONTAINS, MATCHES");
    refused(compare("MATCHES", "("), "configuration key 'Value' is no regular expression");
    refused(
        compare("MATCHES", "(a)\\1"),
        "configuration key 'Value' is no regular expression that Longshore can match: error: backreferences",
    );
    refused(
        rule("VariableCheck", json!({"Variable": "x", "Operator": "EQ"})),
        "the required configuration key 'Value' is missing",
    );
    refused(
        rule("VariableCheck", json!({"Color": "x"})),
        "configuration key 'Color' is not one of VariableCheck",
    );
    refused(
        variable("#{bld.X}"),
        "configuration key 'Variable': '#{bld.X}' refers to an action that has not ended by then",
    );
    refused(
        variable("#{nope.X}"),
        "configuration key 'Variable': '#{nope.X}' refers to the namespace 'nope'",
    );
    let window = |cron: &str, zone: &str| rule("DeploymentWindow", json!({"Cron": cron, "TimeZone": zone}));
    refused(window("* * *", "UTC"), "configuration key 'Cron' has 3 fields");
    refused(window("* 61 * * * ?", "UTC"), "configuration key 'Cron' has '61' in the field of minutes");
    refused(window("* * * * * ?", "Mars/Base"), "configuration key 'TimeZone' 'Mars/Base' is no time zone");
    check(
        set(1, "beforeEntry", condition("SKIP", vec![window("* * * * * ?", "UTC")])),
        &format!("{rule_r}DeploymentWindow cannot decide a condition whose result is SKIP"),
    );
    let build = |inputs: Value| {
        let mut build = rule("CodeBuild", json!({"ProjectName": "p"}));
        build["inputArtifacts"] = inputs;
        build
    };
    super::super::check(
        &declared(entry(build(json!([{"name": "In"}])))),
        "us-east-1",
        &crate::jobs::Types::default(),
    )
    .unwrap();
    refused(build(json!([])), "it has 0 inputArtifacts, and CodeBuild takes from 1 to 5");
    refused(
        build(json!([{"name": "Out"}])),
        "the input artifact 'Out' is not an output artifact of any earlier action",
    );
    let mut commands = variable("x");
    commands["commands"] = json!(["ls"]);
    refused(commands, "commands is not a field of rules of provider VariableCheck");
    let alarm = |more: Value| {
        let mut alarm = rule("CloudWatchAlarm", json!({"AlarmName": "errors"}));
        alarm["configuration"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        alarm
    };
    refused(rule("CloudWatchAlarm", json!({})), "the required configuration key 'AlarmName' is missing");
    refused(
        alarm(json!({"AlarmStates": "OK,RED"})),
        "configuration key 'AlarmStates' names the state 'RED': give some of ALARM, OK, INSUFFICIENT_DATA",
    );
    refused(alarm(json!({"WaitTime": "0"})), "configuration key 'WaitTime' must be");
    let mut short = alarm(json!({"WaitTime": "20"}));
    short["timeoutInMinutes"] = json!(20);
    refused(short, "configuration key 'WaitTime': 20 minutes are not less than the rule's timeoutInMinutes");
    refused(alarm(json!({"WaitTime": "86401"})), "configuration key 'WaitTime' must be a whole number");
    refused(
        alarm(json!({"WaitTime": "86400"})),
        "configuration key 'WaitTime': 86400 minutes are not less than the rule's timeoutInMinutes, 86400",
    );
    let mut reads = alarm(json!({}));
    reads["inputArtifacts"] = json!([{"name": "In"}]);
    refused(reads, "it has 1 inputArtifacts, and CloudWatchAlarm takes from 0 to 0");
    let shell = |inputs: Value, commands: Value| {
        let mut shell = rule("Commands", json!({}));
        (shell["inputArtifacts"], shell["commands"]) = (inputs, commands);
        shell
    };
    let input = || json!([{"name": "In"}]);
    refused(shell(json!([]), json!(["ls"])), "it has 0 inputArtifacts, and Commands takes from 1 to 10");
    refused(shell(input(), json!([])), "commands is missing: give at least one");
    refused(shell(input(), json!(["a\nb"])), "commands: 'a\nb' has more than one line");
    refused(shell(input(), json!(["ls #{nope.X}"])), "commands: '#{nope.X}' refers to the namespace 'nope'");
    let mut elsewhere = variable("x");
    elsewhere["region"] = json!("eu-west-1");
    refused(elsewhere, "region 'eu-west-1': rules outside of the pipeline's Region");
}
