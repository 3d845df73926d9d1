"""A job worker in steps, in the order and with the members that two public ones have: CodePipeline's plugin for
Jenkins, and AWS's sample worker for custom and third-party actions."""
import io
import json
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError

pipeline = boto3.client("codepipeline")
JENKINS = {"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"}
LOAD = {"category": "Test", "owner": "Custom", "provider": "Load", "version": "1"}
PARTNER = {"category": "Test", "owner": "ThirdParty", "provider": "Watch", "version": "1"}


def store(job):
    """S3 with the job's own credentials, and nothing else."""
    given = job["data"]["artifactCredentials"]
    return boto3.client(
        "s3",
        aws_access_key_id=given["accessKeyId"],
        aws_secret_access_key=given["secretAccessKey"],
        aws_session_token=given["sessionToken"],
    )


def at(artifact):
    place = artifact["location"]["s3Location"]
    return {"Bucket": place["bucketName"], "Key": place["objectKey"]}


def code(call, **parameters):
    """The code of a call that must be refused."""
    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError(f"{parameters} was not refused")


def jenkins_poll():
    """The plugin polls for one job of its project, and acknowledges when an executor is free."""
    none = pipeline.poll_for_jobs(actionTypeId=JENKINS, maxBatchSize=1, queryParam={"ProjectName": "other"})
    assert none["jobs"] == [], none
    jobs = pipeline.poll_for_jobs(actionTypeId=JENKINS, maxBatchSize=1, queryParam={"ProjectName": "app"})["jobs"]
    if not jobs:
        return
    job = jobs[0]
    assert code(pipeline.acknowledge_job, jobId=job["id"], nonce="3") == "InvalidNonceException"
    assert code(pipeline.put_job_success_result, jobId=job["id"]) == "InvalidJobStateException"
    assert pipeline.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    print(json.dumps(job))


def jenkins_build():
    """Downloads the input, uploads the output part by part, and tells the build's number."""
    job = json.load(open("job.json"))
    assert job["data"]["actionConfiguration"]["configuration"] == {"ProjectName": "app", "Token": "hush"}, job
    job["data"] = pipeline.get_job_details(jobId=job["id"])["jobDetails"]["data"]
    s3, source, output = store(job), at(job["data"]["inputArtifacts"][0]), at(job["data"]["outputArtifacts"][0])
    with zipfile.ZipFile(io.BytesIO(s3.get_object(**source)["Body"].read())) as archive:
        text = archive.read("hello.txt").decode()
    # Exactly these two objects, and each only in its direction.
    assert code(s3.get_object, **output) == "AccessDenied"
    assert code(s3.put_object, **source, Body=b"") == "AccessDenied"
    assert code(s3.get_object, Bucket="inbox", Key="app.zip") == "AccessDenied"
    assert code(s3.put_object, Bucket=output["Bucket"], Key=output["Key"] + "x", Body=b"") == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket=output["Bucket"]) == "AccessDenied"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("built.txt", text.upper())
    upload = s3.create_multipart_upload(**output, ServerSideEncryption="aws:kms")["UploadId"]
    part = s3.upload_part(**output, UploadId=upload, PartNumber=1, Body=made.getvalue())["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(**output, UploadId=upload, MultipartUpload=parts)
    large = {"V": "x" * 122_880}
    refused = code(pipeline.put_job_success_result, jobId=job["id"], outputVariables=large)
    assert refused == "OutputVariablesSizeExceededException", refused
    pipeline.put_job_success_result(
        jobId=job["id"],
        executionDetails={"summary": "Finished", "externalExecutionId": "7", "percentComplete": 100},
        outputVariables={"BuildNumber": "7"},
    )
    again = code(pipeline.put_job_success_result, jobId=job["id"])
    assert again == "InvalidJobStateException", again


def sample_poll():
    """The sample polls for a batch, acknowledges, works, and goes on later with a token where it is not done."""
    for job in pipeline.poll_for_jobs(actionTypeId=LOAD, maxBatchSize=10)["jobs"]:
        status = pipeline.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"]
        assert status == "InProgress", status
        token = job["data"].get("continuationToken")
        if token is None:
            pipeline.put_job_success_result(
                jobId=job["id"],
                continuationToken="half",
                executionDetails={"summary": "halfway", "externalExecutionId": "load-1", "percentComplete": 50},
            )
            print("half")
            continue
        assert token == "half", token
        with zipfile.ZipFile(io.BytesIO(store(job).get_object(**at(job["data"]["inputArtifacts"][0]))["Body"].read())) as z:
            assert z.read("built.txt") == b"HELLO", z.namelist()
        pipeline.put_job_success_result(jobId=job["id"], executionDetails={"summary": "fast enough"})
        print("done")


def partner_poll():
    """A partner's worker looks up the token of the client whose job it is offered."""
    tokens = {"000000000000": "both-know"}
    for offered in pipeline.poll_for_third_party_jobs(actionTypeId=PARTNER, maxBatchSize=10)["jobs"]:
        id, token = offered["jobId"], tokens[offered["clientId"]]
        guess = code(pipeline.get_third_party_job_details, jobId=id, clientToken="guess")
        assert guess == "InvalidClientTokenException", guess
        job = pipeline.get_third_party_job_details(jobId=id, clientToken=token)["jobDetails"]
        ack = pipeline.acknowledge_third_party_job(jobId=id, nonce=job["nonce"], clientToken=token)
        assert ack["status"] == "InProgress", ack
        pipeline.put_third_party_job_failure_result(
            jobId=id,
            clientToken=token,
            failureDetails={"type": "JobFailed", "message": "too slow", "externalExecutionId": "watch-1"},
        )
        print(id)


globals()[sys.argv[1]]()
