"""Uses twenty pipelines while their server is killed again and again: SOURCE-OF-THE-MODEL, decisions by a fixed rule.

Every call is repeated until it is answered, as a client's own retries do; starts carry tokens. When its input ends, no
more is started, what is undecided is decided, and what all of it came to is printed as JSON.
"""
import collections
import io
import json
import os
import pathlib
import sys
import threading
import time
import zipfile
import zlib

MODEL, DATA = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
place = DATA / "longshore" / "2026-11-25"
place.mkdir(parents=True)
(place / "service-2.json").write_text(MODEL.read_text())
os.environ["AWS_DATA_PATH"] = str(DATA)

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PIPELINES, STARTS, PATIENCE = 20, 6, 240
MODES = ("SUPERSEDED", "QUEUED", "PARALLEL")
config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, max_pool_connections=30)
session = boto3.session.Session()
clients = {name: session.client(name, config=config) for name in ("iam", "s3", "codecommit", "codepipeline", "longshore")}
began, stopped = time.monotonic(), threading.Event()


def call(service, operation, fine=(), **parameters):
    """The answer, or the error code where it is a fine one; once more for as long as there is no server."""
    while True:
        try:
            return getattr(clients[service], operation)(**parameters)
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code in fine:
                return code
            if status < 500 and code != "ConflictException":
                raise
        except BotoCoreError:
            pass
        if time.monotonic() - began > PATIENCE:
            sys.exit(f"{operation} was not answered in time")
        time.sleep(0.05)


def setup():
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "codecommit:*"], "Resource": "*"}]}
    role = call("iam", "create_role", RoleName="release", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    call("iam", "put_role_policy", RoleName="release", PolicyName="may", PolicyDocument=json.dumps(may))
    for bucket in ("source", "artifacts", "site"):
        call("s3", "create_bucket", Bucket=bucket)
        call("s3", "put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("index.html", "here")
    call("s3", "put_object", Bucket="source", Key="app.zip", Body=body.getvalue())
    call("codecommit", "create_repository", repositoryName="app")
    call("codecommit", "put_file", repositoryName="app", branchName="main", filePath="index.html", fileContent=b"here")
    for n in range(PIPELINES):
        call("codepipeline", "create_pipeline", pipeline=pipeline(n, role))


def pipeline(n, role):
    def action(category, provider, name, configuration, **more):
        kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
        return {"name": name, "actionTypeId": kind, "configuration": configuration, **more}

    output = {"outputArtifacts": [{"name": "App"}]}
    if n % 5 == 0:
        source = action("Source", "CodeCommit", "Source", {
            "RepositoryName": "app", "BranchName": "main", "PollForSourceChanges": "false"}, **output)
    else:
        source = action("Source", "S3", "Source", {
            "S3Bucket": "source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"}, **output)
    ships = [action("Deploy", "S3", f"Ship{side}", {
        "BucketName": "site", "Extract": "false", "ObjectKey": f"p-{n}/#{{codepipeline.PipelineExecutionId}}/Ship{side}",
    }, inputArtifacts=[{"name": "App"}]) for side in "AB"]
    return {
        "name": f"p-{n}", "roleArn": role, "pipelineType": "V2", "executionMode": MODES[n % 3],
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [source]},
                   {"name": "Gate", "actions": [action("Approval", "Manual", "Ok", {})]},
                   {"name": "Ship", "actions": ships}],
    }


def pages(operation, key, **parameters):
    found, token = [], {}
    while True:
        page = call("codepipeline", operation, **parameters, **token)
        found += page[key]
        if not page.get("nextToken"):
            return found
        token = {"nextToken": page["nextToken"]}


def runs(name):
    return pages("list_action_executions", "actionExecutionDetails", pipelineName=name)


def verdict(execution):
    """By a fixed rule, so that it is the same whenever it is given: one of eight is never decided."""
    return ("Approved", "Rejected", None, *["Approved"] * 5)[zlib.crc32(execution.encode()) % 8]


def decide(name):
    for run in runs(name):
        status = verdict(run["pipelineExecutionId"])
        if run["actionName"] != "Ok" or run["status"] != "InProgress" or status is None:
            continue
        token = run["output"]["executionResult"]["externalExecutionId"]
        call("codepipeline", "put_approval_result", pipelineName=name, stageName="Gate", actionName="Ok", token=token,
             result={"status": status, "summary": "by rule"}, fine=("ApprovalAlreadyCompletedException", "InvalidApprovalTokenException"))


def start(name, begun):
    for n in range(STARTS):
        answer = call("codepipeline", "start_pipeline_execution", name=name, clientRequestToken=f"{name}-{n}",
                      fine=("ConcurrentPipelineExecutionsLimitExceededException",))
        begun[name].append(answer["pipelineExecutionId"])
        decide(name)
        if stopped.is_set():
            return


def executions(name):
    found = pages("list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=name)
    return {execution["pipelineExecutionId"]: execution["status"] for execution in found}


def settled(name):
    """Whether all has ended but what waits for a decision that never comes, or behind that."""
    decide(name)
    waits = collections.defaultdict(list)
    for wait in call("longshore", "get_pipeline_waits", name=name)["waits"]:
        waits[wait["pipelineExecutionId"]].append(wait["reason"])
    found, open_runs = executions(name), [run for run in runs(name) if run["status"] == "InProgress"]
    active = [execution for execution, status in found.items() if status in ("InProgress", "Stopping")]
    rest = all(set(waits[execution]) & {"Approval", "StageLocked"} for execution in active)
    rest = rest and all(run["actionName"] == "Ok" and verdict(run["pipelineExecutionId"]) is None for run in open_runs)
    return {"executions": found, "waits": waits} if rest else None


setup()
print("ready", flush=True)
begun = {f"p-{n}": [] for n in range(PIPELINES)}
threads = [threading.Thread(target=start, args=(name, begun)) for name in begun]
for thread in threads:
    thread.start()
threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
while not stopped.is_set():
    for name in begun:
        decide(name)
        if stopped.is_set():
            break
for thread in threads:
    thread.join()

report = {}
for name in begun:
    while (left := settled(name)) is None:
        if time.monotonic() - began > PATIENCE:
            sys.exit(f"{name} did not come to rest: {executions(name)}")
        time.sleep(0.05)
    verdicts = {execution: verdict(execution) for execution in left["executions"]}
    report[name] = {**left, "begun": begun[name], "runs": runs(name), "verdicts": verdicts}
versions = collections.Counter()
for page in clients["s3"].get_paginator("list_object_versions").paginate(Bucket="site"):
    versions.update(version["Key"] for version in page.get("Versions", []))
print(json.dumps({"pipelines": report, "versions": versions}, default=str))
