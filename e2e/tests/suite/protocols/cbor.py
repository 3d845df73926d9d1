"""What SDKs that prefer CBOR send: botocore itself, told to prefer it. Prints `done`."""
import datetime
import json

import boto3
import botocore.model
from botocore.exceptions import ClientError

botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query", "ec2", "rest-xml")
UTC = datetime.timezone.utc


def spoken(client, sent):
    """Keeps the type of what the client is answered with."""
    name = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(
        f"response-received.{name}", lambda response_dict, **_: sent.append(response_dict["headers"]["Content-Type"]))
    return client


def refused(code, call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (call.__name__, error)
        return error
    raise AssertionError(f"{call.__name__} should have failed with {code}, but answered {answer}")


sent = []
role = boto3.client("iam").create_role(RoleName="cbor", AssumeRolePolicyDocument=json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": ["codebuild.amazonaws.com", "codepipeline.amazonaws.com"]},
                   "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]


def action(category, provider, **more):
    return {"actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}, **more}


pipelines = spoken(boto3.client("codepipeline"), sent)
pipeline = {
    "name": "cbor", "roleArn": role, "artifactStore": {"type": "S3", "location": "cbor-artifacts"},
    "stages": [
        {"name": "Source", "actions": [action("Source", "S3", name="Get", outputArtifacts=[{"name": "App"}], configuration={
            "S3Bucket": "cbor-source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"})]},
        {"name": "Check", "actions": [action("Approval", "Manual", name="Ask")]},
    ]}
before = datetime.datetime.now(UTC) - datetime.timedelta(minutes=5)
made = pipelines.create_pipeline(pipeline=pipeline)["pipeline"]
got = pipelines.get_pipeline(name="cbor")
assert got["pipeline"] == made and made["version"] == 1, got
assert got["metadata"]["created"] > before, got["metadata"]
assert [p["name"] for p in pipelines.list_pipelines()["pipelines"]] == ["cbor"]
pipelines.disable_stage_transition(pipelineName="cbor", stageName="Check", transitionType="Inbound", reason="a hold")
state = pipelines.get_pipeline_state(name="cbor")["stageStates"][1]["inboundTransitionState"]
assert state["enabled"] is False and state["disabledReason"] == "a hold" and state["lastChangedAt"] > before, state
refused("PipelineNotFoundException", pipelines.get_pipeline, name="none")
refused("ValidationException", pipelines.get_pipeline, name="no spaces")
refused("PipelineNameInUseException", pipelines.create_pipeline, pipeline=pipeline)
pipelines.delete_pipeline(name="cbor")

builds = spoken(boto3.client("codebuild"), sent)
project = {
    "name": "cbor", "serviceRole": role, "artifacts": {"type": "NO_ARTIFACTS"}, "timeoutInMinutes": 30,
    "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [\"true\"]}}"},
    "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"}}
made = builds.create_project(**project)["project"]
assert made["timeoutInMinutes"] == 30 and made["created"] > before, made
assert builds.batch_get_projects(names=["cbor", "none"])["projectsNotFound"] == ["none"]
assert builds.list_projects()["projects"] == ["cbor"]
refused("ResourceNotFoundException", builds.start_build, projectName="none")
refused("InvalidInputException", builds.create_project, **{**project, "name": "no spaces"})
builds.delete_project(name="cbor")

watch = spoken(boto3.client("cloudwatch"), sent)
now = datetime.datetime.now(UTC).replace(microsecond=0)
watch.put_metric_data(Namespace="E2E", MetricData=[
    {"MetricName": "cbor", "Values": [0.5, 2.0], "Counts": [1, 3], "Timestamp": now - datetime.timedelta(minutes=2), "Unit": "Count"},
    # So many that botocore packs the request.
    *({"MetricName": f"other-{n}", "Value": n / 7, "Dimensions": [{"Name": "d", "Value": "v" * 100}]} for n in range(200))])
found = watch.get_metric_statistics(Namespace="E2E", MetricName="cbor", StartTime=now - datetime.timedelta(hours=1),
                                    EndTime=now, Period=3600, Statistics=["Sum", "SampleCount", "Minimum"])
assert sum(p["Sum"] for p in found["Datapoints"]) == 6.5, found
assert len([m for page in watch.get_paginator("list_metrics").paginate(Namespace="E2E") for m in page["Metrics"]]) == 201
error = refused("ResourceNotFound", watch.set_alarm_state, AlarmName="none", StateValue="OK", StateReason="r")
assert isinstance(error, watch.exceptions.ResourceNotFound), type(error)

assert len(sent) > 15 and set(sent) == {"application/cbor"}, sent
print("done")
