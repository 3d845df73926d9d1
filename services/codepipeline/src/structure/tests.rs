//! Every rule, as an edit of a good pipeline and the error that it comes to.
mod conditions;

use api::codepipeline as cp;
use serde_json::{Value, json};

use super::*;

fn action(category: &str, provider: &str, name: &str, configuration: Value, members: Value) -> Value {
    let mut action = json!({
        "name": name,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    });
    action.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    action
}

fn good() -> Value {
    let source = action(
        "Source",
        "CodeCommit",
        "Src",
        json!({"RepositoryName": "r", "BranchName": "main"}),
        json!({"outputArtifacts": [{"name": "In"}], "namespace": "src"}),
    );
    let build = action(
        "Build",
        "CodeBuild",
        "Bld",
        json!({"ProjectName": "#{src.CommitId}"}),
        json!({"inputArtifacts": [{"name": "In"}], "outputArtifacts": [{"name": "Out"}], "namespace": "bld"}),
    );
    let deploy = action(
        "Deploy",
        "ECS",
        "Dep",
        json!({"ClusterName": "c", "ServiceName": "#{variables.Svc}"}),
        json!({"inputArtifacts": [{"name": "Out"}], "runOrder": 2}),
    );
    let approval = action("Approval", "Manual", "Ok", json!({}), json!({}));
    json!({
        "name": "p",
        "roleArn": "arn:aws:iam::000000000000:role/r",
        "artifactStore": {"type": "S3", "location": "bucket"},
        "variables": [{"name": "Svc", "defaultValue": "s"}],
        "stages": [
            {"name": "S", "actions": [source]},
            {"name": "B", "actions": [build]},
            {"name": "D", "actions": [approval, deploy]},
        ],
    })
}

fn declared(edit: impl FnOnce(&mut Value)) -> cp::PipelineDeclaration {
    let mut pipeline = good();
    edit(&mut pipeline);
    kernel::json::from_value(&pipeline).expect("the shape")
}

/// `expected` begins with the code; what follows its colon is in the message.
#[track_caller]
fn check(edit: impl FnOnce(&mut Value), expected: &str) {
    let fault = super::check(&declared(edit), "us-east-1", &Types::default()).expect_err(expected).fault();
    let (code, text) = expected.split_once(": ").unwrap();
    assert_eq!(fault.code, format!("Invalid{code}Exception"), "{}", fault.message);
    assert!(fault.message.contains(text), "{}\nlacks\n{text}", fault.message);
}

/// The action at stage and index.
fn at(pipeline: &mut Value, stage: usize, action: usize) -> &mut Value {
    &mut pipeline["stages"][stage]["actions"][action]
}

fn configure(stage: usize, action: usize, key: &'static str, value: &'static str) -> impl FnOnce(&mut Value) {
    move |p| at(p, stage, action)["configuration"][key] = json!(value)
}

#[test]
fn a_good_pipeline_passes_and_is_filled_in() {
    let pipeline = normalized(declared(|_| {}), 3);
    super::check(&pipeline, "us-east-1", &Types::default()).unwrap();
    let types = (pipeline.version, pipeline.pipeline_type.as_deref(), pipeline.execution_mode.as_deref());
    assert_eq!(types, (Some(3), Some("V2"), Some("SUPERSEDED")));
    let action = &pipeline.stages[2].actions[0];
    assert_eq!((action.run_order, &action.input_artifacts), (Some(1), &Some(Vec::new())));
    let first = normalized(declared(|p| p["variables"] = json!([])), 1);
    assert_eq!(first.pipeline_type.as_deref(), Some("V1"));
    let plan = plan(&pipeline);
    let approval = &plan.stages[2].actions[0];
    assert_eq!((approval.work, approval.timeout), (Work::Approval, 7 * 24 * 3_600_000));
    let timed = declared(|p| {
        at(p, 2, 0)["timeoutInMinutes"] = json!(5);
        at(p, 2, 1)["configuration"]["DeploymentTimeout"] = json!("7");
    });
    let timeouts: Vec<_> = super::plan(&timed).stages[2].actions.iter().map(|a| a.timeout / 60_000).collect();
    assert_eq!(timeouts, [5, 7]);
}

#[test]
fn stages() {
    let one = |p: &mut Value| p["stages"].as_array_mut().unwrap().truncate(1);
    check(one, "Structure: has 1 stage(s): a pipeline has at least 2");
    let many = |p: &mut Value| {
        let last = p["stages"][1].clone();
        p["stages"].as_array_mut().unwrap().resize(51, last);
    };
    check(many, "Structure: has 51 stages: a pipeline has at most 50");
    check(
        |p| p["stages"][2]["name"] = json!("B"),
        "StageDeclaration: The stage name 'B' is used more than once",
    );
    check(|p| p["stages"][1]["actions"] = json!([]), "StageDeclaration: Stage 'B' has no action");
    let crowded = |p: &mut Value| {
        let build = at(p, 1, 0).clone();
        p["stages"][1]["actions"] = json!(vec![build; 51]);
    };
    check(crowded, "StageDeclaration: Stage 'B' has 51 actions: a stage has at most 50");
    let vast = |p: &mut Value| {
        let (build, last) = (at(p, 1, 0).clone(), p["stages"][1].clone());
        let mut full = last;
        full["actions"] = json!(vec![build; 22]);
        p["stages"].as_array_mut().unwrap().resize(50, full);
    };
    check(vast, "Structure: a pipeline has at most 1000");
    let many = |p: &mut Value| {
        let variable = |n: usize| json!({"name": format!("V{n}"), "defaultValue": "v"});
        p["variables"] = (0..51).map(variable).collect();
    };
    check(many, "Structure: declares more than 50 variables");
    check(
        |p| at(p, 2, 1)["name"] = json!("Ok"),
        "ActionDeclaration: The action name 'Ok' is used more than once in stage 'D'",
    );
    let blocked = |p: &mut Value| p["stages"][1]["blockers"] = json!([{"name": "b", "type": "Schedule"}]);
    check(blocked, "BlockerDeclaration: Stage 'B' has blockers");
    let swapped = |p: &mut Value| p["stages"].as_array_mut().unwrap().swap(0, 1);
    check(
        swapped,
        "Structure: must start with a stage that holds only source actions: action 'Bld' in stage 'B'",
    );
    let late = |p: &mut Value| {
        let mut source = at(p, 0, 0).clone();
        source["name"] = json!("Late");
        p["stages"][1]["actions"].as_array_mut().unwrap().push(source);
    };
    check(late, "Structure: Only the first stage may hold source actions: action 'Late' in stage 'B'");
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let key = json!({"id": "k", "type": "KMS"});
    check(|p| p["artifactStore"]["encryptionKey"] = key, "Structure: 'bucket' asks for encryptionKey 'k'");
    let trigger = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Src"}}]);
    check(
        |p| p["triggers"] = trigger,
        "Structure: 'Src', gitConfiguration.sourceActionName must name a source action of provider CodeStar",
    );
}

#[test]
fn action_types() {
    check(
        |p| at(p, 1, 0)["actionTypeId"]["provider"] = json!("Jenkins"),
        "ActionDeclaration: In action 'Bld' in stage 'B': the action type (category 'Build', owner 'AWS', provider 'Jenkins', version '1') is not available in Region us-east-1",
    );
    check(|p| at(p, 1, 0)["actionTypeId"]["owner"] = json!("Custom"), "ActionDeclaration: owner 'Custom'");
    check(|p| at(p, 1, 0)["actionTypeId"]["version"] = json!("2"), "ActionDeclaration: version '2'");
    check(
        |p| at(p, 1, 0)["region"] = json!("eu-west-1"),
        "ActionDeclaration: 'B': region 'eu-west-1': actions outside",
    );
    check(
        |p| at(p, 0, 0)["region"] = json!("eu-west-1"),
        "ActionDeclaration: source actions run in the pipeline's own",
    );
    check(
        |p| at(p, 2, 0)["inputArtifacts"] = json!([{"name": "Out"}]),
        "ActionDeclaration: it has 1 inputArtifacts, and Manual takes 0",
    );
    check(
        |p| at(p, 0, 0)["outputArtifacts"] = json!([]),
        "ActionDeclaration: it has 0 outputArtifacts, and CodeCommit takes 1",
    );
    check(
        |p| at(p, 1, 0)["inputArtifacts"] = json!([]),
        "ActionDeclaration: it has 0 inputArtifacts, and CodeBuild takes from 1 to 5",
    );
    check(
        |p| at(p, 1, 0)["commands"] = json!(["ls"]),
        "ActionDeclaration: commands is not a field of actions of provider CodeBuild",
    );
    check(
        |p| at(p, 1, 0)["outputArtifacts"] = json!([{"name": "Out", "files": ["a"]}]),
        "ActionDeclaration: outputArtifacts.files is not a field",
    );
}

#[test]
fn providers_that_only_aws_has_are_told_from_those_that_nobody_has() {
    let unserved = |p: &mut Value| at(p, 2, 1)["actionTypeId"]["provider"] = json!("CloudFormation");
    check(
        unserved,
        "ActionDeclaration: 'Dep' in stage 'D': actions of AWS's provider CloudFormation (category Deploy, owner AWS) are not served by Longshore",
    );
}

#[test]
fn commands_are_of_a_commands_action() {
    let edit = |edit: fn(&mut Value)| {
        move |p: &mut Value| {
            let commands = json!({
                "name": "Run", "commands": ["make #{src.CommitId}"], "inputArtifacts": [{"name": "In"}],
                "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
            });
            *at(p, 2, 0) = commands;
            edit(at(p, 2, 0));
        }
    };
    let good = normalized(declared(edit(|_| {})), 1);
    super::check(&good, "us-east-1", &Types::default()).unwrap();
    assert_eq!(good.pipeline_type.as_deref(), Some("V2"));
    check(edit(|a| a["commands"] = json!([])), "ActionDeclaration: 'Run' in stage 'D': commands is missing");
    check(
        edit(|a| a["commands"] = json!(["a\nb"])),
        "ActionDeclaration: commands: 'a\nb' has more than one line",
    );
    check(
        edit(|a| a["commands"] = json!(["echo #{src.}"])),
        "ActionDeclaration: 'Run' in stage 'D', commands: '#{src.}' is not a variable reference",
    );
    check(
        edit(|a| a["environmentVariables"] = json!([{"name": "A", "value": "#{none.A}"}])),
        "ActionDeclaration: environment variable 'A': '#{none.A}' refers to the namespace 'none'",
    );
    check(
        edit(|a| a["environmentVariables"] = json!([{"name": "A", "value": "s", "type": "SECRETS_MANAGER"}])),
        "ActionDeclaration: environmentVariables: 'A' has the type SECRETS_MANAGER, which is not served yet",
    );
    check(
        edit(|a| a["outputArtifacts"] = json!([{"name": "New"}])),
        "ActionDeclaration: outputArtifacts: 'New' has no files",
    );
    check(
        edit(|a| a["configuration"] = json!({"EnvironmentType": "WINDOWS_SERVER_2022_CONTAINER"})),
        "ActionDeclaration: 'EnvironmentType' must be 'LINUX_CONTAINER': builds run in Linux containers",
    );
    check(
        edit(|a| a["configuration"] = json!({"VpcId": "vpc-1", "Subnets": "subnet-1"})),
        "ActionDeclaration: 'SecurityGroupIds' is required beside",
    );
    let old = |p: &mut Value| {
        edit(|_| {})(p);
        p["pipelineType"] = json!("V1");
    };
    check(old, "ActionDeclaration: actions of provider Commands need a pipeline of pipelineType V2");
}

#[test]
fn configurations() {
    check(
        configure(1, 0, "Color", "red"),
        "ActionDeclaration: 'B': configuration key 'Color' is not one of CodeBuild",
    );
    check(
        |p| at(p, 2, 1)["configuration"] = json!({"ClusterName": "c"}),
        "ActionDeclaration: 'Dep' in stage 'D': the required configuration key 'ServiceName' is missing",
    );
    check(
        configure(0, 0, "BranchName", ""),
        "ActionDeclaration: the required configuration key 'BranchName' is missing",
    );
    check(
        configure(0, 0, "PollForSourceChanges", "maybe"),
        "ActionDeclaration: configuration key 'PollForSourceChanges' must be one of true, false",
    );
    check(
        configure(2, 1, "DeploymentTimeout", "61"),
        "ActionDeclaration: 'DeploymentTimeout' must be a whole number from 1 to 60",
    );
    check(
        configure(0, 0, "OutputArtifactFormat", "TAR"),
        "ActionDeclaration: must be one of CODE_ZIP, CODEBUILD_CLONE_REF",
    );
    check(configure(1, 0, "BatchEnabled", "true"), "ActionDeclaration: batch builds are not served yet");
    check(
        configure(2, 0, "NotificationArn", "arn:aws:sqs:us-east-1:0:t"),
        "ActionDeclaration: 'NotificationArn' must be the ARN of an SNS topic",
    );
    check(configure(1, 0, "EnvironmentVariables", "{}"), "ActionDeclaration: must be a JSON array");
    check(
        configure(1, 0, "EnvironmentVariables", r#"[{"name":"A","value":"b","type":"SECRETS_MANAGER"}]"#),
        "ActionDeclaration: gives variable 'A' the type SECRETS_MANAGER, which is not served yet",
    );
    check(
        configure(1, 0, "PrimarySource", "Other"),
        "ActionDeclaration: 'Other' is not an input artifact of the action",
    );
    let two = |p: &mut Value| {
        at(p, 0, 0)["configuration"]["BranchName"] = json!("b");
        let second = action(
            "Source",
            "S3",
            "Two",
            json!({"S3Bucket": "b", "S3ObjectKey": "k"}),
            json!({"outputArtifacts": [{"name": "More"}]}),
        );
        p["stages"][0]["actions"].as_array_mut().unwrap().push(second);
        at(p, 1, 0)["inputArtifacts"] = json!([{"name": "In"}, {"name": "More"}]);
    };
    check(two, "ActionDeclaration: 'PrimarySource' is required with more than one input artifact");
    let site = |p: &mut Value| {
        let configuration = json!({"BucketName": "b", "Extract": "false"});
        *at(p, 2, 1) =
            action("Deploy", "S3", "Site", configuration, json!({"inputArtifacts": [{"name": "Out"}]}));
    };
    check(site, "ActionDeclaration: 'ObjectKey' is required when 'Extract' is false");
}

#[test]
fn artifacts() {
    check(
        |p| p["artifactStores"] = json!({"us-east-1": {"type": "S3", "location": "b"}}),
        "Structure: artifactStore or artifactStores, not both",
    );
    check(|p| p["artifactStore"] = Value::Null, "Structure: neither artifactStore nor artifactStores");
    let elsewhere = |p: &mut Value| {
        p["artifactStore"] = Value::Null;
        p["artifactStores"] = json!({"eu-west-1": {"type": "S3", "location": "b"}});
    };
    check(elsewhere, "Structure: artifactStores has no entry for the pipeline's own Region, us-east-1");
    check(
        |p| at(p, 1, 0)["outputArtifacts"] = json!([{"name": "In"}]),
        "Structure: The output artifact name 'In' is used more than once, by action 'Src' in stage 'S' and by action 'Bld' in stage 'B'",
    );
    check(
        |p| at(p, 1, 0)["inputArtifacts"] = json!([{"name": "in"}]),
        "Structure: The input artifact 'in' of action 'Bld' in stage 'B' is not an output artifact of any earlier action",
    );
    check(|p| at(p, 1, 0)["inputArtifacts"] = json!([{"name": "Out"}]), "Structure: 'Out' of action 'Bld'");
    // The same stage will do, at a lower runOrder.
    let within = |order: i32| {
        move |p: &mut Value| {
            let input = json!({"inputArtifacts": [{"name": "Out"}], "runOrder": order});
            let test = action("Test", "CodeBuild", "Tst", json!({"ProjectName": "t"}), input);
            p["stages"][1]["actions"].as_array_mut().unwrap().push(test);
        }
    };
    super::check(&declared(within(2)), "us-east-1", &Types::default()).unwrap();
    check(within(1), "Structure: 'Out' of action 'Tst' in stage 'B'");
}

#[test]
fn references() {
    check(
        |p| at(p, 1, 0)["namespace"] = json!("src"),
        "ActionDeclaration: The namespace 'src' is used by more than one action",
    );
    check(
        |p| at(p, 1, 0)["namespace"] = json!("In"),
        "ActionDeclaration: The namespace 'In' of action 'Bld' in stage 'B' is the name of an artifact",
    );
    check(
        |p| at(p, 1, 0)["namespace"] = json!("variables"),
        "ActionDeclaration: 'variables' of action 'Bld' in stage 'B' is reserved",
    );
    check(
        configure(1, 0, "ProjectName", "#{nope.X}"),
        "ActionDeclaration: configuration key 'ProjectName': '#{nope.X}' refers to the namespace 'nope', which no action has",
    );
    check(
        configure(1, 0, "ProjectName", "#{bld.X}"),
        "ActionDeclaration: refers to an action that has not ended by then",
    );
    check(configure(1, 0, "ProjectName", "#{X}"), "ActionDeclaration: '#{X}' is not a variable reference");
    check(
        configure(1, 0, "ProjectName", "#{variables.Nope}"),
        "ActionDeclaration: the pipeline declares no variable 'Nope'",
    );
    check(
        configure(1, 0, "ProjectName", "#{codepipeline.Nope}"),
        "ActionDeclaration: holds PipelineExecutionId",
    );
    check(
        configure(0, 0, "BranchName", "#{variables.Svc}"),
        "ActionDeclaration: pipeline variables cannot be used in source actions",
    );
    check(
        |p| p["variables"] = json!([{"name": "Svc"}, {"name": "Svc"}]),
        "Structure: variable 'Svc' is declared more than once",
    );
}
