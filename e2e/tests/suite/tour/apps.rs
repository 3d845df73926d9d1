//! CodeCommit, ECR, CodeBuild, CodePipeline, ECS.
use e2e::Client;
use serde_json::json;

use super::{column, has, words};

pub fn all(client: &Client, role: &str) {
    codecommit(client);
    ecr(client);
    codebuild(client, role);
    codepipeline(client, role);
    ecs(client, role);
}

fn codecommit(client: &Client) {
    let made =
        client.aws("codecommit create-repository --repository-name tour --repository-description first");
    let made = made["repositoryMetadata"].clone();
    assert_eq!(made["cloneUrlHttp"], format!("{}/v1/repos/tour", client.endpoint()));
    let got = client.aws("codecommit get-repository --repository-name tour");
    assert_eq!(got["repositoryMetadata"]["repositoryId"], made["repositoryId"]);
    std::fs::write(client.folder().join("hello"), "by the API").unwrap();
    let put = client.aws("codecommit put-file --repository-name tour --branch-name main --file-content fileb://hello --file-path a/hello");
    let commit = put["commitId"].as_str().unwrap();
    let branch = client.aws("codecommit get-branch --repository-name tour --branch-name main");
    assert_eq!(branch["branch"]["commitId"], commit);
    let file = client.aws("codecommit get-file --repository-name tour --file-path a/hello");
    has(
        &file,
        json!({"commitId": commit, "fileMode": "NORMAL", "fileSize": 10, "fileContent": "YnkgdGhlIEFQSQ=="}),
    );
    let folder = client.aws("codecommit get-folder --repository-name tour --folder-path a");
    assert_eq!(column(&folder["files"], "absolutePath"), ["a/hello"]);
    client.aws(&format!(
        "codecommit create-branch --repository-name tour --branch-name next --commit-id {commit}"
    ));
    client.aws("codecommit update-default-branch --repository-name tour --default-branch-name next");
    let many = client.aws("codecommit batch-get-repositories --repository-names tour absent");
    assert_eq!(many["repositories"][0]["defaultBranch"], "next");
    assert_eq!(many["repositoriesNotFound"], json!(["absent"]));
    client.aws("codecommit delete-repository --repository-name tour");
    let gone = client.aws_error("codecommit get-repository --repository-name tour");
    assert!(gone.contains("(RepositoryDoesNotExistException)"), "{gone}");
}

fn ecr(client: &Client) {
    let made = client.aws("ecr create-repository --repository-name tour --image-tag-mutability IMMUTABLE");
    let described = client.aws("ecr describe-repositories --repository-names tour");
    assert_eq!(described["repositories"][0], made["repository"]);
    has(&made["repository"], json!({"imageTagMutability": "IMMUTABLE", "registryId": "000000000000"}));
    let arn = made["repository"]["repositoryArn"].as_str().unwrap();
    let none = client.aws_error("ecr get-lifecycle-policy --repository-name tour");
    assert!(none.contains("(LifecyclePolicyNotFoundException)"), "{none}");
    let none = client.aws_error("ecr get-repository-policy --repository-name tour");
    assert!(none.contains("(RepositoryPolicyNotFoundException)"), "{none}");
    client.aws(&format!("ecr tag-resource --resource-arn {arn} --tags Key=on,Value=tour"));
    let tags = client.aws(&format!("ecr list-tags-for-resource --resource-arn {arn}"));
    assert_eq!(tags["tags"], json!([{"Key": "on", "Value": "tour"}]));
    assert_eq!(client.aws("ecr list-images --repository-name tour")["imageIds"], json!([]));
    client.aws("ecr delete-repository --repository-name tour");
    let gone = client.aws_error("ecr describe-repositories --repository-names tour");
    assert!(gone.contains("(RepositoryNotFoundException)"), "{gone}");
}

fn codebuild(client: &Client, role: &str) {
    let project = words!({
        "name": "tour", "serviceRole": role, "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
        "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"}
    });
    let made =
        client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project])["project"].clone();
    has(&made, json!({"timeoutInMinutes": 60, "queuedTimeoutInMinutes": 480, "serviceRole": role}));
    let got = client.aws("codebuild batch-get-projects --names tour absent");
    assert_eq!((&got["projects"][0], &got["projectsNotFound"]), (&made, &json!(["absent"])));
    client.aws("codebuild update-project --name tour --timeout-in-minutes 5");
    assert_eq!(client.aws("codebuild batch-get-projects --names tour")["projects"][0]["timeoutInMinutes"], 5);
    assert_eq!(client.aws("codebuild list-projects")["projects"], json!(["tour"]));
    assert_eq!(client.aws("codebuild list-builds-for-project --project-name tour")["ids"], json!([]));
    client.aws("codebuild delete-project --name tour");
    assert_eq!(client.aws("codebuild list-projects")["projects"], json!([]));
}

fn codepipeline(client: &Client, role: &str) {
    let pipeline = words!({
        "name": "tour", "roleArn": role, "artifactStore": {"type": "S3", "location": "tour-artifacts"},
        "stages": [
            {"name": "Source", "actions": [{
                "name": "Get", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
                "configuration": {"S3Bucket": "tour-source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
                "outputArtifacts": [{"name": "App"}]
            }]},
            {"name": "Check", "actions": [{
                "name": "Ask", "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
            }]}
        ]
    });
    let made =
        client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline])["pipeline"].clone();
    let got = client.aws("codepipeline get-pipeline --name tour");
    assert_eq!(got["pipeline"], made);
    has(&made, json!({"version": 1, "roleArn": role}));
    assert_eq!(got["metadata"]["pipelineArn"], "arn:aws:codepipeline:us-east-1:000000000000:tour");
    let state = client.aws("codepipeline get-pipeline-state --name tour");
    assert_eq!(column(&state["stageStates"], "stageName"), ["Source", "Check"]);
    assert_eq!(state["stageStates"][1]["inboundTransitionState"]["enabled"], true);
    client.aws("codepipeline disable-stage-transition --pipeline-name tour --stage-name Check --transition-type Inbound --reason tour");
    let state = client.aws("codepipeline get-pipeline-state --name tour");
    has(
        &state["stageStates"][1]["inboundTransitionState"],
        json!({"enabled": false, "disabledReason": "tour"}),
    );
    let mut renamed = made;
    renamed["stages"][1]["name"] = json!("Decide");
    let updated = client.aws_args(&["codepipeline", "update-pipeline", "--pipeline", &renamed.to_string()]);
    assert_eq!(updated["pipeline"]["version"], 2);
    assert_eq!(column(&client.aws("codepipeline list-pipelines")["pipelines"], "name"), ["tour"]);
    let types = client.aws("codepipeline list-action-types --action-owner-filter AWS");
    let named = |t: &serde_json::Value| t["id"]["provider"] == "CodeBuild" && t["id"]["category"] == "Build";
    assert!(types["actionTypes"].as_array().unwrap().iter().any(named));
    client.aws("codepipeline delete-pipeline --name tour");
    let gone = client.aws_error("codepipeline get-pipeline --name tour");
    assert!(gone.contains("(PipelineNotFoundException)"), "{gone}");
}

fn ecs(client: &Client, role: &str) {
    let made =
        client.aws("ecs create-cluster --cluster-name tour --settings name=containerInsights,value=disabled");
    has(&made["cluster"], json!({"status": "ACTIVE", "clusterName": "tour"}));
    let described = client.aws("ecs describe-clusters --clusters tour absent --include SETTINGS TAGS");
    assert_eq!(
        described["clusters"][0]["settings"],
        json!([{"name": "containerInsights", "value": "disabled"}])
    );
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    let definition = words!({
        "family": "tour", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        "taskRoleArn": role,
        "containerDefinitions": [{"name": "web", "image": "longshore/test-base:1", "portMappings": [{"containerPort": 8080}]}]
    });
    let made = client.aws_args(&["ecs", "register-task-definition", "--cli-input-json", &definition]);
    has(&made["taskDefinition"], json!({"revision": 1, "status": "ACTIVE", "taskRoleArn": role}));
    let got = client.aws("ecs describe-task-definition --task-definition tour --include TAGS");
    assert_eq!(got["taskDefinition"], made["taskDefinition"]);
    assert_eq!(client.aws("ecs list-task-definition-families")["families"], json!(["tour"]));
    client.aws("ecs deregister-task-definition --task-definition tour:1");
    let inactive = client.aws("ecs describe-task-definition --task-definition tour:1");
    assert_eq!(inactive["taskDefinition"]["status"], "INACTIVE");
    assert_eq!(client.aws("ecs list-services --cluster tour")["serviceArns"], json!([]));
    client.aws("ecs delete-cluster --cluster tour");
    let gone = client.aws("ecs describe-clusters --clusters tour")["clusters"][0]["status"].clone();
    assert_eq!(gone, "INACTIVE");
}
